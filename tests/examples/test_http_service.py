#!/usr/bin/env python3
"""examples/http_service.c: each request is one event, whatever becomes of it."""
import http.client
import socket

from programs import ExampleCase, main


class HttpService(ExampleCase):
    def setUp(self):
        super().setUp()
        self.service = self.start(self.ledger, 0)
        self.port = int(self.service.line().removeprefix("port "))

    def request(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body,
                           {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, text

    def stop_service(self):
        self.assertEqual(self.service.stop(), (0, ["left 0, lost 0"]))

    def test_a_request_tells_who_did_what_to_what(self):
        self.assertEqual(self.request("PUT", "/items/sky", "blue", X_User="alice",
                                      X_Request_Id="r1", User_Agent="test"), (201, "blue"))
        self.assertEqual(self.request("PUT", "/items/sky", "gr\xfcn".encode(), X_User="bob")[0], 200)
        self.assertEqual(self.request("GET", "/items/sky", X_User="carol"), (200, "gr\xfcn"))
        self.stop_service()
        first, second, third = self.events()
        self.assertEqual((first["action"], first["actor"], first["targets"], first["transport"]),
                         ("item.write", {"id": "alice"}, [{"type": "item", "id": "sky"}], "http"))
        self.assertEqual((first["request_id"], first["source"]), ("r1", {"user_agent": "test"}))
        self.assertEqual((first["outcome"], first["response"]), ("success", {"status": 201}))
        self.assertEqual((first.get("old_values"), first["new_values"]), (None, {"text": "blue"}))
        self.assertEqual((second["old_values"], second["new_values"]),
                         ({"text": "blue"}, {"text": "gr\xfcn"}))
        self.assertEqual((third["action"], third["actor"]["id"]), ("item.read", "carol"))
        self.assertLessEqual(third["started_at"], third["ended_at"])
        self.check_actions(item_write=2, item_read=1)

    def test_a_request_that_fails_says_why(self):
        asked = [("GET", "/items/none", None, 404), ("GET", "/elsewhere", None, 400),
                 ("DELETE", "/items/sky", None, 405), ("PUT", "/items/big", "x" * 5000, 400)]
        for method, path, body, want in asked:
            self.assertEqual(self.request(method, path, body)[0], want)
        self.stop_service()
        events = self.events()
        self.assertEqual([(event["outcome"], event["response"]["status"]) for event in events],
                         [("failure", want) for *_, want in asked])
        self.assertEqual(events[0]["reason"], "Not Found")
        self.check_actions(item_read=2, item_write=2)

    def test_a_client_that_goes_away_is_in_the_log(self):
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            client.sendall(b"PUT /items/half HTTP/1.1\r\nHost: a\r\nX-User: dave\r\n"
                           b"Content-Length: 100\r\n\r\nonly this")
        self.wait_for_events(1)
        self.stop_service()
        (event,) = self.events()
        self.assertEqual((event["outcome"], event["reason"], event["actor"]["id"]),
                         ("failure", "the client did not wait for the answer", "dave"))
        self.check_actions(item_write=1)

    def test_what_the_library_logs_is_there_too(self):
        for i in range(8):
            self.assertEqual(self.request("PUT", f"/items/{i}", "x")[0], 201)
        self.assertEqual(self.request("PUT", "/items/9", "x")[0], 507)
        self.stop_service()
        self.check_actions(item_write=9, items_full=1)
        full = next(event for event in self.events() if event["action"] == "items.full")
        self.assertEqual((full["severity"], full["metadata"]), ("high", {"items_max": 8}))

    def test_bad_text_is_kept_as_far_as_it_can_be(self):
        self.assertEqual(self.request("PUT", "/items/bad", b"a\xffb")[0], 201)
        self.stop_service()
        (event,) = self.events()
        self.assertEqual((event["new_values"], event["tags"]),
                         ({"text": "a\ufffdb"}, ["tally:replaced"]))


if __name__ == "__main__":
    main()
