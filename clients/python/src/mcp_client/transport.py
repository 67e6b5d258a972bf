"""HTTP as this client needs it: kept connections, limits in time, errors that say what it was."""

import http.client
import json
import socket
import ssl
import threading
import uuid

from . import address as addresses
from .errors import (
    EmptyResponseError,
    HTTPError,
    InvalidJSONError,
    LostError,
    MCPClientError,
    ProtocolMismatchError,
    TLSError,
)
from .sockets import open_socket, target_of

#: Limit: connections kept for the next request.
_IDLE_MAX = 8
_PIECE_BYTES = 65536


class Transport:
    """Sends requests to one server; uses no proxy unless one is given."""

    def __init__(self, address, api_key=None, ca_file=None, proxy=None):
        self.address = address
        self.target = target_of(address.host, address.port)
        self._api_key = api_key
        self._proxy = addresses.parse(proxy) if proxy is not None else None
        self._tls = None
        if address.scheme == "https":
            self._tls = ssl.create_default_context(cafile=ca_file)
        self._idle = []
        self._lock = threading.Lock()

    def json(self, method, path, clock, body=None, headers=None):
        """Sends a request and returns the JSON of the answer and its headers."""
        answer = self.open(method, path, clock, body, headers)
        try:
            raw = answer.read_all()
        finally:
            answer.done()
        if not raw.strip():
            raise EmptyResponseError(
                f"{self.target} answered {method} {path} without a body.", target=self.target
            )
        return self._parsed(raw, f"{method} {path}"), answer.headers

    def open(self, method, path, clock, body=None, headers=None):
        """Sends a request and returns the answer as soon as its head is there.

        Raises `HTTPError` for a status of 400 or more.
        """
        fields = {"Accept": "application/json", **(headers or {})}
        data = None
        is_file = hasattr(body, "read")
        if is_file or isinstance(body, (bytes, bytearray)):
            data = body
            fields.setdefault("Content-Type", "application/octet-stream")
        elif body is not None:
            data = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")
            fields["Content-Type"] = "application/json"
        if self._api_key is not None:
            fields["Authorization"] = f"Bearer {self._api_key}"
        if method == "POST":
            # Makes the one repetition below safe: the server answers it from its memory.
            fields.setdefault("Idempotency-Key", str(uuid.uuid4()))
        if is_file:
            # What was read cannot be sent again: only a fresh connection will do.
            self.close()
        answer = self._exchange(method, path, data, fields, clock)
        if answer.status >= 400:
            try:
                raw = answer.read_all()
            finally:
                answer.done()
            raise self._refused(answer, raw)
        return answer

    def close(self):
        """Closes the kept connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(self, method, path, data, fields, clock):
        while True:
            connection, is_kept = self._connection(clock)
            try:
                return self._ask(connection, (method, path, data, fields), clock)
            except BaseException as error:
                connection.close()
                # A kept connection that the server had closed meanwhile says nothing about it.
                if is_kept and isinstance(error, ConnectionError):
                    continue
                translated = self._translated(error, clock)
                if translated is error:
                    raise
                raise translated from error

    def _ask(self, connection, request, clock):
        method, path, data, fields = request
        if connection.sock is None:
            connection.connect()
        stream = connection.sock
        stream.settimeout(clock.wait())
        connection.request(method, self._location(path), body=data, headers=fields)
        stream.settimeout(clock.wait())
        return Answer(self, connection, stream, connection.getresponse(), clock)

    def _location(self, path):
        path = self.address.prefix + path
        if self._proxy is not None and self._tls is None:
            return f"http://{self.target}{path}"
        return path

    def _connection(self, clock):
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        via = self._proxy or self.address
        connection = _Connection(via, self._tls, clock.connect_seconds())
        if self._proxy is not None and self._tls is not None:
            connection.set_tunnel(self.address.host, self.address.port)
            connection.server_name = self.address.host
        return connection, False

    def keep(self, connection):
        """Takes a connection back whose answer was read to the end."""
        with self._lock:
            if len(self._idle) < _IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()

    def _translated(self, error, clock):
        if isinstance(error, MCPClientError) or not isinstance(
            error, (OSError, http.client.HTTPException)
        ):
            return error
        if isinstance(error, socket.timeout):
            return clock.error()
        if isinstance(error, ssl.SSLError):
            return TLSError(
                f"TLS with {self.target} failed: {error.reason or error}.",
                target=self.target,
                hint="pass `ca_file` for a certificate of your own; `http://` for a plain server",
            )
        if isinstance(error, http.client.RemoteDisconnected):
            return EmptyResponseError(
                f"{self.target} closed the connection without an answer.", target=self.target
            )
        if isinstance(error, http.client.BadStatusLine):
            return self._foreign(error.line)
        return LostError(f"The connection to {self.target} was lost: {error}.", target=self.target)

    def _foreign(self, line):
        if line[:2] in ("\x15\x03", "\x16\x03"):
            return TLSError(
                f"{self.target} speaks TLS, and the address says `http://`.",
                target=self.target,
                hint="use `https://`",
            )
        return ProtocolMismatchError(
            f"{self.target} does not speak HTTP; its answer begins with {line[:40]!r}.",
            target=self.target,
            hint=f"check host and port, or ask who listens there: rapport doctor {self.target}",
        )

    def _parsed(self, raw, what):
        try:
            return json.loads(raw)
        except ValueError as error:
            raise InvalidJSONError(
                f"The answer of {self.target} to {what} is not JSON: {raw[:80]!r}",
                body=raw,
                target=self.target,
                hint="something else may answer at this address; check host and port",
            ) from error

    def _refused(self, answer, raw):
        try:
            problem = json.loads(raw)
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {}
        text = problem.get("detail") or problem.get("error") or answer.reason or "no reason given"
        return HTTPError(
            f"HTTP {answer.status} from {self.target}: {text}",
            status=answer.status,
            headers=answer.headers,
            body=raw,
            code=str(problem.get("code") or f"http_{answer.status}"),
            details=problem.get("details"),
            target=self.target,
            hint=problem.get("hint"),
        )


class Answer:
    """An answer whose head has come."""

    def __init__(self, transport, connection, stream, response, clock):
        self.status = response.status
        self.reason = response.reason
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self._transport = transport
        self._connection = connection
        self._stream = stream
        self._response = response
        self._clock = clock
        self._is_whole = False

    def pieces(self):
        """The body in the pieces in which it arrives."""
        while True:
            try:
                self._stream.settimeout(self._clock.wait())
                piece = self._response.read1(_PIECE_BYTES)
            except (OSError, http.client.HTTPException) as error:
                translated = self._transport._translated(error, self._clock)
                if translated is error:
                    raise
                raise translated from error
            if not piece:
                self._check_length()
                self._is_whole = True
                return
            yield piece

    def _check_length(self):
        # `read1` takes an early end for the end; the length that was announced knows better.
        if self._response.length:
            raise LostError(
                f"The answer of {self._transport.target} was cut: "
                f"{self._response.length} bytes are missing.",
                target=self._transport.target,
            )

    def read_all(self):
        """The whole body."""
        return b"".join(self.pieces())

    def done(self):
        """Gives the connection back, or closes it when there is more on it."""
        is_free = self._is_whole and not self._response.will_close
        self._response.close()
        if is_free:
            self._transport.keep(self._connection)
        else:
            self._connection.close()


class _Connection(http.client.HTTPConnection):
    """A connection made by our own rules for names, families and time."""

    def __init__(self, address, tls, connect_seconds):
        super().__init__(address.host, address.port)
        self.server_name = address.host
        self._tls = tls
        self._seconds = connect_seconds

    def connect(self):
        self.sock = open_socket(self.host, self.port, self._seconds)
        if self._tunnel_host:
            self._tunnel()
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.server_name)
