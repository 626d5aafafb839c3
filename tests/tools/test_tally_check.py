#!/usr/bin/env python3
"""tools/tally_check.py: vectors, each finding on a ledger with exactly that fault, changed bytes, changed
structure.

TALLY_CHECK_BITS=all changes every bit of the small bundle; without it, a sample.
"""
import base64
import copy
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import agree  # noqa: E402
import evidence_maker as maker  # noqa: E402
from evidence_maker import Maker, Signer, check  # noqa: E402

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors"
LOG702 = VECTORS / "log702"
SCRIPT = pathlib.Path(check.__file__)


def load(folder):
    """path -> bytes of all files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="tally-check-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def verify(self, files, trust, mac=None, **options):
        folder = tempfile.mkdtemp(dir=self.dir)
        maker.write_files(folder, files)
        report = check.Report()
        check.check_directory(folder, check.Trust(trust.encode()), report,
                              check.MacKeys(mac.encode()) if mac else None, **options)
        return report

    def assert_codes(self, report, *codes):
        self.assertEqual(set(report.counts), set(codes), report.findings)

    def finds(self, made, *codes, files=None, trust=None, mac=True, **options):
        """Exactly these findings, with the verdict that their weights give."""
        files = files if files is not None else made.files()
        macs = "\n".join(made.mac_lines) if mac is True else mac
        report = self.verify(files, trust or made.trust(), macs, **options)
        self.assert_codes(report, *codes)
        weights = {check.WEIGHT[code] for code in codes}
        wanted = ("TAMPERED" if "tampered" in weights else
                  "UNVERIFIABLE" if "unverifiable" in weights else "VERIFIED")
        self.assertEqual(report.verdict, wanted)
        return report


class Vectors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.all = json.loads((VECTORS / "evidence.json").read_text("utf-8"))

    def test_numbers(self):
        for row in self.all["jcs"]["numbers"]:
            value, = struct.unpack(">d", bytes.fromhex(row["bits"]))
            self.assertEqual(check.number_text(value), row["text"])

    def test_canonical_json(self):
        for row in self.all["jcs"]["pairs"]:
            data = bytes.fromhex(row["input_hex"])
            value, canonical = check.json_read(data)
            text = check.json_write(value)
            self.assertEqual(text, row["output"])
            self.assertEqual(canonical, data == text.encode())
            self.assertTrue(check.json_read(text.encode())[1])

    def test_refused_json(self):
        for row in self.all["jcs"]["must_fail"]:
            with self.assertRaises(check.Bad, msg=row["why"]):
                check.json_read(bytes.fromhex(row["input_hex"]))

    def test_trees(self):
        rows = self.all["rfc6962"]
        hashes = [check.leaf_hash(bytes.fromhex(leaf)) for leaf in rows["leaves"]]
        self.assertEqual([each.hex() for each in hashes], rows["leaf_hashes"])
        tree, roots = check.Tree(), []
        for digest in [*hashes, None]:
            roots.append(tree.root().hex())
            if digest:
                tree.push(digest)
        self.assertEqual(roots, rows["roots"])
        for row in rows["inclusion"]:
            path = [bytes.fromhex(each) for each in row["path"]]
            index, size = row["index"], row["size"]
            root = check.root_from_path(hashes[index], index, size, path)
            self.assertEqual(root.hex(), roots[size])
            self.assertNotEqual(check.root_from_path(hashes[index], index, size, path + [b"x"]),
                                root)
            if path:
                self.assertNotEqual(check.root_from_path(hashes[index], index, size, path[:-1]), root)

    def test_tile_widths(self):
        for row in self.all["rfc6962"]["tile_widths"]:
            for level, width in enumerate(row["partial"]):
                self.assertEqual((row["size"] >> 8 * level) % 256, width)
        for number, path in ((0, "000"), (999, "999"), (1000, "x001/000"),
                             (1_234_067, "x001/x234/067")):
            self.assertEqual(check.tile_path(0, number), "tile/0/" + path)
            self.assertEqual(check.parse_tile_path("tile/0/" + path), (0, number, 256))
        for path in ("tile/00/000", "tile/64/000", "tile/0/0", "tile/0/x000/001", "tile/0/000.p/0",
                     "tile/0/000.p/256", "tile/0/000.p/01", "tile/a/000"):
            self.assertIsNone(check.parse_tile_path(path), path)

    def test_ids_retention_and_epochs(self):
        for row in self.all["leaf_id"]:
            self.assertEqual(check.id_of(row["id"]).hex(), row["leaf_id"])
        for row in self.all["retention"]:
            self.assertEqual(check.retain_until(int(row["basis"]), row["days"]), row["retain_until"])
        rows = self.all["epoch_of"]
        for row in rows["rows"]:
            self.assertEqual((int(row["time"]) - int(rows["start"])) //
                             (rows["epoch_seconds"] * 1_000_000), row["epoch"])

    def test_events_open_to_their_commitments(self):
        for row in self.all["events"]:
            members = [{"p": m["p"], "s": base64.b64encode(bytes.fromhex(m["salt"])).decode(),
                        "v": m["value"]} for m in row["members"]]
            line = {"rest": row["rest"], "members": members,
                    "salt": base64.b64encode(bytes.fromhex(row["salt0"])).decode()}
            _, rest, parsed = check.Contents.parse_content(line)
            self.assertEqual([digest.hex() for _, digest, _, _ in parsed],
                             [m["digest"] for m in row["members"]])
            self.assertEqual(Maker.commit(bytes.fromhex(row["salt0"]), row["rest"], members).hex(),
                             row["commit"])
            leaf = check.Leaf(bytes.fromhex(row["leaf"]))
            fields = row["leaf_fields"]
            self.assertEqual((leaf.kind, leaf.flags, leaf.class_, leaf.seq, leaf.time),
                             (fields["kind"], fields["flags"], fields["class"], fields["seq"],
                              int(fields["time"])))
            self.assertEqual((leaf.retain_until, leaf.epoch, leaf.id.hex(), leaf.mac_gen,
                              leaf.incarnation, leaf.mac.hex()),
                             (fields["retain_until"], fields["epoch"], fields["id"],
                              fields["mac_gen"], fields["incarnation"], row["mac"]))
            self.assertEqual(check.leaf_hash(leaf.data).hex(), row["leaf_hash"])
            event, canonical = check.json_read(rest)
            self.assertTrue(canonical)
            self.assertEqual(check.id_of(event["id"]), leaf.id)
            for pointer in row["erasable"]:
                self.assertFalse(check.exists(event, pointer), pointer)

    def test_control_payloads(self):
        for row in self.all["controls"]:
            leaf = check.Leaf(bytes.fromhex(row["leaf"]))
            self.assertEqual(check.KINDS[leaf.kind], row["kind"])
            self.assertEqual(leaf.payload.decode(), row["payload"])
            self.assertEqual(check.sha(b"\5", leaf.payload).hex(), row["commit"])
            self.assertEqual(check.leaf_hash(leaf.data).hex(), row["leaf_hash"])
            payload = check.parse_payload(leaf.kind, leaf.payload)
            for name in payload:
                less = {k: v for k, v in payload.items() if k != name}
                required = {**check.MEMBERS[leaf.kind], **check.OVERRIDE}
                if name in required and leaf.kind not in (0x83,):
                    with self.assertRaises(check.Bad):
                        check.parse_payload(leaf.kind, check.json_write(less).encode())
            with self.assertRaises(check.Bad):
                check.parse_payload(leaf.kind, check.json_write({**payload, "x": 1}).encode())

    def test_ratchet(self):
        rows = self.all["ratchet"]
        keys = check.MacKeys(rows["key_text"].encode())
        self.assertTrue(keys.begin(rows["mac_id"], 0))
        for row in rows["steps"]:
            keys.advance(row["epoch"])
            self.assertEqual((keys.k.hex(), keys.kmac.hex()), (row["K"], row["Kmac"]))

    def test_keys_checkpoint_and_approval(self):
        for row in self.all["keys"]:
            key = check.Key(row["vkey"])
            self.assertEqual((key.name, key.type, key.public.hex(), key.id.hex()),
                             (row["name"], row["type"], row["public"], row["key_id"]))
        row = self.all["checkpoint"]
        note = check.Note(row["note"].encode())
        self.assertEqual(note.body.decode(), row["body"])
        log, _, epoch, witness, approver = [check.Key(each["vkey"]) for each in self.all["keys"]]
        self.assertEqual(note.by(log), [(None, True)])
        self.assertEqual(note.by(epoch), [(row["time"], True)])
        row = self.all["approval"]
        data = base64.b64decode(row["approval"])
        self.assertEqual(data[:4], approver.id)
        self.assertTrue(check.ed25519_verify(approver.public, row["text"].encode(), data[4:]))


class Curve(unittest.TestCase):
    ROWS = [  # RFC 8032 section 7.1, and one message of each length
        ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
         "b46bd25bf5f0595bbe24655141438e7a100b"),
        ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
         "1d8c387b2eaeb4302aeeb00d291612bb0c00"),
        ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
         "c6594a7c15e9716ed28dc027beceea1ec40a")]

    def test_vectors_of_rfc_8032(self):
        for public, message, signature in self.ROWS:
            public, message, signature = map(bytes.fromhex, (public, message, signature))
            for _ in range(10):  # both ways of multiplying
                self.assertTrue(check.ed25519_verify(public, message, signature))
            for bit in range(0, 512, 7):
                changed = bytearray(signature)
                changed[bit // 8] ^= 1 << bit % 8
                self.assertFalse(check.ed25519_verify(public, message, bytes(changed)))
            self.assertFalse(check.ed25519_verify(public, message + b"x", signature))
            larger = int.from_bytes(signature[32:], "little") + check.L
            self.assertFalse(check.ed25519_verify(public, message,
                                                  signature[:32] + larger.to_bytes(32, "little")))
            self.assertFalse(check.ed25519_verify(public, message, signature[:63]))

    def test_it_is_fast_enough(self):
        signer = Signer("a", 1, 0)
        made = [(b"%d" % n, signer.sign(b"%d" % n)) for n in range(100)]
        begun = time.process_time()
        self.assertTrue(all(check.ed25519_verify(signer.public, *each) for each in made))
        self.assertLess(time.process_time() - begun, 2)


def sealed(**options):
    """A small sound ledger, not yet signed at its end."""
    made = Maker(**options)
    for _ in range(4):
        made.wait(1)
        made.entry()
    return made


class Findings(Case):
    """For each finding a signed ledger with exactly that fault."""

    def finish(self, made, *codes, **options):
        made.checkpoint()
        return self.finds(made, *codes, **options)

    def control(self, kind, payload, *codes, approve=False, **options):
        made = sealed()
        made.control(kind, made.approve(kind, payload) if approve else payload)
        return self.finish(made, *codes, **options)

    def test_a_sound_ledger_has_none(self):
        made = sealed()
        made.checkpoint()
        report = self.finds(made)
        self.assertEqual(report.qualifiers, ["unanchored"])
        self.assertEqual(report.contents, (4, 4))
        self.assertEqual((report.size, report.sealed), (5, made.time // 1_000_000))
        report = self.finds(made, mac=None)
        self.assertEqual(report.qualifiers, ["unanchored", "mac_unchecked"])

    def test_sizes_at_the_edges_of_tiles(self):
        for size in (1, 2, 255, 256, 257, 513):
            made = Maker()
            event = made.event(0)
            while len(made.leaves) < size:
                made.entry({**event, "id": f"e{len(made.leaves)}"})
            self.finish(made)

    def test_a_long_life(self):
        made = sealed(volatile=True)
        made.checkpoint()
        made.epoch_leaf()
        made.epoch_leaf(to=5)
        made.control("POLICY", {"policy": 2, "erasable": ["/reason"], "classes": maker.CLASSES})
        made.erasable = ["/reason"]
        made.entry(class_=4)
        made.rotate()
        made.rotate(mac=True)
        made.anchor()
        made.control("RESUME", {"clean": False, "size": 5, "tail_bytes": 0})
        made.control("GAP", {"count": 1, "exact": False, "from": "2026-01-01T00:00:00Z",
                             "to": "2026-01-01T00:00:01.5+01:00", "reason": "spool"})
        made.checkpoint()
        made.wait(7200)
        made.restore()
        made.entry()
        made.epoch_leaf()
        made.entry()
        made.checkpoint(witnessed=True)
        made.notes[len(made.leaves)] = made.newest
        report = self.finds(made, "GAP", "RESTORED", trust=made.trust(quorum=True))
        self.assertEqual(report.qualifiers, ["volatile", "gaps", "restored"])

    # Checkpoints

    def test_checkpoint(self):
        made = sealed()
        made.checkpoint()
        files = made.files()
        self.finds(made, "CHECKPOINT_MALFORMED", files={**files, "checkpoints/3": b"x"})
        self.finds(made, "CHECKPOINT_MALFORMED", files={**files, "checkpoints/x": made.notes[1]})
        self.finds(made, "CHECKPOINT_MALFORMED",
                   files={k: v for k, v in files.items() if k != "checkpoints/1"} |
                   {"checkpoints/2": files["checkpoints/1"], "checkpoints/1": files["checkpoints/1"]})
        self.finds(made, "CHECKPOINT_MISSING",
                   files={k: v for k, v in files.items() if k != "checkpoints/1"})
        for signers, code in (((made.epoch_key,), "KEY_UNKNOWN"),
                              ((made.log,), "EPOCH_SIGNATURE_INVALID")):
            made.checkpoint(signers=signers)
            self.finds(made, code)
        made.checkpoint()
        bad = made.newest.split(b"\n")
        for line, code in ((4, "SIGNATURE_INVALID"), (5, "EPOCH_SIGNATURE_INVALID")):
            name, data = bad[line].rsplit(b" ", 1)
            raw = bytearray(base64.b64decode(data))
            raw[-1] ^= 1
            lines = list(bad)
            lines[line] = name + b" " + base64.b64encode(raw)
            made.newest = made.notes[5] = b"\n".join(lines)
            self.finds(made, code)

    def test_times_of_checkpoints(self):
        made = sealed()
        for stamp in (made.time // 1_000_000 - 1, (maker.START // 1_000_000) + 3600):
            made.checkpoint(stamp=stamp)
            self.finds(made, "EPOCH_SIGNATURE_INVALID")
        made.checkpoint()
        now = made.time / 1_000_000
        self.finds(made, now=now - 299, max_age=100)
        self.finds(made, "CHECKPOINT_FUTURE", now=now - 301)
        self.finds(made, "CHECKPOINT_STALE", now=now + 101, max_age=100)

    def test_newest_is_the_newest(self):
        made = sealed()
        made.checkpoint()
        old = made.files()
        made.entry()
        made.checkpoint()
        larger = {"checkpoints/6": made.notes[6]}
        self.finds(made, "HEAD_MISMATCH", files={**old, **larger})
        made.checkpoint(kept=False, witnessed=True)
        self.finds(made, "HEAD_MISMATCH")

    def test_quorum(self):
        made = sealed()
        made.checkpoint()
        self.finds(made, "WITNESS_QUORUM", trust=made.trust(quorum=True))
        made.checkpoint(witnessed=True)
        self.finds(made, trust=made.trust(quorum=True))
        made.checkpoint(signers=(made.log, made.epoch_key, made.witness),
                        kept=True)
        self.finds(made, trust=made.trust(quorum=True))

    def test_keys_that_are_not_pinned(self):
        made, other = sealed(), sealed(seed=1)
        made.checkpoint()
        self.finds(made, "GENESIS_MISMATCH", trust=other.trust())
        log = [line for line in made.trust_lines if line.startswith("log")]
        self.finds(made, "EPOCH_UNPINNED", trust="\n".join([*log, "quorum none"]))
        elsewhere = Maker(origin="other.example/x").trust()
        self.finds(made, "ORIGIN_MISMATCH", "EPOCH_UNPINNED", trust=elsewhere)
        generation = check.sha(b"\6" + bytes(32)).hex()[:8]
        line = f"tally-mac-v1:{generation}:0:{maker.text64(bytes(32))}"
        report = self.finds(made, "MAC_KEY_UNKNOWN", mac=line)
        self.assertIn("mac_unchecked", report.qualifiers)
        self.finds(made, "MAC_KEY_UNKNOWN", mac=made.mac_lines[0].replace(":0:", ":1:"))

    def test_memory(self):
        made = sealed()
        made.checkpoint()
        small = check.Note(made.newest)
        old = made.files()
        made.entry()
        made.checkpoint()
        large = check.Note(made.newest)
        self.finds(made, against=small)
        self.finds(made, against=large)
        self.finds(made, "ROLLBACK", files=old, against=large)
        other = sealed()
        other.entry(class_=3)
        other.checkpoint()
        self.finds(made, "FORK", against=check.Note(other.newest))
        other = Maker()
        for _ in range(3):
            other.entry(class_=2)
        other.checkpoint()
        self.finds(made, "HISTORY_REWRITTEN", against=check.Note(other.newest))
        other = sealed(origin="other.example/x")
        other.checkpoint()
        self.finds(made, "ORIGIN_MISMATCH", against=check.Note(other.newest))
        lost = copy.deepcopy(made)
        made.restore(lost_size=7)
        for _ in range(3):
            lost.entry()
            lost.checkpoint()
            beyond = len(lost.leaves) > 7
            self.finds(made, "RESTORED", "ROLLBACK" if beyond else "ROLLBACK_DECLARED",
                       against=check.Note(lost.newest))

    # Leaves

    def test_leaf_fields(self):
        for code, changed in (
                ("LEAF_MALFORMED", {"magic": b"TLY2"}), ("LEAF_MALFORMED", {"flags": 4}),
                ("LEAF_MALFORMED", {"kind": 2}), ("SEQ_MISMATCH", {"seq": 6}),
                ("LEAF_INVALID", {"class_": 9, "retain": 20455}),
                ("RETENTION_MISMATCH", {"retain": 20453}), ("LEAF_INVALID", {"incarnation": 2}),
                ("LEAF_INVALID", {"mac_gen": 1}), ("EPOCH_MISMATCH", {"epoch": 1}),
                ("MAC_MISMATCH", {"mac": b"x" * 16}), ("LEAF_INVALID", {"flags": 0})):
            made = sealed()
            made.entry(**changed)
            if code == "LEAF_MALFORMED":
                del made.openings[5]
                made.checkpoint()
                self.finds(made, code, files=made.files(complete=False))
            else:
                self.finish(made, code)

    def test_zero_and_repeated_ids(self):
        made = sealed()
        made.entry(leaf_id=bytes(16))
        self.finish(made, "LEAF_INVALID", "ID_MISMATCH")
        made = sealed()
        made.entry(made.event(1))
        made.entry(made.event(1))
        self.finish(made, "DUPLICATE_ID")

    def test_time_goes_on(self):
        made = sealed()
        made.wait(-2)
        made.entry()
        made.wait(2)
        self.finish(made, "TIME_REGRESSION")

    def test_leaves_that_are_missing_or_too_many(self):
        made = sealed()
        while len(made.leaves) < 600:
            made.entry(made.event(len(made.leaves)))
        made.checkpoint()
        files = made.files(complete=False)
        less = dict(files)
        del less["tile/entries/002.p/88"]
        report = self.verify(less, made.trust())
        self.assertIn("TRUNCATED", report.counts)
        less = dict(files)
        del less["tile/entries/001"]
        report = self.verify(less, made.trust())
        self.assertIn("LEAF_MISSING", report.counts)
        path = "tile/entries/002.p/88"
        self.assertIn("TRUNCATED", self.verify(
            {**files, path: b"".join(len(leaf).to_bytes(2, "big") + leaf
                                     for leaf in made.leaves[512:599])}, made.trust()).counts)
        extra = len(made.leaves[5]).to_bytes(2, "big") + made.leaves[5]
        self.finds(made, "LEAF_EXTRA", files={**files, path: files[path] + extra})
        self.finds(made, "LEAF_EXTRA", files={**files, "tile/entries/003": b""})
        self.finds(made, "LEAF_EXTRA", files={**files, path: files[path] + b"x"})
        self.finds(made, "TILE_MISMATCH", files={**files, "tile/0/003": b""})
        self.finds(made, "TILE_MISMATCH", files={**files, "tile/x": b""})
        self.finds(made, "TILE_MISSING",
                   files={k: v for k, v in files.items() if k != "tile/1/000.p/2"})
        older = {"tile/0/001.p/3": files["tile/0/001"][:96]}
        self.finds(made, files={**files, **older})
        self.finds(made, "TILE_MISMATCH", files={**files, "tile/0/001.p/4": older["tile/0/001.p/3"]})

    def test_tiles_tell_which_leaf_was_modified(self):
        made = sealed()
        made.checkpoint()
        files = made.files(complete=False)
        leaf = bytearray(made.leaves[3])
        leaf[100] ^= 1
        made.leaves[3] = bytes(leaf)
        entries = maker.tiles_of(made.leaves)["tile/entries/000.p/5"]
        report = self.verify({**files, "tile/entries/000.p/5": entries}, made.trust())
        self.assertIn("ROOT_MISMATCH", report.counts)
        self.assertIn(("LEAF_MODIFIED", 3), [(f["code"], f["seq"]) for f in report.findings])

    # Control leaves

    def test_control_payloads(self):
        made = sealed()
        made.control("HOLD", {"hold": "h", "ranges": [[1, 1]]}, commit=bytes(32))
        self.finish(made, "CONTROL_MODIFIED")
        for raw in (b'{"hold": "h","ranges":[]}', b'{"hold":"h"}', b"[]", b"{}",
                    b'{"hold":"h","ranges":[[2,1]]}', b'{"by":"","hold":"h","ranges":[]}'):
            made = sealed()
            made.control("HOLD", None, raw=raw)
            self.finish(made, "CONTROL_INVALID")
        made = sealed()
        made.control("HOLD", {"hold": "h", "ranges": [[1, 1]]}, class_=1)
        self.finish(made, "LEAF_MALFORMED")

    def test_policies(self):
        for number, erasable, code in ((3, ["/a"], "CONTROL_INVALID"), (2, ["/id"], "CONTROL_INVALID"),
                                       (2, ["/b", "/a"], "CONTROL_INVALID"),
                                       (2, ["/a", "/a/b"], "CONTROL_INVALID"),
                                       (2, ["/a/b/c"], "CONTROL_INVALID"),
                                       (2, ["a"], "CONTROL_INVALID"), (2, ["/a~2"], "CONTROL_INVALID")):
            self.control("POLICY", {"policy": number, "erasable": erasable, "classes": []}, code)
        self.control("POLICY", {"policy": 2, "erasable": ["/a/b", "/b"], "classes": []})

    def test_rules_of_control_leaves(self):
        self.control("ERASE", {"items": [{"pointers": [""], "seqs": [9]}], "basis": "b"},
                     "CONTROL_INVALID")
        self.control("RELEASE", {"hold": "h"}, "CONTROL_INVALID")
        self.control("KEY", {}, "CONTROL_INVALID")
        self.control("RESUME", {"clean": True, "size": 9, "tail_bytes": 0}, "CONTROL_INVALID")
        self.control("PURGE", {"before_seq": 9, "count": 0, "cutoff_day": 1}, "PURGE_INVALID")
        self.control("PURGE", {"before_seq": 5, "count": 0, "cutoff_day": 20455}, "PURGE_INVALID")
        self.control("PURGE", {"before_seq": 5, "count": 3, "cutoff_day": 20454}, "PURGE_COUNT")
        made = sealed()
        for kind, payload in (("HOLD", {"hold": "h", "ranges": [[1, 1]]}), ("RELEASE", {"hold": "h"}),
                              ("HOLD", {"hold": "h", "ranges": [[1, 1]]})):
            made.control(kind, payload)
        self.finish(made, "CONTROL_INVALID")
        made = sealed()
        made.control("GENESIS", json.loads(made.leaves[0][104:]))
        self.finish(made, "CONTROL_INVALID")

    def test_approvals(self):
        payload = {"override": True, "ranges": [[1, 2]], "count": 2}
        over = "PURGE_OVERRIDE"
        present = "PURGE_INCOMPLETE"
        self.control("PURGE", payload, over, present, approve=True)
        self.control("PURGE", payload, over, present, "APPROVAL_INVALID")
        made = sealed()
        made.control("PURGE", made.approve("ERASE", payload))
        self.finish(made, over, present, "APPROVAL_INVALID")
        made = sealed()
        made.control("PURGE", made.approve("PURGE", payload, made.log))
        self.finish(made, over, present, "APPROVAL_INVALID")
        made = sealed()
        made.control("PURGE", made.approve("PURGE", payload))
        self.finish(made, over, present, "APPROVAL_UNCHECKED", trust=made.trust(approver=False))
        made = sealed()
        made.control("PURGE", made.approve("PURGE", {**payload, "ranges": [[1, 5]], "count": 4}))
        self.finish(made, present, "PURGE_INVALID")
        hold = {"hold": "h", "ranges": [[1, 1]]}
        made = sealed()
        made.checkpoint()
        trust = made.trust() + "#tally approve HOLD KEY\n"
        self.control("HOLD", hold, "APPROVAL_INVALID", trust=trust)
        self.control("HOLD", hold, approve=True, trust=trust)
        for kind in ("GENESIS", "EPOCH", "GAP", "RESUME", "ENTRY"):
            with self.assertRaises(check.Bad):
                check.Trust(f"{made.trust()}#tally approve HOLD {kind}\n".encode())

    # Keys and epochs

    def test_epochs(self):
        made = sealed()
        made.epoch_leaf(seal=False)
        made.entry()
        self.finish(made, "EPOCH_SEAL_MISSING")
        made = sealed()
        made.checkpoint()
        made.epoch_leaf(key=Signer(f"{made.origin}/epoch/2", 4, 1))
        made.entry()
        self.finish(made, "EPOCH_INVALID")
        made = sealed()
        old = made.epoch_key
        made.epoch_leaf()
        old.name = f"{made.origin}/epoch/2"
        again = Signer(old.name, 4, f"{made.seed} 0")
        made.epoch_leaf(key=again)
        made.entry()
        self.finish(made)
        made = sealed()
        made.wait(3600)
        made.entry()
        self.finish(made, "EPOCH_MISMATCH", "EPOCH_SIGNATURE_INVALID")

    def test_an_epoch_key_never_repeats(self):
        made = sealed()
        key = copy.copy(made.epoch_key)
        data = bytes([4]) + key.public
        key.name = f"{made.origin}/epoch/1"
        key.id = check.sha(key.name.encode(), b"\n", data)[:4]
        key.vkey = f"{key.name}+{key.id.hex()}+{maker.text64(data)}"
        made.epoch_leaf(key=key)
        made.entry()
        self.finish(made, "EPOCH_INVALID")

    def test_seals(self):
        for change in ({"stamp": maker.START // 1_000_000 + 3601}, {"signers": "log"},
                       {"root": bytes(32)}):
            made = sealed()
            made.epoch_leaf(seal=False)
            if change.get("signers"):
                change = {"signers": (made.log,)}
            key, made.epoch_key = made.epoch_key, Signer(f"{made.origin}/epoch/0", 4, "0 0")
            made.epoch_key = Maker().epoch_key
            made.checkpoint(**change)
            made.epoch_key = key
            made.entry()
            self.finish(made, "EPOCH_SEAL_INVALID")

    def test_stolen_keys_do_not_rewrite_a_closed_epoch(self):
        made = sealed()
        first = made.epoch_key
        made.epoch_leaf()
        made.entry()
        made.checkpoint()
        self.finds(made)
        forged = Maker()
        for _ in range(4):
            forged.wait(1)
            forged.entry(class_=2)
        thief = Signer(first.name, 4, "thief")
        thief.id = first.id
        forged.epoch_key = thief
        forged.epoch_leaf(key=made.epoch_key)
        forged.entry()
        forged.checkpoint()
        forged.mac_lines = made.mac_lines
        self.finds(forged, "EPOCH_SEAL_INVALID", trust=made.trust())

    def test_changes_of_keys(self):
        made = sealed()
        made.rotate(mac=True)
        made.entry()
        self.finish(made)
        self.finds(made, "KEY_CHANGE_INVALID",
                   files={k: v for k, v in made.files().items() if k != "checkpoints/6"})
        made = sealed()
        old = made.log
        made.rotate(signers=(old, made.epoch_key))
        made.entry()
        self.finish(made, "KEY_CHANGE_INVALID")
        made = sealed()
        old = made.log
        made.rotate()
        made.checkpoint(signers=(old, made.epoch_key, made.log))
        made.entry()
        made.checkpoint(signers=(old, made.epoch_key))
        self.finds(made, "KEY_UNKNOWN")

    def test_restores(self):
        for change, code in (({"from_size": 4}, "CONTROL_INVALID"), ({"lost_size": 4}, "CONTROL_INVALID"),
                             ({"from_root": maker.text64(bytes(32))}, "CONTROL_INVALID"),
                             ({"from_origin": "x"}, "CONTROL_INVALID")):
            made = sealed()
            made.checkpoint()
            made.restore(**change)
            made.entry()
            self.finish(made, "RESTORED", code)
        made = sealed()
        made.checkpoint()
        made.restore()
        made.entry()
        made.checkpoint()
        for size in (5, 6):
            self.finds(made, "RESTORED", "CHECKPOINT_MISSING",
                       files={k: v for k, v in made.files().items() if k != f"checkpoints/{size}"})
        first = "\n".join(made.trust_lines[:2] + ["quorum none"])
        self.finds(made, "RESTORED", "ORIGIN_MISMATCH", "EPOCH_UNPINNED", trust=first)

    # Contents

    def test_contents(self):
        made = sealed()
        made.checkpoint()
        opening = made.openings[2]
        for code, change in (("CONTENT_MODIFIED", {"rest": opening["rest"].replace("login", "logout")}),
                             ("CONTENT_MODIFIED", {"salt": maker.text64(bytes(16))}),
                             ("CONTENT_MODIFIED", {"members": opening["members"][:1]}),
                             ("RECORD_MALFORMED", {"members": opening["members"][::-1]}),
                             ("RECORD_MALFORMED", {"members": 1}), ("RECORD_MALFORMED", {"state": "x"}),
                             ("RECORD_MALFORMED", {"salt": "AA=="})):
            made.openings[2] = {**opening, **change}
            self.finds(made, code, *["CONTENT_MISSING"] * (code == "RECORD_MALFORMED"))
        for state, code in (("purged", "CONTENT_MISSING"), ("erased", "CONTENT_MISSING"),
                            ("evicted", "CONTENT_MISSING"), ("withheld", "WITHHELD")):
            made.gone(2, state)
            self.finds(made, code)
        made.gone(2, "?")
        self.finds(made, "RECORD_MALFORMED", "CONTENT_MISSING")
        made.openings[2] = copy.deepcopy(opening)
        made.member_gone(2, "/reason", withheld=True)
        report = self.finds(made, "WITHHELD")
        self.assertEqual(report.qualifiers, ["unanchored", "withheld"])
        made.openings[2] = copy.deepcopy(opening)
        made.member_gone(2, "/reason")
        self.finds(made, "MEMBER_MISSING")

    def test_a_volatile_ledger_may_drop(self):
        made = sealed(volatile=True)
        made.checkpoint()
        made.gone(1, "evicted")
        self.finds(made, "EVICTED")

    def test_events(self):
        for code, options in (("NON_CANONICAL", {"rest": '{"action":"a", "id":"e"}'}),
                              ("ERASABLE_MISMATCH", {"rest": '{"action":"a","id":"e","reason":"r"}'}),
                              ("ERASABLE_MISMATCH", {"event": {"id": "e", "x": 1}, "split": ["/x"],
                                                     "rest": '{"action":"a","id":"e"}'}),
                              ("ID_MISMATCH", {"rest": '{"action":"a","id":"f"}'}),
                              ("ID_MISMATCH", {"rest": '{"action":"a"}'})):
            made = sealed()
            made.entry(**{"event": {"id": "e"}, **options})
            self.finish(made, code)
        for rest in ("{", "[]", '{"id":"e","id":"e"}'):
            made = sealed()
            made.entry({"id": "e"}, rest=rest)
            self.finish(made, "RECORD_MALFORMED", "CONTENT_MISSING")
        made = sealed()
        made.entry({"id": "e", "occurred_at": "2025-12-01T00:00:00Z"}, class_=4)
        self.finish(made)
        for when in ("2025-12-01T00:00:00Z", "soon"):
            made = sealed()
            made.entry({"id": "e", "occurred_at": "2025-12-01T00:00:00Z"}, class_=4,
                       rest=check.json_write({"id": "e", "occurred_at": when}), retain=20000)
            self.finish(made, "RETENTION_MISMATCH")

    def purged(self, count=4, cutoff=20454, before=5):
        made = Maker()
        for _ in range(4):
            made.entry()
        made.control("PURGE", {"before_seq": before, "count": count, "cutoff_day": cutoff})
        made.checkpoint()
        return made

    def test_purges(self):
        made = self.purged()
        self.finds(made, "PURGE_INCOMPLETE")
        made.gone(2, "purged")
        self.finds(made, "PURGED", "PURGE_INCOMPLETE")
        made.gone(2, "erased")
        self.finds(made, "CONTENT_MISSING", "PURGE_INCOMPLETE")
        made = self.purged(count=0, cutoff=20453)
        made.gone(2, "purged")
        self.finds(made, "PURGE_EARLY")
        made = self.purged(count=1, before=2)
        made.gone(1, "purged")
        made.gone(3, "purged")
        self.finds(made, "PURGED", "CONTENT_MISSING")
        made = self.purged()
        for seq in (1, 2, 3, 4):
            made.gone(seq, "purged")
        made.control("PURGE", {"before_seq": 5, "count": 0, "cutoff_day": 20454})
        self.finish(made, "PURGED")

    def test_holds(self):
        made = sealed()
        made.control("HOLD", {"hold": "h", "ranges": [[1, 2], [50, 60]]})
        made.control("HOLD", {"hold": "h", "ranges": [[4, 4]]})
        made.wait(86_400)
        made.epoch = 24
        made.time = maker.START + 86_400_000_000
        made.epoch = 0
        made.epoch_leaf(to=24)
        made.control("PURGE", {"before_seq": 5, "count": 1, "cutoff_day": 20455})
        made.gone(3, "purged")
        held = copy.deepcopy(made)
        self.finish(made, "PURGED")
        for seq in (1, 2, 4):
            bad = copy.deepcopy(held)
            bad.gone(seq, "purged")
            self.finish(bad, "PURGED", "HOLD_VIOLATED")
        held.control("RELEASE", {"hold": "h"})
        held.control("PURGE", {"before_seq": 5, "count": 3, "cutoff_day": 20455})
        for seq in (1, 2, 4):
            held.gone(seq, "purged")
        self.finish(held, "PURGED")

    def test_erasures(self):
        made = sealed()
        made.control("ERASE", {"basis": "b", "items": [
            {"pointers": ["/reason", "/lacks"], "seqs": [1, 2]}, {"pointers": [""], "seqs": [3]}]})
        made.checkpoint()
        self.finds(made, "ERASE_INCOMPLETE")
        for seq in (1, 2):
            made.member_gone(seq, "/reason")
        made.gone(3, "erased")
        report = self.finds(made, "ERASED")
        self.assertIn("erased", report.qualifiers)
        bad = copy.deepcopy(made)
        bad.member_gone(2, "/actor/name")
        self.finds(bad, "ERASED", "MEMBER_MISSING")
        made.gone(3, "purged")
        self.finds(made, "ERASED", "CONTENT_MISSING")
        made = sealed()
        made.control("HOLD", {"hold": "h", "ranges": [[2, 3]]})
        made.control("ERASE", {"basis": "b", "items": [{"pointers": ["/reason"], "seqs": [2]},
                                                       {"pointers": [""], "seqs": [3]}]})
        member = copy.deepcopy(made)
        member.member_gone(2, "/reason")
        self.finish(member, "HOLD_VIOLATED")
        made.gone(3, "erased")
        self.finish(made, "HOLD_VIOLATED")

    # Openings, anchors, proofs

    def test_lines_of_openings(self):
        made = sealed()
        made.checkpoint()
        files, lines = made.files(), made.opening_lines()
        foreign = check.json_write({**json.loads(lines[3]), "leaf": maker.text64(made.leaves[3])})

        def with_lines(some):
            return {**files, "openings.ndjson": b"".join(some)}
        short = with_lines(lines[:-1])
        self.finds(made, "RECORD_MALFORMED", "CONTENT_MISSING", files=short)
        for some in ([lines[0], *lines[2:], lines[1]], [*lines, lines[-1]],
                     [*lines[:3], lines[3].replace(b":", b": ", 1), *lines[4:]],
                     [lines[0].replace(b"true", b"false"), *lines[2:]],
                     [lines[0].replace(b"/v1", b"/v2"), *lines[1:]],
                     [lines[0].replace(b"made", b"fade"), *lines[1:]], [*lines[:-1], lines[-1][:-1]],
                     []):
            report = self.verify(with_lines(some), made.trust())
            self.assertIn("RECORD_MALFORMED", report.counts)
            self.assertEqual(report.verdict, "TAMPERED")
        self.finds(made, "LEAF_MODIFIED",
                   files=with_lines([*lines[:3], foreign.encode() + b"\n", *lines[4:]]))
        beyond = lines[-1].replace(b'"seq":4', b'"seq":5')
        more = lines[0].replace(b'"count":5', b'"count":6')
        self.finds(made, "ROW_INSERTED", files=with_lines([more, *lines[1:], beyond]))
        del files["openings.ndjson"]
        report = self.finds(made, "WITHHELD", files=files)
        self.assertIn("content_part", report.qualifiers)

    def test_anchors(self):
        made = sealed()
        made.checkpoint()
        made.anchor()
        self.finish(made)
        files = made.files()
        self.finds(made, "ANCHOR_INVALID", files={**files, "anchors/5": b"x"})
        self.finds(made, "ANCHOR_INVALID", files={**files, "anchors/4": b"x"})
        self.finds(made, "CHECKPOINT_MISSING",
                   files={k: v for k, v in files.items() if k != "checkpoints/5"})
        del files["anchors/5"]
        self.finds(made, "ANCHOR_MISSING", files=files)
        made = sealed()
        made.checkpoint()
        digest = check.sha(made.body())
        stamp = maker.signed_time_stamp(digest)
        made.anchor(stamp, kind="rfc3161")
        self.finish(made)
        for wrong in (b"..." + digest + b"...", stamp + b"x", maker.signed_time_stamp(bytes(32)),
                      maker.time_stamp(digest), maker.time_stamp(digest, "608648016503040202"),
                      *(maker.signed_time_stamp(digest, **fault) for fault in maker.STAMP_FAULTS),
                      *(stamp[:length] for length in range(len(stamp)))):
            made = sealed()
            made.checkpoint()
            made.anchor(wrong, kind="rfc3161")
            self.finish(made, "ANCHOR_INVALID")
        token = (VECTORS / "timestamp" / "token.der").read_bytes()
        self.assertEqual(check.stamped(token), bytes(range(32)))
        self.assertIsNone(check.is_stamp_signed(token))  # of ECDSA
        self.assertIsNone(check.is_stamp_signed(maker.signed_time_stamp(digest, key_kind="2a0305")))
        for changed in ({"root": maker.text64(bytes(32))}, {"kind": "rfc3161"}):
            made = sealed()
            made.checkpoint()
            made.anchor(**changed)
            self.finish(made, "ANCHOR_INVALID")
        made = sealed()
        made.anchor(size=9)
        made.anchors.clear()
        self.finish(made, "CONTROL_INVALID")

    def test_proofs(self):
        made = sealed()
        made.checkpoint()
        files = made.files()
        proof = maker.proof_of(made.leaves, 3, made.newest)
        self.finds(made, files={**files, "proofs/3.tlog-proof": proof})
        self.finds(made, "SEQ_MISMATCH", files={**files, "proofs/2.tlog-proof": proof})
        self.finds(made, "SEQ_MISMATCH", files={**files, "proofs/3": proof})
        self.finds(made, "RECORD_MALFORMED", files={**files, "proofs/3.tlog-proof": proof[:-1]})
        made.checkpoint(witnessed=True, kept=False)
        other = maker.proof_of(made.leaves, 3, made.newest)
        self.finds(made, "HEAD_MISMATCH", files={**files, "proofs/3.tlog-proof": other})
        other = maker.proof_of(made.leaves, 2, made.newest).replace(b"index 2", b"index 3")
        self.finds(made, "ROOT_MISMATCH", files={**files, "proofs/3.tlog-proof": other})


class Proofs(Case):
    """--proof: one proof, by the trust file alone."""

    def check(self, data, trust):
        report = check.Report()
        check.check_proof(data, check.Trust(trust.encode()), report)
        return report

    def test_the_vector(self):
        data = (LOG702 / "proofs" / "1.tlog-proof").read_bytes()
        trust = (LOG702 / "trust.txt").read_text()
        self.assertEqual(self.check(data, trust).verdict, "VERIFIED")
        start = data.rindex(b"\n", 0, data.index(b"/epoch/56")) + 1
        end = data.index(b"\n", start)
        every = 1 if os.environ.get("TALLY_CHECK_BITS") == "all" else 23
        for bit in range(0, 8 * len(data), every):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            verdict = self.check(bytes(changed), trust).verdict
            if start <= bit // 8 < end:
                continue  # the line of an epoch key that this trust file does not know
            self.assertNotEqual(verdict, "VERIFIED", bit)

    def test_what_is_wrong_is_named(self):
        made = sealed()
        made.checkpoint()
        proof = maker.proof_of(made.leaves, 3, made.newest)
        self.assertEqual(self.check(proof, made.trust()).verdict, "VERIFIED")
        for data, trust, code in (
                (b"", made.trust(), "RECORD_MALFORMED"),
                (proof, made.trust(quorum=True), "WITNESS_QUORUM"),
                (proof, Maker(seed=2).trust(), "KEY_UNKNOWN"),
                (proof, Maker(origin="other.example/x").trust(), "ORIGIN_MISMATCH"),
                (proof.replace(b"index 3", b"index 2"), made.trust(), "SEQ_MISMATCH")):
            self.assertIn(code, self.check(data, trust).counts)


class Changes(Case):
    """Whatever is changed, the answer is not VERIFIED."""

    def bits(self, total, sample):
        if os.environ.get("TALLY_CHECK_BITS") == "all":
            return range(total)
        return random.Random(1).sample(range(total), min(total, sample))

    def changed(self, files, trust, mac, path, bit):
        data = bytearray(files[path])
        data[bit // 8] ^= 1 << bit % 8
        folder = pathlib.Path(self.dir, "changed")
        if not folder.exists():
            maker.write_files(folder, files)
        (folder / path).write_bytes(data)
        report = check.Report()
        check.check_directory(str(folder), check.Trust(trust.encode()), report,
                              check.MacKeys(mac.encode()) if mac else None)
        (folder / path).write_bytes(files[path])
        self.assertNotEqual(report.verdict, "VERIFIED", f"bit {bit} of {path}")
        self.assertNotIn("CHECK_FAILED", report.counts, f"bit {bit} of {path}")

    def every_file(self, evidence, sample):
        files, trust, mac = evidence
        self.assertEqual(self.verify(files, trust, mac).verdict, "VERIFIED")
        for path in files:
            for bit in self.bits(8 * len(files[path]), sample):
                self.changed(files, trust, "", path, bit)

    def test_bits_of_the_vector(self):
        self.every_file(agree.log702(), 2)

    def test_bits_of_a_small_ledger(self):
        self.every_file(agree.life(0), 12)

    def test_bits_of_the_trust_file(self):
        files, trust, mac = agree.log702()
        folder = pathlib.Path(self.dir, "trust")
        maker.write_files(folder, files)
        at = 0
        for line in trust.splitlines(keepends=True):
            if not line.startswith(("# ", "#tally approver")):
                for bit in self.bits(8 * len(line), 6):
                    data = bytearray(trust.encode())
                    data[at + bit // 8] ^= 1 << bit % 8
                    report = check.Report()
                    try:
                        check.check_directory(str(folder), check.Trust(bytes(data)), report)
                    except check.Bad:
                        continue
                    self.assertNotEqual(report.verdict, "VERIFIED", f"bit {bit} of {line}")
            at += len(line)

    def test_structure(self):
        count = 20_000 if os.environ.get("TALLY_CHECK_BITS") == "all" else 150
        bases = [agree.life(n) for n in range(4)]
        for number in range(count):
            rng = random.Random(number)
            change = rng.choice(agree.STRUCTURE)
            base, trust, mac = rng.choice(bases)
            files = dict(base)
            what = change(files, rng)
            if what is None or files == base:
                continue
            report = self.verify(files, trust, mac)
            self.assertNotIn("CHECK_FAILED", report.counts, what)
            harmless = agree.harmless(change, what, base, files)
            if not harmless:
                self.assertNotEqual(report.verdict, "VERIFIED", f"#{number} {what}")


class Program(Case):
    """The command line."""

    def run_script(self, *arguments):
        run = subprocess.run([sys.executable, "-I", str(SCRIPT), *map(str, arguments)],
                             capture_output=True, timeout=60)
        return run.returncode, run.stdout.decode(), run.stderr.decode()

    def test_the_vector(self):
        trust = ["--trust", LOG702 / "trust.txt"]
        status, out, _ = self.run_script(LOG702, *trust, "--mac-key", LOG702 / "mac-key.txt", "--json")
        answer = json.loads(out)
        self.assertEqual((status, answer["verdict"], answer["size"]), (0, "VERIFIED", 702))
        self.assertEqual(answer["qualifiers"], ["content_part", "purged", "erased", "withheld", "gaps"])
        self.assertEqual(answer["contents"], {"checked": 26, "of": 688})
        self.assertEqual(answer["sealed"], "2026-01-03T08:22:45Z")
        for seq, code in ((50, "PURGED"), (77, "ERASED"), (90, "ERASED"), (250, "GAP")):
            self.assertIn((seq, code), [(f["seq"], f["code"]) for f in answer["findings"]])
        status, out, _ = self.run_script(LOG702, *trust, "--against", LOG702 / "checkpoints" / "633")
        self.assertEqual((status, out.splitlines()[0]), (0, "VERIFIED"))
        proof = LOG702 / "proofs" / "1.tlog-proof"
        self.assertEqual(self.run_script("--proof", proof, *trust)[0], 0)

    def test_statuses(self):
        made = Maker()
        made.entry()
        made.checkpoint()
        files = made.files()
        folder = pathlib.Path(self.dir)
        (folder / "trust").write_text(made.trust())
        for name, change, status in (("good", {}, 0), ("bad", {"checkpoints/1": b"x"}, 1),
                                     ("less", {"checkpoint": None}, 2)):
            some = {k: v for k, v in {**files, **change}.items() if v is not None}
            maker.write_files(folder / name, some)
            self.assertEqual(self.run_script(folder / name, "--trust", folder / "trust")[0], status)
        good, trust = folder / "good", folder / "trust"
        (folder / "other").write_text("log x\n")
        for arguments in ([], [good], [good, "--trust", folder / "none"],
                          [good, "--trust", folder / "other"], [folder / "no", "--trust", trust],
                          [good, "--trust", trust, "--against", trust],
                          [good, "--trust", trust, "--mac-key", trust],
                          [good, "--trust", trust, "--max-age", "x"], [good, "--trust", trust, "-x"]):
            status, out, err = self.run_script(*arguments)
            self.assertEqual((status, out), (3, ""), err)
            self.assertNotIn("Traceback", err)

    def test_hostile_text_is_escaped(self):
        made = Maker()
        made.control("GAP", {"count": 1, "exact": True, "from": "2026-01-01T00:00:00Z",
                             "reason": "\u001b[2J\u202e\n", "to": "2026-01-01T00:00:00Z"})
        made.checkpoint()
        folder = pathlib.Path(self.dir)
        (folder / "trust").write_text(made.trust())
        made.write(str(folder / "made"))
        status, out, _ = self.run_script(folder / "made", "--trust", folder / "trust")
        self.assertEqual(status, 0)
        self.assertNotIn("\u001b", out)
        self.assertNotIn("\u202e", out)

    def test_files_that_are_none(self):
        made = Maker()
        made.checkpoint()
        folder = pathlib.Path(self.dir)
        for number, path in enumerate(sorted(made.files())):
            files = made.files()
            del files[path]
            where = folder / str(number)
            maker.write_files(where, files)
            (where / path).parent.mkdir(exist_ok=True, parents=True)
            os.mkfifo(where / path)
            report = check.Report()
            check.check_directory(str(where), check.Trust(made.trust().encode()), report)
            self.assertNotEqual(report.verdict, "VERIFIED", path)
            self.assertNotIn("CHECK_FAILED", report.counts, path)


if __name__ == "__main__":
    unittest.main()
