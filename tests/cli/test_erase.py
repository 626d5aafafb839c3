#!/usr/bin/env python3
"""erase, approve: from the command line, and what of it is left in the files."""
import json
import os
import pty
import sqlite3
import unittest

from harness import TALLY, Case, main


class Erase(Case):
    WHO = ["--reason", "GDPR 17", "--by", "dpo@example.com"]

    def setUp(self):
        super().setUp()
        self.init()
        for n in range(3):
            self.tally("log", "--action", "user.login", "--id", f"e{n}", "--actor-id", f"u-{n % 2}",
                       "--actor-name", f"Quibble{n % 2}", "--metadata-json", '{"colour":"mauve"}')

    def grep(self, value):
        found = []
        for directory, _, names in os.walk(self.ledger):
            for name in names:
                with open(os.path.join(directory, name), "rb") as file:
                    if value.encode() in file.read():
                        found.append(name)
        return found

    def trust(self, *lines):
        with open(self.ledger / "keys" / "trust.txt", "a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def verdict(self):
        return self.tally("verify", "--json").json["verdict"]

    def test_a_dry_run_changes_nothing(self):
        before = self.tally("count", "--where", "kind=all").out
        report = self.tally("erase", "--subject", "actor:u-0", "--dry-run", "--json").json
        self.assertEqual((report["matched"], report["erased"], report["seq"]), (2, 2, None))
        self.assertTrue(report["dry_run"])
        self.assertEqual(self.tally("count", "--where", "kind=all").out, before)

    def test_a_subject_is_gone_from_all_files(self):
        report = self.tally("erase", "--subject", "actor:u-0", "--yes", *self.WHO, "--ticket",
                            "DSR-9", "--json").json
        self.assertEqual((report["matched"], report["erased"], report["acts"]), (2, 2, 1))
        self.assertEqual((report["by"], report["reason"], report["ticket"]),
                         ("dpo@example.com", "GDPR 17", "DSR-9"))
        self.assertRegex(report["sealed_at"], r"^20\d\d-")
        self.assertTrue(any("backups" in line for line in report["not_reached"]))
        self.assertEqual(self.grep("Quibble0"), [])
        self.assertEqual(self.grep("u-0"), [])
        self.assertNotEqual(self.grep("Quibble1"), [])
        self.assertEqual(self.verdict(), "VERIFIED")
        self.assertEqual(self.tally("find", "--actor-id", "u-0", "--json").json["items"], [])
        act = self.tally("find", "--action", "tally.erase", "--json").json["items"][0]["event"]
        self.assertEqual(act["actor"]["id"], "dpo@example.com")
        self.assertEqual((act["metadata"]["erased"], act["metadata"]["subject"]), (2, "actor"))

    def test_members_go_alone(self):
        self.tally("erase", "--id", "e1", "--member", "/actor/name", "--member", "/metadata", "--yes",
                   *self.WHO)
        self.assertEqual(self.grep("Quibble1"), [])
        found = self.tally("find", "--actor-id", "u-1", "--json").json["items"]
        self.assertEqual([(item["state"], item["event"]["actor"]["id"]) for item in found],
                         [("partial", "u-1")])
        self.assertNotIn("name", found[0]["event"]["actor"])
        self.assertEqual(self.verdict(), "VERIFIED")
        self.assertIn("set", self.tally("erase", "--id", "e0", "--member", "/actor/id", "--yes",
                                        *self.WHO, want=3).err)

    def test_says_that_traces_are_left_for_a_reader(self):
        order = ["erase", "--id", "e1", "--yes", *self.WHO]
        reader = sqlite3.connect(self.ledger / "index.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchall()
        shown = self.tally(*order, want=6).out
        self.assertRegex(shown, r"(?m)^left +traces in files")
        act = self.tally("find", "--action", "tally.erase", "--json").json["items"][0]["event"]
        self.assertEqual((act["outcome"], act["metadata"]["complete"]), ("success", False))
        reader.close()
        report = self.tally(*order, "--json").json  # all is gone: it clears what is left
        self.assertEqual((report["gone"], report["acts"], report["left"]), (1, 0, 0))
        self.assertEqual(self.grep("Quibble1"), [])
        self.assertEqual(self.verdict(), "VERIFIED")

    def test_nothing_goes_without_a_word(self):
        for arguments in (["--subject", "actor:u-0"], ["--id", "e0", "--by", "x"], self.WHO,
                          ["--range", "3-", *self.WHO], ["--range", "4-3", *self.WHO],
                          ["--subject", "u-0", *self.WHO, "--yes"]):
            self.tally("erase", *arguments, want=3)
        self.assertIn("--yes", self.tally("erase", "--id", "e0", *self.WHO, want=3).err)
        self.tally("erase", "--id", "e9", *self.WHO, "--yes", want=1)
        self.assertEqual(self.tally("count").out.split()[0], "3")
        self.assertNotEqual(self.grep("Quibble0"), [])

    def answer(self, text, *arguments):
        """Runs `tally` at a terminal where somebody answers."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(TALLY, [TALLY, "-C", str(self.ledger), *arguments], self.environment())
        os.write(terminal, text.encode())
        shown = b""
        try:
            while part := os.read(terminal, 4096):
                shown += part
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def test_a_terminal_is_asked(self):
        status, shown = self.answer("no\n", "erase", "--id", "e0", *self.WHO)
        self.assertEqual(status, 6, shown)
        self.assertIn("1 of 1 records will be erased", shown)
        self.assertEqual(self.tally("get", "e0", "--json").json["state"], "present")
        status, shown = self.answer("yes\n", "erase", "--id", "e0", *self.WHO)
        self.assertEqual(status, 0, shown)
        self.tally("get", "e0", want=1)

    def test_a_second_person_signs(self):
        made = self.tally("approve", "--new-key", "ops.example/anna", "--output", "anna.key", "--json",
                          ledger=False).json
        self.assertEqual(os.stat(self.dir / "anna.key").st_mode & 0o777, 0o600)
        self.tally("approve", "--new-key", "x", "--output", "anna.key", ledger=False, want=7)
        self.trust(made["trust_line"], "#tally approve ERASE")
        order = ["erase", "--id", "e0", *self.WHO, "--yes"]
        self.tally(*order, want=7)
        refused = self.tally(*order, "--request", "request.json", "--json", want=7)
        self.assertEqual(json.loads(refused.err.splitlines()[0])["code"], "approval_needed")
        self.tally("approve", "--key", "anna.key", "request.json", ledger=False, want=3)
        shown = self.tally("approve", "--key", "anna.key", "--output", "approval", "--yes",
                           "request.json", ledger=False).out
        self.assertEqual(shown, "")
        self.tally("erase", "--id", "e1", *self.WHO, "--yes", "--approval", "approval", want=7)
        self.tally(*order, "--approval", "approval")
        self.assertEqual(self.verdict(), "VERIFIED")
        os.chmod(self.dir / "anna.key", 0o640)
        self.tally("approve", "--key", "anna.key", "--yes", "request.json", ledger=False, want=3)

    def test_who_signs_sees_what(self):
        self.tally("approve", "--new-key", "anna", "--output", "anna.key", ledger=False)
        self.write("request.json", json.dumps({"tally_request": 1, "origin": "a/b\x1b[2J", "acts": [
            {"kind": "ERASE", "payload": {"basis": "b\x1b[2J", "items": [
                {"pointers": ["/actor/name"], "seqs": [3, 4, 5, 9]}]}},
            {"kind": "PURGE", "payload": {"count": 2, "override": True, "ranges": [[1, 2]]}}]}))
        status, shown = self.answer("no\n", "approve", "--key", "anna.key", "request.json")
        self.assertEqual(status, 6)
        for part in ("members /actor/name", "3-5, 9 (4 in all)", "EARLY", "1-2 (2 in all)"):
            self.assertIn(part, shown)
        self.assertNotIn("\x1b[2J", shown)
        self.write("other.json", '{"tally_request":1,"origin":"a","acts":[{"kind":"ERASE","payload":'
                                 '{"basis":"b","items":[{"pointers":[""],"seqs":[3e0]}]}}]}')
        status, shown = self.answer("yes\n", "approve", "--key", "anna.key", "other.json")
        self.assertEqual(status, 3, shown)


if __name__ == "__main__":
    main()
