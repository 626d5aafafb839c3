#!/usr/bin/env python3
"""Requests made from openapi.json, right ones and wrong ones: each reply is one that the document
tells of, nothing fails inside, and the ledger is whole afterwards. TALLY_SEED repeats a run."""
import http.client
import itertools
import json
import os
import pathlib
import random
import re
import unittest
from urllib.parse import quote

from schemas import Schemas
from server import ROLES, HttpCase, Reply, main

SEED = int(os.environ.get("TALLY_SEED", "2026"))
PAIRS = 12  # of parameters or members, for each operation
MAX = 2**64
LONG = "x" * 3000
DOCS = pathlib.Path(__file__).parents[2] / "docs"

# What is right for names that the document has no enum for.
TIMES = ["2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001+02:00", "-24h", "now"]
RIGHT = {"severity_min": ["low", "critical"], "severity": ["high"], "outcome": ["success"],
         "kind": ["all", "event"], "state": ["present"], "by": ["action", "day", "actor_id"],
         "ip": ["10.0.0.1"], "transport": ["http"], "marks": [],
         "cursor": [], "size": [], "from": TIMES, "to": TIMES, "until": TIMES,
         "recorded_from": TIMES, "recorded_to": TIMES}
WRONG = {"by": ["", "nonsense"], "cursor": ["", "x", "!", LONG], "severity_min": ["", "highest"],
         "kind": ["nonsense"], "state": ["nonsense"], "marks": ["x"],
         **dict.fromkeys(["from", "to", "until", "recorded_from", "recorded_to"],
                         ["", "yesterday", "2026-13-01", "-24", "24h-", LONG])}
PATHS = ["none", "%20", LONG, "-1", "1.5", str(10 * MAX), "%ff", "..", "%2e%2e", "a%00b", "%", "%zz",
         "*", "a%2Fb", "%0d%0a"]
# What the rest of a body is while one member of it is tried.
BODIES = {"POST /v1/events": {"action": "a.b"}, "POST /v1/verify": {},
          "POST /v1/retention/test": {"settings": ["retention.default_days=90"]},
          "POST /v1/purges": {"dry_run": True},
          "POST /v1/holds": {"hold": "g", "all": True, "dry_run": True},
          "DELETE /v1/holds/{hold}": {},
          "POST /v1/erasures": {"id": "a", "dry_run": True, "reason": "r"},
          "POST /v1/tokens": {"name": "n", "role": "reader"},
          "POST /v1/exports": {"format": "ndjson"},
          "POST /v1/viewer-links": {"all_tenants": True}}
TYPES = {"null": None, "boolean": True, "integer": 7, "number": 1.5, "string": "x", "array": [],
         "object": {}}
NO_BODY = [b"x", b"[", b"[]", b"1", b"null", b'"text"', b"{", b'{"a":}', b"{}{}", b"\xff", b"\x00",
           b'{"a":1,"a":1}', b"[" * 5000, b'{"a":' * 5000, b'{"\\ud800":1}']


class Case:
    """One request. `want` is "good" (2xx, 3xx), "bad" (4xx), a status, or None: any that is told of."""

    def __init__(self, method, template, path, *, role="admin", query=(), body=None, want=None,
                 headers=None):
        self.method, self.template, self.role, self.want = method, template, role, want
        text = "&".join(f"{quote(name, safe='')}={value if raw else quote(value, safe='')}"
                        for name, value, raw in query)
        self.path = path + ("?" + text if text else "")
        self.body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = headers or {}
        if self.body is not None and "Content-Type" not in self.headers:
            self.headers = {**self.headers, "Content-Type": "application/json"}

    def __str__(self):
        return f"{self.role} {self.method} {self.path[:120]} {(self.body or b'')[:120]!r} " \
               f"{self.headers}"

    def is_met(self, status):
        if self.want == "good":
            return status < 400
        if self.want == "bad":
            return 400 <= status < 500
        return self.want in (None, status)


class Generated(HttpCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.connections = {}
        self.addCleanup(self.close_all)
        self.tokens["tenant"] = self.token("admin", "acme")
        self.schemas = Schemas(self.get("/openapi.json", None).json)
        self.record(id="a", tenant_id="acme", targets=[{"type": "x", "id": "y"}], reason="why")
        self.record(id="b", severity="high")
        self.post("/v1/holds", {"hold": "h", "all": True, "reason": "r"}, want=201)
        job = self.finish(self.post("/v1/verify", {}, want=202))
        self.args = {"{id}": "a", "{seq}": "1", "{hold}": "none", "{code}": "bad_json",
                     "{file}": "index.html", "{size}": "1", "{tile}": "0/000.p/1", "/v1/jobs/{id}": job["id"],
                     "/v1/tokens/{id}": "00000000"}

    # ---- sending

    def close_all(self):
        for connection in self.connections.values():
            connection.close()

    def connection(self, role):
        if role not in self.connections:
            self.connections[role] = http.client.HTTPConnection(*self.server.address, timeout=30)
        return self.connections[role]

    def send(self, case):
        """On the connection of its role; a stream that may not end is left after its header."""
        headers = dict(case.headers)
        if case.role is not None:
            headers["Authorization"] = "Bearer " + self.tokens[case.role]
        connection = self.connection(case.role)
        connection.request(case.method, case.path, case.body, headers)
        reply = connection.getresponse()
        names = {name.lower(): value for name, value in reply.getheaders()}
        is_tail = names.get("content-type") == "text/event-stream"
        got = Reply(reply.status, names, b"" if is_tail else reply.read())
        if is_tail:
            connection.close()
        return got

    # ---- judging

    def wrong(self, case, reply):
        if not case.is_met(reply.status):
            yield f"{reply.status}, want {case.want}: {reply.body[:200]!r}"
        if not re.fullmatch("[!-~]{1,128}", reply.headers.get("x-request-id", "")):
            yield "no X-Request-Id"
        if reply.headers.get("x-content-type-options") != "nosniff":
            yield "no nosniff"
        if case.method == "HEAD":
            if reply.body:
                yield "a body"
            return
        if reply.code is not None:
            self.codes.add(reply.code)
            if reply.json["status"] != reply.status:
                yield f"{reply.status}, and its document says {reply.json['status']}"
        elif reply.status >= 400:
            yield f"no problem document with {reply.status}"
        if case.template is not None:
            yield from self.schemas.wrong_reply(case.method, case.template, reply)

    def run_all(self, cases):
        self.codes = set()
        found = []
        for case in cases:
            try:
                reply = self.send(case)
            except (OSError, http.client.HTTPException) as failure:
                self.fail(f"{case}: {failure!r}: {self.server.said[-2000:].decode()}")
            found += [f"{case}: {line}" for line in self.wrong(case, reply)]
            if reply.status == 202 and "state" in reply.json:
                self.finish(reply)
        self.assertEqual(len(found), 0, "\n".join([f"of {len(cases)}, seed {SEED}", *found[:400]]))
        self.check_codes()

    def check_codes(self):
        """Each is one of the server's or of the event model's, and has its place in the documents."""
        text = "".join((DOCS / name).read_text() for name in ("errors.md", "http-api.md"))
        self.assertEqual([code for code in sorted(self.codes) if f"`{code}`" not in text], [])

    def tearDown(self):
        self.get("/healthz", None)
        self.close_all()
        self.server.stop()
        self.assertEqual(self.tally("verify", "--json").json["verdict"], "VERIFIED")
        super().tearDown()

    # ---- making

    def path(self, template, arg=None):
        name = re.search(r"\{\w+\}", template)
        if name is None:
            return template
        right = self.args.get(template) or self.args[name[0]]
        return template.replace(name[0], right if arg is None else arg)

    def parameters(self, operation):
        for one in map(self.schemas.resolve, operation["parameters"]):
            if one["in"] == "query":
                yield one["name"], one

    def rights(self, name, schema):
        if "enum" in schema:
            return schema["enum"]
        kind = schema["type"]
        if kind == "integer" and name not in ("size", "from"):
            least = schema.get("minimum", 0)
            return [str(n) for n in {least, least + 1, schema.get("maximum", least + 2)}]
        if kind == "integer":
            return ["1"]
        return ["true", "false"] if kind == "boolean" else RIGHT.get(name, ["x", "a.*", "\u00e9" * 20])

    def wrongs(self, name, schema):
        kind = schema["type"]
        if kind == "integer":
            most = schema.get("maximum", MAX - 1)
            least = [str(schema["minimum"] - 1)] if schema.get("minimum") else []
            return ["", "-1", "1.5", " 1", "+1", "0x1", "x", "1e1", str(most + 1), LONG, *least]
        if kind == "boolean" or "enum" in schema:
            return ["", "nonsense", "TRUE", "1 ", LONG]
        return WRONG.get(name, [])

    def needed(self, operation, but=None):
        """Parameters without which nothing is right."""
        return [(name, self.rights(name, one["schema"])[0], False)
                for name, one in self.parameters(operation) if one.get("required") and name != but]

    def base(self, method, template):
        return {"body": BODIES.get(f"{method} {template}")}

    def with_query(self, method, template, query, want, **more):
        return Case(method, template, self.path(template), query=query, want=want,
                    **{**self.base(method, template), **more})

    # ---- tests

    def test_roles_and_methods(self):
        cases = []
        methods = {}
        for method, template, operation in self.schemas.operations():
            methods.setdefault(template, []).append(method)
            query = self.needed(operation)
            for role in [None, *ROLES, "tenant"]:
                want = None
                if operation["security"] and role is None:
                    want = 401
                elif role == "tenant" and operation["x-tally-whole"]:
                    want = 403
                cases.append(self.with_query(method, template, query, want, role=role))
            if method == "GET":
                cases.append(Case("HEAD", template, self.path(template), query=query))
        for template, taken in methods.items():
            for method in sorted({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(taken)):
                cases.append(Case(method, None, self.path(template), body=b"{}", want=405))
        cases += [Case("GET", None, path, want=404) for path in ["/v1", "/v1/none", "//", "/V1/events"]]
        self.run_all(cases)

    def test_paths(self):
        cases = []
        for method, template, operation in self.schemas.operations():
            if "{" in template:
                cases += [Case(method, template, self.path(template, arg), want="bad",
                               query=self.needed(operation), **self.base(method, template))
                          for arg in PATHS]
        self.run_all(cases)

    def of_one_parameter(self, method, template, operation):
        needed = self.needed(operation)
        for name, one in self.parameters(operation):
            others = self.needed(operation, name)
            is_list = one["schema"]["type"] == "array"
            for value in self.rights(name, one["schema"]):
                yield self.with_query(method, template, [*others, (name, value, False)], "good")
                twice = [*others, (name, value, False), (name, value, False)]
                yield self.with_query(method, template, twice, None if is_list else "bad")
            for value in self.wrongs(name, one["schema"]):
                yield self.with_query(method, template, [*others, (name, value, False)], "bad")
            for value in ["%ff", "%zz", "%", "%00"]:
                yield self.with_query(method, template, [*others, (name, value, True)], "bad")
            if one.get("required"):
                yield self.with_query(method, template, others, "bad")
        for name in ["nonsense", "", "limit ", "LIMIT", LONG, "Action", "tenant"]:
            yield self.with_query(method, template, [*needed, (name, "1", False)], "bad")

    def of_two_parameters(self, method, template, operation):
        every = [(name, one["schema"]) for name, one in self.parameters(operation)]
        pairs = list(itertools.combinations(every, 2))
        for pair in self.random.sample(pairs, min(PAIRS, len(pairs))):
            query = [(name, self.random.choice(self.rights(name, schema) or ["x"]), False)
                     for name, schema in pair]
            names = [name for name, _, _ in query]
            query += [one for one in self.needed(operation) if one[0] not in names]
            yield self.with_query(method, template, query, None)

    def test_parameters(self):
        cases = []
        for method, template, operation in self.schemas.operations():
            cases += self.of_one_parameter(method, template, operation)
            cases += self.of_two_parameters(method, template, operation)
        self.run_all(cases)

    def bodies(self, method, template, schema):
        """(body, want) of one operation that takes an object."""
        base = BODIES[f"{method} {template}"]
        yield from (({name: value for name, value in base.items() if name != gone}, "bad")
                    for gone in schema.get("required", []) if base.get("dry_run") is None)
        yield from (({**base, name: 1}, "bad") for name in ["nonsense", "", "Reason", LONG, "\u00e9"])
        for name, member in schema["properties"].items():
            member = self.schemas.resolve(member)
            for kind, value in TYPES.items():
                # An event may have null and what is empty for nothing, and short forms (docs/events.md).
                is_lax = template == "/v1/events" and (not value or name in ("id", "source"))
                fits = kind == member["type"] or member["type"] == "array" and kind == "string"
                yield {**base, name: value}, None if fits or is_lax else "bad"
            for value in [LONG * 50, "", "\x00", "\u202e", MAX, -1, {"a": [[]]}, [None], ["x"] * 5000]:
                yield {**base, name: value}, None
            yield from (({**base, name: value}, None) for value in member.get("enum", []))
        names = list(schema["properties"])
        for a, b in self.random.sample(list(itertools.combinations(names, 2)) or [], min(
                PAIRS, len(names) * (len(names) - 1) // 2)):
            yield {**base, a: self.random.choice(list(TYPES.values())),
                   b: self.random.choice(list(TYPES.values()))}, None

    def events(self):
        """Several events, in each way that they may come."""
        one = {"action": "a.b"}
        for ack, want in [("recorded", 201), ("queued", 202)]:
            for body, kind in [(one, "application/json"), ([one], "application/json"),
                               ([one, one], "application/json"),
                               (b'{"action":"a.b"}\n\n{"action":"a.c"}', "application/x-ndjson")]:
                yield self.with_query("POST", "/v1/events", [("ack", ack, False)], want, body=body,
                                      headers={"Content-Type": kind})
            for body in ([], [one, 1], [one, {}], [one, {"action": "tally.x"}], [[one]]):
                yield self.with_query("POST", "/v1/events", [("ack", ack, False)], "bad", body=body)
            for marks, want in [("--", ack), ("tb", ack), ("-", "bad"), ("xx", "bad"), ("---", "bad")]:
                query = [("ack", ack, False), ("marks", marks, False)]
                yield self.with_query("POST", "/v1/events", query, "good" if want == ack else "bad",
                                      body=[one, {**one, "occurred_at": "2026-01-01T00:00:00Z"}])
        for key, want in [("k", 201), ("k" * 100, 201), ("k" * 101, "bad"), ("", "bad")]:
            yield Case("POST", "/v1/events", "/v1/events", body=[one], want=want,
                       headers={"Idempotency-Key": key})

    def test_bodies(self):
        cases = list(self.events())
        for method, template, operation in self.schemas.operations():
            if "requestBody" not in operation:
                continue
            body = operation["requestBody"]
            schema = self.schemas.resolve(body["content"]["application/json"]["schema"])
            schema = self.schemas.resolve(schema.get("oneOf", [schema])[0])
            path = self.path(template)
            cases += [Case(method, template, path, body=value, want=want)
                      for value, want in self.bodies(method, template, schema)]
            cases += [Case(method, template, path, body=value, want="bad") for value in NO_BODY]
            cases.append(Case(method, template, path, body=b"", want="bad" if body["required"] else None))
            cases += [Case(method, template, path, body=BODIES[f"{method} {template}"],
                           headers={"Content-Type": kind}, want=None)
                      for kind in ["text/plain", "application/jsonx", "", "application/x-ndjson",
                                   "application/json; charset=utf-8"]]
        for method, template, operation in self.schemas.operations():
            if "requestBody" not in operation:
                cases.append(Case(method, template, self.path(template), body=b"x" * 2000, want=413))
        self.run_all(cases)


if __name__ == "__main__":
    main()
