#!/usr/bin/env python3
"""examples/cplusplus.cpp: an exception that leaves a span is in the ledger."""
from programs import ExampleCase, main


class CPlusPlus(ExampleCase):
    def test_every_way_out_of_a_scope_is_recorded_once(self):
        status, lines = self.start(self.ledger).wait()
        self.assertEqual(status, 0)
        self.assertEqual(lines[0], "bob: not enough money")
        self.assertTrue(lines[1].startswith("mallory: "))
        self.check_actions(money_transfer=3, report_make=1)
        by_actor = {event.get("actor", {}).get("id"): event for event in self.events()}
        good, known, thrown = (by_actor[name] for name in ("alice", "bob", "mallory"))
        self.assertEqual((good["outcome"], good["old_values"], good["new_values"]),
                         ("success", {"balance": 10000}, {"balance": 7500}))
        self.assertEqual((known["outcome"], known["reason"], known["severity"]),
                         ("failure", "not enough money", "high"))
        self.assertEqual((thrown["outcome"], thrown["reason"]),
                         ("failure", "scope left without an outcome"))
        report = by_actor[None]
        self.assertEqual(report["metadata"], {"balances": {"alice": 7500, "bob": 2500},
                                              "seal": {"b64": "AP9/"}, "title": "2 accounts"})
        self.assertEqual(lines[2].split()[1], report["id"])

    def test_without_a_ledger_it_says_so(self):
        program = self.start(self.dir / "nowhere")
        self.assertEqual(program.wait()[0], 1)
        self.assertIn("there is no ledger", "".join(program.errors))


if __name__ == "__main__":
    main()
