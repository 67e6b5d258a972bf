#!/usr/bin/env python3
"""The Python package `mcp_client` (clients/python): framed calls over raw TCP, then HTTP.

    pip install ./clients/python
    examples/python_mcp_client.py [http://localhost:61900]
"""

import os
import pathlib
import sys
import urllib.parse

# Only so that the example also runs from a clone in which the package is not installed.
CLIENT = pathlib.Path(__file__).resolve().parent.parent / "clients" / "python" / "src"
sys.path.append(str(CLIENT))

import mcp_client  # noqa: E402

BASE = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("RAPPORT_URL", "http://localhost:61900")
KEY = os.environ.get("RAPPORT_API_KEY")

TEXT = """Rapport keeps conversations. Each one is a log of messages and a state. Any model can
continue it, and so can any client: the log is on disk before an answer is sent. When the power
goes, nothing that was acknowledged is lost."""


def main():
    url = urllib.parse.urlsplit(BASE)
    try:
        with mcp_client.connect(url.hostname, url.port or 61900, timeout=60, api_key=KEY) as tcp:
            print("summary:", tcp.summarize(text=TEXT, length="short").get("summary"))
            print("prompt: ", tcp.generate_prompt(theme="trains", difficulty="easy").get("prompt"))
            print("reply:  ", tcp.interact("Hello", session_id="python-example")["response"])
        with mcp_client.Client(base_url=BASE, api_key=KEY) as http:
            # The same conversation: all transports share one store.
            with http.contexts.send("python-example", "Tell me more", stream=True) as stream:
                print("stream:  ", end="")
                for piece in stream.texts():
                    print(piece, end="", flush=True)
                print()
            http.contexts.delete("python-example")
    except mcp_client.ConnectionError as error:
        raise SystemExit(f"not connected: {error}")
    except mcp_client.MCPError as error:
        raise SystemExit(f"{error.code}: {error}")


if __name__ == "__main__":
    main()
