#!/usr/bin/env python3
"""Exports as jobs: what the files hold, who gets them, and when they end."""
import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import time
import unittest

from server import HttpCase, main

CHECK = pathlib.Path(__file__).parents[2] / "tools" / "tally_check.py"
RESULT = {"format", "records", "tree_size", "bytes", "sha256", "file", "kept_until", "manifest"}


class Export(HttpCase):
    def setUp(self):
        super().setUp()
        for n in range(4):
            self.record(id=f"e{n}", action="door.open" if n % 2 else "door.shut",
                        actor={"type": "user", "id": f"u-{n}", "name": "Quibble"})
        self.kept = self.ledger / "exports"

    def start(self, role="auditor", **body):
        job = self.post("/v1/exports", body, role, want=202)
        self.assertEqual(job.headers["location"], f"/v1/jobs/{job.json['id']}")
        return job

    def export(self, role="auditor", **body):
        """The result of a job that has ended well."""
        job = self.finish(self.start(role, **body), role)
        self.assertEqual((job["kind"], job["state"], job["problem"]), ("export", "done", None), job)
        self.assertEqual(set(job["result"]), RESULT)
        self.assertEqual(job["result"]["file"], f"/v1/jobs/{job['id']}/file")
        return job["result"]

    def fetch(self, result, role="auditor"):
        reply = self.get(result["file"], role)
        self.assertEqual(int(reply.headers["content-length"]), result["bytes"])
        self.assertEqual(len(reply.body), result["bytes"])
        self.assertEqual(hashlib.sha256(reply.body).hexdigest(), result["sha256"])
        return reply

    def unpack(self, reply):
        where = pathlib.Path(self.dir) / "unpacked"
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        run = subprocess.run(["tar", "-xf", "-", "-C", str(where)], input=reply.body,
                             capture_output=True)
        self.assertEqual((run.returncode, run.stderr), (0, b""))
        return where

    def check(self, bundle):
        trust = pathlib.Path(self.dir) / "trust"
        trust.write_bytes(self.get("/v1/trust").body)
        return subprocess.run([sys.executable, str(CHECK), str(bundle), "--trust", str(trust)],
                              capture_output=True, text=True)

    def files(self):
        return sorted(path.name for path in self.kept.iterdir())

    def exports(self, wanted):
        """What is on record, the newest first, once those that wait in the spool are."""
        end = time.monotonic() + 20
        items = []
        while len(items) < wanted and time.monotonic() < end:
            items = self.get("/v1/events?action=tally.export").json["items"]
            time.sleep(0.05)
        self.assertEqual(len(items), wanted)
        return [item["event"] for item in items]


class Files(Export):
    def test_records_are_those_of_a_download(self):
        for name, kind in [("ndjson", "application/x-ndjson"), ("json", "application/json"),
                           ("csv", "text/csv; charset=utf-8")]:
            result = self.export(format=name, filter={"action": "door.open"})
            self.assertEqual((result["format"], result["records"]), (name, 2))
            reply = self.fetch(result)
            self.assertEqual(reply.headers["content-type"], kind)
            self.assertEqual(reply.headers["content-disposition"],
                             f'attachment; filename="tally-export.{name}"')
            stream = self.get(f"/v1/exports?format={name}&action=door.open", "auditor").body
            if name == "csv":
                self.assertEqual(reply.body, stream)
            elif name == "ndjson":
                self.assertEqual(reply.body.splitlines()[:-1], stream.splitlines()[:-1])
                self.assertEqual(json.loads(reply.body.splitlines()[-1])["tally_export"],
                                 result["manifest"])
            else:
                self.assertEqual(json.loads(reply.body)["export"], result["manifest"])
            self.assertEqual((result["manifest"]["format"], result["manifest"]["count"],
                              result["manifest"]["complete"]), (name, 2, True))
            self.assertEqual(result["manifest"]["tree_size"], result["tree_size"])

    def test_all_manifests_have_the_same_members(self):
        manifests = [self.export(format=name)["manifest"] for name in ("ndjson", "json", "csv")]
        self.assertEqual(len({tuple(manifest) for manifest in manifests}), 1)

    def test_a_bundle_is_verified_elsewhere(self):
        result = self.export(format="bundle")
        reply = self.fetch(result)
        self.assertEqual(reply.headers["content-type"], "application/x-tar")
        self.assertIn('"tally-bundle.tar"', reply.headers["content-disposition"])
        self.assertIsNone(result["manifest"])
        bundle = self.unpack(reply) / "tally-bundle"
        run = self.check(bundle)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("VERIFIED", run.stdout)
        head = json.loads((bundle / "openings.ndjson").read_text().splitlines()[0])
        self.assertEqual(head["size"], result["tree_size"])

    def test_a_filter_chooses_whose_contents_go_along(self):
        result = self.export(format="bundle", filter={"actor_id": ["u-1"]})
        self.assertEqual(result["records"], 1)
        bundle = self.unpack(self.fetch(result)) / "tally-bundle"
        text = (bundle / "openings.ndjson").read_text()
        self.assertIn("u-1", text)
        self.assertNotIn("u-2", text)
        run = self.check(bundle)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_a_tlog_has_no_contents(self):
        result = self.export(format="tlog")
        self.assertEqual(result["records"], result["tree_size"])
        where = self.unpack(self.fetch(result)) / "tally-tlog"
        self.assertTrue((where / "checkpoint").exists())
        self.assertFalse((where / "openings.ndjson").exists())
        self.assertNotIn(b"Quibble", b"".join(path.read_bytes() for path in where.rglob("*")
                                              if path.is_file()))

    def test_a_directory_of_many_records(self):
        for _ in range(3):
            self.post("/v1/events", [{"action": "many.made"} for _ in range(300)], want=201)
        bundle = self.unpack(self.fetch(self.export(format="bundle"))) / "tally-bundle"
        run = self.check(bundle)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_wrong_bodies(self):
        for body, code in [({}, "missing"), ({"format": "pdf"}, "bad_value"),
                           ({"format": 1}, "bad_type"), ({"format": "csv", "Filter": {}},
                                                         "unknown_member"),
                           ({"format": "csv", "filter": []}, "bad_type"),
                           ({"format": "csv", "filter": {"nonsense": "1"}}, "unknown_filter"),
                           ({"format": "csv", "filter": {"from": "soon"}}, None),
                           ({"format": "tlog", "filter": {"action": "a"}}, "bad_value"),
                           ({"format": "csv", "reason": 1}, "bad_type"),
                           ({"format": "csv", "reason": "x" * 1025}, "bad_value"),
                           ([], "bad_type"), (b"{", "bad_json")]:
            reply = self.call("POST", "/v1/exports", "auditor", body, want=None,
                              headers={"Content-Type": "application/json"})
            self.assertEqual(reply.status // 100, 4, (body, reply.text))
            self.assertEqual(reply.code, code or reply.code, (body, reply.text))
        self.assertEqual(self.get("/v1/jobs").json, {"jobs": []})
        self.exports(0)


class Who(Export):
    def test_an_auditor_gets_what_auditors_asked_for(self):
        theirs = self.export("admin", format="csv")
        mine = self.export("auditor", format="csv")
        self.assertEqual(self.get(theirs["file"], "auditor", want=404).code, "not_found")
        self.fetch(mine, "auditor")
        self.fetch(mine, "admin")
        self.fetch(theirs, "admin")
        for role in ("reader", "writer"):
            self.get(mine["file"], role, want=403)
            self.post("/v1/exports", {"format": "csv"}, role, want=403)

    def test_asking_and_fetching_are_on_record(self):
        result = self.export(format="csv", filter={"actor_id": "u-3"}, reason="case 17")
        asked = self.exports(1)
        self.assertEqual(asked[0]["metadata"]["about"],
                         {"format": "csv", "filter": ["actor_id"], "reason": "case 17"})
        self.assertNotIn("u-3", json.dumps(asked))
        self.fetch(result)
        fetched = self.exports(2)
        self.assertEqual(fetched[0]["metadata"]["about"], {"job": "j1"})
        self.assertEqual(fetched[0]["metadata"]["path"], "/v1/jobs/{id}/file")

    def test_jobs_without_a_file(self):
        job = self.finish(self.post("/v1/verify", {}, "auditor", want=202))
        for name in (job["id"], "j99", "x", "j1x"):
            self.get(f"/v1/jobs/{name}/file", want=404)
        self.exports(0)


class Ends(Export):
    def test_the_files_are_for_the_server_alone(self):
        self.export(format="csv")
        self.assertEqual(stat.S_IMODE(self.kept.stat().st_mode), 0o700)
        self.assertEqual([stat.S_IMODE(path.stat().st_mode) for path in self.kept.iterdir()], [0o600])

    def test_a_job_that_is_deleted_takes_its_file_along(self):
        result = self.export(format="bundle")
        self.assertEqual(self.files(), ["j1.bundle"])
        ended = self.call("DELETE", "/v1/jobs/j1", "auditor").json
        self.assertEqual((ended["state"], ended["result"]["file"]), ("done", None))
        self.assertEqual(self.files(), [])
        self.get(result["file"], "auditor", want=404)

    def test_sixteen_are_kept(self):
        for _ in range(16):
            self.export(format="csv")
        reply = self.post("/v1/exports", {"format": "csv"}, "auditor", want=409)
        self.assertEqual(reply.code, "busy")
        self.finish(self.post("/v1/verify", {}, "auditor", want=202))
        self.call("DELETE", "/v1/jobs/j3", "auditor")
        self.export(format="csv")
        self.assertEqual(len(self.files()), 16)

    def test_other_work_does_not_push_a_file_out(self):
        result = self.export(format="csv")
        for _ in range(105):
            self.post("/v1/verify", {"scope": "newest", "newest": 1}, want=202)
            time.sleep(0.005)
        self.fetch(result)

    def test_an_erasure_ends_files_from_before_it(self):
        before = self.export(format="ndjson")
        self.finish(self.post("/v1/erasures", {"id": "e1", "dry_run": True, "reason": "r"}, want=202))
        self.fetch(before)
        done = self.finish(self.post("/v1/erasures", {"id": "e1", "reason": "r"}, want=202))
        self.assertEqual(done["state"], "done", done)
        self.assertEqual(self.files(), [])
        self.get(before["file"], "auditor", want=404)
        self.assertIsNone(self.get("/v1/jobs/j1", "auditor").json["result"]["file"])
        after = self.export(format="ndjson")
        self.assertNotIn(b'"u-1"', self.fetch(after).body)

    def test_an_erasure_by_another_process_ends_them_as_well(self):
        before = self.export(format="ndjson")
        self.tally("erase", "--id", "e1", "--reason", "r", "--by", "dpo", "--yes")
        self.get(before["file"], "auditor", want=404)
        self.assertEqual(self.files(), [])

    def test_a_stop_leaves_nothing(self):
        self.export(format="bundle")
        self.server.stop()
        self.assertEqual(self.files(), [])

    def test_what_a_killed_server_left_goes_at_the_next_start(self):
        self.post("/v1/events", [{"action": "many.made"} for _ in range(4000)], want=201)
        self.export(format="csv")
        self.start(format="bundle")
        end = time.monotonic() + 20
        while not any(".dir" in name for name in self.files()) and time.monotonic() < end:
            time.sleep(0.001)
        self.server.process.kill()
        self.server.process.wait()
        left = self.files()
        self.assertIn("j1.csv", left)
        self.assertTrue(any(name.startswith("j2.bundle") for name in left), left)
        (self.kept / "notes").write_text("not ours")
        self.server.start()
        self.assertEqual(self.files(), ["notes"])
        self.get("/v1/jobs/j1/file", want=404)
        self.assertEqual(self.tally("verify", "--json").json["verdict"], "VERIFIED")

    def test_a_job_is_stopped(self):
        self.post("/v1/events", [{"action": "many.made"} for _ in range(4000)], want=201)
        first = self.start(format="bundle")
        second = self.start(format="bundle")
        self.call("DELETE", f"/v1/jobs/{second.json['id']}", "auditor")
        self.call("DELETE", f"/v1/jobs/{first.json['id']}", "auditor")
        states = [self.finish(job, "auditor")["state"] for job in (first, second)]
        self.assertEqual(states[1], "cancelled")
        self.assertIn(states[0], ("cancelled", "done"))
        if states[0] == "cancelled":
            self.assertEqual(self.files(), [])

    def test_a_directory_that_others_may_see_is_not_used(self):
        self.server.stop()
        os.chmod(self.kept, 0o755)
        self.server.start()
        reply = self.post("/v1/exports", {"format": "csv"}, "auditor", want=501)
        self.assertEqual(reply.code, "not_supported")
        self.get("/v1/exports?format=csv", "auditor")


if __name__ == "__main__":
    main()
