#!/usr/bin/env python3
"""The examples build with what `make install` installs, and with pkg-config's word alone.

usage: test_install.py TALLY BUILD_ROOT
"""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from programs import Case, main

BUILD = pathlib.Path(sys.argv[2]).resolve()
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
C = ["-std=c99", "-D_GNU_SOURCE"]


class Install(Case):
    def setUp(self):
        super().setUp()
        self.root = self.dir / "root"
        self.run_ok("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                    "--destdir", self.root)
        (found,) = self.root.rglob("tally.pc")
        # The place is not the one it was built for: pkg-config puts the root in front.
        self.env = {**self.environment(), "PKG_CONFIG_SYSROOT_DIR": str(self.root),
                    "PKG_CONFIG_PATH": str(found.parent),
                    "LD_LIBRARY_PATH": str(found.parent.parent)}
        self.flags = self.run_ok("pkg-config", "--cflags", "--libs", "tally").split()

    def run_ok(self, *command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              cwd=self.dir, env=getattr(self, "env", None), timeout=300)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def build(self, compiler, name, *flags):
        if shutil.which(compiler) is None:
            return None
        program = self.dir / f"{name}-{compiler}"
        self.run_ok(compiler, *flags, "-Wall", "-Wextra", "-Werror", EXAMPLES / name, "-o", program,
                    *self.flags)
        return program

    def test_it_holds_all_that_the_examples_need(self):
        for c, cplusplus in (("gcc", "g++"), ("clang", "clang++")):
            for name in ("embed.c", "prefork.c"):
                self.build(c, name, *C)
            for standard in ("-std=c++11", "-std=c++17"):
                self.build(cplusplus, "cplusplus.cpp", standard)

    def test_what_was_built_runs(self):
        for compiler, name in (("gcc", "embed.c"), ("g++", "cplusplus.cpp"),
                               ("clang++", "cplusplus.cpp")):
            program = self.build(compiler, name)
            ledger = self.dir / f"ledger-{compiler}"
            self.tally("init", ledger, ledger=False)
            if program is not None:
                self.run_ok(program, ledger)
                self.tally("-C", ledger, "verify", ledger=False)

    def test_the_installed_program_runs(self):
        (program,) = (path for path in self.root.rglob("bin/tally") if os.access(path, os.X_OK))
        self.assertIn("tally", self.run_ok(program, "version"))

    @unittest.skipUnless(os.path.exists("/usr/include/microhttpd.h"), "without libmicrohttpd")
    def test_the_http_service_needs_one_library_more(self):
        self.flags.append("-lmicrohttpd")
        self.build("gcc", "http_service.c", *C)


if __name__ == "__main__":
    main()
