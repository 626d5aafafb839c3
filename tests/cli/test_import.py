#!/usr/bin/env python3
"""import: formats, rejects, repeats, interruptions."""
import gzip
import hashlib
import hmac
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import time
import unittest

from harness import DATA, TALLY, Case, main

# All of the sample from which three.json was taken; not part of the repository.
CLOUDTRAIL = pathlib.Path(os.environ.get("CLOUDTRAIL_SAMPLE") or
                          DATA.parent.parent.parent / "shared/data/cloudtrail")


def counts(read, recorded, already=0, rejected=0):
    return {"read": read, "recorded": recorded, "already": already, "rejected": rejected}


class Import(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def run_import(self, *arguments, want=0, **more):
        report = self.tally("import", "--json", *arguments, want=want, **more).json
        return {key: report[key] for key in ("read", "recorded", "already", "rejected")}

    def event(self, name):
        return self.tally("get", name, "--by", "id", "--json").json["event"]


class Lines(Import):
    LINES = ('{"action":"a.b","id":"e1","occurred_at":"2026-01-01T00:00:00Z"}\n'
             '\n'
             '{"action":"a.b","occurred_at":"2026-01-01T00:00:01Z"}\r\n'
             '{"act\n'
             '{"action":"tally.x","id":"e3"}\n'
             '{"action":"a.c","id":"e4","source":{"ip":"nowhere"}}\n'
             '{"action":"a.b","id":"e5","occurred_at":"2026-01-01T00:00:02Z"}')

    def test_bad_lines_are_rejected_and_the_rest_goes_on(self):
        path = self.write("e.ndjson", self.LINES)
        self.assertEqual(self.run_import(path, "--rejects", "r", want=6), counts(6, 3, 0, 3))
        rejects = [json.loads(line) for line in (self.dir / "r").read_text().splitlines()]
        self.assertEqual([(r["file"], r["line"], r["code"]) for r in rejects],
                         [(str(path), 4, "bad_json"), (str(path), 5, "reserved_action"),
                          (str(path), 6, "bad_ip")])
        self.assertEqual(rejects[2]["pointer"], "/source/ip")
        self.assertEqual(rejects[0]["input"], '{"act')
        self.assertTrue(all(r["message"] for r in rejects))

    def test_the_same_file_again_adds_nothing(self):
        path = self.write("e.ndjson", self.LINES)
        self.run_import(path, want=6)
        self.assertEqual(self.run_import(path, want=6), counts(6, 0, 3, 3))
        self.assertEqual(self.tally("count").out, "3\n")

    def test_rejects_go_to_a_new_file_in_the_ledger(self):
        def rejects():
            return [name for name in os.listdir(self.ledger) if name.startswith("rejects-")]
        self.run_import(self.write("good", '{"action":"a"}'))
        self.assertEqual(rejects(), [])
        self.run_import(self.write("bad", "x"), want=6)
        self.run_import(self.write("bad", "x"), want=6)
        self.assertEqual(len(rejects()), 2)

    def test_people_are_told_line_and_reason(self):
        result = self.tally("import", self.write("e.ndjson", self.LINES), want=6)
        self.assertRegex(result.err, r"e\.ndjson:4: bad_json: ")
        self.assertIn("6 read, 3 recorded, 0 already there, 3 rejected", result.out)

    def test_equal_lines_without_id_count_as_one_unless_told_otherwise(self):
        path = self.write("e", '{"action":"a","occurred_at":"2026-01-01T00:00:00Z"}\n' * 3)
        self.assertEqual(self.run_import(path), counts(3, 1, 2))
        self.assertEqual(self.run_import(path, "--allow-duplicates"), counts(3, 3))

    def test_other_content_under_a_known_id_is_rejected(self):
        self.run_import(self.write("a", '{"action":"a","id":"e1"}'))
        self.assertEqual(self.run_import(self.write("b", '{"action":"b","id":"e1"}'), "--rejects",
                                         "r", want=6), counts(1, 0, 0, 1))
        self.assertEqual(json.loads((self.dir / "r").read_text())["code"], "id_conflict")

    def test_stdin_gzip_and_byte_order_mark(self):
        self.assertEqual(self.run_import("-", stdin=b'\xef\xbb\xbf{"action":"a"}'), counts(1, 1))
        packed = gzip.compress(b'{"action":"b"}\n') + gzip.compress(b'{"action":"c"}\n')
        self.assertEqual(self.run_import("-", stdin=packed), counts(2, 2))
        self.assertEqual(self.run_import(self.write("x.ndjson.gz", packed)), counts(2, 2))
        self.tally("import", self.write("cut.gz", packed[:20]), want=3)

    def test_directories_are_searched(self):
        (self.dir / "in" / "deep").mkdir(parents=True)
        self.write("in/a.json", '[{"action":"a"}]')
        self.write("in/deep/b.ndjson", '{"action":"b"}')
        self.write("in/README", "not an event")
        self.assertEqual(self.run_import("in"), counts(2, 2))

    def test_a_file_that_is_not_there_keeps_no_other_out(self):
        self.assertEqual(self.run_import("nowhere", self.write("e", '{"action":"a"}'), want=5),
                         counts(1, 1))

    def test_lines_too_long_are_rejected(self):
        text = '{"action":"' + "x" * (17 << 20) + '"}\n{"action":"a"}\n'
        self.assertEqual(self.run_import("-", stdin=text, want=6), counts(2, 1, 0, 1))

    def test_the_run_is_on_record(self):
        self.run_import(self.write("e", '{"action":"a","id":"e1"}'))
        self.run_import(self.write("e", '{"action":"a","id":"e1"}'))
        acts = self.tally("find", "--action", "tally.import", "--json").json["items"]
        self.assertEqual(len(acts), 1)
        self.assertEqual(acts[0]["event"]["metadata"]["recorded"], 1)

    def test_a_dry_run_records_nothing(self):
        report = self.run_import("--dry-run", "--rejects", "r", self.write("e", self.LINES), want=6)
        self.assertEqual(report, counts(6, 0, 0, 3))
        self.assertEqual(self.tally("count").out, "0\n")

    def test_a_signal_ends_it_and_says_how_far_it_got(self):
        with subprocess.Popen([TALLY, "-C", self.ledger, "import", "--json", "-"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            run.stdin.write(b"".join(b'{"action":"a","id":"%d"}\n' % i for i in range(9000)))
            run.stdin.flush()
            deadline = time.time() + 30
            while self.tally("count").out != "9000\n" and time.time() < deadline:
                time.sleep(0.05)
            run.send_signal(signal.SIGINT)
            report = json.loads(run.stdout.read())
            self.assertEqual(run.wait(30), 6)
        self.assertEqual((report["recorded"], report["interrupted"]), (9000, True))

    def test_many_batches_keep_their_order(self):
        lines = "".join(f'{{"action":"a","id":"{i}"}}\n' for i in range(10000))
        self.assertEqual(self.run_import("-", stdin=lines), counts(10000, 10000))
        ids = [json.loads(line)["id"] for line in self.tally("export").out.splitlines()[:-1]]
        self.assertEqual(ids, [str(i) for i in range(10000)])


class Json(Import):
    def test_arrays_objects_in_a_row_and_broken_ends(self):
        for name, text, want, report in (
                ("array.json", '[ {"action":"a"} , {"action":"b","tags":["]"]}]', 0, counts(2, 2)),
                ("row.json", '{"action":\n"a"}{"action":"b"}\n', 0, counts(2, 2)),
                ("empty.json", "[]", 0, counts(0, 0)), ("void.json", " ", 0, counts(0, 0)),
                ("cut.json", '[{"action":"a"},{"act', 6, counts(2, 1, 0, 1)),
                ("comma.json", '[{"action":"a"} {"action":"b"}]', 6, counts(2, 1, 0, 1)),
                ("number.json", "[1]", 6, counts(1, 0, 0, 1))):
            self.assertEqual(self.run_import(self.write(name, text), want=want), report, name)

    def test_an_array_larger_than_any_buffer(self):
        event = '{"action":"a","metadata":{"x":"' + "y" * 2000 + '"}}'
        text = "[" + ",\n".join([event] * 3000) + "]"
        self.assertEqual(self.run_import("--format", "json", "--allow-duplicates", "-", stdin=text),
                         counts(3000, 3000))


class Exports(Import):
    def setUp(self):
        super().setUp()
        self.log(id="e1", reason="=1+1", tags=["a,b"], metadata={"n": 12345678901234567890})
        self.log(id="e2", targets=[{"id": "1"}, {"id": "2"}])
        for name in ("ndjson", "json", "csv"):
            self.tally("export", "--format", name, "--output", f"x.{name}")

    def test_are_the_same_events_where_they_come_from(self):
        for name in ("x.ndjson", "x.json", "x.csv"):
            self.assertEqual(self.run_import(name), counts(2, 0, 2), name)

    def test_keep_their_old_position_elsewhere(self):
        old = self.tally("get", "e2", "--json").json
        for name in ("ndjson", "json"):
            self.ledger = self.dir / name
            self.init_other(name)
            self.assertEqual(self.run_import(f"x.{name}"), counts(2, 2))
            self.assertEqual(self.run_import(f"x.{name}"), counts(2, 0, 2))
            new = self.event("e2")
            self.assertEqual(new.pop("metadata"), {"import": {
                "from": "tally", "origin": "test.example/cli", "seq": old["seq"],
                "recorded_at": old["recorded_at"], "leaf_hash": old["leaf_hash"]}})
            self.assertEqual(new, old["event"])

    def test_csv_gives_the_same_events_elsewhere(self):
        old = self.event("e1")
        self.ledger = self.dir / "other"
        self.init_other("csv")
        self.assertEqual(self.run_import("x.csv"), counts(2, 2))
        self.assertEqual(self.event("e1"), old)

    def init_other(self, name):
        self.tally("init", self.ledger, "--origin", f"test.example/{name}")


class Csv(Import):
    def test_columns_become_members(self):
        path = self.write("e.csv", 'id,action,actor_id,target_type,target_id,service,tags,metadata,'
                          'color\r\ne1,a.b,u1,T,"x ""y"", z",web,"p,q","{""n"":1}",red\n\n'
                          'e2,a.c,,,,,,,\n')
        self.assertEqual(self.run_import(path), counts(2, 2))
        event = self.event("e1")
        self.assertEqual(event["targets"], [{"type": "T", "id": 'x "y", z'}])
        self.assertEqual((event["actor"], event["source"], event["tags"]),
                         ({"id": "u1"}, {"service": "web"}, ["p", "q"]))
        self.assertEqual(event["metadata"], {"n": 1, "color": "red"})
        self.assertNotIn("actor", self.event("e2"))

    def test_other_headers_are_mapped(self):
        path = self.write("e.csv", "Nr,User Name,What,Note,Junk\n1,Zoë,a.b,x,y\n")
        self.run_import(path, "--map", "Nr=id", "--map", "User Name=actor_name", "--map",
                        "What=action", "--map", "Note=metadata.note", "--map", "Junk=-")
        event = self.event("1")
        self.assertEqual((event["actor"], event["action"], event["metadata"]),
                         ({"name": "Zoë"}, "a.b", {"note": "x"}))

    def test_malformed_rows_are_rejected_one_by_one(self):
        path = self.write("e.csv", b'id,action,metadata\n1,a\n2,a,{\n3,"a"x,\n4,\xff,\n5,a,[1]\n'
                          b'6,a,\n"7,a,\n8,a,\n')
        report = self.run_import(path, "--rejects", "r", want=6)
        rejects = [json.loads(line) for line in (self.dir / "r").read_text().splitlines()]
        self.assertEqual([(r["line"], r["code"]) for r in rejects],
                         [(2, "bad_csv"), (3, "bad_json"), (4, "bad_csv"), (5, "bad_utf8"),
                          (6, "bad_type"), (8, "bad_csv")])
        self.assertEqual(report, counts(8, 2, 0, 6))

    def test_a_header_with_a_column_twice_is_refused(self):
        self.assertEqual(self.run_import(self.write("e.csv", "id,action,id\n1,a,2\n"), want=6),
                         counts(1, 0, 0, 1))


class CloudTrail(Import):
    def setUp(self):
        super().setUp()
        self.assertEqual(self.run_import(DATA / "cloudtrail"), counts(3, 3))
        records = json.loads((DATA / "cloudtrail" / "three.json").read_text())["Records"]
        self.user, self.role, self.service = records

    def test_a_failed_read_of_a_user(self):
        event = self.event("8ca35bec-bc01-4a58-beca-6f8a16907e98")
        metadata = event.pop("metadata")["cloudtrail"]
        self.assertEqual(event, {
            "id": "8ca35bec-bc01-4a58-beca-6f8a16907e98", "occurred_at": "2023-07-10T11:42:44Z",
            "action": "s3.GetBucketPublicAccessBlock", "severity": "low", "outcome": "failure",
            "actor": {"type": "user", "id": "arn:aws:iam::123837392027:user/benjamin",
                      "name": "benjamin"},
            "targets": [{"type": "AWS::S3::Bucket",
                         "id": "arn:aws:s3:::invictus-aws-2022-10-27-quygr"}],
            "reason": "NoSuchPublicAccessBlockConfiguration: "
                      "The public access block configuration was not found",
            "source": {"service": "s3.amazonaws.com", "ip": "10.248.16.43",
                       "user_agent": self.user["userAgent"]},
            "request_id": "NDWT6HCWYNQAHGDJ", "tenant_id": "123837392027",
            "request": self.user["requestParameters"]})
        taken = {"eventID", "eventTime", "eventSource", "eventName", "errorCode", "errorMessage",
                 "userAgent", "requestID", "recipientAccountId", "requestParameters",
                 "responseElements", "readOnly"}
        self.assertEqual(metadata, {k: v for k, v in self.user.items() if k not in taken})

    def test_a_write_of_a_role(self):
        event = self.event(self.role["eventID"])
        self.assertEqual(event["actor"], {
            "type": "service", "id": self.role["userIdentity"]["arn"],
            "name": "stratus-red-team-ec2-steal-credentials-role"})
        self.assertEqual((event["severity"], event["outcome"]), ("medium", "success"))
        self.assertEqual(event["targets"], [{"id": r["ARN"]} for r in self.role["resources"]])

    def test_a_service_without_address(self):
        event = self.event(self.service["eventID"])
        self.assertEqual(event["actor"], {"type": "system", "id": "inspector2.amazonaws.com"})
        self.assertEqual(event["correlation_id"], "71797d26-1286-4204-81d4-cbcce8819672")
        self.assertNotIn("ip", event["source"])
        self.assertEqual(event["metadata"]["cloudtrail"]["sourceIPAddress"],
                         "inspector2.amazonaws.com")
        self.assertEqual(event["response"], self.service["responseElements"])

    def test_other_files_and_odd_records(self):
        odd = {"Version": [1, "]"], "Records": [
            {"eventID": "o1", "eventSource": "x.example", "eventName": "Do It",
             "userIdentity": {"type": "Root", "principalId": "p"}, "recipientAccountId": 7,
             "errorCode": "E", "errorMessage": "m" * 5000},
            {"eventID": "o2", "eventName": "N"}, 7]}
        self.assertEqual(self.run_import("--format", "cloudtrail", "-", stdin=json.dumps(odd),
                                         want=6), counts(3, 2, 0, 1))
        event = self.event("o1")
        self.assertEqual((event["action"], event["actor"]), ("x.example.Do_It",
                                                             {"type": "admin", "id": "p"}))
        self.assertEqual(len(event["reason"]), 4096)
        self.assertEqual(event["metadata"]["cloudtrail"]["errorMessage"], "m" * 5000)
        self.assertEqual(event["metadata"]["cloudtrail"]["recipientAccountId"], 7)
        self.assertEqual(self.event("o2")["actor"], {"type": "system", "id": "unknown"})
        self.assertEqual(self.run_import("--format", "cloudtrail", "-", stdin="{}", want=6),
                         counts(1, 0, 0, 1))

    @unittest.skipUnless(CLOUDTRAIL.is_dir(), "the full sample is not here")
    def test_all_files_of_the_full_sample(self):
        self.ledger = self.dir / "all"
        self.tally("init", self.ledger, "--origin", "test.example/all")
        self.assertEqual(self.run_import(CLOUDTRAIL), counts(2122, 2122))
        self.assertEqual(self.run_import(CLOUDTRAIL), counts(2122, 0, 2122))


class Lexigram(Import):
    KEY = b"my-hmac-key"
    COLUMNS = ("action causation_id changed_at changed_by command_payload_hash correlation_id entity_id "
               "entry_schema_version metadata new_values old_values outcome payload_size_bytes "
               "severity source table_name tenant_id").split()

    def setUp(self):
        super().setUp()
        self.path = self.dir / "old.db"
        self.db = sqlite3.connect(self.path)
        self.addCleanup(self.db.close)
        self.db.execute("CREATE TABLE audit_log (id INTEGER PRIMARY KEY, created_at TEXT, "
                        "checksum TEXT, " + ", ".join(self.COLUMNS) + ")")
        self.write("key", self.KEY + b"\n")

    def add(self, row_id, checksum=None, **values):
        row = {"action": "user.update", "causation_id": None,
               "changed_at": f"2026-01-01 00:00:0{row_id}", "changed_by": "u",
               "command_payload_hash": None, "correlation_id": None, "entity_id": "7",
               "entry_schema_version": 1, "metadata": "{}", "new_values": '{"a":1}',
               "old_values": "{}", "outcome": "success", "payload_size_bytes": 12,
               "severity": "high", "source": "sql", "table_name": "users", "tenant_id": None,
               **values}
        hashed = {**row, "entry_schema_version": 2,
                  "changed_at": row["changed_at"].replace(" ", "T")}
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if checksum is None:
            checksum = hmac.new(self.KEY, text.encode(), hashlib.sha256).hexdigest()
        self.db.execute(f"INSERT INTO audit_log (id, created_at, checksum, {','.join(self.COLUMNS)})"
                        f" VALUES ({','.join('?' * (3 + len(self.COLUMNS)))})",
                        [row_id, "2026-01-01 00:00:09", checksum, *row.values()])
        self.db.commit()
        return checksum

    def run_lexigram(self, *arguments, want):
        return self.tally("import", "--format", "lexigram", self.path, "--json", *arguments,
                          want=want).json

    def test_rows_with_their_checksums(self):
        checksum = self.add(1)
        report = self.run_lexigram("--key-file", "key", want=0)
        self.assertEqual((report["recorded"], report["lexigram"]["match"]), (1, 1))
        self.assertEqual(report["lexigram"]["key_encoding"], "utf8")
        event = self.event("lexigram/audit_log/1")
        told = event["metadata"].pop("import")
        self.assertEqual(event, {
            "id": "lexigram/audit_log/1", "action": "user.update", "actor": {"id": "u"},
            "occurred_at": "2026-01-01T00:00:01Z", "severity": "high", "outcome": "success",
            "source": {"service": "sql"}, "targets": [{"type": "users", "id": "7"}],
            "new_values": {"a": 1}, "metadata": {"payload_size_bytes": 12}})
        row = told.pop("row")
        self.assertEqual(told, {"from": "lexigram", "table": "audit_log", "row_id": 1,
                                "created_at": "2026-01-01 00:00:09", "checksum": checksum,
                                "result": "match", "version": 2, "layout": "T"})
        self.assertEqual((row["new_values"], row["changed_at"], row["tenant_id"]),
                         ('{"a":1}', "2026-01-01 00:00:01", None))
        self.assertEqual(sorted(row), self.COLUMNS)

    def test_a_changed_row_is_evidence(self):
        self.add(1)
        self.add(2)
        self.db.execute("UPDATE audit_log SET new_values = '{\"a\":2}' WHERE id = 2")
        self.db.commit()
        report = self.run_lexigram("--key-file", "key", want=1)
        self.assertEqual((report["lexigram"]["match"], report["lexigram"]["mismatch"]), (1, 1))
        self.assertEqual(report["recorded"], 2)

    def test_without_key_nothing_is_known(self):
        self.add(1)
        self.add(2, checksum="")
        report = self.run_lexigram(want=2)
        self.assertEqual((report["lexigram"]["no_key"], report["lexigram"]["absent"]), (1, 1))

    def test_missing_ids_replayed_rows_and_broken_columns_are_counted(self):
        checksum = self.add(1)
        self.add(5, checksum=checksum)
        self.add(6, old_values="{broken")
        report = self.run_lexigram("--key-file", "key", want=1)["lexigram"]
        self.assertEqual((report["missing_ids"], report["shared_checksums"],
                          report["unparsed_json"]), (3, 2, 1))

    def test_again_adds_nothing_and_finds_what_changed_since(self):
        self.add(1)
        self.run_lexigram("--key-file", "key", want=0)
        again = self.run_lexigram("--key-file", "key", want=0)
        self.assertEqual((again["recorded"], again["already"]), (0, 1))
        self.db.execute("UPDATE audit_log SET created_at = 'x'")
        self.db.commit()
        self.assertEqual(self.run_lexigram("--key-file", "key", "--rejects", "r", want=1)["rejected"], 1)
        self.assertEqual(json.loads((self.dir / "r").read_text())["code"], "row_changed")

    def test_keys_come_in_three_spellings(self):
        self.add(1)
        for encoding, text in (("hex", self.KEY.hex()), ("base64", "bXktaG1hYy1rZXk=")):
            self.write("other", text)
            report = self.run_lexigram("--key-file", "other", "--dry-run", want=0)["lexigram"]
            self.assertEqual((report["match"], report["key_encoding"]), (1, encoding))
            self.run_lexigram("--key-file", "other", "--key-encoding", "utf8", "--dry-run", want=1)
        self.run_lexigram("--key-file", "nowhere", want=5)
        self.run_lexigram("--table", 'no"such', want=3)

    def test_the_original_can_be_left_out(self):
        self.add(1)
        self.run_lexigram("--drop-original", "--name", "crm", "--no-verify", want=2)
        self.assertNotIn("row", self.event("lexigram/crm/1")["metadata"]["import"])


if __name__ == "__main__":
    main()
