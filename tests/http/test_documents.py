#!/usr/bin/env python3
"""What the server says of itself: openapi.json holds for each reply, /metrics is Prometheus text."""
import pathlib
import re
import unittest

from schemas import Schemas
from server import HttpCase, main

METRIC = re.compile(r"([a-z_]+)(?:\{([a-z]+)=\"([^\"\\]*)\"\})? ([0-9.]+)")


class OpenApi(HttpCase):
    def setUp(self):
        super().setUp()
        self.document = self.get("/openapi.json", None).json
        self.schemas = Schemas(self.document)

    def each_object(self, value):
        if isinstance(value, dict):
            yield value
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (dict, list)):
                yield from self.each_object(item)

    def test_it_is_whole(self):
        self.assertEqual(self.document["openapi"], "3.1.0")
        used = {found["$ref"] for found in self.each_object(self.document) if "$ref" in found}
        for reference in used:
            self.schemas.resolve({"$ref": reference})
        for kind in ("schemas", "parameters", "responses"):
            for name in self.document["components"][kind]:
                self.assertIn(f"#/components/{kind}/{name}", used)
        ids = [operation["operationId"] for _, _, operation in self.schemas.operations()]
        self.assertEqual(len(set(ids)), len(ids))
        for _, path, operation in self.schemas.operations():
            parameters = [self.schemas.resolve(one) for one in operation["parameters"]]
            names = [(one["name"], one["in"]) for one in parameters]
            self.assertEqual(len(set(names)), len(names), path)
            self.assertEqual(re.findall(r"\{(\w+)\}", path),
                             [one["name"] for one in parameters if one["in"] == "path"])

    def test_each_parameter_is_one_that_is_taken(self):
        """With a value that nothing has; what is none is refused by name."""
        for method, path, operation in self.schemas.operations():
            for one in map(self.schemas.resolve, operation["parameters"]):
                if one["in"] != "query" or method != "GET" or path == "/v1/tail":
                    continue
                reply = self.get(f"{path}?{one['name']}=1", want=None)
                self.assertNotIn(reply.code, ("unknown_parameter", "unknown_filter"),
                                 f"{path} {one['name']}")
            if method == "GET" and "{" not in path and path != "/v1/tail":
                by = "by=day&" if path == "/v1/stats" else ""
                reply = self.get(f"{path}?{by}nonsense=1", want=400)
                self.assertIn(reply.code, ("unknown_parameter", "unknown_filter"), path)

    def test_each_reply_is_as_it_says(self):
        receipt = self.record(id="a", tenant_id="t", actor={"type": "user", "id": "u", "name": "n"},
                              targets=[{"type": "x", "id": "y"}], tags=["g"])
        self.record(id="b", reason="why")
        done = self.post("/v1/verify", {}, want=202)
        self.assertEqual(self.schemas.wrong_reply("POST", "/v1/verify", done), [])
        self.finish(done)
        self.post("/v1/holds", {"hold": "h", "all": True, "reason": "r"}, want=None)
        job_schema = self.document["components"]["schemas"]["Job"]
        findings = []
        for method, path, body, template in [
                ("GET", "/v1/events", None, None), ("GET", "/v1/events?count=exact&limit=1", None, None),
                ("GET", "/v1/events/a", None, "/v1/events/{id}"),
                ("GET", "/v1/events/none", None, "/v1/events/{id}"),
                ("GET", f"/v1/records/{receipt['seq']}", None, "/v1/records/{seq}"),
                ("GET", "/v1/records/0", None, "/v1/records/{seq}"),
                ("GET", "/v1/events/a/proof", None, "/v1/events/{id}/proof"),
                ("GET", f"/v1/records/{receipt['seq']}/proof", None, "/v1/records/{seq}/proof"),
                ("GET", "/v1/events/a/opening", None, "/v1/events/{id}/opening"),
                ("GET", "/v1/records/0/opening", None, "/v1/records/{seq}/opening"),
                ("POST", "/v1/events", {"action": "a.b"}, None),
                ("POST", "/v1/events?ack=queued", {"action": "a.b"}, None),
                ("POST", "/v1/events", [{"action": "a.b"}, {"action": "a.b"}], None),
                ("POST", "/v1/events", [{"action": "a.b"}, {"id": "a", "action": "a.b"}], None),
                ("POST", "/v1/events", [{"action": "a b"}, {"action": 1}], None),
                ("GET", "/v1/count", None, None), ("GET", "/v1/stats?by=action", None, None),
                ("GET", "/v1/stats?by=action&by_day=true", None, None),
                ("GET", "/v1/stats?by=action&bucket=hour", None, None),
                ("GET", "/v1/stats?by=hour", None, None), ("GET", "/v1/stats?by=day", None, None), ("GET", "/v1/checkpoint", None, None),
                ("GET", "/v1/sources", None, None),
                ("GET", "/v1/consistency?from=1", None, None), ("GET", "/v1/trust", None, None),
                ("POST", "/v1/config/reload", None, None),
                ("GET", "/tlog/checkpoint", None, None),
                ("GET", "/tlog/checkpoints/1", None, "/tlog/checkpoints/{size}"),
                ("GET", "/tlog/tile/0/000.p/1", None, "/tlog/tile/{tile}"),
                ("GET", "/v1/verify/last", None, None), ("GET", "/v1/jobs", None, None),
                ("GET", f"/v1/jobs/{done.json['id']}", None, "/v1/jobs/{id}"),
                ("DELETE", "/v1/jobs/j99", None, "/v1/jobs/{id}"),
                ("GET", "/v1/retention", None, None),
                ("POST", "/v1/retention/test", {"settings": ["retention.default_days=90"]}, None),
                ("POST", "/v1/purges", {"dry_run": True}, None),
                ("POST", "/v1/erasures", {"id": "a", "dry_run": True, "reason": "r"}, None),
                ("GET", "/v1/holds", None, None),
                ("POST", "/v1/holds", {"hold": "i", "all": True, "dry_run": True}, None),
                ("POST", "/v1/holds", {"hold": "i", "all": True, "reason": "r"}, None),
                ("DELETE", "/v1/holds/i", {"reason": "r"}, "/v1/holds/{hold}"),
                ("GET", "/v1/holds", None, None),
                ("GET", "/v1/tokens", None, None),
                ("POST", "/v1/tokens", {"name": "n", "role": "reader"}, None),
                ("DELETE", "/v1/tokens/" + self.tokens["writer"][6:14], None, "/v1/tokens/{id}"),
                ("POST", "/v1/viewer-links", {"all_tenants": True, "filter": {"action": "a"}}, None),
                ("GET", "/v1/whoami", None, None), ("GET", "/v1/status", None, None),
                ("GET", "/v1/schedules", None, None), ("GET", "/v1/keys", None, None),
                ("GET", "/healthz", None, None), ("GET", "/readyz", None, None),
                ("GET", "/version", None, None), ("GET", "/metrics", None, None),
                ("GET", "/openapi.json", None, None),
                ("GET", "/problems/bad_json", None, "/problems/{code}"),
                ("GET", "/ui/index.html", None, "/ui/{file}"),
                ("DELETE", "/v1/holds/h", {"reason": "r"}, "/v1/holds/{hold}"),
                ("POST", "/v1/erasures", {"id": "b", "members": ["/reason"], "reason": "r"}, None),
                ("GET", "/v1/events/b", None, "/v1/events/{id}"),
                ("GET", "/v1/events/b/opening", None, "/v1/events/{id}/opening"),
                ("POST", "/v1/erasures", {"id": "a", "reason": "r"}, None),
                ("GET", f"/v1/records/{receipt['seq']}", None, "/v1/records/{seq}"),
                ("GET", f"/v1/records/{receipt['seq']}/opening", None, "/v1/records/{seq}/opening"),
                ("GET", "/v1/events?kind=all&limit=1000", None, None),
                ("POST", "/v1/exports", {"format": "ndjson", "filter": {"action": ["a.*"]}}, None),
                ("POST", "/v1/exports", {"format": "bundle", "reason": "r"}, None),
                ("POST", "/v1/exports", {"format": "none"}, None),
                ("GET", "/v1/jobs/j1/file", None, "/v1/jobs/{id}/file"),
                ("GET", "/v1/exports?format=csv", None, None),
                ("GET", "/v1/exports?format=json", None, None),
                ("GET", "/v1/exports?format=ndjson", None, None)]:
            reply = self.call(method, path, body=body, want=None)
            wrong = self.schemas.wrong_reply(method, template or path.partition("?")[0], reply)
            if reply.status == 202 and "state" in reply.json:
                wrong += self.schemas.wrong(self.finish(reply), job_schema)
            findings += [f"{method} {path}: {line}" for line in wrong]
        self.assertEqual(findings, [])
        control = self.get("/v1/records/0", want=406,
                           headers={"Accept": "application/vnd.tally.canonical"})
        self.assertEqual(control.code, "not_acceptable")
        gone = self.get("/v1/events/a", want=None)
        self.assertEqual(gone.status, 404)
        gone = self.get(f"/v1/records/{receipt['seq']}", want=410,
                        headers={"Accept": "application/vnd.tally.canonical"})
        self.assertEqual((gone.code, gone.json["state"]), ("gone", "erased"))
        self.assertEqual(self.schemas.wrong_reply("GET", "/v1/records/{seq}", gone), [])

    def test_each_problem_has_its_page(self):
        text = (pathlib.Path(__file__).parents[2] / "docs" / "http-api.md").read_text()
        table = text.partition("| status | code |")[2].partition("\n\n")[0]
        for code in re.findall("`([a-z_]+)`", table):
            if code not in ("state",):
                self.assertEqual(self.get(f"/problems/{code}", None).json["code"], code)


class Metrics(HttpCase):
    def figures(self):
        """{(name, value of its label): figure}; checks the form meanwhile."""
        reply = self.get("/metrics")
        self.assertEqual(reply.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        types, helped, figures = {}, set(), {}
        for line in reply.text.splitlines():
            if line.startswith("# HELP "):
                helped.add(line.split()[2])
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                self.assertNotIn(name, types)
                types[name] = kind
            else:
                match = METRIC.fullmatch(line)
                self.assertIsNotNone(match, line)
                name, _, label, figure = match.groups()
                base = re.sub("_(bucket|sum|count)$", "", name)
                base = base if types.get(base) == "histogram" else name
                self.assertIn(base, types)
                self.assertNotIn((name, label), figures)
                figures[name, label] = float(figure)
        self.assertEqual(helped, set(types))
        for name, kind in types.items():
            self.assertTrue(name.startswith("tally_"))
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
        return figures

    def test_figures_follow_what_happens(self):
        before = self.figures()
        self.record(id="a")
        self.call("POST", "/v1/events", body={"id": "a", "action": "user.login",
                                              "actor": {"type": "user", "id": "u1"}})
        self.post("/v1/events", {"id": "a", "action": "other.thing"}, want=409)
        self.get("/v1/tokens", None, want=401)
        self.get("/v1/tokens", "reader", want=403)
        after = self.figures()

        def grew(name, label=None):
            return after[name, label] - before[name, label]

        self.assertEqual(grew("tally_events_recorded_total"), 1)
        self.assertEqual(grew("tally_events_duplicate_total"), 1)
        self.assertEqual(grew("tally_events_conflict_total"), 1)
        self.assertEqual(grew("tally_http_refused_total"), 2)
        self.assertEqual(grew("tally_http_requests_total", "4xx"), 3)
        self.assertEqual(grew("tally_http_requests_total", "5xx"), 0)
        self.assertEqual(grew("tally_http_request_duration_seconds_count"),
                         sum(grew("tally_http_requests_total", f"{n}xx") for n in range(1, 6)))
        self.assertGreaterEqual(grew("tally_ledger_records"), 1)
        self.assertEqual(after["tally_recording", None], 1)
        self.assertGreaterEqual(after["tally_http_connections", None], 1)
        self.assertGreater(after["tally_disk_free_bytes", None], 0)

    def test_a_histogram_only_rises(self):
        for _ in range(5):
            self.get("/v1/count")
        figures = self.figures()
        name = "tally_http_request_duration_seconds"
        buckets = [(float(label.replace("+Inf", "inf")), figure)
                   for (base, label), figure in figures.items() if base == name + "_bucket"]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual([figure for _, figure in buckets], sorted(figure for _, figure in buckets))
        self.assertEqual(buckets[-1], (float("inf"), figures[name + "_count", None]))
        self.assertGreater(figures[name + "_sum", None], 0)

    def test_what_never_was_has_no_age(self):
        figures = self.figures()
        self.assertNotIn(("tally_verification_age_seconds", None), figures)
        self.assertNotIn(("tally_anchor_age_seconds", None), figures)
        self.assertEqual(figures["tally_verification_verdict", "unknown"], 1)
        self.server.stop()
        self.tally("schedule", "run", "verify")
        self.server.start()
        figures = self.figures()
        self.assertLess(figures["tally_verification_age_seconds", None], 60)
        self.assertEqual(sum(figures["tally_verification_verdict", word] for word in
                             ("unknown", "verified", "tampered", "unverifiable")), 1)
        self.assertEqual(figures["tally_verification_verdict", "unknown"], 0)


if __name__ == "__main__":
    main()
