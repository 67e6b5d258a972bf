"""The programs under test: a server that can be killed and come back, and the fixture."""

import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "samples"))
from server import clean_environment  # noqa: E402

START_SECONDS = 30
END_SECONDS = 20
READY = "listening on "


class Program:
    """A process that says in one line where it listens."""

    def __init__(self, words, folder, environment=None):
        self._lines = queue.Queue()
        self._kept = []
        self.process = subprocess.Popen(
            words,
            cwd=folder,
            env={**clean_environment(folder), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.port = self._wait()
        except BaseException:
            self.process.kill()
            raise

    def _read(self):
        for line in self.process.stdout:
            self._kept = [*self._kept[-99:], line.rstrip("\n")]
            self._lines.put(line)
        self._lines.put(None)

    def _wait(self):
        until = time.monotonic() + START_SECONDS
        while True:
            line = self._lines.get(timeout=max(0.1, until - time.monotonic()))
            if line is None:
                raise RuntimeError(f"ended with {self.process.wait()}:\n{self.log()}")
            found = re.search(READY + r"(?:http://)?127\.0\.0\.1:(\d+)", line)
            if found:
                return int(found[1])

    def log(self):
        """What it wrote last."""
        return "\n".join(self._kept)

    def kill(self):
        """Ends it as a crash would."""
        self.process.kill()
        self.process.wait()

    def end(self):
        """Ends it politely; its exit code, or `None` when it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


def free_port():
    """A port that is free now; only for a server that has to come back on it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Home:
    """A folder with a server in it, and the words that reach it."""

    def __init__(self, binary, folder, configuration=""):
        self.binary = os.path.abspath(binary)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.file = folder / "rapport.yaml"
        self.file.write_text(configuration)
        self.port = free_port()
        self.server = None
        self.start()

    def start(self):
        words = [self.binary, "serve", "--port", str(self.port), "--data", str(self.data)]
        self.server = Program([*words, "--config", str(self.file)], self.folder)

    def crash_and_return(self):
        """Kills the server as nothing can prepare for, and starts it again."""
        self.server.kill()
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def bridge(self):
        """The command a client starts."""
        return [self.binary, "mcp", "--no-start", "--data", str(self.data)]

    def environment(self):
        return clean_environment(self.folder)
