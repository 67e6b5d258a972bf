"""Installs the LiteLLM proxy for `bench … gateway`: python3 bench/peers/litellm.py [TARGET].

It goes to TARGET/venv-litellm (`target` unless named), a virtual environment of its own: it pins
versions that the packages of the tests do not want. `bench` starts it when it is there, with two
workers, in front of the same model server, and measures it beside the others. About 750 MB.
"""

import pathlib
import subprocess
import sys

WANTED = "litellm[proxy]"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "target"
    folder = target / "venv-litellm"
    python = folder / "bin" / "python"
    if not (folder / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", WANTED], check=True)
    listed = subprocess.run(
        [python, "-c", "from importlib.metadata import version; print(version('litellm'))"],
        check=True, capture_output=True, text=True)
    print(f"LiteLLM {listed.stdout.strip()} is in {folder}")


main()
