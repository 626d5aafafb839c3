#!/usr/bin/env python3
"""Checks evidence of a Tallystick ledger: an evidence bundle, a C2SP tlog-tiles directory, a proof.

usage: tally_check.py DIRECTORY --trust FILE [--json] [--against FILE] [--mac-key FILE] [--max-age S]
       tally_check.py --proof FILE --trust FILE [--json]

One file, standard library only, and no code in common with the program that wrote the evidence: it was
written from the format specification `tallystick/v1` (its sections are cited as "section N") and from
RFC 8032, 8785, 6962/9162 and C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-cosignature,
tlog-policy and tlog-proof.

What is checked
  - every leaf: form, position, time, epoch, class, retention date, unique id, MAC (if K0 is given);
  - the tree over all leaves against the signed root; every kept checkpoint against its own root;
  - signatures: log key and epoch key of every kept checkpoint, witnesses, the quorum;
  - seals of all epochs, changes of keys, restores, policies, holds, approvals, anchors' digests;
  - every tile, recomputed from the leaves; every proof in the bundle;
  - contents (openings.ndjson): commitments, canonical form, ids, what could be erased, and for
    content that is gone the purge or erasure, on record and not during a hold, that permits it.

What is not checked
  - what the trust file says: you bring it, and you got it on another way than the bundle;
  - contents that were not handed over: the line "content c of n" says how many were looked at;
  - the inside of anchors' tokens (OpenTimestamps ...): only that they are the recorded ones; of time
    stamps (RFC 3161) what they are of, and the signature if it is of RSA, but not whose it is;
  - whether the newest checkpoint is the newest there is: give --against, or a quorum of witnesses.

Exit status: 0 VERIFIED, 1 TAMPERED, 2 UNVERIFIABLE, 3 wrong usage. Missing evidence is never success.
"""
import argparse
import base64
import binascii
import bisect
import datetime
import hashlib
import heapq
import hmac
import json
import os
import re
import stat
import struct
import sys
import time

DAY = 86_400_000_000  # microseconds
NEVER = 0xFFFFFFFF
NOTE_LIMIT = 65_536
LINE_LIMIT = 1 << 27
FUTURE_S = 300
SHOWN = 100  # findings of one code that are told one by one
IDS_AT_ONCE = 1 << 22  # leaf ids held in memory while looking for duplicates

WEIGHTS = {
    "tampered": """CHECKPOINT_MALFORMED SIGNATURE_INVALID EPOCH_SIGNATURE_INVALID ROLLBACK FORK
        HISTORY_REWRITTEN TRUNCATED LEAF_MISSING LEAF_EXTRA LEAF_MALFORMED LEAF_INVALID LEAF_MODIFIED
        SEQ_MISMATCH TIME_REGRESSION DUPLICATE_ID RETENTION_MISMATCH ROOT_MISMATCH TILE_MISMATCH
        CONTROL_MODIFIED CONTROL_INVALID APPROVAL_INVALID PURGE_INVALID GENESIS_MISMATCH
        KEY_CHANGE_INVALID EPOCH_MISMATCH EPOCH_INVALID EPOCH_SEAL_MISSING EPOCH_SEAL_INVALID
        MAC_MISMATCH CONTENT_MODIFIED CONTENT_MISSING PURGE_EARLY MEMBER_MISSING RECORD_MALFORMED
        ID_MISMATCH ERASABLE_MISMATCH HOLD_VIOLATED ROW_INSERTED HEAD_MISMATCH
        ANCHOR_INVALID""",
    "unverifiable": """CHECKPOINT_MISSING ORIGIN_MISMATCH KEY_UNKNOWN WITNESS_QUORUM CHECKPOINT_STALE
        TILE_MISSING APPROVAL_UNCHECKED EPOCH_UNPINNED MAC_KEY_UNKNOWN STORE_ERROR CHECK_FAILED""",
    "warning": """CHECKPOINT_FUTURE ROLLBACK_DECLARED PURGE_OVERRIDE PURGE_COUNT RESTORED
        NON_CANONICAL PURGE_INCOMPLETE ERASE_INCOMPLETE ANCHOR_MISSING""",
    "note": "GAP PURGED ERASED WITHHELD EVICTED",
}
WEIGHT = {code: weight for weight, codes in WEIGHTS.items() for code in codes.split()}
QUALIFIERS = {"PURGED": "purged", "ERASED": "erased", "WITHHELD": "withheld", "GAP": "gaps",
              "RESTORED": "restored"}


class Bad(Exception):
    """Input that breaks a rule; the text says which."""


class Usage(Exception):
    """The command line, or a file named on it, makes no sense."""


def clean(text, limit=200):
    """Hostile text, made fit for a terminal: printable ASCII alone."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    shown = "".join(c if " " <= c <= "~" and c != "\\" else c.encode("unicode_escape").decode()
                    for c in str(text)[:limit])
    return shown + ("..." if len(str(text)) > limit else "")


class Report:
    """What was found. The verdict begins as "unknown" and is only set by `conclude`."""

    def __init__(self):
        self.findings = []
        self.counts = {}
        self.verdict = "unknown"
        self.size = None
        self.sealed = None
        self.qualifiers = []
        self.contents = (0, 0)

    def add(self, code, what, seq=None):
        self.counts[code] = self.counts.get(code, 0) + 1
        if self.counts[code] <= SHOWN:
            self.findings.append({"code": code, "weight": WEIGHT[code], "seq": seq,
                                  "what": clean(what)})

    def conclude(self):
        weights = {WEIGHT[code] for code in self.counts}
        self.verdict = ("TAMPERED" if "tampered" in weights else
                        "UNVERIFIABLE" if "unverifiable" in weights else "VERIFIED")
        self.qualifiers += [name for code, name in QUALIFIERS.items() if code in self.counts]
        return {"VERIFIED": 0, "TAMPERED": 1, "UNVERIFIABLE": 2}[self.verdict]


# ---- Bytes: hashes, base64, files ---------------------------------------------------------------

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def unbase64(text, length=None):
    """Canonical, padded base64 (RFC 4648 section 4), or Bad."""
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
        value = binascii.a2b_base64(raw, strict_mode=True)
    except (ValueError, AttributeError):
        raise Bad("not base64") from None
    if base64.b64encode(value) != raw or length not in (None, len(value)):
        raise Bad("base64 that is not canonical, or of another length")
    return value


def read_file(path, limit):
    """The bytes of a regular file of at most `limit` bytes; None if there is none; or Bad."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Bad(f"cannot be opened: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Bad("not a regular file")
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise Bad(f"cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise Bad(f"more than {limit} bytes")
    return data


def names_in(folder):
    """The names in a folder, sorted; none if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


# ---- Ed25519 (RFC 8032): verification only ------------------------------------------------------

P = 2 ** 255 - 19
L = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
D2 = 2 * D % P
ROOT_M1 = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)  # extended coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z


def point_add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = p[3] * q[3] * D2 % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_double(p):
    a, b = p[0] * p[0] % P, p[1] * p[1] % P
    h, g = a + b, a - b
    e = h - (p[0] + p[1]) * (p[0] + p[1])
    f = 2 * p[2] * p[2] + g
    e, f = e % P, f % P
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_decode(data):
    """The point of 32 bytes, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2 ** 255 - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * ROOT_M1 % P
        if v * x * x % P != u:
            return None
    if x == 0 and sign:
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def point_encode(p):
    inverse = pow(p[2], -1, P)
    return (p[1] * inverse % P | (p[0] * inverse % P & 1) << 255).to_bytes(32, "little")


def comb(p):
    """64 rows of the multiples 0..15 of 16^i p: a product is then 64 additions."""
    rows = []
    for _ in range(64):
        row = [NEUTRAL, p]
        for _ in range(14):
            row.append(point_add(row[-1], p))
        rows.append(row)
        p = point_double(row[8])
    return rows


def comb_multiply(rows, scalar, total):
    for row in rows:
        if scalar & 15:
            total = point_add(total, row[scalar & 15])
        scalar >>= 4
    return total


def multiply(p, scalar):
    row = [NEUTRAL, p]
    for _ in range(14):
        row.append(point_add(row[-1], p))
    total = NEUTRAL
    for shift in range(252, -4, -4):
        for _ in range(4):
            total = point_double(total)
        if scalar >> shift & 15:
            total = point_add(total, row[scalar >> shift & 15])
    return total


BASE = comb(point_decode(bytes([0x58]) + b"\x66" * 31))
_points = {}  # public key -> [times used, -A, its comb or None]


def ed25519_verify(public, message, signature):
    """Whether it is the signature; R is compared as bytes, and S must be below the group's order."""
    if len(signature) != 64 or len(public) != 32:
        return False
    if public not in _points:
        if len(_points) > 4096:
            _points.clear()
        a = point_decode(public)
        _points[public] = [0, a and (P - a[0], a[1], a[2], P - a[3]), None]
    known = _points[public]
    s = int.from_bytes(signature[32:], "little")
    if known[1] is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    known[0] += 1
    if known[0] == 8:
        known[2] = comb(known[1])  # a key of many signatures
    if known[2]:
        total = comb_multiply(known[2], k, NEUTRAL)
    else:
        total = multiply(known[1], k)
    return point_encode(comb_multiply(BASE, s, total)) == signature[:32]


# ---- JSON: RFC 8785, with the refusals of section 3 ---------------------------------------------

def number_text(value):
    """ECMAScript Number::toString of a finite double. (repr gives the shortest digits, as it does.)"""
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(float(value))).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        text = digits + "0" * (point - count)
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if count > 1 else "") + f"e{point - 1:+d}"
    return "-" + text if value < 0 else text


def _json_number(text):
    if len(text) > 256:
        raise Bad("a number of more than 256 bytes")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Bad("a number that is too large")
    if value == 0 and re.search("[1-9]", text.lower().partition("e")[0]):
        raise Bad("a number that rounds to zero")
    if 2.0 ** 53 <= abs(value) < 1e21:
        raise Bad("a number that is not exact")
    return int(text) if abs(value) < 2 ** 53 and re.fullmatch("-?[0-9]+", text) else value


def _json_object(pairs):
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Bad("a member name twice")
    return value


def _json_constant(text):
    raise Bad(f"{text} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_json_object, parse_float=_json_number,
                            parse_int=_json_number, parse_constant=_json_constant)


def json_write(value, depth=0):
    """The canonical text of a value that `json_read` gave."""
    if isinstance(value, str):
        if "\0" in value:
            raise Bad("U+0000 in a string")
        return json.dumps(value, ensure_ascii=False)
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return number_text(value)
    if depth >= 64:
        raise Bad("more than 64 nested containers")
    if isinstance(value, list):
        return "[" + ",".join([json_write(item, depth + 1) for item in value]) + "]"
    names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join([json_write(name) + ":" + json_write(value[name], depth + 1)
                           for name in names]) + "}"


def json_read(data, limit=16_777_215):
    """(value, whether the text was canonical) of a text in UTF-8; Bad if section 3 refuses it."""
    if len(data) > limit:
        raise Bad("too long")
    try:
        text = data.decode("utf-8")
        value, end = _decoder.raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))
        if text[end:].strip(" \t\r\n"):
            raise Bad("text after the value")
        canonical = json_write(value).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Bad(f"not JSON: {error}") from None
    return value, canonical == data


def json_object(data, limit=16_777_215):
    """The object of a canonical text, or Bad."""
    value, canonical = json_read(data, limit)
    if not canonical or not isinstance(value, dict):
        raise Bad("not a JSON object in canonical form")
    return value


_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
                      r"(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)


def rfc3339(text):
    """Microseconds since 1970 (below a microsecond: cut off), or Bad."""
    match = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise Bad("not a time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        raise Bad("not a time") from None
    micros = (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
    micros += int(((match[7] or "") + "000000")[:6])
    if match[8]:
        hours, minutes = int(match[9]), int(match[10])
        if hours > 23 or minutes > 59:
            raise Bad("not a time")
        offset = (hours * 60 + minutes) * 60_000_000
        micros -= offset if match[8] == "+" else -offset
    return micros


def time_text(seconds):
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    except OverflowError:
        return str(seconds)
    return moment.isoformat() + "Z"


# ---- Keys, notes, trust file (section 8, 12; C2SP signed-note, tlog-policy) ---------------------

class Key:
    """A verifier key: name, type (1: note, 4: cosignature), public key."""

    def __init__(self, text):
        parts = text.split("+", 2)
        if len(parts) != 3 or not good_name(parts[0]) or not re.fullmatch("[0-9a-f]{8}", parts[1]):
            raise Bad("not a verifier key")
        data = unbase64(parts[2], 33)
        self.text, self.name, self.type, self.public = text, parts[0], data[0], data[1:]
        self.id = sha(self.name.encode(), b"\n", data)[:4]
        if self.type not in (1, 4) or self.id.hex() != parts[1]:
            raise Bad("a verifier key of another type, or with a wrong key id")
        if point_decode(self.public) is None:
            raise Bad("a verifier key that is not a point of the curve")


def good_name(name):
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def good_origin(name):
    return isinstance(name, str) and good_name(name) and len(name.encode("utf-8", "replace")) <= 200


class Note:
    """A checkpoint: the signed body, its three lines, and the signature lines."""

    def __init__(self, data):
        if len(data) > NOTE_LIMIT:
            raise Bad("a note of more than 64 KiB")
        try:
            text = data.decode("utf-8")
        except ValueError:
            raise Bad("a note that is not UTF-8") from None
        if any(c < " " and c != "\n" for c in text):
            raise Bad("a control character in a note")
        body, blank, tail = text.rpartition("\n\n")
        lines = body.split("\n")
        if not blank or len(lines) != 3 or not tail.endswith("\n"):
            raise Bad("not three lines, an empty line and signatures")
        if not good_origin(lines[0]):
            raise Bad("a bad origin")
        if not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1], re.ASCII):
            raise Bad("a bad size")
        self.data, self.body, self.origin = data, (body + "\n").encode(), lines[0]
        self.size, self.root = int(lines[1]), unbase64(lines[2], 32)
        self.lines = [self.signature_line(line) for line in tail[:-1].split("\n")]

    @staticmethod
    def signature_line(line):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not good_name(parts[1]):
            raise Bad("a bad signature line")
        data = unbase64(parts[2])
        if len(data) < 5:
            raise Bad("a short signature")
        return parts[1], data[:4], data[4:]

    def by(self, key):
        """What the lines of a key hold: (timestamp or None, whether it is good), one by one."""
        found = []
        for name, key_id, data in self.lines:
            if name != key.name or key_id != key.id:
                continue
            if key.type == 1:
                found.append((None, ed25519_verify(key.public, self.body, data)))
            elif len(data) == 72 and data[0] < 128:
                stamp = int.from_bytes(data[:8], "big")
                message = b"cosignature/v1\ntime %d\n" % stamp + self.body
                found.append((stamp, ed25519_verify(key.public, message, data[8:])))
            else:
                found.append((0, False))
        return found


class Trust:
    """The trust file: log keys, witnesses and quorum, epoch keys, approvers."""

    def __init__(self, data):
        self.logs, self.epochs, self.approvers = [], [], []
        self.witnesses, self.groups, self.needs_approval = {}, {}, set()
        self.quorum, self.members = None, set()
        if any(byte < 32 and byte not in (9, 10) or byte == 127 for byte in data):
            raise Bad("a control character")
        try:
            lines = data.decode("utf-8").split("\n")
        except ValueError:
            raise Bad("not UTF-8") from None
        for number, line in enumerate(lines, 1):
            words = re.split("[ \t]+", line.strip(" \t"))
            try:
                self.line(words)
            except Bad as error:
                raise Bad(f"line {number}: {error}") from None
        if self.quorum is None:
            raise Bad("no quorum line")

    def line(self, words):
        word, rest = words[0], words[1:]
        if word == "#tally":
            self.tally_line(rest)
        elif word == "log" and 1 <= len(rest) <= 2:
            self.logs.append(self.key(rest[0], 1, self.logs))
        elif word == "witness" and 2 <= len(rest) <= 3:
            self.new_name(rest[0])
            self.witnesses[rest[0]] = self.key(rest[1], 4, self.witnesses.values())
        elif word == "group" and len(rest) >= 3:
            self.group(rest[0], rest[1], rest[2:])
        elif word == "quorum" and len(rest) == 1 and self.quorum is None:
            if rest[0] != "none" and rest[0] not in self.witnesses and rest[0] not in self.groups:
                raise Bad("a quorum of an unknown name")
            self.quorum = rest[0]
        elif word and not word.startswith("#"):
            raise Bad("not a line of a trust file")

    def tally_line(self, rest):
        if len(rest) == 2 and rest[0] == "epoch":
            self.epochs.append(self.key(rest[1], 4, self.epochs))
        elif len(rest) == 2 and rest[0] == "approver":
            self.approvers.append(self.key(rest[1], 1, self.approvers))
        elif len(rest) >= 2 and rest[0] == "approve" and set(rest[1:]) <= ACTS:
            self.needs_approval |= set(rest[1:])
        else:
            raise Bad("an unknown #tally line")

    @staticmethod
    def key(text, kind, others):
        key = Key(text)
        if key.type != kind:
            raise Bad("a key of the wrong type")
        if any(key.public == other.public for other in others):
            raise Bad("a key twice")
        return key

    def new_name(self, name):
        if name == "none" or name in self.witnesses or name in self.groups:
            raise Bad("a name twice")

    def group(self, name, threshold, members):
        self.new_name(name)
        for member in members:
            if member not in self.witnesses and member not in self.groups or member in self.members:
                raise Bad("a group with an unknown member, or one that is in a group already")
            self.members.add(member)
        count = {"all": str(len(members)), "any": "1"}.get(threshold, threshold)
        if not re.fullmatch("[1-9][0-9]{0,4}", count, re.ASCII) or int(count) > len(members):
            raise Bad("a group with a bad threshold")
        self.groups[name] = (int(count), members)

    def quorum_met(self, note):
        """Whether enough witnesses signed the note."""
        done = {"none": True}
        for name, key in self.witnesses.items():
            signatures = note.by(key)
            done[name] = bool(signatures) and all(good for _, good in signatures)
        for name, (count, members) in self.groups.items():
            done[name] = sum(done[member] for member in members) >= count
        return done[self.quorum]


# ---- Tree (section 2; C2SP tlog-tiles) ----------------------------------------------------------

class Tree:
    """The tree so far: its peaks. Hashes of every eighth height go to `on_hash(level, hash)`."""

    def __init__(self, on_hash=None):
        self.size, self.peaks, self.on_hash = 0, [], on_hash

    def push(self, digest):
        rest, height = self.size, 0
        if self.on_hash:
            self.on_hash(0, digest)
        while rest & 1:
            digest = node_hash(self.peaks.pop(), digest)
            rest >>= 1
            height += 1
            if height % 8 == 0 and self.on_hash:
                self.on_hash(height // 8, digest)
        self.peaks.append(digest)
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha()
        digest = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            digest = node_hash(peak, digest)
        return digest


def root_from_path(digest, index, size, path):
    """The root that an inclusion proof gives (RFC 9162 section 2.1.3.2), or None."""
    if index >= size:
        return None
    first, last = index, size - 1
    for sibling in path:
        if last == 0:
            return None
        if first & 1 or first == last:
            digest = node_hash(sibling, digest)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        first, last = first >> 1, last >> 1
    return digest if last == 0 else None


def tile_path(level, number, width=256):
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03d}")
    return f"tile/{level}/" + "/".join(parts) + (f".p/{width}" if width < 256 else "")


_TILE = re.compile(r"tile/(entries|0|[1-9]|[1-5][0-9]|6[0-3])/((?:x\d{3}/)*)(\d{3})"
                   r"(?:\.p/([1-9]\d{0,2}))?", re.ASCII)


def parse_tile_path(path):
    """(level or "entries", number, width), or None."""
    match = _TILE.fullmatch(path)
    if not match:
        return None
    level = match[1] if match[1] == "entries" else int(match[1])
    number = int(match[2].replace("x", "").replace("/", "") + match[3])
    width = int(match[4] or 256)
    return (level, number, width) if tile_path(level, number, width) == path else None


def parse_proof(data):
    """(extra or None, index, path, checkpoint) of a C2SP tlog-proof, or Bad."""
    head, blank, note = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except ValueError:
        raise Bad("not ASCII") from None
    if not blank or lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Bad("not a tlog-proof")
    extra = unbase64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
    if not lines or not re.fullmatch("index (0|[1-9][0-9]{0,18})", lines[0], re.ASCII):
        raise Bad("no index line")
    if len(lines) > 64:
        raise Bad("too many hashes")
    return extra, int(lines[0][6:]), [unbase64(line, 32) for line in lines[1:]], Note(note)


# ---- Leaves and control payloads (sections 4 to 6) ----------------------------------------------

ENTRY = 1
KINDS = dict(enumerate("GENESIS EPOCH POLICY PURGE ERASE HOLD RELEASE KEY ANCHOR GAP RESUME "
                       "RESTORE".split(), 0x80))
GENESIS, EPOCH, POLICY, PURGE, ERASE, HOLD, RELEASE, KEY, ANCHOR, GAP, RESUME, RESTORE = KINDS
ACTS = set(KINDS.values()) - {"GENESIS", "EPOCH", "GAP", "RESUME"}  # somebody decides on them
NEVER_ERASABLE = {"/id", "/occurred_at", "/action", "/outcome", "/severity", "/tenant_id"}
_LEAF = struct.Struct(">4sBBHQQII16s32sII16s")


class Leaf:
    """The fields of a leaf; Bad if it has no leaf's form."""
    __slots__ = ("data", "kind", "flags", "class_", "seq", "time", "retain_until", "epoch", "id",
                 "commit", "mac_gen", "incarnation", "mac")

    def __init__(self, data):
        if len(data) < 104:
            raise Bad("a leaf of less than 104 bytes")
        (magic, self.kind, self.flags, self.class_, self.seq, self.time, self.retain_until,
         self.epoch, self.id, self.commit, self.mac_gen, self.incarnation,
         self.mac) = _LEAF.unpack_from(data)
        if magic != b"TLY1":
            raise Bad("not the magic of a leaf")
        if self.kind != ENTRY and self.kind not in KINDS:
            raise Bad("an unknown kind of leaf")
        if self.flags & ~3 or self.time >> 63:
            raise Bad("unknown flags, or a time beyond all times")
        if self.kind == ENTRY and len(data) != 104 or self.kind != ENTRY and \
                not 106 <= len(data) <= 104 + 65_431:
            raise Bad("a leaf of a wrong length")
        if self.kind != ENTRY and (self.flags & 1 or self.class_ or self.retain_until != NEVER
                                   or any(self.id)):
            raise Bad("a field that a control leaf does not have")
        self.data = data

    @property
    def payload(self):
        return self.data[104:]


def is_int(value, low=0, high=2 ** 53 - 1):
    return type(value) is int and low <= value <= high


def is_text(value):
    return isinstance(value, str) and value != ""


def is_hash(value):
    try:
        return len(unbase64(value, 32)) == 32
    except Bad:
        return False


def is_hex(value):
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value, re.ASCII) is not None


def is_time(value):
    try:
        rfc3339(value)
    except Bad:
        return False
    return True


def is_key(kind):
    def check(value):
        try:
            return isinstance(value, str) and Key(value).type == kind
        except Bad:
            return False
    return check


def is_list(check):
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def some(check):
    return lambda value: is_list(check)(value) and value != []


def one_of(*values):
    return lambda value: any(type(value) is type(each) and value == each for each in values)


def is_range(value):
    return is_list(is_int)(value) and len(value) == 2 and value[0] <= value[1]


def is_erasable(value):
    """An erasable set (section 4)."""
    if not is_list(is_text)(value) or len(value) > 64:
        return False
    split = [tokens(pointer) for pointer in value]
    raw = [pointer.encode() for pointer in value]
    return (None not in split and all(1 <= len(parts) <= 2 for parts in split)
            and all(len(pointer) <= 255 for pointer in raw) and raw == sorted(set(raw))
            and not NEVER_ERASABLE & set(value)
            and not any(len(parts) == 2 and parts[:1] in split for parts in split))


def is_classes(value):
    def one(item):
        return has_members(item, {"class": lambda v: is_int(v, 0, 65_535),
                                  "days": lambda v: is_int(v, -1, 36_500), "name": is_text,
                                  "basis?": one_of("occurred")})
    if not is_list(one)(value):
        return False
    numbers = [item["class"] for item in value]
    return numbers == sorted(set(numbers))


def is_item(value):
    return has_members(value, {"pointers": some(lambda p: p == "" or tokens(p) is not None),
                               "seqs": some(is_int)})


def has_members(value, wanted):
    """Whether it is an object with exactly the wanted members ("name?": may be absent)."""
    if not isinstance(value, dict):
        return False
    left = set(value)
    for name, check in wanted.items():
        plain = name.rstrip("?")
        if plain in value:
            left.discard(plain)
            if not check(value[plain]):
                return False
        elif plain == name:
            return False
    return not left


def tokens(pointer):
    """The tokens of an RFC 6901 pointer, or None."""
    if not isinstance(pointer, str) or not pointer.startswith("/") or \
            re.search("~(?![01])", pointer):
        return None
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


MEMBERS = {
    GENESIS: {"v": one_of(1), "origin": good_origin, "log_key": is_key(1), "epoch_key": is_key(4),
              "epoch_seconds": lambda v: is_int(v, 60, 86_400), "start": is_time, "mac_id": is_hex,
              "policy": one_of(1), "erasable": is_erasable, "classes": is_classes,
              "volatile?": one_of(True)},
    EPOCH: {"from": is_int, "to": is_int, "epoch_key": is_key(4)},
    POLICY: {"policy": is_int, "erasable": is_erasable, "classes": is_classes},
    PURGE: {"cutoff_day": is_int, "before_seq": is_int, "count": is_int},
    ERASE: {"items": some(is_item), "basis": is_text, "ticket?": is_text},
    HOLD: {"hold": is_text, "ranges": some(is_range), "basis?": is_text},
    RELEASE: {"hold": is_text},
    KEY: {"log_key?": is_key(1), "mac_id?": is_hex},
    ANCHOR: {"kind": one_of("rfc3161", "ots", "git", "object", "ledger", "paper"), "size": is_int,
             "root": is_hash, "digest": is_hex, "ref": is_text},
    GAP: {"count": is_int, "exact": one_of(True, False), "from": is_time, "to": is_time,
          "reason": is_text, "source?": is_text},
    RESUME: {"clean": one_of(True, False), "size": is_int, "tail_bytes": is_int,
             "tail_sha256?": is_hex},
    RESTORE: {"origin": good_origin, "log_key": is_key(1), "epoch_key": is_key(4), "mac_id": is_hex,
              "from_origin": good_origin, "from_size": is_int, "from_root": is_hash,
              "lost_size": is_int, "lost_root?": is_hash, "reason": is_text},
}
OVERRIDE = {"override": one_of(True), "ranges": some(is_range), "count": is_int}
ANYWHERE = {"by?": is_text, "note?": is_text, "approval?": is_text}


def parse_payload(kind, data):
    """The payload of a control leaf, or Bad."""
    value = json_object(data)
    members = OVERRIDE if kind == PURGE and "override" in value else MEMBERS[kind]
    if not has_members(value, {**members, **ANYWHERE}):
        raise Bad(f"a payload without the members of {KINDS[kind]}")
    return value


def id_of(text):
    """The leaf id of an event's `id` (section 3)."""
    if re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", text, re.ASCII):
        return bytes.fromhex(text.replace("-", ""))
    return sha(text.encode())[:16]


def retain_until(basis, days):
    return NEVER if days == -1 else min(-(-basis // DAY) + days, NEVER - 1)


# ---- MAC ratchet (section 7) --------------------------------------------------------------------

class MacKeys:
    """The K0s that were given, and the ratchet of the generation in force."""

    def __init__(self, data=b""):
        self.given, self.used = {}, set()
        self.k = self.kmac = None
        self.epoch = 0
        for line in data.decode("utf-8", "replace").split("\n"):
            if line.strip() and not line.startswith("#"):
                self.add(line.strip())
        if data and not self.given:
            raise Bad("no line tally-mac-v1:...")

    def add(self, line):
        match = re.fullmatch("tally-mac-v1:([0-9a-f]{8}):(0|[1-9][0-9]{0,9}):(.*)", line, re.ASCII)
        if not match:
            raise Bad("not a line tally-mac-v1:<generation>:<epoch>:<base64>")
        k0 = unbase64(match[3], 32)
        self.given[sha(b"\6", k0).hex()] = (k0, match[1], int(match[2]))

    def begin(self, mac_id, epoch):
        """A generation begins. Whether what was given for it fits."""
        self.k, self.epoch = None, epoch
        if mac_id in self.given:
            k0, generation, first = self.given[mac_id]
            self.used.add(mac_id)
            self.k = k0
            self.kmac = self.derive(b"tallystick/v1 mac")
            return generation == mac_id[:8] and first == epoch
        return True

    def derive(self, label):
        return hmac.digest(self.k, label + b"\1", "sha256")

    def advance(self, epoch):
        if self.k is None:
            return
        if epoch - self.epoch > 4_000_000:
            raise Bad("more epochs skipped than can be followed")
        for _ in range(epoch - self.epoch):
            self.k = self.derive(b"tallystick/v1 next")
        self.epoch, self.kmac = epoch, self.derive(b"tallystick/v1 mac")

    def good(self, leaf):
        """Whether the MAC fits; None if it cannot be told."""
        if self.k is None:
            return None
        mac = hmac.digest(self.kmac, leaf.data[:88], "sha256")[:16]
        return hmac.compare_digest(mac, leaf.mac)


# ---- The directory (section 12) -----------------------------------------------------------------

class Bundle:
    """The files of a bundle. What a walk over the leaves meets is told to the report once."""

    def __init__(self, folder, report):
        self.folder, self.report = folder, report
        self.left = set()  # files below tile/ that nothing has accounted for yet
        for base, _, names in os.walk(os.path.join(folder, "tile")):
            where = os.path.relpath(base, folder)
            self.left.update(f"{where}/{name}" for name in names)
        self.partial = {}  # (level, number) -> widths of partial tiles
        self.last_entries = -1
        for level, number, width in filter(None, map(parse_tile_path, self.left)):
            if width < 256:
                self.partial.setdefault((level, number), []).append(width)
            if level == "entries":
                self.last_entries = max(self.last_entries, number)

    def read(self, path, limit, code):
        """The bytes, or None; a file that cannot be read is a finding."""
        try:
            return read_file(os.path.join(self.folder, path), limit)
        except Bad as error:
            self.report.add(code, f"{path}: {error}")
            return None

    def entries(self, number, width):
        """The leaves of a file of entries, as many as it holds; None if there is no such file."""
        path = tile_path("entries", number, width)
        data = self.read(path, 256 * 65_537, "STORE_ERROR")
        self.left.discard(path)
        if data is None:
            return None, None
        leaves, at, fault = [], 0, None
        while at + 2 <= len(data):
            end = at + 2 + (data[at] << 8 | data[at + 1])
            if end > len(data) or len(leaves) == width:
                break
            leaves.append(data[at + 2:end])
            at = end
        if at < len(data) and len(leaves) < width:
            fault = "LEAF_MALFORMED", f"{path} ends in the middle of a leaf"
        elif at < len(data):
            fault = "LEAF_EXTRA", f"{path} holds more than {width} leaves"
        return leaves, fault

    def leaves(self, size, first_walk=False):
        """(index, bytes) of the leaves of a tree of `size`; ends early where one is missing."""
        for number in range(-(-size // 256)):
            width = min(256, size - number * 256)
            leaves, fault = self.entries(number, width)
            if first_walk:
                if fault:
                    self.report.add(*fault, number * 256 + len(leaves))
                if leaves is None or len(leaves) < width:
                    tail = number >= self.last_entries
                    self.report.add("TRUNCATED" if tail else "LEAF_MISSING",
                                    "the leaves from here on are missing" if tail else
                                    "leaves are missing between others",
                                    number * 256 + len(leaves or ()))
                else:
                    self.older_entries(number, leaves)
            for index, leaf in enumerate(leaves or (), number * 256):
                yield index, leaf
            if leaves is None or len(leaves) < width:
                return

    def older_entries(self, number, leaves):
        """Partial files of earlier exports must be the beginning of the whole one."""
        for width in self.partial.get(("entries", number), ()):
            path = tile_path("entries", number, width)
            if width < len(leaves) and path in self.left:
                self.left.discard(path)
                wanted = b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves[:width])
                if self.read(path, 256 * 65_537, "STORE_ERROR") != wanted:
                    self.report.add("TILE_MISMATCH", f"{path} differs from the newer entries")


class Tiles:
    """Compares the tiles of hashes with what the leaves give."""

    def __init__(self, bundle, report):
        self.bundle, self.report = bundle, report
        self.rows = {}  # level -> [number of the tile, its hashes so far]

    def on_hash(self, level, digest):
        row = self.rows.setdefault(level, [0, bytearray()])
        row[1] += digest
        if len(row[1]) == 8192:
            self.compare(level, row[0], bytes(row[1]))
            row[0] += 1
            row[1].clear()

    def finish(self):
        for level, (number, hashes) in self.rows.items():
            if hashes:
                self.compare(level, number, bytes(hashes))

    def compare(self, level, number, hashes):
        full = len(hashes) // 32
        widths = {width for width in self.bundle.partial.get((level, number), ()) if width < full}
        for width in sorted(widths | {full}):
            path = tile_path(level, number, width)
            if path not in self.bundle.left:
                self.report.add("TILE_MISSING", path)
                continue
            self.bundle.left.discard(path)
            stored = self.bundle.read(path, 8192, "TILE_MISMATCH")
            if stored is not None and stored != hashes[:width * 32]:
                self.report.add("TILE_MISMATCH", f"{path} is not what the leaves give")


def stored_tree(bundle, size):
    """(root, hashes by index) that the stored tiles of level 0 give; None if one is missing."""
    tree, hashes = Tree(), []
    for number in range(-(-size // 256)):
        width = min(256, size - number * 256)
        data = bundle.read(tile_path(0, number, width), 8192, "TILE_MISMATCH")
        if data is None or len(data) != width * 32:
            return None
        for at in range(0, len(data), 32):
            tree.push(data[at:at + 32])
        hashes.append(data)
    return tree.root(), b"".join(hashes)


# ---- Pass 1: leaves, tree, checkpoints, rules (section 13, steps 1 to 5) ------------------------

class Incarnation:
    """The keys under one origin."""

    def __init__(self, seq, payload, log_key, epoch_key):
        self.seq, self.payload, self.origin = seq, payload, payload["origin"]
        self.log_keys, self.epoch_key = [log_key], epoch_key


class Ledger:
    """Everything that the leaves say, and the checks of it."""

    def __init__(self, folder, trust, report, mac_keys=None, max_age=None, now=None):
        self.bundle, self.trust, self.report = Bundle(folder, report), trust, report
        self.mac = mac_keys or MacKeys()
        self.mac_unchecked = False
        self.max_age, self.now = max_age, time.time() if now is None else now
        self.tiles = Tiles(self.bundle, report)
        self.tree = Tree(self.tiles.on_hash)
        self.newest = None
        self.notes = {}  # size -> (note, where it was found)
        self.needed = {1}  # sizes whose checkpoints are kept for ever
        self.kept = set()  # sizes of the checkpoints that are there
        self.roots = {}  # size -> root, for the sizes that remembered checkpoints ask for
        self.known = {(key.name, key.id): key
                      for key in [*trust.logs, *trust.epochs, *trust.witnesses.values()]}
        self.state_unknown, self.root_before = True, None
        self.origin = self.log_key = self.epoch_key = self.mac_id = None
        self.epoch = self.start = self.epoch_us = self.policy = self.incarnation = 0
        self.volatile, self.epoch_publics, self.last_time = False, set(), 0
        self.incarnations, self.policies, self.anchors = [], [], []
        self.not_anchors = set()  # ANCHOR leaves that break the rules
        self.acts = Acts()
        self.entries = 0

    # Checkpoints

    def read_checkpoints(self):
        """Parses all. False if there is no newest one: then there is nothing to check against."""
        self.newest = self.read_note("checkpoint", None)
        if not self.newest:
            if "CHECKPOINT_MALFORMED" not in self.report.counts:
                self.report.add("CHECKPOINT_MISSING", "there is no file checkpoint")
            return False
        self.notes[self.newest.size] = self.newest, "checkpoint"
        for name in names_in(os.path.join(self.bundle.folder, "checkpoints")):
            where = f"checkpoints/{name}"
            if not re.fullmatch(r"0|[1-9]\d{0,18}", name, re.ASCII):
                self.report.add("CHECKPOINT_MALFORMED", f"{where}: not the name of a size")
                continue
            self.kept.add(int(name))
            if int(name) > self.newest.size:
                self.report.add("HEAD_MISMATCH", f"{where} is larger than the newest", int(name))
            else:
                note = self.read_note(where, int(name))
                if note:
                    self.notes.setdefault(note.size, (note, where))
        for name in names_in(os.path.join(self.bundle.folder, "proofs")):
            self.check_proof(name)
        return True

    def read_note(self, path, size):
        """The checkpoint; `size`: what its name says. What is of the newest size must be the newest."""
        try:
            data = read_file(os.path.join(self.bundle.folder, path), NOTE_LIMIT)
            if data is not None and self.newest and size == self.newest.size:
                if data != self.newest.data:
                    self.report.add("HEAD_MISMATCH", f"{path} is not the newest checkpoint", size)
                return None
            note = Note(data) if data is not None else None
            if note and size not in (None, note.size):
                raise Bad(f"it is of size {note.size}")
            return note
        except Bad as error:
            self.report.add("CHECKPOINT_MALFORMED", f"{path}: {error}")
            return None

    def check_proof(self, name):
        """A proof in the bundle: of the leaf in its name, under a checkpoint that is kept."""
        where = f"proofs/{name}"
        try:
            data = read_file(os.path.join(self.bundle.folder, where), 2 * NOTE_LIMIT + 8192)
            extra, index, path, note = parse_proof(data or b"")
            if extra is None:
                raise Bad("no leaf")
            kept = self.newest.data if note.size == self.newest.size else self.raw_note(note.size)
        except Bad as error:
            self.report.add("RECORD_MALFORMED", f"{where}: {error}")
            return
        if name != f"{index}.tlog-proof":
            self.report.add("SEQ_MISMATCH", f"{where} is a proof of leaf {index}", index)
        elif root_from_path(leaf_hash(extra), index, note.size, path) != note.root:
            self.report.add("ROOT_MISMATCH", f"{where} does not lead to its root", index)
        elif note.data != kept:
            self.report.add("CHECKPOINT_MISSING" if kept is None else "HEAD_MISMATCH",
                            f"{where}: its checkpoint is not the kept one", note.size)

    def raw_note(self, size):
        return read_file(os.path.join(self.bundle.folder, f"checkpoints/{size}"), NOTE_LIMIT)

    def check_notes(self, size, leaf, kind, before):
        """The checkpoints of this size: their root, and their lines by the keys in force."""
        note, where = self.notes.get(size, (None, None))
        if note is None:
            if kind == EPOCH and size not in self.kept:
                self.report.add("EPOCH_SEAL_MISSING", "the seal of this epoch is missing", size - 1)
            if kind == KEY and size not in self.kept:
                self.report.add("KEY_CHANGE_INVALID", "the checkpoint of this change of keys is missing",
                                size - 1)
            return
        if note.root != self.tree.root():
            code = ("ROOT_MISMATCH" if note is self.newest else
                    "EPOCH_SEAL_INVALID" if kind == EPOCH else "HISTORY_REWRITTEN")
            self.report.add(code, f"{where}: the leaves give another root", size - 1)
        self.check_lines(note, where, leaf, kind, before)

    def check_lines(self, note, where, leaf, kind, before):
        """The signatures of one checkpoint. `before`: log key, epoch key, epoch before the leaf."""
        if self.state_unknown:
            self.report.add("KEY_UNKNOWN", f"{where}: no GENESIS names a key")
            return
        seq = note.size - 1
        after = self.log_key, self.epoch_key, self.epoch
        log_key, epoch_key, epoch = after if kind in (GENESIS, RESTORE) else before
        if not self.check_log_lines(note, where, kind, {log_key.text: log_key, after[0].text: after[0]}):
            return
        if note.origin != self.origin:
            self.report.add("ORIGIN_MISMATCH", f"{where} is of {note.origin}", seq)
        lines = note.by(epoch_key)
        second = leaf.time // 1_000_000 if leaf else 0
        good = bool(lines) and all(
            ok and (stamp == second if kind == EPOCH else
                    stamp >= second and self.epoch_of(stamp * 1_000_000) == epoch)
            for stamp, ok in lines)
        if not good:
            self.report.add("EPOCH_SEAL_INVALID" if kind == EPOCH else "EPOCH_SIGNATURE_INVALID",
                            f"{where}: the line of the epoch key is absent, bad or out of time", seq)
        elif note is self.newest:
            self.report.sealed = lines[0][0]
        done = {(key.name, key.id) for key in (log_key, after[0], epoch_key)}
        known = {**self.known, (after[1].name, after[1].id): after[1]}
        for name, key_id, _ in note.lines:
            key = known.get((name, key_id))
            if key and (name, key_id) not in done:
                done.add((name, key_id))
                if not all(good for _, good in note.by(key)):
                    self.report.add("SIGNATURE_INVALID", f"{where}: {name}", seq)

    def check_log_lines(self, note, where, kind, keys):
        """The lines of the log keys. False if a bad one condemns the note."""
        for key in keys.values():
            lines = note.by(key)
            if not lines:
                self.report.add("KEY_CHANGE_INVALID" if kind == KEY else "KEY_UNKNOWN",
                                f"{where} has no line of the log key", note.size - 1)
            elif not all(good for _, good in lines):
                self.report.add("KEY_CHANGE_INVALID" if kind == KEY else "SIGNATURE_INVALID",
                                f"{where}: the line of the log key is bad", note.size - 1)
                return False
        return True

    # Leaves

    def epoch_of(self, micros):
        return (micros - self.start) // self.epoch_us

    def pass_one(self):
        size = self.newest.size
        if size == 0:
            self.report.add("LEAF_MISSING", "a ledger without GENESIS", 0)
        for index, data in self.bundle.leaves(size, first_walk=True):
            if data[4:5] == bytes([RESTORE]):
                self.root_before = self.tree.root()
                self.needed |= {index, index + 1}
            self.tree.push(leaf_hash(data))
            before = self.log_key, self.epoch_key, self.epoch
            leaf = kind = None
            try:
                leaf = Leaf(data)
            except Bad as error:
                self.report.add("LEAF_MALFORMED", error, index)
            if leaf:
                kind = self.check_leaf(index, leaf)
            self.check_notes(index + 1, leaf, kind, before)
            if index + 1 in self.roots:
                self.roots[index + 1] = self.tree.root()
        self.tiles.finish()
        self.conclude_pass_one()

    def check_leaf(self, index, leaf):
        """The checks of one leaf; gives its kind."""
        report = self.report
        if leaf.seq != index:
            report.add("SEQ_MISMATCH", f"it says {leaf.seq}", index)
        if leaf.time < self.last_time:
            report.add("TIME_REGRESSION", "its time is before that of the leaf before", index)
        self.last_time = leaf.time
        if leaf.kind == ENTRY:
            self.entries += 1
            if self.state_unknown and index == 0:
                report.add("CONTROL_INVALID", "leaf 0 is not GENESIS", index)
            self.check_entry(index, leaf)
            self.check_state(index, leaf)
            return ENTRY
        if sha(b"\5", leaf.payload) != leaf.commit:
            report.add("CONTROL_MODIFIED", "the payload is not what was committed to", index)
            self.check_state(index, leaf)
            return leaf.kind
        try:
            payload = parse_payload(leaf.kind, leaf.payload)
            if (leaf.kind == GENESIS) != (index == 0) or leaf.kind != GENESIS and self.state_unknown:
                raise Bad("GENESIS is leaf 0, and only leaf 0")
        except Bad as error:
            report.add("CONTROL_INVALID", error, index)
            self.check_state(index, leaf)
            return leaf.kind
        apply = getattr(self, "on_" + KINDS[leaf.kind].lower())
        if leaf.kind in (GENESIS, RESTORE):
            apply(index, leaf, payload)
            self.check_state(index, leaf)
        else:
            self.check_state(index, leaf)
            apply(index, leaf, payload)
        self.check_approval(index, leaf.kind, payload)
        return leaf.kind

    def check_entry(self, index, leaf):
        if not any(leaf.id):
            self.report.add("LEAF_INVALID", "the id is zero", index)
        if self.state_unknown:
            return
        days, basis = self.policies[-1][2].get(leaf.class_, (None, None))
        if days is None:
            self.report.add("LEAF_INVALID", "its class is not in the policy", index)
        elif basis is None and leaf.retain_until != retain_until(leaf.time, days):
            self.report.add("RETENTION_MISMATCH", "retain_until is not what its class gives", index)

    def check_state(self, index, leaf):
        """Epoch, generation, incarnation and MAC against the state in force."""
        report = self.report
        if self.state_unknown:
            return
        if leaf.kind != EPOCH and not self.epoch_of(leaf.time) == leaf.epoch == self.epoch:
            report.add("EPOCH_MISMATCH", f"the epoch is {self.epoch}", index)
        if leaf.mac_gen != int(self.mac_id[:8], 16) or leaf.incarnation != self.incarnation:
            report.add("LEAF_INVALID", "not the MAC generation or incarnation in force", index)
        good = self.mac.good(leaf) if leaf.epoch == self.mac.epoch else True
        if good is None:
            self.mac_unchecked = True
        elif not good:
            report.add("MAC_MISMATCH", "the MAC is wrong", index)

    def check_approval(self, index, kind, payload):
        needed = "override" in payload or KINDS[kind] in self.trust.needs_approval
        if "approval" not in payload:
            if needed:
                self.report.add("APPROVAL_INVALID", "it needs an approval and has none", index)
            return
        if not self.trust.approvers:
            self.report.add("APPROVAL_UNCHECKED", "the trust file names no approver", index)
            return
        plain = json_write({name: value for name, value in payload.items() if name != "approval"})
        text = f"tallystick/v1 approval\n{self.origin}\n{KINDS[kind]}\n{plain}\n".encode()
        try:
            data = unbase64(payload["approval"], 68)
        except Bad:
            data = bytes(68)
        if not any(key.id == data[:4] and ed25519_verify(key.public, text, data[4:])
                   for key in self.trust.approvers):
            self.report.add("APPROVAL_INVALID", "not approved by a pinned approver", index)

    # Control leaves: each rule of sections 6, 7 and 10

    def invalid_if(self, broken, index, what, code="CONTROL_INVALID"):
        if broken:
            self.report.add(code, what, index)

    def new_epoch_key(self, index, text, epoch):
        """An epoch key comes into force: named for its epoch, and never used before."""
        key = Key(text)
        self.invalid_if(key.name != f"{self.origin}/epoch/{epoch}" or
                        key.public in self.epoch_publics, index,
                        "an epoch key of another name, or one that was used before", "EPOCH_INVALID")
        self.epoch_publics.add(key.public)
        self.epoch_key = key

    def new_log_key(self, index, text):
        key = Key(text)
        self.invalid_if(key.name != self.origin, index, "a log key that is not named for the origin")
        self.known[key.name, key.id] = self.log_key = key

    def new_mac(self, index, mac_id):
        self.mac_id = mac_id
        self.invalid_if(not self.mac.begin(mac_id, self.epoch), index,
                        "the K0 that was given is of another epoch or generation", "MAC_KEY_UNKNOWN")

    def new_policy(self, index, payload):
        self.policy = payload["policy"]
        classes = {item["class"]: (item["days"], item.get("basis")) for item in payload["classes"]}
        self.policies.append((index, payload["erasable"], classes))

    def new_incarnation(self, index, payload):
        self.origin = payload["origin"]
        self.incarnation += 1
        self.new_log_key(index, payload["log_key"])
        self.new_epoch_key(index, payload["epoch_key"], self.epoch)
        self.new_mac(index, payload["mac_id"])
        self.incarnations.append(Incarnation(index, payload, self.log_key, self.epoch_key))

    def on_genesis(self, index, leaf, payload):
        self.start = rfc3339(payload["start"])
        self.invalid_if(self.start % 1_000_000, index, "a start that is not a whole second")
        self.epoch_us = payload["epoch_seconds"] * 1_000_000
        self.epoch = self.epoch_of(leaf.time)
        self.volatile = payload.get("volatile", False)
        self.new_policy(index, payload)
        self.new_incarnation(index, payload)
        self.state_unknown = False

    def on_epoch(self, index, leaf, payload):
        to = payload["to"]
        if not payload["from"] == leaf.epoch == self.epoch or to <= self.epoch or \
                self.epoch_of(leaf.time) != to:
            self.report.add("EPOCH_INVALID", "an EPOCH that does not lead from the epoch in force to "
                            "that of its time", index)
            return
        self.epoch = to
        self.mac.advance(to)
        self.new_epoch_key(index, payload["epoch_key"], to)

    def on_policy(self, index, leaf, payload):
        if payload["policy"] == self.policy + 1:
            self.new_policy(index, payload)
        else:
            self.report.add("CONTROL_INVALID", "a policy number is left out", index)

    def on_purge(self, index, leaf, payload):
        if "override" in payload:
            sound = all(last < index for _, last in payload["ranges"])
        else:
            sound = payload["before_seq"] <= index and payload["cutoff_day"] <= leaf.time // DAY
        if not sound:
            self.report.add("PURGE_INVALID", "a cutoff in the future, or a range beyond the leaf",
                            index)
        elif "override" in payload:
            self.report.add("PURGE_OVERRIDE", "content was purged before it was due", index)
        self.acts.purge(index, payload, sound)

    def on_erase(self, index, leaf, payload):
        self.invalid_if(any(seq >= index for item in payload["items"] for seq in item["seqs"]),
                        index, "an ERASE of a later leaf")
        self.acts.erase(index, payload["items"])

    def on_hold(self, index, leaf, payload):
        self.invalid_if(not self.acts.hold(index, payload["hold"], payload["ranges"]), index,
                        "the id of a hold that was released")

    def on_release(self, index, leaf, payload):
        self.invalid_if(not self.acts.release(index, payload["hold"]), index,
                        "a RELEASE of an unknown hold")

    def on_key(self, index, leaf, payload):
        self.invalid_if("log_key" not in payload and "mac_id" not in payload, index,
                        "a KEY without a key")
        if "log_key" in payload:
            self.new_log_key(index, payload["log_key"])
            self.incarnations[-1].log_keys.append(self.log_key)
        if "mac_id" in payload:
            self.new_mac(index, payload["mac_id"])

    def on_anchor(self, index, leaf, payload):
        if not 0 < payload["size"] <= index:
            self.report.add("CONTROL_INVALID", "an anchor of a later size", index)
            self.not_anchors.add(str(index))
            return
        self.anchors.append((index, self.origin, payload))
        self.needed.add(payload["size"])

    def on_gap(self, index, leaf, payload):
        at_least = "" if payload["exact"] else "at least "
        self.report.add("GAP", f"{at_least}{payload['count']} events were lost: "
                        f"{payload['reason']}", index)

    def on_resume(self, index, leaf, payload):
        self.invalid_if(not 0 < payload["size"] <= index, index, "a RESUME after a later checkpoint")

    def on_restore(self, index, leaf, payload):
        used = {each.origin for each in self.incarnations}
        self.invalid_if(payload["from_origin"] != self.origin or payload["from_size"] != index or
                        payload["lost_size"] < index, index, "a RESTORE of another ledger or size")
        self.invalid_if(unbase64(payload["from_root"]) != self.root_before, index,
                        "a RESTORE from another root")
        self.invalid_if(payload["origin"] in used or payload["mac_id"] == self.mac_id or
                        Key(payload["log_key"]).public == self.log_key.public, index,
                        "a RESTORE that keeps origin or keys")
        self.invalid_if(self.epoch_of(leaf.time) < self.epoch, index, "back to an earlier epoch",
                        "EPOCH_MISMATCH")
        self.epoch = max(self.epoch, self.epoch_of(leaf.time))
        self.new_incarnation(index, payload)
        self.report.add("RESTORED", "the ledger goes on from a backup", index)

    # What can be told when all leaves were seen

    def conclude_pass_one(self):
        report, size = self.report, self.tree.size
        whole = size == self.newest.size
        if not self.trust.quorum_met(self.newest):
            report.add("WITNESS_QUORUM", "fewer witnesses than the quorum", size - 1)
        if not whole:
            self.check_lines(self.newest, "checkpoint", None, None,
                             (self.log_key, self.epoch_key, self.epoch))
        if whole and "ROOT_MISMATCH" in report.counts:
            self.name_modified_leaves()
        if whole:
            for path in sorted(self.bundle.left):
                parsed = parse_tile_path(path)
                entries = parsed and parsed[0] == "entries"
                report.add("LEAF_EXTRA" if entries else "TILE_MISMATCH",
                           f"{path} is no part of a tree of {size} leaves")
        for missing in sorted(self.needed - self.kept - {0}):
            if missing <= size:
                report.add("CHECKPOINT_MISSING", f"that of size {missing}, which is kept for ever",
                           missing - 1)
        if not self.state_unknown:
            self.check_pins()
        for mac_id in self.mac.given.keys() - self.mac.used:
            report.add("MAC_KEY_UNKNOWN", f"no leaf names mac_id {mac_id}")
        self.check_age()

    def name_modified_leaves(self):
        stored = stored_tree(self.bundle, self.tree.size)
        if stored is None or stored[0] != self.newest.root:
            return
        for index, data in self.bundle.leaves(self.tree.size):
            if leaf_hash(data) != stored[1][index * 32:index * 32 + 32]:
                self.report.add("LEAF_MODIFIED", "the tiles give the signed root, and differ here",
                                index)

    def check_pins(self):
        """Log key and first epoch key of each incarnation against the trust file."""
        if not any(key.name == self.newest.origin for key in self.trust.logs):
            self.report.add("ORIGIN_MISMATCH", f"the trust file does not name {self.newest.origin}")
        for each in self.incarnations:
            pinned = {key.public for key in self.trust.logs if key.name == each.origin}
            if not pinned:
                self.report.add("ORIGIN_MISMATCH", f"no log key of {each.origin} is pinned", each.seq)
            elif not pinned & {key.public for key in each.log_keys}:
                self.report.add("GENESIS_MISMATCH", "its log key is not the pinned one", each.seq)
            pinned = {key.text for key in self.trust.epochs
                      if key.name.startswith(each.origin + "/epoch/")}
            if not pinned:
                self.report.add("EPOCH_UNPINNED", f"no epoch key of {each.origin} is pinned",
                                each.seq)
            elif each.epoch_key.text not in pinned:
                self.report.add("GENESIS_MISMATCH", "its epoch key is not the pinned one", each.seq)

    def check_age(self):
        sealed = self.report.sealed
        if sealed is None:
            return
        if sealed > self.now + FUTURE_S:
            self.report.add("CHECKPOINT_FUTURE", f"it is dated {time_text(sealed)}")
        if self.max_age is not None and sealed < self.now - self.max_age:
            self.report.add("CHECKPOINT_STALE", f"it is dated {time_text(sealed)}")

    def check_remembered(self, note, where):
        """A checkpoint that was kept elsewhere (section 13, step 4)."""
        places = [n for n, each in enumerate(self.incarnations) if each.origin == note.origin]
        if not places:
            self.report.add("ORIGIN_MISMATCH", f"{where} is of {note.origin}")
            return
        lines = [good for key in self.incarnations[places[0]].log_keys for _, good in note.by(key)]
        if not lines:
            self.report.add("KEY_UNKNOWN", f"{where} has no line of the log key")
        elif not all(lines):
            self.report.add("SIGNATURE_INVALID", f"{where}: log key")
        later = self.incarnations[places[0] + 1:]
        root = self.roots.get(note.size) or (sha() if note.size == 0 else None)
        if later and note.size > later[0].payload["from_size"]:
            restore = later[0].payload
            lost_root = restore.get("lost_root")
            if note.size == restore["lost_size"] and lost_root and unbase64(lost_root) != note.root:
                self.report.add("FORK", f"{where} has another root than lost_root", note.size)
            elif note.size <= restore["lost_size"]:
                self.report.add("ROLLBACK_DECLARED", "a RESTORE says what was lost", later[0].seq)
            else:
                self.report.add("ROLLBACK", f"{where} is larger than what the RESTORE declares",
                                note.size)
        elif note.size > self.tree.size:
            self.report.add("ROLLBACK", f"{where} is larger than the ledger", note.size)
        elif root != note.root:
            self.report.add("FORK" if note.size == self.newest.size else "HISTORY_REWRITTEN",
                            f"{where} has another root", note.size)


# ---- Purges, erasures, holds (section 10) -------------------------------------------------------

class Sweep:
    """Ranges with values, asked for one position after the other."""

    def __init__(self, ranges):
        self.waiting = sorted(ranges, key=lambda each: each[0], reverse=True)
        self.open = []  # (last, number, value): a heap
        self.count = 0

    def at(self, index):
        while self.waiting and self.waiting[-1][0] <= index:
            _, last, value = self.waiting.pop()
            self.count += 1
            heapq.heappush(self.open, (last, self.count, value))
        while self.open and self.open[0][0] < index:
            heapq.heappop(self.open)
        return [value for _, _, value in self.open]


class Acts:
    """What was allowed to go, and what had to stay. Filled in pass 1, asked in pass 2."""

    def __init__(self):
        self.purges, self.ranges, self.counts = [], [], {}
        self.erasures = {}  # seq -> [(leaf of the ERASE, its pointers)]
        self.holds, self.held_ranges = {}, []  # id -> [from leaf, ..]; (first, last, life)
        self.named = 0  # records below this are named by a PURGE

    def purge(self, index, payload, sound):
        """A PURGE. One by date that is not sound covers nothing; ranges cover what is below it."""
        self.named = max(self.named, payload.get("before_seq", 0))
        if sound:
            self.counts[index] = [payload["count"], 0]
        if "override" in payload:
            self.ranges += [(first, min(last, index - 1), index) for first, last in payload["ranges"]]
        elif sound:
            self.purges.append((index, payload["before_seq"], payload["cutoff_day"]))

    def erase(self, index, items):
        for item in items:
            pointers = frozenset(item["pointers"])
            for seq in item["seqs"]:
                if seq < index:
                    self.erasures.setdefault(seq, []).append((index, pointers))

    def hold(self, index, name, ranges):
        life = self.holds.setdefault(name, [])
        if life and life[0][1] is not None:
            return False
        for first, last in ranges:
            span = [index, None]
            life.append(span)
            self.held_ranges.append((first, last, span))
        if not life:
            life.append([index, None])
        return True

    def release(self, index, name):
        life = self.holds.get(name)
        if not life or life[0][1] is not None:
            return False
        for span in life:
            span[1] = index
        return True

    def settle(self):
        """All leaves were seen: makes ready for `covers`."""
        self.hold_sweep, self.range_sweep = Sweep(self.held_ranges), Sweep(self.ranges)
        self.most_before, self.most_cutoff = [], []
        before = cutoff = -1
        for _, before_seq, cutoff_day in self.purges:
            before, cutoff = max(before, before_seq), max(cutoff, cutoff_day)
            self.most_before.append(before)
            self.most_cutoff.append(cutoff)

    def covers(self, index, leaf):
        """What covers a record. Ask for ascending records only."""
        holds = self.hold_sweep.at(index)

        def held(at):
            return any(since < at and (until is None or at < until) for since, until in holds)

        cover = Cover()
        purges = self.range_sweep.at(index)
        cover.named = index < self.named or bool(purges)
        first = max(bisect.bisect_left(self.most_before, index + 1),
                    bisect.bisect_left(self.most_cutoff, leaf.retain_until))
        for number in range(first, len(self.purges)):
            at, before_seq, cutoff = self.purges[number]
            if index < before_seq and leaf.retain_until <= cutoff:
                purges.append(at)
                if not held(at):
                    break  # later ones change nothing
        free = [at for at in purges if not held(at)]
        cover.purge = min(free, default=None)
        cover.held = len(free) < len(purges)
        for at, pointers in self.erasures.get(index, ()):
            if held(at):
                cover.held_pointers |= pointers
            else:
                cover.pointers |= pointers
                if "" in pointers:
                    cover.erase = min(at, cover.erase or at)
        if cover.purge is not None and not (cover.erase and cover.erase < cover.purge):
            self.counts.get(cover.purge, [0, 0])[1] += 1
        return cover


class Cover:
    """What is on record about the content of one record."""

    def __init__(self):
        self.purge = self.erase = None  # the leaf of the first one that covers it wholly
        self.pointers, self.held_pointers = set(), set()
        self.held = self.named = False


# ---- Pass 2: contents (section 4, 12, 13 step 6) and anchors ------------------------------------

class Openings:
    """The lines of openings.ndjson, in order."""
    PATH = "openings.ndjson"

    def __init__(self, folder, report, newest):
        self.report, self.file, self.header = report, None, {}
        self.lines, self.last, self.ahead, self.there = 0, -1, None, False
        try:
            path = os.path.join(folder, self.PATH)
            if not os.path.lexists(path):
                return  # a tlog-tiles directory: no contents
            self.there = True
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise Bad("not a regular file")
            self.file = open(path, "rb")
            self.header = json_object(self.line() or b"", LINE_LIMIT)
            if not has_members(self.header, {"complete": one_of(True, False), "count": is_int,
                                             "format": one_of("tallystick/v1 openings"),
                                             "origin": good_origin, "size": is_int}):
                raise Bad("a bad header")
            if newest and (self.header["origin"], self.header["size"]) != (newest.origin, newest.size):
                raise Bad("a header of another ledger or size")
            self.advance()
        except (Bad, OSError) as error:
            self.bad(error)
            self.header = {}

    def complete(self):
        """Whether each leaf must have its line: unless a sound header says that it need not."""
        return self.header.get("complete", True) if self.there else False

    def bad(self, what, seq=None):
        self.report.add("RECORD_MALFORMED", f"{self.PATH}: {what}", seq)

    def line(self):
        data = self.file.readline(LINE_LIMIT + 1) if self.file else b""
        if data and not data.endswith(b"\n"):
            self.bad("a line that does not end")
            self.file.close()
            self.file = None
            return None
        return data[:-1] if data else None

    def advance(self):
        """The next line that can be read goes to `ahead`."""
        self.ahead = None
        while self.ahead is None:
            data = self.line()
            if data is None:
                return
            self.lines += 1
            try:
                value = json_object(data, LINE_LIMIT)
                if not is_int(value.get("seq")) or not isinstance(value.get("leaf"), str):
                    raise Bad("a line without seq and leaf")
                if value["seq"] <= self.last:
                    raise Bad("lines that do not ascend")
                self.last, self.ahead = value["seq"], value
            except Bad as error:
                self.bad(f"line {self.lines + 1}: {error}")

    def of(self, index):
        """The line of a leaf, or None."""
        if self.ahead is None or self.ahead["seq"] != index:
            return None
        value = self.ahead
        self.advance()
        return value

    def finish(self):
        while self.ahead is not None:
            self.report.add("ROW_INSERTED", "an opening without a leaf", self.ahead["seq"])
            self.advance()
        if self.file:
            self.file.close()
        if self.header.get("count", self.lines) != self.lines:
            self.bad(f"{self.lines} lines, and not as many as the header says")


class Contents:
    """Pass 2 over a ledger that went through pass 1."""

    def __init__(self, ledger):
        self.ledger, self.report, self.acts = ledger, ledger.report, ledger.acts
        self.openings = Openings(ledger.bundle.folder, ledger.report, ledger.newest)
        self.checked = 0
        self.policies = list(reversed(ledger.policies))
        self.policy = (0, [], {})

    def run(self):
        self.acts.settle()
        self.check_ids()
        sizes = {payload["size"] for _, _, payload in self.ledger.anchors}
        tree, roots = Tree(), {0: sha()}
        complete, absent = self.openings.complete(), 0
        for index, data in self.ledger.bundle.leaves(self.ledger.tree.size):
            while self.policies and self.policies[-1][0] < index:
                self.policy = self.policies.pop()
            if sizes:
                tree.push(leaf_hash(data))
                if index + 1 in sizes:
                    roots[index + 1] = tree.root()
            line = self.openings.of(index)
            try:
                leaf = Leaf(data)
            except Bad:
                if line is not None and len(line) > 2:
                    self.openings.bad("content of a leaf that is none", index)
                continue
            cover = self.acts.covers(index, leaf) if leaf.kind == ENTRY else None
            if line is not None:
                if not self.check_line(index, leaf, line, cover) and cover:
                    self.check_gone(index, None, cover)
            elif cover and not complete:
                absent += 1
            elif cover:
                self.check_gone(index, None, cover)
            elif complete:
                self.openings.bad("complete, and without this leaf", index)
        self.openings.finish()
        if absent:
            self.report.add("WITHHELD", f"{absent} records have no opening")
        for index, (said, found) in self.acts.counts.items():
            if said != found:
                self.report.add("PURGE_COUNT", f"it says {said}, and covers {found}", index)
        self.check_anchors(roots)
        self.report.contents = (self.checked, self.ledger.entries)

    def check_ids(self):
        """No leaf id twice; in as many walks as bound the memory."""
        walks = -(-self.ledger.entries // IDS_AT_ONCE)
        for walk in range(walks):
            seen = set()
            for index, data in self.ledger.bundle.leaves(self.ledger.tree.size):
                if data[4:5] == b"\1" and len(data) == 104 and sum(data[32:48]) % walks == walk:
                    if data[32:48] in seen:
                        self.report.add("DUPLICATE_ID", "an id that was used before", index)
                    seen.add(data[32:48])

    def check_line(self, index, leaf, line, cover):
        """One line; False if it does not have the form of one."""
        kinds = {"members", "rest", "salt"}, {"state"}, set()
        found = set(line) - {"seq", "leaf"}
        try:
            if unbase64(line["leaf"]) != leaf.data:
                self.report.add("LEAF_MODIFIED", "the opening carries another leaf", index)
                return True
            if found not in kinds or (not found) != (cover is None):
                raise Bad("a line of another form")
            if "state" in found:
                if line["state"] not in ("purged", "erased", "evicted", "withheld"):
                    raise Bad("an unknown state")
                self.check_gone(index, line["state"], cover)
            elif found:
                self.check_content(index, leaf, line, cover)
        except Bad as error:
            self.openings.bad(error, index)
            return False
        return True

    def check_gone(self, index, state, cover):
        """Content is not there: something on record must permit it, and that is what `state` says."""
        report = self.report
        if state == "withheld":
            report.add("WITHHELD", "content is not part of what was handed over", index)
        elif state == "evicted" and self.ledger.volatile:
            report.add("EVICTED", "a volatile ledger dropped it", index)
        elif state == "purged" and cover.purge is not None:
            report.add("PURGED", f"by leaf {cover.purge}", index)
        elif state == "erased" and cover.erase is not None:
            report.add("ERASED", f"by leaf {cover.erase}", index)
        elif cover.held and state == "purged" or "" in cover.held_pointers and state == "erased":
            report.add("HOLD_VIOLATED", "its only excuse was sealed during a hold", index)
        elif cover.named and state == "purged":
            report.add("PURGE_EARLY", "a PURGE names it, and it was not due", index)
        else:
            report.add("CONTENT_MISSING", "content is gone and nothing excuses it", index)

    def check_content(self, index, leaf, line, cover):
        report = self.report
        salt0, rest, members = self.parse_content(line)
        self.checked += 1
        parts = [b"\4", salt0, len(rest).to_bytes(4, "big"), rest, len(members).to_bytes(2, "big")]
        for pointer, digest, *_ in members:
            raw = pointer.encode()
            parts += [len(raw).to_bytes(2, "big"), raw, digest]
        if sha(*parts) != leaf.commit:
            report.add("CONTENT_MODIFIED", "content does not give the commitment", index)
            return
        if cover.purge is not None:
            report.add("PURGE_INCOMPLETE", f"leaf {cover.purge} covers it", index)
        if cover.erase is not None:
            report.add("ERASE_INCOMPLETE", f"leaf {cover.erase} covers it", index)
        self.check_members(index, members, cover)
        self.check_event(index, leaf, rest, members)

    @staticmethod
    def parse_content(line):
        """(salt0, R, [(pointer, d(p), V or None, withheld)])"""
        if not isinstance(line["rest"], str) or not isinstance(line["members"], list):
            raise Bad("content of another form")
        members = []
        for member in line["members"]:
            names = set(member) if isinstance(member, dict) else None
            if names not in ({"p", "s", "v"}, {"p", "d"}, {"p", "d", "w"}) or \
                    not isinstance(member["p"], str) or len(member["p"].encode()) > 65_535:
                raise Bad("a member of another form")
            pointer = member["p"].encode()
            if "v" in names:
                if not isinstance(member["v"], str):
                    raise Bad("a value that is no string")
                value = member["v"].encode()
                digest = sha(b"\3", unbase64(member["s"], 16), len(pointer).to_bytes(2, "big"),
                             pointer, value)
                members.append((member["p"], digest, value, False))
            else:
                if member.get("w", True) is not True:
                    raise Bad("w is true, or not there")
                members.append((member["p"], unbase64(member["d"], 32), None, "w" in names))
        names = [pointer.encode() for pointer, *_ in members]
        if len(members) > 65_535 or names != sorted(set(names)):
            raise Bad("too many members, or not in order")
        return unbase64(line["salt"], 16), line["rest"].encode(), members

    def check_members(self, index, members, cover):
        """What is there, and what is gone, against what is on record."""
        report = self.report
        for pointer, _, value, withheld in members:
            erased = pointer in cover.pointers or "" in cover.pointers
            if cover.erase is not None:
                continue  # told as a whole
            if value is not None:
                if erased:
                    report.add("ERASE_INCOMPLETE", f"{pointer} was erased, and is there", index)
            elif erased:
                report.add("ERASED", pointer, index)
            elif withheld:
                report.add("WITHHELD", f"{pointer} is not part of what was handed over", index)
            elif pointer in cover.held_pointers or "" in cover.held_pointers:
                report.add("HOLD_VIOLATED", f"{pointer} was erased during a hold", index)
            else:
                report.add("MEMBER_MISSING", f"{pointer} is gone and no ERASE covers it", index)

    def check_event(self, index, leaf, rest, members):
        """The event itself: canonical, split as the policy demands, with the id of its leaf."""
        report = self.report
        event, canonical = json_read(rest)
        if not isinstance(event, dict) or any(exists(event, member[0]) is None for member in members):
            raise Bad("an event that is no object, or a member of what is not there")
        texts = [json_read(value)[1] for _, _, value, _ in members if value is not None]
        if not canonical or not all(texts):
            report.add("NON_CANONICAL", "not in canonical form", index)
        erasable = self.policy[1]
        split = [pointer for pointer, *_ in members]
        if not set(split) <= set(erasable) or \
                any(exists(event, pointer) is not False for pointer in split) or \
                any(exists(event, pointer) for pointer in erasable):
            report.add("ERASABLE_MISMATCH", "it is not split as the policy in force demands", index)
            return
        if leaf.flags & 1 != bool(members):
            report.add("LEAF_INVALID", "flag bit 0 and the members do not agree", index)
        name = event.get("id")
        if not isinstance(name, str) or id_of(name) != leaf.id:
            report.add("ID_MISMATCH", "its id does not give the leaf id", index)
        days, basis = self.policy[2].get(leaf.class_, (None, None))
        if basis == "occurred":
            try:
                micros = min(max(rfc3339(event.get("occurred_at")), 0), leaf.time)
            except Bad:
                micros = None
            if micros is None or leaf.retain_until != retain_until(micros, days):
                report.add("RETENTION_MISMATCH", "retain_until is not what occurred_at gives", index)

    def check_anchors(self, roots):
        """Anchors: their roots, and the digests of their tokens."""
        report, bundle = self.report, self.ledger.bundle
        names = set(names_in(os.path.join(bundle.folder, "anchors"))) - self.ledger.not_anchors
        for index, origin, payload in self.ledger.anchors:
            root = roots.get(payload["size"])
            if root != unbase64(payload["root"]):
                report.add("ANCHOR_INVALID", "its root is not one of this tree", index)
            names.discard(str(index))
            token = bundle.read(f"anchors/{index}", 1 << 24, "ANCHOR_INVALID")
            if token is None:
                report.add("ANCHOR_MISSING", "its token is not there", index)
                continue
            body = f"{origin}\n{payload['size']}\n{payload['root']}\n".encode()
            if sha(token).hex() != payload["digest"] or \
                    payload["kind"] == "rfc3161" and (not is_stamp_of(token, sha(body)) or
                                                      is_stamp_signed(token) is False):
                report.add("ANCHOR_INVALID", "its token is not the recorded one", index)
        for name in sorted(names):
            report.add("ANCHOR_INVALID", f"anchors/{name}: no leaf is its anchor")


def der(data, tag):
    """Takes an element of this tag off the front: its content, and what follows it."""
    head = 2
    if len(data) < head or data[0] != tag or data[1] in (0x80, 0xff):
        raise Bad("no such element")
    length = data[1]
    if length > 0x80:
        head += length - 0x80
        length = int.from_bytes(data[2:head], "big")
    if len(data) < head + length:
        raise Bad("an element that is cut off")
    return data[head:head + length], data[head + length:]


def stamped(token):
    """The SHA-256 digest that a TimeStampToken (RFC 3161, RFC 5652) is of."""
    content, rest = der(token, 0x30)
    kind, content = der(content, 0x06)
    signed = der(der(content, 0xa0)[0], 0x30)[0]
    for tag in 0x02, 0x31:  # version, digest algorithms
        signed = der(signed, tag)[1]
    info_kind, info = der(der(signed, 0x30)[0], 0x06)
    info = der(der(der(info, 0xa0)[0], 0x04)[0], 0x30)[0]
    version, info = der(info, 0x02)
    imprint = der(der(info, 0x06)[1], 0x30)[0]  # after the policy
    algorithm, digest = der(imprint, 0x30)
    names = [each.hex() for each in (kind, info_kind, version, der(algorithm, 0x06)[0])]
    if rest or names != ["2a864886f70d010702", "2a864886f70d0109100104", "01", "608648016503040201"]:
        raise Bad("no time stamp over a SHA-256 digest")
    return der(digest, 0x04)[0]


def is_stamp_of(token, digest):
    try:
        return stamped(token) == digest
    except Bad:
        return False


# OpenSSL's bounds for a modulus and, with a long one, for its exponent.
RSA_BITS, RSA_EXPONENT_BITS = 16384, 64
STAMP_HASHES = {"2b0e03021a": "sha1", "608648016503040201": "sha256", "608648016503040202": "sha384",
                "608648016503040203": "sha512"}


def elements(data):
    """The elements of a constructed one: (tag, content, all of it)."""
    found = []
    while data:
        content, rest = der(data, data[0])
        found.append((data[0], content, data[:len(data) - len(rest)]))
        data = rest
    return found


def rsa_verify(key, name, oid, message, signature):
    """PKCS #1 v1.5 (RFC 8017)."""
    modulus, exponent = (int.from_bytes(content, "big", signed=True)
                         for _, content, _ in elements(der(key, 0x30)[0]))
    size = (modulus.bit_length() + 7) // 8
    digest = hashlib.new(name, message).digest()
    head = bytes([0x30, len(oid) + 4, 0x06, len(oid)]) + oid + b"\x05\0\x04" + bytes([len(digest)])
    text = bytes([0x30, len(head) + len(digest)]) + head + digest
    if modulus < 3 or modulus.bit_length() > RSA_BITS or not 1 < exponent < 1 << RSA_EXPONENT_BITS or \
            len(signature) != size or size < len(text) + 11:
        return False
    number = int.from_bytes(signature, "big")
    padded = b"\0\1" + b"\xff" * (size - len(text) - 3) + b"\0" + text
    return number < modulus and pow(number, exponent, modulus).to_bytes(size, "big") == padded


def stamp_key(certificates, issuer_and_serial):
    """(kind, key) of the certificate with this issuer and number."""
    for _, certificate, _ in certificates:
        body = elements(elements(certificate)[0][1])
        serial, _, issuer, _, _, subject_key = body[body[0][0] == 0xa0:][:6]
        if issuer[2] + serial[2] == issuer_and_serial:
            kind, key = elements(subject_key[1])
            return der(kind[1], 0x06)[0].hex(), der(key[2], 0x03)[0][1:]
    raise Bad("the certificate is not there")


def is_stamp_signed(token):
    """Whether the certificate that comes with a time stamp made its signature (RFC 5652); None if that
    is of a kind that is not known here: it is not looked at. Who the certificate is of stays open."""
    try:
        signed = elements(der(der(der(der(token, 0x30)[0], 0x06)[1], 0xa0)[0], 0x30)[0])
        content = der(der(der(signed[2][1], 0x06)[1], 0xa0)[0], 0x04)[0]
        certificates = [each for tag, found, _ in signed if tag == 0xa0 for each in elements(found)]
        (_, signer, _), = elements(der(signed[-1][2], 0x31)[0])
        parts = elements(signer)
        kind, key = stamp_key(certificates, parts[1][1])
        oid = der(parts[2][1], 0x06)[0]
        if kind != "2a864886f70d010101" or oid.hex() not in STAMP_HASHES:
            return None
        name, message = STAMP_HASHES[oid.hex()], content
        has_attributes = parts[3][0] == 0xa0
        if has_attributes:
            message = b"\x31" + parts[3][2][1:]
            said = [der(der(each, 0x06)[1], 0x31)[0] for _, each, _ in elements(parts[3][1])
                    if der(each, 0x06)[0].hex() == "2a864886f70d010904"]
            if len(said) != 1 or der(said[0], 0x04)[0] != hashlib.new(name, content).digest():
                return False
        return rsa_verify(key, name, oid, message, der(parts[4 + has_attributes][2], 0x04)[0])
    except (Bad, IndexError, ValueError):
        return False


def exists(event, pointer):
    """Whether the member exists; None if its parent is not there or no object."""
    parts = tokens(pointer) or [None]
    for part in parts[:-1]:
        event = event.get(part) if isinstance(event, dict) else None
    return parts[-1] in event if isinstance(event, dict) else None


# ---- The whole, and the command line ------------------------------------------------------------

def check_directory(folder, trust, report, mac_keys=None, against=None, max_age=None, now=None):
    """Checks a bundle or a tlog-tiles directory. The report is complete when this returns."""
    try:
        ledger = Ledger(folder, trust, report, mac_keys, max_age, now)
        if not ledger.read_checkpoints():
            return report.conclude()
        report.size = ledger.newest.size
        if against:
            ledger.roots[against.size] = None
        ledger.pass_one()
        if against:
            ledger.check_remembered(against, "the remembered checkpoint")
        Contents(ledger).run()
        if trust.quorum == "none" and not against:
            report.qualifiers.append("unanchored")
        if ledger.mac_unchecked:
            report.qualifiers.append("mac_unchecked")
        if report.contents[0] < report.contents[1]:
            report.qualifiers.append("content_part")
        if ledger.volatile:
            report.qualifiers.append("volatile")
    except Exception as error:  # whatever the input was: the check has failed, and says so
        report.add("CHECK_FAILED", f"{type(error).__name__}: {error}")
    return report.conclude()


def check_proof(data, trust, report):
    """Checks one proof by the trust file alone: log key, quorum, inclusion."""
    try:
        extra, index, path, note = parse_proof(data)
        if extra is None:
            report.add("STORE_ERROR", "the proof does not hold the leaf", index)
            return report.conclude()
        leaf = Leaf(extra)
        if leaf.seq != index:
            report.add("SEQ_MISMATCH", f"the leaf says {leaf.seq}", index)
        if root_from_path(leaf_hash(extra), index, note.size, path) != note.root:
            report.add("ROOT_MISMATCH", "the proof does not lead to the signed root", index)
        keys = [key for key in trust.logs if key.name == note.origin]
        signatures = [good for key in keys for _, good in note.by(key)]
        others = [key for key in trust.logs if key.name != note.origin]
        for key in [*others, *trust.witnesses.values(), *trust.epochs]:
            if not all(good for _, good in note.by(key)):
                report.add("SIGNATURE_INVALID", key.name, index)
        if not keys:
            report.add("ORIGIN_MISMATCH", f"the trust file does not name {note.origin}")
        elif not signatures:
            report.add("KEY_UNKNOWN", "no line of a pinned log key", index)
        elif not all(signatures):
            report.add("SIGNATURE_INVALID", "the line of the log key is bad", index)
        if not trust.quorum_met(note):
            report.add("WITNESS_QUORUM", "fewer witnesses than the quorum", index)
        report.size = note.size
    except Bad as error:
        report.add("RECORD_MALFORMED", error)
    except Exception as error:
        report.add("CHECK_FAILED", f"{type(error).__name__}: {error}")
    return report.conclude()


def show(report, as_json):
    sealed = None if report.sealed is None else time_text(report.sealed)
    if as_json:
        print(json.dumps({"verdict": report.verdict, "size": report.size, "sealed": sealed,
                          "qualifiers": report.qualifiers, "findings": report.findings,
                          "counts": report.counts,
                          "contents": {"checked": report.contents[0], "of": report.contents[1]}}))
        return
    print(report.verdict)
    print(f"as of size {report.size}" + (f", sealed {sealed}" if sealed else ""))
    print(f"content {report.contents[0]} of {report.contents[1]}")
    if report.qualifiers:
        print("but: " + ", ".join(report.qualifiers))
    for each in report.findings:
        where = "" if each["seq"] is None else f" seq {each['seq']}"
        print(f"{each['weight']:12} {each['code']}{where}: {each['what']}")
    for code, count in report.counts.items():
        if count > SHOWN:
            print(f"{count - SHOWN} more of {code} are not shown")


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        raise Usage(message)


def named_file(path, limit, parse):
    """What a file named on the command line holds."""
    try:
        data = read_file(path, limit)
        if data is None:
            raise Bad("there is no such file")
        return parse(data)
    except (Bad, ValueError) as error:
        raise Usage(f"{clean(path)}: {error}") from None


def run(arguments):
    parser = Arguments(prog="tally_check.py", description="Checks evidence of a Tallystick ledger.",
                       epilog="status: 0 VERIFIED, 1 TAMPERED, 2 UNVERIFIABLE, 3 usage")
    parser.add_argument("directory", nargs="?", help="evidence bundle or tlog-tiles directory")
    parser.add_argument("--trust", required=True, metavar="FILE", help="the keys that you trust")
    parser.add_argument("--proof", metavar="FILE", help="check one .tlog-proof file")
    parser.add_argument("--against", metavar="FILE", help="a checkpoint that you kept")
    parser.add_argument("--mac-key", metavar="FILE", help="K0: lines tally-mac-v1:...")
    parser.add_argument("--max-age", type=int, metavar="S", help="how old the newest may be")
    parser.add_argument("--json", action="store_true", help="a machine reads the answer")
    given = parser.parse_args(arguments)
    if (given.directory is None) == (given.proof is None):
        raise Usage("give a directory, or --proof FILE")
    trust = named_file(given.trust, 1 << 20, Trust)
    report = Report()
    if given.proof:
        status = check_proof(named_file(given.proof, 4 * NOTE_LIMIT, bytes), trust, report)
    else:
        if not os.path.isdir(given.directory):
            raise Usage(f"{clean(given.directory)} is not a directory")
        mac_keys = named_file(given.mac_key, 1 << 16, MacKeys) if given.mac_key else None
        against = named_file(given.against, NOTE_LIMIT, Note) if given.against else None
        status = check_directory(given.directory, trust, report, mac_keys, against, given.max_age)
    show(report, given.json)
    return status


def main():
    try:
        return run(sys.argv[1:])
    except Usage as error:
        print(f"tally_check.py: {error}", file=sys.stderr)
        return 3
    except BrokenPipeError:
        return 2
    except Exception as error:
        print(f"UNVERIFIABLE\nCHECK_FAILED: {clean(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
