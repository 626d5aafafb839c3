#!/usr/bin/env python3
"""ack=queued: what is answered before it is recorded is recorded as if it had not been."""
import json
import signal
import time

from server import HttpCase, Server, main

EVENT = {"action": "a.b", "actor": {"id": "u"}}


class Queued(HttpCase):
    options = ("--set", "retention.default_days=400")

    def queue(self, body, want=202, query="", **more):
        return self.post("/v1/events?ack=queued" + query, body, want=want, **more).json

    def await_count(self, wanted):
        end = time.monotonic() + 30
        count = 0
        while count < wanted and time.monotonic() < end:
            time.sleep(0.05)
            count = self.get("/v1/count?action=a.b&exact=true").json["count"]
        self.assertEqual(count, wanted)

    def conflicts(self):
        """How many of those that were handed in had the id of another event."""
        self.server.stop()  # declares what is left to declare
        self.server.start()
        gaps = self.get("/v1/events?kind=gap&limit=1000").json["items"]
        return sum(gap["payload"]["count"] for gap in gaps)

    def test_a_repetition_is_harmless(self):
        """Also where occurred_at was left out, which every repetition fills in anew."""
        for _ in range(3):
            self.queue({**EVENT, "id": "one"})
            self.queue([{**EVENT, "id": "two"}, {**EVENT, "id": "three"}])
        self.await_count(3)
        self.post("/v1/events", {**EVENT, "id": "one"}, want=200)
        self.post("/v1/events", {**EVENT, "id": "last"}, want=201)
        self.await_count(4)
        self.assertEqual(self.conflicts(), 0)

    def test_a_key_names_events_as_it_does_when_they_are_recorded(self):
        headers = {"Idempotency-Key": "k"}
        self.assertEqual(self.queue(EVENT, headers=headers)["id"], "k")
        many = self.queue([EVENT, EVENT], headers=headers)["receipts"]
        self.assertEqual([receipt["id"] for receipt in many], ["k/0", "k/1"])
        self.await_count(3)

    def test_a_receipt_says_that_the_id_was_made(self):
        self.assertTrue(self.queue(EVENT)["id_generated"])
        self.assertNotIn("id_generated", self.queue({**EVENT, "id": "one"}))

    def test_marks_are_kept(self):
        """t: with another occurred_at it is the same event; r: retention counts from occurred_at."""
        events = [{**EVENT, "id": name, "occurred_at": "2020-01-01T00:00:00Z"} for name in "abcd"]
        self.queue(events, query="&marks=-trb")
        self.await_count(4)
        preview = self.post("/v1/purges", {"dry_run": True}, want=202)
        self.assertEqual(self.finish(preview)["result"]["due"], 2)
        later = [{**event, "occurred_at": "2020-01-02T00:00:00Z"} for event in events]
        self.queue(later, query="&marks=tbtb")
        self.assertEqual(self.conflicts(), 0)
        self.queue(later, query="&marks=-rtb")
        self.assertEqual(self.conflicts(), 2)

    def test_what_does_not_fit_is_told_by_number(self):
        """Nothing is taken twice if the rest is sent again."""
        self.server.stop()
        first = Server(self)  # it records, until it is stopped: the other one's spool is not read
        self.addCleanup(first.stop)
        self.server = Server(self, "--set", "spool.max_bytes=1MiB", "--set", "log.timeout_ms=100")
        self.addCleanup(self.server.stop)
        self.addCleanup(first.process.send_signal, signal.SIGCONT)
        events = [{**EVENT, "metadata": {"n": n, "text": "x" * 30000}} for n in range(400)]
        first.process.send_signal(signal.SIGSTOP)
        reply = self.post("/v1/events?ack=queued", events, want=503)
        self.assertEqual(reply.code, "spool_full")
        accepted = reply.json["accepted"]
        self.assertGreater(accepted, 0)
        self.assertLess(accepted, 400)
        again = self.post("/v1/events?ack=queued", events[accepted:], want=503).json
        self.assertEqual(again["accepted"], 0)
        self.assertNotIn("accepted", self.post("/v1/events?ack=queued", events[399], want=503).json)
        first.process.send_signal(signal.SIGCONT)
        end = time.monotonic() + 60
        while accepted < 400 and time.monotonic() < end:
            reply = self.post("/v1/events?ack=queued", events[accepted:], want=None).json
            accepted += reply.get("count", reply.get("accepted"))
        self.await_count(400)
        lines = self.get("/v1/exports?action=a.b").text.splitlines()[:-1]
        self.assertEqual(sorted(json.loads(line)["event"]["metadata"]["n"] for line in lines),
                         list(range(400)))


if __name__ == "__main__":
    main()
