"""A session after the handshake: calls, streams, and what goes wrong in them."""

import json
import threading
import unittest

import mcp_client

from .fake import Fake


def replying(*answers):
    """A server that answers the n-th request with the n-th of `answers`.

    An answer is a list of frames without their id, bytes as they are, or a function of the request.
    """

    def script(peer):
        peer.shake_hands()
        for answer in answers:
            request = json.loads(peer.line())
            if callable(answer):
                answer = answer(request)
            if isinstance(answer, bytes):
                peer.send(answer)
                continue
            for frame in answer:
                line = json.dumps({"id": request["id"], **frame}) + "\n"
                peer.send(line.encode())
        peer.wait_for_end()

    return script


class Calls(unittest.TestCase):
    def session(self, *answers, timeout=5):
        server = Fake(replying(*answers))
        self.addCleanup(server.__exit__)
        connection = mcp_client.connect("127.0.0.1", server.port, timeout=timeout)
        self.addCleanup(connection.close)
        return connection

    def test_operations_send_their_parameters_and_return_mappings(self):
        seen = []

        def remember(result):
            def answer(request):
                seen.append((request["id"], request["method"], request["params"]))
                return [{"result": result}]

            return answer

        connection = self.session(
            remember({"summary": "short"}),
            remember({"prompt": "write"}),
            remember({"status": "ok"}),
        )
        summary = connection.summarize(text="a ü text", length="short")
        self.assertEqual(summary.get("summary"), "short")
        prompt = connection.generate_prompt(theme="sci-fi", difficulty="medium")
        self.assertEqual(prompt.get("prompt"), "write")
        self.assertEqual(connection.status(), {"status": "ok"})
        self.assertEqual(
            seen,
            [
                (1, "summarize", {"text": "a ü text", "length": "short"}),
                (2, "generate_prompt", {"theme": "sci-fi", "difficulty": "medium"}),
                (3, "status", {}),
            ],
        )

    def test_the_session_is_kept_can_be_read_and_restored(self):
        def echo(request):
            session = request["params"].get("sessionId", "made-by-server")
            return [{"result": {"sessionId": session, "response": "r", "updatedContext": {}}}]

        connection = self.session(echo, echo, echo)
        connection.interact("one", context={"user_id": "u"})
        self.assertEqual(connection.session_id, "made-by-server")
        self.assertEqual(connection.interact("two")["sessionId"], "made-by-server")
        connection.session_id = "stored earlier"
        self.assertEqual(connection.interact("three")["sessionId"], "stored earlier")

    def test_a_stream_gives_pieces_and_then_the_whole(self):
        whole = {"sessionId": "s", "response": "ab", "updatedContext": {}}
        connection = self.session([{"partial": "a"}, {"partial": "b"}, {"result": whole}])
        stream = connection.interact("x", stream=True)
        self.assertEqual(list(stream), ["a", "b"])
        self.assertEqual(stream.result, whole)
        self.assertEqual(connection.session_id, "s")

    def test_partial_frames_of_a_plain_call_are_passed_over(self):
        connection = self.session([{"partial": "a"}, {"result": {"summary": "s"}}])
        self.assertEqual(connection.summarize("x"), {"summary": "s"})

    def test_an_abandoned_stream_does_not_block_or_disturb_the_next_call(self):
        frames = [{"partial": "a"}, {"partial": "b"}, {"result": {"late": True}}]
        connection = self.session(frames, [{"result": {"summary": "s"}}])
        stream = connection.interact("x", stream=True)
        self.assertEqual(next(stream), "a")
        self.assertEqual(connection.summarize("y"), {"summary": "s"})
        with self.assertRaises(mcp_client.MCPError):
            next(stream)

    def test_a_typed_error_keeps_code_and_hint_and_the_connection(self):
        error = {"code": "invalid_input", "message": "`length` is not known", "hint": "use short"}
        connection = self.session([{"error": error}], [{"result": {}}])
        with self.assertRaises(mcp_client.MCPError) as caught:
            connection.summarize("x", length="huge")
        self.assertEqual(caught.exception.code, "invalid_input")
        self.assertEqual(str(caught.exception), "`length` is not known")
        self.assertEqual(caught.exception.hint, "use short")
        self.assertEqual(connection.status(), {})

    def test_an_answer_that_is_no_json_keeps_its_bytes(self):
        connection = self.session(b"<html>\n", b"[1]\n")
        for body in (b"<html>", b"[1]"):
            with self.assertRaises(mcp_client.InvalidJSONError) as caught:
                connection.status()
            self.assertEqual(caught.exception.body, body)
            self.assertEqual(caught.exception.code, "invalid_json")

    def test_an_end_without_answer_and_an_end_in_the_middle(self):
        for sent, error in ((b"", mcp_client.EmptyResponseError), (b'{"id"', mcp_client.LostError)):

            def script(peer, sent=sent):
                peer.shake_hands()
                peer.line()
                peer.send(sent)

            with Fake(script) as server, mcp_client.connect("127.0.0.1", server.port) as connection:
                with self.assertRaises(error):
                    connection.status()

    def test_a_late_answer_of_a_call_that_gave_up_is_passed_over(self):
        late = threading.Event()

        def script(peer):
            peer.shake_hands()
            first = json.loads(peer.line())
            late.wait(10)
            second = json.loads(peer.line())
            for request, name in ((first, "late"), (second, "fresh")):
                peer.send(json.dumps({"id": request["id"], "result": name}).encode() + b"\n")
            peer.wait_for_end()

        with Fake(script) as server, mcp_client.connect("127.0.0.1", server.port) as connection:
            with self.assertRaises(mcp_client.TimeoutError) as caught:
                connection.status(timeout=0.05)
            self.assertIsInstance(caught.exception, mcp_client.MCPError)
            self.assertEqual(caught.exception.code, "timeout")
            late.set()
            self.assertEqual(connection.status(), "fresh")

    def test_a_total_limit_ends_an_answer_that_only_drips(self):
        stop = threading.Event()

        def script(peer):
            peer.shake_hands()
            peer.line()
            while not stop.wait(0.01):
                peer.send(b" ")

        with Fake(script) as server, mcp_client.connect("127.0.0.1", server.port) as connection:
            limit = mcp_client.Timeout(connect=5, read=5, total=0.2)
            with self.assertRaises(mcp_client.TimeoutError) as caught:
                connection.status(timeout=limit)
            self.assertEqual(caught.exception.seconds, 0.2)
            stop.set()

    def test_a_closed_connection_says_so_and_closes_twice(self):
        connection = self.session()
        connection.close()
        connection.close()
        with self.assertRaises(mcp_client.LostError):
            connection.status()

    def test_threads_take_turns(self):
        def echo(request):
            return [{"result": request["params"]["text"]}]

        connection = self.session(*[echo] * 40)
        results = []

        def work(i):
            for j in range(10):
                text = f"{i}-{j}"
                results.append(connection.summarize(text) == text)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.assertEqual(results, [True] * 40)


class Timeouts(unittest.TestCase):
    def test_a_timeout_is_a_number_three_numbers_or_none(self):
        self.assertEqual(mcp_client.Timeout.of(3).total, 3)
        self.assertIsNone(mcp_client.Timeout.of(None).connect)
        self.assertIsNone(mcp_client.Timeout.of(3).for_stream().total)
        self.assertEqual(mcp_client.Timeout(3, 3, 3).for_stream().total, 3)
        for wrong in (0, -1):
            with self.assertRaises(ValueError):
                mcp_client.Timeout.of(wrong)
        with self.assertRaises(TypeError):
            mcp_client.Timeout.of("5")
