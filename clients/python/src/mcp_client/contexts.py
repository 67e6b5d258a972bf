"""Contexts: one method for everything the native API does with them."""

from .branches import Branches
from .documents import Documents
from .paths import UNSET, expects, given, path, query
from .shapes import Context, Message, Page, Turn
from .stream import EventStream, TurnStream


class Contexts(Branches, Documents):
    """The conversations of a server.

    What has a shape of its own comes as an object that keeps the whole answer in `raw`; the rest
    comes as the JSON of the answer.
    """

    def __init__(self, client):
        self._client = client

    def create(self, timeout=UNSET, **fields):
        """Makes a context; `fields` are those of the API (`title`, `system`, `settings`, …)."""
        return Context.of(self._client._json("POST", path("contexts"), timeout, fields))

    def get(self, context_id, timeout=UNSET):
        """One context."""
        return Context.of(self._call("GET", context_id, timeout=timeout))

    def list(self, timeout=UNSET, **filters):
        """One page of contexts; `filters` are those of the API (`limit`, `cursor`, `user`, …)."""
        raw = self._client._json("GET", path("contexts") + query(filters), timeout)
        return Page([Context.of(each) for each in raw["contexts"]], raw.get("next_cursor"))

    def all(self, **filters):
        """Every context, page after page."""
        cursor = filters.pop("cursor", None)
        while True:
            page = self.list(cursor=cursor, **filters)
            yield from page
            cursor = page.next_cursor
            if cursor is None:
                return

    def update(self, context_id, timeout=UNSET, revision=None, **fields):
        """Changes a context; with `revision` only if it still has this one (else status 412)."""
        return Context.of(
            self._call("PATCH", context_id, body=fields, revision=revision, timeout=timeout)
        )

    def end(self, context_id, timeout=UNSET):
        """Makes a context read-only."""
        return Context.of(self._call("POST", context_id, "close", body={}, timeout=timeout))

    def delete(self, context_id, timeout=UNSET):
        """Deletes a context and all that was said in it."""
        return self._call("DELETE", context_id, timeout=timeout)

    def messages(self, context_id, timeout=UNSET, **filters):
        """One page of messages; `filters` are those of the API (`last`, `role`, `after`, …)."""
        raw = self._call("GET", context_id, "messages", filters=filters, timeout=timeout)
        return Page([Message.of(each) for each in raw["messages"]], raw.get("next_cursor"))

    def append(self, context_id, messages, revision=None, timeout=UNSET):
        """Stores messages without asking a model: dictionaries with `role` and `content`."""
        raw = self._call(
            "POST",
            context_id,
            "messages",
            body={"messages": list(messages)},
            revision=revision,
            timeout=timeout,
        )
        return [Message.of(each) for each in raw["messages"]]

    def send(self, context_id, message, stream=False, timeout=UNSET, **options):
        """Sends a message and returns the `Turn`; with `stream=True` a `TurnStream`.

        `options` are those of the API: `model`, `state`, `max_tokens`, `request_id`, … With
        `background=True` the answer comes at once; `turn` then tells what became of it.
        """
        body = {"message": message, **options}
        if not stream:
            return Turn.of(self._call("POST", context_id, "turns", body=body, timeout=timeout))
        place = path("contexts", context_id, "turns")
        return self._turn_stream("POST", place, timeout, {**body, "stream": True})

    def retry(self, context_id, stream=False, timeout=UNSET, **options):
        """Answers the last failed turn again."""
        body = dict(options)
        if not stream:
            raw = self._call("POST", context_id, "turns", "retry", body=body, timeout=timeout)
            return Turn.of(raw)
        place = path("contexts", context_id, "turns", "retry")
        return self._turn_stream("POST", place, timeout, {**body, "stream": True})

    def cancel(self, context_id, timeout=UNSET):
        """Stops the running turn; what was said until then is kept."""
        return self._call("POST", context_id, "turns", "cancel", body={}, timeout=timeout)

    def turn(self, context_id, number="last", timeout=UNSET):
        """What became of a turn: its `status`, and the reply when it has one."""
        return self._call("GET", context_id, "turns", number, timeout=timeout)

    def resume(self, context_id, number="last", after=None, timeout=UNSET):
        """The events of a turn behind the one numbered `after`: a `TurnStream`."""
        place = path("contexts", context_id, "turns", number, "stream") + query({"after": after})
        return self._turn_stream("GET", place, timeout)

    def events(self, context_id, after=None, timeout=UNSET):
        """Everything that is said in a context, as it is said: an `EventStream`.

        `after` is the number of the last message that is known. Close it to leave it.
        """
        place = path("contexts", context_id, "events") + query({"after": after})
        return EventStream(self._open("GET", place, timeout), self._client._transport.target)

    def state(self, context_id, at=None, change=None, timeout=UNSET):
        """The state; as it was while message `at` was the newest, or after a `change`."""
        filters = {"at": at, "change": change}
        return self._call("GET", context_id, "state", filters=filters, timeout=timeout)

    def patch_state(self, context_id, patch, revision=None, timeout=UNSET):
        """Changes the state by a merge patch; `None` as a value removes a key."""
        options = {"revision": revision, "timeout": timeout}
        return self._call("PATCH", context_id, "state", body=patch, **options)

    def replace_state(self, context_id, state, revision=None, timeout=UNSET):
        """Puts another state in the place of it."""
        options = {"revision": revision, "timeout": timeout}
        return self._call("PUT", context_id, "state", body=state, **options)

    def state_history(self, context_id, limit=None, before=None, timeout=UNSET):
        """What changed the state, the newest change first: a `Page` of dictionaries."""
        filters = {"limit": limit, "before": before}
        raw = self._call("GET", context_id, "state", "history", filters=filters, timeout=timeout)
        return Page(raw["changes"], raw.get("next"))

    def restore_state(self, context_id, at=None, change=None, revision=None, timeout=UNSET):
        """Makes the state what it was at a message or after a change."""
        body = given(at=at, change=change)
        options = {"revision": revision, "timeout": timeout}
        return self._call("POST", context_id, "state", "restore", body=body, **options)

    def window(self, context_id, timeout=UNSET, **options):
        """The request that would go to the model, and why (`message`, `strategy`, `tokens`, …)."""
        return self._call("GET", context_id, "window", filters=options, timeout=timeout)

    def epochs(self, context_id, timeout=UNSET):
        """The stretches in which requests began alike, and what they cost."""
        return self._call("GET", context_id, "epochs", timeout=timeout)["epochs"]

    def summaries(self, context_id, timeout=UNSET):
        """The summaries that stand for older messages."""
        return self._call("GET", context_id, "summaries", timeout=timeout)["summaries"]

    def recall(self, context_id, question, limit=None, before=None, by=None, timeout=UNSET):
        """Messages that have to do with a question, with their neighbours, the best first."""
        filters = {"q": question, "limit": limit, "before": before, "by": by}
        return self._call("GET", context_id, "recall", filters=filters, timeout=timeout)["recalled"]

    def pins(self, context_id, timeout=UNSET):
        """The numbers of the messages that every request carries."""
        return self._call("GET", context_id, "pins", timeout=timeout)["pins"]

    def pin(self, context_id, seq, timeout=UNSET):
        """Lets every request carry a message."""
        return Context.of(self._call("PUT", context_id, "pins", seq, timeout=timeout))

    def unpin(self, context_id, seq, timeout=UNSET):
        """Lets requests leave it behind again."""
        return Context.of(self._call("DELETE", context_id, "pins", seq, timeout=timeout))

    def notes(self, context_id, timeout=UNSET):
        """What the model knows beside the conversation."""
        return self._call("GET", context_id, "notes", timeout=timeout)["notes"]

    def note(self, context_id, value, timeout=UNSET, **fields):
        """Keeps a note: `kind`, `name` and `expires_in_seconds` are those of the API."""
        body = {"value": value, **fields}
        return self._call("POST", context_id, "notes", body=body, timeout=timeout)

    def forget_note(self, context_id, number, timeout=UNSET):
        """Forgets a note."""
        return self._call("DELETE", context_id, "notes", number, timeout=timeout)

    def redact(self, context_id, timeout=UNSET, **order):
        """Takes secrets and personal data out of stored messages, for good."""
        return self._call("POST", context_id, "redact", body=order, timeout=timeout)

    def _call(self, method, context_id, *rest, **options):
        place = path("contexts", context_id, *rest) + query(options.get("filters") or {})
        headers = expects(options.get("revision"))
        timeout = options.get("timeout", UNSET)
        return self._client._json(method, place, timeout, options.get("body"), headers)

    def _turn_stream(self, method, place, timeout, body=None):
        answer = self._open(method, place, timeout, body)
        return TurnStream(answer, self._client._transport.target)

    def _open(self, method, place, timeout, body=None):
        transport = self._client._transport
        clock = self._client._limits(timeout).for_stream().begin(transport.target)
        return transport.open(method, place, clock, body, {"Accept": "text/event-stream"})
