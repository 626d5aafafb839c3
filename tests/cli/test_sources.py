#!/usr/bin/env python3
"""sources: who sends, who fell silent, what no list of the policy names."""
import datetime
import json
import random
import unittest

from harness import Case, main

NOW = datetime.datetime.now(datetime.timezone.utc)
HOUR = 3600


def event(service, hours, **more):
    """Occurred so many hours ago."""
    time = NOW - datetime.timedelta(hours=hours)
    source = {"source": {"service": service}} if service is not None else {}
    return {"action": "a.b", "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), **source, **more}


class Sources(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def load(self, *events):
        self.tally("import", "--format", "ndjson", "-",
                   stdin="".join(json.dumps(one) + "\n" for one in events))

    def found(self):
        return self.tally("sources", "--json").json

    def sources(self):
        return {one["service"]: one for one in self.found()["sources"]}

    def test_without_an_index_nobody_knows(self):
        problem = self.tally("sources", "--json", want=5).problem
        self.assertEqual(problem["code"], "not_supported")

    def test_who_pauses_longer_than_ever_is_silent(self):
        steady = [event("steady", n + 0.5) for n in range(0, 200)]
        stopped = [event("stopped", n + 0.5) for n in range(30, 200)]
        nightly = [event("nightly", 24 * n + 20) for n in range(0, 20)]
        missed = [event("missed", 24 * n + 44) for n in range(0, 20)]
        once = [event("once", 300), event("once", 301)]
        old = [event("old", 24 * 31), event("old", 24 * 40)]
        events = steady + stopped + nightly + missed + once + old + [event(None, 1)]
        random.Random(3).shuffle(events)
        self.load(*events)
        found = self.sources()
        found = {name: one for name, one in found.items() if not name.startswith("tally")}
        self.assertEqual({name: one["silent"] for name, one in found.items()},
                         {"steady": False, "stopped": True, "nightly": False, "missed": True,
                          "once": False})
        self.assertEqual({name: one["events"] for name, one in found.items()},
                         {"steady": 200, "stopped": 170, "nightly": 20, "missed": 20, "once": 2})
        self.assertIsNone(found["once"]["silent_after"])
        self.assertIn(found["steady"]["silent_after"], (HOUR * 3 // 2, HOUR * 3))
        self.assertIn(found["missed"]["silent_after"], (24 * HOUR * 3 // 2, 25 * HOUR * 3 // 2))
        self.assertEqual(found["stopped"]["last_at"][:16],
                         event("", 30.5)["occurred_at"][:16])
        self.assertIn("silent", self.tally("sources").out)
        told = {one["check"]: one for one in self.tally("doctor", "--json", want=None).json["checks"]}
        self.assertEqual(told["sources"]["health"], "warning")
        self.assertIn('"missed", "stopped"', told["sources"]["what"])

    def test_many_segments_and_a_new_index_say_the_same(self):
        dice = random.Random(5)
        names = ["shop", "sso", "größe", "a" * 128, "x\u0001y", "#1", "billing", "b"]
        events = [event(dice.choice(names), dice.uniform(0.1, 1000)) for _ in range(3000)]
        for first in range(0, len(events), 500):
            self.load(*events[first:first + 500])
        counts = {}
        edge = (NOW - datetime.timedelta(hours=720)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for one in events:
            if one["occurred_at"] > edge:
                name = one["source"]["service"]
                counts[name] = counts.get(name, 0) + 1
        before = self.sources()
        for name, count in counts.items():
            if name != "x\u0001y":  # no plain name: it is shown by its hash
                self.assertAlmostEqual(before[name]["events"], count, delta=3, msg=name)
        self.assertEqual(sum(name.startswith("#") and len(name) == 17 for name in before), 1)
        self.tally("reindex")
        self.assertEqual(self.sources().keys(), before.keys())

    def test_two_hundred_are_told_apart(self):
        self.load(*[event(f"s{n}", 1) for n in range(250)])
        found = self.found()
        self.assertEqual((len(found["sources"]), found["sources_cut"]), (200, True))
        names = [one["service"] for one in found["sources"]]
        self.assertEqual(names, sorted(names))

    def test_what_is_erased_counts_no_more(self):
        self.load(*[event("gone", n + 0.5, id=f"g{n}") for n in range(5)])
        self.assertEqual(self.sources()["gone"]["events"], 5)
        self.tally("erase", "--id", "g0", "--reason", "r", "--by", "dpo", "--yes")
        self.assertEqual(self.sources()["gone"]["events"], 4)

    def test_what_no_list_names_is_told(self):
        lines = [json.dumps({"action": action}) for action in
                 ("cart.view", "cart.view", "cart.drop", "user.login")]
        self.tally("--set", "policy.allow=user.*", "log", "--stdin", stdin="\n".join(lines))
        self.tally("--set", "policy.allow=user.*", "log", "--stdin", stdin=lines[0])
        unlisted = self.found()["unlisted"]
        self.assertEqual([(one["action"], one["count"]) for one in unlisted],
                         [("cart.drop", 1), ("cart.view", 3)])
        self.assertIn("3 times cart.view", self.tally("sources").err)


if __name__ == "__main__":
    main()
