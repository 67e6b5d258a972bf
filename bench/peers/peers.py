#!/usr/bin/env python3
"""Turn by turn to a thousand: Rapport beside LangGraph's SqliteSaver and openai-agents' session.

    python3 bench/peers/peers.py target/release/rapport [TURNS]

The peers are installed from PyPI into `target/peers`, an environment of their own, the first time.

Every store gets the same turns: a question and an answer of about 700 bytes each, appended to one
conversation and read back whole, as an agent does before it asks its model. No model is asked. What
is printed: milliseconds of a turn early and late, bytes on disk, and how often the text lies there,
then the goals; it fails when one is missed. A peer that cannot be installed is left out and named.
"""

import asyncio
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PEERS = ["langgraph", "langgraph-checkpoint-sqlite", "openai-agents"]
# How much slower the last tenth of the turns may be than the first, and how often the text may lie
# on the disk: before somebody searches, and with the index of words that the first search makes.
FLAT, BARE, DISK = 1.2, 1.3, 1.8
figures = {}

WORDS = "all that is gold does not glitter and not all those who wander are lost "


def said(n, who):
    return f"{who} {n}: " + WORDS * 9


def size(folder):
    """Bytes of the store; the log of requests is no part of it."""
    files = [f for f in pathlib.Path(folder).rglob("*") if f.is_file() and f.parent.name != "logs"]
    return sum(f.stat().st_size for f in files)


def report(name, times, folder, turns):
    raw = sum(len(said(n, "question")) + len(said(n, "answer")) for n in range(turns))
    tenth = max(1, turns // 10)
    first = statistics.median(times[:tenth]) * 1000
    last = statistics.median(times[-tenth:]) * 1000
    disk = size(folder)
    figures[name] = (last, last / first, disk / raw)
    print(
        f"{name:<28} {first:8.2f} ms {last:8.2f} ms {last / first:6.1f}x "
        f"{disk / 1e6:9.1f} MB {disk / raw:8.1f}x"
    )


class Rapport:
    """The real server over one connection; a turn is an append of two messages and a window."""

    def __init__(self, binary, folder):
        self.command = [binary, "serve", "--port", "0", "--data", folder]
        self.start()
        self.call("POST", "/api/v1/contexts", {"id": "c"})

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        line = self.process.stdout.readline().decode()
        self.address = line.rsplit("/", 1)[-1].strip()
        if not self.address:
            raise SystemExit("the server did not start")
        host, port = self.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def call(self, method, path, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {self.address}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + data)
        status = self.file.readline().split()[1]
        length = 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        answer = self.file.read(length)
        if not status.startswith(b"2"):
            raise SystemExit(f"{method} {path}: {answer.decode()}")
        return answer

    def turn(self, n):
        messages = [
            {"role": "user", "content": said(n, "question")},
            {"role": "assistant", "content": said(n, "answer")},
        ]
        self.call("POST", "/api/v1/contexts/c/messages", {"messages": messages})
        self.call("GET", "/api/v1/contexts/c/messages?order=desc&limit=50")

    def search(self):
        """Makes the index of words, as whoever searches first does."""
        self.start()
        self.call("GET", "/api/v1/search?q=gold&limit=1")
        self.close()

    def close(self):
        self.socket.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def rapport(binary, turns):
    with tempfile.TemporaryDirectory() as folder:
        server = Rapport(binary, folder)
        times = []
        try:
            for n in range(turns):
                began = time.perf_counter()
                server.turn(n)
                times.append(time.perf_counter() - began)
        finally:
            server.close()
        report("Rapport before a search", times, folder, turns)
        server.search()
        report("Rapport (server, HTTP)", times, folder, turns)


def langgraph(turns):
    from langchain_core.messages import AIMessage, HumanMessage
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, MessagesState, StateGraph

    number = [0]

    def answer(_state):
        return {"messages": [AIMessage(said(number[0], "answer"))]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    with tempfile.TemporaryDirectory() as folder:
        with SqliteSaver.from_conn_string(os.path.join(folder, "graph.db")) as saver:
            app = graph.compile(checkpointer=saver)
            config = {"configurable": {"thread_id": "c"}}
            times = []
            for n in range(turns):
                number[0] = n
                began = time.perf_counter()
                app.invoke({"messages": [HumanMessage(said(n, "question"))]}, config)
                times.append(time.perf_counter() - began)
            report("LangGraph SqliteSaver", times, folder, turns)


def agents(turns):
    from agents import SQLiteSession

    async def run(folder):
        session = SQLiteSession("c", os.path.join(folder, "session.db"))
        times = []
        for n in range(turns):
            began = time.perf_counter()
            await session.get_items()
            items = [
                {"role": "user", "content": said(n, "question")},
                {"role": "assistant", "content": said(n, "answer")},
            ]
            await session.add_items(items)
            times.append(time.perf_counter() - began)
        session.close()
        report("openai-agents SQLiteSession", times, folder, turns)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(folder))


def installed(binary):
    """Goes on in an environment that has the peers, made beside the program when there is none."""
    folder = pathlib.Path(binary).resolve().parent.parent / "peers"
    python = folder / "bin" / "python"
    if pathlib.Path(sys.prefix) == folder or os.environ.get("PEERS_INSTALLED"):
        return
    try:
        if not (folder / "ready").exists():
            print(f"installing {', '.join(PEERS)} into {folder}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
            (folder / "ready").touch()
    except (OSError, subprocess.CalledProcessError) as failed:
        print(f"the peers cannot be installed: {failed}", file=sys.stderr)
        return
    os.execve(python, [python, *sys.argv], {**os.environ, "PEERS_INSTALLED": "1"})


def judge():
    """Prints the goals with what was reached; says whether all were."""
    ours = figures["Rapport (server, HTTP)"]
    rows = [
        ("last tenth / first tenth of the turns", ours[1], FLAT),
        ("bytes on disk / bytes of text", figures["Rapport before a search"][2], BARE),
        ("the same with the index of words", ours[2], DISK),
    ]
    # The third peer keeps a list in its own process and no more: it stands beside, not above.
    if peer := figures.get("LangGraph SqliteSaver"):
        rows.append(("a late turn, in ms: no slower than LangGraph SqliteSaver", ours[0], peer[0]))
        rows.append(("bytes on disk: no more than LangGraph SqliteSaver", ours[2], peer[2]))
    print(f"\n{'goal':<66} {'reached':>9} {'at most':>9}")
    missed = 0
    for what, reached, most in rows:
        word = "" if reached <= most else "  missed"
        missed += bool(word)
        print(f"{what:<66} {reached:9.2f} {most:9.2f}{word}")
    return missed == 0


def main():
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        raise SystemExit(__doc__)
    binary = sys.argv[1]
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    installed(binary)
    print(f"{turns} turns in one conversation")
    print(f"{'':<28} {'first tenth':>11} {'last tenth':>11} {'':>7} {'disk':>12} {'of text':>9}")
    rapport(binary, turns)
    for name, peer in [("langgraph", langgraph), ("openai-agents", agents)]:
        try:
            peer(turns)
        except ImportError as missing:
            print(f"{name}: left out, it is not installed ({missing})")
    if not judge():
        raise SystemExit(1)


if __name__ == "__main__":
    main()
