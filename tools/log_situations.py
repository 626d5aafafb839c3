#!/usr/bin/env python3
"""How long tally_log() keeps its caller while the ledger is in trouble. Prints a line of JSON each.

usage: log_situations.py TALLY [--threads N] [--pace N] [--timeout-ms N] [--class CLASS] [SITUATION]...

Another process is the sequencer (`tally import -`, which waits for more), and `tally bench log --into`
logs at a pace for 16 seconds beside it. Situations, all of them if none is named:

healthy  nothing happens
stopped  the sequencer is stopped (SIGSTOP) from the third second on, for 10 seconds
killed   the sequencer is killed (SIGKILL) in the sixth second
full     the sequencer is stopped all the time, and the spool may hold 1 MiB
nospace  the ledger is on a file system of 24 MiB, which fills up (needs root); at the end, room is made

Afterwards the ledger is verified, and what the logger says is compared with what is recorded.
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = 16
SITUATIONS = ("healthy", "stopped", "killed", "full", "nospace")


class Situation:
    def __init__(self, options, name, place):
        self.options, self.name = options, name
        self.ledger = pathlib.Path(place) / "audit"
        self.settings = (["--set", "spool.max_bytes=1MiB", "--set", "spool.segment_bytes=256KiB"]
                         if name == "full" else [])
        self.holder = None

    def tally(self, *arguments):
        return subprocess.run([self.options.tally, "-C", self.ledger, *self.settings, *arguments],
                              capture_output=True, text=True)

    def count(self, *conditions):
        return int(self.tally("count", "--exact", *conditions).stdout or 0)

    def status(self):
        return json.loads(self.tally("status", "--json").stdout or "{}")

    def hold(self):
        """Starts the sequencer; it records an event, so that we know that it has the lock."""
        self.holder = subprocess.Popen(
            [self.options.tally, "-C", self.ledger, "import", "-"], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.holder.stdin.write(b'{"action":"holder.start"}\n')
        self.holder.stdin.flush()
        deadline = time.time() + 20
        while self.count() == 0 and time.time() < deadline:
            time.sleep(0.05)

    def later(self, seconds, number):
        threading.Timer(seconds, lambda: self.holder.send_signal(number)).start()

    def disturb(self):
        if self.name == "stopped":
            self.later(3, signal.SIGSTOP)
            self.later(13, signal.SIGCONT)
        elif self.name == "killed":
            self.later(6, signal.SIGKILL)
        elif self.name == "full":
            self.holder.send_signal(signal.SIGSTOP)

    def end(self):
        if self.holder.poll() is None:
            self.holder.send_signal(signal.SIGCONT)
        try:
            self.holder.stdin.close()
        except BrokenPipeError:
            pass  # it was killed
        self.holder.wait(60)

    def run(self):
        self.tally("init", self.ledger, "--quiet")
        self.hold()
        self.disturb()
        options = self.options
        bench = self.tally("bench", "log", "--into", self.ledger, "--events", "0",
                           "--pace", str(options.pace), "--seconds", str(SECONDS),
                           "--threads", str(options.threads), "--class", options.delivery,
                           "--timeout-ms", str(options.timeout_ms), "--dir", self.ledger.parent,
                           "--json")
        (self.ledger.parent / "ballast").unlink(missing_ok=True)
        self.end()
        if bench.returncode != 0:
            return {"situation": self.name, "error": bench.stderr.strip()}
        told = json.loads(bench.stdout)
        self.tally("log", "--action", "situation.end")  # whoever writes records what waits
        return {"situation": self.name, "threads": told["threads"], "class": told["class"],
                "timeout_ms": told["timeout_ms"], "pace": options.pace, **told["paced"],
                "lost": told["logger"]["lost"],
                "declared": self.status().get("dropped"), "waited": told["logger"]["waited"],
                "accepted": told["logger"]["accepted"],
                "recorded": self.count("--service", "web"),
                "gaps": self.count("--kind", "gap"),
                "verdict": self.tally("verify").stdout.split("\n")[0]}


def run_nospace(options, place):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tally-nospace", place], check=True)
    try:
        situation = Situation(options, "nospace", place)
        (pathlib.Path(place) / "ballast").write_bytes(b"x" * (8 << 20))
        situation.settings = ["--set", "spool.segment_bytes=1MiB"]
        return situation.run()
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("tally", type=os.path.abspath)
    parser.add_argument("situations", nargs="*", default=SITUATIONS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pace", type=int, default=5000)
    parser.add_argument("--timeout-ms", type=int, default=200)
    parser.add_argument("--class", dest="delivery", default="durable")
    options = parser.parse_args()
    failed = False
    for name in options.situations:
        with tempfile.TemporaryDirectory(prefix="tally-situation-", dir=".") as place:
            if name == "nospace" and os.geteuid() != 0:
                told = {"situation": name, "skipped": "needs root"}
            elif name == "nospace":
                told = run_nospace(options, place)
            else:
                told = Situation(options, name, place).run()
        print(json.dumps(told), flush=True)
        failed = failed or "error" in told or told.get("verdict", "VERIFIED") != "VERIFIED"
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
