"""POST /v1/events: what is one event, an array, or lines, and what is neither."""
import json
import threading

from server import HttpCase, main

E = b'{"action":"a.b"}'


class Write(HttpCase):
    def send(self, body, content_type="application/json", want=201, **more):
        return self.post("/v1/events", body, "writer", want=want,
                         headers={"Content-Type": content_type}, **more)

    def counted(self):
        return self.get("/v1/count?action=a.b&exact=true").json["count"]

    def test_arrays_are_taken_with_any_space_between(self):
        bodies = [b"[" + E + b"]", b" [ " + E + b" , " + E + b" ] ", b"[\n" + E + b",\t" + E + b"\r\n]",
                  b'[{"action":"a.b","reason":"]},{\\"[\\\\"}]']
        for body in bodies:
            events = json.loads(body)
            reply = self.send(body).json
            self.assertEqual((reply["count"], len(reply["receipts"])), (len(events), len(events)))
        self.assertEqual(self.counted(), 6)

    def test_what_is_no_array_of_events_is_refused_as_a_whole(self):
        bodies = [b"[" + E, b"[" + E + b",", b"[" + E + b",]", b"[," + E + b"]", b"[" + E + E + b"]",
                  b"[" + E + b"]]", b"[" + E + b"]" + E, b"[" + E + b',{"action":"a.b"]',
                  b"[" + E + b',{"action":"a.b"]]', b"[" + E + b',"x]', b"[" + E + b",[" + E + b"]]",
                  b"[" + E + b",1]", b"[" + E + b",null]", b"[" + E + b',"text"]',
                  b"[" + E + b',{"action":"a.b",}]', b"[" + E + b";" + E + b"]", b"[", b"[ ", b"[]",
                  b"[" + E + b',{"action":"a.b","x":\xff}]', b"[" * 100000, b"[" + b"{" * 100000]
        for body in bodies:
            reply = self.send(body, want=None)
            self.assertIn(reply.status, (400, 422), f"{body[:60]}: {reply.body[:200]}")
            self.assertNotEqual(reply.code, None)
        self.assertEqual(self.counted(), 0)

    def test_the_index_of_each_bad_event_is_named(self):
        reply = self.send(b"[" + E + b',{"action":1},' + E + b',{"actor":{}}]', want=422)
        self.assertEqual([item["index"] for item in reply.json["errors"]], [1, 3])

    def test_lines_end_in_any_way_and_empty_ones_are_nothing(self):
        reply = self.send(E + b"\r\n\n" + E + b"\n" + E, "application/x-ndjson").json
        self.assertEqual(reply["count"], 3)

    def test_more_than_4096_events_are_too_many(self):
        for body, content_type in ((b"[" + b",".join([E] * 4097) + b"]", "application/json"),
                                   (b"\n".join([E] * 4097), "application/x-ndjson")):
            self.assertEqual(self.send(body, content_type, want=413).code, "too_large")
        self.assertEqual(self.send(b"[" + b",".join([E] * 4096) + b"]").json["count"], 4096)

    def test_many_clients_get_their_own_receipts(self):
        wrong = []

        def write(name):
            for n in range(20):
                ids = [f"{name}-{n}-{i}" for i in range(1 + n % 3)]
                events = [{"id": id, "action": "a.b"} for id in ids]
                reply = self.send(json.dumps(events if n % 3 else events[0]).encode(), want=None)
                receipts = reply.json.get("receipts", [reply.json])
                if reply.status != 201 or [receipt.get("id") for receipt in receipts] != ids:
                    wrong.append(reply.body)

        threads = [threading.Thread(target=write, args=(f"c{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    main()
