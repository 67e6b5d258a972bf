"""Talks to a Rapport server: over raw TCP with `connect`, over HTTP with `Client`.

    connection = mcp_client.connect(host="localhost", port=61900, timeout=5)
    print(connection.summarize(text="…", length="short").get("summary"))
    connection.close()
"""

from .client import Client
from .connection import Connection, connect
from .errors import (
    ConnectionError,
    ConnectTimeoutError,
    EmptyResponseError,
    HTTPError,
    InvalidJSONError,
    InvalidPortError,
    LostError,
    MCPClientError,
    MCPError,
    NameResolutionError,
    OperationTimeoutError,
    ProtocolMismatchError,
    RefusedError,
    TimeoutError,
    TLSError,
)
from .handshake import VERSION as PROTOCOL_VERSION
from .shapes import Context, Message, Page, Turn
from .stream import Event, EventStream, TurnStream
from .timeouts import Timeout

__version__ = "0.1.0"

__all__ = [
    "Client",
    "ConnectTimeoutError",
    "Connection",
    "ConnectionError",
    "Context",
    "EmptyResponseError",
    "Event",
    "EventStream",
    "HTTPError",
    "InvalidJSONError",
    "InvalidPortError",
    "LostError",
    "MCPClientError",
    "MCPError",
    "Message",
    "NameResolutionError",
    "OperationTimeoutError",
    "PROTOCOL_VERSION",
    "Page",
    "ProtocolMismatchError",
    "RefusedError",
    "TLSError",
    "Timeout",
    "TimeoutError",
    "Turn",
    "TurnStream",
    "connect",
]
