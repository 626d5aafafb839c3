#!/usr/bin/env python3
"""Does everything with `tally serve` at the same time, above all for the sanitizers.

usage: mixed.py TALLY [SECONDS]

Writers of each form, searches, exports that are broken off, followers that come and go, jobs that
are cancelled, tokens that are made and ended, holds, wrong requests, and SIGHUP all the time; first
over plain HTTP, then over TLS whose certificate changes and is wrong now and then, SECONDS (8) each.
SIGTERM comes in the midst of it. Each answer must be one of those expected, the server must end with
status 0 and without a report of a sanitizer, and the ledger must be VERIFIED.

Prints one line of JSON.
"""
import collections
import json
import os
import random
import signal
import subprocess
import sys
import time

import rig

REPORTS = ("Sanitizer", "runtime error:", "assertion")
PATHS = ["/v1/count", "/v1/stats?by=action", "/v1/stats?by=day", "/v1/events?action=mixed.*&limit=20",
         "/v1/events?actor_id=a1&dir=asc&count=exact", "/v1/checkpoint", "/v1/consistency?from=1",
         "/v1/trust", "/v1/records/0", "/v1/records/0/proof", "/v1/retention", "/v1/holds",
         "/v1/status", "/v1/schedules", "/v1/keys", "/v1/jobs", "/v1/verify/last", "/v1/tokens",
         "/v1/whoami", "/healthz", "/readyz", "/version", "/metrics", "/openapi.json", "/ui/"]
JSON, LINES = "application/json", "application/x-ndjson"


class User:
    """One client, in a loop until the server is stopped; a connection serves some requests."""

    def __init__(self, load, number):
        self.load, self.number = load, number
        self.rng = random.Random(f"{load.seed}/{type(self).__name__}/{number}")
        self.connection = None
        self.count = 0

    def begin(self, method, path, body=None, content_type=JSON, token=None):
        if self.connection is None or self.rng.random() < 0.1:
            self.close()
            self.connection = self.load.server.connect()
        headers = self.load.server.headers(content_type)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        self.connection.request(method, path, body=body, headers=headers)
        return self.connection.getresponse()

    def call(self, method, path, body=None, want=(200,), **more):
        reply = self.begin(method, path, body, **more)
        text = reply.read()
        self.load.statuses[reply.status] += 1
        if reply.status not in want and not self.load.is_stopping:
            raise AssertionError(f"{method} {path}: {reply.status} {text[:300]!r}")
        is_json = reply.headers.get("Content-Type", "").startswith(JSON)
        return json.loads(text) if is_json else None

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def event(self):
        self.count += 1
        return {"id": f"{self.load.name}-{type(self).__name__}-{self.number}-{self.count}",
                "action": f"mixed.n{self.count % 5}",
                "actor": {"type": "user", "id": f"a{self.number}"}}

    def run(self):
        while not self.load.is_stopping:
            try:
                self.step()
            except rig.FAILURES:
                if not self.load.is_stopping:
                    raise
        self.close()


class Single(User):
    def step(self):
        self.call("POST", "/v1/events", self.event(), want=(201,))


class Batch(User):
    def step(self):
        self.call("POST", "/v1/events", [self.event() for _ in range(20)], want=(201,))


class Lines(User):
    def step(self):
        lines = "\n".join(json.dumps(self.event()) for _ in range(50))
        self.call("POST", "/v1/events", lines, want=(201,), content_type=LINES)


class Queued(User):
    def step(self):
        self.call("POST", "/v1/events?ack=queued", self.event(), want=(202,))


class Twice(User):
    def step(self):
        event = self.event()
        self.call("POST", "/v1/events", event, want=(201,))
        self.call("POST", "/v1/events", event, want=(200,))
        self.call("POST", "/v1/events", {**event, "action": "mixed.other"}, want=(409,))


class Reader(User):
    def step(self):
        self.call("GET", self.rng.choice(PATHS))


class Exporter(User):
    """Mostly leaves in the middle."""

    def step(self):
        format = self.rng.choice(["ndjson", "json", "csv"])
        reply = self.begin("GET", f"/v1/exports?format={format}")
        if reply.status not in (200, 429) and not self.load.is_stopping:
            raise AssertionError(f"an export: {reply.status}")
        if self.rng.random() < 0.2:
            reply.read()
        else:
            reply.read(self.rng.choice([0, 1, 5000, 100000]))
            self.close()


class Follower(User):
    def step(self):
        reply = self.begin("GET", f"/v1/tail?after={self.rng.randint(0, 100)}")
        if reply.status == 200:
            reply.read(self.rng.choice([1, 1000, 20000]))
        self.close()
        time.sleep(0.02)


class Jobs(User):
    def step(self):
        path, body = self.rng.choice([
            ("/v1/verify", {}), ("/v1/verify", {"scope": "newest", "newest": 100}),
            ("/v1/purges", {"dry_run": True, "before": "2020-01-01", "reason": "a trial"}),
            ("/v1/erasures", {"dry_run": True, "subject": "actor:a1", "reason": "a trial"})])
        job = self.call("POST", path, body, want=(202, 409, 429))
        if job is not None and "state" in job:
            if self.rng.random() < 0.7:
                self.call("DELETE", f"/v1/jobs/{job['id']}", want=(200, 202, 204, 409))
            self.call("GET", f"/v1/jobs/{job['id']}", want=(200, 404))
        time.sleep(0.01)


class Tokens(User):
    def step(self):
        made = self.call("POST", "/v1/tokens", {"name": "Ada", "role": "reader"}, want=(201,))
        if made is None:
            return
        self.call("GET", "/v1/whoami", token=made["token"])
        self.call("GET", "/v1/count", token=made["token"])
        self.call("DELETE", f"/v1/tokens/{made['id']}", want=(200, 204))
        self.call("GET", "/v1/whoami", token=made["token"], want=(401,))


class Holds(User):
    def step(self):
        hold = f"{self.load.name}-{self.count}"
        self.count += 1
        self.call("POST", "/v1/holds", {"hold": hold, "ranges": [[0, 5]], "reason": "a trial"},
                  want=(200, 201))
        self.call("POST", "/v1/retention/test", {"settings": ["retention.default_days=90"]})
        self.call("DELETE", f"/v1/holds/{hold}", {"reason": "over"})
        time.sleep(0.05)


class Wrong(User):
    def step(self):
        self.call("GET", "/v1/nothing", want=(404,))
        self.call("GET", "/v1/events?colour=red", want=(400,))
        self.call("POST", "/v1/events", "{", want=(400, 422))
        self.call("POST", "/v1/events", {"actor": {"id": "u"}}, want=(422,))
        self.call("GET", "/v1/count", token="tally_none", want=(401,))
        self.call("DELETE", "/v1/events", want=(405,))


USERS = [Single, Single, Batch, Lines, Queued, Twice, Reader, Reader, Exporter, Follower, Follower,
         Jobs, Tokens, Holds, Wrong]


class Load:
    def __init__(self, server, name, seed):
        self.server, self.name, self.seed = server, name, seed
        self.statuses = collections.Counter()
        self.is_stopping = False

    def reload(self, prepare, seconds, threads):
        """SIGHUP all the time; returns how often."""
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end and not any(thread.wrong for thread in threads):
            prepare(count)
            self.server.process.send_signal(signal.SIGHUP)
            count += 1
            time.sleep(0.4)
        return count

    def run(self, seconds, prepare=lambda count: None):
        """What went wrong."""
        self.server.start()
        users = [kind(self, number) for number, kind in enumerate(USERS)]
        threads = [rig.Thread(user.run) for user in users]
        for thread in threads:
            thread.start()
        self.reloads = self.reload(prepare, seconds, threads)
        self.is_stopping = True
        status = self.server.stop()
        bad = [f"{self.name}: {thread.wrong}" for thread in threads if thread.wrong]
        if status != 0:
            bad.append(f"{self.name}: SIGTERM: {'hangs' if status is None else status}")
        for thread in threads:
            thread.join()
        return bad


class Certificates:
    """Two that are right, and one that is not, in turn."""

    def __init__(self, work):
        self.cert, self.key = work / "cert.pem", work / "key.pem"
        self.pairs = [self.make(work, "a"), self.make(work, "b")]
        self.install(0)

    def make(self, work, name):
        cert, key = work / f"{name}-cert.pem", work / f"{name}-key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-keyout", str(key), "-out", str(cert)],
                       check=True, capture_output=True)
        return cert.read_bytes(), key.read_bytes()

    def install(self, count):
        cert, key = self.pairs[count % 2]
        self.cert.write_bytes(b"nothing" if count % 5 == 4 else cert)
        self.key.write_bytes(key)


def strain(ledger, server, seconds, seed):
    loads = [Load(server, "plain", seed), Load(server, "tls", seed)]
    bad = loads[0].run(seconds)
    certificates = Certificates(ledger.work)
    server.use_tls(certificates.cert, certificates.key)
    bad += loads[1].run(seconds, certificates.install)
    said = server.log.read_text(errors="replace")
    bad += [f"the server says: {word}" for word in REPORTS if word in said]
    if wrong := ledger.is_verified():
        bad.append(wrong)
    return bad, loads


def main():
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 8
    seed, start = int(os.environ.get("CRASH_SEED", 1)), time.monotonic()
    ledger = rig.Ledger(sys.argv[1])
    server = rig.Server(ledger, "--set", "server.rate_per_address=0")  # much is refused on purpose
    try:
        bad, loads = strain(ledger, server, seconds, seed)
        said = server.log.read_text(errors="replace")
    finally:
        if server.process is not None:
            server.kill()
        ledger.remove()
    if bad:
        print(said[-20000:])
    for what in bad:
        print(f"BAD {what}")
    print(json.dumps({"test": "mixed", "seed": seed, "bad": len(bad),
                      "reloads": [load.reloads for load in loads],
                      "answers": [dict(sorted(load.statuses.items())) for load in loads],
                      "seconds": round(time.monotonic() - start, 1)}))
    return 1 if bad or not all(load.statuses for load in loads) else 0


if __name__ == "__main__":
    sys.exit(main())
