#!/usr/bin/env python3
"""token: from the command line."""
import datetime
import json
import os
import stat
import unittest

from harness import Case, main


class Token(Case):
    def setUp(self):
        super().setUp()
        self.init()
        self.file = self.ledger / "tokens.json"

    def create(self, name="Ada", *options):
        return self.tally("token", "create", name, "--role", "reader", *options, "--json").json

    def tokens(self):
        return self.tally("token", "list", "--json").json["tokens"]

    def events(self, action):
        return [item["event"] for item in
                self.tally("find", "--action", action, "--json").json["items"]]

    def test_a_token_is_made_listed_and_revoked(self):
        made = self.create("Ada", "--tenant", "acme", "--tenant", "b,c", "--expires", "2099-01-01")
        self.assertRegex(made["token"], "^tally_" + made["id"] + "_[A-Za-z0-9_-]{43}$")
        self.assertEqual((made["name"], made["role"], made["tenants"], made["expires_at"]),
                         ("Ada", "reader", ["acme", "b,c"], "2099-01-01T00:00:00.000000Z"))
        self.create("Grace")
        first, second = self.tokens()
        self.assertEqual(set(first), {"id", "name", "role", "tenants", "created_at", "expires_at",
                                      "last_used_at"})
        self.assertEqual((first["id"], first["tenants"], first["last_used_at"]),
                         (made["id"], ["acme", "b,c"], None))
        self.assertEqual((second["name"], second["tenants"], second["expires_at"]),
                         ("Grace", [], None))
        done = self.tally("token", "revoke", made["id"], "--yes", "--json").json
        self.assertEqual(done, {"id": made["id"], "revoked": True})
        self.assertEqual([token["name"] for token in self.tokens()], ["Grace"])
        self.assertEqual(self.tally("token", "revoke", made["id"], "--yes", want=1).out, "")

    def test_a_name_may_be_left_out_and_an_end_be_so_far_away(self):
        made = self.tally("token", "create", "--role", "writer", "--tenant", "acme", "--expires",
                          "90d", "--json").json
        self.assertEqual((made["name"], made["role"]), ("writer", "writer"))
        end = datetime.datetime.fromisoformat(made["expires_at"].replace("Z", "+00:00"))
        days = (end - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400
        self.assertAlmostEqual(days, 90, delta=0.01)
        for bad in ["90", "d", "-1d", "90y", "soon", ""]:
            run = self.tally("token", "create", "--role", "writer", f"--expires={bad}", want=3)
            self.assertIn("90d", run.err)

    def test_texts_are_printed_once_and_kept_nowhere(self):
        run = self.tally("token", "create", "Ada", "--role", "admin")
        self.assertRegex(run.out, r"\Atally_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\n\Z")
        self.assertIn(run.out[6:14], run.err)
        secret = run.out.strip()[15:].encode()
        for path in self.ledger.rglob("*"):
            if path.is_file():
                self.assertNotIn(secret, path.read_bytes(), path)

    def test_the_table_has_a_row_for_each(self):
        made = self.create("Ada", "--tenant", "a", "--tenant", "b")
        row, = self.tally("token", "list").rows[-1:]
        self.assertEqual(row[:4], [made["id"], "Ada", "reader", "a, b"])
        self.assertEqual(row[5:], ["never", "never"])

    def test_both_acts_are_on_record(self):
        made = self.create("Ada", "--tenant", "acme", "--by", "ops")
        self.tally("token", "revoke", made["id"], "--yes", "--by", "sec")
        create, = self.events("tally.token.create")
        self.assertEqual(create["actor"]["id"], "ops")
        self.assertEqual(create["metadata"], {"id": made["id"], "name": "Ada", "role": "reader",
                                              "tenants": ["acme"], "expires_at": None})
        revoke, = self.events("tally.token.revoke")
        self.assertEqual((revoke["actor"]["id"], revoke["metadata"]),
                         ("sec", {"id": made["id"]}))

    def test_a_token_that_cannot_be_recorded_is_not_there(self):
        run = self.tally("token", "create", "Ada", "--role", "admin", "--by", "x" * 2000, want=None)
        self.assertNotEqual(run.status, 0)
        self.assertEqual(run.out, "")
        self.assertEqual(self.tokens(), [])

    def test_nothing_ends_unasked(self):
        made = self.create()
        self.assertEqual(self.tally("token", "revoke", made["id"], want=None).status, 3)
        self.assertEqual(len(self.tokens()), 1)

    def test_wrong_command_lines_change_nothing(self):
        for arguments in [["create"], ["create", "Ada"], ["create", "Ada", "--role", "owner"],
                          ["create", "", "--role", "reader"],
                          ["create", "a\nb", "--role", "reader"],
                          ["create", "a" * 101, "--role", "reader"],
                          ["create", "Ada", "--role", "reader", "--expires", "soon"],
                          ["create", "Ada", "--role", "reader", "--expires", "2020-01-01"],
                          ["create", "Ada", "--role", "reader", "--tenant", ""],
                          ["create", "Ada", "--role", "reader"] + ["--tenant", "t"] * 17,
                          ["list", "Ada"], ["revoke"], ["end", "x"], []]:
            self.assertEqual(self.tally("token", *arguments, want=None).status, 3, arguments)
        self.assertFalse(self.file.exists())

    def test_the_file_is_for_its_owner_alone(self):
        self.create()
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.file.chmod(0o644)
        run = self.tally("token", "list", want=3)
        self.assertIn("open to group or others", run.err)

    def test_a_damaged_file_is_left_alone(self):
        self.create()
        text = self.file.read_text().replace('"reader"', '"owner"')
        self.file.write_text(text)
        for arguments in [["list"], ["create", "Ada", "--role", "reader"],
                          ["revoke", "00000000", "--yes"]]:
            self.assertEqual(self.tally("token", *arguments, want=None).status, 5, arguments)
        self.assertEqual(self.file.read_text(), text)

    def test_another_file_may_hold_them(self):
        other = self.dir / "others.json"
        self.create("Ada", "--file", str(other))
        self.assertFalse(self.file.exists())
        self.assertEqual(len(json.loads(other.read_text())["tokens"]), 1)
        self.assertEqual(len(self.tally("token", "list", "--file", str(other)).rows), 2)


if __name__ == "__main__":
    main()
