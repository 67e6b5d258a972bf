"""The pipe of `rapport mcp`: what no referee tests, since none speaks stdio."""

import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time

ANSWER_SECONDS = 40
GONE_SECONDS = 5
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {},
    "clientInfo": {"name": "pipes", "version": "1"}}}
NOTED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Pipe:
    """A bridge, and what comes out of it."""

    def __init__(self, home):
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            home.bridge,
            cwd=home.folder,
            env=home.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, message):
        self.write(json.dumps(message).encode() + b"\n")

    def next(self, seconds=ANSWER_SECONDS):
        """The next message; anything else on the pipe is an error."""
        line = self.lines.get(timeout=seconds)
        return None if line is None else json.loads(line)

    def answer(self, number):
        """The answer to this request; notifications in between are read over."""
        while True:
            message = self.next()
            if message is None or message.get("id") == number and "method" not in message:
                return message

    def initialize(self):
        self.send(INITIALIZE)
        answer = self.answer(1)
        self.send(NOTED)
        return answer

    def call(self, number, name, arguments):
        self.send(request(number, "tools/call", {"name": name, "arguments": arguments}))
        return self.answer(number)

    def ends(self, seconds=GONE_SECONDS):
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None


def request(number, method, params=None):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}


def worked(answer):
    return answer is not None and "result" in answer and not answer["result"].get("isError")


def noise(home):
    """Lines that are no messages are answered and end nothing."""
    pipe = Pipe(home)
    first = pipe.initialize()
    for line in (b"hello\n", b"\n", b"   \r\n", b"{\n", b"\xff\xfe\n", b"[]\n", b"null\n", b"7\n",
                 b'{"jsonrpc":"1.0","id":1,"method":"ping"}\n'):
        pipe.write(line)
    pipe.send(request(2, "ping"))
    refused = 0
    while True:
        message = pipe.next()
        if message.get("id") == 2:
            break
        refused += "error" in message
    yield worked(first) and refused == 7, f"{refused} of 7 refused"
    pipe.process.stdin.close()
    yield pipe.ends() == 0, "the end of its input is its end"


def pieces(home):
    """A line may come in any pieces, and several at once."""
    pipe = Pipe(home)
    pipe.initialize()
    line = json.dumps(request(2, "tools/list")).encode() + b"\n"
    for byte in line:
        pipe.write(bytes([byte]))
    yield worked(pipe.answer(2)), "byte by byte"
    many = b"".join(json.dumps(request(n, "ping")).encode() + b"\r\n" for n in range(10, 60))
    pipe.write(many)
    numbers = {pipe.next()["id"] for _ in range(50)}
    yield numbers == set(range(10, 60)), "fifty in one piece"
    pipe.write(b'{"jsonrpc": "2.0", "id": 99, "meth')
    pipe.process.stdin.close()
    yield pipe.ends() == 0, "half a line at the end"


def large(home):
    """Lines of five megabytes go over and come back."""
    pipe = Pipe(home)
    pipe.initialize()
    made = pipe.call(2, "context_create", {})
    context = made["result"]["structuredContent"]["id"]
    text = "é€ \"\\" * (5 * 1024 * 1024 // 9)
    yield worked(pipe.call(3, "context_append", {"id": context, "content": text})), "there"
    pipe.send(request(4, "resources/read", {"uri": f"rapport://context/{context}"}))
    answer = pipe.answer(4)
    yield worked(answer) and text in answer["result"]["contents"][0]["text"], "and back"
    pipe.process.stdin.close()
    yield pipe.ends() == 0, "and an end"


def hasty(home):
    """Whoever closes the input at once still gets the answers to what was asked before."""
    pipe = Pipe(home)
    pipe.send(INITIALIZE)
    pipe.send(NOTED)
    pipe.send(request(2, "tools/list"))
    pipe.process.stdin.close()
    found = set()
    while (message := pipe.next()) is not None:
        found.add(message.get("id"))
    yield {1, 2} <= found, f"answers to {found}"
    yield pipe.ends() == 0, "and an end"


PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr)
print(child.pid, file=sys.stderr, flush=True)
child.wait()
"""


def orphan(home):
    """A bridge whose parent was killed goes, also while its input stays open."""
    reader, writer = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *home.bridge],
        cwd=home.folder,
        env=home.environment(),
        stdin=reader,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(reader)
    pid = int(parent.stderr.readline())
    time.sleep(0.5)  # the bridge must know its parent before it can miss it
    parent.kill()
    parent.wait()
    yield gone(pid), f"after {GONE_SECONDS} s"
    os.close(writer)


def gone(pid):
    until = time.monotonic() + GONE_SECONDS
    while time.monotonic() < until:
        status = pathlib.Path(f"/proc/{pid}/stat")
        try:
            # A zombie waits for whoever adopted it.
            if status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return False


def several(home):
    """Three bridges at once; the server is killed under them, and they do not notice."""
    pipes = [Pipe(home) for _ in range(3)]
    for pipe in pipes:
        pipe.initialize()
    made = [pipe.call(2, "context_create", {}) for pipe in pipes]
    yield all(worked(answer) for answer in made), "before"
    home.server.kill()
    for pipe in pipes:
        pipe.send(request(3, "tools/list"))
    home.start()
    yield all(worked(pipe.answer(3)) for pipe in pipes), "asked while nobody was there"
    answers = [pipe.call(4, "context_list", {}) for pipe in pipes]
    yield all(worked(answer) for answer in answers), "after"
    pipes[0].process.kill()
    pipes[0].process.wait()
    yield worked(pipes[1].call(5, "model_list", {})), "another one was killed"
    for pipe in pipes[1:]:
        pipe.process.stdin.close()
    yield all(pipe.ends() == 0 for pipe in pipes[1:]), "and an end"


def modern(home):
    """Both eras on one pipe; a cancelled request is not answered."""
    pipe = Pipe(home)
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}}
    pipe.send(request("a", "server/discover", {"_meta": meta}))
    found = pipe.answer("a")
    yield worked(found) and found["result"]["resultType"] == "complete", "server/discover"
    yield worked(pipe.initialize()), "initialize behind it"
    listen = {"_meta": meta, "notifications": {"toolsListChanged": True}}
    pipe.send(request("b", "subscriptions/listen", listen))
    told = pipe.next()
    yield told["method"] == "notifications/subscriptions/acknowledged", str(told)[:80]
    cancelled = {"method": "notifications/cancelled", "params": {"requestId": "b"}}
    pipe.send({"jsonrpc": "2.0", **cancelled})
    pipe.send(request("c", "tools/list", {"_meta": meta}))
    yield worked(pipe.answer("c")), "after a cancelled subscription"
    pipe.process.stdin.close()
    yield pipe.ends() == 0, "and an end"


def fast(home):
    """From the start of the process to its answer to `initialize`."""
    times = []
    for _ in range(10):
        pipe = Pipe(home)
        pipe.initialize()
        times.append((time.monotonic() - pipe.begun) * 1000)
        pipe.process.stdin.close()
        pipe.ends()
    best = min(times)
    # The bench measures it; here only a start that hangs would fail.
    yield best < 2000, f"best of 10: {best:.0f} ms"


CASES = (noise, pieces, large, hasty, orphan, several, modern, fast)


def everything(tally, home):
    for case in CASES:
        notes, wrong = [], []
        try:
            for good, note in case(home):
                (notes if good else wrong).append(note)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
        tally.add(f"pipe: {case.__doc__.splitlines()[0]}", not wrong, "; ".join(notes), wrong)
