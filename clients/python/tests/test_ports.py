"""Numbers that are ports, stand for ports, or were meant to be ports."""

import unittest

import mcp_client
from mcp_client import ports


class Candidates(unittest.TestCase):
    def test_the_famous_number_has_its_documented_ranking(self):
        self.assertEqual(ports.candidates(619009), [61900, 61909, 61009, 19009])

    def test_related_slips_lead_home(self):
        self.assertEqual(ports.candidates(619010)[:3], [61900, 61901, 61910])
        found = ports.candidates(6199009)
        self.assertEqual(found[0], 61900)
        self.assertIn(61909, found)

    def test_only_ports_are_proposed(self):
        for number in (65536, 70000, 99999, 123456, 999999, 10**12):
            for port in ports.candidates(number):
                self.assertTrue(1 <= port <= 65535, (number, port))


class Resolve(unittest.TestCase):
    def setUp(self):
        ports._warned.clear()

    def test_a_port_stays_as_it_is(self):
        given = (1, 61900, "65535", " 80 ")
        self.assertEqual([ports.resolve(port) for port in given], [1, 61900, 65535, 80])

    def test_the_logical_number_is_mapped_with_one_warning(self):
        with self.assertLogs("mcp_client", "WARNING") as logs:
            self.assertEqual(ports.resolve(619009), 61900)
            self.assertEqual(ports.resolve("619009"), 61900)
        self.assertEqual(len(logs.output), 1)
        self.assertIn("619009 is not a TCP port", logs.output[0])

    def test_the_map_can_be_extended(self):
        ports.LOGICAL[700001] = 8123
        self.addCleanup(ports.LOGICAL.pop, 700001)
        with self.assertLogs("mcp_client", "WARNING"):
            self.assertEqual(ports.resolve(700001), 8123)

    def test_strict_ports_refuse_the_logical_number(self):
        with self.assertRaises(mcp_client.InvalidPortError) as caught:
            ports.resolve(619009, strict=True)
        self.assertEqual(caught.exception.candidates, [61900, 61909, 61009, 19009])
        self.assertIn("29185", str(caught.exception))

    def test_everything_else_is_refused_and_explained(self):
        digits_of_another_script = "\u0666\u0661"
        wrong = [-1, 0, 65536, 70000, "", "abc", "6190O", "+80", 1.5, True, None]
        for value in (*wrong, digits_of_another_script):
            with self.subTest(value=value):
                with self.assertRaises(mcp_client.InvalidPortError) as caught:
                    ports.resolve(value)
                self.assertIn(f"`{value}`", str(caught.exception))
                self.assertIsInstance(caught.exception, mcp_client.ConnectionError)
                self.assertIsInstance(caught.exception, ValueError)


class BeforeAnySocket(unittest.TestCase):
    def test_connect_and_client_refuse_before_they_resolve_a_name(self):
        name = "no-such-host.invalid"
        with self.assertRaises(mcp_client.InvalidPortError):
            mcp_client.connect(host=name, port=619010)
        with self.assertRaises(mcp_client.InvalidPortError) as caught:
            mcp_client.Client(base_url=f"http://{name}:619010")
        self.assertIn(f"http://{name}:619010", str(caught.exception))
