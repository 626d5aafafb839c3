#!/usr/bin/env python3
"""Fails system calls of `tally import`, one at a time, and checks what is left.

usage: inject.py TALLY [PLACES]

For each call that writes, syncs, renames or opens a file in the ledger, up to PLACES places (6) are
chosen, from the first to the last; there the call returns EIO, ENOSPC or EINTR, once or from then
on. This reaches the files of SQLite too, which the tests in C do not. Afterwards the import must
have said that it failed or have recorded all, the ledger must be VERIFIED, and importing again must
complete it. INJECT_PLACES and CRASH_SEED in the environment take precedence.

Prints one line of JSON. Skips (exit status 77) where strace cannot trace.
"""
import collections
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

ERRORS = {
    "pwrite64": ["EIO", "ENOSPC", "EINTR"],
    "fdatasync": ["EIO", "ENOSPC"],
    "fsync": ["EIO", "ENOSPC"],
    "rename": ["EIO", "ENOSPC"],
    "openat": ["EIO", "ENOSPC"],
}
EVENTS = 40
HANG_S = 60
FAILED = {5, 6}  # not available; incomplete
LINE = re.compile(r"^(?:\[pid\s+)?(\d+)\]?\s+([a-z_0-9]+)\(")


class Sweep:
    def __init__(self, tally, work):
        self.tally = str(pathlib.Path(tally).resolve())
        self.fresh = work / "fresh"
        self.ledger = work / "audit"
        self.events = work / "events.ndjson"
        self.statuses = collections.Counter()
        self.events.write_text("".join(
            json.dumps({"id": f"e{n}", "action": "inject.test", "metadata": {"n": n},
                        "occurred_at": "2026-01-01T00:00:00Z"}) + "\n" for n in range(EVENTS)))
        self.run("init", self.fresh, "--origin", "test.example/inject", at=None)

    def run(self, *arguments, at, prefix=()):
        where = ["-C", str(at)] if at else []
        env = {key: value for key, value in os.environ.items() if not key.startswith("TALLY_")}
        return subprocess.run([*prefix, self.tally, *where, *map(str, arguments)],
                              capture_output=True, text=True, timeout=HANG_S, env=env)

    def start_over(self):
        shutil.rmtree(self.ledger, ignore_errors=True)
        shutil.copytree(self.fresh, self.ledger)

    def do_import(self, prefix):
        return self.run("import", "--rejects", "/dev/null", self.events, at=self.ledger,
                        prefix=prefix)

    def places(self, work):
        """How often each thread makes each call, and how many of these come before the ledger."""
        self.start_over()
        log = work / "trace"
        self.do_import(["strace", "-f", "-qq", "-o", str(log),
                        "-e", "trace=" + ",".join(ERRORS)])
        before, total, begun = collections.Counter(), collections.Counter(), False
        for line in log.read_text(errors="replace").splitlines():
            match = LINE.match(line)
            if not match:
                continue
            begun = begun or str(self.ledger) in line
            total[match[1], match[2]] += 1
            if not begun:
                before[match[1], match[2]] += 1
        found = {}
        for call in ERRORS:
            first = 1 + max((n for (_, c), n in before.items() if c == call), default=0)
            last = max((n for (_, c), n in total.items() if c == call), default=0)
            found[call] = range(first, last + 1)
        return found

    def fail(self, call, inject):
        """Runs with one fault; returns None or what is wrong afterwards."""
        self.start_over()
        try:
            run = self.do_import(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                                  "-e", f"inject={call}:{inject}"])
        except subprocess.TimeoutExpired:
            return "hangs"
        self.statuses[run.returncode] += 1
        if run.returncode not in FAILED | {0}:
            return f"exit status {run.returncode}: {run.stderr.strip()[-200:]}"
        if run.returncode != 0 and not run.stderr.strip():
            return "failed without a word"
        count = self.count()
        if count is None or (run.returncode == 0 and count != EVENTS):
            return f"exit status {run.returncode}, {count} events recorded"
        again = self.do_import([])
        if again.returncode != 0 or self.count() != EVENTS:
            return f"importing again: {again.returncode}: {again.stderr.strip()[-200:]}"
        verify = self.run("verify", at=self.ledger)
        return None if verify.returncode == 0 else f"verify: {verify.stdout.strip()[-300:]}"

    def count(self):
        run = self.run("count", "--action", "inject.test", "--exact", at=self.ledger)
        text = run.stdout.strip()
        return int(text) if run.returncode == 0 and text.isdigit() else None


def can_trace():
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"],
                          capture_output=True).returncode == 0


def choose(places, count, rng):
    """The first, the last, and some between."""
    if len(places) <= count:
        return list(places)
    between = rng.sample(range(1, len(places) - 1), max(count - 2, 0))
    return [places[i] for i in sorted([0, *between, len(places) - 1])]


def main():
    if not can_trace():
        print("inject.py: skipped: strace cannot trace here")
        return 77
    most = int(os.environ.get("INJECT_PLACES", sys.argv[2] if len(sys.argv) > 2 else 6))
    seed = int(os.environ.get("CRASH_SEED", 1))
    rng, start, runs, bad = random.Random(seed), time.monotonic(), 0, 0
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    work = pathlib.Path(tempfile.mkdtemp(prefix="tally-inject-", dir=shm))
    try:
        sweep = Sweep(sys.argv[1], work)
        places = sweep.places(work)
        for call, where in places.items():
            for n in choose(where, most, rng):
                for error in ERRORS[call]:
                    for when in [f"{n}"] if error == "EINTR" else [f"{n}", f"{n}+"]:
                        inject = f"error={error}:when={when}"
                        runs += 1
                        wrong = sweep.fail(call, inject)
                        if wrong:
                            bad += 1
                            print(f"BAD {call}:{inject}: {wrong}", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps({"test": "inject", "seed": seed, "runs": runs, "bad": bad,
                      "exit_statuses": dict(sorted(sweep.statuses.items())),
                      "places": {call: len(where) for call, where in places.items()},
                      "seconds": round(time.monotonic() - start, 1)}))
    return 1 if bad or runs == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
