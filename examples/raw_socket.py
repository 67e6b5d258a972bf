#!/usr/bin/env python3
"""The context protocol over a bare socket: JSON lines, then the MCP/1.0 handshake.

    examples/raw_socket.py [HOST [PORT]]

What every byte means is in docs/protocol.md.
"""

import json
import os
import socket
import sys
import urllib.parse

URL = urllib.parse.urlsplit(os.environ.get("RAPPORT_URL", "http://localhost:61900"))
HOST = sys.argv[1] if len(sys.argv) > 1 else URL.hostname
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else URL.port or 61900
KEY = os.environ.get("RAPPORT_API_KEY")
SESSION = "socket-example"


def json_lines():
    """One object and a newline out, one line back; any number of them on a connection."""
    with socket.create_connection((HOST, PORT), timeout=60) as connection:
        lines = connection.makefile("r", encoding="utf-8", newline="\n")
        for message, context in (("Hello", {"user_id": "u1"}), ("And now?", {"topic": "trains"})):
            question = {"sessionId": SESSION, "message": message, "context": context}
            if KEY:
                question["auth"] = KEY
            connection.sendall(json.dumps(question).encode() + b"\n")
            answer = json.loads(lines.readline())
            if "error" in answer:
                raise SystemExit(f"{answer['code']}: {answer['error']}")
            print(answer["response"])
            print("  state:", answer["updatedContext"])


def framed_calls():
    """After a handshake calls have ids, and a reply may come in pieces."""
    with socket.create_connection((HOST, PORT), timeout=60) as connection:
        sign = f"Authorization: Bearer {KEY}\r\n" if KEY else ""
        connection.sendall(f"MCP/1.0\r\nConnection: Upgrade\r\n{sign}\r\n".encode())
        lines = connection.makefile("r", encoding="utf-8", newline="\n")
        first = lines.readline().strip()
        if not first.startswith("MCP/1.0 101"):
            raise SystemExit(f"the handshake was refused: {first}")
        while lines.readline().strip():
            pass  # Header lines, up to the blank one.
        params = {"sessionId": SESSION, "message": "Once more, in pieces", "stream": True}
        call = {"id": 1, "method": "interact", "params": params}
        connection.sendall(json.dumps(call).encode() + b"\n")
        pieces = 0
        for line in lines:
            answer = json.loads(line)
            if "partial" in answer:
                pieces += 1
            elif "result" in answer:
                print(f"{answer['result']['response']}\n  in {pieces} pieces")
                return
            else:
                raise SystemExit(answer["error"]["message"])
        raise SystemExit("the connection ended before the result")


if __name__ == "__main__":
    json_lines()
    framed_calls()
