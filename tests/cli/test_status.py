#!/usr/bin/env python3
"""status and doctor: what waits, who records, what was lost, and what to do."""
import json
import os
import signal
import subprocess
import time
import unittest

from harness import TALLY, Case, main

MEMBERS = {"health", "origin", "size", "indexed_to", "recorded_60s", "newest_s", "sequencer_pid",
           "has_sequencer", "spool_events", "oldest_unsent_s", "spool_bytes", "spool_segments",
           "spool_writers", "quarantined", "dropped", "dropped_is_exact", "gaps",
           "disk_free_bytes", "trouble", "problems", "anchor_targets", "anchored_s",
           "refused"}


class Situation(Case):
    """A ledger, and a process that has it open for writing."""

    def setUp(self):
        super().setUp()
        self.init()
        self.log()  # the first logger of a ledger records the policy, too

    def status(self, want=None):
        return self.tally("status", "--json", want=want).json

    def wait_for(self, condition, what, seconds=20):
        deadline = time.time() + seconds
        while not condition():
            self.assertLess(time.time(), deadline, what)
            time.sleep(0.05)

    def writer(self):
        """It records one event, so that we know that it holds the lock, and waits for more."""
        writer = subprocess.Popen([TALLY, "-C", self.ledger, "import", "-"],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                  env=self.environment())
        self.addCleanup(self.end, writer)
        before = self.tally("count").out
        writer.stdin.write(b'{"action":"writer.start"}\n')
        writer.stdin.flush()
        self.wait_for(lambda: self.tally("count").out != before, "the writer records")
        return writer

    def end(self, writer):
        writer.kill()  # also if it is stopped: let go for a moment, it would record
        writer.stdin.close()
        writer.wait(30)

    def queue(self, count):
        """Events that wait behind a stopped writer."""
        lines = "".join(f'{{"action":"a.b","id":"q{i}"}}\n' for i in range(count))
        return self.tally("log", "--stdin", "--class", "durable", "--ack", "queued", "--json",
                          stdin=lines).json


class Status(Situation):
    def test_tells_all_of_a_ledger_at_rest(self):
        told = self.status(want=0)
        self.assertEqual(set(told), MEMBERS)
        self.assertEqual((told["health"], told["problems"], told["trouble"]), ("ok", [], ""))
        self.assertEqual((told["spool_events"], told["oldest_unsent_s"], told["dropped"],
                          told["gaps"], told["sequencer_pid"]), (0, 0, 0, 0, 0))
        self.assertEqual(told["origin"], "test.example/cli")
        self.assertEqual(told["size"], told["indexed_to"])
        self.assertGreaterEqual(told["recorded_60s"], 1)
        self.assertGreater(told["disk_free_bytes"], 0)

    def test_is_a_table_for_people(self):
        rows = dict(self.tally("status").rows)
        self.assertEqual(rows["health"], "ok")
        self.assertEqual(rows["sequencer"], "none")
        self.assertIn("0 events", rows["waiting"])

    def test_a_missing_ledger_is_not_available(self):
        self.assertIn("tally init", self.tally("-C", "nowhere", "status", want=5).err)

    def test_names_who_records(self):
        writer = self.writer()
        told = self.status(want=0)
        self.assertEqual((told["sequencer_pid"], told["has_sequencer"]), (writer.pid, True))

    def test_counts_what_waits_behind_a_stopped_writer(self):
        writer = self.writer()
        writer.send_signal(signal.SIGSTOP)
        self.assertEqual(self.queue(7)["accepted"], 7)
        told = self.status(want=0)
        self.assertEqual((told["spool_events"], told["sequencer_pid"]), (7, writer.pid))
        writer.send_signal(signal.SIGCONT)
        self.wait_for(lambda: self.status()["spool_events"] == 0, "the writer goes on")
        self.assertEqual(self.tally("count", "--action", "a.b").out, "7\n")

    def test_says_so_when_nobody_records(self):
        writer = self.writer()
        writer.send_signal(signal.SIGSTOP)
        self.queue(3)
        self.end(writer)
        self.wait_for(lambda: self.status()["oldest_unsent_s"] >= 2, "time passes")
        told = self.status(want=1)
        self.assertEqual((told["health"], told["sequencer_pid"], told["spool_events"]),
                         ("error", 0, 3))
        self.assertIn("no process", told["problems"][0]["what"])
        self.assertIn("tally log", told["problems"][0]["advice"])
        shown = self.tally("status", want=1)
        self.assertIn("way out\tstart a program", shown.out)
        self.log()
        self.wait_for(lambda: self.status()["spool_events"] == 0, "another one takes over")
        self.assertEqual(self.tally("count", "--action", "a.b").out, "3\n")
        self.tally("verify")

    def test_can_be_watched(self):
        with subprocess.Popen([TALLY, "-C", self.ledger, "status", "--watch", "--json"],
                              stdout=subprocess.PIPE, env=self.environment()) as run:
            first = json.loads(run.stdout.readline())
            run.send_signal(signal.SIGINT)
            self.assertEqual(run.wait(10), 0)
        self.assertEqual(first["health"], "ok")


class Doctor(Situation):
    def findings(self, want=None):
        told = self.tally("doctor", "--json", want=want).json
        return {check["check"]: check for check in told["checks"]}

    def test_finds_nothing_wrong_with_an_empty_spool(self):
        found = self.findings(want=0)
        for name in ("spool.waiting", "spool.damage", "losses", "policy"):
            self.assertEqual(found[name]["health"], "ok", found[name])
            self.assertEqual(found[name]["advice"], "")

    def test_finds_events_that_nobody_records(self):
        writer = self.writer()
        writer.send_signal(signal.SIGSTOP)
        self.queue(3)
        self.end(writer)
        self.wait_for(lambda: self.status()["oldest_unsent_s"] >= 2, "time passes")
        found = self.findings(want=1)["spool.waiting"]
        self.assertEqual(found["health"], "error")
        self.assertIn("3 events", found["what"])
        self.assertIn("tally log", found["advice"])

    def test_finds_a_policy_that_records_nothing(self):
        found = self.findings(want=None)
        self.tally("--set", "policy.enabled=false", "doctor", want=None)
        told = self.tally("--set", "policy.enabled=false", "--json", "doctor", want=None).json
        checks = {check["check"]: check for check in told["checks"]}
        self.assertEqual(checks["policy"]["health"], "warning", found["policy"])

    def test_finds_segments_that_were_put_aside(self):
        quarantine = self.ledger / "spool" / "quarantine"
        quarantine.mkdir(parents=True, exist_ok=True)
        (quarantine / "0190c2d8000070008000000000000000.seg").write_bytes(b"x")
        found = self.findings(want=0)["spool.damage"]
        self.assertEqual(found["health"], "warning")
        self.assertEqual(self.status(want=0)["quarantined"], 1)

    def schedule(self, job, **members):
        """Runs a job, and then changes what the ledger remembers of it."""
        self.tally("schedule", "run", job)
        path = self.ledger / "schedule.json"
        jobs = json.loads(path.read_text())
        jobs[job].update(members)
        path.write_text(json.dumps(jobs))

    def test_tells_of_a_verification_that_came_out_well(self):
        found = self.findings(want=0)
        self.assertEqual(found["schedule.runs"]["what"], "nothing was run by schedule yet")
        self.assertIn("no scheduled verification", found["schedule.verdict"]["what"])
        self.schedule("verify")
        found = self.findings(want=0)
        self.assertEqual((found["schedule.runs"]["health"], found["schedule.verdict"]["health"]),
                         ("ok", "ok"))
        self.assertIn("VERIFIED", found["schedule.verdict"]["what"])

    def test_finds_a_bad_last_verdict(self):
        for verdict, name in ((2, "TAMPERED"), (3, "UNVERIFIABLE")):
            self.schedule("verify", verdict=verdict, status=6)
            found = self.findings(want=1)
            self.assertEqual(found["schedule.verdict"]["health"], "error")
            self.assertIn(name, found["schedule.verdict"]["what"])
            self.assertIn("tally schedule run verify", found["schedule.verdict"]["advice"])
            self.assertEqual(found["schedule.runs"]["health"], "ok")  # it is said once
        self.tally("schedule", "run", "verify")
        self.assertEqual(self.findings(want=0)["schedule.verdict"]["health"], "ok")

    def test_a_verification_that_was_stopped_says_nothing_of_the_ledger(self):
        self.schedule("verify", verdict=3, status=11)
        found = self.findings(want=0)
        self.assertEqual(found["schedule.verdict"]["health"], "warning")
        self.assertEqual(found["schedule.runs"]["health"], "ok")

    def test_finds_jobs_that_nobody_runs(self):
        long_ago = "2024-02-01T10:00:00Z"
        self.schedule("purge", since=long_ago, last="")
        self.assertEqual(self.findings(want=0)["schedule.runs"]["health"], "warning")
        self.schedule("purge", last=long_ago)  # by the cron of the system, which then stopped
        found = self.findings(want=0)["schedule.runs"]
        self.assertEqual(found["health"], "warning")
        self.assertIn("'purge' was to run at 2024-02-01T11:00:00Z", found["what"])
        self.assertIn("tally schedule follow", found["advice"])
        off = self.tally("--set", "retention.schedule=off", "--json", "doctor").json["checks"]
        self.assertEqual([c["health"] for c in off if c["check"] == "schedule.runs"], ["ok"])

    def test_once_missed_may_be_at_work(self):
        before, due = time.gmtime(time.time() - 100 * 60), time.gmtime(time.time() - 80 * 60)
        last = time.strftime("%Y-%m-%dT%H:%M:%SZ", before)
        self.schedule("purge", since=last, last=last)
        daily = f"retention.schedule={due.tm_min} {due.tm_hour} * * *"
        shown = self.tally("--set", daily, "--json", "doctor").json
        found = {check["check"]: check for check in shown["checks"]}
        self.assertEqual(found["schedule.runs"]["health"], "ok")

    def test_finds_a_job_that_failed(self):
        self.tally("schedule", "run", "backup", want=3)
        found = self.findings(want=0)["schedule.runs"]
        self.assertEqual(found["health"], "warning")
        self.assertIn("backup.dir", found["what"])
        self.assertIn("tally schedule run backup", found["advice"])

    def test_finds_schedules_that_make_no_sense(self):
        shown = self.tally("--set", "verify.schedule=now", "--json", "doctor", want=1).json
        found = {check["check"]: check for check in shown["checks"]}
        self.assertIn("verify", found["schedule.runs"]["what"])
        (self.ledger / "schedule.json").write_text("{}")
        found = self.findings(want=0)["schedule.runs"]
        self.assertEqual(found["health"], "warning")
        self.assertIn("schedule.json", found["advice"])


if __name__ == "__main__":
    main()
