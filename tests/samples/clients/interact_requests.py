"""Sends one message with `requests`: interact_requests.py HOST PORT."""

import sys

import requests


def main():
    url = f"http://{sys.argv[1]}:{sys.argv[2]}/api/mcp/interact"
    question = {
        "sessionId": "456",
        "message": "What is the capital of France?",
        "context": {"user_id": "user_alpha", "topic": "geography"},
    }
    try:
        response = requests.post(url, json=question, timeout=10)
        response.raise_for_status()
        print("Response from MCP server:")
        print(response.json())
    except requests.exceptions.ConnectionError:
        print(f"Error: Could not connect to {url}. Is the service running?")
    except requests.exceptions.HTTPError as error:
        print(f"HTTP Error: {error}")


if __name__ == "__main__":
    main()
