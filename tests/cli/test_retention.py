#!/usr/bin/env python3
"""retention: shown, tried out, and set in the configuration file."""
import unittest

from harness import Case, main

BY = ["--by", "ops@example.com"]


class Retention(Case):
    def setUp(self):
        super().setUp()
        self.init()
        self.log(id="e1")
        self.log(id="e2", severity="critical")
        self.file = self.ledger / "tally.yaml"

    def rules(self):
        return {(rule["kind"], rule["match"]): (rule["days"], rule["origin"]) for rule in
                self.tally("retention", "show", "--json").json["rules"]}

    def policies(self):
        return int(self.tally("count", "--kind", "policy").out)

    def test_shows_the_rules_in_force_and_where_they_come_from(self):
        self.assertEqual(self.rules(), {("severity", "critical"): (2555, "default"),
                                        ("severity", "high"): (1095, "default"),
                                        ("default", ""): (365, "default")})
        self.file.write_text("retention.default_days: forever\n")
        days, origin = self.rules()["default", ""]
        self.assertIsNone(days)
        self.assertIn("tally.yaml", origin)
        self.assertIn(["default", "", "forever", origin], self.tally("retention", "show").rows)

    def test_shows_presets_that_can_be_tried_out(self):
        shown = self.tally("retention", "show", "--presets", "--json").json
        self.assertEqual({preset["name"] for preset in shown["presets"]},
                         {"soc2", "pci-dss", "hipaa", "gdpr", "eu-ai-act"})
        self.assertIn("compliant", shown["note"])
        for preset in shown["presets"]:
            self.tally("retention", "test", "--preset", preset["name"])
        self.assertIn("pci-dss", self.tally("retention", "show", "--presets").out)

    def test_a_trial_counts_and_changes_nothing(self):
        before = self.tally("count").out
        effect = self.tally("retention", "test", "default_days=400", "--json").json
        self.assertEqual(set(effect), {"records", "longer", "shorter", "due_now", "due_30", "held"})
        self.assertEqual((effect["longer"], effect["shorter"]), (effect["records"] - 1, 0))
        self.assertIn("records have contents", self.tally("retention", "test", "default_days=1").out)
        self.assertFalse(self.file.exists())
        self.assertEqual(self.tally("count").out, before)

    def test_sets_a_line_and_keeps_the_rest_of_the_file(self):
        self.file.write_text("# ours\nretention.default_days: 30 # a month\nlog.timeout_ms: 500\n")
        policies = self.policies()
        done = self.tally("retention", "set", "default_days=400", "by_action.user.*=forever", *BY,
                          "--reason", "audit of 2027", "--json")
        self.assertEqual(done.json, {"ok": True})
        self.assertEqual(self.file.read_text(), "# ours\nretention.default_days: 400\n"
                         "log.timeout_ms: 500\nretention.by_action.user.*: forever\n")
        self.assertEqual(self.rules()["default", ""][0], 400)
        self.assertIsNone(self.rules()["action", "user.*"][0])
        self.assertGreater(self.policies(), policies)
        changes = self.tally("find", "--action", "tally.config.change", "--json").json["items"]
        event = changes[0]["event"]
        self.assertEqual(event["actor"]["id"], "ops@example.com")
        self.assertEqual(event["metadata"]["settings"],
                         ["retention.default_days", "retention.by_action.user.*"])
        self.assertEqual(event["metadata"]["reason"], "audit of 2027")

    def test_a_preset_and_a_rule_can_be_set_together(self):
        self.assertIn("the rules are set", self.tally("retention", "set", "--preset", "pci-dss",
                                                      "by_tenant.acme=10", *BY).out)
        self.assertEqual(self.rules()["tenant", "acme"][0], 10)

    def test_what_is_wrong_leaves_the_file_as_it_was(self):
        text = "retention.default_days: 30\n"
        self.file.write_text(text)
        for rule in ["default_days=many", "default_days=", "default_days=40000", "x=5", "=5", "5",
                     "by_severity.loud=5", "by_tenant.a b=5", "by_tenant.a=1 # x"]:
            self.assertEqual(self.tally("retention", "set", rule, *BY, want=None).status, 3, rule)
            self.assertEqual(self.tally("retention", "set", "default_days=10", rule, *BY,
                                        want=None).status, 3, rule)
            self.assertEqual(self.file.read_text(), text)

    def test_what_a_nested_map_sets_is_left_to_people(self):
        text = "retention:\n  default_days: 30\n  by_action:\n    a.b: 10\n"
        self.file.write_text(text)
        for rule in ["default_days=400", "by_action.a.b=400"]:
            self.assertIn("given before", self.tally("retention", "set", rule, *BY, want=3).err)
            self.assertEqual(self.file.read_text(), text)
        self.tally("retention", "set", "by_action.c.d=400", *BY)
        self.assertEqual(self.file.read_text(), text + "retention.by_action.c.d: 400\n")

    def test_verbs_and_their_arguments(self):
        for line in [["retention"], ["retention", "drop"], ["retention", "show", "x"],
                     ["retention", "test"], ["retention", "set"],
                     ["retention", "test", "--preset", "nope"],
                     ["retention", "set", "default_days=400"],
                     ["retention", "set", *BY]]:
            self.assertEqual(self.tally(*line, want=None).status, 3, line)
        self.assertFalse(self.file.exists())

    def test_a_configuration_that_makes_no_sense_and_a_missing_ledger(self):
        self.file.write_text("retention.default_days: many\n")
        for line in [["show"], ["test", "default_days=5"], ["set", "default_days=5", *BY]]:
            self.assertEqual(self.tally("retention", *line, want=None).status, 4, line)
            self.assertEqual(self.tally("-C", "nowhere", "retention", *line, want=None).status, 5)


if __name__ == "__main__":
    main()
