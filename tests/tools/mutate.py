#!/usr/bin/env python3
"""Changes the verifier a little, again and again: do the tests notice?

usage: mutate.py SOURCE [--count N] [--seed N] [--work DIR] [--skip N] [--minutes N] [--kind hand|rule]
                 [--only TEXT] [--slow] [--list] [--verbose]

Each mutant is one changed place. Those of tests/tools/mutants_by_hand.py are checks that somebody
could forget; all of them must be killed. The others are made by rules at places chosen at random
(--count, --seed): 95 in 100 must be killed, not counting those that do not compile and those of
tests/tools/mutants_equivalent.txt, of which somebody has said why nothing can tell them from the
original. SOURCE is not changed: a copy under DIR is, and a kept DIR makes the next run faster.

The tests are built and run one by one, those that are most likely to fail first; the first that
fails, hangs or crashes kills the mutant. Prints survivors as differences, and one line of JSON.
"""
import argparse
import collections
import difflib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from mutants_by_hand import MUTANTS  # noqa: E402

FILES = [
    "src/verify/*.c", "src/tree/*.c", "src/evidence/content.c", "src/evidence/leaf.c",
    "src/evidence/note.c", "src/evidence/mac.c", "src/evidence/trust.c", "src/evidence/control*.c",
    "src/evidence/erasable.c", "src/evidence/opening.c", "src/bundle/check.c",
]
SUITES = ["verify", "evidence", "tree", "bundle"]
ALSO = ["tests/ledger/test_proof.c", "tests/ledger/test_bundle.c"]
SLOW = ["tests/verify/test_tamper.c"]  # only with --slow: it takes longer than all others together
USERS = {  # folders, and those of the tests that reach them
    "bundle": ["bundle", "ledger"],
    "verify": ["verify", "bundle", "ledger"],
    "evidence": ["evidence", "verify", "bundle", "ledger"],
    "tree": ["tree", "verify", "bundle", "ledger"],
}
EQUIVALENT = pathlib.Path(__file__).with_name("mutants_equivalent.txt")
NEED = 95
HANG_S = 20

# Rules by name. What a rule changes is one match in one line of code.
RULES = [
    ("negated", r"^(\s*(?:\} else )?if \()(.+)(\) \{)$", r"\1!(\2)\3"),
    ("never", r"^(\s*(?:\} else )?if \()(.+)(\) \{)$", r"\1false && (\2)\3"),
    ("equal", r"(?<![=!<>])==(?!=)", "!="),
    ("unequal", r"!=", "=="),
    ("less", r"(?<= )<(?= )", "<="),
    ("at most", r"(?<= )<=(?= )", "<"),
    ("more", r"(?<= )>(?= )", ">="),
    ("at least", r"(?<= )>=(?= )", ">"),
    ("and", r"&&", "||"),
    ("or", r"\|\|", "&&"),
    ("plus", r"(?<=[\w\])] )\+(?= \w)", "-"),
    ("minus", r"(?<=[\w\])] )-(?= \w)", "+"),
    ("constant", r"(?<![\w.\"%])(\d+)(?=[uU]?\b)(?![\w.]*\")", None),
    ("true", r"\btrue\b", "false"),
    ("false", r"\bfalse\b", "true"),
    ("dropped try", r"^(\s+)TL_TRY\(.+\);$", r"\1;"),
    ("dropped call", r"^(\s+)(?:\(void\))?[a-z_]\w*\(.*\);$", r"\1;"),
    ("dropped assignment", r"^(\s+)[a-z][\w>.\[\]-]*(?: [|&+-]?=|\+\+).*;$", r"\1;"),
    ("fine", r"^(\s+)return (?:status|tl_fail\(.*\)|TALLY_E\w+);$", r"\1return TALLY_OK;"),
    ("skipped", r"^(\s+)continue;$", r"\1break;"),
]
RULES = [(name, re.compile(pattern), new) for name, pattern, new in RULES]
# Not tried: what is no code, the sizes of scratch memory and the release of it. Those are for the
# sanitizers, under which the same tests run.
NOT_CODE = re.compile(
    r"^\s*(/?\*|//|#)|tl_assert|_Static_assert|^static const|^\s*(union|struct) \w+ \{|^enum"
    r"|^\s*[\w ]+ \w+\[.*\];|= \{ 0 \};|= \{ [01] \};|va_end|explicit_bzero"
    r"|\b(tl_free|tl_\w+_(release|init)|tl_alloc_array|tl_arena_reset)\(")

Mutant = collections.namedtuple("Mutant", "path line rule before after text")


def generate(path, text):
    """All mutants of one source by the rules, without those that say the same."""
    lines = text.split("\n")
    seen = set()
    for at, line in enumerate(lines):
        if NOT_CODE.search(line):
            continue
        code = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: '"' + " " * (len(m[0]) - 2) + '"', line)
        code = re.sub(r"/\*.*", "", code)
        for name, pattern, new in RULES:
            for match in pattern.finditer(code):
                if new is None:
                    made = str(int(match[1]) + 1)
                else:  # what a whole line keeps is taken from it, not from its copy without strings
                    made = (pattern.match(line) or match).expand(new)
                changed = line[:match.start()] + made + line[match.end():]
                if changed != line and (at, changed) not in seen:
                    seen.add((at, changed))
                    yield Mutant(path, at + 1, name, line.strip(), changed.strip(),
                                 "\n".join(lines[:at] + [changed] + lines[at + 1:]))


def made_by_hand(tree):
    for path, old, new, why in MUTANTS:
        text = (tree / path).read_text()
        if text.count(old) != 1 or old == new:
            sys.exit(f"mutate.py: {path}: this does not occur once, or is not changed:\n{old}")
        yield Mutant(path, text[:text.index(old)].count("\n") + 1, why, old, new,
                     text.replace(old, new))


def equivalents():
    """{(path, before, after)} of the reviewed list; each has its reason."""
    known = set()
    for number, line in enumerate(EQUIVALENT.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) != 4 or not fields[3].strip():
                sys.exit(f"{EQUIVALENT.name}:{number}: not path, before, after, reason")
            known.add(tuple(fields[:3]))
    return known


class Tree:
    """A copy of the sources with a build of its own."""

    def __init__(self, source, work, slow):
        self.source, self.work = source, work
        self.tree, self.build = work / "tree", work / "build"
        self.env = dict(os.environ, CCACHE_NOHASHDIR="1", CCACHE_BASEDIR=str(work),
                        CMOCKA_MESSAGE_OUTPUT="STDOUT")
        self.sync()
        sources = [p for suite in SUITES for p in sorted((self.tree / "tests" / suite).glob("test_*.c"))]
        sources += [self.tree / name for name in ALSO]
        sources = [p for p in sources if slow or str(p.relative_to(self.tree)) not in SLOW]
        self.tests = [f"tests/test_{p.parent.name}_{p.stem[5:]}" for p in sources]
        self.seconds = {}
        self.kills = collections.defaultdict(collections.Counter)

    def sync(self):
        """Copies what differs, and leaves the times of the rest alone."""
        names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=self.source,
                               capture_output=True, text=True, check=True).stdout.split("\n")
        for name in filter(None, names):
            there, here = self.source / name, self.tree / name
            if not there.is_file() or (here.is_file() and here.read_bytes() == there.read_bytes()):
                continue
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(there, here)

    def make(self, *targets):
        done = subprocess.run(["ninja", "-C", self.build, "-j", os.environ.get("MUTATE_JOBS", "2"), *targets],
                              env=self.env, capture_output=True, text=True)
        return done.returncode == 0, done.stdout

    def set_up(self):
        if not (self.build / "build.ninja").exists():
            # Without optimisation and warnings: a mutant is built once, and what it is worth is
            # for the tests to say.
            subprocess.run(["meson", "setup", "-Dbuildtype=debug", "-Doptimization=0",
                            "-Dwarning_level=0", "-Dc_args=-w", self.build, self.tree], env=self.env,
                           check=True, stdout=subprocess.DEVNULL)
        good, said = self.make(*self.tests)
        if not good:
            sys.exit("mutate.py: the unchanged sources do not build\n" + said[-2000:])
        for test in self.tests:
            started = time.monotonic()
            if not self.passes(test):
                sys.exit(f"mutate.py: {test} fails without any mutant")
            self.seconds[test] = time.monotonic() - started

    def passes(self, test):
        limit = HANG_S + 10 * self.seconds.get(test, HANG_S)
        run = subprocess.Popen([self.build / test], env=self.env, cwd=self.build,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
        try:
            return run.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()

    def order(self, path):
        """First what killed neighbours, then what is of the same folder and quick."""
        folder, noun = path.split("/")[1], pathlib.Path(path).stem
        users = [t for t in self.tests if any(t.startswith(f"tests/test_{f}_") for f in USERS[folder])]
        return sorted(users, key=lambda t: (
            -self.kills[path][t], t != f"tests/test_{folder}_{noun}",
            not t.startswith(f"tests/test_{folder}_"), self.seconds[t]))

    def judge(self, mutant):
        """The test that killed it, "" if none did, None if it does not compile."""
        source = self.tree / mutant.path
        original = source.read_text()
        source.write_text(mutant.text)
        try:
            for at, test in enumerate(self.order(mutant.path)):
                good, said = self.make(test)
                if not good and at == 0:
                    return None
                if not good:
                    sys.exit("mutate.py: a test does not link\n" + said[-2000:])
                if not self.passes(test):
                    self.kills[mutant.path][test] += 1
                    return test
            return ""
        finally:
            source.write_text(original)


def difference(mutant, tree):
    original = (tree / mutant.path).read_text().splitlines(keepends=True)
    return "".join(difflib.unified_diff(original, mutant.text.splitlines(keepends=True),
                                        mutant.path, f"{mutant.path} ({mutant.rule})", n=2))


def choose(tree, count, seed, known):
    every = [m for pattern in FILES for path in sorted(tree.glob(pattern))
             for m in generate(str(path.relative_to(tree)), path.read_text())]
    random.Random(seed).shuffle(every)
    unknown = [m for m in every if (m.path, m.before, m.after) not in known]
    return unknown[:count], len(every) - len(unknown)


def run(args, work):
    tree = Tree(pathlib.Path(args.source).resolve(), work, args.slow)
    known = equivalents()
    by_rule, equivalent = choose(tree.tree, args.count, args.seed, known)
    jobs = [("hand", m) for m in made_by_hand(tree.tree)] + [("rule", m) for m in by_rule]
    jobs = [(kind, m) for kind, m in jobs if args.only in m.path and args.kind in ("both", kind)]
    jobs = jobs[args.skip:]
    if args.list:
        for kind, m in jobs:
            print(f"{kind}\t{m.path}:{m.line}\t{m.rule}\t{m.before!r}\t{m.after!r}")
        return 0
    tree.set_up()
    started, count = time.monotonic(), collections.Counter()
    for kind, mutant in jobs:
        if args.minutes and time.monotonic() - started > 60 * args.minutes:
            count["not tried"] += 1
            continue
        killer = tree.judge(mutant)
        outcome = "broken" if killer is None else "killed" if killer else "survived"
        count[kind, outcome] += 1
        if args.verbose:
            print(f"{outcome} {killer or ''} {mutant.path}:{mutant.line} {mutant.rule}", flush=True)
        if outcome == "survived" or (kind == "hand" and outcome == "broken"):
            print(f"{outcome}, by {kind}: {mutant.path}:{mutant.line}\n{difference(mutant, tree.tree)}",
                  flush=True)
    tried = count["rule", "killed"] + count["rule", "survived"]
    percent = 100 * count["rule", "killed"] / tried if tried else 100
    by_hand = sum(n for key, n in count.items() if key[0] == "hand")
    print(json.dumps({
        "seed": args.seed, "by_hand": by_hand, "by_hand_killed": count["hand", "killed"],
        "by_rule": tried, "killed": count["rule", "killed"], "survived": count["rule", "survived"],
        "percent": round(percent, 1), "not_compiled": count["rule", "broken"],
        "equivalent": equivalent, "not_tried": count["not tried"],
        "s": round(time.monotonic() - started)}))
    return 0 if count["hand", "killed"] == by_hand and percent >= NEED else 1


def stop(*_):
    sys.exit("mutate.py: stopped")


def main():
    signal.signal(signal.SIGTERM, stop)
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE", help="the tree with the sources and tests")
    parser.add_argument("--count", type=int, default=100, help="mutants by rules (100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", help="where the copy is, and stays")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first ones (to go on)")
    parser.add_argument("--minutes", type=float, help="begin no mutant after this time")
    parser.add_argument("--kind", choices=["both", "hand", "rule"], default="both")
    parser.add_argument("--only", default="", help="mutants of paths that contain this")
    parser.add_argument("--slow", action="store_true", help="with the tests that take very long")
    parser.add_argument("--list", action="store_true", help="print the mutants, and do nothing")
    parser.add_argument("--verbose", action="store_true", help="a line for each mutant")
    args = parser.parse_args()
    if args.work:
        work = pathlib.Path(args.work).resolve()
        work.mkdir(parents=True, exist_ok=True)
        return run(args, work)
    with tempfile.TemporaryDirectory(prefix="mutate.") as work:
        return run(args, pathlib.Path(work).resolve())


if __name__ == "__main__":
    sys.exit(main())
