"""What the tests of the HTTP interface share: `tally serve` on a port of its own, with tokens."""
import http.client
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from harness import TALLY, Case, main  # noqa: E402 (the path comes first)

__all__ = ["TALLY", "Case", "HttpCase", "Reply", "Server", "main"]

ROLES = ["writer", "reader", "auditor", "admin"]
START_S = 20


class Reply:
    """What one request gave. Names of headers are in lower case."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """Of a problem; None of any other reply."""
        is_problem = self.headers.get("content-type", "").startswith("application/problem+json")
        return self.json["code"] if is_problem else None


class Server:
    """One `tally serve`. `address` is (host, port)."""

    def __init__(self, case, *options):
        self.case = case
        self.options = options
        self.said = b""
        self.start()

    def start(self):
        before = len(self.said)
        self.process = subprocess.Popen(
            [TALLY, "-C", str(self.case.ledger), "serve", "--listen", "127.0.0.1:0", *self.options],
            cwd=self.case.dir, env=self.case.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.listen, args=(self.process,), daemon=True)
        self.reader.start()
        end = time.monotonic() + START_S
        found = None
        while found is None:
            if time.monotonic() > end or not self.reader.is_alive():
                self.process.kill()
                raise AssertionError(f"the server does not listen: {self.said.decode()}")
            time.sleep(0.01)
            found = re.search(rb"http://127\.0\.0\.1:(\d+)\s", self.said[before:])
        self.address = ("127.0.0.1", int(found.group(1)))

    def listen(self, process):
        """All that it says is taken at once: it never waits for us."""
        while more := process.stdout.read1(65536):
            self.said += more

    def stop(self, want=0):
        """Ends it as a service manager would; all it said is in `said`."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server does not stop: {self.said.decode()}") from None
        finally:
            self.reader.join()
            self.process.stdout.close()
        if self.process.returncode != want:
            raise AssertionError(f"ended with {self.process.returncode}: {self.said.decode()}")

    def request(self, method, path, token=None, body=None, headers=None, timeout=30):
        """One request on a connection of its own. A body that is no bytes is sent as JSON."""
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers)
            reply = connection.getresponse()
            return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()},
                         reply.read())
        finally:
            connection.close()

    def raw(self, data, timeout=5):
        """Sends bytes as they are, and returns all that comes until the other side closes, and
        whether it did."""
        with socket.create_connection(self.address, timeout=timeout) as connection:
            got = b""
            try:
                connection.sendall(data)
                while True:
                    more = connection.recv(65536)
                    if not more:
                        return got, True
                    got += more
            except socket.timeout:
                return got, False
            except ConnectionError:
                return got, True


class HttpCase(Case):
    """A ledger with a server of its own for each test, and a token of each role: self.tokens[role].
    `self.get()` and `self.post()` act as admin, and check the status."""

    options = ()

    def setUp(self):
        super().setUp()
        self.init()
        self.tokens = {role: self.token(role) for role in ROLES}
        self.server = Server(self, *self.options)
        self.addCleanup(self.server.stop)

    def token(self, role, *tenants, name=None):
        options = [word for tenant in tenants for word in ("--tenant", tenant)]
        return self.tally("token", "create", name or role, "--role", role, *options,
                          "--json").json["token"]

    def call(self, method, path, role="admin", body=None, want=200, **more):
        """`role` is a role, or the text of a token, or None."""
        reply = self.server.request(method, path, self.tokens.get(role, role), body, **more)
        if want is not None:
            self.assertEqual(reply.status, want, f"{method} {path}: {reply.body[:2000]!r}")
        return reply

    def get(self, path, role="admin", want=200, **more):
        return self.call("GET", path, role, want=want, **more)

    def post(self, path, body, role="admin", want=200, **more):
        return self.call("POST", path, role, body, want, **more)

    def record(self, role="admin", **members):
        """Records one event; returns its receipt."""
        event = {"action": "user.login", "actor": {"type": "user", "id": "u1"}, **members}
        return self.post("/v1/events", event, role, want=201).json

    def finish(self, job, role="admin", seconds=30):
        """Waits for a job, given as the reply that named it; returns it as it ended."""
        end = time.monotonic() + seconds
        state = job.json
        while state["state"] in ("queued", "running"):
            self.assertLess(time.monotonic(), end, state)
            time.sleep(0.02)
            state = self.get(f"/v1/jobs/{state['id']}", role).json
        return state
