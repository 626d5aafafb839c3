#!/usr/bin/env python3
"""What a server goes by: flags, then settings, then what is built in."""
import http.client
import json
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess
import time
import unittest

from server import TALLY, Case, HttpCase, Server, main


class Site(Case):
    """A ledger, and servers for it as people start them."""

    def setUp(self):
        super().setUp()
        self.init()

    def configure(self, text):
        (self.ledger / "tally.yaml").write_text(text)

    def start(self, *options):
        """Runs `tally serve`, as a person would; returns what it says up to the line about the page."""
        process = subprocess.Popen([TALLY, "serve", "--ledger", str(self.ledger), *options],
                                   cwd=self.dir, env=self.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.pid = process.pid
        lines = []
        while not lines or not re.match("web page:|first token", lines[-1]):
            line = process.stdout.readline()
            if not line:
                self.fail(f"{lines} {process.stderr.read()}")
            lines.append(line)
        return lines

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        self.said = process.stderr.read()
        process.stdout.close()
        process.stderr.close()

    def ask(self, path, what="/v1/whoami"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(f"GET {what} HTTP/1.1\r\nHost: a\r\n"
                               "Connection: close\r\n\r\n".encode())
            return connection.recv(65536)


class Settings(Site):
    def test_flags_after_the_command(self):
        path = self.dir / "s.sock"
        lines = self.start("--listen", "127.0.0.1:0", "--unix", str(path))
        self.assertRegex(lines[0], r"^listening: http://127\.0\.0\.1:[0-9]+\n")
        self.assertEqual(lines[1], f"listening: unix:{path}\n")
        self.assertIn(b'"role":"admin"', self.ask(path))

    def test_settings_alone(self):
        self.configure('server:\n  listen: ["127.0.0.1:0"]\n  unix: s.sock\n  tokens: t.json\n')
        lines = self.start()
        self.assertRegex(lines[0], r"^listening: http://127\.0\.0\.1:[0-9]+\n")
        self.assertEqual(lines[1], f"listening: unix:{self.ledger}/s.sock\n")
        self.assertIn(b'"role":"admin"', self.ask(self.ledger / "s.sock"))
        self.assertTrue((self.ledger / "t.json").exists())
        self.assertFalse((self.ledger / "tokens.json").exists())
        self.assertEqual(len(self.tally("token", "list", "--json").json["tokens"]), 1)

    def test_flags_go_before_settings(self):
        self.configure('server:\n  listen: ["127.0.0.1:0", "127.0.0.1:0"]\n  unix: s.sock\n')
        lines = self.start("--listen", "127.0.0.1:0")
        self.assertEqual(len([line for line in lines if line.startswith("listening:")]), 1)

    def test_what_makes_no_sense(self):
        self.configure("server:\n  listen: 8080\n")
        self.assertIn("tally.yaml:2:11: 'server.listen'", self.tally("serve", want=4).err)
        self.configure("server:\n  tls_cert: cert.pem\n")
        self.assertIn("needs its key", self.tally("serve", want=3).err)
        self.configure('server:\n  listen: ["0.0.0.0:0"]\n')
        self.assertIn("other machines", self.tally("serve", want=3).err)
        self.configure("")
        many = [word for n in range(9) for word in ("--unix", f"s{n}")]
        self.assertIn("8 addresses", self.tally("serve", *many, want=3).err)
        self.assertIn("too long", self.tally("serve", "--unix", "x" * 200, want=3).err)


class Sandbox(Site):
    """What a server may not do, and as whom."""

    def threads(self):
        """What /proc says of each thread."""
        for path in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            lines = (path / "status").read_text().splitlines()
            yield {name: value.split() for name, _, value in (line.partition(":") for line in lines)}

    def sandbox(self, path):
        return json.loads(self.ask(path, "/v1/status").split(b"\r\n\r\n", 1)[1])["server"]["sandbox"]

    def test_every_thread_is_in_it(self):
        path = self.dir / "s.sock"
        self.start("--listen", "127.0.0.1:0", "--unix", str(path))
        kind = self.sandbox(path)
        if kind == "none":
            self.skipTest("built without it")
        threads = list(self.threads())
        self.assertGreater(len(threads), 5)
        for thread in threads:
            self.assertEqual((thread["NoNewPrivs"], thread["Seccomp"]), (["1"], ["2"]))

    def test_it_can_be_left_out(self):
        path = self.dir / "s.sock"
        self.start("--listen", "127.0.0.1:0", "--unix", str(path), "--no-sandbox")
        self.assertEqual(self.sandbox(path), "none")

    @unittest.skipUnless(os.geteuid() == 0, "for root alone")
    def test_root_is_given_up(self):
        user = pwd.getpwnam("nobody")
        for path in [self.dir, *self.dir.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid)
        path = self.dir / "s.sock"
        lines = self.start("--listen", "127.0.0.1:0", "--unix", str(path), "--user", "nobody")
        self.assertRegex(lines[0], r"^listening: http://127\.0\.0\.1:[0-9]+\n")
        for thread in self.threads():
            self.assertEqual(set(thread["Uid"]), {str(user.pw_uid)})
            self.assertEqual(set(thread["Gid"]), {str(user.pw_gid)})
            self.assertNotIn("0", thread["Groups"])
            self.assertEqual(int(thread["CapEff"][0], 16) | int(thread["CapPrm"][0], 16), 0)
        self.assertEqual(path.stat().st_uid, user.pw_uid)
        self.assertEqual({path.stat().st_uid for path in self.ledger.rglob("*")}, {user.pw_uid})
        self.assertIn(b'"role":"admin"', self.ask(path))

    def test_users_that_are_none(self):
        want = "no user" if os.geteuid() == 0 else "only root"
        self.assertIn(want, self.tally("serve", "--listen", "127.0.0.1:0", "--user", "no-such-user",
                                       want=3).err)


class Reload(HttpCase):
    def configure(self, text):
        (self.ledger / "tally.yaml").write_text(text)

    def reload(self, want=200):
        return self.post("/v1/config/reload", None, want=want)

    def said(self, text):
        end = time.monotonic() + 20
        while text.encode() not in self.server.said:
            self.assertLess(time.monotonic(), end, self.server.said)
            time.sleep(0.02)

    def changes(self):
        """What is on record, the newest first."""
        time.sleep(0.2)
        items = self.get("/v1/events?action=tally.config.change").json["items"]
        return [(item["event"]["actor"]["id"], item["event"]["metadata"]) for item in items]

    def days(self):
        rules = self.get("/v1/retention").json["rules"]
        return next(rule["days"] for rule in rules if rule["kind"] == "default")

    def test_says_what_changed_and_what_did_not(self):
        self.assertEqual(self.reload().json, {"changed": [], "needs_restart": []})
        self.assertEqual(self.changes(), [])
        self.configure("retention:\n  default_days: 10\n  by_tenant: {acme: 7}\n"
                       "verify.schedule: off\nserver.listen: ['127.0.0.1:1']\n"
                       "policy.redact.keys: [secret-name]\n")
        said = {"changed": ["retention.by_tenant.acme", "retention.default_days",
                            "verify.schedule"],
                "needs_restart": ["policy.redact.keys", "server.listen"]}
        self.assertEqual(self.reload().json, said)
        self.assertEqual(self.days(), 10)
        jobs = {job["name"]: job["when"] for job in self.get("/v1/schedules").json["jobs"]}
        self.assertEqual(jobs["verify"], "off")
        self.record(id="after", tenant_id="acme")
        self.assertEqual(self.get("/v1/count?kind=policy&exact=true").json["count"], 1)
        (who, metadata), = self.changes()
        self.assertRegex(who, r"^token:[0-9a-f]{8} \(admin\)$")
        self.assertEqual(metadata, said)
        # What was taken over is not new any more; what waits for a start waits.
        self.assertEqual(self.reload().json, {"changed": [],
                                              "needs_restart": said["needs_restart"]})
        self.configure("")
        self.assertEqual(self.reload().json, {"changed": said["changed"], "needs_restart": []})

    def test_by_a_signal(self):
        self.configure("retention.default_days: 11\n")
        self.server.process.send_signal(signal.SIGHUP)
        self.said("reloaded changed=1 needs_restart=0")
        self.assertEqual(self.days(), 11)
        self.assertEqual(self.changes(), [("tally", {"changed": ["retention.default_days"],
                                                      "needs_restart": []})])

    def test_a_file_that_is_wrong_changes_nothing(self):
        for text, place in [("retention.default_days: 12\nverify.schedule: '61 * * * *'\n", "2:18"),
                            ("retention.default_days: 12\nverify.part: many\n", "2:14"),
                            ("retention.default_days: 12\nserver.lisen: a\n", "2:15"),
                            ("retention: {default_days: 12\n", "line 2, column 1")]:
            self.configure(text)
            reply = self.reload(422)
            self.assertIn(f"tally.yaml:{place}", reply.json["detail"])
            self.assertEqual(self.get("/v1/count?kind=policy&exact=true").json["count"], 0)
        self.server.process.send_signal(signal.SIGHUP)
        self.said("not reloaded, all stays as it was:")
        self.configure("retention.default_days: 12\n")
        (self.ledger / "tokens.json").write_text("{")
        self.reload(500)
        self.assertEqual(self.changes(), [])

    def test_takes_no_members(self):
        self.assertEqual(self.post("/v1/config/reload", {"all": True}, want=422).code,
                         "unknown_member")


class Rates(HttpCase):
    def ask(self, count, role):
        """How many replies there were of each status, on one connection."""
        token = self.tokens.get(role, role)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        connection = http.client.HTTPConnection(*self.server.address, timeout=30)
        self.addCleanup(connection.close)
        counts = {}
        for _ in range(count):
            connection.request("GET", "/v1/whoami", headers=headers)
            reply = connection.getresponse()
            body = json.loads(reply.read())
            counts[reply.status] = counts.get(reply.status, 0) + 1
            if reply.status == 429:
                self.assertEqual((body["code"], reply.getheader("Retry-After")), ("rate", "1"))
        return counts

    def limit(self, text):
        (self.ledger / "tally.yaml").write_text(f"server: {{{text}}}\n")
        self.post("/v1/config/reload", None)

    def test_without_a_token_an_address_waits(self):
        began = time.monotonic()
        for role in (None, "tally_00000000_no", None):
            counts = self.ask(300, role)
        self.assertGreater(counts[429], 0)
        self.assertLessEqual(counts.get(401, 0), 100 + 50 * (time.monotonic() - began))
        self.assertEqual(self.ask(300, "reader"), {200: 300})
        self.assertEqual({self.get(path, None, want=None).status
                          for path in 50 * ["/healthz", "/version", "/ui/"]}, {200})
        time.sleep(1)
        self.assertGreaterEqual(self.ask(40, None)[401], 40)
        self.limit("rate_per_address: 0")
        self.assertEqual(self.ask(300, None), {401: 300})
        self.limit("rate_per_address: 1")
        self.assertGreater(self.ask(20, None)[429], 10)

    def test_a_token_waits_and_others_do_not(self):
        self.limit("rate_per_token: 5")
        self.assertLess(self.ask(100, "reader")[200], 50)
        self.assertEqual(self.ask(5, "auditor"), {200: 5})
        self.assertEqual(self.ask(30, None), {401: 30})
        self.limit("rate_per_token: 0")
        self.assertEqual(self.ask(100, "reader"), {200: 100})

    def test_a_unix_socket_does_not_wait(self):
        path = self.dir / "s.sock"
        server = Server(self, "--unix", str(path), "--tokens", str(self.dir / "none.json"))
        self.addCleanup(server.stop)
        (self.ledger / "tally.yaml").write_text(
            "server: {rate_per_token: 1, rate_per_address: 1}\n")
        self.ask_unix(path, b"POST /v1/config/reload")
        for _ in range(20):
            self.assertIn(b"200 OK", self.ask_unix(path, b"GET /v1/whoami"))

    def ask_unix(self, path, what):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(what + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return connection.recv(65536)


if __name__ == "__main__":
    main()
