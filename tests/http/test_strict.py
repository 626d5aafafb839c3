#!/usr/bin/env python3
"""Requests that could be understood in two ways: one refusal and a closed connection, never a second
answer. Behind each one stands a request that must not be answered."""
import re
import socket
import unittest

from server import HttpCase, main

BEHIND = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
EVENT = b'{"action":"smuggled.event"}'
CONTROLS = [n for n in range(32) if n not in (9, 10, 13)] + [127]
SEPARATORS = '"(),/;<=>?@[\\]{}'


def get(*lines, path=b"/version", version=b"HTTP/1.1", host=True, end=b"\r\n"):
    first = b"GET " + path + b" " + version
    return end.join([first, *([b"Host: a"] if host else []), *lines, b"", b""])


def both_framings():
    for length in (b"0", b"3", b"27", b"4096"):
        for first, second in [(b"Content-Length: " + length, b"Transfer-Encoding: chunked"),
                              (b"Transfer-Encoding: chunked", b"Content-Length: " + length)]:
            for method in (b"GET", b"POST"):
                head = method + b" /v1/events HTTP/1.1\r\nHost: a\r\n" + first + b"\r\n" + second
                yield f"both {method} {first} {length}", head + b"\r\n\r\n0\r\n\r\n", 400
    yield "both in capitals", get(b"CONTENT-LENGTH: 5", b"TRANSFER-ENCODING: CHUNKED"), 400
    yield "both and identity", get(b"Content-Length: 5", b"Transfer-Encoding: identity"), 400


def lengths():
    for a, b in [(b"0", b"0"), (b"5", b"5"), (b"5", b"6"), (b"0", b"27"), (b"27", b"0"),
                 (b"5", b"05"), (b"5", b""), (b"", b"5")]:
        yield f"two lengths {a} {b}", get(b"Content-Length: " + a, b"Content-Length: " + b), 400
        yield f"two lengths apart {a} {b}", get(b"Content-Length: " + a, b"X-A: b",
                                                b"content-length: " + b), 400
    for bad in [b"+5", b"-5", b"-0", b"+0", b"0x5", b"5.0", b"5 5", b"5,5", b"5, 5", b"5,", b",5",
                b"5;", b"5a", b"a", b"1e1", b"'5'", b'"5"', b"", b" ", b"\xd9\xa5", b"5\xa0", b"5\t5",
                b"0 ,", b"0b1", b"5_0", b"\xef\xbc\x95", b"NaN", b"0x", b"--5", b"++5", b"5-", b"5+"]:
        yield f"length {bad}", get(b"Content-Length: " + bad), 400
    for huge in [b"9" * 19, b"9" * 20, b"18446744073709551615", b"18446744073709551616",
                 b"18446744073709551621", b"4294967296", b"1" + b"0" * 40]:
        yield f"huge length {huge}", get(b"Content-Length: " + huge), (400, 413)


def codings():
    for bad in [b"gzip", b"identity", b"compress", b"deflate", b"xchunked", b"chunkedx", b"chunke",
                b"chunked, chunked", b"chunked,chunked", b"gzip, chunked", b"chunked, gzip",
                b"identity, chunked", b"chunked, identity", b"chunked;a=b", b"chunked ;", b"chunked,",
                b",chunked", b'"chunked"', b"'chunked'", b"", b"chunk ed", b"chunked\xa0",
                b"\xe2\x80\x8bchunked", b"chunked chunked", b"trailers", b"=chunked", b"chunked=1"]:
        yield f"coding {bad}", get(b"Transfer-Encoding: " + bad), 400
    for a, b in [(b"chunked", b"chunked"), (b"chunked", b"identity"), (b"identity", b"chunked"),
                 (b"gzip", b"chunked"), (b"chunked", b"")]:
        yield f"two codings {a} {b}", get(b"Transfer-Encoding: " + a, b"Transfer-Encoding: " + b), 400
    yield "coding in 1.0", get(b"Transfer-Encoding: chunked", version=b"HTTP/1.0"), 400


def hosts():
    yield "no host", get(host=False), 400
    yield "no host but others", get(b"X-Host: a", b"X-Forwarded-Host: a", host=False), 400
    for other in [b"Host: a", b"Host: b", b"host: a", b"HOST: b", b"Host:", b"hOsT: a"]:
        yield f"two hosts {other}", get(other), 400
        yield f"two hosts apart {other}", get(b"X-A: b", other), 400
    yield "two hosts in 1.0", get(b"Host: b", version=b"HTTP/1.0"), 400


def spaces():
    for name in [b"X-A", b"Content-Length", b"Transfer-Encoding", b"Authorization"]:
        for space in [b" ", b"\t", b"  ", b" \t"]:
            yield f"space before colon {name}{space}", get(name + space + b": 5"), 400
    yield "space before colon of host", get(b"Host : a", host=False), 400
    yield "space in a name", get(b"X A: b"), 400
    yield "tab in a name", get(b"X\tA: b"), 400
    yield "no name", get(b": b"), 400
    yield "no colon", get(b"X-A"), 400
    yield "no colon but spaces", get(b"X-A b"), 400


def folds():
    for fold in [b" ", b"\t", b"   ", b" \t "]:
        yield f"fold {fold}", get(b"X-A: b", fold + b"c"), 400
        yield f"fold at first {fold}", get(fold + b"c", host=False), 400
        yield f"folded host {fold}", get(b"Host:", fold + b"a", host=False), 400
        yield f"folded length {fold}", get(b"Content-Length:", fold + b"5"), 400
        yield f"folded coding {fold}", get(b"Transfer-Encoding:", fold + b"chunked"), 400
        yield f"fold of nothing {fold}", get(b"X-A: b", fold), 400


def ends():
    yield "bare LF everywhere", get(end=b"\n"), 400
    yield "bare LF after the request line", b"GET /version HTTP/1.1\nHost: a\r\n\r\n", 400
    yield "bare LF after a header", b"GET /version HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", 400
    yield "bare LF at the end", b"GET /version HTTP/1.1\r\nHost: a\r\n\n", 400
    yield "two bare LF", b"GET /version HTTP/1.1\r\nHost: a\n\n", 400
    yield "bare LF hides a header", b"GET /version HTTP/1.1\r\nHost: a\r\nX-A: b\nContent-Length: 5\r\n\r\n", 400
    yield "bare CR after a header", b"GET /version HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n", 400
    yield "bare CR in a value", get(b"X-A: b\rc"), 400
    yield "bare CR hides a length", get(b"X-A: b\rContent-Length: 5"), 400
    yield "bare CR in the request line", b"GET /version\r HTTP/1.1\r\nHost: a\r\n\r\n", 400
    yield "CR CR LF", b"GET /version HTTP/1.1\r\nHost: a\r\r\n\r\n", 400
    yield "CR CR LF at the end", b"GET /version HTTP/1.1\r\nHost: a\r\n\r\r\n", 400


def controls():
    for n in CONTROLS:
        c = bytes([n])
        yield f"control {n} in a value", get(b"X-A: b" + c + b"c"), 400
        yield f"control {n} ends a value", get(b"X-A: b" + c), 400
        yield f"control {n} in a name", get(b"X" + c + b"A: b"), 400
        yield f"control {n} ends a name", get(b"X-A" + c + b": b"), 400
        yield f"control {n} in the host", get(b"Host: a" + c, host=False), 400
        yield f"control {n} in a length", get(b"Content-Length: 5" + c), 400
        yield f"control {n} in a coding", get(b"Transfer-Encoding: chunked" + c), 400
        yield f"control {n} in the path", get(path=b"/ver" + c + b"sion"), 400
        yield f"control {n} in the query", get(path=b"/version?a=" + c), 400
    for n in (0x80, 0xA0, 0xC3, 0xFF):
        yield f"byte {n} in a name", get(b"X" + bytes([n]) + b"A: b"), 400
        yield f"byte {n} in the path", get(path=b"/version" + bytes([n])), (400, 404)
    for c in SEPARATORS:
        yield f"separator {c} in a name", get(b"X" + c.encode() + b"A: b"), 400


def request_lines():
    for line in [b"GET", b"GET /version", b"GET  /version HTTP/1.1", b"GET /version  HTTP/1.1",
                 b"GET\t/version\tHTTP/1.1", b" GET /version HTTP/1.1", b"GET /version HTTP/1.1 ",
                 b"GET /version HTTP/1.1 x", b"GET /ver sion HTTP/1.1", b"GET /version http/1.1",
                 b"GET /version HTTP/1.2", b"GET /version HTTP/2.0", b"GET /version HTTP/0.9",
                 b"GET /version HTTP/11", b"GET /version HTTP/1.10", b"GET /version HTTP/1",
                 b"GET /version HTTP/ 1.1", b"GET /version HTTPS/1.1", b"GET /version HTTP/1.1a",
                 b"GET /version HTTP/+1.1", b"GET /version HTTP/1.+1", b"/version HTTP/1.1",
                 b"G(T /version HTTP/1.1", b"G\xffT /version HTTP/1.1", b"PRI * HTTP/2.0",
                 b"HTTP/1.1 200 OK", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                 b"GET /version\x00 HTTP/1.1"]:
        yield f"request line {line}", line + b"\r\nHost: a\r\n\r\n", (400, 404, 405, 501, 505)


def sizes():
    for n in (17, 20, 30):
        yield f"one header of {n} KiB", get(b"X-A: " + b"b" * (n << 10)), 431
        yield f"headers of {n} KiB", get(*[b"X-%d: " % i + b"b" * 90 for i in range(n * 10 + 20)]), 431
    for n in (40, 100):
        yield f"one header of {n} KiB", get(b"X-A: " + b"b" * (n << 10)), (413, 431)
        yield f"a path of {n} KiB", get(path=b"/" + b"a" * (n << 10)), (414, 431)
        yield f"a name of {n} KiB", get(b"X" * (n << 10) + b": b"), (413, 431)
    yield "a thousand headers", get(*[b"X-%d: b" % i for i in range(2000)]), 431
    yield "a path of 17 KiB", get(path=b"/" + b"a" * (17 << 10)), (404, 414, 431)


CASES = [case for group in (both_framings, lengths, codings, hosts, spaces, folds, ends, controls,
                            request_lines, sizes) for case in group()]

# What libmicrohttpd 0.9.75 settles before we can see it: patterns of names, and the answers that come.

# It closes the connection without a word.
SILENT = [r"^request line b'GET'$", r"^request line b'GET /version  HTTP", r"^request line b'GET.t/",
          r"^request line b' GET", r"^request line b'GET /ver sion", r"^request line b'.x16"]
# It writes the header block of its own refusals twice; behind the body the connection is closed.
DOUBLED = [r"^length ", r"^huge length ", r"^two lengths.* b'' b'5'$", r"^control \d+ in a length$",
           r"^no host", r"^folded host", r"^space before colon of host$"]
# A NUL is where it takes the path to end. (Both requests are answered for what they then are.)
NUL = {"control 0 in the path": [404], r"request line b'GET /version\x00 HTTP/1.1'": [200, 200]}


def fits(patterns, name):
    return any(re.search(pattern, name) for pattern in patterns)


def answers(name, got):
    if fits(DOUBLED, name):
        got = re.sub(rb"\A(HTTP/1\.1 4\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n)(?=\1)", b"", got)
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", got)]


def chunked(token):
    """Chunks that end elsewhere for somebody else. Refused, or the connection is closed."""
    head = (b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    size = b"%x" % len(EVENT)
    for bad in [b"", b" ", b"g", b"-" + size, b"+" + size, b"0x" + size, b" " + size, b"\t" + size,
                size + b"g", size + b" x", size + b"\x00", size + b"\x0b", b"'" + size + b"'",
                b"f" * 17, b"1" + b"0" * 16 + size,
                size + b",", b"\xff", b"1_0", size + b"." + size]:
        yield f"chunk of size {bad}", head + bad + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"
    good = size + b"\r\n" + EVENT
    for name, rest in [("too long", good + b"x\r\n0\r\n\r\n"), ("without an end", good + b"0\r\n\r\n"),
                       ("ended by CR", good + b"\r0\r\n\r\n"), ("too short", good[:-1] + b"\r\n0\r\n\r\n"),
                       ("size ended by CR", size + b"\r" + EVENT + b"\r\n0\r\n\r\n")]:
        yield f"chunk {name}", head + rest


class Strict(HttpCase):
    def judge(self, name, got, closed, want):
        """None, or what is wrong."""
        wants = want if isinstance(want, tuple) else (want,)
        said = answers(name, got)
        if name in NUL:
            return None if said == NUL[name] else f"{name}: answers {said}; want {NUL[name]}"
        good = [[]] if fits(SILENT, name) else [[status] for status in wants]
        if said in good and closed:
            return None
        return f"{name}: answers {said}, {'closed' if closed else 'open'}; want {good}"

    def run_all(self, cases):
        wrong = []
        for name, data, want in cases:
            got, closed = self.server.raw(data + BEHIND, timeout=2)
            wrong.append(self.judge(name, got, closed, want))
        return [line for line in wrong if line]

    def smuggled(self):
        return self.get("/v1/count?action=smuggled.event&exact=true").json["count"]

    def test_there_are_enough(self):
        names = [name for name, _, _ in CASES]
        self.assertEqual(len(set(names)), len(names))
        self.assertGreaterEqual(len(names), 200)

    def test_each_exception_is_one(self):
        names = [name for name, _, _ in CASES]
        for pattern in SILENT + DOUBLED:
            self.assertTrue(any(re.search(pattern, name) for name in names), pattern)
        self.assertLessEqual(set(NUL), set(names))

    def test_what_is_doubtful_is_refused_once(self):
        self.assertEqual(self.run_all(CASES), [])
        self.get("/healthz")

    def test_chunks_that_are_none_are_never_an_event(self):
        for name, data in chunked(self.tokens["writer"]):
            got, closed = self.server.raw(data + BEHIND, timeout=2)
            said = answers(name, got)
            self.assertTrue(closed, name)
            self.assertIn(said, ([], [400], [413]), name)
        for size in [b"ffffffffffffffff", b"8000000000000000"]:  # goes on, as far as anybody knows
            head = next(chunked(self.tokens["writer"]))[1].partition(b"\r\n\r\n")[0]
            got, _ = self.server.raw(head + b"\r\n\r\n" + size + b"\r\n" + EVENT + BEHIND, timeout=1)
            self.assertEqual(answers("", got), [])
        self.assertEqual(self.smuggled(), 0)

    def test_chunks_that_are_good_are_taken(self):
        token = self.tokens["writer"].encode()
        head = (b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer " + token + b"\r\nTransfer-Encoding: chunked\r\n"
                b"Connection: close\r\n\r\n")
        size = b"%x" % len(EVENT)
        for body in [size + b"\r\n" + EVENT + b"\r\n0\r\n\r\n",
                     size.upper() + b"\r\n" + EVENT + b"\r\n0\r\n\r\n",
                     b"0" + size + b"\r\n" + EVENT + b"\r\n0\r\n\r\n",
                     size + b";a=b\r\n" + EVENT + b"\r\n0\r\n\r\n",
                     size + b"\r\n" + EVENT + b"\r\n0\r\nX-Trailer: a\r\n\r\n",
                     b"".join(b"1\r\n%c\r\n" % byte for byte in EVENT) + b"0\r\n\r\n"]:
            got, closed = self.server.raw(head + body)
            self.assertEqual((answers("", got), closed), ([201], True), body)
        self.assertEqual(self.smuggled(), 6)

    def test_a_head_has_no_body(self):
        """A stream has none either, not even the end of its chunks."""
        line = f"Authorization: Bearer {self.tokens['admin']}\r\n".encode()
        for path in [b"/version", b"/v1/events", b"/v1/exports", b"/v1/tail?after=0", b"/none"]:
            got, _ = self.server.raw(b"HEAD " + path + b" HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n",
                                     timeout=1)
            head, _, body = got.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 "), path)
            self.assertEqual(body, b"", path)

    def test_a_body_is_never_a_request(self):
        """What stands in the body of a request that is refused early is not looked at as one."""
        for method, path, token, want in [
                (b"POST", b"/v1/events", None, 401), (b"POST", b"/v1/events", "reader", 403),
                (b"POST", b"/none", None, 404), (b"PUT", b"/v1/events", None, 405),
                (b"GET", b"/version", None, 413), (b"DELETE", b"/v1/jobs/j1", None, 401),
                (b"POST", b"/v1/events?x=1", "writer", 400), (b"GET", b"/v1/tail", None, 401)]:
            line = f"Authorization: Bearer {self.tokens[token]}\r\n".encode() if token else b""
            for framing, body in [(b"Content-Length: %d" % len(BEHIND), BEHIND),
                                  (b"Transfer-Encoding: chunked",
                                   b"%x\r\n" % len(BEHIND) + BEHIND + b"\r\n0\r\n\r\n")]:
                got, _ = self.server.raw(method + b" " + path + b" HTTP/1.1\r\nHost: a\r\n" + line +
                                         framing + b"\r\n\r\n" + body, timeout=1)
                self.assertEqual(answers("", got), [want], (method, path, framing))

    def test_what_is_not_doubtful_is_answered(self):
        """Spaces around values, lines in front, any letter case, many in one write."""
        good = b""
        for n in range(60):
            more = b"".join(b"X-%d:%sv\r\n" % (i, b" \t"[:i % 3]) for i in range(n))
            good += (b"\r\n" * (n % 2) + b"GET /version%s HTTP/1.1\r\n" % (b"?" if n % 3 == 0 else b"") +
                     b"hOsT:" + b" " * (n % 4) + b"a\r\n" + more + b"\r\n")
        got, closed = self.server.raw(good + get(b"Connection: close"))
        self.assertEqual((answers("", got), closed), ([200] * 61, True))
        got, closed = self.server.raw(b"GET /version HTTP/1.0\r\n\r\n")
        self.assertEqual((answers("", got), closed), ([200], True))

    def test_a_header_block_of_almost_16_kib_is_read(self):
        got, _ = self.server.raw(get(b"X-A: " + b"b" * (15 << 10), b"Connection: close"))
        self.assertEqual(answers("", got), [200])
        got, _ = self.server.raw(get(*[b"X-%d: b" % i for i in range(300)], b"Connection: close"))
        self.assertEqual(answers("", got), [200])

    def test_a_request_that_comes_byte_by_byte_is_one(self):
        with socket.create_connection(self.server.address, timeout=5) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in get(b"X-A: b", b"Connection: close"):
                connection.send(bytes([byte]))
            got = b""
            while more := connection.recv(65536):
                got += more
        self.assertEqual(answers("", got), [200])


if __name__ == "__main__":
    main()
