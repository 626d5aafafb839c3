"""What the rigs that strain `tally serve` share: a ledger, a server that can be killed and started
again at the same port, a small client."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

START_S = 60
STOP_S = 60
FAILURES = (OSError, http.client.HTTPException)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else None


class Ledger:
    """A new ledger in a directory of its own, and how to run `tally` on it."""

    def __init__(self, tally, dir=None):
        shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="tally-http-", dir=dir or shm))
        self.tally = str(pathlib.Path(tally).resolve())
        self.path = self.work / "audit"
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith("TALLY_")}
        self.run("init", self.path, "--origin", "test.example/http", at=False, check=True)

    def run(self, *arguments, at=True, **more):
        where = ["-C", str(self.path)] if at else []
        return subprocess.run([self.tally, *where, *map(str, arguments)], capture_output=True,
                              text=True, env=self.environment, **more)

    def is_verified(self):
        """None, or what a verification says."""
        run = self.run("verify", timeout=300)
        return None if run.returncode == 0 else f"verify: {run.returncode}: {run.stdout[-600:]}"

    def export(self):
        """All events that are not the ledger's own acts, as (id, seq)."""
        out = self.work / "export.ndjson"
        run = self.run("export", "--format", "ndjson", "--output", out, timeout=300)
        if run.returncode != 0:
            raise AssertionError(f"export: {run.stderr}")
        found = []
        for line in out.read_text().splitlines():
            item = json.loads(line)
            if item.get("kind") == "event" and not item["event"]["action"].startswith("tally."):
                found.append((item["event"]["id"], item["seq"]))
        return found

    def remove(self):
        shutil.rmtree(self.work, ignore_errors=True)


class Server:
    """One `tally serve`; what it says goes to `log`."""

    def __init__(self, ledger, *options):
        self.ledger, self.options = ledger, options
        self.prefix = ()
        self.tls = None
        self.port = free_port()
        self.log = ledger.work / "serve.log"
        self.token = None
        self.process = None

    def start(self):
        at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, self.ledger.tally, "-C", str(self.ledger.path), "serve", "--listen",
                 f"127.0.0.1:{self.port}", *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.ledger.environment)
        end = time.monotonic() + START_S
        while b"web page:" not in (said := self.log.read_bytes()[at:]):
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"the server does not start: {said.decode()[-2000:]}")
            time.sleep(0.002)
        if found := re.search(rb"first token \(shown once\): (\S+)", said):
            self.token = found[1].decode()
        return self

    def use_tls(self, cert, key):
        self.options += ("--tls-cert", str(cert), "--tls-key", str(key))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As a service manager does; returns the exit status, None if it hangs."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            return None

    def connect(self, timeout=30):
        if self.tls is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                               context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def headers(self, content_type="application/json"):
        return {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}

    def get(self, path, timeout=30):
        """Status and body of one request on a connection of its own."""
        connection = self.connect(timeout)
        try:
            connection.request("GET", path, headers=self.headers())
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rss_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


class Thread(threading.Thread):
    """One whose failure is kept in `wrong`."""

    def __init__(self, run, *arguments):
        super().__init__(daemon=True)
        self.does, self.arguments = run, arguments
        self.wrong = None

    def run(self):
        try:
            self.does(*self.arguments)
        except Exception as failure:  # whatever it is, the rig reports it
            self.wrong = f"{type(failure).__name__}: {failure}"
