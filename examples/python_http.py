#!/usr/bin/env python3
"""A conversation over HTTP with Python's standard library alone.

    examples/python_http.py [http://localhost:61900]

With a key: RAPPORT_API_KEY=rap_… examples/python_http.py
"""

import json
import os
import sys
import urllib.error
import urllib.request
import uuid

BASE = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("RAPPORT_URL", "http://localhost:61900")
KEY = os.environ.get("RAPPORT_API_KEY")

# No proxy: what HTTP_PROXY names cannot reach this machine's loopback.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(method, path, body=None):
    """Sends one request and returns the answer's JSON."""
    headers = {"Content-Type": "application/json"}
    if KEY:
        headers["Authorization"] = f"Bearer {KEY}"
    if method == "POST":
        # A repetition after a broken connection is then no second turn.
        headers["Idempotency-Key"] = str(uuid.uuid4())
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data=data, headers=headers, method=method)
    try:
        with OPENER.open(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        fault = json.load(error)
        hint = fault.get("hint", "")
        raise SystemExit(f"{fault['code']}: {fault['error']}. {hint} ({fault['request_id']})")
    except urllib.error.URLError as error:
        raise SystemExit(f"{BASE}: {error.reason}. Is it running? Try: rapport doctor {BASE}")


def main():
    context = call("POST", "/api/v1/contexts", {"title": "A trip", "state": {"user_id": "u1"}})
    path = f"/api/v1/contexts/{context['id']}"
    for message in ("I need to book a flight.", "For next Tuesday.", "A window seat, please."):
        turn = call("POST", f"{path}/turns", {"message": message})
        offline = ", offline" if turn["offline"] else ""
        print(f"> {message}\n{turn['text']}   [{turn['model']}{offline}]")
    messages = call("GET", f"{path}/messages")["messages"]
    print(f"{len(messages)} messages are kept, the first at {messages[0]['timestamp']}")
    print(call("DELETE", path)["message"])


if __name__ == "__main__":
    main()
