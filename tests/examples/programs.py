"""What the tests of the examples share: a program that runs beside a ledger, and what it logged."""
import collections
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from harness import Case, main  # noqa: E402, F401

PROGRAM = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
FORKING = {"TSAN_OPTIONS": "die_after_fork=0"}  # else it ends children that start threads
PATIENCE_S = 60  # sanitizers and busy machines are slow


class Running:
    """A program that says what it does, line by line."""

    def __init__(self, case, *arguments):
        self.process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=case.dir,
                                        env=case.environment(FORKING))
        self.lines = queue.Queue()
        self.errors = []
        self.threads = [threading.Thread(target=self.read_lines, daemon=True),
                        threading.Thread(target=self.read_errors, daemon=True)]
        for thread in self.threads:
            thread.start()
        case.addCleanup(self.clean_up)

    def read_lines(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def read_errors(self):
        self.errors.extend(self.process.stderr)

    def line(self):
        try:
            return self.lines.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"it said nothing: {''.join(self.errors)}") from None

    def wait(self):
        """Waits for its end, and returns its exit status with all the lines that are left."""
        status = self.process.wait(timeout=PATIENCE_S)
        for thread in self.threads:
            thread.join(timeout=PATIENCE_S)
        left = []
        while not self.lines.empty():
            left.append(self.lines.get())
        return status, left

    def stop(self):
        self.process.terminate()
        return self.wait()

    def clean_up(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class ExampleCase(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def start(self, *arguments):
        return Running(self, *arguments)

    def events(self):
        """All that was logged, in the order in which it began."""
        page = self.tally("find", "--order", "occurred_at", "--dir", "asc", "-n", "1000", "--json").json
        return [item["event"] for item in page["items"]]

    def wait_for_events(self, count):
        deadline = time.monotonic() + PATIENCE_S
        while len(self.events()) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(len(self.events()), count)

    def check_actions(self, **want):
        """Exactly these actions, so often each, and a sound ledger; `_` stands for a dot."""
        counts = collections.Counter(event["action"] for event in self.events())
        self.assertEqual(counts, {name.replace("_", "."): n for name, n in want.items()})
        self.tally("verify")
