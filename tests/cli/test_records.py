#!/usr/bin/env python3
"""init, log, find, get, count, stats, tail, export."""
import csv
import io
import json
import os
import re
import signal
import subprocess
import unittest

from harness import TALLY, Case, main


class Init(Case):
    def test_prints_what_must_be_kept(self):
        made = self.init()
        self.assertEqual(made["origin"], "test.example/cli")
        self.assertTrue(made["log_key"].startswith("test.example/cli+"))
        self.assertTrue(made["mac_key"].startswith("tally-mac-v1:"))
        self.assertEqual(os.stat(self.ledger).st_mode & 0o777, 0o700)
        for name in os.listdir(self.ledger / "keys"):
            mode = os.stat(self.ledger / "keys" / name).st_mode & 0o777
            self.assertIn(mode, (0o600, 0o644) if name == "trust.txt" else (0o600,), name)

    def test_puts_the_secret_into_a_file_of_its_own(self):
        shown = self.tally("init", "--mac-key-file", "mac.key")
        self.assertNotIn("tally-mac-v1", shown.out)
        self.assertEqual(os.stat(self.dir / "mac.key").st_mode & 0o777, 0o600)
        self.tally("verify", "--mac-key", "mac.key")

    def test_refuses_a_place_that_is_taken(self):
        self.init()
        self.tally("init", want=7)


class Log(Case):
    def test_flags_make_the_same_event_as_json(self):
        self.init()
        self.tally("log", "--id", "e1", "--occurred-at", "2026-03-14T09:26:53Z",
                   "--action", "user.role.update", "--actor-id", "u1", "--actor-type", "user",
                   "--target-type", "User", "--target-id", "u2", "--outcome", "failure",
                   "--reason", "no", "--severity", "high", "--service", "accounts", "--ip",
                   "192.0.2.7", "--tag", "a", "--tag", "b", "--metadata-json", '{"n": 1}',
                   "--old-values-json", '{"role":"member"}', "--tenant-id", "acme")
        event = self.tally("get", "e1", "--json").json["event"]
        self.assertEqual(event, {
            "id": "e1", "occurred_at": "2026-03-14T09:26:53Z", "action": "user.role.update",
            "actor": {"id": "u1", "type": "user"}, "targets": [{"type": "User", "id": "u2"}],
            "outcome": "failure", "reason": "no", "severity": "high", "tags": ["a", "b"],
            "source": {"service": "accounts", "ip": "192.0.2.7"}, "metadata": {"n": 1},
            "old_values": {"role": "member"}, "tenant_id": "acme"})

    def test_prints_a_receipt(self):
        self.init()
        receipt = self.log(id="e1")
        self.assertEqual((receipt["id"], receipt["level"], receipt["duplicate"]),
                         ("e1", "RECORDED", False))
        self.assertEqual(len(receipt["leaf_hash"]), 64)
        record = self.tally("get", "e1", "--json").json
        self.assertEqual(record["seq"], receipt["seq"])
        self.assertEqual(record["leaf_hash"], receipt["leaf_hash"])
        self.assertEqual(self.log()["id_generated"], True)

    def test_the_same_event_again_is_a_duplicate_and_another_a_conflict(self):
        self.init()
        first = self.log(id="e1", occurred_at="2026-01-01T00:00:00Z")
        again = self.log(id="e1", occurred_at="2026-01-01T00:00:00Z")
        self.assertEqual((again["duplicate"], again["seq"]), (True, first["seq"]))
        problem = self.tally("log", '{"action":"x","id":"e1"}', "--json", want=7).problem
        self.assertEqual(problem["code"], "id_conflict")

    def test_stdin_is_taken_too(self):
        self.init()
        for arguments in ([], ["-"]):
            self.tally("log", *arguments, stdin='{"action":"a.b"}')
        self.assertEqual(self.tally("count").out, "2\n")

    def test_refusals_name_rule_and_place(self):
        self.init()
        for event, code in (('{"action":"a"', "bad_json"), ('{"actor":{}}', "missing"),
                            ('{"action":"a b"}', "bad_action"), ('{"action":"tally.x"}',
                            "reserved_action"), ('{"action":"a","colour":1}', "unknown_member")):
            self.assertIn(code, self.tally("log", event, want=7).err)
        self.tally("log", "--metadata-json", "{", "--action", "a", want=7)
        self.tally("log", "--action", "a", '{"action":"a"}', want=3)
        self.assertEqual(self.tally("count").out, "0\n")


class Read(Case):
    def setUp(self):
        super().setUp()
        self.init()
        lines = []
        for i in range(120):
            lines.append(json.dumps({
                "id": f"e{i}", "action": f"invoice.{'pay' if i % 2 else 'read'}",
                "occurred_at": f"2026-03-{1 + i // 30:02}T{i % 24:02}:00:00Z",
                "actor": {"id": f"u{i % 3}"}, "outcome": "failure" if i % 10 == 0 else "success",
                "targets": [{"type": "Invoice", "id": str(i)}], "reason": f"=sum({i})"}))
        self.tally("import", self.write("e.ndjson", "\n".join(lines)))

    def test_pages_follow_each_other_by_cursor(self):
        seen, cursor = [], []
        while True:
            page = self.tally("find", "--limit", "50", "--json", *cursor).json
            seen += [item["id"] for item in page["items"]]
            if "next" not in page:
                break
            cursor = ["--cursor", page["next"]]
        self.assertEqual(seen, [f"e{i}" for i in reversed(range(120))])

    def test_filters_are_anded_and_repeats_ored(self):
        def ids(*arguments):
            return [row[0] for row in self.tally("find", "-n", "1000", *arguments).rows[1:]]
        self.assertEqual(len(ids("--actor-id", "u0")), 40)
        self.assertEqual(len(ids("--actor-id", "u0", "--actor-id", "u1")), 80)
        self.assertEqual(len(ids("--actor-id", "u0", "--outcome", "failure")), 4)
        self.assertEqual(len(ids("--actor", "u0", "--where", "action=invoice.*")), 40)
        self.assertEqual(len(ids("--target-type", "Invoice", "--target-id", "7")), 1)
        self.assertEqual(len(ids("--from", "2026-03-02", "--to", "2026-03-03")), 30)
        self.assertEqual(len(ids("--text", "nothing like it")), 0)

    def test_order_and_direction(self):
        page = self.tally("find", "--order", "occurred_at", "--dir", "asc", "-n", "3", "--json").json
        self.assertEqual([item["event"]["occurred_at"] for item in page["items"]],
                         ["2026-03-01T00:00:00Z"] * 2 + ["2026-03-01T01:00:00Z"])

    def test_count_is_exact_on_request(self):
        self.assertEqual(self.tally("count", "--exact", "--json").json,
                         {"count": 120, "exact": True})
        page = self.tally("find", "--count", "exact", "-n", "1", "--json").json
        self.assertEqual(page["count"], {"value": 120, "exact": True})

    def test_nothing_found_is_a_status_on_request(self):
        self.tally("find", "--id", "nope")
        self.tally("find", "--id", "nope", "--exit-code", want=1)

    def test_get_takes_id_or_position(self):
        by_id = self.tally("get", "e5", "--json").json
        self.assertEqual(self.tally("get", by_id["seq"], "--json").json, by_id)
        self.tally("get", "nope", want=1)
        self.tally("get", "99999", want=1)
        self.tally("get", "5", "--by", "id", want=1)
        shown = dict(self.tally("get", "e5").rows)
        self.assertEqual((shown["id"], shown["actor.id"]), ("e5", "u2"))

    def test_stats_add_up(self):
        stats = self.tally("stats", "--by", "outcome", "--json").json
        self.assertEqual({row["key"]: row["count"] for row in stats["rows"]},
                         {"success": 108, "failure": 12})
        self.assertEqual(stats["total"], 120)
        days = self.tally("stats", "--by", "day").rows[1:]
        self.assertEqual(sum(int(row[-1]) for row in days), 120)
        hours = self.tally("stats", "--per-hour", "--by", "outcome", "--json").json["rows"]
        self.assertTrue(all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00Z", row["hour"])
                            for row in hours))
        self.assertEqual(sum(row["count"] for row in hours), 120)
        self.assertEqual(len(self.tally("stats", "--by", "hour").rows) - 1,
                         len({row["hour"] for row in hours}))
        self.tally("stats", "--by", "day", "--per-hour", want=3)
        self.tally("stats", "--by", "colour", want=3)

    def test_tail_shows_the_newest_last(self):
        self.assertEqual([json.loads(line)["id"] for line in
                          self.tally("tail", "-n", "3", "--json").out.splitlines()],
                         ["e117", "e118", "e119"])

    def test_tail_follows(self):
        with subprocess.Popen([TALLY, "-C", self.ledger, "tail", "-n", "1", "-f", "--json"],
                              stdout=subprocess.PIPE) as tail:
            self.assertEqual(json.loads(tail.stdout.readline())["id"], "e119")
            self.log(id="new")
            self.assertEqual(json.loads(tail.stdout.readline())["id"], "new")
            tail.send_signal(signal.SIGINT)
            self.assertEqual(tail.wait(30), 0)

    def test_a_closed_pipe_ends_quietly(self):
        script = f"'{TALLY}' -C '{self.ledger}' find -n 1000 --json | head -c 10 >/dev/null"
        run = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
        self.assertEqual(run.stderr, b"")

    def test_ndjson_ends_with_a_trailer(self):
        lines = self.tally("export").out.splitlines()
        self.assertEqual(len(lines), 121)
        trailer = json.loads(lines[-1])["tally_export"]
        self.assertEqual((trailer["count"], trailer["complete"]), (120, True))
        self.assertEqual(json.loads(lines[0])["seq"], trailer["first_seq"])

    def test_json_holds_records_and_what_they_are(self):
        report = self.tally("export", "--format", "json", "--output", "x.json", "--json").json
        whole = json.loads((self.dir / "x.json").read_text())
        self.assertEqual(len(whole["records"]), 120)
        self.assertEqual((whole["export"]["count"], report["count"]), (120, 120))

    def test_csv_is_guarded_and_has_its_manifest_beside_it(self):
        self.tally("export", "--format", "csv", "--output", "x.csv")
        rows = list(csv.DictReader(io.StringIO((self.dir / "x.csv").read_bytes().decode(), newline="")))
        self.assertEqual(len(rows), 120)
        self.assertEqual(rows[0]["reason"], "'=sum(0)")
        manifest = json.loads((self.dir / "x.csv.manifest.json").read_text())
        self.assertEqual(manifest["count"], 120)
        self.assertFalse((self.dir / "x.csv.tmp").exists())
        bare = self.tally("export", "--format", "csv", "--no-formula-guard", "--bom")
        self.assertTrue(bare.raw.startswith(b"\xef\xbb\xbfseq,"))
        self.assertIn("=sum(0)", bare.out)
        self.assertEqual(json.loads(bare.err)["count"], 120)

    def test_an_export_is_on_record(self):
        self.tally("export", "--outcome", "failure", "--output", "x")
        acts = self.tally("find", "--action", "tally.export", "--json").json["items"]
        self.assertEqual(len(acts), 1)
        self.assertEqual(acts[0]["event"]["metadata"]["count"], 12)

    def test_an_export_that_fails_leaves_no_file(self):
        self.tally("export", "--output", "no/such/dir/x", want=5)
        self.tally("export", "--where", "colour=red", "--output", "x", want=3)
        self.assertEqual([name for name in os.listdir(self.dir) if name.startswith("x")], [])


if __name__ == "__main__":
    main()
