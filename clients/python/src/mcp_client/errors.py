"""Every way a call can fail, as a type of its own.

Two families: `ConnectionError` (no usable connection) and `MCPError` (the server was reached and
the exchange failed). Every error has `kind` (a stable word), `target` (`HOST:PORT` or a URL) and
`hint` (what to do next).
"""

import builtins


class MCPClientError(Exception):
    """The root of all errors of this package."""

    kind = "error"

    def __init__(self, message, *, target=None, hint=None):
        super().__init__(message)
        self.message = message
        self.target = target
        self.hint = hint

    def __str__(self):
        return self.message


class ConnectionError(MCPClientError, builtins.ConnectionError):
    """No connection, or one that was lost."""

    kind = "connection"


class RefusedError(ConnectionError):
    """Nobody listens at the target."""

    kind = "refused"


class NameResolutionError(ConnectionError):
    """The name of the host leads to no address."""

    kind = "name_not_resolved"


class InvalidPortError(ConnectionError, ValueError):
    """The number is no TCP port; `candidates` are the ports that were probably meant."""

    kind = "invalid_port"

    def __init__(self, message, *, value, candidates=(), **details):
        super().__init__(message, **details)
        self.value = value
        self.candidates = list(candidates)


class TLSError(ConnectionError):
    """The two ends do not agree on encryption."""

    kind = "tls"


class LostError(ConnectionError):
    """The connection ended in the middle of a call, or was closed before it."""

    kind = "lost"


class TimeoutError(MCPClientError, builtins.TimeoutError):
    """Something took longer than allowed; `seconds` is the limit that was reached."""

    kind = "timeout"

    def __init__(self, message, *, seconds=None, **details):
        super().__init__(message, **details)
        self.seconds = seconds


class ConnectTimeoutError(TimeoutError, ConnectionError):
    """The connection was not made in time."""

    kind = "connect_timeout"


class MCPError(MCPClientError):
    """The server answered with an error, or not as agreed; `code` is its stable word."""

    kind = "mcp"

    def __init__(self, message, *, code="internal_error", details=None, **others):
        super().__init__(message, **others)
        self.code = code
        self.details = details


class OperationTimeoutError(TimeoutError, MCPError):
    """The connection stands, but the answer did not come in time."""

    kind = "timeout"

    def __init__(self, message, *, seconds=None, target=None, hint=None):
        super().__init__(message, seconds=seconds, target=target, hint=hint)
        self.code = "timeout"


class ProtocolMismatchError(MCPError):
    """The other end speaks something else, or another version.

    `client_version` and `server_version` name both versions where they are known.
    """

    kind = "protocol_mismatch"

    def __init__(self, message, *, client_version=None, server_version=None, **others):
        super().__init__(message, code=others.pop("code", "protocol_mismatch"), **others)
        self.client_version = client_version
        self.server_version = server_version


class InvalidJSONError(MCPError):
    """The answer is not JSON, or not the JSON that was agreed; `body` holds the raw bytes."""

    kind = "invalid_json"

    def __init__(self, message, *, body=b"", **others):
        super().__init__(message, code="invalid_json", **others)
        self.body = body


class EmptyResponseError(MCPError):
    """The server closed the connection, or ended the answer, without a word."""

    kind = "empty_response"

    def __init__(self, message, **others):
        super().__init__(message, code="empty_response", **others)


class HTTPError(MCPError):
    """An HTTP status of 400 or more.

    `status` is the number, `headers` a dictionary with names in lower case, `body` the raw bytes,
    `request_id` what to look for in the log of the server.
    """

    kind = "http"

    def __init__(self, message, *, status, headers, body, **others):
        super().__init__(message, **others)
        self.status = status
        self.headers = headers
        self.body = body
        self.request_id = headers.get("x-request-id")
