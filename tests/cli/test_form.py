#!/usr/bin/env python3
"""The form of the command line: options, help, colour, problems, exit statuses."""
import os
import pty
import subprocess
import unittest

from harness import TALLY, Case, main

COMMANDS = ("anchor approve backup bench checkpoint completion config count doctor drill epoch "
            "erase export find get help hold import init keys log proof purge reindex restore "
            "retention sources stats status tail verify version").split()
ESCAPE = "\x1b"


class Form(Case):
    def test_every_command_has_help_with_an_example(self):
        for command in COMMANDS:
            for arguments in (["help", command], [command, "--help"]):
                text = self.tally(*arguments, ledger=False).out
                self.assertIn(f"usage: tally {command}", text)
                self.assertIn(f"tally {command}", text.split("examples")[1], command)

    def test_help_lists_all_commands(self):
        listed = self.tally("--help", ledger=False).out
        for command in COMMANDS:
            self.assertRegex(listed, rf"(?m)^  {command} ")

    def test_exit_statuses_can_be_looked_up(self):
        lines = self.tally("help", "exit", ledger=False).out.splitlines()
        self.assertEqual([line[0] for line in lines[:8]], list("01234567"))

    def test_version_is_printed(self):
        self.assertRegex(self.tally("version", ledger=False).out, r"^tally \d+\.\d+\.\d+\n$")
        self.assertEqual(self.tally("--version", ledger=False).out,
                         self.tally("version", ledger=False).out)

    def test_a_wrong_command_suggests_the_nearest(self):
        result = self.tally("fnd", ledger=False, want=3)
        self.assertIn("did you mean 'find'", result.err)
        self.assertEqual(result.out, "")

    def test_a_wrong_option_suggests_the_nearest(self):
        self.assertIn("--actor-id", self.tally("find", "--actr-id", "u", want=3).err)

    def test_names_are_never_abbreviated(self):
        self.tally("find", "--lim", "3", want=3)

    def test_no_command_is_a_usage_error(self):
        self.tally(ledger=False, want=3)

    def test_values_are_checked(self):
        for arguments in (["find", "--limit", "ten"], ["find", "--order", "size"],
                          ["export", "--format", "xml"], ["tail", "-n", "0"],
                          ["verify", "--range", "5"], ["verify", "--max-age", "soon"],
                          ["verify", "--newest", "3", "--id", "x"], ["find", "--where", "x"],
                          ["--set", "x", "config", "check"], ["proof", "bake", "x"], ["get"],
                          ["get", "a", "b"], ["find", "--json=yes"], ["import", "--map", "x", "f"],
                          ["completion", "tcsh"], ["import"]):
            self.tally(*arguments, want=3)

    def test_limit_and_filter_are_checked_by_the_ledger(self):
        self.init()
        for arguments in (["--limit", "1001"], ["--where", "colour=red"], ["--from", "soon"],
                          ["--cursor", "x"]):
            self.tally("find", *arguments, want=3)

    def test_options_may_stand_on_either_side_of_the_command(self):
        self.init()
        self.assertEqual(self.tally("--json", "count").out, self.tally("count", "--json").out)
        self.assertEqual(self.tally("find", "-n5").out, self.tally("find", "--limit=5").out)

    def test_two_dashes_end_the_options(self):
        self.init()
        self.assertEqual(self.tally("get", "--", "--json", want=1).out, "")

    def test_the_ledger_comes_from_option_variable_or_name(self):
        self.init()
        os.rename(self.ledger, self.dir / "other")
        other = {"TALLY_LEDGER": str(self.dir / "other")}
        self.tally("count", ledger=False, env=other)
        self.tally("count", env=other, want=5)
        self.tally("count", ledger=False, want=5)
        os.rename(self.dir / "other", self.dir / "audit")
        self.tally("count", ledger=False)

    def test_a_missing_ledger_names_the_way_out(self):
        result = self.tally("find", want=5)
        self.assertIn("tally init", result.err)
        self.assertTrue(result.err.startswith("tally: "))

    def test_a_missing_ledger_and_a_wrong_setting_are_told_apart(self):
        commands = [["count"], ["doctor"], ["drill"], ["epoch"], ["hold", "list"], ["reindex"],
                    ["retention", "show"], ["schedule", "show"], ["status"]]
        for command in commands:
            self.tally(*command, want=5)
        self.init()
        for command in commands:
            status = self.tally("--set", "log.timeout_ms=x", *command, want=None).status
            self.assertEqual(status, 1 if command == ["doctor"] else 4, command)

    def test_a_failure_with_json_is_one_problem_object(self):
        problem = self.tally("find", "--json", want=5).problem
        self.assertEqual((problem["code"], problem["status"]), ("not_found", 404))
        self.assertTrue(problem["type"].startswith("/problems/"))
        self.init()
        problem = self.tally("log", '{"actor":{}}', "--json", want=7).problem
        self.assertEqual(problem["code"], "missing")
        problem = self.tally("log", '{"action":"a","ip":"x"}', "--json", want=7).problem
        self.assertEqual(problem["errors"][0]["pointer"], "/ip")

    def test_an_unknown_variable_is_a_warning(self):
        self.init()
        result = self.tally("count", env={"TALLY_NO_SUCH": "1"})
        self.assertIn("TALLY_NO_SUCH", result.err)
        self.assertEqual(result.out, "0\n")

    def test_a_broken_setting_is_a_configuration_error(self):
        self.init()
        self.tally("--set", "no.such=1", "count", want=4)
        self.tally("--set", "no.such=1", "config", "check", want=4)
        self.write("bad.yaml", "nosuch: 1\n")
        self.assertIn("bad.yaml", self.tally("--config", "bad.yaml", "config", "check", want=4).err)

    def test_a_full_output_is_no_success(self):
        self.init()
        with open("/dev/full", "w") as full:
            run = subprocess.run([TALLY, "-C", self.ledger, "find"], stdout=full,
                                 stderr=subprocess.PIPE, check=False)
        self.assertEqual(run.returncode, 5)

    def test_pipes_get_neither_colour_nor_progress(self):
        self.init()
        self.log(severity="critical", outcome="failure")
        for command in (["find"], ["verify"], ["doctor"], ["stats"], ["get", "2"]):
            result = self.tally(*command)
            self.assertNotIn(ESCAPE, result.out + result.err, command)
            self.assertNotIn("\r", result.out + result.err, command)

    def test_colour_is_for_terminals_that_want_it(self):
        self.init()
        self.log(severity="critical")
        self.assertIn(ESCAPE, self.on_terminal("find"))
        self.assertIn("SEVERITY", self.on_terminal("find"))
        self.assertNotIn(ESCAPE, self.on_terminal("find", NO_COLOR="1"))
        self.assertNotIn(ESCAPE, self.on_terminal("find", TERM="dumb"))
        self.assertNotIn(ESCAPE, self.on_terminal("find", "--color", "never"))
        self.assertIn(ESCAPE, self.tally("find", "--color", "always").out)

    def on_terminal(self, *arguments, **env):
        master, slave = pty.openpty()
        with subprocess.Popen([TALLY, "-C", self.ledger, *arguments], stdin=slave, stdout=slave,
                              stderr=slave, env=self.environment(env)) as run:
            os.close(slave)
            text = b""
            try:
                while True:
                    chunk = os.read(master, 65536)
                    if not chunk:
                        break
                    text += chunk
            except OSError:
                pass  # the terminal is gone once its last user is
            run.wait(60)
        os.close(master)
        return text.decode()

    def test_hostile_text_cannot_act_on_a_terminal(self):
        self.init()
        hostile = "a\x1b]0;x\x07\x9b31m\u202eevil\u2066\u2028\u200f\t\r\n\x7f"
        self.log(actor={"id": hostile}, reason=hostile)
        shown = self.tally("find", "--color", "never").out + self.tally("get", "2").out
        for character in hostile:
            if character not in "ax0;31mevil]\t\n":
                self.assertNotIn(character, shown, f"U+{ord(character):04X}")
        self.assertEqual({len(row) for row in self.tally("find").rows}, {9})
        self.assertIn(r"\x1b", shown)
        self.assertIn(r"\u202e", shown)
        self.assertNotIn(ESCAPE, self.on_terminal("get", "2", "--color", "never"))

    def test_tables_come_as_csv_too(self):
        self.init()
        self.log(actor={"id": "=1+1"}, targets=[{"type": 'a,"b', "id": "c"}])
        lines = self.tally("find", "-o", "csv").raw.split(b"\r\n")
        self.assertTrue(lines[0].startswith(b"seq,time,actor"))
        self.assertIn(b",'=1+1,", lines[1])
        self.assertIn(b'"a,""b/c"', lines[1])

    def test_completion_is_well_formed(self):
        script = self.write("bash", self.tally("completion", "bash", ledger=False).out)
        subprocess.run(["bash", "-n", script], check=True)
        probe = (f"source {script}; COMP_WORDS=(tally verify --ag); COMP_CWORD=2; _tally; "
                 "echo ${COMPREPLY[@]}")
        run = subprocess.run(["bash", "-c", probe], capture_output=True, check=True)
        self.assertEqual(run.stdout.decode().strip(), "--against")
        self.assertIn("#compdef tally", self.tally("completion", "zsh", ledger=False).out)
        self.assertIn("complete -c tally", self.tally("completion", "fish", ledger=False).out)


if __name__ == "__main__":
    main()
