#!/usr/bin/env python3
"""Checks the shape of the source tree, which no compiler does.

usage: check_tree.py [ROOT]

Prints one line `FILE:LINE: what is wrong` per finding and exits with 1 if there is any. A line that
is right all the same says so in a comment, `/* check_tree: ok, WHY */`; a waiver that waives
nothing is itself a finding.
"""
import pathlib
import re
import sys

# What each folder of src/ may include besides itself, the public headers and the C library.
# Folders are listed from the bottom up, and a folder may only name folders above its own line:
# there is no way round, and no cycle.
MAY_INCLUDE = {
    "base": "",
    "crypto": "base",
    "codec": "base",
    "model": "base codec",
    "tree": "base crypto",
    "evidence": "base crypto codec model tree",
    "spool": "base",
    "schedule": "base",
    "store": "base codec model tree",
    "verify": "base crypto codec model tree evidence store",
    "bundle": "base crypto codec model tree evidence store verify",
    "retain": "base crypto codec model tree evidence store",
    "project": "base crypto codec model tree evidence store",
    "ledger": "base crypto codec model tree evidence spool schedule store verify bundle retain project",
    "show": "base codec",
    "server": "base crypto codec show",  # anything about ledgers through <tally/...> alone
    # Likewise; lexigram_rows.h knows nothing of ledgers, and has to live where sqlite3.h may be used.
    "cli": "base codec show server/server.h store/lexigram_rows.h",
}

# These folders compute over bytes: time, randomness and files come in as arguments.
PURE = {"codec", "model", "tree", "evidence"}
IMPURE_HEADERS = {f"base/{name}.h" for name in ("clock", "io", "net", "random", "thread")}

# Third-party headers have one home each. All others are refused.
HOMES = {
    "openssl/": "src/crypto/",
    "sqlite3.h": "src/store/",
    "libpq-fe.h": "src/store/",
    "pcre2.h": "src/model/",
    "yaml.h": "src/codec/",
    "zlib.h": "src/codec/",
    "zstd.h": "src/codec/",
    "curl/": "src/project/",
    "git2.h": "src/project/",
    "microhttpd.h": "src/server/",
    "seccomp.h": "src/server/sandbox.c",
    "cmocka.h": "tests/support/check.h",
    "jansson.h": "tests/",
    "dlfcn.h": "tests/embed/",
    "nbdkit-plugin.h": "tests/crash/disk_log.c",
}
# Tests and benchmarks may take a third-party header anywhere, but cmocka through check.h only.
FREE_IN_TESTS = set(HOMES) - {"cmocka.h"}
# Examples are programs around the library, and use what such programs use.
FREE_IN_EXAMPLES = {"microhttpd.h"}

C_HEADERS = set("""assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp
signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath time
uchar wchar wctype""".split())

SYSTEM_HEADERS = set("""dirent endian fcntl fnmatch ftw getopt grp langinfo libgen netdb poll pthread pwd
regex sched semaphore spawn strings syslog termios unistd arpa/inet linux/futex net/if netinet/in
netinet/tcp sys/epoll sys/eventfd sys/file sys/ioctl sys/mman sys/personality sys/prctl sys/ptrace sys/random sys/resource sys/select
sys/signalfd sys/socket sys/stat sys/statvfs sys/syscall sys/time sys/timerfd sys/timex sys/types sys/uio
sys/un sys/wait""".split())

# Tests that belong to no folder of src/, because they hold the whole against something else.
TESTS_OF_ALL = {"compat"}

LINES_MAX = {".c": 800, ".h": 400}


def call(*names):
    """A pattern for a call of one of these functions, but not of x_name() or x->name()."""
    return r"(?<![\w.>])(?:" + "|".join(names) + r")\s*\("


# (pattern, what to do instead, where it is allowed: prefixes of paths)
RULES = [
    (call("v?sprintf", "str(?:cpy|cat|ncpy|ncat|tok)", "gets"),
     "use snprintf, tl_buf or memcpy with a checked length", ()),
    (call("ato[ifl]l?", "v?f?scanf", "v?sscanf"), "use tl_parse_*()", ()),
    (call("strto\\w+"), "use tl_parse_*()", ("examples/",)),
    (call("gmtime", "localtime", "asctime", "ctime", "strerror", "s?rand(?:om)?", "tmpnam",
          "setlocale"), "not thread-safe", ()),
    (call("alloca"), "unbounded stack", ()),
    (call("malloc", "calloc", "realloc", "reallocarray", "free", "strn?dup", "v?asprintf"),
     "use tl_alloc_*() and tl_free()", ("src/base/alloc.c", "examples/")),
    (call("open", "openat", "creat", "fopen", "pread", "pwrite", "fsync", "fdatasync", "rename",
          "renameat", "unlink", "ftruncate", "posix_fallocate", "flock"),
     "use base/io.h, where tests inject faults", ("src/base/io.c", "tests/", "examples/")),
    (call("mmap", "mmap64", "msync"), "a mapped file turns a full disk into SIGBUS; use base/io.h",
     ("tests/",)),
    (call("time", "clock_gettime", "gettimeofday"), "use base/clock.h",
     ("src/base/clock.c", "tests/")),
    (call("getrandom", "getentropy", "arc4random\\w*", "RAND_\\w+"), "use base/random.h",
     ("src/base/random.c", "tests/")),
    (call("socket", "connect", "bind", "listen", "accept4?", "sendto", "recvfrom", "getaddrinfo"),
     "use base/net.h", ("src/base/net.c", "src/server/service.c", "src/server/socket.c", "tests/",
                          "examples/")),
    (call("getenv", "secure_getenv"), "configuration is read by server/ and cli/ alone",
     ("src/server/service.c", "src/cli/", "tests/")),
    (call("exit", "_exit", "quick_exit"), "return a status; only main() ends the process",
     ("src/cli/main.c", "tests/", "examples/")),
    (call("fork", "vfork", "system", "popen", "posix_spawnp?"), "no child processes",
     ("tests/", "examples/")),
    (call("printf", "puts", "putchar", "perror", "fprintf", "vfprintf", "syslog"),
     "the library does not talk: return an error or call the log function",
     ("src/base/error.c", "src/cli/", "src/server/", "tests/", "examples/")),
    (call("memcmp") + r"[^;]*(?:mac|hmac|token|secret|password|key\b)", "use tl_equal_const_time()",
     ("tests/",)),
    (r"\b(?:mtx|cnd|thrd|tss)_\w+\s*\(", "use base/thread.h: sanitizers do not know <threads.h>",
     ()),
    (r"\b_Atomic\b|\batomic_\w+", "atomics are for spool/ and the counters of base/; use a mutex",
     ("src/base/", "src/spool/", "tests/")),
    (r"\bgoto\b", "use TL_CLEANUP and return early", ()),
    (r"//", "// marks what is not ready to commit; use /* */", ()),
    (r"^\s*#\s*pragma\b", "no pragmas", ()),
    (r"^\s*typedef\s+(?:struct|union)\b", "write struct; typedef is for function types", ()),
    (r"\bFIXME\b|\bXXX\b", "finish it or open an issue", ()),
]
COMMENT_RULES = [
    (r"\bTODO\b(?!\(#\d+\))", "write TODO(#issue)"),
    (r"\bFIXME\b|\bXXX\b", "finish it or open an issue"),
]
WAIVER = re.compile(r"/\* check_tree: ok, \S.*\*/")
INCLUDE = re.compile(r'\s*#\s*include\s+([<"])([^>"]+)[>"]')
FILE_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\.[ch]$")


def blank(match):
    """Replaces a comment or literal by spaces, keeping its lines."""
    return re.sub(r"[^\n]", " ", match.group())


def code_of(text):
    return re.sub(r"/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


class Checker:
    def __init__(self, root):
        self.root = root
        self.findings = []

    def say(self, path, line, what):
        self.findings.append((path, line, what))

    def check_file(self, path):
        rel = path.relative_to(self.root).as_posix()
        text = path.read_text(encoding="utf-8")
        lines, code = text.split("\n"), code_of(text).split("\n")
        count = len(lines) - 1
        if count > LINES_MAX[path.suffix]:
            self.say(rel, count, f"{count} lines, the limit is {LINES_MAX[path.suffix]}")
        if not FILE_NAME.match(path.name):
            self.say(rel, 1, "file names are lower case: noun.c, noun_detail.c")
        for number, (line, bare) in enumerate(zip(lines, code), 1):
            self.check_line(rel, number, line, bare)
        if path.suffix == ".h":
            self.check_header(rel, text)
        elif rel.startswith("src/"):
            self.check_own_header(path, rel, lines)

    def check_line(self, rel, number, line, bare):
        found = [why for pattern, why, homes in RULES
                 if re.search(pattern, bare) and not rel.startswith(tuple(homes))]
        comment = line if bare != line else ""
        found += [why for pattern, why in COMMENT_RULES if re.search(pattern, comment)]
        if any(ord(c) < 32 or 0x202A <= ord(c) <= 0x2069 for c in line):
            found.append("control character")
        include = INCLUDE.match(line)
        if include:
            found += self.check_include(rel, *include.groups())
        if WAIVER.search(line):
            found = [] if found else ["this waiver waives nothing"]
        for why in dict.fromkeys(found):
            self.say(rel, number, why)

    def check_include(self, rel, quote, name):
        parts = rel.split("/")
        if parts[0] == "include" and (quote == '"' or not self.is_public_or_c(name)):
            return ["a public header includes C headers and <tally/...> only"]
        if parts[0] == "examples" and quote == '"':
            return ["an example uses the public headers only"]
        if quote == "<":
            return self.check_system_include(rel, name)
        if parts[0] != "src":
            return []
        folder, other = parts[1], name.split("/")[0]
        if "/" not in name:
            return ["name the folder: #include \"folder/header.h\""]
        if folder in PURE and name in IMPURE_HEADERS:
            return [f"{folder}/ is pure: take what {name} would give as an argument"]
        allowed = MAY_INCLUDE.get(folder, "").split()
        if other == folder or other in allowed or name in allowed:
            return []
        return [f"{folder}/ may not include {name}"]

    @staticmethod
    def is_public_or_c(name):
        return name.startswith("tally/") or name.removesuffix(".h") in C_HEADERS

    def check_system_include(self, rel, name):
        if name == "threads.h":
            return ["use base/thread.h"]
        if self.is_public_or_c(name) or name.removesuffix(".h") in SYSTEM_HEADERS:
            return []
        for prefix, home in HOMES.items():
            if name == prefix or (prefix.endswith("/") and name.startswith(prefix)):
                if rel.startswith("tests/") and prefix in FREE_IN_TESTS:
                    return []
                if rel.startswith("examples/") and prefix in FREE_IN_EXAMPLES:
                    return []
                return [] if rel.startswith(home) else [f"only {home} may include <{name}>"]
        return [f"<{name}> has no home: add it to HOMES or SYSTEM_HEADERS in check_tree.py"]

    def check_header(self, rel, text):
        short = rel.removeprefix("include/").removeprefix("src/")
        guard = re.sub(r"[^A-Z0-9]", "_", short.upper())
        if rel.startswith("src/"):
            guard = "TL_" + guard
        elif rel.startswith("tests/"):
            guard = re.sub(r"[^A-Z0-9]", "_", f"TESTS_{rel.split('/')[-1]}".upper())
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            self.say(rel, 1, f"the include guard should be {guard}")
        if not re.match(r"/\*\s*(?:\* )?" + re.escape(rel if rel.startswith("tests/") else short)
                        + r" - \w", text):
            self.say(rel, 1, f"the header should open with /* {short} - what it is for. */")

    def check_own_header(self, path, rel, lines):
        header = path.with_suffix(".h")
        if not header.exists():
            return
        own = f'"{path.parent.name}/{header.name}"'
        first = next((line for line in lines if INCLUDE.match(line)), "")
        if own not in first:
            self.say(rel, 1, f"include {own} first, to prove that it stands alone")

    def check_folders(self):
        below = set()
        for folder, allowed in MAY_INCLUDE.items():
            for other in allowed.split():
                if other.split("/")[0] not in below:
                    self.say("tools/check_tree.py", 1, f"{folder} may not name {other}: not below it")
            below.add(folder)
        for path in sorted((self.root / "src").iterdir()):
            if path.is_dir() and path.name not in MAY_INCLUDE:
                self.say(f"src/{path.name}", 1, "unknown folder: add it to MAY_INCLUDE")
        for path in sorted((self.root / "tests").rglob("test_*.c")):
            folder = path.relative_to(self.root / "tests").parts[0]
            if folder not in TESTS_OF_ALL and not (self.root / "src" / folder).is_dir():
                self.say(path.relative_to(self.root).as_posix(), 1, f"tests of no folder: src/{folder}")

    def run(self):
        self.check_folders()
        for top in ("include", "src", "tests", "examples"):
            for path in sorted((self.root / top).rglob("*.[ch]")):
                self.check_file(path)
        return self.findings


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else ".").resolve()
    findings = Checker(root).run()
    for path, line, what in findings:
        print(f"{path}:{line}: {what}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
