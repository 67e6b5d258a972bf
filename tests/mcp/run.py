"""The referee of the Model Context Protocol and real clients against the real program."""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import people
import pipes
import referee
from home import Home, Program, clean_environment


class Tally:
    """Prints each result as it comes and counts."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def add(self, name, good, note="", wrong=()):
        self.passed += good
        self.failed += not good
        word = "ok    " if good else "FAILED"
        print(f"{word} {name}{f'  ({note})' if note else ''}", flush=True)
        for line in wrong:
            print(f"         {line}", flush=True)


def judge(tally, legs, environment):
    """Runs legs; what is not scored has to pass, too."""
    for name, program, words in legs:
        begun = time.monotonic()
        try:
            good, passed, failed, wrong = referee.run(program, words, environment)
        except Exception as error:  # what the referee does to us must not end the run
            good, passed, failed, wrong = False, 0, 1, [str(error)]
        note = f"{passed} passed, {failed} failed, {time.monotonic() - begun:.1f} s"
        good = good and not failed
        tally.add(f"referee: {name}", good, note, () if good else wrong)


def judge_client(tally, legs, environment):
    """Runs legs that may fail what is written down, and nothing else."""
    for name, program, words in legs:
        begun = time.monotonic()
        try:
            _, passed, failed, wrong = referee.run(program, words, environment)
            surprises = referee.unexpected(name, wrong)
        except Exception as error:  # what the referee does to us must not end the run
            passed, failed, surprises = 0, 1, [str(error)]
        note = f"{passed} passed, {failed} failed, {time.monotonic() - begun:.1f} s"
        note += f", {len(referee.expected(name))} scenarios expected to fail"
        tally.add(f"referee: {name}", not surprises and passed > 0, note, surprises)


def referee_part(tally, options, folder):
    """The referee against our server, and our client against the referee's."""
    environment = clean_environment(folder)
    fixture = Program([str(options.examples / "referee"), "0"], folder)
    try:
        url = f"http://127.0.0.1:{fixture.port}/mcp"
        judge(tally, referee.server_legs("server", url, folder), environment)
    finally:
        fixture.end()
    client = options.examples / "referee_client"
    judge_client(tally, referee.client_legs(str(client), folder), environment)


JOINED = """
mcp:
  servers:
    http: {{url: "http://127.0.0.1:{port}/mcp"}}
    pipe: {{command: "{fixture}", args: ["stdio"]}}
"""

PROMPTS = """
prompts:
  review:
    title: Review a change
    system: You are a careful reviewer of {{language}}.
    text: "Review this: {{change}}"
    arguments: ["change What was changed", "language=Rust"]
"""


def gateway_part(tally, options, folder):
    """The referee against our fixture through the gateway, behind HTTP and behind a pipe."""
    program = str(options.examples / "referee")
    fixture = Program([program, "0"], folder)
    home = None
    try:
        joined = JOINED.format(port=fixture.port, fixture=program)
        home = Home(options.binary, folder / "gateway", joined)
        for server in ("http", "pipe"):
            url = f"{home.url}/s/{server}"
            legs = referee.server_legs(f"through the gateway, {server}", url, folder)
            judge(tally, legs, home.environment())
    finally:
        if home is not None:
            home.server.end()
        fixture.end()


def clients_part(tally, options, folder):
    """The packages that people use, the Inspector and Claude Code, by HTTP and by pipe."""
    home = Home(options.binary, folder / "home", PROMPTS)
    try:
        people.everybody(tally, home, options)
    finally:
        code = home.server.end()
    tally.add("the server ends politely", code == 0, f"code {code}")


def pipes_part(tally, options, folder):
    """What no referee tests: the pipe of `rapport mcp`, and what becomes of its processes."""
    home = Home(options.binary, folder / "pipes")
    try:
        pipes.everything(tally, home)
    finally:
        home.server.end()


def bundle_part(tally, options, folder):
    """The bundle for Claude Desktop, judged by its maker's own program, then unpacked and run."""
    if options.bundle is None:
        return
    mcpb = [people.BIN / "node", people.BIN / "mcpb"]
    environment = clean_environment(folder)
    out = folder / "unpacked"
    code, said = people.run([*mcpb, "unpack", options.bundle.resolve(), out], environment, folder)
    tally.add("mcpb unpack", code == 0, wrong=() if code == 0 else said.splitlines()[-5:])
    code, said = people.run([*mcpb, "validate", out / "manifest.json"], environment, folder)
    tally.add("mcpb validate", code == 0, wrong=() if code == 0 else said.splitlines()[-5:])
    manifest = json.loads((out / "manifest.json").read_text())
    program = out / manifest["server"]["entry_point"]
    code, said = people.run([program, "--version"], environment, folder)
    tally.add("the bundle's program runs", code == 0 and manifest["version"] in said, said.strip())


PARTS = {
    "bundle": bundle_part,
    "referee": referee_part,
    "gateway": gateway_part,
    "clients": clients_part,
    "pipes": pipes_part,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the path of the program rapport")
    parser.add_argument("examples", type=pathlib.Path, help="the folder with our fixtures")
    parser.add_argument("pythons", nargs=2, help="interpreters that have `mcp` 1.x and 2.x")
    parser.add_argument("--bundle", type=pathlib.Path, help="the bundle for Claude Desktop")
    parser.add_argument("--only", choices=sorted(PARTS), action="append")
    options = parser.parse_args()
    options.examples = options.examples.resolve()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="rapport-mcp-") as folder:
        folder = pathlib.Path(folder)
        for name in options.only or PARTS:
            try:
                PARTS[name](tally, options, folder)
            except Exception as error:
                tally.add(name, False, wrong=str(error).splitlines())
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
