"""Real clients: the packages of both languages, the Inspector, Claude Code."""

import json
import pathlib
import queue
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
BIN = HERE / "node_modules/.bin"
CLIENT_SECONDS = 90
TOOL_SECONDS = 60


class Person:
    """One client under way: its lines, until it waits for a restart, and until it is done."""

    def __init__(self, name, words, environment):
        self.name = name
        self.lines = queue.Queue()
        self.said = []
        self.process = subprocess.Popen(
            words,
            cwd=HERE / "clients",
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def reaches(self, word, until):
        """Reads up to this word; false when the client ended or was too slow."""
        while True:
            try:
                line = self.lines.get(timeout=max(0.05, until - time.monotonic()))
            except queue.Empty:
                self.said.append(f"(silent before {word})")
                return False
            if line is None:
                return False
            self.said.append(line)
            if word in line:
                return True

    def goes_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.said.append("(did not end by itself)")
            self.process.kill()
            self.process.wait()


def clients(home, options):
    """Everybody who connects: a name and the words."""
    one, two = options.pythons
    node = str(BIN / "node")
    reach = {"HTTP": {"url": home.url}, "pipe": {"command": home.bridge}}
    for way, how in reach.items():
        yield f"Python mcp 1.30, {way}", [one, "python_1.py", json.dumps(how)]
        yield f"TypeScript sdk 1.32, {way}", [node, "typescript_1.mjs", json.dumps(how)]
        for mode in ("auto", "legacy"):
            era = "modern" if mode == "auto" else "legacy"
            chosen = json.dumps({**how, "mode": mode})
            yield f"Python mcp 2.3, {way}, {era}", [two, "python_2.py", chosen]
            yield f"TypeScript client 2.4, {way}, {era}", [node, "typescript_2.mjs", chosen]


def packages(tally, home, options):
    """All at once; in the middle the server is killed and comes back."""
    begun = time.monotonic()
    until = begun + CLIENT_SECONDS
    people = [Person(name, words, home.environment()) for name, words in clients(home, options)]
    waiting = [person for person in people if person.reaches("RESTART", until)]
    home.crash_and_return()
    for person in waiting:
        person.goes_on()
    for person in people:
        done = person in waiting and person.reaches(" checks", until)
        person.end()
        good = done and person.process.returncode == 0
        note = person.said[-1] if good else f"code {person.process.returncode}"
        tally.add(person.name, good, note, () if good else person.said[-12:])
    print(f"       all clients in {time.monotonic() - begun:.1f} s", flush=True)


def run(words, environment, folder):
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TOOL_SECONDS,
    )
    return done.returncode, done.stdout + done.stderr


def inspector(tally, home):
    """The Inspector's command line in both eras, by HTTP and by pipe."""
    program = [BIN / "node", BIN / "mcp-inspector", "--cli"]
    environment = {**home.environment(), "PATH": f"{BIN}:{home.environment()['PATH']}"}
    for era in ("legacy", "modern"):
        config = {"mcpServers": {
            "http": {"type": "streamable-http", "url": home.url},
            "pipe": {"type": "stdio", "command": home.bridge[0], "args": home.bridge[1:]},
        }}
        file = home.folder / f"inspector-{era}.json"
        file.write_text(json.dumps(config))
        for way in ("http", "pipe"):
            reach = [*program, "--config", file, "--server", way, "--protocol-era", era]
            code, said = run([*reach, "--method", "tools/list"], environment, home.folder)
            good = code == 0 and "context_create" in said
            call = ["--method", "tools/call", "--tool-name", "context_create"]
            code, made = run([*reach, *call], environment, home.folder)
            good = good and code == 0 and "structuredContent" in made
            tally.add(f"Inspector 2.12, {way}, {era}", good, wrong=() if good else
                      (said + made).splitlines()[-12:])


def claude_code(tally, home):
    """`claude mcp add` and `claude mcp list`, without anybody being logged in."""
    claude = BIN / "claude"
    environment = {**home.environment(), "DISABLE_AUTOUPDATER": "1",
                   "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    add = [claude, "mcp", "add", "--scope", "user"]
    said = []
    for words in ([*add, "--transport", "http", "by-http", home.url],
                  [*add, "by-pipe", "--", *home.bridge]):
        code, text = run(words, environment, home.folder)
        said.append(text)
    connect = [home.binary, "connect", "claude-code", "--name", "by-connect", "--data", home.data]
    code, text = run(connect, environment, home.folder)
    said.append(text)
    code, text = run([claude, "mcp", "list"], environment, home.folder)
    said.append(text)
    lines = [line for line in text.splitlines() if "onnected" in line and "✘" not in line]
    for name in ("by-http", "by-pipe", "by-connect"):
        good = any(line.startswith(f"{name}:") for line in lines)
        tally.add(f"Claude Code 2.1, {name}", good, wrong=() if good else
                  "".join(said).splitlines()[-12:])


def everybody(tally, home, options):
    packages(tally, home, options)
    inspector(tally, home)
    claude_code(tally, home)
