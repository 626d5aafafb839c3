#!/usr/bin/env python3
"""schedule: shown, run by hand, and followed."""
import json
import signal
import sqlite3
import subprocess
import time
import unittest

from harness import TALLY, Case, main

JOBS = ["anchor", "backup", "purge", "verify"]
MEMBERS = {"name", "when", "last", "next", "took_ms", "status", "runs", "missed", "detail"}


class Schedule(Case):
    def setUp(self):
        super().setUp()
        self.init()
        self.log()

    def jobs(self, *arguments):
        shown = self.tally(*arguments, "schedule", "show", "--json").json["jobs"]
        return {job["name"]: job for job in shown}

    def test_shows_what_is_configured(self):
        jobs = self.jobs("--set", "anchor.schedule=off")
        self.assertEqual(list(jobs), JOBS)
        self.assertEqual({name: job["when"] for name, job in jobs.items()},
                         {"anchor": "off", "backup": "off", "purge": "@hourly", "verify": "@daily"})
        self.assertEqual(set(jobs["purge"]), MEMBERS)
        self.assertEqual(set(jobs["verify"]), MEMBERS | {"verdict", "verified_to", "full_pass"})
        self.assertIsNone(jobs["anchor"]["next"])
        self.assertTrue(jobs["verify"]["next"].endswith("T00:00:00.000000Z"))
        for job in jobs.values():
            self.assertEqual((job["last"], job["runs"], job["missed"], job["status"]),
                             (None, 0, 0, ""))
        rows = self.tally("schedule", "show").rows
        self.assertEqual(rows[0], ["job", "when", "last", "next", "missed", "detail"])
        self.assertEqual([row[0] for row in rows[1:]], JOBS)

    def test_runs_a_job_and_remembers_it(self):
        self.assertEqual(self.tally("schedule", "run", "verify").out, "")
        job = self.jobs()["verify"]
        self.assertEqual((job["runs"], job["status"], job["verdict"]), (1, "TALLY_OK", "VERIFIED"))
        self.assertIsNotNone(job["last"])
        self.assertIsNotNone(job["full_pass"])
        self.assertEqual(self.tally("count", "--action", "tally.verify").out, "1\n")
        self.tally("schedule", "run", "purge")
        self.assertEqual(self.jobs()["purge"]["runs"], 1)
        self.assertEqual(self.jobs()["verify"]["runs"], 1)
        self.assertEqual(self.tally("count", "--action", "tally.purge").out, "1\n")

    def test_a_verdict_that_is_not_verified_is_a_failure(self):
        self.damage()
        failed = self.tally("schedule", "run", "verify", want=5)
        self.assertIn("the verdict is TAMPERED", failed.err)
        job = self.jobs()["verify"]
        self.assertEqual((job["status"], job["verdict"], job["full_pass"]),
                         ("TALLY_ECORRUPT", "TAMPERED", None))
        self.assertIn("TAMPERED", job["detail"])
        self.tally("doctor", want=1)

    def damage(self):
        store = sqlite3.connect(self.ledger / "ledger.db")
        for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            store.execute(f"DROP TRIGGER {name}")
        store.execute("UPDATE record SET event = replace(event, 'user.login', 'user.logon')")
        store.commit()
        store.close()

    def test_an_anchor_that_fails_is_a_failure(self):
        self.assertEqual(self.tally("schedule", "run", "anchor").status, 0)  # there is none
        nowhere = f"anchor.targets=file:{self.dir}/missing/checkpoint"
        self.tally("--set", nowhere, "schedule", "run", "anchor", want=5)
        self.assertIn("did not take", self.jobs()["anchor"]["detail"])

    def test_a_backup_goes_where_it_is_told(self):
        self.assertIn("backup.dir", self.tally("schedule", "run", "backup", want=3).err)
        self.tally("--set", f"backup.dir={self.dir}/copy", "schedule", "run", "backup")
        self.assertTrue((self.dir / "copy" / "backup.json").exists())
        self.assertEqual(self.jobs()["backup"]["runs"], 2)

    def test_a_schedule_that_makes_no_sense_is_named(self):
        for when in ["now", "* * *", "61 * * * *", "TZ=Nowhere/Land @daily", ""]:
            for verb in ["show", "follow"]:
                done = self.tally("--set", f"verify.schedule={when}", "schedule", verb, want=None)
                self.assertEqual(done.status, 4, when)
                self.assertIn("verify", done.err)

    def test_runs_what_is_due_until_it_is_stopped(self):
        self.tally("schedule", "run", "purge")
        path = self.ledger / "schedule.json"
        state = json.loads(path.read_text())
        state["purge"].update(since="2026-01-01T10:30:00Z", last="2026-01-01T10:30:00Z")
        path.write_text(json.dumps(state))
        self.assertEqual(self.jobs()["purge"]["next"], "2026-01-01T11:00:00.000000Z")
        follow = subprocess.Popen([TALLY, "-C", self.ledger, "schedule", "follow"],
                                  stderr=subprocess.PIPE, env=self.environment())
        self.addCleanup(follow.stderr.close)
        self.addCleanup(follow.kill)
        deadline = time.time() + 20
        while self.jobs()["purge"]["runs"] < 2:
            self.assertLess(time.time(), deadline, "it runs")
            time.sleep(0.05)
        follow.send_signal(signal.SIGINT)
        self.assertEqual(follow.wait(20), 0)
        self.assertIn(b"running what is scheduled", follow.stderr.read())
        purge = self.jobs()["purge"]
        self.assertEqual((purge["runs"], purge["status"]), (2, "TALLY_OK"))
        self.assertGreater(purge["missed"], 24)

    def test_verbs_and_their_arguments(self):
        for line in [["schedule"], ["schedule", "drop"], ["schedule", "run"],
                     ["schedule", "run", "nothing"], ["schedule", "run", "verify", "purge"],
                     ["schedule", "show", "verify"], ["schedule", "follow", "verify"]]:
            self.assertEqual(self.tally(*line, want=None).status, 3, line)
        self.assertEqual(self.jobs()["verify"]["runs"], 0)

    def test_a_missing_ledger_and_a_wrong_configuration(self):
        for line in [["show"], ["run", "verify"], ["follow"]]:
            self.tally("-C", "nowhere", "schedule", *line, want=5)
            self.tally("--set", "verify.part=many", "schedule", *line, want=4)


if __name__ == "__main__":
    main()
