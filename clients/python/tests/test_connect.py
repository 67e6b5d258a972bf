"""Connecting: what is sent, and what every kind of other end turns into."""

import socket
import unittest
from unittest import mock

import mcp_client
from mcp_client import ports
from mcp_client.sockets import open_socket

from .fake import ACCEPTED, Fake, closed_port


def answering(data):
    """A server that reads the greeting, sends something and waits for the end."""

    def script(peer):
        peer.until(b"\r\n\r\n")
        peer.send(data)
        peer.wait_for_end()

    return script


class Handshake(unittest.TestCase):
    def test_the_greeting_has_exactly_the_documented_bytes(self):
        seen = []
        with Fake(lambda peer: seen.append(peer.shake_hands())) as server:
            mcp_client.connect(host="localhost", port=server.port, timeout=5).close()
        self.assertEqual(seen, [b"MCP/1.0\r\nConnection: Upgrade\r\n\r\n"])

    def test_a_key_goes_in_before_the_empty_line(self):
        seen = []
        with Fake(lambda peer: seen.append(peer.shake_hands())) as server:
            mcp_client.connect("127.0.0.1", server.port, api_key="rk_1").close()
        lines = seen[0].split(b"\r\n")
        self.assertEqual(lines[0], b"MCP/1.0")
        self.assertIn(b"Authorization: Bearer rk_1", lines)
        self.assertEqual(lines[-2:], [b"", b""])

    def test_a_key_cannot_smuggle_a_line(self):
        with self.assertRaises(ValueError):
            mcp_client.connect("127.0.0.1", closed_port(), api_key="a\r\nb: c")

    def test_an_answer_in_many_pieces_is_put_together(self):
        def script(peer):
            peer.until(b"\r\n\r\n")
            for i in range(len(ACCEPTED)):
                peer.send(ACCEPTED[i : i + 1])
            peer.wait_for_end()

        with Fake(script) as server:
            connection = mcp_client.connect("127.0.0.1", server.port)
            self.assertEqual(connection.version, "1.0")
            connection.close()

    def test_another_minor_version_is_a_warning(self):
        with Fake(answering(ACCEPTED.replace(b"1.0", b"1.3"))) as server:
            with self.assertLogs("mcp_client", "WARNING") as logs:
                mcp_client.connect("127.0.0.1", server.port).close()
        self.assertIn("MCP/1.3", logs.output[0])

    def check(self, answer, error, *parts, **fields):
        with Fake(answering(answer)) as server:
            with self.assertRaises(error) as caught:
                mcp_client.connect("127.0.0.1", server.port, timeout=5)
        self.assertIs(type(caught.exception), error)
        for part in (f"127.0.0.1:{server.port}", *parts):
            self.assertIn(part, str(caught.exception))
        for name, value in fields.items():
            self.assertEqual(getattr(caught.exception, name), value)

    def test_other_versions_are_named_on_both_sides(self):
        refused = b"MCP/1.0 426 Upgrade Required\r\nSupported: 2.0\r\n\r\n"
        for answer in (refused, ACCEPTED.replace(b"1.0", b"2.0")):
            self.check(
                answer,
                mcp_client.ProtocolMismatchError,
                "MCP/2.0",
                "MCP/1.0",
                code="version_mismatch",
                client_version="1.0",
                server_version="2.0",
            )

    def test_a_refused_key_is_an_mcp_error(self):
        answer = b"MCP/1.0 401 Unauthorized\r\n\r\n"
        self.check(answer, mcp_client.MCPError, "401 Unauthorized", code="unauthorized")

    def test_what_speaks_something_else_is_told_apart(self):
        mismatch = mcp_client.ProtocolMismatchError
        self.check(b"HTTP/1.1 400 Bad Request\r\n\r\n", mismatch, "speaks HTTP only")
        self.check(b"ERROR: Invalid JSON format\n", mismatch, "JSON lines")
        self.check(b"SSH-2.0-x\r\n", mismatch, "SSH")
        self.check(b"220 mail ready\r\n", mismatch, "220 mail ready")
        self.check(b"\x15\x03\x01\x00\x02\x02\x0a", mcp_client.TLSError, "speaks TLS")

    def test_a_foreign_end_is_known_without_waiting_for_more(self):
        # Nothing follows these bytes; without a look at them this would take the whole timeout.
        with Fake(answering(b"HT")) as server:
            with self.assertRaises(mcp_client.ProtocolMismatchError):
                mcp_client.connect("127.0.0.1", server.port, timeout=60)

    def test_silence_and_half_answers(self):
        with Fake(lambda peer: peer.until(b"\r\n\r\n")) as server:
            with self.assertRaises(mcp_client.EmptyResponseError):
                mcp_client.connect("127.0.0.1", server.port)

        def half(peer):
            peer.until(b"\r\n\r\n")
            peer.send(b"MCP/1.0 10")

        with Fake(half) as server:
            with self.assertRaises(mcp_client.LostError):
                mcp_client.connect("127.0.0.1", server.port)

    def test_a_server_that_says_nothing_is_a_timeout_with_its_limit(self):
        with Fake(answering(b"")) as server:
            with self.assertRaises(mcp_client.OperationTimeoutError) as caught:
                mcp_client.connect("127.0.0.1", server.port, timeout=0.1)
        self.assertEqual(caught.exception.seconds, 0.1)
        self.assertIn("0.1 seconds", str(caught.exception))


class Connect(unittest.TestCase):
    def test_a_refusal_names_target_and_next_step_and_is_caught_first(self):
        port = closed_port()
        try:
            mcp_client.connect(host="localhost", port=port, timeout=5)
            self.fail("nobody listens there")
        except mcp_client.ConnectionError as error:
            caught = error
        except mcp_client.MCPError:
            self.fail("a connect failure is a ConnectionError")
        expected = f"Connection refused. Is the MCP server running on localhost:{port}?"
        self.assertTrue(str(caught).startswith(expected), caught)
        self.assertEqual(caught.kind, "refused")
        self.assertEqual(caught.target, f"localhost:{port}")
        self.assertIn("rapport doctor", caught.hint)
        self.assertIsInstance(caught, ConnectionError)

    def test_localhost_is_tried_in_both_families(self):
        with socket.socket(socket.AF_INET6) as listener:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(("::1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            with open_socket("localhost", port, 5) as stream:
                self.assertEqual(stream.getpeername()[0], "::1")

    def test_the_famous_port_leads_home(self):
        seen = []

        def remember(host, port, seconds):
            seen.append((host, port))
            raise mcp_client.RefusedError("x")

        ports._warned.clear()
        with mock.patch("mcp_client.connection.open_socket", remember):
            with self.assertLogs("mcp_client", "WARNING"):
                with self.assertRaises(mcp_client.ConnectionError):
                    mcp_client.connect(host="localhost", port=619009, timeout=5)
        self.assertEqual(seen, [("localhost", 61900)])

    def test_an_unknown_name_is_told_apart(self):
        failure = socket.gaierror(-2, "Name or service not known")
        with mock.patch("socket.getaddrinfo", side_effect=failure):
            with self.assertRaises(mcp_client.NameResolutionError) as caught:
                mcp_client.connect(host="nowhere.invalid", timeout=1)
        self.assertIn("`nowhere.invalid`", str(caught.exception))

    def test_a_silent_address_is_a_connect_timeout(self):
        with mock.patch("socket.socket.connect", side_effect=socket.timeout("timed out")):
            with self.assertRaises(mcp_client.ConnectTimeoutError) as caught:
                mcp_client.connect(host="127.0.0.1", port=61900, timeout=0.2)
        self.assertIsInstance(caught.exception, mcp_client.ConnectionError)
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertIn("timed out after 0.2 seconds", str(caught.exception))
