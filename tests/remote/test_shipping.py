"""A remote ledger: what is handed in on one side is recorded on the other, once and in order."""
import json
import os
import random
import signal
import time

from servers import RemoteCase, Rude, main

RUNS = int(os.environ.get("REMOTE_ROUNDS", "50"))


class Shipping(RemoteCase):
    def test_everything_arrives_once_and_in_order(self):
        lines, left = self.run_agent("q", 1, 3000)
        self.assertEqual(left, [0, 0])
        self.assertEqual({status for _, status, _ in lines}, {"TALLY_OK"})
        self.assertEqual(self.recorded(), [f"e-{n}" for n in range(1, 3001)])

    def test_a_strict_caller_gets_the_servers_receipt(self):
        lines, _ = self.run_agent("s", 1, 5)
        for n, (_, status, seq) in enumerate(lines, 1):
            self.assertEqual(status, "TALLY_OK")
            item = self.tally("get", seq, "--json").json
            self.assertEqual(item["event"]["id"], f"e-{n}")

    def test_the_same_event_again_is_a_duplicate(self):
        """Although each call fills in another time, as the event has none."""
        for expected in ("no", "yes"):
            out = self.remote("log", "--action", "remote.test", "--actor-id", "u1", "--id", "x").out
            self.assertEqual(out.split()[-1], expected)
        self.assertEqual((self.recorded(), self.refused(), self.gaps()), (["x"], [], []))

    def test_an_import_twice_records_once(self):
        lines = [{"action": "remote.test", "id": f"i-{n}"} for n in range(2500)]
        path = self.write("events.ndjson", "".join(json.dumps(line) + "\n" for line in lines))
        self.assertIn("2500 recorded", self.remote("import", path).out)
        self.assertIn("2500 already there", self.remote("import", path).out)
        self.assertEqual(self.recorded(), [f"i-{n}" for n in range(2500)])
        self.assertEqual(len(self.recorded("agent.import")), 1)

    def test_a_change_of_policy_is_recorded_once(self):
        for policy in ("remote.*", "remote.*", "remote.*,a.*", "remote.*,a.*"):
            self.tally("-C", self.server.url, "log", "--action", "remote.test", "--actor-id", "u1",
                       ledger=False, env={"TALLY_REMOTE_SPOOL": str(self.spool),
                                          "TALLY_REMOTE_TOKEN_FILE": str(self.token),
                                          "TALLY_POLICY_ALLOW": policy})
        self.assertEqual(len(self.recorded("agent.policy.change")), 2)

    def test_several_processes_share_a_spool(self):
        agents = [self.start_agent("q", 1, 300, prefix=f"p{i}") for i in range(4)]
        for agent in agents:
            agent.communicate(timeout=60)
        self.flush()
        recorded = self.recorded()
        self.assertEqual(len(recorded), len(set(recorded)))
        for i in range(4):
            self.assertEqual([id for id in recorded if id.startswith(f"p{i}-")],
                             [f"p{i}-{n}" for n in range(1, 301)])

    def test_a_server_that_is_away_delays_and_loses_nothing(self):
        self.server.kill()
        begun = time.monotonic()
        for kind, expected in (("q", "TALLY_OK"), ("y", "TALLY_OK"), ("b", "TALLY_OK"),
                               ("s", "TALLY_EBUSY")):
            lines, left = self.run_agent(kind, 1, 3, prefix=kind, timeout_ms=300)
            self.assertEqual([status for _, status, _ in lines], [expected] * 3)
            self.assertGreaterEqual(left[0], 3)
        self.assertLess(time.monotonic() - begun, 15)
        self.assertIn("TALLY_EIO", self.trouble())
        self.server.start()
        self.flush()
        self.assertEqual(sorted(self.recorded()),
                         sorted(f"{kind}-{n}" for kind in "qybs" for n in (1, 2, 3)))
        self.assertEqual(self.trouble(), "")

    def test_one_that_comes_back_is_noticed(self):
        self.server.kill()
        agent = self.start_agent("s", 1, 3, timeout_ms=20000)
        time.sleep(2)
        self.server.start()
        out, _ = agent.communicate(timeout=60)
        self.assertEqual([line.split()[1] for line in out.decode().splitlines()][:3],
                         ["TALLY_OK"] * 3)
        self.assertEqual(self.recorded(), ["e-1", "e-2", "e-3"])

    def test_a_full_spool_is_told_and_declared(self):
        self.server.kill()
        self.configure("spool:\n  max_bytes: 2MiB\n  segment_bytes: 64KiB\n")
        lines, _ = self.run_agent("q", 1, 12000, timeout_ms=1)
        good = [f"e-{n}" for n, status, _ in lines if status == "TALLY_OK"]
        lost = sum(status == "TALLY_ELIMIT" for _, status, _ in lines)
        self.assertGreater(lost, 0)
        self.assertEqual(len(good) + lost, 12000)
        self.server.start()
        self.flush()
        self.assertEqual(self.recorded(), good)
        self.assertEqual(sum(gap["count"] for gap in self.gaps()), lost)
        self.assertEqual({gap["reason"] for gap in self.gaps()}, {"spool full"})


class Killing(RemoteCase):
    def kill_at_random(self, rounds, kills_server, kills_agent):
        chance = random.Random(rounds)
        acked, first = [], 1
        for _ in range(rounds):
            agent = self.start_agent("sqy"[first % 3], first, 100000, timeout_ms=10000)
            time.sleep(chance.uniform(0.03, 0.25))
            if kills_server:
                self.server.kill()
                time.sleep(chance.uniform(0, 0.05))
            if kills_agent:
                agent.send_signal(signal.SIGKILL)
            if kills_server:
                self.server.start()
            if not kills_agent:
                time.sleep(chance.uniform(0.05, 0.3))
                agent.send_signal(signal.SIGKILL)
            out, _ = agent.communicate(timeout=60)
            lines = [line.split() for line in out.decode().splitlines(True) if line[-1] == "\n"]
            acked += [f"e-{n}" for n, status, _ in lines if status == "TALLY_OK"]
            first = int(lines[-1][0]) + 2 if lines else first + 1
        self.flush()
        recorded = self.recorded()
        self.assertEqual(len(recorded), len(set(recorded)), "doubled")
        self.assertEqual(set(acked) - set(recorded), set(), "lost")
        numbers = [int(id[2:]) for id in recorded]
        self.assertEqual(numbers, sorted(numbers), "out of order")
        self.assertGreater(len(acked), rounds)
        self.assertEqual(self.gaps(), [])
        self.tally("verify")

    def test_the_server_dies(self):
        self.kill_at_random(RUNS, True, False)

    def test_the_agent_dies(self):
        self.kill_at_random(RUNS, False, True)

    def test_both_die(self):
        self.kill_at_random(RUNS, True, True)


class Refusals(RemoteCase):
    def queue_all(self, events):
        """While the server is away, so that they are shipped together."""
        self.server.kill()
        self.remote("log", "--stdin", "--ack", "queued",
                    stdin="".join(json.dumps(event) + "\n" for event in events))
        self.server.start()

    def test_what_is_refused_holds_nothing_up(self):
        """Taken ids in the middle, and what only this server refuses."""
        self.tally("log", "--action", "taken.id", "--actor-id", "u1", "--id", "x-5")
        (self.ledger / "tally.yaml").write_text("ingest:\n  oversize: refuse\n"
                                                "limits:\n  event_bytes: 4KiB\n")
        events = [{"action": "remote.test", "id": f"x-{n}",
                   "metadata": {"fill": "f" * (8000 if n in (7, 8) else 10)}} for n in range(1, 13)]
        self.queue_all(events)
        self.flush()
        self.assertEqual(self.recorded(), [f"x-{n}" for n in (1, 2, 3, 4, 6, 9, 10, 11, 12)])
        refused = self.refused()
        self.assertEqual([line["event"]["id"] for line in refused], ["x-5", "x-7", "x-8"])
        self.assertEqual([line["code"] for line in refused],
                         ["id_conflict", "too_large", "too_large"])
        self.assertEqual(sum(gap["count"] for gap in self.gaps()), 3)
        self.assertEqual({gap["reason"] for gap in self.gaps()}, {"refused by the server"})
        self.assertEqual((self.spool / "refused.ndjson").stat().st_mode & 0o777, 0o600)
        self.tally("verify")

    def test_a_strict_caller_is_told_of_a_refusal(self):
        token = self.server.make_token(role="writer", tenants=["acme", "other"])
        self.set_token(token["token"])
        result = self.remote("log", "--action", "remote.test", "--actor-id", "u1", "--id", "t-1",
                             "--tenant-id", "acme", "--class", "strict")
        self.assertIn("RECORDED", result.out)
        result = self.remote("log", "--action", "remote.test", "--actor-id", "u1", "--id", "t-2",
                             "--tenant-id", "nobody", "--class", "strict", want=7)
        self.assertIn("refused.ndjson", result.err)
        self.assertEqual(self.recorded(), ["t-1"])
        self.assertIn("t-2", [line["event"]["id"] for line in self.refused()])

    def test_a_refusal_that_names_nobody_is_found_by_halving(self):
        token = self.server.make_token(role="writer", tenants=["acme", "other"])
        self.set_token(token["token"])
        events = [{"action": "remote.test", "id": f"t-{n}",
                   "tenant_id": "nobody" if n in (3, 40, 41) else "acme"} for n in range(64)]
        self.queue_all(events)
        self.flush("--tenant-id", "acme")
        good = [f"t-{n}" for n in range(64) if n not in (3, 40, 41)]
        self.assertEqual(self.recorded(), good)
        self.assertLessEqual({"t-3", "t-40", "t-41"},
                             {line["event"]["id"] for line in self.refused()})

    def test_a_wrong_token_is_waited_out(self):
        good = self.token.read_text().strip()
        self.set_token("tally_00000000_nobody-knows-this-one")
        lines, left = self.run_agent("q", 1, 5, timeout_ms=500)
        self.assertEqual({status for _, status, _ in lines}, {"TALLY_OK"})
        self.assertIn("TALLY_EDENIED", self.trouble())
        self.assertIn("remote.token_file", self.trouble())
        status = self.remote("status", want=1)
        self.assertIn("remote.token_file", status.out)
        agent = self.start_agent("s", 6, 1, timeout_ms=30000)
        time.sleep(1)
        self.set_token(good)
        agent.communicate(timeout=60)
        self.assertEqual(self.recorded(), [f"e-{n}" for n in range(1, 7)])
        self.assertEqual((self.trouble(), self.gaps(), self.refused()), ("", [], []))

    def test_a_token_that_is_revoked_and_replaced(self):
        token = self.server.make_token(role="writer")
        self.set_token(token["token"])
        agent = self.start_agent("s", 1, 60, timeout_ms=30000)
        agent.stdout.readline()
        self.server.ask("DELETE", f"/v1/tokens/{token['id']}")
        self.wait_until(lambda: "TALLY_EDENIED" in self.trouble())
        self.set_token(self.server.make_token(role="writer")["token"])
        agent.communicate(timeout=60)
        self.assertEqual(self.recorded(), [f"e-{n}" for n in range(1, 61)])

    def test_a_token_file_that_others_can_read_is_not_used(self):
        os.chmod(self.token, 0o644)
        self.run_agent("q", 1, 1, timeout_ms=300)
        self.assertIn("open to group or others", self.trouble())
        os.chmod(self.token, 0o600)
        self.flush()
        self.assertEqual(self.recorded(), ["e-1"])


class Manners(RemoteCase):
    """Whatever comes back: nothing is taken for recorded that is not, and all of it arrives."""

    def survives(self, manner, count=20, **options):
        rude = Rude(self, self.server, manner)
        lines, left = self.run_agent("q", 1, count, url=rude.url, timeout_ms=30000, **options)
        self.assertEqual(left, [0, 0])
        self.assertEqual(self.recorded(), [f"e-{n}" for n in range(1, count + 1)])
        self.assertEqual((self.refused(), self.gaps()), ([], []))
        return rude

    def badly(self, times, bad):
        return lambda self, n, body: bad(self, body) if n <= times else self.pass_on(body)

    def test_garbage(self):
        self.survives(self.badly(3, lambda at, body: at.wfile.write(os.urandom(3000))))

    def test_a_connection_that_is_dropped(self):
        self.survives(self.badly(3, lambda at, body: at.connection.shutdown(2)))

    def test_half_an_answer(self):
        def half(at, body):
            data = b'{"level":"RECORDED","count":20,"rece'
            at.send_response(201)
            at.send_header("Content-Length", "5000")
            at.end_headers()
            at.wfile.write(data)
            at.close_connection = True
        self.survives(self.badly(3, half))

    def test_an_answer_that_is_lost_after_the_server_has_recorded(self):
        def lose(at, body):
            at.forward(body)
            at.close_connection = True
        self.survives(self.badly(4, lose))

    def test_receipts_for_something_else(self):
        def lie(at, body):
            count = len(body.splitlines())
            receipt = {"id": "other", "level": "RECORDED", "seq": 7, "origin": "o",
                       "recorded_at": "2026-01-01T00:00:00Z", "leaf_hash": "00" * 32,
                       "duplicate": False}
            at.reply(201, json.dumps({"receipts": [receipt] * count}).encode())
        self.survives(self.badly(2, lie))

    def test_yes_without_receipts(self):
        self.survives(self.badly(2, lambda at, body: at.reply(200, b'{"count":1,"receipts":[]}')))

    def test_an_answer_without_end(self):
        def flood(at, body):
            at.send_response(200)
            at.end_headers()
            try:
                for _ in range(200):
                    at.wfile.write(b"x" * 100000)
            except OSError:
                pass
            at.close_connection = True
        self.survives(self.badly(2, flood))

    def test_errors_of_proxies(self):
        codes = [500, 502, 404, 400, 301, 418, 204]

        def manner(at, n, body):
            if n <= len(codes):
                at.reply(codes[n - 1], b"<html>no</html>", Location="/elsewhere")
            else:
                at.pass_on(body)
        self.survives(manner)

    def test_later_is_respected(self):
        rude = self.survives(self.badly(1, lambda at, body: at.reply(503, b"", Retry_After="3")))
        self.assertGreater(rude.times[1] - rude.times[0], 2.9)

    def test_one_that_hangs(self):
        self.configure("remote:\n  timeout_s: 1\n")
        self.survives(self.badly(1, lambda at, body: time.sleep(20)))

    def test_one_that_hangs_does_not_keep_a_program_from_ending(self):
        rude = Rude(self, self.server, lambda at, n, body: time.sleep(60))
        begun = time.monotonic()
        lines, left = self.run_agent("q", 1, 3, url=rude.url, timeout_ms=500)
        self.assertLess(time.monotonic() - begun, 12)
        self.assertGreaterEqual(left[0], 3)
        self.flush()
        self.assertEqual(self.recorded(), ["e-1", "e-2", "e-3"])

    def test_a_body_too_large_for_a_proxy_is_sent_in_parts(self):
        def manner(at, n, body):
            if len(body.splitlines()) > 3:
                at.reply(413, b"<html>too much</html>")
            else:
                at.pass_on(body)
        self.survives(manner)


if __name__ == "__main__":
    main()
