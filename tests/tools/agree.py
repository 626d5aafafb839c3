#!/usr/bin/env python3
"""Do `tally verify` and tools/tally_check.py agree? Both judge the same changed evidence.

usage: agree.py TALLY [--count N] [--seed N] [--kinds files,signed,trusts,proofs] [--only NAME]
    [--told N] [--codes]

The verdict must be the same for each change; with --codes, the set of findings as well. Differences are told
in full, with the change that made them, and counted.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import evidence_maker as maker  # noqa: E402
from evidence_maker import Maker, Signer, check  # noqa: E402

LOG702 = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "log702"
# If the leaves are not those that were signed, no end of consequences follows, and how many of these are
# told is presentation: there it is enough that both say TAMPERED and name leaves or tree.
TREE = set("""ROOT_MISMATCH LEAF_MODIFIED LEAF_MISSING LEAF_EXTRA LEAF_MALFORMED TRUNCATED SEQ_MISMATCH
    TILE_MISMATCH HISTORY_REWRITTEN""".split())
EXIT = {"VERIFIED": 0, "TAMPERED": 1, "UNVERIFIABLE": 2}
REFUSED = "trust refused"


# ---- Ledgers to change --------------------------------------------------------------------------

def log702():
    files = {str(path.relative_to(LOG702)): path.read_bytes()
             for path in LOG702.rglob("*") if path.is_file()}
    trust, mac = files.pop("trust.txt").decode(), files.pop("mac-key.txt").decode()
    return files, trust, mac


def life(seed, grow=0):
    """A ledger on which everything has happened that may happen."""
    rng = random.Random(seed)
    made = Maker(seed=seed)
    for _ in range(6):
        made.wait(1)
        made.entry(class_=rng.choice([1, 2, 3]))
    made.checkpoint()
    made.control("HOLD", {"hold": "case", "ranges": [[1, 2]]})
    made.epoch_leaf()
    made.control("POLICY", {"policy": 2, "erasable": ["/actor", "/reason"],
                            "classes": maker.CLASSES})
    made.erasable = ["/actor", "/reason"]
    for _ in range(grow):
        made.entry(made.event(len(made.leaves)))
    seqs = [made.entry() for _ in range(4)]
    made.checkpoint()
    made.anchor(b"a token")
    made.rotate(mac=rng.random() < 0.5)
    made.control("ERASE", {"basis": "b", "items": [{"pointers": ["/reason"], "seqs": seqs[:2]},
                                                   {"pointers": [""], "seqs": seqs[2:3]}]})
    for seq in seqs[:2]:
        made.member_gone(seq, "/reason")
    made.gone(seqs[2], "erased")
    made.checkpoint()
    made.epoch_leaf(to=24)
    made.control("GAP", {"count": 3, "exact": True, "from": "2026-01-01T00:00:00Z",
                         "reason": "queue_full", "to": "2026-01-01T00:00:01Z"})
    due = [n for n in range(len(made.leaves))
           if made.leaves[n][4] == 1 and check.Leaf(made.leaves[n]).retain_until <= 20455
           and n not in (1, 2) and n != seqs[2]]
    made.control("PURGE", {"before_seq": len(made.leaves), "count": len(due), "cutoff_day": 20455})
    for seq in due:
        made.gone(seq, "purged")
    made.control("RELEASE", {"hold": "case"})
    made.checkpoint()
    if rng.random() < 0.5:
        made.restore()
    last = made.entry(class_=3)
    made.member_gone(last, "/actor", withheld=True)
    made.entry(class_=4)
    made.checkpoint(witnessed=True)
    files = made.files(complete=rng.random() < 0.7)
    for seq in (0, last):
        files[f"proofs/{seq}.tlog-proof"] = maker.proof_of(made.leaves, seq, made.newest)
    return files, made.trust(quorum=True), made.mac_lines[0] + "\n"


# ---- Changes: each takes (files, rng), and says what it did --------------------------------------

def some(rng, files, *starts):
    return rng.choice(sorted(p for p in files if not starts or p.startswith(starts)))


def flip_bit(files, rng):
    path = some(rng, files)
    data = bytearray(files[path])
    at = rng.randrange(8 * len(data))
    data[at // 8] ^= 1 << at % 8
    files[path] = bytes(data)
    return f"bit {at} of {path}"


def change_byte(files, rng):
    path = some(rng, files)
    data = bytearray(files[path])
    at = rng.randrange(len(data))
    data[at] = rng.choice([b for b in b"\0\n 019aAfx\xff" if b != data[at]])
    files[path] = bytes(data)
    return f"byte {at} of {path} is {data[at]}"


def delete_file(files, rng):
    path = some(rng, files)
    del files[path]
    return f"delete {path}"


def cut_file(files, rng):
    path = some(rng, files)
    at = rng.randrange(len(files[path]))
    files[path] = files[path][:at]
    return f"cut {path} at {at}"


def append(files, rng):
    path = some(rng, files)
    more = rng.choice([b"\0", b"\n", b"x", files[path][-33:], files[path]])
    files[path] += more
    return f"append {more[:20]!r} to {path}"


def swap_files(files, rng):
    group = rng.choice(["tile/entries", "tile/", "checkpoint", "checkpoints/", "anchors/", "proofs/"])
    paths = sorted(p for p in files if p.startswith(group))
    if len(paths) < 2:
        return None
    a, b = rng.sample(paths, 2)
    files[a], files[b] = files[b], files[a]
    return f"swap {a} and {b}"


def copy_file(files, rng):
    a = some(rng, files)
    b = rng.choice([some(rng, files), f"checkpoints/{rng.randrange(40)}",
                    f"tile/{rng.randrange(3)}/{rng.randrange(3):03d}",
                    f"tile/0/000.p/{rng.randrange(1, 40)}", f"tile/entries/{rng.randrange(3):03d}",
                    f"anchors/{rng.randrange(40)}", f"proofs/{rng.randrange(40)}.tlog-proof"])
    if a == b:
        return None
    files[b] = files[a]
    return f"copy {a} to {b}"


def parts_of(data):
    parts, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at:at + 2], "big")
        parts.append(data[at:end])
        at = end
    return parts


def shuffle(parts, rng, least=0):
    """One change of order or number."""
    a, b = rng.randrange(least, len(parts)), rng.randrange(least, len(parts))
    what = rng.choice(["delete", "double", "swap", "move", "replace", "reverse"])
    if what == "delete":
        del parts[a]
    elif what == "double":
        parts.insert(b, parts[a])
    elif what == "swap":
        parts[a], parts[b] = parts[b], parts[a]
    elif what == "move":
        parts.insert(b, parts.pop(a))
    elif what == "replace":
        parts[a] = parts[b]
    else:
        parts[least:] = parts[:least - 1 if least else None:-1]
    return f"{what} {a} {b}"


def reorder_leaves(files, rng):
    path = some(rng, files, "tile/entries")
    parts = parts_of(files[path])
    what = shuffle(parts, rng)
    files[path] = b"".join(parts)
    return f"{path}: {what}"


def reorder_leaves_and_tiles(files, rng):
    leaves = leaves_of(files)
    what = shuffle(leaves, rng)
    retile(files, leaves)
    return f"leaves and tiles: {what}"


def change_leaf_and_tiles(files, rng):
    leaves = leaves_of(files)
    n = rng.randrange(len(leaves))
    data = bytearray(leaves[n])
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    leaves[n] = bytes(data)
    retile(files, leaves)
    return f"leaf {n} byte {at}, and tiles"


def leaves_of(files):
    paths = sorted((p for p in files if p.startswith("tile/entries")),
                   key=lambda p: check.parse_tile_path(p) or (0, 0, 0))
    return [part[2:] for path in paths for part in parts_of(files[path])]


def retile(files, leaves):
    for path in [p for p in files if p.startswith("tile/")]:
        del files[path]
    files.update(maker.tiles_of(leaves))


def reorder_hashes(files, rng):
    path = some(rng, files, "tile/0", "tile/1")
    parts = [files[path][at:at + 32] for at in range(0, len(files[path]), 32)]
    what = shuffle(parts, rng)
    files[path] = b"".join(parts)
    return f"{path}: {what}"


def reorder_openings(files, rng):
    lines = files["openings.ndjson"].splitlines(keepends=True)
    what = shuffle(lines, rng, least=rng.choice([0, 1, 1, 1]))
    files["openings.ndjson"] = b"".join(lines)
    return f"openings: {what}"


def change_opening(files, rng):
    """One member of one line, written in canonical form again."""
    lines = files["openings.ndjson"].splitlines()
    n = rng.randrange(len(lines))
    line = json.loads(lines[n])
    what = change_value(line, rng)
    if rng.random() < 0.3:
        head = json.loads(lines[0])
        head["count"] = len(lines) - 1
        lines[0] = check.json_write(head).encode()
    if n or "count" not in what:
        lines[n] = check.json_write(line).encode()
    files["openings.ndjson"] = b"\n".join(lines) + b"\n"
    return f"openings line {n}: {what}"


def change_value(line, rng):
    name = rng.choice(sorted(line))
    value = line[name]
    how = rng.randrange(6)
    if isinstance(value, list) and value and how < 4:
        if how == 0:
            return f"{name}: {shuffle(value, rng)}"
        at = rng.randrange(len(value))
        inner = {str(at): value[at]}
        what = change_value(value[at] if isinstance(value[at], dict) else inner, rng)
        if not isinstance(value[at], dict) and str(at) in inner:
            value[at] = inner[str(at)]
        return f"{name}: {what}"
    if how == 1:
        del line[name]
        return f"delete {name}"
    if how == 2:
        line[rng.choice(["x", "state", "w", "d", "v"])] = value
        return f"copy {name}"
    if name == "state":
        line[name] = rng.choice(["purged", "erased", "evicted", "", "x"])
    elif isinstance(value, bool):
        line[name] = not value
    elif isinstance(value, int):
        line[name] = max(0, value + rng.choice([-1, 1, 1000]))
    elif isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        line[name] = value[:at] + rng.choice(["", "A", "\u00e9", "\n", "="]) + value[at + 1:]
    else:
        line[name] = rng.choice([None, 1, "x", [], {}])
    return f"{name}: {str(value)[:20]} is {str(line[name])[:20]}"


def reorder_lines(files, rng):
    path = some(rng, files, "checkpoint", "proofs/")
    lines = files[path].splitlines(keepends=True)
    what = shuffle(lines, rng)
    files[path] = b"".join(lines)
    return f"{path}: {what}"


def exchange_lines(files, rng):
    a, b = some(rng, files, "checkpoint"), some(rng, files, "checkpoint", "proofs/")
    first, second = files[a].splitlines(keepends=True), files[b].splitlines(keepends=True)
    n, m = rng.randrange(len(first)), rng.randrange(len(second))
    first[n] = second[m]
    if first == files[a].splitlines(keepends=True):
        return None
    files[a] = b"".join(first)
    return f"{a} line {n} is line {m} of {b}"


def older_head(files, rng):
    """A roll-back: the evidence as it was at a kept checkpoint."""
    path = some(rng, files, "checkpoints/")
    size = int(path.rpartition("/")[2])
    how = rng.choice(["head", "head and leaves", "all"])
    files["checkpoint"] = files[path]
    if how != "head":
        retile(files, leaves_of(files)[:size])
    if how == "all":
        for other in [p for p in files if p.startswith("checkpoints/")
                      and int(p.rpartition("/")[2]) > size]:
            del files[other]
    return f"roll back to {size}: {how}"


STRUCTURE = [delete_file, cut_file, append, swap_files, copy_file, reorder_leaves,
             reorder_leaves_and_tiles, change_leaf_and_tiles, reorder_hashes, reorder_openings,
             change_opening, change_opening, reorder_lines, exchange_lines, older_head]
CHANGES = STRUCTURE + [flip_bit, flip_bit, change_byte]


def harmless(change, what, before, after):
    """Whether a change leaves evidence that is sound: an export may hold less."""
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    if not new and all(after[path] == before[path] for path in after):
        # ANCHOR_MISSING is a warning; contents and proofs are for whom they are handed
        # and a checkpoint that nothing asks for may be thinned out.
        return all(path.startswith(("openings", "proofs/", "anchors/", "checkpoints/")) for path in gone)
    # The record that was erased was also due for the purge: both states are so.
    # The header is not signed: it may promise less. A good signature may stand there twice.
    return change is change_opening and any(each in what for each in (
        "withheld", "erased is purged", "complete: True is False")) or \
        change is reorder_lines and "double" in what


# ---- Signed faults: a ledger whose owner did wrong -----------------------------------------------

def signed_fault(rng):
    """(files, trust, mac keys, what): a fault that carries good signatures."""
    made = Maker(seed=rng.randrange(4))
    for _ in range(3):
        made.wait(1)
        made.entry()
    what = rng.choice([fault_field, fault_payload, fault_content, fault_gone, fault_keys])(made, rng)
    made.entry(class_=rng.choice([1, 2, 3, 4]))
    made.checkpoint(witnessed=rng.random() < 0.5)
    quorum = rng.random() < 0.3
    approver = rng.random() < 0.7
    return (made.files(complete=rng.random() < 0.5), made.trust(quorum=quorum, approver=approver),
            made.mac_lines[0] + "\n", what)


def fault_field(made, rng):
    name, value = rng.choice([
        ("magic", b"TLY2"), ("kind", 2), ("kind", 0x8C), ("flags", 0), ("flags", 2), ("flags", 4),
        ("class_", 9), ("class_", 0), ("seq", 0), ("seq", 2 ** 63), ("time", 0),
        ("time", made.time + 7_200_000_000), ("time", 2 ** 63), ("retain", 0), ("retain", 2 ** 32 - 1),
        ("epoch", 1), ("epoch", 2 ** 32 - 1), ("mac_gen", 0), ("incarnation", 0), ("incarnation", 2),
        ("mac", b"m" * 16), ("commit", b"c" * 32)])
    if rng.random() < 0.5:
        key = {"retain": "retain", "class_": "class_"}.get(name, name)
        if name == "commit":
            made.control("HOLD", {"hold": "h", "ranges": []}, commit=value)
        else:
            made.control("HOLD", {"hold": "h", "ranges": []}, **{key: value})
        return f"HOLD with {name} {value}"
    if name != "commit":
        made.entry(**{name: value})
    return f"ENTRY with {name} {value}"


def fault_payload(made, rng):
    size = len(made.leaves)
    kind, payload = rng.choice([
        ("GENESIS", json.loads(made.leaves[0][104:])),
        ("EPOCH", {"from": 0, "to": 1, "epoch_key": made.new_epoch_key(1).vkey}),
        ("POLICY", {"policy": 2, "erasable": ["/a", "/b/c"], "classes": maker.CLASSES}),
        ("PURGE", {"before_seq": size, "count": 3, "cutoff_day": 20454}),
        ("PURGE", {"override": True, "ranges": [[1, 2]], "count": 2}),
        ("ERASE", {"items": [{"pointers": ["/reason"], "seqs": [1]}], "basis": "b"}),
        ("HOLD", {"hold": "h", "ranges": [[1, 2]]}), ("RELEASE", {"hold": "h"}),
        ("KEY", {"mac_id": "0" * 64}),
        ("ANCHOR", {"kind": "object", "size": 1, "root": maker.text64(check.leaf_hash(made.leaves[0])),
                    "digest": "0" * 64, "ref": "r"}),
        ("GAP", {"count": 1, "exact": True, "from": "2026-01-01T00:00:00Z", "reason": "r",
                 "to": "2026-01-01T00:00:00Z"}),
        ("RESUME", {"clean": True, "size": 1, "tail_bytes": 0})])
    what = "as it is"
    payload = json.loads(json.dumps(payload))  # its parts are others' as well
    if rng.random() < 0.8:
        what = change_value(payload, rng)
    if rng.random() < 0.2:
        payload = made.approve(kind, payload)
        what += ", approved"
    try:
        raw = check.json_write(payload).encode()
    except check.Bad:
        raw = b"{}"
    if rng.random() < 0.1:
        raw = raw.replace(b",", b", ", 1)
        what += ", not canonical"
    made.control(kind, None, raw=raw)
    return f"{kind} {raw[:200]} ({what})"


def fault_content(made, rng):
    rest = rng.choice(['{"action":"a","id":"e"}', '{"action":"a", "id":"e"}', '{"id":"e","action":"a"}',
                       '{"action":"a"}', '{"action":"a","id":"f"}', '{"action":"a","id":1}', "[]", "{",
                       "", '{"action":"a","id":"e","reason":1}', '{"actor":{},"id":"e"}',
                       '{"actor":[{"name":1}],"id":"e"}', '{"actor":{"name":1},"id":"e"}',
                       '{"id":"e","n":9007199254740993}', '{"id":"e","id":"e"}',
                       '{"id":"e","n":1.0}', '{"id":"e","s":"\\u0041"}'])
    event = rng.choice([{"id": "e"}, {"id": "e", "reason": "r"}, {"id": "e", "x": 1},
                        {"id": "e", "actor": {"name": "n"}}])
    split = rng.choice([None, ["/x"], ["/reason", "/actor/name"], ["/actor"]])
    class_ = rng.choice([1, 4, 9])
    when = rng.choice([None, None, 0, 20000])
    changed = {} if when is None else {"retain": when}
    made.entry(event, split=split, rest=rest, class_=class_, **changed)
    return f"content {rest} of {event} split {split} class {class_} {changed}"


def fault_gone(made, rng):
    what = []
    for _ in range(rng.randrange(1, 4)):
        seq = rng.choice([1, 2, 3])
        act = rng.choice(["purge", "early", "override", "erase", "member", "hold", "release"])
        size = len(made.leaves)
        if act == "purge":
            made.control("PURGE", {"before_seq": rng.choice([2, size]), "count": rng.randrange(4),
                                   "cutoff_day": 20454})
        elif act == "early":
            made.control("PURGE", {"before_seq": size, "count": 0,
                                   "cutoff_day": rng.choice([20453, 20455])})
        elif act == "override":
            payload = {"override": True, "ranges": [[seq, rng.choice([seq, size + 1])]], "count": 1}
            made.control("PURGE", made.approve("PURGE", payload))
        elif act in ("erase", "member"):
            pointers = [""] if act == "erase" else rng.choice([["/reason"], ["/lacks", "/reason"]])
            made.control("ERASE", {"basis": "b", "items": [{"pointers": pointers, "seqs": [seq]}]})
        elif act == "hold":
            made.control("HOLD", {"hold": "h", "ranges": [[seq, seq + 1]]})
        else:
            made.control("RELEASE", {"hold": "h"})
        what.append(f"{act} {seq}")
    for seq in (1, 2, 3):
        how = rng.choice(["there", "purged", "erased", "evicted", "withheld", "/reason", "w"])
        if how == "w":
            made.member_gone(seq, "/reason", withheld=True)
        elif how == "/reason":
            made.member_gone(seq, how)
        elif how != "there":
            made.gone(seq, how)
        what.append(f"{seq} {how}")
    return ", ".join(what)


def fault_keys(made, rng):
    what = rng.choice(["no seal", "late seal", "seal by log", "seal of other root", "wrong key name",
                       "skip", "back", "key repeats", "rotate", "rotate by old", "rotate by new",
                       "rotate unsigned", "restore", "restore wrong", "anchor", "stamp", "late", "witness"])
    if what == "no seal":
        made.epoch_leaf(seal=False)
    elif what in ("late seal", "seal by log", "seal of other root"):
        key = made.epoch_key
        made.epoch_leaf(seal=False)
        new, made.epoch_key = made.epoch_key, key
        made.checkpoint(**{"late seal": {"stamp": made.time // 1_000_000 + 1},
                           "seal by log": {"signers": (made.log,)},
                           "seal of other root": {"root": bytes(32)}}[what])
        made.epoch_key = new
    elif what == "wrong key name":
        made.epoch_leaf(key=Signer(f"{made.origin}/epoch/7", 4, 1))
    elif what == "skip":
        made.epoch_leaf(to=rng.choice([2, 100]))
    elif what == "back":
        made.epoch_leaf(to=2)
        made.time -= 3_600_000_000
        made.entry()
        made.time += 3_600_000_000
    elif what == "key repeats":
        made.epoch_leaf(key=made.epoch_key)
    elif what == "rotate":
        made.rotate(mac=rng.random() < 0.5)
    elif what.startswith("rotate"):
        old = made.log
        made.rotate()
        signers = {"rotate by old": (old, made.epoch_key), "rotate by new": (made.log, made.epoch_key),
                   "rotate unsigned": (made.epoch_key,)}[what]
        made.checkpoint(signers=signers)
    elif what.startswith("restore"):
        if rng.random() < 0.7:
            made.checkpoint()
        wrong = rng.choice([{"from_size": 3}, {"lost_size": 3}, {"from_origin": "x"},
                            {"from_root": maker.text64(bytes(32))}, {"reason": ""}])
        made.restore(**(wrong if what == "restore wrong" else {}))
        what += f" {wrong}"
    elif what == "stamp":
        fault = rng.choice([{}, *maker.STAMP_FAULTS])
        made.checkpoint()
        made.anchor(maker.signed_time_stamp(check.sha(made.body()), **fault), kind="rfc3161")
        what += f" {sorted(fault)}"
    elif what == "anchor":
        changed = rng.choice([{}, {"kind": "rfc3161"}, {"root": maker.text64(bytes(32))}, {"size": 99},
                              {"digest": "0" * 64}])
        seq = made.anchor(**changed)
        if rng.random() < 0.3:
            del made.anchors[seq]
        what += f" {changed}"
    elif what == "late":
        made.wait(3600)
    return what


# ---- Changed trust files ------------------------------------------------------------------------

def change_trust(trust, rng):
    """(trust, what): a line more, less, or another."""
    lines = trust.split("\n")
    at = rng.randrange(len(lines))
    how = rng.choice(["approve", "approve", "drop", "twice", "character", "blanks"])
    what = f"{how} {lines[at]!r}"
    if how == "approve":
        kinds = rng.sample([*check.KINDS.values(), "ENTRY", "erase", ""], rng.randrange(1, 4))
        lines.insert(at, "#tally approve " + " ".join(kinds))
        what = lines[at]
    elif how == "drop":
        del lines[at]
    elif how == "twice":
        lines.insert(at, lines[at])
    elif how == "blanks":
        lines[at] = rng.choice([" ", "\t", "\r"]) + lines[at].replace(" ", "\t ") + " "
    elif lines[at]:
        index = rng.randrange(len(lines[at]))
        lines[at] = lines[at][:index] + rng.choice("aZ09+/= #") + lines[at][index + 1:]
    return "\n".join(lines), what


# ---- Judging -------------------------------------------------------------------------------------

class Judge:
    def __init__(self, tally, folder, most):
        self.tally, self.folder, self.most = tally, folder, most
        self.differences = collections.Counter()
        self.told = 0

    def write(self, files, trust, mac):
        where = os.path.join(self.folder, "evidence")
        shutil.rmtree(where, ignore_errors=True)
        maker.write_files(where, files)
        for name, text in (("trust.txt", trust), ("mac.txt", mac)):
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o600)
        return where

    def c_side(self, where, with_mac):
        mac = ["--mac-key", os.path.join(self.folder, "mac.txt")] if with_mac else []
        run = subprocess.run([self.tally, "verify", where, "--trust",
                              os.path.join(self.folder, "trust.txt"), "--json", *mac],
                             capture_output=True, timeout=60)
        try:
            answer = json.loads(run.stdout)
            codes = {each["code"] for each in answer["findings"]}
            verdict = answer["verdict"]
        except (ValueError, KeyError):
            if run.returncode == 3 and b"trust file" in run.stderr:
                return REFUSED, set(), run
            return f"exit {run.returncode}", {(run.stderr or run.stdout).decode()[:300]}, run
        if EXIT.get(verdict) != run.returncode:
            verdict += f" with exit {run.returncode}"
        return verdict, codes, run

    def python_side(self, where, trust, mac):
        report = check.Report()
        try:
            pinned = check.Trust(trust.encode())
        except check.Bad:
            return REFUSED, set(), report
        check.check_directory(where, pinned, report, check.MacKeys(mac.encode()) if mac else None)
        return report.verdict, set(report.counts), report

    def compare(self, name, what, files, trust, mac):
        where = self.write(files, trust, mac)
        ours = self.python_side(where, trust, mac)
        theirs = self.c_side(where, bool(mac))
        if ours[:2] == theirs[:2] or ours[0] == theirs[0] and ours[1] & TREE and theirs[1] & TREE:
            return ours[0]
        key = (name, "verdict" if ours[0] != theirs[0] else "codes",
               f"{ours[0]}/{theirs[0]}",
               "only python: " + " ".join(sorted(ours[1] - theirs[1])),
               "only tally: " + " ".join(sorted(theirs[1] - ours[1])))
        self.differences[key] += 1
        if self.differences[key] == 1 and self.told < self.most:
            self.told += 1
            print(f"DIFFERENCE {name}: {what}\n  python {ours[0]} {sorted(ours[1])}"
                  f"\n  tally  {theirs[0]} {sorted(theirs[1])}", flush=True)
        return ours[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tally")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one kind of change")
    parser.add_argument("--kinds", default="files,signed,trusts,proofs",
                        help="changed files, signed faults, changed trust files, changed proofs")
    parser.add_argument("--codes", action="store_true", help="a difference of findings fails, too")
    parser.add_argument("--proofs", type=int, default=100, help="changed proofs")
    parser.add_argument("--told", type=int, default=40, help="differences told in full")
    given = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="tally-agree-", dir="/dev/shm" if os.path.isdir("/dev/shm")
                              else None)
    try:
        sys.exit(run(given, Judge(os.path.abspath(given.tally), folder, given.told)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(given, judge):
    bases = [("log702", log702())] + [(f"life {n}", life(n)) for n in range(4)] + \
        [("life of 300", life(4, grow=300))]
    for name, base in bases:
        if judge.compare(name, "unchanged", *base) != "VERIFIED":
            print(f"{name} is not VERIFIED as it is")
            judge.differences[name, "base"] += 1
    verdicts = collections.Counter()
    for number in range(given.count):
        rng = random.Random(f"{given.seed} {number}")
        if "trusts" in given.kinds and (number % 10 == 9 or given.kinds == "trusts"):
            base, (files, trust, mac) = rng.choice(bases[1:5])
            trust, what = change_trust(trust, rng)
            name, what = "trust", f"{base}: {what}"
        elif "signed" in given.kinds and (number % 4 == 3 or "files" not in given.kinds):
            files, trust, mac, what = signed_fault(rng)
            name = "signed"
        elif "files" in given.kinds:
            base, (files, trust, mac) = rng.choices(bases, [1, 5, 5, 5, 5, 1])[0]
            change = rng.choice([c for c in CHANGES if given.only in (None, c.__name__)] or [flip_bit])
            files, name = dict(files), change.__name__
            what = change(files, rng)
            if what is None or files == dict(base_files(bases, base)):
                continue
            what = f"{base}: {what}"
        else:
            break
        verdict = judge.compare(name, f"#{number} {what}", files, trust,
                                mac if rng.random() < 0.7 else "")
        verdicts[name, verdict] += 1
    print("\n".join(f"{name:28} {verdict:14} {count}"
                    for (name, verdict), count in sorted(verdicts.items())))
    for number in range(given.proofs if "proofs" in given.kinds else 0):
        compare_proof(judge, random.Random(f"{given.seed} proof {number}"), verdicts)
    for key, count in judge.differences.most_common():
        print(count, " | ".join(key))
    print(f"{sum(verdicts.values())} changes, {sum(judge.differences.values())} differences")
    return 1 if any(given.codes or key[1] != "codes" for key in judge.differences) else 0


def compare_proof(judge, rng, verdicts):
    """One changed proof, for `tally proof check` and --proof."""
    made = Maker(seed=rng.randrange(3))
    for _ in range(rng.randrange(9)):
        made.entry()
    made.checkpoint(witnessed=True)
    index = rng.randrange(len(made.leaves))
    name = "proofs/one"
    files = {name: maker.proof_of(made.leaves, index, made.newest)}
    change = rng.choice([flip_bit, change_byte, cut_file, append, reorder_lines, None])
    what = change and change(files, rng)
    trust = made.trust(quorum=rng.random() < 0.5)
    report = check.Report()
    check.check_proof(files[name], check.Trust(trust.encode()), report)
    path, trust_path = (os.path.join(judge.folder, n) for n in ("one.tlog-proof", "trust.txt"))
    for where, data in ((path, files[name]), (trust_path, trust.encode())):
        with open(where, "wb") as file:
            file.write(data)
    run = subprocess.run([judge.tally, "proof", "check", path, "--trust", trust_path],
                         capture_output=True, timeout=60)
    verdicts["proof", report.verdict] += 1
    if run.returncode != EXIT[report.verdict]:
        key = ("proof", "verdict", f"{report.verdict}/exit {run.returncode}",
               " ".join(sorted(report.counts)), "")
        judge.differences[key] += 1
        if judge.differences[key] == 1:
            print(f"DIFFERENCE proof: {change and change.__name__} {what}: python {report.verdict} "
                  f"{sorted(report.counts)}, tally {run.returncode} {run.stdout + run.stderr!r}")


def base_files(bases, name):
    return next(base[0] for each, base in bases if each == name)


if __name__ == "__main__":
    main()
