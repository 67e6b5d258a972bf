"""Compares what came with what was documented; a difference is an `AssertionError` with both."""

import json
import pathlib
import re

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"


def equal(got, wanted, what="the answer"):
    if got != wanted:
        raise AssertionError(f"{what}:\n  got    {got!r}\n  wanted {wanted!r}")


def holds(condition, what, got):
    if not condition:
        raise AssertionError(f"{what}:\n  got    {got!r}")


def golden(text, name):
    """Compares a whole text with `golden/NAME.txt`.

    `<word>` stands for any text on its line, the same wherever the word stands again. Returns
    what each word stood for.
    """
    wanted = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
    seen = set()

    def group(match):
        word = match.group(1)
        if word in seen:
            return f"(?P={word})"
        seen.add(word)
        return f"(?P<{word}>.+)"

    pattern = re.sub(r"<([a-z]+)>", group, re.escape(wanted))
    match = re.fullmatch(pattern, text.rstrip("\n"))
    if match is None:
        raise AssertionError(f"the text is not golden/{name}.txt:\n{text}")
    return match.groupdict()


def answer(text, status):
    """Takes what curl wrote (`BODY\\nSTATUS`) apart and returns the JSON of the body."""
    body, _, code = text.rstrip("\n").rpartition("\n")
    equal(code, str(status), f"the status of `{body}`")
    try:
        return json.loads(body)
    except ValueError:
        raise AssertionError(f"the body is not JSON:\n  got    {body!r}") from None


def includes(got, wanted):
    """More keys may come; the documented ones have exactly these values, in this order."""
    holds(isinstance(got, dict), "an object is wanted", got)
    known = {name: got[name] for name in got if name in wanted}
    equal(json.dumps(known, ensure_ascii=False), json.dumps(wanted, ensure_ascii=False))
