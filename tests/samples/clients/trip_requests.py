"""Plans a trip in one context with `requests`: trip_requests.py HOST PORT."""

import sys

import requests

BASE = f"http://{sys.argv[1]}:{sys.argv[2]}/mcp/context"


def call(method, path="", **options):
    response = requests.request(method, BASE + path, timeout=10, **options)
    response.raise_for_status()
    return response.json()


def say(context_id, text):
    return call("POST", f"/{context_id}/message", json={"message": text})["ai_response"]


def main():
    context_id = call("POST")["context_id"]
    print(f"Created context: {context_id}")
    first = say(context_id, "Can you book me a flight to New York?")
    print(f"AI response 1: {first}")
    second = say(context_id, "Make it for next Tuesday and I prefer a window seat.")
    print(f"AI response 2: {second}")
    print("Full context history:")
    for message in call("GET", f"/{context_id}")["messages"]:
        print(f" {message['role']}: {message['content']}")


if __name__ == "__main__":
    main()
