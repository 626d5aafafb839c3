"""Makes small signed ledgers as evidence bundles, sound or with exactly one fault, for tests.

It signs with keys made from a seed, so that a bundle is the same at each run. It shares hashes, JSON and
curve with the checker; what the checker decides is not in here.
"""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import random
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import tally_check as check  # noqa: E402

START = 1_767_225_600_000_000  # 2026-01-01
SECOND = 1_000_000
NUMBER = {name: kind for kind, name in check.KINDS.items()}
ERASABLE = ["/actor/name", "/metadata", "/reason"]
CLASSES = [{"class": 1, "days": 0, "name": "short"}, {"class": 2, "days": 365, "name": "long"},
           {"class": 3, "days": -1, "name": "ever"},
           {"basis": "occurred", "class": 4, "days": 0, "name": "import"}]


def der(tag, *parts):
    content = b"".join(parts)
    length = len(content)
    head = bytes([length]) if length < 128 else bytes([0x82]) + length.to_bytes(2, "big")
    return bytes([tag]) + head + content


def time_stamp(digest, algorithm="608648016503040201"):
    """As much of a TimeStampToken as says what it is of; nobody has signed it."""
    def oid(text):
        return der(0x06, bytes.fromhex(text))

    imprint = der(0x30, der(0x30, oid(algorithm)), der(0x04, digest))
    info = der(0x30, der(0x02, b"\1"), oid("2a0304"), imprint, der(0x02, b"\7"))
    content = der(0x30, oid("2a864886f70d0109100104"), der(0xa0, der(0x04, info)))
    signed = der(0x30, der(0x02, b"\3"), der(0x31), content)
    return der(0x30, oid("2a864886f70d010702"), der(0xa0, signed))


RSA_PRIMES = (int("e89bab3bcd1bd13586cc877c27b6091a42c6a21a485619092681415cc63e0d20"
                  "2075cff2a3d7df1c1812c11fe737632fc1c94ccfe61ee8bcf8b3531efc5221a3", 16),
              int("d91bd3c59d95e6fa9fda02789df2107a192e47ced7353a73f1177c4ff664e900"
                  "b9f04255a9428033a2cba653fba712dd43cf8d631fafac5a8b47615a1e4dcc2b", 16))
RSA_N = RSA_PRIMES[0] * RSA_PRIMES[1]


def rsa_sign(data):
    """PKCS #1 v1.5 with SHA-256."""
    oid = der(0x06, bytes.fromhex("608648016503040201"))
    text = der(0x30, der(0x30, oid, der(0x05)), der(0x04, check.sha(data)))
    exponent = pow(65537, -1, (RSA_PRIMES[0] - 1) * (RSA_PRIMES[1] - 1))
    padded = int.from_bytes(b"\0\1" + b"\xff" * (125 - len(text)) + b"\0" + text, "big")
    return pow(padded, exponent, RSA_N).to_bytes(128, "big")


def signed_time_stamp(digest, sign=rsa_sign, imprint=None, serial=b"\7", named=b"\7", key_kind=None):
    """A TimeStampToken with the certificate (RSA) that has signed it. `imprint`: the attributes are of
    another content; `named`: the serial number that the signer says its certificate has."""
    def oid(text):
        return der(0x06, bytes.fromhex(text))

    def content(of):
        algorithm = der(0x30, oid("608648016503040201"), der(0x05))
        return der(0x30, der(0x02, b"\1"), oid("2a0304"), der(0x30, algorithm, der(0x04, of)),
                   der(0x02, b"\7"), der(0x18, b"20260101000000Z"))

    hashed, rsa = der(0x30, oid("608648016503040201"), der(0x05)), "2a864886f70d010101"
    name = der(0x30, der(0x31, der(0x30, oid("550403"), der(0x0c, b"Stamps"))))
    key = der(0x30, der(0x02, b"\0" + RSA_N.to_bytes(128, "big")), der(0x02, b"\1\0\1"))
    times = der(0x30, der(0x17, b"250101000000Z"), der(0x17, b"350101000000Z"))
    signing = der(0x30, oid("2a864886f70d01010b"), der(0x05))
    subject = der(0x30, der(0x30, oid(key_kind or rsa), der(0x05)), der(0x03, b"\0", key))
    body = der(0x30, der(0xa0, der(0x02, b"\2")), der(0x02, serial), signing, name, times, name, subject)
    certificate = der(0x30, body, signing, der(0x03, b"\0", bytes(128)))
    said = der(0x30, oid("2a864886f70d010904"), der(0x31, der(0x04, check.sha(content(imprint or digest)))))
    kind = der(0x30, oid("2a864886f70d010903"), der(0x31, oid("2a864886f70d0109100104")))
    signer = der(0x30, der(0x02, b"\1"), der(0x30, name, der(0x02, named)), hashed,
                 der(0xa0, kind, said), der(0x30, oid(rsa), der(0x05)),
                 der(0x04, sign(der(0x31, kind, said))))
    inner = der(0x30, oid("2a864886f70d0109100104"), der(0xa0, der(0x04, content(digest))))
    signed = der(0x30, der(0x02, b"\3"), der(0x31, hashed), inner, der(0xa0, certificate),
                 der(0x31, signer))
    return der(0x30, oid("2a864886f70d010702"), der(0xa0, signed))


STAMP_FAULTS = ({"sign": lambda data: bytes(128)}, {"sign": lambda data: rsa_sign(data + b"x")},
                {"sign": lambda data: rsa_sign(data)[:-1]}, {"sign": lambda data: b"\xff" * 128},
                {"sign": lambda data: b"\0" + rsa_sign(data)}, {"imprint": bytes(32)}, {"named": b"\x08"})


def text64(data):
    return base64.b64encode(data).decode()


class Signer:
    """An Ed25519 key (RFC 8032) with a name."""

    def __init__(self, name, kind, seed):
        digest = hashlib.sha512(hashlib.sha256(f"{name} {kind} {seed}".encode()).digest()).digest()
        self.scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
        self.prefix = digest[32:]
        self.public = check.point_encode(check.comb_multiply(check.BASE, self.scalar, check.NEUTRAL))
        data = bytes([kind]) + self.public
        self.name, self.kind = name, kind
        self.id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{text64(data)}"

    def sign(self, message):
        r = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % check.L
        point = check.point_encode(check.comb_multiply(check.BASE, r, check.NEUTRAL))
        k = int.from_bytes(hashlib.sha512(point + self.public + message).digest(), "little")
        s = (r + k * self.scalar) % check.L
        return point + s.to_bytes(32, "little")

    def line(self, body, stamp=None):
        if self.kind == 1:
            data = self.sign(body)
        else:
            data = struct.pack(">Q", stamp) + self.sign(b"cosignature/v1\ntime %d\n" % stamp + body)
        return f"\u2014 {self.name} {text64(self.id + data)}\n"


class Maker:
    """A ledger that grows. What a test sets before or between the calls becomes the fault."""

    def __init__(self, seed=0, origin="made.example/ledger-0a1b", epoch_seconds=3600, **genesis):
        self.random = random.Random(seed)
        self.seed, self.origin, self.epoch_seconds = seed, origin, epoch_seconds
        self.time, self.epoch, self.incarnation, self.policy = START, 0, 1, 1
        self.leaves, self.tree, self.openings = [], check.Tree(), {}
        self.notes, self.newest, self.anchors = {}, None, {}
        self.classes, self.erasable = CLASSES, ERASABLE
        self.witness = Signer("witness.example/w", 4, seed)
        self.approver = Signer("approver.example/a", 1, seed)
        self.trust_lines = []
        self.genesis_members = genesis
        self.new_keys()
        self.mac_lines = [self.mac_line()]
        self.control("GENESIS", {
            "v": 1, "origin": origin, "log_key": self.log.vkey, "epoch_key": self.epoch_key.vkey,
            "epoch_seconds": epoch_seconds, "start": "2026-01-01T00:00:00Z", "mac_id": self.mac_id,
            "policy": 1, "erasable": self.erasable, "classes": self.classes, **genesis})
        self.checkpoint()

    # Keys

    def new_keys(self, count=0):
        self.log = Signer(self.origin, 1, f"{self.seed} {count}")
        self.epoch_key = self.new_epoch_key(self.epoch)
        self.k0 = hashlib.sha256(f"K0 {self.origin} {self.seed} {count}".encode()).digest()
        self.begin_mac(self.k0)
        self.trust_lines += [f"log {self.log.vkey}", f"#tally epoch {self.epoch_key.vkey}"]

    def new_epoch_key(self, epoch):
        return Signer(f"{self.origin}/epoch/{epoch}", 4, f"{self.seed} {len(self.leaves)}")

    def begin_mac(self, k0):
        self.k = k0
        self.mac_id = hashlib.sha256(b"\6" + k0).hexdigest()

    def mac_line(self):
        return f"tally-mac-v1:{self.mac_id[:8]}:{self.epoch}:{text64(self.k0)}"

    # Leaves

    def leaf(self, kind_, commit, flags=0, class_=0, retain=check.NEVER, id_=bytes(16), payload=b"",
             **changed):
        fields = {"magic": b"TLY1", "kind": kind_, "flags": flags, "class_": class_,
                  "seq": len(self.leaves), "time": self.time, "retain": retain, "epoch": self.epoch,
                  "id": id_, "commit": commit, "mac_gen": int(self.mac_id[:8], 16),
                  "incarnation": self.incarnation, **changed}
        mac = fields.pop("mac", None)
        head = struct.pack(">4sBBHQQII16s32sII", *fields.values())
        kmac = hmac.digest(self.k, b"tallystick/v1 mac\1", "sha256")
        return head + (mac or hmac.digest(kmac, head, "sha256")[:16]) + payload

    def push(self, leaf):
        self.leaves.append(leaf)
        self.tree.push(check.leaf_hash(leaf))
        return len(self.leaves) - 1

    def control(self, name, payload, raw=None, commit=None, **changed):
        data = raw if raw is not None else check.json_write(payload).encode()
        return self.push(self.leaf(NUMBER[name], commit or check.sha(b"\5", data), payload=data,
                                   **changed))

    def event(self, number, **members):
        return {"action": "user.login", "id": f"event-{number}", "outcome": "success",
                "occurred_at": "2026-01-01T00:00:05.000000Z", "severity": "low", **members}

    def entry(self, event=None, class_=1, split=None, rest=None, leaf_id=None, **changed):
        """One record. `split`, `rest`, `leaf_id`: in place of what the policy and the event give."""
        seq = len(self.leaves)
        event = self.event(seq, actor={"id": "u", "name": f"N{seq}"}, reason="r") \
            if event is None else event
        parts = [p for p in (self.erasable if split is None else split) if check.exists(event, p)]
        left = json.loads(check.json_write(event))
        members = []
        for pointer in parts:
            *above, last = check.tokens(pointer)
            holder = left
            for token in above:
                holder = holder[token]
            salt = self.random.randbytes(16)
            members.append({"p": pointer, "s": text64(salt), "v": check.json_write(holder.pop(last))})
        salt0 = self.random.randbytes(16)
        rest = check.json_write(left) if rest is None else rest
        commit = self.commit(salt0, rest, members)
        rule = next((each for each in self.classes if each["class"] == class_), {"days": 0})
        basis = self.time
        if rule.get("basis") and "occurred_at" in event:
            basis = min(max(check.rfc3339(event["occurred_at"]), 0), self.time)
        id_ = check.id_of(event["id"]) if leaf_id is None else leaf_id
        fields = {"flags": int(bool(members)), "class_": class_, "id_": id_,
                  "retain": check.retain_until(basis, rule["days"]), **changed}
        self.push(self.leaf(check.ENTRY, commit, **fields))
        self.openings[seq] = {"rest": rest, "salt": text64(salt0), "members": members}
        return seq

    @staticmethod
    def commit(salt0, rest, members):
        raw = rest.encode()
        data = b"\4" + salt0 + len(raw).to_bytes(4, "big") + raw + len(members).to_bytes(2, "big")
        for each in members:
            name = each["p"].encode()
            size = len(name).to_bytes(2, "big")
            digest = check.sha(b"\3", base64.b64decode(each["s"]), size, name, each["v"].encode())
            data += size + name + digest
        return check.sha(data)

    def digest_of(self, member):
        name = member["p"].encode()
        return text64(check.sha(b"\3", base64.b64decode(member["s"]), len(name).to_bytes(2, "big"),
                                name, member["v"].encode()))

    def gone(self, seq, state):
        self.openings[seq] = {"state": state}

    def member_gone(self, seq, pointer, withheld=False):
        members = self.openings[seq]["members"]
        for at, member in enumerate(members):
            if member["p"] == pointer:
                more = {"w": True} if withheld else {}
                members[at] = {"p": pointer, "d": self.digest_of(member), **more}

    def wait(self, seconds):
        self.time += seconds * SECOND

    # Checkpoints

    def body(self, root=None, origin=None, size=None):
        size = len(self.leaves) if size is None else size
        return f"{origin or self.origin}\n{size}\n{text64(root or self.tree.root())}\n".encode()

    def checkpoint(self, signers=None, stamp=None, witnessed=False, kept=True, **body):
        """Signs the tree as it is. `signers`: in place of log key and epoch key."""
        body = self.body(**body)
        stamp = self.time // SECOND if stamp is None else stamp
        signers = list(signers or (self.log, self.epoch_key)) + [self.witness] * witnessed
        note = (body.decode() + "\n" + "".join(s.line(body, stamp) for s in signers)).encode()
        self.newest = note
        if kept:
            self.notes[len(self.leaves)] = note
        return note

    def epoch_leaf(self, to=None, key=None, seal=True, **payload):
        """The change to the next epoch, at its first second, and the seal."""
        to = self.epoch + 1 if to is None else to
        self.time = max(self.time, START + to * self.epoch_seconds * SECOND)
        key = key or self.new_epoch_key(to)
        self.control("EPOCH", {"from": self.epoch, "to": to, "epoch_key": key.vkey, **payload})
        if seal:
            self.checkpoint()
        for _ in range(to - self.epoch):
            self.k = hmac.digest(self.k, b"tallystick/v1 next\1", "sha256")
        self.epoch, self.epoch_key = to, key

    def approve(self, kind, payload, signer=None):
        plain = check.json_write(payload)
        text = f"tallystick/v1 approval\n{self.origin}\n{kind}\n{plain}\n".encode()
        signer = signer or self.approver
        return {**payload, "approval": text64(signer.id + signer.sign(text))}

    def anchor(self, token=b"a token", **changed):
        size = len(self.leaves)
        seq = self.control("ANCHOR", {"kind": "object", "size": size, "ref": "r",
                                      "root": text64(self.tree.root()),
                                      "digest": hashlib.sha256(token).hexdigest(), **changed})
        self.anchors[seq] = token
        return seq

    def rotate(self, mac=False, signers=None):
        old, self_log = self.log, Signer(self.origin, 1, f"{self.seed} rotated {len(self.leaves)}")
        payload = {"log_key": self_log.vkey}
        k0 = hashlib.sha256(f"K0 {len(self.leaves)}".encode()).digest()
        if mac:
            payload["mac_id"] = hashlib.sha256(b"\6" + k0).hexdigest()
        self.control("KEY", payload)
        self.log = self_log
        if mac:
            self.k0 = k0
            self.begin_mac(k0)
            self.mac_lines.append(self.mac_line())
        self.checkpoint(signers or [old, self_log, self.epoch_key])

    def restore(self, **changed):
        old, root = self.origin, self.tree.root()
        size = len(self.leaves)
        self.origin = f"{old}-{size}"
        self.epoch = (self.time - START) // (self.epoch_seconds * SECOND)
        self.incarnation += 1
        self.new_keys(size)
        self.mac_lines.append(self.mac_line())
        self.control("RESTORE", {
            "origin": self.origin, "log_key": self.log.vkey, "epoch_key": self.epoch_key.vkey,
            "mac_id": self.mac_id, "from_origin": old, "from_size": size, "from_root": text64(root),
            "lost_size": size + 5, "reason": "disk", **changed})
        self.checkpoint()

    # Files

    def trust(self, quorum=False, approver=True):
        lines = list(self.trust_lines)
        lines += [f"#tally approver {self.approver.vkey}"] if approver else []
        lines += [f"witness w {self.witness.vkey}", "quorum " + ("w" if quorum else "none")]
        return "\n".join(lines) + "\n"

    def opening_lines(self, complete=True):
        lines = []
        for seq, leaf in enumerate(self.leaves):
            if complete or seq in self.openings:
                lines.append({"leaf": text64(leaf), "seq": seq, **self.openings.get(seq, {})})
        header = {"complete": complete, "count": len(lines), "format": "tallystick/v1 openings",
                  "origin": self.origin, "size": len(self.leaves)}
        return [check.json_write(each).encode() + b"\n" for each in [header, *lines]]

    def files(self, complete=True):
        """The bundle: path -> bytes."""
        files = {"checkpoint": self.newest, "openings.ndjson": b"".join(self.opening_lines(complete))}
        files |= {f"checkpoints/{size}": note for size, note in self.notes.items()}
        files |= {f"anchors/{seq}": token for seq, token in self.anchors.items()}
        files |= tiles_of(self.leaves)
        return files

    def write(self, folder, **options):
        write_files(folder, self.files(**options))


def tiles_of(leaves):
    """Tiles of hashes and entries: path -> bytes."""
    files, rows = {}, {}

    def on_hash(level, digest):
        rows.setdefault(level, []).append(digest)

    tree = check.Tree(on_hash)
    for leaf in leaves:
        tree.push(check.leaf_hash(leaf))
    rows["entries"] = [len(leaf).to_bytes(2, "big") + leaf for leaf in leaves]
    for level, parts in rows.items():
        for at in range(0, len(parts), 256):
            some = parts[at:at + 256]
            files[check.tile_path(level, at // 256, len(some))] = b"".join(some)
    return files


def proof_of(leaves, index, note):
    """A tlog-proof of one leaf."""
    def root(some):
        tree = check.Tree()
        for each in some:
            tree.push(check.leaf_hash(each))
        return tree.root()

    def path(at, some):
        if len(some) == 1:
            return []
        k = 1 << (len(some) - 1).bit_length() - 1
        if at < k:
            return path(at, some[:k]) + [root(some[k:])]
        return path(at - k, some[k:]) + [root(some[:k])]

    lines = ["c2sp.org/tlog-proof@v1", f"extra {text64(leaves[index])}", f"index {index}"]
    lines += [text64(each) for each in path(index, leaves)]
    return ("\n".join(lines) + "\n\n").encode() + note


def write_files(folder, files):
    for path, data in files.items():
        where = os.path.join(folder, path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "wb") as file:
            file.write(data)
