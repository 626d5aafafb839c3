#!/usr/bin/env python3
"""bench log and bench http: that the figures are there, and that they agree with each other."""
import os
import unittest

from harness import Case, main

FIGURES = ("calls", "p50_ns", "p99_ns", "p999_ns", "max_ns", "events_per_s", "failed",
           "over_bound")


class Log(Case):
    def bench(self, *arguments, want=0):
        return self.tally("bench", "log", "--json", *arguments, ledger=False, want=want)

    def check(self, figures, calls):
        for name in FIGURES:
            self.assertIn(name, figures)
        self.assertEqual((figures["calls"], figures["failed"]), (calls, 0))
        self.assertLessEqual(figures["p50_ns"], figures["p99_ns"])
        self.assertLessEqual(figures["p99_ns"], figures["p999_ns"])
        self.assertLessEqual(figures["p999_ns"], figures["max_ns"])
        self.assertGreater(figures["p50_ns"], 0)
        self.assertGreater(figures["events_per_s"], 0)

    def test_measures_a_burst_and_a_pace_beside_others(self):
        told = self.bench("--threads", "2", "--events", "300", "--pace", "500", "--seconds",
                          "1").json
        self.assertEqual((told["threads"], told["events"], told["class"]), (2, 300, "durable"))
        self.check(told, 300)
        self.check(told["paced"], 500)
        for name in ("fprintf", "syslog"):
            self.check(told[name], 300)
            self.check(told[name]["paced"], 500)
        for name in ("sqlite_normal", "sqlite_full"):
            self.check(told[name], 300)
        self.assertGreater(told["recorded_per_s"], 0)
        self.assertTrue(told["all_recorded"])
        self.assertIn(told["logger"]["accepted"], (800, 801))  # perhaps the policy, too
        self.assertEqual((told["logger"]["lost"], told["left"]), (0, 0))
        self.assertEqual(os.listdir(self.dir), [])

    def test_logs_into_a_ledger_that_stays(self):
        self.init()
        for class_word in ("strict", "best_effort"):
            told = self.bench("--into", self.ledger, "--events", "20", "--pace", "0", "--class",
                              class_word).json
            self.check(told, 20)
            self.assertNotIn("fprintf", told)
            self.assertNotIn("paced", told)
        self.tally("verify")

    def test_text_names_the_bound(self):
        shown = self.tally("bench", "log", "--events", "50", "--pace", "0", "--timeout-ms", "700",
                           "--alone", ledger=False).out
        self.assertIn("bound of a call: 700 ms, exceeded by 0 calls", shown)

    def test_options_are_checked(self):
        for arguments in (["--threads", "0"], ["--threads", "1000"], ["--timeout-ms", "0"],
                          ["--events", "0", "--pace", "0"], ["--class", "fast"]):
            self.bench(*arguments, want=3)


class Http(Case):
    def bench(self, *arguments, want=0):
        return self.tally("bench", "http", "--json", *arguments, ledger=False, want=want)

    def check(self, figures, connections):
        self.assertEqual((figures["connections"], figures["failed"]), (connections, 0))
        self.assertGreater(figures["requests"], 0)
        self.assertGreater(figures["p50_ms"], 0)
        self.assertLessEqual(figures["p50_ms"], figures["p99_ms"])
        self.assertLessEqual(figures["p99_ms"], figures["max_ms"])
        self.assertGreater(figures["cpu_us_per_request"], 0)
        self.assertGreater(figures["rss_kib"], 0)

    def test_asks_for_each_and_finds_all_of_it(self):
        told = self.bench("--connections", "12", "--seconds", "1", "--verify").json
        self.assertEqual((told["connections"], told["seconds"]), (12, 1))
        for name, connections in (("healthz", 12), ("single", 12), ("array_100", 8),
                                  ("ndjson_1000", 8), ("find", 8)):
            self.check(told[name], connections)
        events = (told["single"]["requests"] + 100 * told["array_100"]["requests"] +
                  1000 * told["ndjson_1000"]["requests"])
        self.assertEqual((told["acknowledged"], told["recorded"]), (events, events))
        self.assertTrue(told["all_recorded"])
        self.assertEqual(told["verdict"], "VERIFIED")
        self.assertEqual(os.listdir(self.dir), [])

    def test_text_says_what_was_counted(self):
        shown = self.tally("bench", "http", "--connections", "1", "--seconds", "1", "--only",
                           "single", ledger=False).out
        self.assertNotIn("healthz", shown)
        self.assertRegex(shown, r"acknowledged: (\d+) events; in the ledger: \1\n")

    def test_options_are_checked(self):
        for arguments in (["--connections", "0"], ["--connections", "257"], ["--seconds", "0"],
                          ["--seconds", "3601"], ["--only", "double"]):
            self.bench(*arguments, want=3)


if __name__ == "__main__":
    main()
