#!/usr/bin/env python3
"""Kills a process that logs at each of its system calls, and checks what is left.

usage: kill_calls.py LOG_SCENARIO CRASH_LEDGER [PLACES]

Traces one run of log_scenario, and repeats it with SIGKILL at the 1st, 2nd, 3rd ... call of each
name, in each thread, from the one on that first names the ledger; of each name, up to PLACES (4)
places are chosen. Afterwards crash_ledger must find what was acknowledged. KILL_PLACES and
CRASH_SEED in the environment take precedence.

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

HANG_S = 60
LINE = re.compile(r"^(\d+)\s+([a-z_0-9]+)\(")
KILLED = -9


class Sweep:
    def __init__(self, scenario, checker, work):
        self.scenario, self.checker = str(scenario), str(checker)
        self.work, self.fresh, self.site = work, work / "fresh", work / "site"
        self.oracle = work / "oracle"
        self.fresh.mkdir()
        made = self.run([self.checker, "make", self.fresh, self.oracle])
        if made.returncode != 0:
            sys.exit(f"kill_calls.py: {made.stderr}")

    def run(self, command):
        return subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              timeout=HANG_S)

    def do_scenario(self, *strace):
        shutil.rmtree(self.site, ignore_errors=True)
        shutil.copytree(self.fresh, self.site)
        self.oracle.unlink(missing_ok=True)
        return self.run(["strace", "-f", "-qq", *strace, self.scenario, self.site / "ledger",
                         self.oracle])

    def places(self):
        """For each call, the counts at which a thread makes it after the ledger was first named."""
        log = self.work / "trace"
        run = self.do_scenario("-o", log)
        if run.returncode != 0:
            sys.exit(f"kill_calls.py: the scenario fails: {run.stderr}")
        before, total, begun = collections.Counter(), collections.Counter(), False
        for line in log.read_text(errors="replace").splitlines():
            match = LINE.match(line)
            if not match or match[2] in ("exit", "exit_group"):
                continue
            begun = begun or str(self.site) in line and match[2] != "execve"
            total[match[1], match[2]] += 1
            if not begun:
                before[match[1], match[2]] += 1
        found = {}
        for call in sorted({c for _, c in total}):
            first = 1 + max((n for (_, c), n in before.items() if c == call), default=0)
            last = max(n for (_, c), n in total.items() if c == call)
            if first <= last:
                found[call] = range(first, last + 1)
        return found

    def kill(self, call, n):
        """Returns (whether it was killed, None or what is wrong afterwards)."""
        try:
            run = self.do_scenario("-o", "/dev/null", "-e", f"trace={call}",
                                   "-e", f"inject={call}:signal=KILL:when={n}")
            check = self.run([self.checker, "check", self.site, self.oracle])
        except subprocess.TimeoutExpired as error:
            return True, f"hangs: {error.cmd}"
        if run.returncode not in (0, KILLED, 128 - KILLED):
            return True, f"exit status {run.returncode}: {run.stderr.strip()[-200:]}"
        wrong = None if check.returncode == 0 else check.stderr.strip()[-300:] or "check failed"
        return run.returncode != 0, wrong


def can_trace():
    return shutil.which("strace") is not None and subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


def choose(places, count, rng):
    """The first, the last, and some between."""
    if len(places) <= count:
        return list(places)
    between = rng.sample(range(1, len(places) - 1), max(count - 2, 0))
    return [places[i] for i in sorted([0, *between, len(places) - 1])]


def main():
    if not can_trace():
        print("kill_calls.py: skipped: strace cannot trace here")
        return 77
    most = int(os.environ.get("KILL_PLACES", sys.argv[3] if len(sys.argv) > 3 else 4))
    seed = int(os.environ.get("CRASH_SEED", 1))
    rng, start, runs, kills, bad = random.Random(seed), time.monotonic(), 0, 0, 0
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    work = pathlib.Path(tempfile.mkdtemp(prefix="tally-calls-", dir=shm))
    try:
        sweep = Sweep(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), work)
        places = sweep.places()
        for call, where in places.items():
            for n in choose(where, most, rng):
                killed, wrong = sweep.kill(call, n)
                runs, kills = runs + 1, kills + killed
                if wrong:
                    bad += 1
                    print(f"BAD {call}:when={n}: {wrong}", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps({"test": "kill_calls", "seed": seed, "runs": runs, "kills": kills, "bad": bad,
                      "places": {call: len(where) for call, where in places.items()},
                      "seconds": round(time.monotonic() - start, 1)}))
    return 1 if bad or kills == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
