#!/usr/bin/env python3
"""backup, restore, and verify --against a checkpoint that was kept elsewhere."""
import json
import os
import shutil
import sqlite3

from harness import Case, main

WHO = ("--by", "ops@example.com", "--reason", "disk lost")


class Ledger(Case):
    def setUp(self):
        super().setUp()
        self.init()
        self.add("a", 10)

    def add(self, prefix, count):
        lines = "".join(f'{{"action":"a.b","id":"{prefix}{i}"}}\n' for i in range(count))
        self.tally("import", "-", stdin=lines)

    def keep(self, name):
        self.write(name, self.tally("checkpoint").out)
        return name

    def findings(self, *arguments, want):
        report = self.tally("verify", *arguments, "--json", want=want).json
        return report["verdict"], [finding["code"] for finding in report["findings"]]

    def edit(self, *statements):
        db = sqlite3.connect(self.ledger / "ledger.db")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for sql in statements:
            db.execute(sql)
        db.commit()
        db.close()


class Against(Ledger):
    """Each case is told by the remembered checkpoint, and by its name."""

    def setUp(self):
        super().setUp()
        shutil.copytree(self.ledger, self.dir / "old")

    def test_an_older_ledger_is_a_rollback(self):
        self.add("b", 5)
        self.keep("kept")
        shutil.rmtree(self.ledger)
        shutil.copytree(self.dir / "old", self.ledger)
        self.tally("verify")
        verdict, codes = self.findings("--against", "kept", want=1)
        self.assertEqual((verdict, "ROLLBACK" in codes), ("TAMPERED", True), codes)

    def test_two_ledgers_of_one_size_are_a_fork(self):
        self.add("b", 5)
        self.keep("kept")
        shutil.rmtree(self.ledger)
        shutil.copytree(self.dir / "old", self.ledger)
        self.add("c", 5)
        self.tally("verify")
        verdict, codes = self.findings("--against", "kept", want=1)
        self.assertEqual((verdict, "FORK" in codes), ("TAMPERED", True), codes)

    def test_a_longer_ledger_of_another_past_is_rewritten(self):
        self.add("b", 5)
        self.keep("kept")
        shutil.rmtree(self.ledger)
        shutil.copytree(self.dir / "old", self.ledger)
        self.add("c", 50)
        self.tally("verify")
        verdict, codes = self.findings("--against", "kept", want=1)
        self.assertEqual((verdict, "HISTORY_REWRITTEN" in codes), ("TAMPERED", True), codes)

    def test_a_tail_that_was_cut_off_is_missed(self):
        self.add("b", 5)
        self.keep("kept")
        self.edit("DELETE FROM record WHERE seq >= (SELECT max(seq) - 3 FROM record)")
        verdict, codes = self.findings("--against", "kept", want=1)
        self.assertEqual((verdict, "TRUNCATED" in codes), ("TAMPERED", True), codes)

    def test_a_tail_cut_off_with_its_checkpoint_is_a_rollback(self):
        before = self.tally("checkpoint").out
        head = sqlite3.connect(self.ledger / "ledger.db").execute(
            "SELECT size, root, frontier, epoch FROM head").fetchone()
        self.add("b", 5)
        self.keep("kept")
        os.remove(self.ledger / "keys" / "highwater")
        db = sqlite3.connect(self.ledger / "ledger.db")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DELETE FROM record WHERE seq >= ?", head[:1])
        db.execute("DELETE FROM checkpoint WHERE size > ?", head[:1])
        db.execute("INSERT OR REPLACE INTO checkpoint VALUES(?, ?)", (head[0], before))
        db.execute("UPDATE head SET size = ?, root = ?, frontier = ?, epoch = ?", head)
        db.commit()
        db.close()
        verdict, codes = self.findings("--against", "kept", want=1)
        self.assertEqual((verdict, "ROLLBACK" in codes), ("TAMPERED", True), codes)

    def test_one_that_still_holds_is_no_finding(self):
        self.keep("kept")
        self.add("b", 5)
        verdict, codes = self.findings("--against", "kept", want=0)
        self.assertEqual((verdict, codes), ("VERIFIED", []))

    def test_one_of_another_ledger_tells_nothing(self):
        self.ledger = self.dir / "other"
        self.tally("init", self.ledger, "--origin", "test.example/other")
        self.keep("kept")
        self.ledger = self.dir / "audit"
        verdict, codes = self.findings("--against", "kept", want=2)
        self.assertEqual((verdict, codes), ("UNVERIFIABLE", ["KEY_UNKNOWN"]))


class Backup(Ledger):
    def test_a_backup_says_what_it_holds(self):
        first = self.tally("backup", "copy", "--by", "ops", "--json").json
        self.assertEqual((first["from"], first["verified"], first["checkpoint"]),
                         (0, True, "checkpoints/newest"))
        self.assertEqual((self.dir / "copy" / first["checkpoint"]).read_text().splitlines()[1],
                         str(first["size"]))
        self.add("b", 3)
        second = self.tally("backup", "copy", "--json").json
        self.assertEqual(second["from"], first["size"])
        self.assertIn("new; verified", self.tally("backup", "copy").out)
        self.assertFalse((self.dir / "copy" / "keys").exists())
        rows = self.tally("find", "--action", "tally.backup", "-o", "ndjson").out.splitlines()
        self.assertEqual(len(rows), 3)
        self.tally("-C", "copy", "verify", "--trust", "copy/trust.txt", ledger=False)

    def test_what_holds_something_else_is_left_alone(self):
        (self.dir / "full").mkdir()
        self.write("full/x", "precious")
        result = self.tally("backup", "full", want=7)
        self.assertIn("backup.json", result.err)
        self.assertEqual(os.listdir(self.dir / "full"), ["x"])
        self.tally("backup", want=3)

    def test_the_configuration_goes_along(self):
        self.write("audit/tally.yaml", "retention:\n  default_days: 30\n")
        self.tally("backup", "copy")
        self.assertIn("30", (self.dir / "copy" / "config.yaml").read_text())
        self.ledger = self.dir / "new"
        self.tally("restore", "copy", *WHO, "--yes")
        self.assertIn("30", (self.ledger / "tally.yaml").read_text())


class Restore(Ledger):
    def setUp(self):
        super().setUp()
        self.tally("backup", "copy")
        self.add("b", 5)
        self.keep("kept")
        self.write("old-trust", self.tally("checkpoint", "--trust").out)
        shutil.rmtree(self.ledger)

    def test_it_goes_on_and_says_so(self):
        made = self.tally("restore", "copy", *WHO, "--yes", "--lost-checkpoint", "kept",
                          "--mac-key-file", "mac.key", "--json").json
        self.assertEqual(made["lost"], 8)  # five, two records of what was done, RESUME
        self.assertNotIn("mac_key", made)
        self.assertEqual(os.stat(self.dir / "mac.key").st_mode & 0o777, 0o600)
        report = self.tally("verify", "--mac-key", "mac.key", "--json").json
        self.assertEqual(report["verdict"], "VERIFIED")
        self.assertIn("restored", report["qualifiers"])
        self.assertEqual(report["checkpoint"]["origin"], made["origin"])
        self.log()
        self.add("c", 20)
        verdict, codes = self.findings("--against", "kept", want=0)
        self.assertIn("ROLLBACK_DECLARED", codes)
        verdict, codes = self.findings("--trust", "old-trust", want=2)
        self.assertIn("ORIGIN_MISMATCH", codes)
        self.assertEqual(self.tally("count", "--action", "tally.restore").out, "1\n")
        self.assertEqual(self.tally("count", "--action", "a.b").out, "30\n")
        self.assertEqual(self.tally("proof", "make", "a3", "--output", "p").status, 0)
        self.write("trust", self.tally("checkpoint", "--trust").out)
        self.tally("proof", "check", "p", "--trust", "trust")
        self.assertEqual(self.tally("drill", "--json").json["missed"], 0)

    def test_more_than_was_declared_lost_is_a_rollback(self):
        self.tally("restore", "copy", *WHO, "--yes")
        verdict, codes = self.findings("--against", "kept", want=1)
        self.assertIn("ROLLBACK", codes)

    def test_a_ledger_without_its_keys_is_as_good_as_a_backup(self):
        lost = self.ledger = self.dir / "lost"
        self.tally("init", lost, "--origin", "test.example/lost")
        self.add("x", 5)
        for name in ("log.key", "state", "highwater"):
            os.remove(lost / "keys" / name)
        self.tally("log", '{"action":"a"}', want=5)
        self.ledger = self.dir / "audit"
        self.tally("restore", lost, *WHO, "--yes")
        self.assertEqual(self.tally("count", "--action", "a.b").out, "5\n")
        self.tally("verify")
        self.log()
        again = self.ledger
        self.ledger = self.dir / "third"
        self.tally("restore", again, *WHO, "--yes")
        self.tally("verify")

    def test_a_dry_run_makes_nothing(self):
        plan = self.tally("restore", "copy", *WHO, "--dry-run", "--lost-size", "1000", "--json").json
        self.assertEqual((plan["dry_run"], plan["from_size"] + plan["lost"]), (True, 1000))
        self.assertNotIn("mac_key", plan)
        self.assertIn("known lost", self.tally("restore", "copy", *WHO, "--dry-run").out)
        self.assertFalse(self.ledger.exists())

    def test_nobody_is_asked_without_a_terminal(self):
        self.assertIn("--yes", self.tally("restore", "copy", *WHO, want=3).err)
        self.assertIn("--reason", self.tally("restore", "copy", "--by", "x", "--yes", want=3).err)
        self.assertFalse(self.ledger.exists())

    def test_what_is_there_is_refused(self):
        self.tally("restore", "copy", *WHO, "--yes")
        self.tally("restore", "copy", *WHO, "--yes", want=7)
        self.tally("-C", "elsewhere", "restore", "nowhere", *WHO, "--yes", ledger=False, want=1)

    def test_an_unfinished_backup_is_refused(self):
        path = self.dir / "copy" / "backup.json"
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps({**manifest, "complete": False}))
        self.assertIn("never finished", self.tally("restore", "copy", *WHO, "--yes", want=None).err)

    def test_an_approval_that_is_asked_for_is_not_passed_over(self):
        path = self.dir / "copy" / "trust.txt"
        path.write_text(path.read_text() + "#tally approve RESTORE\n")
        self.assertIn("approval", self.tally("restore", "copy", *WHO, "--yes", want=7).err)
        self.assertFalse(self.ledger.exists())

    def test_keys_outside_of_the_ledger_are_refused(self):
        self.write("copy/config.yaml", "keys:\n  dir: /var/lib/keys\n")
        self.assertIn("keys.dir", self.tally("restore", "copy", *WHO, "--yes", want=None).err)
        self.write("copy/config.yaml", "keys:\n  dir: a/../../keys\n")
        self.assertIn("keys.dir", self.tally("restore", "copy", *WHO, "--yes", want=None).err)
        self.assertFalse(self.ledger.exists())


class Reapply(Ledger):
    """What was erased after the backup stays erased, if a bundle of the lost ledger says so."""

    def setUp(self):
        super().setUp()
        self.tally("backup", "copy")
        self.tally("export", "--bundle", "early")
        self.tally("erase", "--id", "a3", "--by", "dpo", "--reason", "DSR", "--yes")
        self.tally("export", "--bundle", "bundle")
        self.keep("kept")
        shutil.rmtree(self.ledger)

    def test_with_the_bundle_it_stays_erased(self):
        made = self.tally("restore", "copy", *WHO, "--bundle", "bundle", "--yes", "--json").json
        self.assertEqual(made["reapplied"], 1)
        self.assertGreater(made["lost"], 0)
        self.assertEqual(self.tally("get", "a3", want=None).status, 1)
        self.tally("get", "a4")
        report = self.tally("verify", "--json").json
        self.assertEqual((report["verdict"], "restored" in report["qualifiers"]), ("VERIFIED", True))
        verdict, codes = self.findings("--against", "kept", want=1)  # export recorded itself after it
        self.assertIn("ROLLBACK", codes)

    def test_with_what_came_before_it_comes_back(self):
        out = self.tally("restore", "copy", *WHO, "--bundle", "early", "--yes").out
        self.assertIn("removed again  0", out)
        self.tally("get", "a3")

    def test_a_changed_bundle_is_refused(self):
        path = self.dir / "bundle" / "openings.ndjson"
        path.write_text(path.read_text().replace("a.b", "a.c", 1))
        result = self.tally("restore", "copy", *WHO, "--bundle", "bundle", "--yes", want=5)
        self.assertIn("the bundle is TAMPERED", result.err)
        self.tally("restore", "copy", *WHO, "--bundle", "copy", "--yes", want=3)
        self.assertFalse(self.ledger.exists())


if __name__ == "__main__":
    main()
