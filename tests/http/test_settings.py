#!/usr/bin/env python3
"""What a server goes by: flags, then settings, then what is built in."""
import re
import signal
import socket
import subprocess

from server import TALLY, Case, main


class Settings(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def configure(self, text):
        (self.ledger / "tally.yaml").write_text(text)

    def start(self, *options):
        """Runs `tally serve`, as a person would; returns the lines up to the one about the page."""
        process = subprocess.Popen([TALLY, "serve", "--ledger", str(self.ledger), *options],
                                   cwd=self.dir, env=self.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self.end, process)
        lines = []
        while not lines or not re.match("web page:|tally:|first token", lines[-1]):
            line = process.stdout.readline()
            if not line:
                self.fail(lines)
            lines.append(line)
        return lines

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        process.stdout.close()

    def ask(self, path):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /v1/whoami HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return connection.recv(65536)

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


if __name__ == "__main__":
    main()
