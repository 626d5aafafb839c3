"""A real `tally serve` that can be killed, and one before it that has bad manners."""
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from harness import TALLY, Case, main  # noqa: E402

AGENT = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else "build/tests/agent")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`tally serve` on a port of its own, which it keeps when it is started again."""

    def __init__(self, case):
        self.case = case
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.token = None
        case.addCleanup(self.kill)

    def start(self):
        environment = self.case.environment()
        self.process = subprocess.Popen(
            [TALLY, "serve", "-C", str(self.case.ledger), "--listen", f"127.0.0.1:{self.port}"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        while self.token is None:
            line = self.process.stdout.readline().decode()
            assert line, "the server ended"
            if line.startswith("first token"):
                self.token = line.split()[-1]
        self.wait()
        return self

    def wait(self):
        for _ in range(400):
            try:
                self.ask("GET", "/healthz")
                return
            except OSError:
                time.sleep(0.025)
        raise AssertionError("the server does not answer")

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def make_token(self, **members):
        status, data = self.ask("POST", "/v1/tokens", json.dumps({"name": "agent", **members}))
        assert status in (200, 201), data
        return json.loads(data)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


class Rude:
    """Forwards to a server, but as `manner` says. It is called with the number of the request."""

    def __init__(self, case, server, manner):
        rude = self
        self.answer_get = None
        self.count = 0
        self.times = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if rude.answer_get is None:
                    self.send_error(404)
                else:
                    rude.answer_get(self)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                rude.times.append(time.monotonic())
                rude.count += 1
                manner(self, rude.count, body)

            def log_message(self, *_):
                pass

            def reply(self, status, body, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def forward(self, body):
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                connection.request("POST", self.path, body, {
                    name: self.headers[name] for name in ("Authorization", "Content-Type")})
                answer = connection.getresponse()
                data = answer.read()
                connection.close()
                return answer.status, data

            def pass_on(self, body):
                status, data = self.forward(body)
                self.reply(status, data, Content_Type="application/json")

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_address[1]}"
        self.thread = threading.Thread(target=self.listener.serve_forever, daemon=True)
        self.thread.start()
        case.addCleanup(self.stop)

    def stop(self):
        self.listener.shutdown()
        self.listener.server_close()


class RemoteCase(Case):
    """A ledger, its server, and a spool of its own for each name."""

    def setUp(self):
        super().setUp()
        self.init()
        self.server = Server(self).start()
        self.token = self.dir / "token"
        self.spool = self.dir / "agent"
        self.set_token(self.server.make_token(role="admin")["token"])

    def set_token(self, text):
        fresh = self.dir / "token.new"
        fresh.touch(mode=0o600)
        fresh.write_text(text + "\n")
        fresh.rename(self.token)

    def configure(self, text):
        self.spool.mkdir(mode=0o700)
        (self.spool / "tally.yaml").write_text(text)

    def start_agent(self, kind="q", first=1, count=1, url=None, prefix="e", timeout_ms=20000):
        agent = subprocess.Popen(
            [AGENT, url or self.server.url, kind, prefix, str(first), str(count), str(timeout_ms)],
            stdout=subprocess.PIPE, env=self.environment({"SPOOL": str(self.spool), "TOKEN": str(self.token)}))
        self.addCleanup(agent.stdout.close)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        return agent

    def run_agent(self, *arguments, want=0, **options):
        agent = self.start_agent(*arguments, **options)
        out, _ = agent.communicate(timeout=120)
        if want is not None:
            self.assertEqual(agent.returncode, want)
        lines = [line.split() for line in out.decode().splitlines()]
        return [line for line in lines if line[0] != "left"], \
            next((list(map(int, line[1:])) for line in lines if line[0] == "left"), None)

    def remote(self, *arguments, **options):
        env = {"TALLY_REMOTE_SPOOL": str(self.spool), "TALLY_REMOTE_TOKEN_FILE": str(self.token)}
        return self.tally("-C", options.pop("url", self.server.url), *arguments, ledger=False,
                          env=env, **options)

    def flush(self, *options):
        """Ships what earlier agents left behind: all of it comes before something new."""
        self.remote("log", "--action", "remote.flush", "--actor-id", "u1", "--timeout-ms", 60000,
                    *options)
        self.assertEqual(list((self.spool / "spool").glob("*.seg")), [])

    def recorded(self, action="remote.test"):
        """Ids in the order of the ledger; it is read where it lies."""
        out = self.tally("export", "--action", action).out
        return [json.loads(line)["event"]["id"] for line in out.splitlines()
                if '"event":' in line]

    def gaps(self):
        out = self.tally("export", "--action", "agent.gap").out
        events = [json.loads(line)["event"] for line in out.splitlines() if '"event":' in line]
        return [{"reason": event["reason"], **event["metadata"]} for event in events]

    def refused(self):
        path = self.spool / "refused.ndjson"
        return [json.loads(line) for line in path.read_text().splitlines()] \
            if path.exists() else []

    def trouble(self):
        path = self.spool / "spool" / "trouble.txt"
        return path.read_text() if path.exists() else ""

    def wait_until(self, is_so, seconds=30):
        end = time.monotonic() + seconds
        while not is_so():
            self.assertLess(time.monotonic(), end, "it did not come about")
            time.sleep(0.02)
