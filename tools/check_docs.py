#!/usr/bin/env python3
"""Compares the documentation with the tree and the program that was built. Prints TAP.

usage: check_docs.py SOURCE_ROOT TALLY

- each relative link in a .md file leads to a file, and to a heading if it names one;
- each `tally` command in README.md, docs/ and man/ is in the table of the program, with a page;
- each public function of include/tally is in man/libtally.3.scd, and nothing else is;
- each option of `tally help COMMAND` is in the page of that command, or in tally.1 or tally-find.1,
  and each option in a command line of an example is one of that command;
- each code that input is refused with is in docs/errors.md;
- each code of a finding is in docs/evidence.md, in both tables, with its weight;
- each setting that the program knows is in docs/operating.md and man/tally.yaml.5.scd.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
SPAN = re.compile(r"`[^`\n]*`")
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
# A command line: at the start of a line of an example, after a prompt, a pipe, or in backquotes.
COMMAND = re.compile(r"(?:^|[|;&(]|\$|`)[ \t]*(?:sudo )?(?:\./)?(?:build/src/)?tally ((?:(?:-C|--ledger|--config|--set) "
                     r"\S+ |-\S+ )*)([a-z][a-z-]*)([^\n|`]*)", re.M)
# Calls that refuse: tl_refuse(), tl_refuse_at(), and the helpers of parsers around them.
REFUSAL = re.compile(r"\b\w*refuse\w*\s*\(|\bfail\s*\(fault\b")
CODE = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")
THEIRS = ("var", "node_modules")
FINDING = re.compile(r"[A-Z]{3,}(?:_[A-Z]+)*")


def read(path):
    return path.read_text(encoding="utf-8")


def markdown(root):
    """All .md files but those of builds and of third parties."""
    for path in sorted(root.rglob("*.md")):
        parts = path.relative_to(root).parts
        if not any(part.startswith((".", "build")) or part in THEIRS for part in parts):
            yield path


def anchors(text):
    """The anchors of a page's headings, as code hosts make them."""
    found = set()
    for line in FENCE.sub("", text).splitlines():
        match = re.match(r"#+ (.*)", line)
        if match:
            title = re.sub(r"[^\w\- ]", "", match.group(1).strip().lower())
            found.add(title.replace(" ", "-"))
    return found


def check_links(root):
    wrong = []
    for path in markdown(root):
        text = SPAN.sub("", FENCE.sub("", read(path)))
        for target in LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, heading = target.partition("#")
            to = path if not name else path.parent / name
            where = f"{path.relative_to(root)}: {target}"
            if not to.exists():
                wrong.append(where + " leads nowhere")
            elif heading and heading not in anchors(read(to)):
                wrong.append(where + " has no such heading")
    return wrong


def run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True,
                          env=dict(os.environ, LC_ALL="C"))
    return done.stdout


def commands_of(program):
    """The names in the list that `tally help` prints: lines that begin with two spaces."""
    text = run(program, "help").split("\noptions of all commands")[0]
    return set(re.findall(r"^  ([a-z][a-z-]*) {2,}\S", text, re.M))


def examples_of(path):
    """The parts of a page that hold command lines."""
    text = read(path).replace("\\\n", " ")
    if path.suffix == ".scd":
        return "\n".join(re.findall(r"^```\n(.*?)^```", text, re.M | re.S))
    return "\n".join(match.group(0) for match in re.finditer(
        r"^```.*?^```|`[^`\n]+`|^(?: {4}|\t).*$", text, re.M | re.S))


def check_commands(root, known):
    wrong = []
    for path in [*markdown(root), *sorted((root / "man").glob("*.scd"))]:
        for _, name, _ in COMMAND.findall(examples_of(path)):
            if name not in known:
                wrong.append(f"{path.relative_to(root)}: there is no command 'tally {name}'")
    pages = {path.name[len("tally-"):-len(".1.scd")] for path in (root / "man").glob("tally-*.1.scd")}
    wrong += [f"man/: no page for 'tally {name}'" for name in sorted(known - pages)]
    wrong += [f"man/tally-{name}.1.scd: there is no such command" for name in sorted(pages - known)]
    build = read(root / "man/meson.build")
    wrong += [f"man/meson.build: {path.stem} is not installed"
              for path in sorted((root / "man").glob("*.scd")) if f"'{path.stem}'" not in build]
    return wrong


def options_of(program, name):
    return set(re.findall(r"^ {2}.{4}--([a-z][a-z-]*)", run(program, "help", name), re.M))


def check_options(root, program, known):
    """In both directions: what the program has is in its page, what an example uses is there."""
    options = {name: options_of(program, name) for name in known}
    shared = set()
    for page in ("tally.1.scd", "tally-find.1.scd"):
        shared |= set(re.findall(r"--([a-z][a-z-]*)", read(root / "man" / page)))
    wrong = []
    for name in sorted(known):
        page = root / "man" / f"tally-{name}.1.scd"
        listed = shared | set(re.findall(r"--([a-z][a-z-]*)", read(page)) if page.exists() else [])
        wrong += [f"man/tally-{name}.1.scd: option --{option} is missing"
                  for option in sorted(options[name] - listed)]
    for path in [*markdown(root), *sorted((root / "man").glob("*.scd"))]:
        for before, name, after in COMMAND.findall(examples_of(path)):
            used = set(re.findall(r"(?<!\S)--([a-z][a-z-]*)", before + after.split(" #")[0]))
            wrong += [f"{path.relative_to(root)}: 'tally {name}' has no option --{option}"
                      for option in sorted(used - options.get(name, used))]
    return wrong


def check_functions(root):
    declared = set()
    for header in sorted((root / "include/tally").glob("*.h*")):
        for match in re.finditer(r"^TALLY_API\s[^;{]*?\b(tally_\w+)\s*\(", read(header), re.M):
            declared.add(match.group(1))
    listed = set(re.findall(r"^\*(tally_\w+)\*\(\)$", read(root / "man/libtally.3.scd"), re.M))
    return ([f"man/libtally.3.scd: {name}() is missing" for name in sorted(declared - listed)] +
            [f"man/libtally.3.scd: there is no {name}()" for name in sorted(listed - declared)])


def arguments_at(text, start):
    """The text of a call's arguments, from behind its opening bracket."""
    depth, i = 1, start
    while i < len(text) and depth > 0:
        if text[i] == '"':
            match = STRING.match(text, i)
            i = match.end() if match else i + 1
            continue
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        i += 1
    return text[start:i]


def refusals(root):
    """(code, file): the first literal of each call that refuses, and what .conflict_code says."""
    for path in sorted((root / "src").rglob("*.c")):
        text = re.sub(r"/\*.*?\*/", "", read(path), flags=re.S)
        for match in REFUSAL.finditer(text):
            # A literal in another call among the arguments is not the code.
            flat = re.sub(r"\w+\s*\([^()]*\)", "", arguments_at(text, match.end()))
            literal = STRING.search(flat)
            if literal and CODE.fullmatch(literal.group(1)):
                yield literal.group(1), path
        for code in re.findall(r'conflict_code\s*=[^;,]*?"([a-z_]+)"', text):
            yield code, path


def check_refusals(root):
    listed = set(re.findall(r"`([a-z0-9_]+)`", read(root / "docs/errors.md")))
    found = sorted(set(refusals(root)))
    wrong = [f"{path.relative_to(root)}: {code} is not in docs/errors.md"
             for code, path in found if code not in listed]
    return wrong if found else ["no refusal was found in src/: this check looks for the wrong thing"]


def weights_of(text):
    """The table that gives findings their weight: code -> letter."""
    weights = {}
    table = text.split("### 13.1", 1)[1].split("| code | meaning |")[0]
    for row in re.findall(r"^\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$", table, re.M):
        for letter, cell in zip("TU", row[1:3]):
            weights.update((code, letter) for code in re.findall(r"`([A-Z_]+)`", cell))
        letter = ""
        for word, code in re.findall(r"\b([WN])\b|`([A-Z_]+)`", row[3]):
            letter = word or letter
            if code:
                weights[code] = letter
    return weights


def check_findings(root):
    """The codes in src/verify, with their weights; and what stores say about themselves."""
    text = read(root / "docs/evidence.md")
    weights = weights_of(text)
    described = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.M))
    wrong = [f"docs/evidence.md: {code} is in one of its two tables only"
             for code in sorted(described ^ set(weights))]
    found = {}
    for folder in ("verify", "store"):
        for path in sorted((root / "src" / folder).glob("*.c")):
            source = re.sub(r"/\*.*?\*/|^\s*#.*?$", "", read(path), flags=re.S | re.M)
            for code, weight in re.findall(r"\bCODE\(([A-Z_]+), ([A-Z]+)\)", source):
                found[code] = path
                if weights.get(code, weight[0]) != weight[0]:
                    wrong.append(f"docs/evidence.md: {code} weighs {weight[0]} in the program")
            for code in STRING.findall(source):
                if "_" in code and FINDING.fullmatch(code):
                    found[code] = path
    wrong += [f"{path.relative_to(root)}: {code} is not in docs/evidence.md"
              for code, path in sorted(found.items()) if code not in weights]
    return wrong if found else ["no finding was found in src/: this check looks for the wrong thing"]


def check_settings(root, program):
    with tempfile.TemporaryDirectory() as temporary:
        text = run(program, "-C", temporary, "--json", "config", "show")
    keys = {re.sub(r"^(retention\.by_[a-z]+)\..*", r"\1", key)
            for key in re.findall(r'"key":"([^"]+)"', text)}
    wrong = [] if keys else ["'tally config show' lists nothing"]
    for name in ("docs/operating.md", "man/tally.yaml.5.scd"):
        page = read(root / name)
        wrong += [f"{name}: the setting {key} is missing" for key in sorted(keys) if key not in page]
    return wrong


def checks(root, program):
    known = commands_of(program)
    return [
        ("links lead somewhere", check_links(root)),
        ("commands exist, and have their pages", check_commands(root, known)),
        ("options are in the pages of their commands", check_options(root, program, known)),
        ("functions are in libtally(3)", check_functions(root)),
        ("refusals are in docs/errors.md", check_refusals(root)),
        ("findings are in docs/evidence.md", check_findings(root)),
        ("settings are in docs/operating.md and tally.yaml(5)", check_settings(root, program)),
    ]


def main(source, program):
    results = checks(pathlib.Path(source).resolve(), program)
    print(f"1..{len(results)}")
    for number, (name, wrong) in enumerate(results, 1):
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        for line in wrong:
            print(f"# {line}")
    return 1 if any(wrong for _, wrong in results) else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
