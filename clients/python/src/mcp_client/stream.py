"""A turn as it comes: Server-Sent Events, with an end that cannot be mistaken for a cut."""

import codecs
import json
from collections import namedtuple

from .errors import InvalidJSONError, LostError, MCPError
from .shapes import Turn

#: One event: `type` is `start`, `delta`, `thinking`, `tool` or `done`, `data` its JSON.
Event = namedtuple("Event", "type data")


class _Stream:
    """What comes event by event: read on, or left."""

    def __init__(self, answer, target):
        self._answer = answer
        self._target = target
        self._events = self._run()

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._events)

    def close(self):
        """Leaves the stream; what the server does with a turn then is its own policy."""
        self._events.close()
        self._answer.done()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self):
        raise NotImplementedError


class TurnStream(_Stream):
    """Iterates over the events of a turn; `turn` is the whole of it once `done` has come."""

    def __init__(self, answer, target):
        self.turn = None
        super().__init__(answer, target)

    def texts(self):
        """Only the pieces of the reply's text."""
        for event in self:
            if event.type == "delta":
                yield event.data.get("text", "")

    def _run(self):
        try:
            for name, text in events(self._answer.pieces()):
                if self.turn is not None:
                    # Only the end of the body is left, which gives the connection back whole.
                    continue
                data = parsed(text, self._target)
                if name == "error":
                    raise self._failed(data)
                if name == "done":
                    self.turn = Turn.of(data)
                yield Event(name, data)
            if self.turn is None:
                raise LostError(
                    f"The stream of {self._target} was cut before its end.",
                    target=self._target,
                    hint="the question is kept: read the messages, or retry the turn",
                )
        finally:
            self._answer.done()

    def _failed(self, data):
        return MCPError(
            str(data.get("detail") or data.get("error") or "the turn failed"),
            code=str(data.get("code") or "internal_error"),
            details=data.get("details"),
            target=self._target,
            hint=data.get("hint"),
        )


class EventStream(_Stream):
    """Iterates over what happens in a context: `message`, `rollback`, `context` and `end`."""

    def _run(self):
        try:
            for name, text in events(self._answer.pieces()):
                yield Event(name, parsed(text, self._target))
                if name == "end":
                    return
            raise LostError(
                f"The events of {self._target} were cut.",
                target=self._target,
                hint="follow again, with the number of the last message as `after`",
            )
        finally:
            self._answer.done()


def parsed(text, target):
    """The JSON object of an event."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidJSONError(
            f"An event of {target} is not JSON: {text[:80]!r}",
            body=text.encode(),
            target=target,
        ) from error
    return data if isinstance(data, dict) else {"value": data}


def events(pieces):
    """Splits a body into events (name, data), wherever the pieces were cut."""
    name, lines = "message", []
    for line in _lines(pieces):
        if line == "":
            if lines:
                yield name, "\n".join(lines)
            name, lines = "message", []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                lines.append(value)


def _lines(pieces):
    """Lines ended by LF or CRLF; half a line at the end belongs to no event."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    buffer = ""
    for piece in pieces:
        buffer += decode(piece)
        *whole, buffer = buffer.split("\n")
        for line in whole:
            yield line[:-1] if line.endswith("\r") else line
