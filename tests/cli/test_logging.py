#!/usr/bin/env python3
"""log through a logger: delivery classes, acknowledgements, lines of stdin, policy."""
import json
import signal
import subprocess
import time
import unittest

from harness import TALLY, Case, main


class Classes(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def test_strict_and_recorded_is_what_comes_without_options(self):
        told = self.tally("log", '{"action":"a.b"}', "--json").json
        self.assertEqual(told["level"], "RECORDED")
        self.assertGreater(told["seq"], 0)

    def test_each_class_records(self):
        for word in ("best_effort", "durable", "strict"):
            told = self.tally("log", '{"action":"a.b"}', "--class", word, "--json").json
            self.assertEqual(told["level"], "RECORDED", word)
        self.assertEqual(self.tally("count").out, "3\n")

    def test_a_receipt_says_no_less_than_the_level_asked_for(self):
        for ack, enough in (("queued", ("QUEUED", "SYNCED", "RECORDED")),
                            ("synced", ("SYNCED", "RECORDED")), ("recorded", ("RECORDED",))):
            told = self.tally("log", '{"action":"a.b"}', "--class", "durable", "--ack", ack,
                              "--json").json
            self.assertIn(told["level"], enough)
            self.assertEqual("seq" in told, told["level"] == "RECORDED")
        self.tally("log", '{"action":"last"}')
        self.assertEqual(self.tally("count").out, "4\n")

    def test_options_are_checked(self):
        for arguments in (["--class", "best"], ["--ack", "soon"], ["--timeout-ms", "0"],
                          ["--timeout-ms", "x"], ["--stdin", "--action", "a"],
                          ["--stdin", "{}"]):
            self.tally("log", *arguments, want=3)

    def test_an_event_in_each_line_of_stdin(self):
        lines = '{"action":"a.b","id":"1"}\n\n{"action":"a.c"}\r\n{"action":"a.d"}'
        for word in ("strict", "durable", "best_effort"):
            told = self.tally("log", "--stdin", "--class", word, "--json", stdin=lines).json
            self.assertEqual((told["read"], told["accepted"], told["level"]), (3, 3, "RECORDED"))
        self.assertEqual(self.tally("count", "--id", "1").out, "1\n")

    def test_lines_that_are_refused_are_told_and_the_rest_goes_on(self):
        result = self.tally("log", "--stdin", "--class", "durable", "--json", want=6,
                            stdin='{"action":"a.b"}\nnot json\n{"action":"a b"}\n{"action":"c"}\n')
        self.assertEqual((result.json["read"], result.json["accepted"], result.json["refused"]),
                         (4, 2, 2))
        self.assertIn("line 2: ", result.err)
        self.assertIn("(bad_action)", result.err)
        self.assertEqual(self.tally("count").out, "2\n")

    def test_what_policy_does_not_record_is_counted_and_told(self):
        policy = ["--set", "policy.deny=debug.*"]
        told = self.tally(*policy, "log", "--stdin", "--json",
                          stdin='{"action":"debug.x"}\n{"action":"a.b"}\n').json
        self.assertEqual((told["disabled"], told["accepted"]), (1, 1))
        problem = self.tally(*policy, "log", '{"action":"debug.x"}', "--json", want=7).problem
        self.assertEqual(problem["code"], "policy")
        self.assertIn("polic", self.tally(*policy, "log", '{"action":"debug.x"}', want=7).err)
        self.assertEqual(self.tally("count", "--action", "debug.*").out, "0\n")

    def test_another_process_may_hold_the_ledger(self):
        with subprocess.Popen([TALLY, "-C", self.ledger, "import", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, env=self.environment()) as holder:
            holder.stdin.write(b'{"action":"first"}\n')
            holder.stdin.flush()
            deadline = time.time() + 30
            while self.tally("count").out != "1\n" and time.time() < deadline:
                time.sleep(0.05)
            told = self.tally("log", '{"action":"second","id":"e2"}', "--json").json
            self.assertEqual(told["level"], "RECORDED")
            self.assertEqual(self.tally("get", "e2", "--json").json["seq"], told["seq"])
            self.tally("import", "-", stdin='{"action":"third"}\n')
            holder.stdin.close()
            holder.wait(30)
        self.assertEqual(self.tally("count", "--action", "second").out, "1\n")
        self.tally("verify")

    def test_what_is_not_in_time_is_said_to_be_late_and_recorded_later(self):
        self.log()  # the first logger of a ledger records the policy, too
        with subprocess.Popen([TALLY, "-C", self.ledger, "import", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, env=self.environment()) as holder:
            holder.stdin.write(b'{"action":"first"}\n')
            holder.stdin.flush()
            deadline = time.time() + 30
            while self.tally("count").out != "2\n" and time.time() < deadline:
                time.sleep(0.05)
            holder.send_signal(signal.SIGSTOP)
            try:
                started = time.time()
                late = self.tally("log", '{"action":"late","id":"e2"}', "--timeout-ms", "300",
                                  "--json", want=6)
                self.assertLess(time.time() - started, 5)
                lines = self.tally("log", "--stdin", "--class", "durable", "--timeout-ms", "300",
                                   "--json", stdin='{"action":"late","id":"e3"}\n', want=6).json
            finally:
                holder.send_signal(signal.SIGCONT)
            self.assertIn(late.json["level"], ("QUEUED", "SYNCED"))
            self.assertIn("not lost", late.err)
            self.assertEqual((lines["accepted"], lines["late"], lines["level"]), (1, 1, "QUEUED"))
            holder.stdin.close()
            holder.wait(30)
        self.tally("log", '{"action":"last"}')
        self.assertEqual(self.tally("count", "--action", "late").out, "2\n")


if __name__ == "__main__":
    main()
