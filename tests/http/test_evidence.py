#!/usr/bin/env python3
"""What others check evidence with, over HTTP: openings."""
import base64
import hashlib
import json
import struct
import time

from server import HttpCase, main


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


if __name__ == "__main__":
    main()
