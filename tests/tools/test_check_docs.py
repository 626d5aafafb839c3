#!/usr/bin/env python3
"""Each check of tools/check_docs.py, broken once in a small tree made for it."""
import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import check_docs  # noqa: E402

PROGRAM = """#!/bin/sh
case "$*" in
help) printf 'commands\\n  find        find\\n  help        help\\n\\noptions of all commands\\n' ;;
"help find") printf 'options\\n  -n, --limit N     how many\\n' ;;
*"config show"*) printf '{"settings":[{"key":"store"},{"key":"retention.by_severity.high"}]}' ;;
esac
"""
FORMAT = """### 13.1 Findings
| about | T | U | W, N |
|---|---|---|---|
| a | `ROOT_MISMATCH` | `KEY_UNKNOWN` | W `TAIL_LOST`; N `GAP` |

| code | meaning |
|---|---|
| `ROOT_MISMATCH` | a |
| `KEY_UNKNOWN` | b |
| `TAIL_LOST` | c |
| `GAP` | d |
"""
TREE = {
    "README.md": "[a](docs/errors.md#of-events)\n\n```\ntally find -n 3\ncat x | tally help\n```\n",
    "docs/errors.md": "# Codes\n## Of events\n`bad_utf8` `missing`\n",
    "docs/evidence.md": FORMAT,
    "docs/operating.md": "`store` `retention.by_severity.SEVERITY`\n",
    "include/tally/a.h": "TALLY_API int tally_a(void);\nTALLY_API const char *\ntally_b(int a);\n",
    "man/libtally.3.scd": "*tally_a*()\n\ta\n\n*tally_b*()\n\tb\n",
    "man/meson.build": "'libtally.3' 'tally-find.1' 'tally-help.1' 'tally.1' 'tally.yaml.5'",
    "man/tally-find.1.scd": "*-n*, *--limit* _N_\n",
    "man/tally-help.1.scd": "\n",
    "man/tally.1.scd": "\n",
    "man/tally.yaml.5.scd": "store retention.by_severity\n",
    "src/codec/a.c": 'f() { return tl_refuse_at(err, "bad_utf8", 3, "x"); }\n'
                     'g() { return fail(fault, "missing", "x"); }\n',
    "src/verify/a.c": "CODE(ROOT_MISMATCH, TAMPERED), CODE(GAP, NOTE)\n",
    "src/store/a.c": 'fn(ctx, "KEY_UNKNOWN", 3);\n',
}


class CheckDocs(unittest.TestCase):
    def findings(self, changes):
        with tempfile.TemporaryDirectory() as temporary:
            root = pathlib.Path(temporary)
            for name, text in {**TREE, **changes}.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            program = root / "program"
            program.write_text(PROGRAM, encoding="utf-8")
            os.chmod(program, 0o700)
            return [line for _, wrong in check_docs.checks(root, str(program)) for line in wrong]

    def assert_finds(self, path, text, what):
        found = self.findings({path: text})
        self.assertEqual(len(found), 1, found)
        self.assertIn(what, found[0])

    def test_accepts_a_tree_in_order(self):
        self.assertEqual(self.findings({}), [])

    def test_links_lead_somewhere(self):
        self.assert_finds("docs/a.md", "[b](b.md)\n", "leads nowhere")
        self.assert_finds("docs/a.md", "[b](errors.md#of-queries)\n", "no such heading")
        self.assertEqual(self.findings({"docs/a.md": "`[b](b.md)` [c](https://example.com)\n"}), [])

    def test_commands_exist(self):
        self.assert_finds("docs/a.md", "Run `tally serve` first.\n", "no command 'tally serve'")
        self.assert_finds("docs/a.md", "```\ntally -C /a purge\n```\n", "no command 'tally purge'")
        self.assertEqual(self.findings({"docs/a.md": "A tally stick was notched.\n"}), [])

    def test_commands_have_their_pages(self):
        found = self.findings({"man/tally-serve.1.scd": "", "man/meson.build":
                               TREE["man/meson.build"] + "'tally-serve.1'"})
        self.assertEqual(found, ["man/tally-serve.1.scd: there is no such command"])
        self.assert_finds("man/meson.build", TREE["man/meson.build"].replace("tally-help.1", ""),
                          "not installed")

    def test_options_are_in_the_pages(self):
        self.assert_finds("man/tally-find.1.scd", "\n", "--limit is missing")

    def test_examples_use_options_that_are_there(self):
        self.assert_finds("docs/a.md", "```\ntally find \\\n  --limt 3\n```\n", "no option --limt")
        self.assertEqual(self.findings({"docs/a.md": "`tally find --limit 3 | x --limt`\n"}), [])

    def test_functions_are_listed(self):
        self.assert_finds("include/tally/b.h", "TALLY_API int tally_c(void);\n", "tally_c() is missing")
        self.assert_finds("include/tally/a.h", "TALLY_API int tally_a(void);\n", "no tally_b()")

    def test_refusals_are_listed(self):
        self.assert_finds("src/codec/b.c", 'tl_refuse(err, "bad_ip", "/source/ip", "x");\n', "bad_ip")
        self.assert_finds("src/codec/b.c", 'refuse(r, f("a"), "too_many", "x");\n', "too_many")

    def test_findings_are_listed_with_their_weight(self):
        self.assert_finds("src/store/b.c", 'fn(ctx, "TILE_LOST", 3);\n', "TILE_LOST")
        self.assert_finds("src/verify/a.c", "CODE(GAP, TAMPERED)\n", "GAP weighs T")
        self.assert_finds("docs/evidence.md", FORMAT.replace("| `GAP` | d |\n", ""), "GAP")

    def test_settings_are_listed(self):
        self.assert_finds("docs/operating.md", "`store`\n", "retention.by_severity is missing")


if __name__ == "__main__":
    unittest.main()
