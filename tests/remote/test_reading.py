"""Reading a remote ledger gives what reading it where it lies gives; what needs its files is refused."""
import json
import os
import re

from servers import RemoteCase, Rude, main

QUERIES = [
    ["find"],
    ["find", "--json", "--limit", "3"],
    ["find", "--action", "remote.*", "--limit", "2", "--dir", "asc"],
    ["find", "--order", "occurred_at", "--count", "exact"],
    ["find", "--actor-id", "a&b=c?d#e%41 \u00e9+/"],
    ["find", "--actor-id", ""],
    ["find", "--text", "two words"],
    ["find", "--action", "nothing.here"],
    ["find", "--action", "nothing.here", "--exit-code"],
    ["count"],
    ["count", "--outcome", "failure", "--json"],
    ["stats"],
    ["stats", "--by", "actor_id", "--per-day", "--json"],
    ["stats", "--by", "day"],
    ["stats", "--by", "hour"],
    ["stats", "--per-hour", "--json"],
    ["get", "5"],
    ["get", "r/1 \u00e9?#", "--json"],
    ["get", "no such"],
    ["get", "999999"],
    ["tail", "-n", "4"],
]

REFUSED = [
    ["verify"], ["checkpoint"], ["proof", "5"], ["keys", "list"], ["keys", "trust"], ["export"],
    ["export", "--bundle", "here"], ["backup", "here"], ["anchor"], ["reindex"], ["drill"],
    ["retention", "show"], ["hold", "list"], ["schedule", "show"],
    ["purge", "--reason", "x", "--by", "x", "--yes"],
    ["erase", "--id", "x", "--reason", "x", "--by", "x", "--yes"],
    ["keys", "rotate", "--by", "x", "--yes"],
]


class Reading(RemoteCase):
    def fill(self):
        for n in range(7):
            self.log(action=f"remote.a{n % 3}", id=f"r/{n} \u00e9?#",
                     actor={"type": "user", "id": ("u1", "a&b=c?d#e%41 \u00e9+/")[n % 2]},
                     reason="two words", outcome=("success", "failure")[n % 2])

    def test_queries_give_the_same(self):
        self.fill()
        for query in QUERIES:
            here = self.tally(*query, want=None)
            there = self.remote(*query, want=None)
            # Each search is recorded as well, and so the index moves on meanwhile.
            here_out, there_out = (re.sub(r'"indexed_to":\d+', "", run.out) for run in (here, there))
            self.assertEqual((there.status, there_out), (here.status, here_out), query)

    def test_cursors_lead_through_all_pages(self):
        self.fill()
        seen, cursor = [], []
        for _ in range(10):
            page = self.remote("find", "--json", "--limit", "2", *cursor).json
            seen += [item["seq"] for item in page["items"]]
            if "next" not in page:
                break
            cursor = ["--cursor", page["next"]]
        self.assertEqual(seen, [item["seq"] for item in self.tally("find", "--json").json["items"]])

    def test_refusals_of_queries_are_the_servers(self):
        self.remote("find", "--cursor", "zz", want=3)
        self.remote("stats", "--by", "nonsense", want=3)
        self.set_token(self.server.make_token(role="writer")["token"])
        self.assertIn("remote.token_file", self.remote("find", want=7).err)

    def test_a_token_with_tenants_sees_its_own(self):
        self.log(action="remote.test", id="t-1", tenant_id="acme")
        self.log(action="remote.test", id="t-2", tenant_id="other")
        self.set_token(self.server.make_token(role="reader", tenants=["acme"])["token"])
        ids = [item["id"] for item in self.remote("find", "--json").json["items"]]
        self.assertEqual(ids, ["t-1"])
        self.remote("get", "t-1")
        self.remote("get", "t-2", want=1)

    def test_what_needs_the_ledgers_files_names_the_way_out(self):
        for words in REFUSED:
            result = self.remote(*words, want=5)
            self.assertIn("where the ledger lies", result.err, words)
        self.remote("serve", want=3)
        self.assertFalse((self.dir / "here").exists())

    def test_status_tells_what_waits_and_who_answers(self):
        self.run_agent("q", 1, 3)
        status = self.remote("status", "--json").json
        self.assertEqual((status["health"], status["spool_events"], status["origin"]),
                         ("ok", 0, self.server.url))
        self.server.kill()
        self.run_agent("q", 4, 3, timeout_ms=100)
        status = self.remote("status", "--json", want=1).json
        self.assertGreaterEqual(status["spool_events"], 3)
        self.assertIn("no answer", status["trouble"])

    def test_reading_needs_no_spool(self):
        self.fill()
        out = self.remote("count").out
        self.assertEqual(out.split()[-1], self.tally("count").out.split()[-1])
        self.assertFalse(self.spool.exists())

    def test_wrong_addresses(self):
        for address in ("https://", "https://user:pw@example.org", "http://example.org",
                        "https://example.org/path", "https://example.org?x=1"):
            self.remote("log", "--action", "a.b", url=address, want=4)
            self.remote("find", url=address, want=4)

    def test_answers_that_make_no_sense_are_errors(self):
        item = {"time": "2026-01-01T00:00:00Z", "seq": 1, "id": "x", "kind": "event",
                "recorded_at": "2026-01-01T00:00:00Z", "leaf_hash": "00" * 32, "state": "present"}
        page = {"items": [item], "complete": True, "indexed_to": 7}
        answers = [b"", b"<html>", b"[]", b"{}", b"\xff", os.urandom(500),
                   json.dumps({**page, "items": [{**item, "seq": -1}]}).encode(),
                   json.dumps({**page, "items": [{**item, "leaf_hash": "zz"}]}).encode(),
                   json.dumps({**page, "items": [item] * 51}).encode(),
                   json.dumps({**page, "next": "x" * 5000}).encode(),
                   json.dumps(page, indent=1).encode()]
        at = {"answer": b""}
        rude = Rude(self, self.server, None)
        rude.answer_get = lambda handler: handler.reply(200, at["answer"])
        at["answer"] = json.dumps(page).encode()
        self.remote("find", url=rude.url)
        for answer in answers:
            at["answer"] = answer
            for words in (["find"], ["count"], ["stats"], ["get", "1"], ["tail"]):
                result = self.remote(*words, url=rude.url, want=None)
                self.assertNotIn(result.status, (0, -6, -11), (words, answer))


if __name__ == "__main__":
    main()
