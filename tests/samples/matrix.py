"""Every vendor's package in front of every upstream's API: a server of its own before a mock."""

import pathlib
import subprocess
import tempfile

import expect
from server import Server, clean_environment

UPSTREAMS = [
    "anthropic",
    "openai_chat",
    "openai_responses",
    "gemini",
    "ollama_chat",
    "cohere_chat",
    "bedrock_converse",
]
#: Where the API of each begins at the mock.
BELOW = {"openai_chat": "/v1", "openai_responses": "/v1"}
SCRIPT = """
[[rules]]
when = { message = "*tool*" }
reply = { tools = [{ name = "look", id = "call_1", input = { city = "Rome" } }] }
[default]
fragments = ["good ", "day ", "to you"]
"""
READY = "mock is listening on "
PYTHON = [
    "anthropic text stream tool",
    "openai text stream tool",
    "responses text stream kept tool",
    "google-genai text stream tool",
    "ollama text stream generate tool",
    "cohere rerank embed text stream tool",
]
NODE = [f"ai+{one} text stream tool" for one in ("anthropic", "openai", "compatible", "google")]


def providers(url):
    """The configuration: one provider of each dialect, all at the mock."""
    lines = ["providers:"]
    for name in UPSTREAMS:
        lines += [
            f"  up-{name}:",
            f"    dialect: {name}",
            f"    base_url: {url}{BELOW.get(name, '')}",
            f"    models: [m-{name}]",
        ]
    return "\n".join(lines) + "\n"


class Town:
    """A mock and a server in front of it."""

    def __init__(self, binary):
        self._folder = tempfile.TemporaryDirectory(prefix="rapport-matrix-")
        folder = pathlib.Path(self._folder.name)
        (folder / "script.toml").write_text(SCRIPT)
        self._mock = subprocess.Popen(
            [binary, "mock", "--port", "0", "--script", "script.toml"],
            cwd=folder,
            env=clean_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        first = self._mock.stdout.readline().strip()
        if not first.startswith(READY):
            self._mock.kill()
            raise AssertionError(f"the mock said `{first}`")
        (folder / "rapport.yaml").write_text(providers(first[len(READY) :]))
        self.server = Server(binary, folder)

    def close(self):
        self.server.end()
        self._mock.kill()
        self._mock.wait()
        self._folder.cleanup()


def table(world, run, wanted):
    """Runs a client before each upstream; every cell of the table must be right."""
    town = Town(world.binary)
    try:
        wrong = []
        for upstream in UPSTREAMS:
            seen = run(f"m-{upstream}", town.server.port)
            found = [line for line in seen.out.splitlines() if not line.startswith("AI SDK")]
            if found != wanted:
                wrong.append(f"before {upstream}:\n" + "\n".join(found) + "\n" + seen.err[-2000:])
        expect.holds(not wrong, "every client works", "\n".join(wrong))
    finally:
        town.close()


def m02_every_package(world):
    table(world, lambda m, port: world.python("every_client.py", m, port=port), PYTHON)


BESIDE = [
    "openai embed translated tokens moderate draw speak hear files batch",
    "anthropic batch files",
    "google-genai embed",
    "ollama embed",
    "cohere embed rerank",
]


def m05_beside(world):
    town = Town(world.binary)
    try:
        seen = world.python("beside_client.py", port=town.server.port)
        expect.equal(seen.out.splitlines(), BESIDE, seen.err[-2000:])
    finally:
        town.close()


def m03_vercel(world):
    table(world, lambda m, port: world.node("every_client.mjs", m, port=port), NODE)
