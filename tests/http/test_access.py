#!/usr/bin/env python3
"""Who may what: each path for each role, and nothing of one tenant for another."""
import http.client
import json
import re
import time
import unittest

from server import ROLES, HttpCase, Server, main

ACME, OTHER = "acme", "other-7f3a9c"
MARK = "7f3a9c"  # is in every value of the other tenant's events, and nowhere else

# What a path answers to writer, reader, auditor, admin, and then to the same with a tenant.
EACH = "0 0 0 0  0 0 0 0"
WRITE = "0 403 403 0  0 403 403 0"
READ = "403 0 0 0  403 0 0 0"
EXPORT = "403 403 0 0  403 403 0 0"
READ_WHOLE = "403 0 0 0  403 403 403 403"
AUDIT_WHOLE = "403 403 0 0  403 403 403 403"
ADMIN_WHOLE = "403 403 403 0  403 403 403 403"

EVENT = {"action": "user.login", "tenant_id": ACME}
# Path, body, what those get who may (0 above), whether it needs no token.
TABLE = {
    "POST /v1/events": (WRITE, "/v1/events", EVENT, 201, False),
    "GET /v1/events": (READ, "/v1/events", None, 200, False),
    "GET /v1/events/{id}": (READ, "/v1/events/a1", None, 200, False),
    "GET /v1/events/{id}/proof": (READ, "/v1/events/a1/proof", None, 200, False),
    "GET /v1/events/{id}/opening": (READ, "/v1/events/a1/opening", None, 200, False),
    "GET /v1/records/{seq}": (READ, "/v1/records/SEQ", None, 200, False),
    "GET /v1/records/{seq}/proof": (READ, "/v1/records/SEQ/proof", None, 200, False),
    "GET /v1/records/{seq}/opening": (READ, "/v1/records/SEQ/opening", None, 200, False),
    "GET /v1/count": (READ, "/v1/count", None, 200, False),
    "GET /v1/stats": (READ, "/v1/stats?by=action", None, 200, False),
    "GET /v1/sources": (READ_WHOLE, "/v1/sources", None, 200, False),
    "GET /v1/tail": (READ, "/v1/tail", None, 200, False),
    "GET /v1/exports": (EXPORT, "/v1/exports", None, 200, False),
    "POST /v1/exports": (AUDIT_WHOLE, "/v1/exports", {"format": "csv"}, 202, False),
    "GET /v1/checkpoint": (READ_WHOLE, "/v1/checkpoint", None, 200, False),
    "GET /v1/consistency": (READ_WHOLE, "/v1/consistency?from=1", None, 200, False),
    "GET /v1/trust": (READ_WHOLE, "/v1/trust", None, 200, False),
    "GET /tlog/checkpoint": (READ_WHOLE, "/tlog/checkpoint", None, 200, False),
    "GET /tlog/checkpoints/{size}": (READ_WHOLE, "/tlog/checkpoints/1", None, 200, False),
    "GET /tlog/tile/{tile}": (READ_WHOLE, "/tlog/tile/entries/000.p/1", None, 200, False),
    "POST /v1/verify": (AUDIT_WHOLE, "/v1/verify", {}, 202, False),
    "GET /v1/verify/last": (AUDIT_WHOLE, "/v1/verify/last", None, 200, False),
    "GET /v1/jobs": (AUDIT_WHOLE, "/v1/jobs", None, 200, False),
    "GET /v1/jobs/{id}": (AUDIT_WHOLE, "/v1/jobs/j999", None, 404, False),
    "DELETE /v1/jobs/{id}": (AUDIT_WHOLE, "/v1/jobs/j999", None, 404, False),
    "GET /v1/jobs/{id}/file": (AUDIT_WHOLE, "/v1/jobs/j999/file", None, 404, False),
    "GET /v1/retention": (READ_WHOLE, "/v1/retention", None, 200, False),
    "POST /v1/retention/test": (READ_WHOLE, "/v1/retention/test",
                                {"settings": ["retention.default_days=90"]}, 200, False),
    "POST /v1/purges": (ADMIN_WHOLE, "/v1/purges", {"dry_run": True}, 202, False),
    "GET /v1/holds": (READ_WHOLE, "/v1/holds", None, 200, False),
    "POST /v1/holds": (ADMIN_WHOLE, "/v1/holds", {"hold": "h", "all": True, "dry_run": True}, 200,
                       False),
    "DELETE /v1/holds/{hold}": (ADMIN_WHOLE, "/v1/holds/none", None, 404, False),
    "POST /v1/erasures": (ADMIN_WHOLE, "/v1/erasures",
                          {"id": "a1", "dry_run": True, "reason": "test"}, 202, False),
    "GET /v1/tokens": (ADMIN_WHOLE, "/v1/tokens", None, 200, False),
    "POST /v1/tokens": (ADMIN_WHOLE, "/v1/tokens", {"name": "n", "role": "reader"}, 201, False),
    "DELETE /v1/tokens/{id}": (ADMIN_WHOLE, "/v1/tokens/00000000", None, 404, False),
    "POST /v1/config/reload": (ADMIN_WHOLE, "/v1/config/reload", None, 200, False),
    "POST /v1/viewer-links": (READ, "/v1/viewer-links", {"tenants": [ACME]}, 201, False),
    "GET /v1/whoami": (EACH, "/v1/whoami", None, 200, False),
    "GET /v1/status": (READ_WHOLE, "/v1/status", None, 200, False),
    "GET /v1/schedules": (READ_WHOLE, "/v1/schedules", None, 200, False),
    "GET /v1/keys": (READ_WHOLE, "/v1/keys", None, 200, False),
    "GET /healthz": (EACH, "/healthz", None, 200, True),
    "GET /readyz": (EACH, "/readyz", None, 200, True),
    "GET /version": (EACH, "/version", None, 200, True),
    "GET /metrics": (READ_WHOLE, "/metrics", None, 200, False),
    "GET /openapi.json": (EACH, "/openapi.json", None, 200, True),
    "GET /problems/{code}": (EACH, "/problems/bad_json", None, 200, True),
    "GET /": (EACH, "/", None, 302, True),
    "GET /ui/{file}": (EACH, "/ui/index.html", None, 200, True),
}
# What a viewer link may ask for, besides what needs no token.
FOR_LINKS = {"GET /v1/events", "GET /v1/events/{id}", "GET /v1/events/{id}/proof", "GET /v1/count",
             "GET /v1/records/{seq}", "GET /v1/records/{seq}/proof", "GET /v1/whoami"}


class Access(HttpCase):
    """Two tenants, and an event of nobody's. Refusals come as fast as they can."""

    options = ("--set", "server.rate_per_address=0")

    def setUp(self):
        super().setUp()
        for role in ROLES:
            self.tokens[role + "@acme"] = self.token(role, ACME)
        self.tokens["reader@third"] = self.token("reader", "third")
        for n in (1, 2):
            self.record(id=f"a{n}", action="door.open", tenant_id=ACME, metadata={"n": n})
        for n in (1, 2, 3):
            self.record(id=f"o{n}-{MARK}", action=f"door.{MARK}", tenant_id=OTHER,
                        actor={"type": f"t{MARK}", "id": f"u{MARK}", "name": f"n{MARK}"},
                        targets=[{"type": f"t{MARK}", "id": f"x{MARK}"}], severity="critical",
                        source={"service": f"s{MARK}", "host": f"h{MARK}"}, reason=f"why {MARK}",
                        tags=[f"g{MARK}"], metadata={"m": f"m {MARK}"})
        self.record(id="nobody", action="door.shut", metadata={"m": MARK})
        self.seqs = {item["id"]: item["seq"] for item in
                     self.get("/v1/events?limit=100").json["items"]}

    def expired(self):
        """A token whose time is over. The server reads the file again by itself."""
        text = self.token("admin", name="expired")
        path = self.ledger / "tokens.json"
        tokens = json.loads(path.read_text())
        tokens["tokens"][-1]["expires_at"] = "2020-01-01T00:00:00Z"
        path.write_text(json.dumps(tokens))
        return text

    def revoked(self):
        made = self.post("/v1/tokens", {"name": "x", "role": "admin"}, want=201).json
        self.get("/v1/whoami", made["token"])
        self.call("DELETE", f"/v1/tokens/{made['id']}")
        return made["token"]

    def recorded(self, action, wanted):
        """How many are on record, once those that wait in the spool are."""
        end = time.monotonic() + 20
        count = 0
        while count < wanted and time.monotonic() < end:
            time.sleep(0.1)
            count = self.get(f"/v1/count?action={action}&exact=true").json["count"]
        return count

    def refusals_on_record(self):
        """All of them, one more included: some a second are told one by one, the rest is counted."""
        time.sleep(1.1)
        before = self.get("/v1/count?action=tally.refused&exact=true").json["count"]
        self.get("/v1/tokens", None, want=401)
        self.recorded("tally.refused", before + 1)
        items = self.get("/v1/events?action=tally.refused&limit=1000").json["items"]
        return sum(1 + item["event"]["metadata"].get("others_not_recorded", 0) for item in items)

    def status(self, method, path, token, body):
        """Without the body of the reply, which may never end."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(*self.server.address, timeout=20)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            return connection.getresponse().status
        finally:
            connection.close()


class Matrix(Access):
    def test_the_table_has_every_path(self):
        paths = self.get("/openapi.json", None).json["paths"]
        listed = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
        self.assertEqual(listed, set(TABLE))

    def test_the_document_says_what_the_table_says(self):
        paths = self.get("/openapi.json", None).json["paths"]
        for name, (row, _, _, _, is_open) in TABLE.items():
            method, path = name.split()
            operation = paths[path][method.lower()]
            self.assertEqual(operation["security"] == [], is_open, name)
            self.assertEqual(operation["x-tally-whole"] and not is_open, row.split()[7] == "403",
                             name)

    def test_each_path_for_each_role(self):
        bad = {"expired": self.expired(), "revoked": self.revoked(), "wrong": "tally_" + "0" * 52,
               "short": "x"}
        seq = str(self.seqs["a1"])
        for caller in ("reader", "reader@acme"):
            made = self.post("/v1/viewer-links", {"tenants": [ACME]}, caller, want=201)
            self.tokens["link of " + caller] = made.json["token"]
        callers = ROLES + [role + "@acme" for role in ROLES]
        wrong = []
        refused = 0
        for name, (row, path, body, good, is_open) in TABLE.items():
            method = name.split()[0]
            path = path.replace("SEQ", seq)
            wants = {caller: int(want) or good for caller, want in zip(callers, row.split())}
            for caller in ("link of reader", "link of reader@acme"):
                wants[caller] = good if is_open or name in FOR_LINKS else 403
            wants[None] = good if is_open else 401
            wants.update(dict.fromkeys(bad, 401))
            for caller, want in wants.items():
                token = bad.get(caller) or self.tokens.get(caller)
                got = self.status(method, path, token, body)
                refused += got in (401, 403)
                if got != want:
                    wrong.append(f"{name} as {caller}: {got}, want {want}")
        self.assertEqual(wrong, [])
        self.assertEqual(self.refusals_on_record(), refused + 1)

    def test_a_wrong_token_is_refused_whatever_it_looks_like(self):
        good = self.tokens["admin"]
        for header in [good, "Basic " + good, "Bearer", "Bearer ", f"Bearer {good}x",
                       f"Bearer  {good}", f"Bearer {good[:-1]}", f"Bearer {good} {good}",
                       f"Bearer {good.upper()}", "Bearer " + "a" * 5000]:
            reply = self.server.request("GET", "/v1/whoami", headers={"Authorization": header})
            self.assertEqual((reply.status, reply.code), (401, "unauthenticated"), header)

    def test_methods_that_a_path_does_not_take(self):
        paths = {name.split()[1] for name in TABLE}
        for name in sorted(paths):
            path = next(row[1] for key, row in TABLE.items() if key.split()[1] == name)
            path = path.replace("SEQ", "1")
            for method in ("GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"):
                if f"{method} {name}" not in TABLE:
                    reply = self.call(method, path, want=405)
                    self.assertEqual(reply.code, "method", f"{method} {path}")
                    self.assertEqual(
                        sorted(reply.headers["allow"].split(", ")),
                        sorted({word for key in TABLE if key.split()[1] == name for word in
                                (["GET", "HEAD"] if key.startswith("GET ") else [key.split()[0]])}))

    def test_a_refusal_names_who_and_the_path(self):
        self.get("/v1/tokens", "reader@acme", want=403)
        self.get("/v1/status", None, want=401)
        self.assertEqual(self.recorded("tally.refused", 2), 2)
        items = self.get("/v1/events?action=tally.refused&outcome=failure&limit=2").json["items"]
        nobody, reader = (item["event"] for item in items)
        self.assertEqual(reader["metadata"]["path"], "/v1/tokens")
        self.assertIn(self.tokens["reader@acme"][6:14], reader["actor"]["id"])
        self.assertEqual(nobody["metadata"]["path"], "/v1/status")


class Tenants(Access):
    def unknown(self, path, role="reader@acme"):
        """What is another's must look like what is not there, word for word."""
        reply = self.get(path, role, want=404)
        problem = reply.json
        problem.pop("instance")
        return problem

    def test_a_foreign_record_is_one_that_is_not_there(self):
        nothing = self.unknown("/v1/events/none")
        for id in ["o1-" + MARK, "o3-" + MARK, "nobody"]:
            seq = self.seqs[id]
            for path in [f"/v1/events/{id}", f"/v1/events/{id}/proof", f"/v1/events/{id}/opening",
                         f"/v1/records/{seq}", f"/v1/records/{seq}/proof",
                         f"/v1/records/{seq}/opening"]:
                self.assertEqual(self.unknown(path), nothing, path)
                self.get(path, "reader")
            bytes_ = self.call("GET", f"/v1/events/{id}", "reader@acme", want=404,
                               headers={"Accept": "application/vnd.tally.canonical"})
            self.assertNotIn(MARK.encode(), bytes_.body.replace(id.encode(), b""))
        for path in ["/v1/records/0", "/v1/records/0/opening", "/v1/records/999999",
                     "/v1/records/-1"]:
            self.unknown(path)
        self.get("/v1/events/a1", "reader@third", want=404)

    def searches(self):
        yield ""
        for query in ["action=door.*", "action=tally.*", "action=", "severity=critical",
                      "severity_min=low", "outcome=success", "tag=", "actor_id=", "text=why",
                      "tenant_id=acme", "tenant_id=acme&tenant_id=acme", "seq_from=0",
                      "seq_from=0&seq_to=100000", "from=-24h", "to=now", "recorded_from=-1d",
                      "id=a1", "id=nobody", "state=present"]:
            yield query

    def see(self, path, role="reader@acme"):
        reply = self.get(path, role, want=None)
        self.assertNotIn(MARK.encode(), reply.body, path)
        return reply

    def test_a_search_finds_only_what_is_ones_own(self):
        for query in self.searches():
            for more in ["", "&order=occurred_at", "&dir=asc", "&count=exact", "&count=capped&limit=1",
                         "&offset=1"]:
                reply = self.see(f"/v1/events?{query}{more}".replace("?&", "?"))
                if reply.status == 200:
                    page = reply.json
                    self.assertLessEqual({item["event"]["tenant_id"] for item in page["items"]},
                                         {ACME}, query)
                    self.assertLessEqual(page.get("count", {"value": 0})["value"], 2, query)
                else:
                    self.assertIn(reply.status, (400, 403), query)

    def test_nothing_is_found_where_nothing_is_ones_own(self):
        for query in self.searches():
            reply = self.see(f"/v1/events?count=exact&{query}", "reader@third")
            if reply.status == 200:
                self.assertEqual(reply.json["items"], [], query)
                self.assertEqual(reply.json["count"]["value"], 0, query)

    def test_asking_for_another_tenant_widens_nothing(self):
        for query in [f"tenant_id={OTHER}", "tenant_id=", "tenant_id=*", "tenant_id=other*",
                      "kind=all", "kind=event", "kind=genesis"]:
            for path in ["/v1/events?", "/v1/count?", "/v1/stats?by=action&", "/v1/tail?"]:
                status = self.status("GET", path + query, self.tokens["reader@acme"], None)
                self.assertEqual(status, 403, path + query)
            self.assertEqual(self.status("GET", "/v1/exports?" + query,
                                         self.tokens["auditor@acme"], None), 403)
        page = self.get(f"/v1/events?tenant_id={OTHER}&tenant_id=acme", "reader@acme").json
        self.assertEqual({item["id"] for item in page["items"]}, {"a1", "a2"})
        page = self.get(f"/v1/events?tenant_id=acme&tenant_id={OTHER}&tenant_id=", "reader@acme").json
        self.assertEqual({item["id"] for item in page["items"]}, {"a1", "a2"})

    def test_a_cursor_of_another_opens_nothing(self):
        cursor = self.get("/v1/events?limit=1").json["next"]
        reply = self.see(f"/v1/events?limit=1&cursor={cursor}")
        self.assertEqual((reply.status, reply.code), (400, "bad_cursor"))

    def test_counts_are_of_ones_own(self):
        self.assertEqual(self.get("/v1/count", "reader@acme").json, {"count": 2, "exact": True})
        self.assertEqual(self.get("/v1/count", "reader@third").json, {"count": 0, "exact": True})
        self.assertEqual(self.get("/v1/count", "reader").json["count"], 6)
        for query in self.searches():
            for exact in ["true", "false"]:
                reply = self.see(f"/v1/count?exact={exact}&{query}")
                if reply.status == 200:
                    self.assertLessEqual(reply.json["count"], 2, query)

    def test_statistics_are_of_ones_own(self):
        for by in ["day", "action", "actor_id", "actor_type", "target_type", "outcome", "severity",
                   "service", "host", "tenant_id", "tag", "kind", "state", "id"]:
            for query in ["", "&by_day=true", "&bucket=hour", "&severity_min=low", "&action=door.*"]:
                if by == "day" and query == "&bucket=hour":
                    continue
                reply = self.see(f"/v1/stats?by={by}{query}")
                if reply.status == 200:
                    self.assertEqual(reply.json["total"], 2, by + query)
                    self.assertEqual(reply.json["others"], 0, by + query)

    def test_an_export_holds_what_is_ones_own(self):
        for form in ["ndjson", "json", "csv"]:
            for query in self.searches():
                reply = self.see(f"/v1/exports?format={form}&{query}", "auditor@acme")
                self.assertNotIn(b"nobody", reply.body.replace(b"id=nobody", b"").replace(
                    b'["id","nobody"]', b""), query)
        self.assertIn(b"a1", self.see("/v1/exports?format=csv", "auditor@acme").body)

    def test_a_follower_hears_of_ones_own(self):
        ways = [("/v1/tail?after=0", {}), ("/v1/tail", {"Last-Event-ID": "0"}),
                ("/v1/tail?action=door.*&after=0", {})]
        for number, (path, headers) in enumerate(ways):
            headers["Authorization"] = "Bearer " + self.tokens["reader@acme"]
            connection = http.client.HTTPConnection(*self.server.address, timeout=20)
            connection.request("GET", path, headers=headers)
            stream = connection.getresponse()
            last = f"a-late-{number}"
            self.record(id=f"o-late-{number}-{MARK}", tenant_id=OTHER, action=f"x.{MARK}")
            self.record(id=last, tenant_id=ACME, action="door.last")
            got = b""
            while last.encode() not in got:
                got += stream.read1(65536)
            connection.close()
            self.assertIn(b'"a1"', got)
            self.assertNotIn(MARK.encode(), got)
            self.assertNotIn(b"nobody", got)

    def test_a_follower_is_cut_off_when_its_token_ends(self):
        made = self.post("/v1/tokens", {"name": "x", "role": "reader"}, want=201).json
        connection = http.client.HTTPConnection(*self.server.address, timeout=20)
        connection.request("GET", "/v1/tail?after=0", headers={"Authorization": "Bearer " +
                                                               made["token"]})
        stream = connection.getresponse()
        self.assertIn(b"a1", stream.read1(65536))
        self.call("DELETE", f"/v1/tokens/{made['id']}")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            while stream.read1(65536):
                pass
            raise ConnectionError if stream.isclosed() else AssertionError("it goes on")
        connection.close()

    def test_an_export_is_broken_off_when_its_token_ends(self):
        event = {"action": "door.open", "metadata": {"text": "x" * 30000}}
        for _ in range(6):
            self.post("/v1/events", [event] * 400, want=201)
        made = self.post("/v1/tokens", {"name": "x", "role": "auditor"}, want=201).json
        connection = http.client.HTTPConnection(*self.server.address, timeout=20)
        connection.request("GET", "/v1/exports", headers={"Authorization": "Bearer " + made["token"]})
        stream = connection.getresponse()
        self.assertIn(b"a1", stream.read(65536))
        self.call("DELETE", f"/v1/tokens/{made['id']}")
        time.sleep(2)  # the server waits for us meanwhile, and sees that it need not
        with self.assertRaises(http.client.IncompleteRead):
            while stream.read(65536):
                pass
        self.assertIn(b"export broken off", self.server.said)
        connection.close()

    def test_what_one_may_not_do_is_not_told_either(self):
        for path in ["/v1/status", "/v1/holds", "/v1/retention", "/v1/keys", "/v1/checkpoint",
                     "/v1/jobs", "/v1/verify/last", "/v1/tokens"]:
            reply = self.see(path, "admin@acme")
            self.assertEqual((reply.status, reply.code), (403, "forbidden"), path)

    def write(self, role, body, want, code=None):
        before = self.get("/v1/count?exact=true").json["count"]
        reply = self.post("/v1/events", body, role, want=want)
        after = self.get("/v1/count?exact=true").json["count"]
        self.assertEqual(reply.code, code)
        if want != 201:
            self.assertEqual(after, before, body)
        return reply

    def test_a_writer_writes_for_its_own_tenants(self):
        self.write("writer@acme", {"id": "w1", "action": "a.b"}, 201)
        self.assertEqual(self.get("/v1/events/w1").json["event"]["tenant_id"], ACME)
        self.write("writer@acme", {"id": "w2", "action": "a.b", "tenant_id": ACME}, 201)
        for event in [{"action": "a.b", "tenant_id": OTHER}, {"action": "a.b", "tenant_id": "ACME"},
                      {"action": "a.b", "tenant_id": "acme "}]:
            self.write("writer@acme", event, 422, "policy")
            self.write("writer@acme", [{"action": "a.b"}, event], 422, "policy")
        both = self.token("writer", ACME, "beta")
        self.write(both, {"action": "a.b"}, 422, "policy")
        self.write(both, {"id": "w3", "action": "a.b", "tenant_id": "beta"}, 201)
        reply = self.call("POST", "/v1/events", "writer@acme", want=201,
                          body=b'{"id":"w4","action":"a.b"}\n{"id":"w5","action":"a.b"}\n',
                          headers={"Content-Type": "application/x-ndjson"})
        self.assertEqual(reply.json["count"], 2)
        self.assertEqual(self.get("/v1/events/w5").json["event"]["tenant_id"], ACME)

    def test_an_id_of_another_is_taken_and_no_more_is_said(self):
        reply = self.post("/v1/events", {"id": "o1-" + MARK, "action": "a.b"}, "writer@acme", 409)
        self.assertEqual(reply.code, "id_conflict")
        text = reply.text.replace("o1-" + MARK, "")
        self.assertNotIn(MARK, text)
        self.assertNotIn("leaf_hash", text)

    def test_the_ledgers_own_events_cannot_be_written(self):
        for role in ["writer", "admin", "writer@acme"]:
            self.write(role, {"action": "tally.read"}, 422, "reserved_action")


class Life(HttpCase):
    def test_tokens_outlive_the_server(self):
        made = self.post("/v1/tokens", {"name": "Ada", "role": "reader", "tenants": ["acme"]},
                         want=201).json
        self.assertEqual(self.get("/v1/whoami", made["token"]).json,
                         {"id": made["id"], "name": "Ada", "role": "reader", "tenants": ["acme"]})
        self.server.stop()
        self.server = Server(self)
        self.addCleanup(self.server.stop)
        self.get("/v1/whoami", made["token"])
        used = {token["id"]: token["last_used_at"] for token in
                self.get("/v1/tokens").json["tokens"]}
        self.assertIsNotNone(used[made["id"]])

    def test_a_token_ends_at_once(self):
        made = self.post("/v1/tokens", {"name": "Ada", "role": "admin"}, want=201).json
        self.get("/v1/tokens", made["token"])
        self.call("DELETE", f"/v1/tokens/{made['id']}", made["token"])
        self.get("/v1/tokens", made["token"], want=401)

    def test_the_first_token_is_shown_once_and_on_record(self):
        self.server.stop()
        for token in self.tokens_in_file():
            if token["role"] == "admin":
                self.tally("token", "revoke", token["id"], "--yes")
        self.token("admin", "acme")  # which cannot make others
        self.server.start()
        first, = re.findall(rb"first token \(shown once\): (\S+)", self.server.said)
        first = first.decode()
        self.assertEqual(self.get("/v1/whoami", first).json["role"], "admin")
        self.get("/v1/tokens", first)
        end = time.monotonic() + 20
        ids = []
        while first[6:14] not in ids and time.monotonic() < end:
            items = self.get("/v1/events?action=tally.token.create&limit=10", first).json["items"]
            ids = [item["event"]["metadata"]["id"] for item in items]
        self.assertEqual(ids.count(first[6:14]), 1)
        self.server.stop()
        said = len(self.server.said)
        self.server.start()
        self.assertNotIn(b"first token", self.server.said[said:])

    def tokens_in_file(self):
        return self.tally("token", "list", "--json").json["tokens"]

    def test_the_record_says_which_token(self):
        made = self.post("/v1/tokens", {"name": "Ada", "role": "reader", "tenants": ["acme"]},
                         want=201).json
        self.call("DELETE", f"/v1/tokens/{made['id']}")
        self.call("DELETE", f"/v1/tokens/{made['id']}", want=404)
        made.pop("token")
        for action in ["tally.token.create", "tally.token.revoke"]:
            end = time.monotonic() + 20
            about = {}
            while about.get("id") != made["id"] and time.monotonic() < end:
                newest = self.get(f"/v1/events?action={action}&limit=1").json["items"]
                about = newest[0]["event"]["metadata"].get("about", {}) if newest else {}
            self.assertEqual(about, made)

    def test_no_reply_holds_a_secret(self):
        made = self.post("/v1/tokens", {"name": "Ada", "role": "admin"}, want=201).json
        secret = made["token"][15:].encode()
        for path in ["/v1/tokens", "/v1/whoami", "/v1/events?action=tally.*&limit=100",
                     "/v1/exports?action=tally.*", "/v1/status", "/metrics"]:
            self.assertNotIn(secret, self.get(path, made["token"]).body, path)
        self.server.stop()
        self.assertNotIn(secret, self.server.said)

    def test_tokens_are_made_of_what_they_may_be_made_of(self):
        for body, code in [({"name": "", "role": "reader"}, "bad_value"),
                           ({"name": "n"}, "bad_value"), ({"role": "reader"}, "bad_value"),
                           ({"name": "n", "role": "root"}, "bad_value"),
                           ({"name": "n", "role": "reader", "tenants": [""]}, "bad_value"),
                           ({"name": "n", "role": "reader", "tenants": ["t"] * 17}, "bad_value"),
                           ({"name": "n", "role": "reader", "tenants": [1]}, "bad_type"),
                           ({"name": "n", "role": "reader", "expires_at": "2020-01-01T00:00:00Z"},
                            "bad_value"),
                           ({"name": "n", "role": "reader", "tenant": "acme"}, "unknown_member")]:
            reply = self.post("/v1/tokens", body, want=None)
            self.assertEqual((reply.status, reply.code), (422, code), body)
        self.assertEqual(len(self.get("/v1/tokens").json["tokens"]), 4)


if __name__ == "__main__":
    main()
