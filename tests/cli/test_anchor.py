#!/usr/bin/env python3
"""anchor: files, git, endpoints, time stamps, witnesses; and what verify says of them."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

from harness import TALLY, Case, main

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
from tsa import Authority  # noqa: E402
from witness import Server, Witness  # noqa: E402


def git(*arguments):
    run = subprocess.run(["git", *map(str, arguments)], check=True, capture_output=True)
    return run.stdout.decode().strip()


class Anchors(Case):
    def setUp(self):
        super().setUp()
        self.init()
        self.log()

    def serve(self, answer):
        server = Server(answer)
        self.addCleanup(server.close)
        return server

    def anchor(self, *targets, want=0, **settings):
        env = {f"TALLY_ANCHOR_{name.upper()}": str(value) for name, value in settings.items()}
        result = self.tally("anchor", *targets, "--by", "tester", "--json", want=want, env=env)
        return result.json["anchors"]

    def one(self, target, want=0, **settings):
        return self.anchor(target, want=want, **settings)[0]

    def newest(self):
        return self.tally("checkpoint").out

    def codes(self, *arguments, want=0):
        report = self.tally("verify", "--json", *arguments, want=want).json
        return {finding["code"] for finding in report["findings"]}


class Places(Anchors):
    def test_a_file_has_the_newest_checkpoint(self):
        path = self.dir / "kept"
        said = self.one(f"file:{path}")
        self.assertEqual((said["anchored"], said["seq"], said["status"]), (True, None, None))
        self.assertEqual(path.read_text().split("\n")[1], str(said["size"]))
        self.assertEqual(self.tally("anchor", "check", path, "--json").json["verdict"], "VERIFIED")
        self.tally("verify", "--against", path)
        event = self.tally("find", "--action", "tally.anchor", "--json").json["items"][0]
        self.assertEqual(event["event"]["metadata"]["target"], f"file:{path}")

    def test_a_file_that_knows_more_is_left_alone(self):
        path = self.dir / "kept"
        shutil.copytree(self.ledger, self.dir / "old")
        self.log()
        self.one(f"file:{path}")
        before = path.read_bytes()
        shutil.rmtree(self.ledger)
        shutil.copytree(self.dir / "old", self.ledger)
        said = self.one(f"file:{path}", want=5)
        self.assertFalse(said["anchored"])
        self.assertIn("not of this ledger's past", said["detail"])
        self.assertEqual(path.read_bytes(), before)

    def test_a_kept_checkpoint_tells_of_a_roll_back(self):
        path = self.dir / "kept"
        shutil.copytree(self.ledger, self.dir / "old")
        self.log()
        self.one(f"file:{path}")
        shutil.rmtree(self.ledger)
        shutil.copytree(self.dir / "old", self.ledger)
        result = self.tally("anchor", "check", path, "--json", want=1).json
        self.assertEqual(result["verdict"], "TAMPERED")
        self.assertIn("rolled back", result["reason"])

    def test_a_checkpoint_of_others_is_none_of_ours(self):
        other = self.dir / "other"
        self.tally("init", other, "--origin", "test.example/other", ledger=False)
        note = self.tally("-C", other, "checkpoint", ledger=False).out
        path = self.write("theirs", note)
        result = self.tally("anchor", "check", path, "--json", want=2).json
        self.assertEqual(result["verdict"], "UNVERIFIABLE")
        self.write("garbage", b"\x00\x01")
        self.tally("anchor", "check", self.dir / "garbage", want=2)

    def test_git_has_a_commit_and_pushes_it(self):
        git("init", "-q", "--bare", self.dir / "remote.git")
        git("init", "-q", "--bare", self.dir / "here.git")
        git("-C", self.dir / "here.git", "remote", "add", "origin", self.dir / "remote.git")
        said = self.one(f"git:{self.dir}/here.git")
        commit = git("-C", self.dir / "remote.git", "rev-parse", "HEAD")
        self.assertIn(commit, said["detail"])
        shown = git("-C", self.dir / "remote.git", "show", "HEAD:test.example%2Fcli/checkpoint")
        self.assertEqual(shown.split("\n")[1], str(said["size"]))
        token = (self.ledger / "anchors" / str(said["seq"])).read_bytes()
        header = b"commit %d\x00" % len(token)
        self.assertEqual(hashlib.sha1(header + token).hexdigest(), commit)
        self.one(f"git:{self.dir}/here.git")
        self.assertEqual(git("-C", self.dir / "remote.git", "rev-list", "--count", "HEAD"), "2")
        self.assertEqual(self.codes(), set())

    def test_git_that_cannot_push_has_not_anchored(self):
        git("init", "-q", "--bare", self.dir / "here.git")
        git("-C", self.dir / "here.git", "remote", "add", "origin", self.dir / "nowhere.git")
        said = self.one(f"git:{self.dir}/here.git", want=5)
        self.assertFalse(said["anchored"])
        self.assertIn("not pushed", said["detail"])
        self.assertIsNone(said["seq"])
        self.assertIn("no git repository", self.one(f"git:{self.dir}", want=5)["detail"])

    def test_an_endpoint_gets_the_note_and_its_own_secret(self):
        bodies = []
        server = self.serve(lambda path, headers, body: (bodies.append(body), (201, "", b""))[1])
        host = server.url.removeprefix("http://")
        self.write("tokens", f"elsewhere.example Bearer other\n{host} Bearer s3cret\n")
        os.chmod(self.dir / "tokens", 0o600)
        said = self.one(server.url + "/in?key=hidden", token_file=self.dir / "tokens")
        self.assertTrue(said["anchored"])
        self.assertEqual(bodies[0].decode().split("\n")[1], str(said["size"]))
        self.assertEqual(server.headers[0]["Authorization"], "Bearer s3cret")
        self.assertEqual(server.headers[0]["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(server.paths, ["/in?key=hidden"])
        self.assertNotIn("hidden", self.tally("find", "--json").out)
        self.assertNotIn("hidden", str(said))
        os.chmod(self.dir / "tokens", 0o644)
        said = self.one(server.url, want=5, token_file=self.dir / "tokens")
        self.assertNotIn("s3cret", str(said))
        self.assertEqual(len(server.paths), 1)

    def test_an_endpoint_that_fails_has_not_taken_it(self):
        status = [500]
        server = self.serve(lambda *_: (status[0], "text/plain", b"x"))
        for code in (500, 404, 304, 199):
            status[0] = code if code != 199 else 401
            said = self.one(server.url, want=5)
            self.assertFalse(said["anchored"])
        for mode, word in (("closed", "no answer"), ("oversized", "more than 65536"),
                           ("redirect", "302")):
            server.mode = mode
            self.assertIn(word, self.one(server.url, want=5)["detail"], mode)
        self.assertNotIn("/elsewhere", server.paths)
        self.assertFalse([path for path in server.paths if path.startswith("GET")])
        server.mode = "slow"
        before = time.monotonic()
        self.assertIn("no answer", self.one(server.url, want=5, timeout_s=1)["detail"])
        self.assertLess(time.monotonic() - before, 5)
        server.close()
        self.assertIn("no answer", self.one(server.url, want=5)["detail"])
        self.assertEqual(self.tally("find", "--action", "tally.anchor", "--json").json["items"], [])

    def test_addresses_that_nobody_configured_get_nothing(self):
        server = self.serve(lambda *_: (200, "", b""))
        port = server.url.rsplit(":", 1)[1]
        for target in (f"http://example.org:{port}/", "http://10.0.0.1/", "ftp://127.0.0.1/",
                       "file:relative", "git:relative", "gopher://x/", "https://", "https:///x",
                       f"http://user@127.0.0.1:{port}/", f"http://user:pw@127.0.0.1:{port}/",
                       "http://169.254.169.254/latest", "http://[fe80::1]/", "http://0.0.0.0/",
                       f"http://127.0.0.1:{port}/#x", f"witness+http://127.0.0.1:{port}/",
                       f"witness+http://127.0.0.1:{port}/#key", "rfc3161+ftp://127.0.0.1/",
                       f"http://127.0.0.1:{port}/\r\nX: y", "http://localhost.example.org/",
                       "http://127.0.0.1.example.org/"):
            self.tally("anchor", target, "--json", want=3)
        for target in (f"http://2130706433:{port}/", f"http://0x7f.1:{port}/",
                       f"http://LOCALHOST:{port}/"):
            self.assertTrue(self.one(target)["anchored"], target)
        self.assertEqual(len(server.paths), 3)

    def test_environment_and_home_do_not_lead_elsewhere(self):
        server = self.serve(lambda *_: (200, "", b""))
        (self.dir / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
        env = {"http_proxy": "http://127.0.0.1:1/", "ALL_PROXY": "http://127.0.0.1:1/",
               "HOME": str(self.dir)}
        result = self.tally("anchor", server.url, "--json", env=env).json["anchors"][0]
        self.assertTrue(result["anchored"])
        self.assertNotIn("Authorization", server.headers[0])

    def test_one_that_fails_does_not_hold_up_the_others(self):
        path = self.dir / "kept"
        said = self.anchor("http://127.0.0.1:1/", f"file:{path}", want=6, timeout_s=2)
        self.assertEqual([item["anchored"] for item in said], [False, True])
        self.assertTrue(path.exists())
        self.tally("anchor", want=3)  # none is configured
        self.tally("anchor", "list", "more", want=3)
        self.tally("anchor", "check", want=3)
        self.tally("anchor", "check", "1", want=1)

    def test_targets_come_from_the_configuration(self):
        (self.ledger / "tally.yaml").write_text(
            f"anchor:\n  targets:\n    - file:{self.dir}/a\n    - file:{self.dir}/b\n")
        self.assertEqual(len(self.anchor()), 2)
        self.assertTrue((self.dir / "a").exists() and (self.dir / "b").exists())

    def test_an_old_anchor_is_a_warning(self):
        def problems():
            return [item["what"] for item in self.tally("status", "--json").json["problems"]
                    if "anchor" in item["what"]]

        def doctor():
            return self.tally("doctor", want=None).out

        self.assertEqual(problems(), [])
        self.assertNotIn("anchor", doctor())
        (self.ledger / "tally.yaml").write_text(f"anchor.targets: file:{self.dir}/a\n")
        self.assertIn("yet", problems()[0])
        self.assertIn("taken to 'anchor.targets' yet", doctor())
        self.anchor()
        self.assertEqual(problems(), [])
        self.assertLess(self.tally("status", "--json").json["anchored_s"], 60)
        last = self.ledger / "anchors" / "last"
        last.write_text(f"{int(time.time()) - 3 * 86400}\n")
        self.assertIn("two days", problems()[0])
        self.assertIn("run 'tally anchor'", doctor())


class Stamps(Anchors):
    def setUp(self):
        super().setUp()
        self.tsa = Authority(self.dir / "tsa")
        self.server = self.serve(lambda *request: self.tsa.answer(*request))
        self.target = f"rfc3161+{self.server.url}/tsr?account=1"

    def stamp(self, want=0, **settings):
        settings.setdefault("tsa_ca_file", self.tsa.ca_file)
        return self.one(self.target, want=want, **settings)

    def test_a_time_stamp_is_sealed_and_kept(self):
        said = self.stamp()
        self.assertTrue(said["anchored"])
        self.assertIn("Test stamps", said["detail"])
        self.assertEqual(self.server.headers[0]["Content-Type"], "application/timestamp-query")
        token = self.ledger / "anchors" / str(said["seq"])
        entry = self.tally("anchor", "list", "--json").json["anchors"][0]
        self.assertEqual((entry["kind"], entry["seq"], entry["size"], entry["proof"]),
                         ("rfc3161", said["seq"], said["size"], "token"))
        self.assertEqual(entry["ref"], self.server.url + "/tsr")
        self.assertEqual(self.codes(), set())
        result = self.tally("anchor", "check", said["seq"], "--json",
                            env={"TALLY_ANCHOR_TSA_CA_FILE": str(self.tsa.ca_file)}).json
        self.assertEqual(result["verdict"], "VERIFIED")
        self.assertLess(abs(time.time() - time.mktime(time.strptime(
            result["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone), 60)
        # Whoever has openssl and the checkpoint needs nothing of ours.
        note = self.tally("checkpoint", "--size", said["size"]).out
        body = self.write("body", note.split("\n\n")[0] + "\n")
        subprocess.run(["openssl", "ts", "-verify", "-token_in", "-in", token, "-data", body,
                        "-CAfile", self.tsa.ca_file], check=True, capture_output=True)

    def test_an_unknown_authority_is_said_to_be_one(self):
        said = self.one(self.target)
        self.assertIn("not checked", said["detail"])
        result = self.tally("anchor", "check", said["seq"], "--json", want=2).json
        self.assertEqual(result["verdict"], "UNVERIFIABLE")
        other = Authority(self.dir / "other")
        self.assertIn("no authority", self.stamp(want=5, tsa_ca_file=other.ca_file)["detail"])
        self.write("empty.pem", "no certificate\n")
        self.stamp(want=5, tsa_ca_file=self.dir / "empty.pem")

    def test_nothing_is_anchored_that_was_not_stamped(self):
        self.stamp()
        size = self.tally("status", "--json").json["size"]
        for mode, word in (("wrong-imprint", "another digest"), ("wrong-nonce", "another nonce"),
                           ("refused", "did not grant"), ("garbage", "not one of RFC 3161"),
                           ("longer", "not one of RFC 3161"), ("cut", "not one of RFC 3161"),
                           ("forged", ""), ("replayed", "another"), ("error", "503")):
            self.tsa.mode = mode
            said = self.stamp(want=5)
            self.assertEqual((said["anchored"], said["seq"]), (False, None), mode)
            self.assertIn(word, said["detail"], mode)
        for mode in ("closed", "oversized"):
            self.server.mode = mode
            self.assertFalse(self.stamp(want=5)["anchored"], mode)
        self.server.mode = "slow"
        self.assertFalse(self.stamp(want=5, timeout_s=1)["anchored"])
        entries = self.tally("anchor", "list", "--json").json["anchors"]
        self.assertEqual(len(entries), 1)
        self.assertGreater(self.tally("status", "--json").json["size"], size)  # RESUME alone
        self.assertEqual(self.codes(), set())

    def test_a_token_that_is_gone_or_changed_is_named(self):
        said = self.stamp()
        token = self.ledger / "anchors" / str(said["seq"])
        whole = token.read_bytes()
        token.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        self.assertEqual(self.codes(want=1), {"ANCHOR_INVALID"})
        self.tally("anchor", "check", said["seq"], want=1)
        token.unlink()
        self.assertEqual(self.codes(), {"ANCHOR_MISSING"})
        self.tally("anchor", "check", said["seq"], want=2)

    def test_a_crash_between_record_and_token_is_made_good(self):
        said = self.stamp()
        token = self.ledger / "anchors" / str(said["seq"])
        other = self.ledger / "anchors" / str(self.stamp()["seq"])
        token.rename(self.ledger / "anchors" / "pending-one")
        other.rename(self.ledger / "anchors" / "pending-two")
        lost = self.ledger / "anchors" / "pending-lost"
        left = self.ledger / "anchors" / "pending-left"
        for path, age in (lost, 7200), (left, 60):
            path.write_bytes(b"of no record")
            os.utime(path, (time.time() - age,) * 2)
        self.assertEqual(self.codes(), {"ANCHOR_MISSING"})
        self.one(f"file:{self.dir}/kept")
        self.assertEqual(self.codes(), set())
        self.assertTrue(token.exists() and other.exists() and left.exists())
        self.assertFalse(lost.exists())

    def test_an_anchored_checkpoint_is_kept_while_others_are_thinned(self):
        said = self.stamp()
        for _ in range(5):
            self.log()
        self.assertEqual(self.codes(), set())
        self.assertEqual(self.tally("checkpoint", "--size", said["size"]).out.split("\n")[1],
                         str(said["size"]))


class Witnesses(Anchors):
    def setUp(self):
        super().setUp()
        self.witness = Witness()
        self.server = self.serve(lambda path, headers, body: self.witness.answer(body))
        self.target = f"witness+{self.server.url}/w#{self.witness.vkey}"
        for line in self.tally("checkpoint", "--trust").out.splitlines():
            if line.startswith("log "):
                self.witness.trust(line.split()[1])
        own = self.tally("checkpoint", "--trust").out
        self.trust = self.write("trust.txt", own.replace(
            "quorum none\n", f"witness w1 {self.witness.vkey}\nquorum w1\n"))

    def ask(self, want=0, **settings):
        return self.one(self.target, want=want, **settings)

    def test_a_cosigned_checkpoint_makes_up_the_quorum(self):
        self.assertEqual(self.codes("--trust", self.trust, want=2), {"WITNESS_QUORUM"})
        said = self.ask()
        self.assertTrue(said["anchored"])
        self.assertIn("witness.example/w1", said["detail"])
        self.assertEqual(self.server.paths, ["/w/add-checkpoint"])
        report = self.tally("verify", "--trust", self.trust, "--json").json
        self.assertEqual((report["verdict"], report["findings"]), ("VERIFIED", []))
        self.assertNotIn("unanchored", report["qualifiers"])
        self.assertIn("\u2014 witness.example/w1 ", self.newest())
        self.assertEqual((self.ledger / "checkpoints" / str(said["size"])).read_text(), self.newest())
        event = self.tally("find", "--action", "tally.anchor", "--json").json["items"][0]["event"]
        self.assertEqual(event["metadata"]["targets"], ["witness.example/w1"])
        self.assertEqual(event["actor"]["id"], "tester")
        self.log()
        self.assertEqual(self.codes("--trust", self.trust, want=2), {"WITNESS_QUORUM"})

    def test_without_its_marks_a_copy_is_anchored_by_the_quorum_alone(self):
        self.ask()
        copy = self.dir / "copy"
        shutil.copytree(self.ledger, copy, ignore=shutil.ignore_patterns("keys"))
        report = self.tally("-C", copy, "verify", "--trust", self.trust, "--json", ledger=False).json
        self.assertEqual(report["verdict"], "VERIFIED")
        self.assertNotIn("unanchored", report["qualifiers"])
        plain = self.write("plain.txt", self.tally("checkpoint", "--trust").out)
        report = self.tally("-C", copy, "verify", "--trust", plain, "--json", ledger=False).json
        self.assertIn("unanchored", report["qualifiers"])

    def test_the_second_time_it_is_told_how_the_ledger_grew(self):
        first = self.ask()
        for _ in range(3):
            self.log()
        second = self.ask()
        self.assertTrue(second["anchored"])
        self.assertEqual(len(self.witness.requests), 2)
        self.assertTrue(self.witness.requests[1].startswith(b"old %d\n" % first["size"]))
        self.assertEqual(self.witness.seen["test.example/cli"][0], second["size"])
        entries = self.tally("anchor", "list", "--json").json["anchors"]
        self.assertEqual([(entry["kind"], entry["size"]) for entry in entries],
                         [("witness", first["size"]), ("witness", second["size"])])
        self.assertEqual({entry["proof"] for entry in entries}, {"unchecked"})
        listed = self.tally("anchor", "list", "--json", env={"TALLY_ANCHOR_TARGETS": self.target})
        self.assertEqual({entry["proof"] for entry in listed.json["anchors"]}, {"signed"})

    def test_a_witness_that_knows_more_than_we_thought_is_asked_once_more(self):
        self.ask()
        note = self.newest()
        self.log()
        self.tally("anchor", f"file:{self.dir}/kept")
        # The answer to this one was lost: the witness has seen it, and the ledger does not know.
        size, root = note.split("\n")[1:3]
        kept = (self.dir / "kept").read_text()
        import base64
        self.witness.seen["test.example/cli"] = (int(kept.split("\n")[1]),
                                                 base64.b64decode(kept.split("\n")[2]))
        said = self.ask()
        self.assertTrue(said["anchored"], said)
        self.assertEqual(len(self.witness.requests), 3)
        self.assertNotEqual(int(size), said["size"])
        self.assertTrue(root)

    def test_a_witness_that_saw_another_ledger_says_so(self):
        self.witness.seen["test.example/cli"] = (10 ** 6, bytes(32))
        self.assertIn("rolled back", self.ask(want=5)["detail"])
        self.witness.seen["test.example/cli"] = (2, bytes(32))
        self.assertIn("(422)", self.ask(want=5)["detail"])

    def test_refusals_are_named(self):
        for code, word in (("403", "does not trust the key"), ("404", "does not know this ledger"),
                           ("422", "is not the start"), ("400", "could not read"),
                           ("409", "does not say what"), ("500", "HTTP status 500")):
            self.witness.mode = code
            said = self.ask(want=5)
            self.assertFalse(said["anchored"])
            self.assertIn(word, said["detail"])
        self.witness.mode = "honest"
        self.witness.logs = {}
        self.assertIn("(404)", self.ask(want=5)["detail"])
        self.assertNotIn("witness.example", self.newest())

    def test_only_its_own_good_signature_is_believed(self):
        for mode in ("garbage", "wrong-key", "other-tree", "other-name", "empty"):
            self.witness.mode = mode
            self.witness.seen = {}
            said = self.ask(want=5)
            self.assertFalse(said["anchored"], mode)
            self.assertIn("witness.example/w1", said["detail"], mode)
            self.assertNotIn("witness.example", self.newest())
        for mode in ("closed", "oversized", "redirect"):
            self.server.mode = mode
            self.assertFalse(self.ask(want=5)["anchored"], mode)
        self.server.mode = "slow"
        self.assertFalse(self.ask(want=5, timeout_s=1)["anchored"])
        self.server.mode = ""
        self.witness.mode = "among-others"
        self.witness.seen = {}
        self.assertTrue(self.ask()["anchored"])
        self.assertNotIn("witness.example/other", self.newest())

    def test_a_witnessed_checkpoint_stays_and_the_ledger_verifies(self):
        said = self.ask()
        lines = "".join(f'{{"action":"a.b","id":"e{i}"}}\n' for i in range(50))
        self.tally("import", "-", stdin=lines)
        self.log()
        self.assertIn("witness.example/w1",
                      self.tally("checkpoint", "--size", said["size"]).out)
        self.assertEqual(self.codes(), set())

    def test_a_writer_goes_on_meanwhile(self):
        stop = self.dir / "stop"
        feeder = subprocess.Popen(
            ["sh", "-c", f"while [ ! -e {stop} ]; do {TALLY} -C {self.ledger} log "
             """'{"action":"a.b","actor":{"type":"user","id":"u"}}'; done"""],
            env=self.environment(), stdout=subprocess.DEVNULL)
        try:
            sizes = [self.ask()["size"] for _ in range(6)]
        finally:
            stop.touch()
            feeder.wait(30)
        for size in sizes:
            self.assertIn("witness.example/w1", self.tally("checkpoint", "--size", size).out)
        self.assertEqual(self.codes(), set())


if __name__ == "__main__":
    main()
