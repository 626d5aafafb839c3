#!/usr/bin/env python3
"""Is the memory of `tally serve` flat?

usage: soak.py TALLY [MINUTES [DIR]]

2,000 events a second as NDJSON, in requests of 500, on a connection that stays; each second two searches,
a count or statistics by hour, and /metrics; every five minutes an export. Prints a line of JSON with the
memory of the server every 30 seconds, in MiB. It fails if an answer is not as it should be, if the ledger
in the end does not have all events or is not VERIFIED, or if the second half took more than an eighth
more than the largest of the first.
"""
import json
import sys
import time

sys.dont_write_bytecode = True
import rig  # noqa: E402

EVENTS, EVERY_S, LOOK_S = 500, 0.25, 30


def lines(first):
    return "\n".join(json.dumps({
        "action": "user.update", "actor": {"id": f"u{n % 5000}", "name": "Zoe"},
        "targets": [{"type": "doc", "id": str(n)}], "tenant_id": f"t{n % 7}",
        "source": {"service": f"s{n % 11}", "ip": "192.0.2.7"},
        "metadata": {"n": n, "text": "x" * 80}}) for n in range(first, first + EVENTS))


class Client:
    def __init__(self, server):
        self.server, self.connection = server, server.connect()

    def ask(self, path, body=None):
        method, want = ("GET", 200) if body is None else ("POST", 201)
        headers = self.server.headers("application/x-ndjson")
        self.connection.request(method, path, body, headers)
        reply = self.connection.getresponse()
        text = reply.read()
        if reply.status != want:
            raise AssertionError(f"{method} {path}: {reply.status} {text[:500]!r}")

    def read(self, turn):
        numbers = "/v1/stats?by=hour" if turn % 40 == 0 else "/v1/count?action=user.update"
        for path in (f"/v1/events?limit=50&actor_id=u{turn % 5000}", "/v1/events?limit=50", numbers,
                     "/metrics"):
            self.ask(path)
        if turn % 1200 == 0:
            self.ask("/v1/exports?format=ndjson&actor_id=u7")


def strain(server, seconds):
    client, memory, began, turn = Client(server), [], time.monotonic(), 0
    while time.monotonic() - began < seconds:
        turn += 1
        client.ask("/v1/events", lines(turn * EVENTS))
        if turn % 4 == 0:
            client.read(turn)
        if time.monotonic() - began >= len(memory) * LOOK_S:
            memory.append(server.rss_kib() // 1024)
        time.sleep(max(0, began + turn * EVERY_S - time.monotonic()))
    return turn * EVENTS, memory


def main():
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 30
    ledger = rig.Ledger(sys.argv[1], sys.argv[3] if len(sys.argv) > 3 else None)
    server = rig.Server(ledger)
    try:
        events, memory = strain(server.start(), minutes * 60)
        bad = [] if server.stop() == 0 else ["the server does not stop"]
    finally:
        if server.process is not None:
            server.kill()
    half = len(memory) // 2
    if half > 0 and max(memory[half:]) > max(memory[:half]) * 9 / 8:
        bad.append("the memory grows")
    recorded = int(ledger.run("count", "--exact", "--action", "user.update").stdout)
    if recorded != events:
        bad.append(f"{recorded} of {events} events are there")
    bad += filter(None, [ledger.is_verified()])
    ledger.remove()
    for what in bad:
        print(f"BAD {what}")
    print(json.dumps({"test": "soak", "bad": len(bad), "minutes": minutes, "events": events,
                      "rss_mib": memory}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
