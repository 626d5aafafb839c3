#!/usr/bin/env python3
"""Compiles the C of the documentation. Prints TAP.

usage: check_snippets.py SOURCE_ROOT BUILD_ROOT

Each ```c block of README.md and docs/ that includes <tally/...> has to compile as it stands, as C99
with warnings as errors. Others are parts of programs.
"""
import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"^```c\n(.*?)^```", re.M | re.S)
FLAGS = "-std=c99 -Wall -Wextra -Werror -fsyntax-only -x c -".split()


def blocks(root):
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if "#include <tally/" in match.group(1):
                line = text.count("\n", 0, match.start()) + 1
                yield f"{path.relative_to(root)}:{line}", match.group(1)


def main(source, build):
    includes = [f"-I{root}/include" for root in (source, build)]
    found = list(blocks(pathlib.Path(source).resolve()))
    wrong = 0 if found else 1
    print(f"1..{len(found)}")
    for number, (where, code) in enumerate(found, 1):
        done = subprocess.run(["cc", *includes, *FLAGS], input=code, capture_output=True, text=True)
        wrong += done.returncode != 0
        print(f"{'not ok' if done.returncode else 'ok'} {number} - {where} compiles")
        for line in done.stderr.splitlines():
            print(f"# {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
