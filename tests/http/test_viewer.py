#!/usr/bin/env python3
"""Links for viewers: what they open, what they never open, when they end, and which pages may ask."""
import base64
import json
import time

from server import HttpCase, main

ORIGIN, SECOND = "https://app.example", "https://b.example:8443"


class Viewer(HttpCase):
    """Two tenants with invoices and doors, and events of nobody's."""

    options = ("--viewer-origin", ORIGIN, "--viewer-origin", SECOND)

    def setUp(self):
        super().setUp()
        self.tokens["reader@acme"] = self.token("reader", "acme")
        for tenant in ("acme", "other"):
            for n in (1, 2, 3):
                self.record(id=f"{tenant}-i{n}", action="invoice.paid", tenant_id=tenant,
                            actor={"type": "user", "id": f"u{n}", "name": f"User {n}"},
                            targets=[{"type": "Invoice", "id": f"INV-{n}"}])
                self.record(id=f"{tenant}-d{n}", action="door.open", tenant_id=tenant,
                            targets=[{"type": "Door", "id": "d"}])
        self.record(id="nobody", action="invoice.paid", targets=[{"type": "Invoice", "id": "INV-1"}])
        items = self.get("/v1/events?limit=100").json["items"]
        self.seqs = {item["id"]: item["seq"] for item in items}

    def link(self, maker="reader@acme", want=201, **body):
        reply = self.post("/v1/viewer-links", body, maker, want=want)
        return reply.json["token"] if want == 201 else reply

    def ids(self, link, query=""):
        return {item["id"] for item in self.get(f"/v1/events?{query}", link).json["items"]}

    def unknown(self, path, link):
        problem = self.get(path, link, want=404).json
        problem.pop("instance")
        return problem


class Links(Viewer):
    def test_a_link_shows_what_it_names_and_nothing_else(self):
        made = self.post("/v1/viewer-links", {"tenants": ["acme"], "expires_in": "5m", "filter":
                         {"target_type": ["Invoice"], "target_id": ["INV-1", "INV-2"]}},
                         want=201).json
        self.assertEqual(made["url"], "/ui/viewer.html#token=" + made["token"])
        self.assertLessEqual(len(made["token"]), 2048)
        link = made["token"]
        self.assertEqual(self.ids(link), {"acme-i1", "acme-i2"})
        self.assertEqual(self.get("/v1/count", link).json, {"count": 2, "exact": True})
        who = self.get("/v1/whoami", link).json
        self.assertEqual((who["role"], who["tenants"], who["expires_at"]),
                         ("viewer", ["acme"], made["expires_at"]))
        nothing = self.unknown("/v1/events/none", link)
        for id, seq in self.seqs.items():
            for path in [f"/v1/events/{id}", f"/v1/records/{seq}"]:
                for part in ["", "/proof"]:
                    if id in ("acme-i1", "acme-i2"):
                        self.get(path + part, link)
                    else:
                        self.assertEqual(self.unknown(path + part, link), nothing, path)
        self.assertEqual(self.unknown("/v1/records/0", link), nothing)

    def test_nothing_widens_the_filter(self):
        link = self.link("reader", tenants=["acme"], filter={"action": "invoice.*", "actor_id": "u1"})
        for query in ["action=door.open", "action=door.*", "action=tally.*", "actor_id=u2", "id=nobody",
                      "actor_id=", "action=", "target_type=Door", "id=other-i1", "id=acme-d1"]:
            self.assertEqual(self.ids(link, query), set(), query)
            self.assertEqual(self.get(f"/v1/count?{query}&exact=true", link).json["count"], 0, query)
        for query in ["kind=all", "kind=event", "kind=genesis", "tenant_id=other", "tenant_id="]:
            self.get(f"/v1/events?{query}", link, want=403)
        for query in ["", "action=invoice.paid", "action=invoice.paid&action=door.open",
                      "actor_id=u1&actor_id=u2", "tenant_id=acme&tenant_id=other", "offset=0",
                      "seq_from=0&seq_to=9999", "from=-1d", "id=acme-i1&id=other-i1&id=nobody",
                      "order=occurred_at&dir=asc"]:
            self.assertEqual(self.ids(link, query), {"acme-i1"}, query)
        self.assertEqual(self.ids(link, "offset=1"), set())

    def test_a_cursor_is_good_for_its_link_alone(self):
        link = self.link(tenants=["acme"], filter={"target_type": "Invoice"})
        seen, cursor = [], ""
        while cursor is not None:
            page = self.get(f"/v1/events?limit=1{cursor}", link).json
            seen += [item["id"] for item in page["items"]]
            cursor = f"&cursor={page['next']}" if "next" in page else None
        self.assertEqual(seen, ["acme-i3", "acme-i2", "acme-i1"])
        for foreign in [self.get("/v1/events?limit=1").json["next"],
                        self.get("/v1/events?limit=1", "reader@acme").json["next"],
                        self.get("/v1/events?limit=1", self.link()).json["next"]]:
            reply = self.get(f"/v1/events?limit=1&cursor={foreign}", link, want=400)
            self.assertEqual(reply.code, "bad_cursor")

    def test_all_tenants_are_all_events_and_no_acts_of_the_ledger(self):
        self.get("/v1/events", "reader")
        link = self.link("reader", all_tenants=True)
        self.assertEqual(self.ids(link), set(self.seqs))
        for query in ["action=tally.*", "action=tally.read"]:
            self.assertEqual(self.ids(link, query), set())
        own = self.get("/v1/events?action=tally.*").json["items"][0]
        self.assertEqual(self.unknown(f"/v1/records/{own['seq']}", link),
                         self.unknown("/v1/events/none", link))
        self.get("/v1/events?kind=all", link, want=403)
        self.get("/v1/records/0", link, want=404)

    def test_who_may_make_which(self):
        self.assertEqual(self.ids(self.link("reader@acme")), {id for id in self.seqs if "acme" in id})
        self.link("writer", 403, tenants=["acme"])
        self.link("reader@acme", 403, tenants=["acme", "other"])
        self.link("reader@acme", 403, all_tenants=True)
        self.link(self.link(), 403, tenants=["acme"])
        for body in [{}, {"tenants": []}, {"tenants": ["acme"], "all_tenants": True},
                     {"tenants": [""]}, {"tenants": ["a"] * 17}]:
            self.link("admin", 422, **body)

    def test_what_makes_no_sense_is_refused(self):
        for more, want in [({"expires_in": "25h"}, 422), ({"expires_in": "0s"}, 422),
                           ({"expires_in": "15"}, 422), ({"expires_in": ""}, 422),
                           ({"expires_in": "-5m"}, 422), ({"expires_in": 5}, 422),
                           ({"origin": "https://c.example"}, 422), ({"origin": "*"}, 422),
                           ({"filter": {"kind": "all"}}, 422), ({"filter": []}, 422),
                           ({"filter": {"nonsense": "1"}}, 400), ({"filter": {"from": "x"}}, 400),
                           ({"filter": {"id": [str(n) for n in range(65)]}}, 422),
                           ({"filter": {"text": "x" * 1500}}, 422), ({"role": "admin"}, 422)]:
            self.link("reader", want, tenants=["acme"], **more)
        self.link("reader", tenants=["acme"], expires_in="24h", origin=SECOND)
        self.link("reader", tenants=["acme"], expires_in="1d")

    def test_it_ends_at_its_time(self):
        link = self.link(expires_in="2s")
        self.get("/v1/events", link)
        time.sleep(2.2)
        self.assertEqual(self.get("/v1/events", link, want=401).code, "unauthenticated")

    def test_it_ends_with_the_token_that_made_it(self):
        token = self.post("/v1/tokens", {"name": "host", "role": "reader", "tenants": ["acme"]},
                          want=201).json
        link = self.link(token["token"])
        self.get("/v1/events", link)
        self.call("DELETE", "/v1/tokens/" + token["id"])
        self.get("/v1/events", link, want=401)
        made = self.post("/v1/tokens", {"name": "host", "role": "reader", "tenants": ["acme"]},
                         want=201).json
        link = self.link(made["token"])
        self.change_file(expires_at="2020-01-01T00:00:00Z")
        time.sleep(1.1)
        self.get("/v1/events", link, want=401)

    def test_it_ends_when_its_token_may_no_longer_see_that(self):
        made = self.post("/v1/tokens", {"name": "host", "role": "reader"}, want=201).json
        link = self.link(made["token"], tenants=["other"])
        self.change_file(tenants=["acme", "other"])
        time.sleep(1.1)
        self.get("/v1/events", link)
        for member in [{"tenants": ["acme"]}, {"tenants": ["other"], "role": "writer"}]:
            self.change_file(**member)
            time.sleep(1.1)
            self.get("/v1/events", link, want=401)

    def change_file(self, **members):
        """Of the newest token."""
        path = self.ledger / "tokens.json"
        tokens = json.loads(path.read_text())
        tokens["tokens"][-1].update(members)
        path.write_text(json.dumps(tokens))

    def test_it_outlives_the_server_but_not_the_key(self):
        link = self.link()
        self.server.stop()
        self.server.start()
        self.get("/v1/events", link)
        path = self.ledger / "tokens.json"
        tokens = json.loads(path.read_text())
        self.assertRegex(tokens.pop("viewer_key"), "^[0-9a-f]{64}$")
        path.write_text(json.dumps(tokens))
        time.sleep(1.1)
        self.get("/v1/events", link, want=401)
        self.get("/v1/events", self.link())
        self.get("/v1/events", link, want=401)

    def test_forged_and_cut_ones_open_nothing(self):
        link = self.link()
        body, mac = link.removeprefix("tallyv_").split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        self.assertEqual(claims["tenants"], ["acme"])
        wide = json.dumps({**claims, "tenants": []}).encode()
        forged = base64.urlsafe_b64encode(wide).decode().rstrip("=")
        for text in [f"tallyv_{forged}.{mac}", f"tallyv_{forged}.", f"tallyv_{forged}",
                     f"tallyv_{forged}." + "A" * 43, "tallyv_", "tallyv_.", "tallyv_." + mac,
                     link + "A", link[:-1], link + "=", f"tallyv_{body}={'.'}{mac}",
                     "tally_" + link, link.replace("tallyv_", "TALLYV_"), "tallyv_" + "A" * 5000,
                     *(link[:at] + ("A" if link[at] != "A" else "B") + link[at + 1:]
                       for at in range(0, len(link), 23))]:
            self.get("/v1/events", text, want=401)

    def test_it_is_on_record_who_made_it_and_who_looks(self):
        made = self.post("/v1/viewer-links", {"tenants": ["acme"], "origin": ORIGIN,
                         "filter": {"target_id": ["INV-9-secret"], "action": "invoice.*"}},
                         want=201).json
        self.get("/v1/events?actor_id=u1", made["token"])
        token = self.tokens["admin"][6:14]
        wanted = {"tally.viewer.create": f"token:{token} (", "tally.read":
                  f"viewer:{made['id']} of token:{token} ("}
        for action, who in wanted.items():
            event = self.newest(action)
            self.assertTrue(event["actor"]["id"].startswith(who), event["actor"])
            self.assertNotIn("INV-9-secret", json.dumps(event))
            self.assertNotIn(made["token"], json.dumps(event))
        about = self.newest("tally.viewer.create")["metadata"]["about"]
        self.assertEqual(about, {"id": made["id"], "tenants": ["acme"], "all_tenants": False,
                                 "filters": ["action", "target_id"], "origin": ORIGIN,
                                 "expires_at": made["expires_at"]})
        self.assertEqual(self.newest("tally.read")["metadata"]["parameters"], ["actor_id"])

    def newest(self, action):
        """Those of the tests that search are reads as well: of links alone, if there are some."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            items = self.get(f"/v1/events?action={action}").json["items"]
            found = [item["event"] for item in items
                     if action != "tally.read" or "viewer:" in item["event"]["actor"]["id"]]
            if found:
                return found[0]
            time.sleep(0.1)
        self.fail(action)


class Cors(Viewer):
    def ask(self, path, origin=ORIGIN, token=None, method="GET", want=200, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self.call(method, path, token, want=want, headers={"Origin": origin, **headers})
        self.assertNotIn("access-control-allow-credentials", reply.headers)
        return reply

    def allowed(self, reply):
        return reply.headers.get("access-control-allow-origin")

    def test_a_page_that_is_configured_may_read_what_a_link_opens(self):
        link = self.link()
        seq = self.seqs["acme-i1"]
        for path in ["/v1/events", "/v1/events/acme-i1", f"/v1/records/{seq}", "/v1/whoami",
                     f"/v1/records/{seq}/proof", "/v1/events/acme-i1/proof", "/v1/count"]:
            for origin in (ORIGIN, SECOND):
                reply = self.ask(path, origin, link)
                self.assertEqual((self.allowed(reply), reply.headers["vary"]), (origin, "Origin"))
            for origin in ("https://evil.example", "null", ORIGIN + ".evil.example", "*", ""):
                reply = self.ask(path, origin, link)
                self.assertIsNone(self.allowed(reply), origin)

    def test_what_went_wrong_can_be_read_too(self):
        link = self.link()
        for path, token, want in [("/v1/events", "tallyv_x", 401), ("/v1/events", None, 401),
                                  ("/v1/events/none", link, 404), ("/v1/events?x=1", link, 400)]:
            reply = self.ask(path, ORIGIN, token, want=want)
            self.assertEqual(self.allowed(reply), ORIGIN)
            self.assertIn("X-Request-Id", reply.headers["access-control-expose-headers"])

    def test_nothing_else_is_for_other_pages(self):
        for path in ["/v1/events", "/v1/whoami", "/v1/status", "/v1/tokens", "/metrics"]:
            self.assertIsNone(self.allowed(self.ask(path, ORIGIN, "admin")))
        for path in ["/healthz", "/version", "/openapi.json", "/ui/index.html", "/ui/app.js"]:
            self.assertIsNone(self.allowed(self.ask(path)))
        self.assertIsNone(self.allowed(self.ask("/v1/stats?by=action", token=self.link(), want=403)))

    def test_preflight_is_for_paths_of_viewers_from_configured_pages(self):
        asks = {"Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization"}
        for path in ["/v1/events", "/v1/events/x", "/v1/events/x/proof", "/v1/records/7",
                     "/v1/records/7/proof", "/v1/whoami", "/v1/count"]:
            reply = self.ask(path, method="OPTIONS", want=204, **asks)
            self.assertEqual(self.allowed(reply), ORIGIN)
            self.assertEqual(reply.headers["access-control-allow-methods"], "GET")
            self.assertEqual(reply.headers["access-control-allow-headers"], "Authorization")
            self.assertEqual(reply.body, b"")
            refused = self.ask(path, "https://evil.example", method="OPTIONS", want=405, **asks)
            self.assertIsNone(self.allowed(refused))
            self.ask(path, method="OPTIONS", want=405)
        for path in ["/v1/stats", "/v1/tail", "/v1/exports", "/v1/tokens", "/v1/viewer-links",
                     "/v1/checkpoint", "/v1/status", "/ui/index.html"]:
            self.assertIsNone(self.allowed(self.ask(path, method="OPTIONS", want=405, **asks)))

    def test_a_link_for_one_page_is_for_no_other(self):
        link = self.link(origin=ORIGIN)
        self.get("/v1/events", link)
        self.ask("/v1/events", ORIGIN, link)
        for origin in (SECOND, "null", "https://evil.example", ""):
            self.assertEqual(self.ask("/v1/events", origin, link, want=403).code, "forbidden")

    def test_files_and_frames(self):
        module = self.ask("/ui/viewer.js")
        self.assertEqual(self.allowed(module), ORIGIN)
        self.assertEqual(module.headers["cross-origin-resource-policy"], "cross-origin")
        page = self.get("/ui/viewer.html", None)
        self.assertIn(f"frame-ancestors {ORIGIN} {SECOND}", page.headers["content-security-policy"])
        index = self.get("/ui/index.html", None)
        self.assertIn("frame-ancestors 'none'", index.headers["content-security-policy"])
        self.assertEqual(index.headers["cross-origin-resource-policy"], "same-origin")


class Closed(Viewer):
    """Without origins a link is for programs, and pages of this server."""

    options = ()

    def test_no_page_of_others_may_ask(self):
        link = self.link()
        reply = self.get("/v1/events", link, headers={"Origin": ORIGIN})
        self.assertEqual({name for name in reply.headers if "access-control-allow" in name}, set())
        self.assertNotIn("vary", reply.headers)
        self.call("OPTIONS", "/v1/events", None, want=405,
                  headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"})
        page = self.get("/ui/viewer.html", None)
        self.assertIn("frame-ancestors 'none'", page.headers["content-security-policy"])
        self.assertEqual(self.get("/ui/viewer.js", None).headers["cross-origin-resource-policy"],
                         "same-origin")

    def test_an_origin_is_one(self):
        self.server.stop()
        for bad in ["app.example", "https://", "https://a.example/", "https://a;script-src *", "*",
                    "https://*.example", "ftp://a"]:
            run = self.tally("serve", "--listen", "127.0.0.1:0", "--viewer-origin", bad, want=None)
            self.assertNotEqual(run.status, 0, bad)
            self.assertIn("is no origin", run.err)


if __name__ == "__main__":
    main()
