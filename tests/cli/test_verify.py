#!/usr/bin/env python3
"""verify, proof, checkpoint, reindex, drill, doctor, config."""
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import unittest

from harness import Case, main


class Verify(Case):
    def setUp(self):
        super().setUp()
        self.made = self.init()
        self.write("mac.key", self.made["mac_key"] + "\n")
        os.chmod(self.dir / "mac.key", 0o600)
        lines = "".join(f'{{"action":"a.b","id":"e{i}"}}\n' for i in range(20))
        self.tally("import", "-", stdin=lines)

    def edit(self, sql):
        """Changes the database behind the ledger's back, guards included."""
        db = sqlite3.connect(self.ledger / "ledger.db")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(sql)
        db.commit()
        db.close()

    def test_a_sound_ledger_is_verified(self):
        report = self.tally("verify", "--json").json
        self.assertEqual(report["verdict"], "VERIFIED")
        self.assertEqual((report["checked"], report["skipped"], report["findings"]),
                         (report["expected"], 0, []))
        self.assertEqual(report["checkpoint"]["origin"], "test.example/cli")
        self.assertIn("mac_unchecked", report["qualifiers"])
        self.assertEqual(self.tally("verify").out.splitlines()[0], "VERIFIED")

    def test_settings_count_that_stand_in_front_of_the_file(self):
        self.tally("--set", "verify.max_age_s=1d", "verify")
        done = self.tally("--set", "verify.max_age_s=x", "verify", want=None)
        self.assertEqual(done.status, 4)
        time.sleep(2.1)
        done = self.tally("--set", "verify.max_age_s=1", "verify", want=None)
        self.assertEqual(done.status, 2)
        self.assertIn("CHECKPOINT_STALE", done.out)
        self.tally("--set", "verify.max_age_s=1", "verify", "--max-age", "1h")

    def test_macs_are_checked_with_the_secret(self):
        report = self.tally("verify", "--mac-key", "mac.key", "--json").json
        self.assertNotIn("mac_unchecked", report["qualifiers"])

    def test_an_edited_record_is_named(self):
        self.edit("UPDATE record SET event = replace(event, 'a.b', 'a.c') WHERE seq = 7")
        result = self.tally("verify", "--json", want=1).json
        self.assertEqual(result["verdict"], "TAMPERED")
        self.assertIn(("CONTENT_MODIFIED", 7),
                      [(finding["code"], finding.get("seq")) for finding in result["findings"]])
        shown = self.tally("verify", want=1).out
        self.assertEqual(shown.splitlines()[0], "TAMPERED")
        self.assertIn("CONTENT_MODIFIED", shown)
        self.assertIn("What to do", shown)

    def test_a_removed_record_is_missed(self):
        self.edit("DELETE FROM record WHERE seq = 7")
        self.assertEqual(self.tally("verify", "--json", want=1).json["verdict"], "TAMPERED")

    def test_parts_can_be_chosen(self):
        for arguments, expected in ((["--newest", "5"], 5), (["--range", "3-6"], 4),
                                    (["--id", "e7"], 1)):
            report = self.tally("verify", "--json", *arguments).json
            self.assertEqual((report["verdict"], report["expected"]), ("VERIFIED", expected))

    def test_a_checkpoint_kept_elsewhere_must_hold(self):
        self.write("kept", self.tally("checkpoint").out)
        self.log()
        self.tally("verify", "--against", "kept")
        self.tally("verify", "--since", "kept")
        shutil.rmtree(self.ledger)
        self.init()
        self.tally("verify", "--against", "kept", want=None)
        self.assertNotEqual(self.tally("verify", "--against", "kept", "--json", want=None).status, 0)

    def test_what_cannot_be_told_is_never_fine(self):
        shutil.move(self.ledger / "keys", self.dir / "keys")
        self.assertEqual(self.tally("verify", "--json", want=2).json["verdict"], "UNVERIFIABLE")
        self.ledger = self.dir / "nowhere"
        self.assertIn("UNVERIFIABLE", self.tally("verify", want=2).out)

    def test_proofs_need_no_ledger_to_be_checked(self):
        self.write("trust", self.tally("checkpoint", "--trust").out)
        self.tally("proof", "make", "e3", "--output", "p")
        by_seq = self.tally("proof", "make", self.tally("get", "e3", "--json").json["seq"]).out
        self.assertEqual((self.dir / "p").read_text(), by_seq)
        report = self.tally("proof", "check", "p", "--trust", "trust", "--json").json
        self.assertEqual((report["verdict"], report["origin"]), ("VERIFIED", "test.example/cli"))
        lines = by_seq.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("extra "))
        changed = "A" if lines[at][20] != "A" else "B"
        lines[at] = lines[at][:20] + changed + lines[at][21:]
        self.write("forged", "\n".join(lines) + "\n")
        self.assertIn(self.tally("proof", "check", "forged", "--trust", "trust", want=None).status,
                      (1, 2))
        self.tally("proof", "check", "p", want=3)
        self.tally("proof", "make", "nope", want=1)

    def test_the_short_forms_make_and_check_proofs_as_well(self):
        self.write("trust", self.tally("checkpoint", "--trust").out)
        self.tally("proof", "e3", "--output", "p")
        self.assertEqual((self.dir / "p").read_text(), self.tally("proof", "make", "e3").out)
        report = self.tally("proof", "--check", "p", "--trust", "trust", "--json").json
        self.assertEqual(report["verdict"], "VERIFIED")
        self.tally("proof", "--check", "p", want=3)
        self.tally("proof", "--check", "p", "--trust", "trust", "e3", want=3)
        self.tally("proof", want=3)

    def test_a_bundle_is_verified_without_the_ledger(self):
        self.write("trust", self.tally("checkpoint", "--trust").out)
        made = self.tally("export", "--bundle", "b", "--proofs", "--by", "dpo", "--json").json
        self.assertEqual((made["output"], made["contents"], made["withheld"]), ("b", 21, 0))
        event = self.tally("find", "--action", "tally.export", "--json").json["items"][0]["event"]
        self.assertEqual(event["actor"]["id"], "dpo")
        self.assertEqual((event["metadata"]["format"], event["metadata"]["contents"]), ("bundle", 21))
        self.tally("export", "--bundle", "b", want=None)  # it is there already
        shutil.move(self.ledger, self.dir / "away")
        report = self.tally("verify", "b", "--trust", "trust", "--json").json
        self.assertEqual((report["verdict"], report["checked"]), ("VERIFIED", made["tree_size"]))
        self.assertEqual(self.tally("verify", "b", "--json", want=2).json["verdict"], "UNVERIFIABLE")
        other = subprocess.run([sys.executable, "b/tally_check.py", "b", "--trust", "trust"],
                               cwd=self.dir, capture_output=True, timeout=120)
        self.assertEqual(other.returncode, 0, other.stdout + other.stderr)
        lines = (self.dir / "b/openings.ndjson").read_text()
        (self.dir / "b/openings.ndjson").write_text(lines.replace("a.b", "a.c", 1))
        self.tally("verify", "b", "--trust", "trust", want=1)

    def test_a_bundle_in_the_place_of_a_ledger_is_none(self):
        trust = self.write("trust.txt", self.tally("checkpoint", "--trust").out)
        self.tally("export", "--bundle", self.dir / "bundle")
        self.tally("verify", self.dir / "bundle", "--trust", trust)
        shutil.rmtree(self.ledger)
        shutil.copytree(self.dir / "bundle", self.ledger)
        self.tally("verify", "--trust", trust, want=2)

    def test_a_tlog_directory_has_no_contents(self):
        self.write("trust", self.tally("checkpoint", "--trust").out)
        self.tally("export", "--tlog", "t")
        self.assertFalse((self.dir / "t/openings.ndjson").exists())
        report = self.tally("verify", "t", "--trust", "trust", "--json").json
        self.assertEqual(report["verdict"], "VERIFIED")
        self.assertIn("content_part", report["qualifiers"])

    def test_options_of_bundles_make_sense_or_are_refused(self):
        for wrong in (["--bundle", "b", "--tlog", "t"], ["--bundle", "b", "--format", "csv"],
                      ["--tlog", "t", "--proofs"], ["--tlog", "t", "--action", "a.b"], ["--proofs"],
                      ["--withhold", "/metadata"]):
            self.tally("export", *wrong, want=3)
        self.tally("export", "--bundle", "b", "--withhold", "/action", want=None)
        self.assertFalse((self.dir / "b").exists())

    def test_consistency_ends_with_the_newest_checkpoint(self):
        text = self.tally("proof", "consistency", "5").out
        self.assertTrue(text.endswith(self.tally("checkpoint").out))

    def test_the_index_can_be_made_anew(self):
        os.remove(self.ledger / "index.db")
        self.tally("reindex")
        self.assertEqual(self.tally("count", "--action", "a.b").out, "20\n")
        self.tally("verify")

    def test_drill_lists_its_attacks_and_leaves_the_ledger_alone(self):
        before = self.tally("checkpoint").out
        report = self.tally("drill", "--json").json
        self.assertEqual(report["missed"], 0)
        self.assertEqual(report["count"], len(report["attacks"]))
        self.assertGreater(report["count"], 30)
        for row in report["attacks"]:
            self.assertEqual(set(row), {"attack", "found", "codes", "expected", "told_by"})
            self.assertTrue(row["found"], row)
            self.assertIn(row["expected"], row["codes"].split(","))
        self.assertEqual(self.tally("checkpoint").out, before)
        self.assertEqual([name for name in os.listdir(self.dir) if "drill" in name], [])

    def test_doctor_finds_open_doors(self):
        report = self.tally("doctor", "--json").json
        self.assertIn(report["worst"], ("ok", "warning"))
        os.chmod(self.ledger / "keys", 0o755)
        report = self.tally("doctor", "--json", want=1).json
        self.assertTrue(any(check["health"] == "error" and check["advice"]
                            for check in report["checks"]))


class Config(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def value(self, *arguments, **more):
        rows = self.tally(*arguments, "config", "show", "--origin", **more).rows
        return next(row[1:] for row in rows if row[0] == "ingest.oversize")

    def test_flags_come_before_variables_before_the_file(self):
        self.assertEqual(self.value(), ["trim", "default"])
        self.write("c.yaml", "ingest:\n  oversize: refuse\n")
        value, origin = self.value("--config", "c.yaml")
        self.assertEqual((value, origin.split("/")[-1]), ("refuse", "c.yaml:2"))
        env = {"TALLY_INGEST_OVERSIZE": "trim"}
        self.assertEqual(self.value("--config", "c.yaml", env=env), ["trim", "environment"])
        self.assertEqual(self.value("--set", "ingest.oversize=refuse", env=env), ["refuse", "flag"])

    def test_json_lists_every_key_with_its_meaning(self):
        settings = self.tally("config", "show", "--json").json["settings"]
        self.assertGreater(len(settings), 5)
        self.assertTrue(all(setting["doc"] for setting in settings))
        self.tally("config", "check")


if __name__ == "__main__":
    main()
