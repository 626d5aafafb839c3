#!/usr/bin/env python3
"""hold, purge: from the command line."""
import unittest

from harness import Case, main


class Purge(Case):
    def setUp(self):
        super().setUp()
        self.init()
        for n in range(4):
            self.tally("log", "--action", "user.login", "--id", f"e{n}", "--actor-id", f"u-{n % 2}")

    def events(self, action):
        return [item["event"] for item in
                self.tally("find", "--action", action, "--json").json["items"]]

    def test_a_run_with_nothing_due_is_recorded(self):
        report = self.tally("purge", "--yes", "--by", "ops", "--json").json
        self.assertEqual((report["purged"], report["due"], report["seq"], report["archive"]),
                         (0, 0, None, None))
        self.assertEqual(set(report), {"dry_run", "evaluated", "due", "held", "purged", "remaining",
                                       "bytes", "freed", "left", "ranges", "cutoff_day", "cutoff", "seq",
                                       "archive"})
        event = self.events("tally.purge")[0]
        self.assertEqual(event["actor"], {"id": "ops", "type": "user"})
        self.assertEqual(set(event["metadata"]), {"purged", "evaluated", "dry_run", "held", "cutoff",
                                                  "purge_seq"})

    def test_a_dry_run_of_nobody_is_the_systems(self):
        self.assertTrue(self.tally("purge", "--dry-run", "--json").json["dry_run"])
        event = self.events("tally.purge")[0]
        self.assertEqual(event["actor"], {"id": "tally", "type": "system"})
        self.assertTrue(event["metadata"]["dry_run"])

    def test_nothing_goes_unasked(self):
        self.assertEqual(self.tally("purge", want=None).status, 3)
        self.assertEqual(self.events("tally.purge"), [])

    def test_an_early_purge_has_to_be_signed(self):
        request = self.dir / "request"
        done = self.tally("purge", "--range", "1-2", "--yes", "--request", str(request), want=None)
        self.assertEqual(done.status, 7)
        self.assertIn('"override":true', request.read_text())

    def test_days_are_days(self):
        for day in ["2026-02-30", "yesterday", "2026-01-01T00:00:00Z", ""]:
            self.assertEqual(self.tally("purge", "--yes", "--before", day, want=None).status, 3)

    def test_holds_come_and_go(self):
        by = ["--by", "legal@example.com", "--reason", "suit 17"]
        self.assertEqual(self.tally("hold", "add", "c/1", *by, want=None).status, 3)
        self.assertEqual(self.tally("hold", "add", "c/1", "--all", want=None).status, 3)
        dry = self.tally("hold", "add", "c/1", "--actor-id", "u-1", "--dry-run", "--json").json
        self.assertEqual((dry["records"], dry["seq"]), (2, None))
        self.tally("hold", "add", "c/1", "--actor-id", "u-1", "--expires", "2099-01-01", *by)
        hold = self.tally("hold", "list", "--json").json["holds"][0]
        self.assertEqual((hold["hold"], hold["active"], hold["records"], hold["by"], hold["reason"],
                          hold["expires_at"], len(hold["ranges"])),
                         ("c/1", True, 2, "legal@example.com", "suit 17", "2099-01-01T00:00:00.000000Z", 2))
        self.assertIn("c/1", self.tally("hold", "list").out)
        self.tally("hold", "release", "c/1", *by)
        self.assertEqual(self.tally("hold", "release", "c/1", *by, want=None).status, 7)
        self.assertEqual(self.tally("hold", "release", "c/2", *by, want=None).status, 1)
        self.assertFalse(self.tally("hold", "list", "--json").json["holds"][0]["active"])
        self.assertEqual(len(self.events("tally.hold.set")), 1)
        self.assertEqual(len(self.events("tally.hold.release")), 1)
        self.assertEqual(self.tally("verify", "--json").json["verdict"], "VERIFIED")

    def test_verbs_and_their_arguments(self):
        for line in [["hold"], ["hold", "drop", "x"], ["hold", "add"], ["hold", "list", "x"]]:
            self.assertEqual(self.tally(*line, want=None).status, 3)


if __name__ == "__main__":
    main()
