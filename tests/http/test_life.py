#!/usr/bin/env python3
"""/v1/verify, jobs, purges, holds, erasures, retention, status: over HTTP."""
import fcntl
import json
import unittest

from server import HttpCase, main

JOB = {"id", "kind", "state", "by", "started_at", "progress", "result", "problem"}


class Life(HttpCase):
    def setUp(self):
        super().setUp()
        for n in range(4):
            self.record(id=f"e{n}", actor={"type": "user", "id": f"u-{n % 2}", "name": "Quibble"})

    def run_job(self, path, body, role="admin"):
        job = self.post(path, body, role, want=202)
        self.assertEqual(job.headers["location"], f"/v1/jobs/{job.json['id']}")
        self.assertEqual(set(job.json), JOB)
        ended = self.finish(job, role)
        self.assertEqual(set(ended), JOB)
        return ended

    def result(self, path, body, role="admin"):
        ended = self.run_job(path, body, role)
        self.assertEqual((ended["state"], ended["problem"]), ("done", None), ended)
        return ended["result"]

    def problem(self, path, body, role="admin"):
        ended = self.run_job(path, body, role)
        self.assertEqual((ended["state"], ended["result"]), ("failed", None), ended)
        return ended["problem"]

    def events(self, action):
        return [item["event"] for item in self.get(f"/v1/events?action={action}").json["items"]]

    def refuse(self, path, body, code, method="POST"):
        reply = self.call(method, path, body=body, want=None,
                          headers={"Content-Type": "application/json"})
        self.assertEqual((reply.status // 100, reply.code, body), (4, code, body), (path, reply.text))

    def prepare(self, *lines):
        """Runs commands while there is no server."""
        self.server.stop()
        for line in lines:
            self.tally(*line)
        self.server.start()


class Verify(Life):
    def test_bodies_of_acts_are_json(self):
        for kind in (None, "text/plain", "application/x-ndjson", "application/jsonx"):
            headers = {} if kind is None else {"Content-Type": kind}
            for path in ("/v1/verify", "/v1/purges", "/v1/holds", "/v1/erasures", "/v1/tokens",
                         "/v1/retention/test", "/v1/config/reload"):
                self.assertEqual(self.post(path, b"{}", want=415, headers=headers).code, "media_type")
        for kind in ("application/json", "Application/JSON; charset=utf-8"):
            self.post("/v1/config/reload", b"{}", headers={"Content-Type": kind})
        self.post("/v1/config/reload", b"", headers={"Content-Type": "text/plain"})

    def test_a_verification_is_a_job_with_a_report(self):
        report = self.result("/v1/verify", {}, "auditor")
        self.assertEqual((report["verdict"], report["findings"]), ("VERIFIED", []))
        shown = self.tally("verify", "--json").json
        self.assertEqual(set(report), set(shown))
        self.assertEqual(set(report["counts"]), set(shown["counts"]))
        event = self.events("tally.verify")[0]
        self.assertEqual(event["metadata"], {"verdict": "VERIFIED", "checked": report["checked"],
                                             "expected": report["expected"]})
        self.assertRegex(event["actor"]["id"], r"^token:\w{8} \(auditor\)$")

    def test_an_empty_body_asks_for_all(self):
        job = self.call("POST", "/v1/verify", "admin", want=202)
        self.assertEqual(self.finish(job)["result"]["verdict"], "VERIFIED")

    def test_scopes(self):
        for body, expected in [({"scope": "all"}, None), ({"scope": "newest", "newest": 2}, 2),
                               ({"scope": "range", "first": 1, "last": 3}, 3),
                               ({"scope": "id", "id": "e2"}, 1)]:
            report = self.result("/v1/verify", body)
            self.assertEqual(report["verdict"], "VERIFIED", body)
            if expected is not None:
                self.assertEqual((report["checked"], report["expected"]), (expected, expected))

    def test_wrong_bodies(self):
        for body, code in [({"scope": "some"}, "bad_value"), ({"scope": 1}, "bad_type"),
                           ({"newest": 5}, "bad_value"), ({"scope": "newest"}, "missing"),
                           ({"scope": "all", "id": "e1"}, "bad_value"),
                           ({"scope": "newest", "newest": "5"}, "bad_type"),
                           ({"scope": "newest", "newest": -1}, "bad_type"),
                           ({"scope": "newest", "newest": None}, "bad_type"),
                           ({"scope": "range", "first": 1}, "missing"),
                           ({"scope": "range", "first": 3, "last": 1}, "bad_value"),
                           ({"scope": "id"}, "missing"), ({"Scope": "all"}, "unknown_member"),
                           ([], "bad_type"), (b"{", "bad_json"),
                           (b'{"scope":"all","scope":"all"}', "duplicate_member")]:
            self.refuse("/v1/verify", body, code)
        self.assertEqual(self.get("/v1/jobs").json, {"jobs": []})

    def test_the_last_reports_come_newest_first(self):
        self.assertEqual(self.get("/v1/verify/last", "auditor").json, {"reports": []})
        self.result("/v1/verify", {"scope": "newest", "newest": 1})
        for _ in range(21):
            self.result("/v1/verify", {"scope": "newest", "newest": 2}, "auditor")
        reports = self.get("/v1/verify/last", "auditor").json["reports"]
        self.assertEqual(len(reports), 20)
        self.assertEqual({len(set(r) ^ {"finished_at", "by", "report"}) for r in reports}, {0})
        self.assertEqual([r["report"]["expected"] for r in reports], [2] * 20)
        times = [r["finished_at"] for r in reports]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_a_ledger_that_was_changed_is_told(self):
        self.server.stop()
        ledger = self.ledger / "ledger.db"
        data = ledger.read_bytes()
        self.assertIn(b"Quibble", data)
        ledger.write_bytes(data.replace(b"Quibble", b"Quabble"))
        self.server.start()
        report = self.result("/v1/verify", {}, "auditor")
        self.assertEqual(report["verdict"], "TAMPERED")
        self.assertIn("CONTENT_MODIFIED", {finding["code"] for finding in report["findings"]})
        self.assertEqual(self.events("tally.verify")[0]["metadata"]["verdict"], "TAMPERED")


class Jobs(Life):
    def test_who_sees_what(self):
        mine = self.result_id("auditor")
        theirs = self.result_id("admin")
        self.assertEqual([job["id"] for job in self.get("/v1/jobs", "auditor").json["jobs"]], [mine])
        self.assertEqual([job["id"] for job in self.get("/v1/jobs").json["jobs"]], [theirs, mine])
        self.get(f"/v1/jobs/{mine}", "admin")
        for method in ("GET", "DELETE"):
            reply = self.call(method, f"/v1/jobs/{theirs}", "auditor", want=404)
            self.assertEqual(reply.code, "not_found")
        self.assertEqual(self.get(f"/v1/jobs/{theirs}").json["state"], "done")

    def result_id(self, role):
        return self.finish(self.post("/v1/verify", {}, role, want=202), role)["id"]

    def test_roles(self):
        paths = [("POST", "/v1/verify", "auditor"), ("GET", "/v1/verify/last", "auditor"),
                 ("GET", "/v1/jobs", "auditor"), ("POST", "/v1/purges", "admin"),
                 ("POST", "/v1/erasures", "admin"), ("POST", "/v1/holds", "admin"),
                 ("DELETE", "/v1/holds/c-1", "admin"), ("GET", "/v1/holds", "reader"),
                 ("GET", "/v1/retention", "reader"), ("POST", "/v1/retention/test", "reader"),
                 ("GET", "/v1/status", "reader"), ("GET", "/v1/schedules", "reader"),
                 ("GET", "/v1/keys", "reader")]
        roles = ["writer", "reader", "auditor", "admin"]
        tenant = self.post("/v1/tokens", {"name": "acme", "role": "admin", "tenants": ["acme"]},
                           want=None).json["token"]
        for method, path, least in paths:
            for role in roles[:roles.index(least)] + [tenant]:
                body = {} if method == "POST" else None
                reply = self.call(method, path, role, body, want=403)
                self.assertEqual(reply.code, "forbidden")
            self.assertEqual(self.call(method, path, None, want=401).code, "unauthenticated")

    def test_unknown_jobs(self):
        for job in ["j1", "j01", "1", "j", "j-1", "j99999999999999999999", "x1", "%6A2"]:
            self.get(f"/v1/jobs/{job}", want=404)
            self.call("DELETE", f"/v1/jobs/{job}", want=404)

    def test_one_that_waits_or_runs_is_cancelled(self):
        lines = "".join(json.dumps({"action": "a.b", "metadata": {"n": n, "pad": "x" * 200}}) + "\n"
                        for n in range(4000)).encode()
        for _ in range(3):
            self.post("/v1/events", lines, want=201, headers={"Content-Type": "application/x-ndjson"})
        jobs = [self.post("/v1/verify", {}, want=202) for _ in range(12)]
        waits = self.call("DELETE", f"/v1/jobs/{jobs[-1].json['id']}").json
        self.assertEqual((waits["state"], waits["result"], waits["started_at"]),
                         ("cancelled", None, None))
        for job in jobs:
            self.call("DELETE", f"/v1/jobs/{job.json['id']}")
        ended = [self.finish(job) for job in jobs]
        self.assertEqual({job["problem"] for job in ended}, {None})
        stopped = [job for job in ended if job["state"] == "cancelled" and job["result"]]
        self.assertTrue(all(job["result"]["canceled"] and job["result"]["verdict"] != "VERIFIED"
                            for job in stopped))
        self.assertEqual(len(self.get("/v1/verify/last").json["reports"]),
                         len([job for job in ended if job["state"] == "done"]))

    def test_a_server_that_stops_does_not_wait_for_all_of_them(self):
        for _ in range(50):
            self.post("/v1/verify", {}, want=202)
        self.server.stop()
        self.server.start()
        self.assertEqual(self.get("/v1/jobs").json, {"jobs": []})

    def test_the_newest_hundred_are_kept(self):
        jobs = [self.post("/v1/verify", {"scope": "newest", "newest": 1}, want=None)
                for _ in range(110)]
        self.assertEqual({job.code for job in jobs if job.status != 202} - {"busy"}, set())
        taken = [job for job in jobs if job.status == 202]
        self.finish(taken[-1], seconds=60)
        self.result_id("admin")
        listed = self.get("/v1/jobs").json["jobs"]
        self.assertEqual(len(listed), 100)
        self.assertEqual([int(job["id"][1:]) for job in listed],
                         sorted((int(job["id"][1:]) for job in listed), reverse=True))
        self.get("/v1/jobs/j1", want=404)


class Purge(Life):
    def make_due(self):
        old = self.write("old.ndjson", "".join(
            json.dumps({"id": f"old{n}", "action": "user.login", "occurred_at": "2020-01-01T00:00:00Z",
                        "actor": {"type": "user", "id": f"u-{n % 2}"}}) + "\n" for n in range(6)))
        self.prepare(["retention", "set", "default_days=30", "--by", "ops"],
                     ["import", "--retain-from", "occurred", old])

    def test_a_preview_changes_nothing_but_is_recorded(self):
        self.make_due()
        result = self.result("/v1/purges", {"dry_run": True})
        self.assertEqual(set(result), set(self.tally("purge", "--dry-run", "--json").json))
        self.assertEqual((result["dry_run"], result["due"], result["purged"], result["seq"]),
                         (True, 6, 6, None))
        self.get("/v1/events/old1")
        self.assertTrue(self.events("tally.purge")[0]["metadata"]["dry_run"])

    def test_what_is_due_goes_but_what_is_held_stays(self):
        self.make_due()
        self.post("/v1/holds", {"hold": "case-7", "filter": {"id": ["old0", "old2"]}}, want=201)
        self.assertEqual(self.result("/v1/purges", {"before": "2019-06-01"})["purged"], 0)
        result = self.result("/v1/purges", {"reason": "yearly", "ticket": "T-1"})
        self.assertEqual((result["dry_run"], result["due"], result["held"], result["purged"]),
                         (False, 6, 2, 4))
        self.assertEqual(self.get(f"/v1/records/{result['seq']}").json["kind"], "purge")
        kept = {item["id"] for item in self.get("/v1/events?action=user.login").json["items"]}
        self.assertEqual(kept, {"e0", "e1", "e2", "e3", "old0", "old2"})
        event = self.events("tally.purge")[0]
        self.assertRegex(event["actor"]["id"], r"^token:\w{8} \(admin\)$")
        self.assertEqual(self.result("/v1/verify", {})["verdict"], "VERIFIED")

    def test_what_cannot_be_recorded_is_not_done(self):
        self.make_due()
        problem = self.problem("/v1/purges", {"reason": "x" * 4097})
        self.assertEqual((problem["code"], problem["status"]), ("too_long", 422))
        self.assertEqual(self.get("/v1/count?id=old1").json["count"], 1)

    def test_one_at_a_time_whoever_does_it(self):
        with open(self.ledger / "removal.lock", "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            problem = self.problem("/v1/purges", {})
        self.assertEqual((problem["code"], problem["status"], problem["detail"]),
                         ("busy", 409, "another purge or erasure is at work"))
        self.result("/v1/purges", {})

    def test_wrong_bodies(self):
        for body, code in [({"dry_run": "yes"}, "bad_type"), ({"dryrun": True}, "unknown_member"),
                           ({"before": "yesterday"}, "bad_value"), ({"before": 5}, "bad_type"),
                           ({"before": "2026-02-30"}, "bad_value"), ({"before": ""}, "bad_value"),
                           ({"before": "2026-01-01T00:00:00Z"}, "bad_value"),
                           ({"reason": 1}, "bad_type"), ("x", "bad_type")]:
            self.refuse("/v1/purges", body, code)
        self.assertEqual(self.events("tally.purge"), [])


class Holds(Life):
    def test_holds_come_and_go(self):
        dry = self.post("/v1/holds", {"hold": "case-7", "filter": {"actor_id": ["u-1"]},
                                      "dry_run": True}).json
        self.assertEqual((dry["hold"], dry["dry_run"], dry["records"], dry["seq"]),
                         ("case-7", True, 2, None))
        self.assertEqual(self.get("/v1/holds").json, {"holds": []})
        made = self.post("/v1/holds", {"hold": "case-7", "filter": {"actor_id": "u-1"},
                                       "expires_at": "2099-01-01T00:00:00Z", "reason": "suit 17",
                                       "ticket": "T-9"}, want=201).json
        self.assertEqual(set(made), {"hold", "dry_run", "records", "ranges", "seq"})
        self.assertEqual((made["records"], made["dry_run"]), (2, False))
        listed = self.get("/v1/holds", "reader").json
        hold = listed["holds"][0]
        self.assertEqual((hold["hold"], hold["active"], hold["records"], hold["reason"],
                          hold["expires_at"], hold["set_seq"], hold["released_at"]),
                         ("case-7", True, 2, "suit 17", "2099-01-01T00:00:00.000000Z", made["seq"],
                          None))
        self.assertRegex(hold["by"], r"^token:\w{8} \(admin\)$")
        self.assertEqual(listed, self.tally("hold", "list", "--json").json)
        gone = self.call("DELETE", "/v1/holds/case-7", body={"reason": "settled"}).json
        self.assertEqual(gone, {"hold": "case-7", "released": True})
        self.assertFalse(self.get("/v1/holds").json["holds"][0]["active"])
        self.assertEqual(len(self.events("tally.hold.set")), 1)
        self.assertEqual(len(self.events("tally.hold.release")), 1)

    def test_ranges_and_all(self):
        made = self.post("/v1/holds", {"hold": "c/1", "ranges": [[0, 1], [3, 3]]}, want=201).json
        self.assertEqual((made["records"], made["ranges"]), (3, 2))
        every = self.post("/v1/holds", {"hold": "c/2", "all": True}, want=201).json
        self.assertGreater(every["records"], 4)
        self.assertEqual(self.call("DELETE", "/v1/holds/c%2F1").json["hold"], "c/1")

    def test_a_hold_has_one_life(self):
        self.post("/v1/holds", {"hold": "c-1", "all": True}, want=201)
        self.call("DELETE", "/v1/holds/c-1")
        self.assertEqual(self.call("DELETE", "/v1/holds/c-1", want=None).status // 100, 4)
        self.assertEqual(self.post("/v1/holds", {"hold": "c-1", "all": True}, want=None).status // 100,
                         4)
        self.assertEqual(self.call("DELETE", "/v1/holds/c-2", want=404).code, "not_found")

    def test_wrong_bodies(self):
        for body, code in [({}, "missing"), ({"all": True}, "missing"), ({"hold": "c"}, "missing"),
                           ({"hold": "c", "all": False}, "missing"),
                           ({"hold": "c", "filter": {}}, "missing"),
                           ({"hold": "c", "filter": []}, "bad_type"),
                           ({"hold": "c", "filter": "all"}, "bad_type"),
                           ({"hold": "c", "filter": {"actor_id": []}}, "bad_value"),
                           ({"hold": "c", "filter": {"actor_id": None}}, "bad_type"),
                           ({"hold": "c", "filter": {"actor_id": 5}}, "bad_type"),
                           ({"hold": "c", "filter": {"colour": "x"}}, "unknown_filter"),
                           ({"hold": "c", "filter": {"id": "e1"}, "all": True}, "bad_value"),
                           ({"hold": "c", "filter": {"id": "nobody"}}, "not_found"),
                           ({"hold": "c", "all": 1}, "bad_type"),
                           ({"hold": "", "all": True}, "bad_value"),
                           ({"hold": "a b", "all": True}, "bad_value"),
                           ({"hold": 5, "all": True}, "bad_type"),
                           ({"hold": "c", "all": True, "expires_at": "soon"}, "bad_type"),
                           ({"hold": "c", "all": True, "note": ""}, "unknown_member"),
                           ({"hold": "c", "ranges": []}, "bad_value"),
                           ({"hold": "c", "ranges": [1, 2]}, "bad_value"),
                           ({"hold": "c", "ranges": [[1]]}, "bad_value"),
                           ({"hold": "c", "ranges": [[1, 2, 3]]}, "bad_value"),
                           ({"hold": "c", "ranges": [[2, 1]]}, "bad_value"),
                           ({"hold": "c", "ranges": [[-1, 1]]}, "bad_value"),
                           ({"hold": "c", "ranges": [["0", "1"]]}, "bad_value"),
                           ({"hold": "c", "ranges": [[0, 1.5]]}, "bad_value"),
                           ({"hold": "c", "ranges": [[0, 2], [2, 3]]}, "bad_value"),
                           ({"hold": "c", "ranges": "0-1"}, "bad_value")]:
            self.refuse("/v1/holds", body, code)
        self.refuse("/v1/holds/c", {"why": "x"}, "unknown_member", "DELETE")
        self.assertEqual(self.get("/v1/holds").json, {"holds": []})


class Erasure(Life):
    WHY = {"reason": "GDPR 17", "ticket": "DSR-9"}

    def test_a_preview_and_then_the_subject_is_gone(self):
        preview = self.result("/v1/erasures", {"subject": "actor:u-0", "dry_run": True})
        self.assertEqual((preview["dry_run"], preview["matched"], preview["erased"], preview["seq"]),
                         (True, 2, 2, None))
        self.get("/v1/events/e0")
        result = self.result("/v1/erasures", {"subject": "actor:u-0", **self.WHY})
        self.assertEqual((result["dry_run"], result["erased"], result["acts"], result["reason"],
                          result["ticket"]), (False, 2, 1, "GDPR 17", "DSR-9"))
        self.assertRegex(result["by"], r"^token:\w{8} \(admin\)$")
        self.assertRegex(result["sealed_at"], r"^20\d\d-")
        shown = self.tally("erase", "--subject", "actor:u-1", "--dry-run", "--json").json
        self.assertEqual(set(result), set(shown))
        self.assertEqual(result["not_reached"], shown["not_reached"])
        self.assertEqual(self.get("/v1/count?actor_id=u-0").json["count"], 0)
        self.assertEqual(self.events("tally.erase")[0]["metadata"]["erased"], 2)
        self.assertEqual(self.result("/v1/verify", {})["verdict"], "VERIFIED")

    def test_by_id_and_by_filter(self):
        self.assertEqual(self.result("/v1/erasures", {"id": "e1", **self.WHY})["erased"], 1)
        body = {"filter": {"actor_id": ["u-0"], "action": "user.login"}, **self.WHY}
        self.assertEqual(self.result("/v1/erasures", body)["erased"], 2)

    def test_members_have_to_be_erasable(self):
        problem = self.problem("/v1/erasures", {"id": "e1", "members": ["/actor/id"], **self.WHY})
        self.assertEqual((problem["code"], problem["status"]), ("not_erasable", 422))

    def test_what_is_held_is_kept(self):
        self.post("/v1/holds", {"hold": "case-7", "filter": {"id": "e0"}}, want=201)
        problem = self.problem("/v1/erasures", {"id": "e0", **self.WHY})
        self.assertEqual((problem["code"], problem["status"]), ("on_hold", 409))
        self.assertIn("case-7", problem["detail"])
        result = self.result("/v1/erasures", {"subject": "actor:u-0", **self.WHY})
        self.assertEqual((result["matched"], result["held"], result["erased"]), (2, 1, 1))

    def test_what_is_not_there_is_said(self):
        problem = self.problem("/v1/erasures", {"id": "nobody", **self.WHY})
        self.assertEqual((problem["code"], problem["type"]), ("not_found", "/problems/not_found"))
        problem = self.problem("/v1/erasures", {"filter": {"acton": "user.login"}, **self.WHY})
        self.assertEqual((problem["code"], problem["status"]), ("unknown_filter", 400))

    def test_a_second_person(self):
        made = self.tally("approve", "--new-key", "ops.example/anna", "--output", "anna.key",
                          "--json", ledger=False).json
        self.server.stop()
        with open(self.ledger / "keys" / "trust.txt", "a", encoding="utf-8") as file:
            file.write(f"{made['trust_line']}\n#tally approve ERASE\n#tally approve RELEASE\n")
        self.server.start()
        body = {"subject": "actor:u-0", **self.WHY}
        self.result("/v1/erasures", {"dry_run": True, **body})
        problem = self.problem("/v1/erasures", body)
        self.assertEqual((problem["code"], problem["status"]), ("needs_second_person", 409))
        approval = self.sign(problem["request"])
        self.assertEqual(self.result("/v1/erasures", {"approval": approval, **body})["erased"], 2)
        self.post("/v1/holds", {"hold": "c-1", "all": True}, want=201)
        refused = self.call("DELETE", "/v1/holds/c-1", want=409)
        self.assertEqual((refused.code, refused.json["status"]), ("needs_second_person", 409))
        self.assertEqual(refused.json["instance"], refused.headers["x-request-id"])
        approval = self.sign(refused.json["request"])
        self.call("DELETE", "/v1/holds/c-1", body={"approval": approval})

    def sign(self, request):
        self.write("request", request)
        self.tally("approve", "--key", "anna.key", "--output", "approval", "--yes", "request",
                   ledger=False)
        approval = (self.dir / "approval").read_text()
        (self.dir / "approval").unlink()
        return approval

    def test_wrong_bodies(self):
        for body, code in [({}, "missing"), ({"id": "e1"}, "missing"),
                           ({"reason": "x", "id": "e1", "subject": "actor:u-1"}, "bad_value"),
                           ({"reason": "x", "id": "e1", "filter": {"id": "e1"}}, "bad_value"),
                           ({"reason": "x", "filter": {}}, "missing"),
                           ({"reason": "x", "filter": []}, "bad_type"),
                           ({"reason": "x", "filter": {"action": "user.login", "actor_id": []}},
                            "bad_value"),
                           ({"reason": "x", "filter": {"action": "user.login", "actor_id": None}},
                            "bad_type"),
                           ({"reason": "x", "id": 5}, "bad_type"),
                           ({"reason": "x", "id": None}, "bad_type"),
                           ({"reason": "x", "id": "e1", "members": []}, "missing"),
                           ({"reason": "x", "id": "e1", "members": [1]}, "bad_type"),
                           ({"reason": "x", "id": "e1", "dry_run": "no"}, "bad_type"),
                           ({"reason": "x", "id": "e1", "dry-run": True}, "unknown_member"),
                           ({"reason": None, "id": "e1"}, "bad_type"),
                           ({"reason": "x", "id": "e1", "dry_run": None}, "bad_type")]:
            self.refuse("/v1/erasures", body, code)
        self.assertEqual(self.get("/v1/jobs").json, {"jobs": []})
        self.assertEqual(self.get("/v1/count?action=user.login").json["count"], 4)


class Standing(Life):
    def test_retention_is_what_the_command_line_says(self):
        self.assertEqual(self.get("/v1/retention", "reader").json,
                         self.tally("retention", "show", "--json").json)

    def test_rules_are_tried_out(self):
        body = {"settings": ["retention.default_days=1", "retention.by_action.user.*=7"]}
        effect = self.post("/v1/retention/test", body, "reader").json
        self.assertEqual(set(effect), {"records", "longer", "shorter", "due_now", "due_30", "held"})
        self.assertGreaterEqual(effect["shorter"], 4)
        self.assertEqual(self.get("/v1/retention").json,
                         self.tally("retention", "show", "--json").json)

    def test_wrong_rules(self):
        for body, code in [({}, "missing"), ({"settings": []}, "missing"),
                           ({"settings": ["default_days=1"]}, "bad_value"),
                           ({"settings": ["retention.default_days"]}, "bad_value"),
                           ({"settings": ["retention.default_days=soon"]}, "bad_value"),
                           ({"settings": ["retention.nothing=1"]}, "bad_value"),
                           ({"settings": ["archive.dir=/tmp"]}, "bad_value"),
                           ({"settings": ["retention.default_days=1"] * 65}, "too_many"),
                           ({"settings": [1]}, "bad_type"), ({"rules": []}, "unknown_member")]:
            self.refuse("/v1/retention/test", body, code)

    def test_status_is_that_of_the_command_line_and_the_servers(self):
        status = self.get("/v1/status", "reader").json
        shown = self.tally("status", "--json").json
        self.assertEqual(set(status) - set(shown), {"server"})
        self.assertEqual(set(shown) - set(status), set())
        self.assertEqual((status["health"], status["origin"]), (shown["health"], shown["origin"]))
        self.assertEqual(set(status["server"]), {"version", "started_at", "sandbox", "requests", "jobs"})
        self.assertGreaterEqual(status["server"]["requests"], 4)
        self.assertEqual(status["server"]["jobs"], 0)

    def test_schedules_and_keys_are_those_of_the_command_line(self):
        self.assertEqual(self.get("/v1/schedules", "reader").json["jobs"][0].keys(),
                         self.tally("schedule", "show", "--json").json["jobs"][0].keys())
        self.assertEqual(self.get("/v1/keys", "reader").json,
                         self.tally("keys", "list", "--json").json)


if __name__ == "__main__":
    main()
