"""The native API over HTTP: contexts, their messages and turns, models, status."""

from urllib.parse import quote, urlencode

from . import address, ports
from .shapes import Context, Message, Page, Turn
from .stream import TurnStream
from .timeouts import Timeout
from .transport import Transport

_UNSET = object()


class Client:
    """A server, over HTTP.

    `timeout` is in seconds or a `Timeout`; every method takes its own. `ca_file` trusts a
    certificate of your own. No proxy is used, whatever the environment says, unless `proxy` names
    one. A client may be shared by threads.
    """

    def __init__(
        self,
        base_url=f"http://localhost:{ports.HOME}",
        api_key=None,
        timeout=30,
        **options,
    ):
        strict = options.pop("strict_ports", False)
        self._timeout = Timeout.of(timeout)
        self._transport = Transport(address.parse(base_url, strict=strict), api_key, **options)
        self.contexts = Contexts(self)

    def models(self, timeout=_UNSET):
        """The models that can be asked, and the default."""
        return self._json("GET", "/api/v1/models", timeout)

    def status(self, timeout=_UNSET):
        """What is listening where, which models work, how full the store is."""
        return self._json("GET", "/api/v1/status", timeout)

    def health(self, timeout=_UNSET):
        """Whether the server is alive; raises `HTTPError` with status 503 when it is not well."""
        return self._json("GET", "/health", timeout)

    def summarize(self, text, length="short", timeout=_UNSET):
        """Summarises a text; the answer has `summary`."""
        body = {"text": text, "length": length}
        return self._json("POST", "/api/v1/summarize", timeout, body)

    def generate_prompt(self, theme, difficulty="medium", timeout=_UNSET):
        """Makes a writing prompt about a theme; the answer has `prompt`."""
        body = {"theme": theme, "difficulty": difficulty}
        return self._json("POST", "/api/v1/generate_prompt", timeout, body)

    def close(self):
        """Closes the kept connections. Closing twice is fine."""
        self._transport.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _json(self, method, path, timeout=_UNSET, body=None, headers=None):
        clock = self._limits(timeout).begin(self._transport.target)
        return self._transport.json(method, path, clock, body, headers)[0]

    def _limits(self, timeout):
        return self._timeout if timeout is _UNSET else Timeout.of(timeout)


class Contexts:
    """The conversations of a server."""

    def __init__(self, client):
        self._client = client

    def create(self, timeout=_UNSET, **fields):
        """Makes a context; `fields` are those of the API (`title`, `system`, `settings`, …)."""
        return Context.of(self._client._json("POST", "/api/v1/contexts", timeout, fields))

    def get(self, context_id, timeout=_UNSET):
        """One context."""
        return Context.of(self._client._json("GET", _path(context_id), timeout))

    def list(self, timeout=_UNSET, **filters):
        """One page of contexts; `filters` are those of the API (`limit`, `cursor`, `user`, …)."""
        raw = self._client._json("GET", "/api/v1/contexts" + _query(filters), timeout)
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

    def update(self, context_id, timeout=_UNSET, revision=None, **fields):
        """Changes a context; with `revision` only if it still has this one (else status 412)."""
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        raw = self._client._json("PATCH", _path(context_id), timeout, fields, headers)
        return Context.of(raw)

    def end(self, context_id, timeout=_UNSET):
        """Makes a context read-only."""
        return Context.of(self._client._json("POST", _path(context_id, "/close"), timeout, {}))

    def delete(self, context_id, timeout=_UNSET):
        """Deletes a context and all that was said in it."""
        return self._client._json("DELETE", _path(context_id), timeout)

    def messages(self, context_id, timeout=_UNSET, **filters):
        """One page of messages; `filters` are those of the API (`last`, `role`, `after`, …)."""
        path = _path(context_id, "/messages") + _query(filters)
        raw = self._client._json("GET", path, timeout)
        return Page([Message.of(each) for each in raw["messages"]], raw.get("next_cursor"))

    def send(self, context_id, message, stream=False, timeout=_UNSET, **options):
        """Sends a message and returns the `Turn`; with `stream=True` a `TurnStream`.

        `options` are those of the API: `model`, `state`, `max_tokens`, `request_id`, …
        """
        body = {"message": message, **options}
        path = _path(context_id, "/turns")
        if not stream:
            return Turn.of(self._client._json("POST", path, timeout, body))
        body["stream"] = True
        transport = self._client._transport
        clock = self._client._limits(timeout).for_stream().begin(transport.target)
        headers = {"Accept": "text/event-stream"}
        answer = transport.open("POST", path, clock, body, headers)
        return TurnStream(answer, transport.target)


def _path(context_id, rest=""):
    return f"/api/v1/contexts/{quote(str(context_id), safe='')}{rest}"


def _query(filters):
    given = {name: value for name, value in filters.items() if value is not None}
    return "?" + urlencode(given) if given else ""
