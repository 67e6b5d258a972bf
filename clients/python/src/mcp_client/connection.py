"""A session over raw TCP: the `MCP/1.0` handshake, then one JSON object a line."""

import json
import socket
import threading

from . import handshake, ports
from .errors import InvalidJSONError, LostError, MCPError
from .lines import Reader
from .sockets import open_socket, target_of
from .timeouts import Timeout

_UNSET = object()


def connect(host="localhost", port=ports.HOME, timeout=5, api_key=None, strict_ports=False):
    """Connects, shakes hands and returns a `Connection`.

    `timeout` limits connecting and each later operation: seconds, or a `Timeout`. `localhost` is
    tried as 127.0.0.1 and as ::1. `port` 619009 stands for 61900, with a warning; `strict_ports`
    refuses it. Raises `ConnectionError` when there is no connection, `MCPError` when the other end
    does not speak the protocol or does not accept the key.
    """
    port = ports.resolve(port, strict=strict_ports)
    timeout = Timeout.of(timeout)
    target = target_of(host, port)
    opening = handshake.greeting(api_key)
    stream = open_socket(host, port, timeout.connect)
    try:
        reader = Reader(stream, target)
        clock = timeout.begin(target)
        _send(stream, opening, clock, target)
        version = handshake.read(reader, clock, target)
    except BaseException:
        stream.close()
        raise
    return Connection(stream, reader, target, timeout, version)


class Connection:
    """A session with a server. One operation at a time; other threads wait for their turn.

    `session_id` is kept from answer to answer and passed along; an application may read it, store
    it and set it again to go on with a conversation.
    """

    def __init__(self, stream, reader, target, timeout, version):
        self.target = target
        self.version = version
        self.session_id = None
        self._stream = stream
        self._reader = reader
        self._timeout = timeout
        self._last_id = 0
        self._turn = threading.Lock()

    def summarize(self, text, length="short", timeout=_UNSET):
        """Summarises a text; `length` is `short`, `medium` or `long`. The answer has `summary`."""
        return self.call("summarize", {"text": text, "length": length}, timeout)

    def generate_prompt(self, theme, difficulty="medium", timeout=_UNSET):
        """Makes a writing prompt about a theme. The answer has `prompt`."""
        return self.call("generate_prompt", {"theme": theme, "difficulty": difficulty}, timeout)

    def interact(self, message, session_id=None, context=None, stream=False, timeout=_UNSET):
        """Sends one message of a conversation.

        Returns `sessionId`, `response` and `updatedContext`; with `stream=True` an iterator over
        the pieces of the response, whose `result` holds the same afterwards. Without
        `session_id` the conversation of this connection goes on.
        """
        params = {"message": message}
        session_id = session_id if session_id is not None else self.session_id
        if session_id is not None:
            params["sessionId"] = session_id
        if context is not None:
            params["context"] = context
        if stream:
            params["stream"] = True
            return Partials(self, "interact", params, self._limits(timeout).for_stream())
        return self.call("interact", params, timeout)

    def status(self, timeout=_UNSET):
        """What the server says about itself."""
        return self.call("status", {}, timeout)

    def call(self, method, params, timeout=_UNSET):
        """Calls any method of the protocol and returns its result."""
        with self._turn:
            clock = self._limits(timeout).begin(self.target)
            number = self._ask(method, params, clock)
            while True:
                frame = self._answer(number, clock)
                if "partial" not in frame:
                    return self._result(frame)

    def close(self):
        """Ends the session. Closing twice is fine."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _limits(self, timeout):
        return self._timeout if timeout is _UNSET else Timeout.of(timeout)

    def _ask(self, method, params, clock):
        if self._stream is None:
            raise LostError(
                f"The connection to {self.target} is closed.",
                target=self.target,
                hint="connect again with `mcp_client.connect`",
            )
        # An answer that comes after its call gave up has an older number and is passed over.
        self._last_id += 1
        request = {"id": self._last_id, "method": method, "params": params}
        line = json.dumps(request, ensure_ascii=False, separators=(",", ":")) + "\n"
        try:
            _send(self._stream, line.encode("utf-8", "backslashreplace"), clock, self.target)
        except BaseException:
            # Half a line may have left; whatever followed it would be read as its rest.
            self.close()
            raise
        return self._last_id

    def _answer(self, number, clock):
        """The next frame for a call; frames of older calls are passed over."""
        while True:
            if self._stream is None:
                raise LostError(f"The connection to {self.target} is closed.", target=self.target)
            line = self._reader.until(b"\n", clock).strip()
            if not line:
                continue
            frame = self._frame(line)
            if frame.get("id") in (number, None):
                return frame

    def _frame(self, line):
        try:
            frame = json.loads(line)
        except ValueError as error:
            raise self._invalid(line, "is not JSON") from error
        if not isinstance(frame, dict) or not {"result", "error", "partial"} & set(frame):
            raise self._invalid(line, "has neither `result` nor `error` nor `partial`")
        return frame

    def _result(self, frame):
        error = frame.get("error")
        if error is not None:
            raise self._failed(error)
        result = frame.get("result")
        if isinstance(result, dict) and isinstance(result.get("sessionId"), str):
            self.session_id = result["sessionId"]
        return result

    def _failed(self, error):
        if not isinstance(error, dict):
            return MCPError(str(error), target=self.target)
        return MCPError(
            str(error.get("message") or "the server names no reason"),
            code=str(error.get("code") or "internal_error"),
            details=error.get("details"),
            target=self.target,
            hint=error.get("hint"),
        )

    def _invalid(self, line, what):
        return InvalidJSONError(
            f"The answer of {self.target} {what}: {line[:80]!r}",
            body=line,
            target=self.target,
            hint="client and server may be of different versions; compare them with `status()`",
        )


class Partials:
    """The pieces of one answer as they come; `result` is the whole of it once they have ended."""

    def __init__(self, connection, method, params, timeout):
        self.result = None
        self._pieces = self._run(connection, method, params, timeout)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._pieces)

    def close(self):
        """Gives the connection back without reading on; the server finishes the turn by itself."""
        self._pieces.close()

    def _run(self, connection, method, params, timeout):
        with connection._turn:
            clock = timeout.begin(connection.target)
            number = connection._ask(method, params, clock)
        while True:
            # Not held while the caller works, who may well make another call meanwhile.
            with connection._turn:
                if connection._last_id != number:
                    raise MCPError(
                        "Another call began on this connection before the stream had ended.",
                        code="conflict",
                        target=connection.target,
                        hint="read a stream to its end, or use a second connection",
                    )
                frame = connection._answer(number, clock)
            if "partial" in frame:
                yield frame["partial"]
                continue
            self.result = connection._result(frame)
            return


def _send(stream, data, clock, target):
    stream.settimeout(clock.wait())
    try:
        stream.sendall(data)
    except socket.timeout as error:
        raise clock.error() from error
    except OSError as error:
        raise LostError(
            f"The connection to {target} was lost: {error.strerror or error}.",
            target=target,
            hint="connect again; what was answered is kept by the server",
        ) from error
