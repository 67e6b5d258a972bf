"""The HTTP client: paths, objects, streams, errors, connections."""

import json
import os
import unittest
from unittest import mock

import mcp_client
from mcp_client import address, ports

from .fake import Fake, FakeHTTP, closed_port

JSON = {"content-type": "application/json"}


def body(value, status=200, **headers):
    return status, {**JSON, **headers}, json.dumps(value).encode()


class WithServer(unittest.TestCase):
    def serve(self, answer, **options):
        server = FakeHTTP(answer)
        self.addCleanup(server.__exit__)
        client = mcp_client.Client(base_url=server.url, **options)
        self.addCleanup(client.close)
        return server, client


class Contexts(WithServer):
    def test_the_life_of_a_context(self):
        def answer(request):
            if request.method == "DELETE":
                return body({"message": "Context 'a/b ü' deleted"})
            if request.method == "GET" and "/messages" in request.path:
                message = {"seq": 1, "role": "user", "content": "hi", "new": 1}
                return body({"messages": [message], "next_cursor": None})
            if request.path.endswith("/turns"):
                return body({"context_id": "a/b ü", "turn": 1, "text": "hello", "revision": 2})
            return body({"id": "a/b ü", "revision": 1, "state": {"k": 1}, "unknown": True})

        server, client = self.serve(answer, api_key="rk_1")
        created = client.contexts.create(title="t", state={"k": 1})
        self.assertEqual((created.id, created.revision, created.state), ("a/b ü", 1, {"k": 1}))
        self.assertIs(created.raw["unknown"], True)
        self.assertEqual(client.contexts.get("a/b ü").id, "a/b ü")
        turn = client.contexts.send("a/b ü", "hi", model="demo")
        self.assertEqual((turn.text, turn.turn, turn.replayed), ("hello", 1, False))
        messages = client.contexts.messages("a/b ü", last=5, role=None)
        self.assertEqual([m.content for m in messages], ["hi"])
        client.contexts.update("a/b ü", revision=3, title="new")
        client.contexts.end("a/b ü")
        self.assertIn("deleted", client.contexts.delete("a/b ü")["message"])
        path = "/api/v1/contexts/a%2Fb%20%C3%BC"
        self.assertEqual(
            [(r.method, r.path) for r in server.requests],
            [
                ("POST", "/api/v1/contexts"),
                ("GET", path),
                ("POST", path + "/turns"),
                ("GET", path + "/messages?last=5"),
                ("PATCH", path),
                ("POST", path + "/close"),
                ("DELETE", path),
            ],
        )
        first, turn, patch = (server.requests[i] for i in (0, 2, 4))
        self.assertEqual(json.loads(first.body), {"title": "t", "state": {"k": 1}})
        self.assertEqual(first.headers["content-type"], "application/json")
        self.assertEqual(first.headers["authorization"], "Bearer rk_1")
        self.assertEqual(json.loads(turn.body), {"message": "hi", "model": "demo"})
        self.assertNotEqual(first.headers["idempotency-key"], turn.headers["idempotency-key"])
        self.assertEqual(patch.headers["if-match"], '"3"')
        self.assertEqual(len({r.peer for r in server.requests}), 1, "one connection is enough")

    def test_all_goes_through_the_pages(self):
        def answer(request):
            if "cursor=c1" in request.path:
                return body({"contexts": [{"id": "3"}], "next_cursor": None})
            return body({"contexts": [{"id": "1"}, {"id": "2"}], "next_cursor": "c1"})

        _, client = self.serve(answer)
        self.assertEqual([c.id for c in client.contexts.all(limit=2)], ["1", "2", "3"])


class Streams(WithServer):
    STREAM = (
        b'event: start\ndata: {"context_id":"c"}\n\n: ping\n\n'
        b'event: delta\ndata: {"text":"h\xc3\xa9"}\n\n'
        b'event: delta\r\ndata: {"text":"llo"}\r\n\r\n'
        b'event: done\ndata: {"context_id":"c","text":"h\xc3\xa9llo","turn":1}\n\n'
    )

    def stream(self, pieces):
        server, client = self.serve(lambda _: (200, {"content-type": "text/event-stream"}, pieces))
        return server, client, client.contexts.send("c", "hi", stream=True)

    def test_events_arrive_however_the_bytes_are_cut(self):
        for size in (1, 2, 7, len(self.STREAM)):
            pieces = [self.STREAM[i : i + size] for i in range(0, len(self.STREAM), size)]
            server, client, stream = self.stream(pieces)
            events = list(stream)
            self.assertEqual([e.type for e in events], ["start", "delta", "delta", "done"])
            self.assertEqual(stream.turn.text, "héllo")
            self.assertEqual(json.loads(server.requests[0].body), {"message": "hi", "stream": True})
            self.assertEqual(server.requests[0].headers["accept"], "text/event-stream")

    def test_texts_are_only_the_words(self):
        _, _, stream = self.stream([self.STREAM])
        self.assertEqual("".join(stream.texts()), "héllo")

    def test_an_error_event_is_an_mcp_error(self):
        error = b'event: error\ndata: {"error":"upstream gone","code":"upstream_error"}\n\n'
        _, _, stream = self.stream([self.STREAM[:60], error])
        with self.assertRaises(mcp_client.MCPError) as caught:
            list(stream)
        self.assertEqual(caught.exception.code, "upstream_error")

    def test_a_cut_stream_is_not_mistaken_for_a_whole_one(self):
        for pieces in ([self.STREAM[:110]], [self.STREAM[:110], None]):
            _, _, stream = self.stream(pieces)
            with self.assertRaises(mcp_client.LostError):
                list(stream)
            self.assertIsNone(stream.turn)

    def test_leaving_early_leaves_the_client_usable(self):
        _, client, stream = self.stream([self.STREAM])
        next(stream)
        stream.close()
        with client.contexts.send("c", "again", stream=True) as again:
            self.assertEqual("".join(again.texts()), "héllo")


class Errors(WithServer):
    def test_a_problem_keeps_status_headers_and_body(self):
        problem = {"detail": "Context not found", "code": "context_not_found", "hint": "list them"}
        _, client = self.serve(lambda _: body(problem, 404, **{"X-Request-Id": "r1"}))
        with self.assertRaises(mcp_client.HTTPError) as caught:
            client.contexts.get("x")
        error = caught.exception
        self.assertEqual((error.status, error.code), (404, "context_not_found"))
        self.assertEqual(error.hint, "list them")
        self.assertEqual((error.request_id, json.loads(error.body)), ("r1", problem))
        self.assertEqual(error.headers["content-type"], "application/json")
        self.assertIn("Context not found", str(error))

    def test_an_error_that_is_no_json_is_kept_too(self):
        page = b"<h1>no</h1>"
        _, client = self.serve(lambda _: (502, {"content-type": "text/html"}, page))
        with self.assertRaises(mcp_client.HTTPError) as caught:
            client.status()
        self.assertEqual((caught.exception.code, caught.exception.body), ("http_502", page))

    def test_an_answer_that_is_no_json_or_nothing(self):
        empty, invalid = mcp_client.EmptyResponseError, mcp_client.InvalidJSONError
        for raw, error in ((b"<html>", invalid), (b"", empty)):
            _, client = self.serve(lambda _, raw=raw: (200, JSON, raw))
            with self.assertRaises(error):
                client.status()

    def test_a_body_that_is_too_short_was_cut(self):
        headers = {**JSON, "content-length": "50", "connection": "close"}
        _, client = self.serve(lambda _: (200, headers, b"{}"))
        with self.assertRaises(mcp_client.LostError):
            client.status()

    def test_nobody_there_and_somebody_else_there(self):
        with self.assertRaises(mcp_client.RefusedError):
            mcp_client.Client(f"http://localhost:{closed_port()}").status()

        def mail(peer):
            peer.until(b"\r\n\r\n")
            peer.send(b"220 mail\r\n")
            peer.wait_for_end()

        with Fake(mail) as server:
            with self.assertRaises(mcp_client.ProtocolMismatchError):
                mcp_client.Client(f"http://127.0.0.1:{server.port}").status()
        with Fake(lambda peer: peer.until(b"\r\n\r\n")) as server:
            with self.assertRaises(mcp_client.EmptyResponseError):
                mcp_client.Client(f"http://127.0.0.1:{server.port}").status()

    def test_tls_and_plain_are_told_apart_in_both_directions(self):
        def plain(peer):
            peer.until(b"\x03")
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with Fake(plain) as server:
            with self.assertRaises(mcp_client.TLSError):
                mcp_client.Client(f"https://127.0.0.1:{server.port}").status()

        def encrypted(peer):
            peer.until(b"\r\n\r\n")
            peer.send(b"\x15\x03\x01\x00\x02\x02\x0a")

        with Fake(encrypted) as server:
            with self.assertRaises(mcp_client.TLSError):
                mcp_client.Client(f"http://127.0.0.1:{server.port}").status()

    def test_a_slow_answer_is_a_timeout_per_call(self):
        def script(peer):
            peer.until(b"\r\n\r\n")
            peer.wait_for_end()

        with Fake(script) as server:
            client = mcp_client.Client(f"http://127.0.0.1:{server.port}")
            with self.assertRaises(mcp_client.OperationTimeoutError) as caught:
                client.status(timeout=0.1)
            self.assertEqual(caught.exception.seconds, 0.1)


class Connections(WithServer):
    def test_a_kept_connection_that_was_closed_is_made_anew(self):
        def script(peer):
            peer.until(b"\r\n\r\n")
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

        with Fake(script) as server:
            client = mcp_client.Client(f"http://127.0.0.1:{server.port}")
            for _ in range(3):
                self.assertEqual(client.status(), {})
            client.close()

    def test_no_proxy_is_used_whatever_the_environment_says(self):
        dead = f"http://127.0.0.1:{closed_port()}"
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY")
        with mock.patch.dict(os.environ, {name: dead for name in names}):
            _, client = self.serve(lambda _: body({"ok": True}))
            self.assertEqual(client.status(), {"ok": True})

    def test_a_proxy_that_is_given_is_used(self):
        proxy = FakeHTTP(lambda _: body({"via": "proxy"}))
        self.addCleanup(proxy.__exit__)
        client = mcp_client.Client("http://server.invalid:61900", proxy=proxy.url)
        self.assertEqual(client.status(), {"via": "proxy"})
        self.assertEqual(proxy.requests[0].path, "http://server.invalid:61900/api/v1/status")
        client.close()


class Addresses(unittest.TestCase):
    def test_addresses_are_taken_apart(self):
        for url, expected in (
            ("http://localhost:61900", ("http", "localhost", 61900, "")),
            ("HTTPS://[::1]:8443/base/", ("https", "::1", 8443, "/base")),
            ("http://example", ("http", "example", 80, "")),
            ("https://example/a/b", ("https", "example", 443, "/a/b")),
        ):
            self.assertEqual(tuple(address.parse(url)), expected)

    def test_the_famous_port_works_in_an_address(self):
        ports._warned.clear()
        with self.assertLogs("mcp_client", "WARNING"):
            self.assertEqual(address.parse("http://localhost:619009").port, 61900)
        with self.assertRaises(mcp_client.InvalidPortError):
            address.parse("http://localhost:619009", strict=True)

    def test_what_is_no_address_is_refused(self):
        wrong = ["localhost:61900", "ftp://x", "http://", "http://u:p@x", "http://[::1"]
        for url in (*wrong, "http://x?y"):
            with self.subTest(url=url), self.assertRaises(ValueError):
                address.parse(url)
