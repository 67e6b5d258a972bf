#!/usr/bin/env python3
"""How many of the messages that answer a question are recalled: recall@k over a LoCoMo file.

    python3 bench/recall/recall.py target/release/rapport locomo10.json [--only N] [--embed MODEL]

The file is that of https://github.com/snap-research/locomo (`data/locomo10.json`, not part of this
repository). Every conversation becomes a context, every question is asked of
`GET /api/v1/contexts/{id}/recall`; a message counts as found at rank k when it is among the first k
messages that were told, each hit first and then its neighbours. There is no judge: the file says
which messages are the evidence. Words are measured alone, then the vectors of a model (`--embed`,
the built-in `hash-embed` unless given; a provider's needs its key in the environment), then both
together. `--only 10` ends with status 1 when words alone stay below the goal of 0.75 at 10, for use
in a pipeline. Where the file is not at hand, `make.py` writes one that is hard in the same way.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

RANKS = (5, 10, 20, 50)
WAYS = ("words", "vectors", "both")
# Limit: seconds until the messages of one conversation have their vectors.
VECTORS_WITHIN = 600


class Server:
    """The real program on a free port with an empty data folder."""

    def __init__(self, binary, folder, embed):
        command = [binary, "serve", "--port", "0", "--data", folder]
        environment = {**os.environ, "RAPPORT_MODELS_EMBED": embed}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        line = self.process.stdout.readline().decode().strip()
        self.url = line.rsplit(" ", 1)[-1]
        if not self.url.startswith("http"):
            raise SystemExit(f"the server did not start: `{line}`")

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def sessions(conversation):
    """The sessions in their order, each with its date."""
    number = 1
    while f"session_{number}" in conversation:
        yield conversation.get(f"session_{number}_date_time", ""), conversation[f"session_{number}"]
        number += 1


def messages(sample):
    """The messages of a sample with the ids that its evidence names."""
    first = sample["conversation"].get("speaker_a")
    for date, turns in sessions(sample["conversation"]):
        for turn in turns:
            picture = f" [{turn['blip_caption']}]" if turn.get("blip_caption") else ""
            role = "user" if turn["speaker"] == first else "assistant"
            text = f"({date}) {turn['speaker']}: {turn['text']}{picture}"
            yield turn["dia_id"], {"role": role, "content": text}


def evidence(question):
    """The ids of the evidence; some files join several in one text."""
    found = []
    for entry in question.get("evidence") or []:
        found += [word for word in entry.replace(";", " ").replace(",", " ").split() if ":" in word]
    return found


def fill(server, context, sample):
    """Stores the messages; gives the number of each."""
    server.call("POST", "/api/v1/contexts", {"id": context})
    numbers, batch = {}, []
    for place, (name, message) in enumerate(messages(sample), 1):
        numbers[name] = place
        batch.append(message)
    for start in range(0, len(batch), 100):
        body = {"messages": batch[start : start + 100]}
        server.call("POST", f"/api/v1/contexts/{context}/messages", body)
    return numbers


def settle(server, context):
    """Waits until every message has its vector."""
    until = time.monotonic() + VECTORS_WITHIN
    while True:
        known = server.call("GET", f"/api/v1/contexts/{context}/recall?q=x&by=words")["vectors"]
        if known and known["waiting"] == 0:
            return
        if time.monotonic() > until:
            raise SystemExit(f"messages have no vectors after {VECTORS_WITHIN} s: {known}")
        time.sleep(0.2)


def told(server, context, question, most, by):
    """The numbers of the messages that are told, in their order."""
    query = urllib.parse.urlencode({"q": question, "limit": most, "by": by})
    answer = server.call("GET", f"/api/v1/contexts/{context}/recall?{query}")
    out = []
    for found in answer["recalled"]:
        around = [entry["seq"] for entry in found["messages"]]
        for seq in [found["seq"]] + sorted(around, key=lambda seq: abs(seq - found["seq"])):
            if seq not in out:
                out.append(seq)
    return out


def measure(server, samples):
    found = {way: dict.fromkeys(RANKS, 0.0) for way in WAYS}
    asked = 0
    for number, sample in enumerate(samples):
        numbers = fill(server, f"locomo-{number}", sample)
        settle(server, f"locomo-{number}")
        for question in sample["qa"]:
            wanted = [numbers[name] for name in evidence(question) if name in numbers]
            if not wanted:
                continue
            asked += 1
            for way in WAYS:
                order = told(server, f"locomo-{number}", question["question"], 50, way)
                for rank in RANKS:
                    part = set(wanted) & set(order[:rank])
                    found[way][rank] += len(part) / len(set(wanted))
    def share(at):
        return {rank: total / max(1, asked) for rank, total in at.items()}

    return asked, {way: share(at) for way, at in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the program rapport")
    parser.add_argument("file", type=pathlib.Path, help="a file in LoCoMo's format")
    help_only = "end with 1 below 0.75 at this rank"
    parser.add_argument("--only", type=int, choices=RANKS, help=help_only)
    parser.add_argument("--embed", default="hash-embed", help="the model of vectors")
    options = parser.parse_args()
    samples = json.loads(options.file.read_text())
    with tempfile.TemporaryDirectory() as folder:
        server = Server(options.binary, folder, options.embed)
        try:
            asked, scores = measure(server, samples)
        finally:
            server.close()
    print(f"{asked} questions with evidence, {len(samples)} conversations")
    print(f"{'':<10}" + "".join(f"{way:>9}" for way in WAYS) + f"   vectors by {options.embed}")
    for rank in RANKS:
        print(f"recall@{rank:<3}" + "".join(f"{scores[way][rank]:9.3f}" for way in WAYS))
    if options.only and scores["words"][options.only] < 0.75:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
