"""A witness for tests (c2sp.org/tlog-witness), in the standard library alone; it can misbehave.

Not for use: the signing is slow, and not in constant time.
"""
import base64
import hashlib
import http.server
import threading
import time

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


def recover_x(y, sign):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P:
        raise ValueError("no point of the curve")
    return P - x if x & 1 != sign else x


BASE = (recover_x(BASE_Y, 0), BASE_Y, 1, recover_x(BASE_Y, 0) * BASE_Y % P)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(s, p):
    q = (0, 1, 1, 0)
    while s > 0:
        if s & 1:
            q = add(q, p)
        p = add(p, p)
        s >>= 1
    return q


def compress(p):
    z = pow(p[2], P - 2, P)
    x, y = p[0] * z % P, p[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x = recover_x(y, sign)
    return (x, y, 1, x * y % P)


def secret(seed):
    h = hashlib.sha512(seed).digest()
    a = int.from_bytes(h[:32], "little") & (1 << 254) - 8 | 1 << 254
    return a, h[32:]


def public(seed):
    return compress(multiply(secret(seed)[0], BASE))


def sign(seed, message):
    a, prefix = secret(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    big_r = compress(multiply(r, BASE))
    h = int.from_bytes(hashlib.sha512(big_r + public(seed) + message).digest(), "little") % L
    return big_r + ((r + h * a) % L).to_bytes(32, "little")


def verify(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left = multiply(s, BASE)
    right = add(decompress(signature[:32]), multiply(h, decompress(key)))
    return s < L and compress(left) == compress(right)


def key_id(name, kind, key):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def is_consistent(old, new, old_root, new_root, proof):
    """RFC 9162, 2.1.4.2."""
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for item in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(item, fr), node(item, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, item)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == new_root


class Witness:
    """Knows logs by the verifier keys it was given. `mode` says what it does wrong, if anything."""

    def __init__(self, name="witness.example/w1", seed=b"w" * 32):
        self.name, self.seed, self.key = name, seed, public(seed)
        self.mode = "honest"
        self.logs = {}     # origin: (key id, public key)
        self.seen = {}     # origin: (size, root)
        self.requests = []  # bodies

    @property
    def vkey(self):
        typed = base64.b64encode(b"\x04" + self.key).decode()
        return f"{self.name}+{key_id(self.name, 4, self.key).hex()}+{typed}"

    def trust(self, vkey):
        name, _, typed = vkey.split("+", 2)
        raw = base64.b64decode(typed)
        self.logs[name] = (key_id(name, raw[0], raw[1:]), raw[1:])

    def cosign(self, body, seed=None):
        now = int(time.time())
        signature = sign(seed or self.seed, b"cosignature/v1\ntime %d\n" % now + body)
        blob = key_id(self.name, 4, self.key) + now.to_bytes(8, "big") + signature
        return f"\u2014 {self.name} {base64.b64encode(blob).decode()}\n".encode()

    def add_checkpoint(self, request):
        """Returns status, type and body of the answer."""
        self.requests.append(request)
        text = "text/plain; charset=utf-8"
        head, _, note = request.partition(b"\n\n")
        first, *proof = head.decode().split("\n")
        old = int(first.removeprefix("old "))
        body, _, lines = note.partition(b"\n\n")
        body += b"\n"
        origin, size, root = body.decode().split("\n")[:3]
        size, root = int(size), base64.b64decode(root)
        if origin not in self.logs:
            return 404, text, b"unknown log\n"
        if not self.is_signed(origin, body, lines):
            return 403, text, b"no signature of a known key\n"
        if old > size:
            return 400, text, b"old is above the size\n"
        known, known_root = self.seen.get(origin, (0, b""))
        if old != known or (known == size and known_root != root):
            return 409, "text/x.tlog.size", b"%d\n" % known
        hashes = [base64.b64decode(line) for line in proof]
        if known > 0 and not is_consistent(known, size, known_root, root, hashes):
            return 422, text, b"the proof does not hold\n"
        self.seen[origin] = (size, root)
        return 200, text, self.cosign(body)

    def is_signed(self, origin, body, lines):
        wanted, key = self.logs[origin]
        for line in lines.decode().splitlines():
            _, name, blob = line.split(" ")
            raw = base64.b64decode(blob)
            if name == origin and raw[:4] == wanted and verify(key, body, raw[4:]):
                return True
        return False

    def answer(self, request):
        if self.mode.isdigit():
            return int(self.mode), "text/plain", b"no\n"
        status, kind, text = self.add_checkpoint(request)
        if status != 200:
            return status, kind, text
        body = request.partition(b"\n\n")[2].partition(b"\n\n")[0] + b"\n"
        if self.mode == "garbage":
            return 200, kind, b"\xff\x00 what?\n" * 10
        if self.mode == "wrong-key":
            return 200, kind, self.cosign(body, b"x" * 32)
        if self.mode == "other-tree":
            return 200, kind, self.cosign(body.replace(b"\n", b"x\n", 1))
        if self.mode == "other-name":
            return 200, kind, Witness("witness.example/other").cosign(body)
        if self.mode == "among-others":
            return 200, kind, Witness("witness.example/other").cosign(body) + text
        if self.mode == "empty":
            return 200, kind, b""
        return 200, kind, text


class Server:
    """Serves `answer(path, headers, body) -> (status, type, body)` on a port of this machine. `mode`:
    "slow" waits, "closed" hangs up, "oversized" never ends, "redirect" points back at itself."""

    def __init__(self, answer):
        outer = self
        self.mode = ""
        self.paths = []
        self.headers = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):  # only after a redirect that should not have been followed
                outer.paths.append("GET " + self.path)
                self.send_error(500)

            def do_POST(self):
                outer.paths.append(self.path)
                outer.headers.append(dict(self.headers))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if outer.mode == "slow":
                    outer.stop.wait(30)
                if outer.mode in ("slow", "closed"):
                    self.close_connection = True
                    return
                if outer.mode == "redirect":
                    self.send_response(302)
                    self.send_header("Location", outer.url + "/elsewhere")
                    self.end_headers()
                    return
                status, kind, text = answer(self.path, dict(self.headers), body)
                if outer.mode == "oversized":
                    text = b"x" * (1 << 20)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                try:
                    self.wfile.write(text)
                except OSError:
                    pass  # the client has had enough

        self.stop = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()
