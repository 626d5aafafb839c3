#!/usr/bin/env python3
"""examples/prefork.c: many processes write one log, and any of them may die."""
import os
import signal
import socket
import threading

from programs import PATIENCE_S, ExampleCase, main

WORKERS = 3


class Prefork(ExampleCase):
    def setUp(self):
        super().setUp()
        self.server = self.start(self.ledger, "socket", WORKERS)
        self.workers = [self.next_worker() for _ in range(WORKERS)]
        self.addCleanup(self.kill_workers)
        self.documents = []

    def kill_workers(self):
        for pid in self.workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def next_worker(self):
        return int(self.server.line().removeprefix("worker "))

    def print_document(self, name):
        """Returns which worker did it, or None if it died meanwhile."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(self.dir / "socket"))
            client.sendall(f"alice {name}\n".encode())
            answer = client.recv(100).decode()
        if not answer:
            return None
        self.documents.append(name)
        return int(answer.removeprefix("printed by "))

    def print_many(self, prefix, count):
        """From several threads; every answer counts."""
        def run(thread):
            for i in range(count):
                self.assertIsNotNone(self.print_document(f"{prefix}-{thread}-{i}"))
        threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def check_documents(self):
        """What was answered is in the ledger, once."""
        found = [event["targets"][0]["id"] for event in self.events()
                 if event["action"] == "document.print"]
        self.assertEqual(sorted(found), sorted(self.documents))

    def test_workers_log_with_the_handles_of_their_parent(self):
        self.print_many("a", 25)
        status, lines = self.server.stop()
        self.assertEqual(status, 0)
        self.assertEqual(sorted(line.split()[0] for line in lines), ["parent"] + WORKERS * ["worker"])
        self.assertIn(f"parent {self.server.process.pid} left 0, lost 0", lines)
        self.assertFalse((self.dir / "socket").exists())
        self.check_documents()
        self.check_actions(document_print=100)
        self.assertTrue({event["metadata"]["worker"] for event in self.events()} <=
                        set(self.workers))

    def test_a_killed_worker_is_replaced_and_loses_nothing(self):
        self.print_many("before", 5)
        os.kill(self.workers[0], signal.SIGKILL)
        self.workers.append(self.next_worker())
        self.print_many("after", 5)
        self.assertEqual(self.server.stop()[0], 0)
        self.check_documents()
        self.check_actions(document_print=40, worker_die=1)
        died = next(event for event in self.events() if event["action"] == "worker.die")
        self.assertEqual(died["metadata"],
                         {"how": "signal 9, exit status 0", "worker": self.workers[0]})

    def test_what_orphans_log_is_recorded_by_the_next_server(self):
        self.print_many("before", 5)
        self.server.process.kill()
        self.server.process.wait()
        self.print_many("orphans", 5)
        second = self.start(self.ledger, "second", 1)
        self.wait_for_events(40)
        self.print_many("meanwhile", 5)  # still by the orphans, on the first socket
        for pid in self.workers:
            os.kill(pid, signal.SIGTERM)
        self.assertEqual(sorted(self.server.line().split(maxsplit=2)[2] for _ in self.workers),
                         WORKERS * ["left 0, lost 0"])
        self.assertEqual(second.stop()[0], 0)
        self.check_documents()
        self.check_actions(document_print=60)


if __name__ == "__main__":
    main()
