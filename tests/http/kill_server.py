#!/usr/bin/env python3
"""Kills `tally serve` at random moments under clients that write, and checks what is left.

usage: kill_server.py TALLY [ROUNDS [ack-first]]

Eight clients hand in events, singly, in batches, as NDJSON and queued, and send each again with the
same ids until it is answered; now and then one that was answered long ago. Each round ends with
SIGKILL, every tenth with SIGTERM, and the server is started again on the same ledger and port.
Nothing that was acknowledged may be missing, doubled, or at another place, and nothing may be
recorded that was not sent. What a server recorded before it ended by SIGTERM it must have answered.
With ack-first the clients take what they sent for answered, which has to be caught. CRASH_SEED in
the environment is another seed.

Prints one line of JSON.
"""
import json
import os
import random
import sys
import threading
import time

import rig

CLIENTS = 8
TERM_EVERY = 10
VERIFY_EVERY = 100
STALLED_S = 60
RETRY_S = 0.005


class Oracle:
    """What was sent and what was answered. Internally synchronised."""

    def __init__(self, ack_first):
        self.mu = threading.Lock()
        self.ack_first = ack_first
        self.sent = set()
        self.recorded = {}  # id: seq
        self.queued = set()
        self.bad = []
        self.round = 0
        self.retries = self.answers = self.again = 0

    def complain(self, what):
        with self.mu:
            self.bad.append(what)

    def acknowledge(self, receipts):
        with self.mu:
            self.answers += 1
            for receipt in receipts:
                if receipt["level"] == "QUEUED":
                    self.queued.add(receipt["id"])
                elif self.recorded.setdefault(receipt["id"], receipt["seq"]) != receipt["seq"]:
                    self.bad.append(f"{receipt['id']} is at {receipt['seq']} and at "
                                    f"{self.recorded[receipt['id']]}")

    def some_recorded(self, rng):
        with self.mu:
            return rng.choice(list(self.recorded)) if self.recorded else None


class Client:
    def __init__(self, server, oracle, number, seed):
        self.server, self.oracle, self.number = server, oracle, number
        self.rng = random.Random(f"{seed}/{number}")
        self.count = 0
        self.connection = None
        self.ends = False

    def event(self, id):
        return json.dumps({"id": id, "action": "kill.test", "occurred_at": "2026-01-01T00:00:00Z",
                           "actor": {"type": "user", "id": f"c{self.number}"}})

    def make(self):
        """Path, content type and body of the next request, and the ids in it."""
        kind = self.rng.choice(["one", "one", "one", "batch", "lines", "queued"])
        ids = []
        for _ in range(self.rng.randint(2, 20) if kind in ("batch", "lines") else 1):
            ids.append(f"c{self.number}-{self.count}")
            self.count += 1
        events = [self.event(id) for id in ids]
        if kind == "batch":
            return "", "application/json", "[" + ",".join(events) + "]", ids
        if kind == "lines":
            return "", "application/x-ndjson", "\n".join(events), ids
        return "?ack=queued" if kind == "queued" else "", "application/json", events[0], ids

    def send(self, query, content_type, body):
        if self.connection is None:
            self.connection = self.server.connect(STALLED_S)
        self.connection.request("POST", "/v1/events" + query, body=body,
                                headers=self.server.headers(content_type))

    def receive(self):
        reply = self.connection.getresponse()
        return reply.status, json.loads(reply.read())

    def give_up(self):
        self.connection.close()
        self.connection = None
        time.sleep(RETRY_S)

    def until_answered(self, query, content_type, body):
        """The answer, and the rounds in which it was sent in vain."""
        rounds = set()
        while not self.ends:
            with self.oracle.mu:
                began = self.oracle.round
            try:
                self.send(query, content_type, body)
                status, answer = self.receive()
                if status != 503:
                    return status, answer, rounds
            except rig.FAILURES:
                pass
            with self.oracle.mu:
                rounds |= {began, self.oracle.round}
                self.oracle.retries += 1
            self.give_up()
        return None, None, rounds

    def believe(self, query, content_type, body, ids):
        """The negative control: what was sent is taken for acknowledged, whatever becomes of it."""
        try:
            self.send(query, content_type, body)
            self.oracle.acknowledge([{"id": id, "level": "QUEUED"} for id in ids])
            self.receive()
        except rig.FAILURES:
            self.give_up()

    def check(self, status, answer, ids, is_queued):
        if status not in (200, 201, 202) or (status == 202) != is_queued:
            self.oracle.complain(f"{ids[0]}: {status} {answer}")
            return []
        receipts = answer.get("receipts", [answer])
        if [receipt["id"] for receipt in receipts] != ids:
            self.oracle.complain(f"{ids[0]}: the receipts are of other events")
        self.oracle.acknowledge(receipts)
        return receipts

    def write(self):
        query, content_type, body, ids = self.make()
        with self.oracle.mu:
            self.oracle.sent.update(ids)
        if self.oracle.ack_first:
            self.believe(query, content_type, body, ids)
            return
        status, answer, rounds = self.until_answered(query, content_type, body)
        if status is None:
            return
        receipts = self.check(status, answer, ids, is_queued=query != "")
        # Sent in vain to servers alone that were to finish what they accepted.
        if rounds and all(round % TERM_EVERY == 0 for round in rounds):
            if any(receipt.get("duplicate") for receipt in receipts):
                self.oracle.complain(f"{ids[0]} was recorded before SIGTERM, but not answered")

    def write_again(self):
        id = self.oracle.some_recorded(self.rng)
        if id is None or not id.startswith(f"c{self.number}-"):
            return
        status, answer, _ = self.until_answered("", "application/json", self.event(id))
        if status is None:
            return
        if status != 200 or not answer["duplicate"]:
            self.oracle.complain(f"{id} was acknowledged, and is new: {status} {answer}")
        self.check(status, answer, [id], is_queued=False)
        with self.oracle.mu:
            self.oracle.again += 1

    def run(self):
        while not self.ends:
            self.write()
            if self.rng.random() < 0.1:
                self.write_again()


def wait_for_answers(oracle, more):
    with oracle.mu:
        wanted = oracle.answers + more
    end = time.monotonic() + STALLED_S
    while oracle.answers < wanted:
        if time.monotonic() > end:
            oracle.complain("the clients are not answered any more")
            return
        time.sleep(0.001)


def one_round(server, oracle, number, rng):
    with oracle.mu:
        oracle.round = number
    server.start()
    wait_for_answers(oracle, rng.randint(0, 20))
    time.sleep(rng.random() * 0.06)
    if number % TERM_EVERY == 0:
        status = server.stop()
        if status != 0:
            oracle.complain(f"round {number}: SIGTERM: {'hangs' if status is None else status}")
    else:
        server.kill()


def compare(ledger, oracle):
    """What is in the ledger against what was said."""
    found = ledger.export()
    at = dict(found)
    if len(at) != len(found):
        oracle.complain(f"{len(found) - len(at)} ids are there twice")
    lost = [id for id, seq in oracle.recorded.items() if at.get(id) != seq]
    lost += [id for id in oracle.queued if id not in at]
    if lost:
        oracle.complain(f"{len(lost)} acknowledged events are lost or elsewhere: {lost[:5]}")
    alien = set(at) - oracle.sent
    if alien:
        oracle.complain(f"{len(alien)} events were never sent: {sorted(alien)[:5]}")
    return len(found)


def torture(ledger, server, oracle, rounds, seed):
    rng = random.Random(seed)
    server.start()
    if server.stop() != 0:
        oracle.complain("the first server does not stop")
    clients = [Client(server, oracle, number, seed) for number in range(CLIENTS)]
    threads = [rig.Thread(client.run) for client in clients]
    for thread in threads:
        thread.start()
    for number in range(1, rounds + 1):
        one_round(server, oracle, number, rng)
        if number % VERIFY_EVERY == 0 and (wrong := ledger.is_verified()):
            oracle.complain(f"round {number}: {wrong}")
        if oracle.bad:
            break
    with oracle.mu:
        oracle.round = rounds + 1
    server.start()
    for client in clients:
        client.ends = True
    for thread in threads:
        thread.join()
        if thread.wrong:
            oracle.complain(thread.wrong)
    if server.stop() != 0:
        oracle.complain("the last server does not stop")
    if wrong := ledger.is_verified():
        oracle.complain(wrong)
    return compare(ledger, oracle)


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    seed = int(os.environ.get("CRASH_SEED", 1))
    ack_first = sys.argv[3:] == ["ack-first"]
    start, events, oracle = time.monotonic(), 0, Oracle(ack_first)
    ledger = rig.Ledger(sys.argv[1])
    server = rig.Server(ledger)
    try:
        events = torture(ledger, server, oracle, rounds, seed)
    finally:
        if server.process is not None:
            server.kill()
        is_good = events > 0 and bool(oracle.bad) == ack_first
        if is_good:
            ledger.remove()
        else:
            print(f"the ledger is left in {ledger.work}")
    for what in oracle.bad[:20]:
        print(f"{'caught: ' if ack_first else 'BAD '}{what}")
    print(json.dumps({"test": "kill_server", "seed": seed, "rounds": rounds, "bad": len(oracle.bad),
                      "events": events, "acknowledged": len(oracle.recorded),
                      "queued": len(oracle.queued), "answers": oracle.answers,
                      "sent_again": oracle.again, "retries": oracle.retries,
                      "seconds": round(time.monotonic() - start, 1)}))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
