#!/usr/bin/env python3
"""Strains `tally serve` with those who are slow, break off, or talk nonsense, and looks after others.

usage: slow.py TALLY [CONNECTIONS [SECONDS [RESETS]]]

CONNECTIONS (1,000) that send half a header, trickle a header or a body, or do not read what they
asked for, for SECONDS (60); meanwhile writers with a token must be answered, with p99 below 500 ms,
and /healthz as well. Then RESETS (50,000) connections that end at once, garbage, and a server that
may open 64 files only. After each it answers within 5 seconds, and descriptors and memory are about
what they were. SLOW_BOUNDS=0 leaves times and memory out, for builds that are slow themselves.

Prints one line of JSON.
"""
import json
import os
import random
import selectors
import socket
import struct
import sys
import time

import rig

WRITERS = 4
P99_MS = 500
RECOVERY_S = 5
FILES_MAX = 64
READERS = 16
MORE_DESCRIPTORS = 8
MORE_KIB = 96 * 1024
MORE_LOG = 64 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets


def event(id):
    return json.dumps({"id": id, "action": "slow.test", "occurred_at": "2026-01-01T00:00:00Z"})


class Writer:
    """Writes all the time, and notes how long each answer took."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.ends = False
        self.took_ms = []

    def run(self):
        connection = self.server.connect()
        while not self.ends:
            start = time.monotonic()
            connection.request("POST", "/v1/events", body=event(f"{self.name}-{len(self.took_ms)}"),
                               headers=self.server.headers())
            reply = connection.getresponse()
            reply.read()
            if reply.status != 201:
                raise AssertionError(f"a writer is told {reply.status}")
            self.took_ms.append((time.monotonic() - start) * 1000)
            time.sleep(0.005)
        connection.close()


class Prober:
    """Asks /healthz all the time, each time on a new connection."""

    def __init__(self, server):
        self.server = server
        self.ends = False
        self.took_ms = []

    def run(self):
        while not self.ends:
            start = time.monotonic()
            status, _ = self.server.get("/healthz", timeout=10)
            if status != 200:
                raise AssertionError(f"/healthz says {status}")
            self.took_ms.append((time.monotonic() - start) * 1000)
            time.sleep(0.05)


class Slow:
    """One connection that wastes the server's time; opened again when it is cut off."""

    def __init__(self, server, number):
        self.server, self.kind = server, number % 4
        self.socket = None
        self.cut_off = 0

    def beginning(self):
        token = f"Host: x\r\nAuthorization: Bearer {self.server.token}\r\n"
        if self.kind == 0:
            return "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Half:"
        if self.kind == 1:
            return "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
        if self.kind == 2:
            return (f"POST /v1/events HTTP/1.1\r\n{token}Content-Type: application/json\r\n"
                    "Content-Length: 100000\r\n\r\n{")
        return f"GET /v1/exports HTTP/1.1\r\n{token}\r\n"

    def open(self):
        self.socket = socket.socket()
        if self.kind == 3:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", self.server.port))
        self.socket.sendall(self.beginning().encode())
        self.socket.setblocking(False)

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def step(self):
        """One byte more, from those who trickle."""
        try:
            if self.socket is None:
                self.open()
            elif self.kind in (1, 2):
                self.socket.send(b" ")
            elif self.kind == 0 and not self.socket.recv(1):
                raise ConnectionError
        except BlockingIOError:
            pass
        except OSError:
            self.cut_off += 1
            self.close()


def answers(server):
    """How many seconds it takes until it answers an authenticated search; None: too long."""
    start = time.monotonic()
    while time.monotonic() - start < RECOVERY_S:
        try:
            if server.get("/v1/events?limit=1", timeout=RECOVERY_S)[0] == 200:
                return round(time.monotonic() - start, 2)
        except rig.FAILURES:
            time.sleep(0.05)
    return None


class Strain:
    def __init__(self, server, seed, has_bounds):
        self.server, self.rng, self.has_bounds = server, random.Random(seed), has_bounds
        self.bad, self.figures = [], {}

    def look_after(self, name, descriptors, rss_kib):
        """It answers, and holds no more than before."""
        took = answers(self.server)
        if took is None:
            self.bad.append(f"{name}: no answer within {RECOVERY_S} s")
            return
        end = time.monotonic() + 2 * RECOVERY_S
        while (now := self.server.descriptors()) > descriptors + MORE_DESCRIPTORS:
            if time.monotonic() > end:
                self.bad.append(f"{name}: {descriptors} descriptors before, {now} after")
                break
            time.sleep(0.1)
        more_kib = self.server.rss_kib() - rss_kib
        if self.has_bounds and more_kib > MORE_KIB:
            self.bad.append(f"{name}: {more_kib} KiB more than before")
        self.figures[name] = {"answers_s": took, "more_descriptors": now - descriptors,
                              "more_kib": more_kib}

    def slowly(self, count, seconds):
        slow = [Slow(self.server, number) for number in range(count)]
        writers = [Writer(self.server, f"w{number}") for number in range(WRITERS)]
        prober = Prober(self.server)
        threads = [rig.Thread(user.run) for user in [*writers, prober]]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(thread.wrong for thread in threads):
            for connection in slow:
                connection.step()
            time.sleep(0.5)
        for user in [*writers, prober]:
            user.ends = True
        for thread in threads:
            thread.join()
            if thread.wrong:
                self.bad.append(f"slow: {thread.wrong}")
        for connection in slow:
            connection.close()
        took = [ms for writer in writers for ms in writer.took_ms]
        p99 = rig.percentile(took, 0.99)
        self.figures["writing"] = {
            "answers": len(took), "p50_ms": round(rig.percentile(took, 0.5) or 0, 1),
            "p99_ms": round(p99 or 0, 1), "max_ms": round(max(took, default=0), 1),
            "healthz_p99_ms": round(rig.percentile(prober.took_ms, 0.99) or 0, 1),
            "cut_off": sum(connection.cut_off for connection in slow)}
        if p99 is None or (self.has_bounds and p99 > P99_MS):
            self.bad.append(f"slow: writers wait for {p99} ms (p99), the bound is {P99_MS}")

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        return connection

    def reset(self, count):
        request = (f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                   f"{self.server.token}\r\nContent-Type: application/json\r\nContent-Length: ")
        for number in range(count):
            body = event(f"reset-{number}")
            text = (request + f"{len(body)}\r\n\r\n{body}").encode()
            try:
                with self.connect() as connection:
                    # At any place: before the first byte, within the header, the body, after it.
                    connection.sendall(text[:self.rng.choice([0, 20, len(text) - 5, len(text)])])
            except OSError:
                pass  # it may refuse; it has to recover

    def garbage(self, count):
        for _ in range(count):
            try:
                with self.connect() as connection:
                    connection.sendall(self.rng.randbytes(self.rng.randint(1, 4096)))
            except OSError:
                pass

    def crowd(self, count):
        """More connections than it may open files."""
        held = []
        for _ in range(count):
            try:
                held.append(self.connect())
            except OSError:
                break
        time.sleep(1)
        for connection in held:
            connection.close()

    def fill(self):
        """So much that an export does not fit into what the kernel buffers."""
        connection = self.server.connect()
        text = "x" * 1000
        for batch in range(50):
            events = [{"id": f"fill-{batch}-{n}", "action": "slow.fill", "reason": text}
                      for n in range(100)]
            connection.request("POST", "/v1/events", body=json.dumps(events),
                               headers=self.server.headers())
            connection.getresponse().read()
        connection.close()

    def warm_up(self):
        """Opens as many readers of the ledger as are kept."""
        threads = [rig.Thread(self.server.get, "/v1/exports") for _ in range(READERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self, name):
        status = self.server.stop()
        if status != 0:
            self.bad.append(f"{name}: SIGTERM: {'hangs' if status is None else status}")

    def run(self, connections, seconds, resets):
        self.server.start()
        self.fill()
        self.warm_up()
        before = self.server.descriptors(), self.server.rss_kib()
        self.slowly(connections, seconds)
        self.look_after("slow", *before)
        self.reset(resets)
        self.look_after("reset", *before)
        self.garbage(resets // 50)
        self.look_after("garbage", *before)
        self.stop("many")

    def run_with_few_files(self):
        self.server.prefix = ("sh", "-c", f'ulimit -n {FILES_MAX}; exec "$@"', "sh")
        self.server.start()
        answers(self.server)
        before = self.server.descriptors(), self.server.rss_kib()
        said = self.server.log.stat().st_size
        self.crowd(4 * FILES_MAX)
        self.look_after("few files", *before)
        if self.server.log.stat().st_size - said > MORE_LOG:
            self.bad.append("few files: it fills its log")
        self.stop("few files")


def main():
    given = [int(text) for text in sys.argv[2:]]
    connections, seconds, resets = given + [1000, 60, 50000][len(given):]
    seed = int(os.environ.get("CRASH_SEED", 1))
    start = time.monotonic()
    ledger = rig.Ledger(sys.argv[1])
    server = rig.Server(ledger)
    strain = Strain(server, seed, os.environ.get("SLOW_BOUNDS", "1") == "1")
    try:
        strain.run(connections, seconds, resets)
        strain.run_with_few_files()
        if wrong := ledger.is_verified():
            strain.bad.append(wrong)
    finally:
        if server.process is not None:
            server.kill()
        if strain.bad:
            print(server.log.read_text()[-3000:])
        ledger.remove()
    for what in strain.bad:
        print(f"BAD {what}")
    print(json.dumps({"test": "slow", "seed": seed, "connections": connections, "resets": resets,
                      "bad": len(strain.bad), **strain.figures,
                      "seconds": round(time.monotonic() - start, 1)}))
    return 1 if strain.bad else 0


if __name__ == "__main__":
    sys.exit(main())
