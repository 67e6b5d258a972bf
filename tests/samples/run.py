"""Runs every documented client against the real program and compares what they print.

    python tests/samples/run.py target/debug/rapport [--only S17] [--allow-missing]

The program is started on a free port with an empty data folder. Needs the packages of
requirements.txt, those of package-lock.json (`npm ci` in this folder), and curl, wget, nc, telnet.
Prints one line a sample and `N passed, N failed`; the exit code is 0 when all passed.
"""

import argparse
import importlib.util
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = HERE.parent.parent / "clients" / "python" / "src"
SAMPLE_SECONDS = 60
ONLY = "a number of a sample, as in S17 (S43 to S45 go on from S42, S48 from S24)"

sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

from samples import SAMPLES  # noqa: E402
from server import Server, clean_environment  # noqa: E402

# Runs a sample with a number for a port that the library maps to the real one.
MAPPED = """
import runpy, sys
from mcp_client import ports
sample, real = sys.argv[1], int(sys.argv[2])
sys.argv = [sample, *sys.argv[3:]]
ports.LOGICAL[int(sys.argv[2])] = real
runpy.run_path(sample, run_name="__main__")
"""


class World:
    """What the samples share: the server, a port at which nobody listens, how to run a client."""

    def __init__(self, binary, port, folder):
        self.binary = binary
        self.port = port
        self.context = None
        self._environment = {**clean_environment(folder), "PYTHONPATH": str(PACKAGE)}
        # Bound, but not listening, for as long as the samples run: nobody else can take it.
        self._closed = [socket.socket(family) for family in (socket.AF_INET, socket.AF_INET6)]
        self._closed[0].bind(("127.0.0.1", 0))
        self.closed_port = self._closed[0].getsockname()[1]
        try:
            self._closed[1].bind(("::1", self.closed_port))
        except OSError:
            # Without IPv6, or with the port in use there, the first address still refuses.
            pass

    def close(self):
        for each in self._closed:
            each.close()

    def run(self, client, *words, host="127.0.0.1", port=None):
        """Runs a shell client with host, port and more words."""
        return self._run(["sh", client, host, str(port or self.port), *words])

    def python(self, client, *words, host="127.0.0.1", port=None):
        """Runs a Python client with host, port and more words."""
        return self._run([sys.executable, "-B", client, host, str(port or self.port), *words])

    def python_mapped(self, client, number):
        """Runs a Python client with a number that its library takes for the real port."""
        words = [client, str(self.port), "localhost", str(number)]
        return self._run([sys.executable, "-B", "-c", MAPPED, *words])

    def node(self, client, *words, host="127.0.0.1", port=None):
        """Runs a JavaScript client with host, port and more words."""
        return self._run(["node", client, host, str(port or self.port), *words])

    def _run(self, command):
        try:
            done = subprocess.run(
                command,
                cwd=HERE / "clients",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SAMPLE_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            output = (error.stdout or b"").decode("utf-8", "replace")
            raise AssertionError(
                f"did not end within {SAMPLE_SECONDS} seconds; it had printed:\n{output}"
            ) from None
        # telnet ends its lines with CR LF.
        out, err = (
            stream.decode("utf-8", "replace").replace("\r\n", "\n")
            for stream in (done.stdout, done.stderr)
        )
        return SimpleNamespace(out=out, err=err, text=out + err, code=done.returncode)


def missing(programs):
    """The programs of a sample that are not installed."""
    return [each for each in programs if shutil.which(each.split(" ")[0]) is None]


def missing_packages():
    """What the clients import and is not installed."""
    found = []
    if importlib.util.find_spec("requests") is None:
        found.append("the Python package requests: pip install -r tests/samples/requirements.txt")
    if not (HERE / "node_modules" / "axios").is_dir():
        found.append("the npm package axios: npm ci in tests/samples")
    return found


def run_one(sample, world, server):
    """Runs a sample; returns what is wrong, or nothing."""
    _, _, check, programs = sample
    absent = missing(programs)
    if absent:
        return f"not installed: {', '.join(absent)}", True
    try:
        check(world)
    except AssertionError as error:
        return str(error), False
    except Exception as error:
        return f"{type(error).__name__}: {error}", False
    if not server.is_running():
        return "the server is gone", False
    return None, False


def run_all(samples, world, server, allow_missing):
    passed = failed = 0
    for sample in samples:
        number, title = sample[:2]
        began = time.monotonic()
        wrong, is_missing = run_one(sample, world, server)
        seconds = time.monotonic() - began
        if wrong is None:
            passed += 1
            print(f"{number} ok      {title} ({seconds:.1f} s)", flush=True)
        elif is_missing and allow_missing:
            print(f"{number} missing {title}: {wrong}", flush=True)
        else:
            failed += 1
            print(f"{number} FAILED  {title} ({seconds:.1f} s)\n{indented(wrong)}", flush=True)
    return passed, failed


def end(server):
    """The last check: a polite end with code 0."""
    if not server.is_running():
        return "END FAILED  the server was gone before it was asked to end"
    code = server.end()
    if code == 0:
        return None
    what = "did not end" if code is None else f"ended with code {code}"
    return f"END FAILED  on SIGTERM the server {what}"


def indented(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the path of the program rapport")
    parser.add_argument("--only", action="append", help=ONLY)
    parser.add_argument("--allow-missing", action="store_true", help="a program may be missing")
    options = parser.parse_args()
    samples = [s for s in SAMPLES if not options.only or s[0] in options.only]
    absent = missing_packages()
    if not samples or absent:
        print("\n".join(absent) or "no sample has this number", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="rapport-samples-") as folder:
        folder = pathlib.Path(folder)
        try:
            binary = os.path.abspath(options.binary)
            server = Server(binary, folder)
        except (OSError, RuntimeError) as error:
            print(f"the server did not start: {error}", file=sys.stderr)
            print(f"0 passed, {len(samples)} failed")
            return 1
        world = World(binary, server.port, folder)
        try:
            passed, failed = run_all(samples, world, server, options.allow_missing)
        finally:
            world.close()
            wrong = end(server)
        if wrong is not None:
            failed += 1
            print(wrong)
        if failed:
            print(f"the last lines of the server:\n{indented(server.log())}", file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
