"""The program under test: started on a free port with an empty data folder, and ended."""

import os
import queue
import signal
import subprocess
import threading

START_SECONDS = 20
END_SECONDS = 20
READY = "rapport is listening on http://127.0.0.1:"
# Limit: lines of the program's output that are kept for a failure.
KEPT_LINES = 200


def clean_environment(home):
    """No proxy, no provider key, no configuration of the person who runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}


class Server:
    """A running `rapport serve`."""

    def __init__(self, binary, folder):
        self._output = []
        self._lines = queue.Queue()
        # The default waits half a minute; what is tested is that the end comes by itself.
        environment = {**clean_environment(folder), "RAPPORT_LIMITS_LINE_IDLE": "2s"}
        self._process = subprocess.Popen(
            [binary, "serve", "--port", "0", "--data", str(folder / "data")],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        for stream, is_output in ((self._process.stdout, True), (self._process.stderr, False)):
            threading.Thread(target=self._read, args=(stream, is_output), daemon=True).start()
        try:
            self.port = self._wait()
        except BaseException:
            self._process.kill()
            raise

    def _read(self, stream, is_output):
        for line in stream:
            self._output = [*self._output[1 - KEPT_LINES :], line.rstrip("\n")]
            if is_output:
                self._lines.put(line.rstrip("\n"))
        if is_output:
            self._lines.put(None)

    def _wait(self):
        try:
            line = self._lines.get(timeout=START_SECONDS)
        except queue.Empty:
            line = "(nothing)"
        if line is None:
            raise RuntimeError(f"the program ended with code {self._process.wait()}\n{self.log()}")
        if not line.startswith(READY):
            raise RuntimeError(f"the first line is not `{READY}PORT` but `{line}`\n{self.log()}")
        return int(line[len(READY) :])

    def is_running(self):
        return self._process.poll() is None

    def log(self):
        """What the program wrote last."""
        return "\n".join(self._output)

    def end(self):
        """Ends the program as a service manager would; its exit code, or `None` if it hangs."""
        if self.is_running():
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None
