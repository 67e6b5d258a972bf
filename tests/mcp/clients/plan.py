"""What every client does, in the words of its own package: the plan that the scripts follow."""

import json
import sys


class Report:
    """Counts what worked; the first thing that does not is the end."""

    def __init__(self):
        self.count = 0

    def check(self, what, good, seen=""):
        if not good:
            print(f"WRONG {what}: {str(seen)[:400]}", flush=True)
            sys.exit(1)
        self.count += 1

    def end(self):
        print(f"{self.count} checks", flush=True)


def pause(word):
    """Lets the runner do something to the server."""
    print(word, flush=True)
    sys.stdin.readline()


def arguments(schema, context, other):
    """Arguments for a tool of which nothing is known but its schema."""
    known = {"id": context, "message": "Hello", "content": "Noted", "query": "Hello",
             "text": "Hello", "with": other, "other": other, "new_id": None}
    by_type = {"string": "x", "integer": 1, "number": 1, "object": {}, "array": [], "boolean": True}
    chosen = {}
    for name in schema.get("required", []):
        kind = schema.get("properties", {}).get(name, {}).get("type", "string")
        chosen[name] = known.get(name) or by_type.get(kind, "x")
    return chosen


def target():
    """How to reach the server: an address, or the words of a command."""
    given = json.loads(sys.argv[1])
    return given.get("url"), given.get("command"), given.get("mode", "auto")
