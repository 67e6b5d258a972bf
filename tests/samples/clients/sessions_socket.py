"""Two conversations over bare sockets, one connection for each message.

sessions_socket.py HOST PORT
"""

import json
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])

TURNS = [
    (
        "First Interaction (New Session)",
        "session_alpha",
        "Hello, I am John.",
        {"user_id": "john_doe"},
    ),
    (
        "Second Interaction (Same Session)",
        "session_alpha",
        "Tell me about climate change.",
        {"topic": "environment"},
    ),
    (
        "Third Interaction (Another Session)",
        "session_beta",
        "What's the weather like?",
        {"user_id": "jane_doe", "location": "NYC"},
    ),
    (
        "Fourth Interaction (Continuing Alpha Session)",
        "session_alpha",
        "What are some solutions?",
        {},
    ),
]


def read_line(stream):
    """Reads byte by byte up to the first line feed."""
    line = b""
    while not line.endswith(b"\n"):
        byte = stream.recv(1)
        if not byte:
            break
        line += byte
    return line


def interact(session, message, context):
    request = {"sessionId": session, "message": message, "context": context}
    try:
        with socket.create_connection((HOST, PORT), timeout=5) as stream:
            stream.sendall(json.dumps(request).encode("utf-8") + b"\n")
            line = read_line(stream)
        if not line:
            print(f"[{session}] Received empty response.")
            return
        reply = json.loads(line)
        print(f"[{session}] Server Response: {reply['response']}")
        print(f"[{session}] Updated Context: {reply['updatedContext']}")
    except ConnectionRefusedError:
        target = f"{HOST}:{PORT}"
        print(f"[{session}] Error: Connection refused. Is the MCP server running on {target}?")
    except json.JSONDecodeError:
        print(f"[{session}] Error: Failed to decode server response as JSON.")


for index, (title, session, message, context) in enumerate(TURNS):
    print(("\n" if index else "") + f"--- {title} ---")
    interact(session, message, context)
