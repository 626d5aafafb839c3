"""What the tests of the command line share: a ledger of their own, a way to run `tally`, TAP."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TALLY = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/src/tally")
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"


class Result:
    """What one run of `tally` gave."""

    def __init__(self, run):
        self.status = run.returncode
        self.out = run.stdout.decode("utf-8", "replace")
        self.err = run.stderr.decode("utf-8", "replace")
        self.raw = run.stdout

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def problem(self):
        return json.loads(self.err)

    @property
    def rows(self):
        return [line.split("\t") for line in self.out.splitlines()]


class Case(unittest.TestCase):
    """Runs in an empty directory; `self.tally()` knows the ledger in it."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tally-cli-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.ledger = self.dir / "audit"

    def environment(self, extra=None):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("TALLY_")}
        return {**clean, "TERM": "xterm", **(extra or {})}

    def tally(self, *arguments, stdin=b"", env=None, want=0, ledger=True):
        where = ["-C", str(self.ledger)] if ledger else []
        if isinstance(stdin, str):
            stdin = stdin.encode()
        result = Result(subprocess.run([TALLY, *where, *map(str, arguments)], input=stdin,
                                       capture_output=True, cwd=self.dir, timeout=120,
                                       env=self.environment(env)))
        if want is not None:
            self.assertEqual(result.status, want, f"{arguments}: {result.out}{result.err}")
        return result

    def init(self):
        return self.tally("init", self.ledger, "--origin", "test.example/cli", "--json").json

    def write(self, name, text):
        path = self.dir / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def log(self, **members):
        event = {"action": "user.login", "actor": {"type": "user", "id": "u1"}, **members}
        return self.tally("log", json.dumps(event), "--json").json


class TapResult(unittest.TestResult):
    """Prints a line of TAP for each test."""

    def __init__(self):
        super().__init__()
        self.lines = 0

    def say(self, word, test, more=""):
        self.lines += 1
        name = re.sub(r"^test_", "", test.id().split(".", 1)[-1]).replace(".test_", ".")
        print(f"{word} {self.lines} - {name}{more}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("ok", test, f" # SKIP {reason}")

    def fail_with(self, test, error):
        self.say("not ok", test)
        for line in self._exc_info_to_string(error, test).splitlines():
            print(f"# {line}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.fail_with(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.fail_with(test, err)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    print(f"1..{suite.countTestCases()}")
    result = TapResult()
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
