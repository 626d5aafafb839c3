#!/usr/bin/env python3
"""What others check evidence with, over HTTP: openings, and the tree as C2SP tlog-tiles."""
import base64
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import time

from server import HttpCase, Server, main

CHECKER = pathlib.Path(__file__).resolve().parents[2] / "tools" / "tally_check.py"


def commitment(opening):
    """Of an event's content, from docs/evidence.md, section 2."""
    parts = b""
    for member in opening["members"]:
        pointer = struct.pack(">H", len(member["p"].encode())) + member["p"].encode()
        if "d" in member:
            digest = base64.b64decode(member["d"])
        else:
            salt = base64.b64decode(member["s"])
            digest = hashlib.sha256(b"\3" + salt + pointer + member["v"].encode()).digest()
        parts += pointer + digest
    rest = opening["rest"].encode()
    return hashlib.sha256(b"\4" + base64.b64decode(opening["salt"]) + struct.pack(">I", len(rest)) +
                          rest + struct.pack(">H", len(opening["members"])) + parts).digest()


class Openings(HttpCase):
    def setUp(self):
        super().setUp()
        self.receipt = self.record(id="a", actor={"type": "user", "id": "u1", "name": "Ada"},
                                   metadata={"z": "ü\u202e", "a": [1, 2.5]}, reason="why")

    def opening(self, path, want=200, role="reader"):
        return self.get(path + "/opening", role, want=want)

    def test_an_opening_gives_the_commitment_of_the_leaf(self):
        opening = self.opening("/v1/events/a").json
        leaf = base64.b64decode(opening["leaf"])
        self.assertEqual(hashlib.sha256(b"\0" + leaf).hexdigest(), self.receipt["leaf_hash"])
        self.assertEqual(commitment(opening), leaf[48:80])
        self.assertEqual([member["p"] for member in opening["members"]],
                         ["/actor/name", "/metadata", "/reason"])
        self.assertEqual(opening["members"][1]["v"], '{"a":[1,2.5],"z":"ü\u202e"}')
        self.assertNotIn("Ada", opening["rest"])
        self.assertEqual(self.opening(f"/v1/records/{self.receipt['seq']}").json, opening)

    def test_it_is_the_line_of_the_bundle(self):
        self.tally("export", "--bundle", "out")
        lines = (self.dir / "out/openings.ndjson").read_text().splitlines()[1:]
        for seq, line in enumerate(lines):
            if "state" not in json.loads(line):
                self.assertEqual(self.opening(f"/v1/records/{seq}").text, line)

    def test_an_erased_member_has_a_digest_and_no_salt(self):
        before = {member["p"]: member for member in self.opening("/v1/events/a").json["members"]}
        self.finish(self.post("/v1/erasures", {"id": "a", "members": ["/metadata"], "reason": "r"},
                              want=202))
        opening = self.opening("/v1/events/a").json
        members = {member["p"]: member for member in opening["members"]}
        self.assertEqual(set(members["/metadata"]), {"p", "d"})
        self.assertEqual(members["/actor/name"], before["/actor/name"])
        self.assertNotIn(before["/metadata"]["s"], json.dumps(opening))
        self.assertEqual(commitment(opening), base64.b64decode(opening["leaf"])[48:80])

    def test_what_is_gone_is_gone(self):
        self.finish(self.post("/v1/erasures", {"id": "a", "reason": "r"}, want=202))
        gone = self.opening(f"/v1/records/{self.receipt['seq']}", want=410)
        self.assertEqual((gone.code, gone.json["state"], gone.json["leaf_hash"]),
                         ("gone", "erased", self.receipt["leaf_hash"]))
        self.assertNotIn("salt", gone.json)

    def test_a_control_record_has_its_leaf_alone(self):
        opening = self.opening("/v1/records/0").json
        self.assertEqual(set(opening), {"leaf", "seq"})
        self.assertIn(b'"erasable":', base64.b64decode(opening["leaf"]))

    def test_it_is_recorded_like_the_record_itself(self):
        self.opening("/v1/events/a")
        end = time.monotonic() + 20
        paths = []
        while "/v1/events/{id}/opening" not in paths:
            self.assertLess(time.monotonic(), end, paths)
            time.sleep(0.05)  # it waits in the spool
            items = self.get("/v1/events?action=tally.read").json["items"]
            paths = [item["event"]["metadata"]["path"] for item in items]
        self.assertEqual(self.opening("/v1/events/none", want=404).code, "not_found")
        self.assertEqual(self.opening("/v1/records/99999", want=404).code, "not_found")


class Trust(HttpCase):
    def test_the_trust_file_is_that_of_the_command_line(self):
        before = self.get("/v1/trust").text
        self.assertEqual(before, self.tally("keys", "trust").out)
        self.tally("keys", "rotate", "--by", "ops", "--yes")
        after = self.get("/v1/trust").text
        self.assertEqual(after, self.tally("keys", "trust").out)
        self.assertEqual(len([line for line in after.splitlines() if line.startswith("log ")]), 2)


class TlogCase(HttpCase):
    def size(self):
        return int(self.get("/tlog/checkpoint").text.splitlines()[1])

    def settle(self):
        """Waits for what lies in the spool: acts of the command line."""
        size, since = None, time.monotonic()
        while time.monotonic() < since + 0.5:
            size, since = (size, since) if size == (now := self.size()) else (now, time.monotonic())
            time.sleep(0.05)

    def grow(self, size):
        """Records events until the ledger has so many leaves."""
        self.settle()
        while (more := min(size - self.size(), 4096)) > 0:
            self.post("/v1/events", [{"action": "a.b"}] * more, want=201)

    def mirror(self, name, role="reader"):
        """Fetches what `tally export --tlog` writes, and compares; gives the directory."""
        checkpoint = self.get("/tlog/checkpoint", role)
        self.tally("export", "--tlog", name + "-export")
        exported, made = self.dir / (name + "-export"), self.dir / name
        for path in sorted(exported.rglob("*")):
            part = str(path.relative_to(exported))
            if path.is_dir() or not part.startswith(("checkpoint", "tile/")):
                continue
            newest = part in ("checkpoint", "checkpoints/" + checkpoint.text.splitlines()[1])
            reply = checkpoint if newest else self.get(f"/tlog/{part}", role)
            self.assertEqual(reply.body, path.read_bytes(), part)
            (made / part).parent.mkdir(parents=True, exist_ok=True)
            (made / part).write_bytes(reply.body)
        return made

    def trust(self):
        (self.dir / "trust.txt").write_bytes(self.get("/v1/trust").body)
        return self.dir / "trust.txt"


class Tlog(TlogCase):
    def test_it_is_what_an_export_has_at_any_size(self):
        trust = self.trust()
        for size in (255, 256, 257, 70000):
            self.grow(size)
            self.assertEqual(self.size(), size)
            made = self.mirror(f"t{size}")
            self.assertEqual(self.tally("verify", made, "--trust", trust, "--json").json["verdict"],
                             "VERIFIED")
            run = subprocess.run([sys.executable, CHECKER, made, "--trust", trust],
                                 capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            self.assertIn("VERIFIED", run.stdout)
        self.server.stop()
        for size in (255, 70000):  # what was fetched is how the ledger still begins
            self.tally("verify", "--against", self.dir / f"t{size}" / "checkpoint")

    def test_a_changed_mirror_is_found_out(self):
        trust = self.trust()
        self.grow(300)
        made = self.mirror("m")
        for part in ("tile/entries/000", "tile/0/001.p/44", "tile/1/000.p/1", "checkpoint"):
            data = (made / part).read_bytes()
            (made / part).write_bytes(data[:30] + bytes([data[30] ^ 1]) + data[31:])
            self.tally("verify", made, "--trust", trust, want=1)
            (made / part).write_bytes(data)
        self.tally("verify", made, "--trust", trust)

    def test_what_is_beyond_the_tree_or_no_tile_is_not_there(self):
        self.grow(257)
        for path in ["tile/0/002", "tile/0/001", "tile/0/001.p/2", "tile/0/001.p/255",
                     "tile/0/999.p/1", "tile/0/x999/x999/x999/x999/x999/x999/999", "tile/1/000",
                     "tile/1/000.p/2", "tile/1/001.p/1", "tile/2/000.p/1", "tile/7/000.p/1",
                     "tile/8/000.p/1", "tile/63/000.p/1", "tile/0/000.p/0", "tile/0/000.p/256",
                     "tile/0/000.p/-1", "tile/0/0", "tile/0/00", "tile/0/x000/000", "tile/00/000",
                     "tile/-1/000", "tile/0/000/", "tile/0/000.p/1/", "tile/0//000", "tile/0/",
                     "tile/0", "tile/", "tile", "tile/entries/002.p/1", "tile/entries/001",
                     "tile/entries/", "tile/entries", "tile/../checkpoint", "tile/%2e%2e/keys/state",
                     "tile/0/000" + "0" * 3000, "", "checkpoints/0", "checkpoints/-1",
                     "checkpoints/999999", "checkpoints/18446744073709551616", "checkpoints/",
                     "trust.txt", "openings.ndjson"]:
            reply = self.get(f"/tlog/{path}", "reader", want=404)
            self.assertEqual(reply.code, "not_found", path)

    def test_full_tiles_may_be_kept_and_others_not(self):
        self.grow(257)
        for path, want in [("tile/0/000", "private, max-age=31536000, immutable"),
                           ("tile/entries/000", "private, max-age=31536000, immutable"),
                           ("tile/0/000.p/200", "no-store"), ("tile/1/000.p/1", "no-store"),
                           ("tile/entries/001.p/1", "no-store"), ("tile/0/002", "no-store"),
                           ("checkpoint", "no-store"), ("checkpoints/1", "no-store")]:
            reply = self.get(f"/tlog/{path}", want=None)
            self.assertEqual(reply.headers["cache-control"], want, path)

    def test_a_tile_that_grew_still_begins_as_it_did(self):
        self.grow(100)
        for kind in ("0", "entries"):
            before = self.get(f"/tlog/tile/{kind}/000.p/100").body
            self.grow(300)
            self.assertEqual(self.get(f"/tlog/tile/{kind}/000.p/100").body, before)
            self.assertTrue(self.get(f"/tlog/tile/{kind}/000").body.startswith(before))

    def test_entries_hold_no_contents(self):
        self.record(actor={"type": "user", "id": "seventeen"}, reason="eighteen")
        self.settle()
        size = self.size()
        entries = self.get(f"/tlog/tile/entries/000.p/{size}").body
        self.assertNotIn(b"seventeen", entries)
        self.assertNotIn(b"eighteen", entries)
        self.assertEqual(self.size(), size)  # nothing is recorded of it


class PublicTlog(TlogCase):
    def setUp(self):
        super().setUp()
        self.server.stop()
        self.server = Server(self, "--set", "server.public_tlog=yes")
        self.addCleanup(self.server.stop)

    def test_anybody_may_have_it(self):
        self.grow(257)
        made = self.mirror("public", None)
        self.tally("verify", made, "--trust", self.trust())
        for path, want in [("tile/0/000", "public, max-age=31536000, immutable"),
                           ("tile/1/000.p/1", "no-store"), ("checkpoint", "no-store")]:
            reply = self.get(f"/tlog/{path}", None)
            self.assertEqual(reply.headers["cache-control"], want, path)

    def test_nothing_else_is_for_anybody(self):
        for path in ("/v1/checkpoint", "/v1/trust", "/v1/events", "/v1/records/0",
                     "/v1/records/0/opening"):
            self.get(path, None, want=401)
        tenants = self.token("reader", "acme")
        self.get("/tlog/checkpoint", tenants)
        self.get("/tlog/checkpoint", "tally_" + "0" * 52, want=401)


if __name__ == "__main__":
    main()
