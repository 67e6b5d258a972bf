"""Reads an answer from a socket: up to a mark, with the clock of one call."""

import socket

from .errors import EmptyResponseError, LostError, MCPError

#: Limit: bytes of one line or one head.
LINE_BYTES_MAX = 64 * 1024 * 1024
_PIECE_BYTES = 65536


class Reader:
    """The incoming side of a connection; keeps what came after the mark."""

    def __init__(self, connection, target):
        self._connection = connection
        self._target = target
        self._buffer = bytearray()

    def until(self, mark, clock, early=None):
        """Reads up to and without `mark`.

        `early` is called with everything so far after each piece; it may raise as soon as the
        beginning shows that the mark will never come.
        """
        searched = 0
        while True:
            at = self._buffer.find(mark, searched)
            if at >= 0:
                found = bytes(self._buffer[:at])
                del self._buffer[: at + len(mark)]
                return found
            searched = max(0, len(self._buffer) - len(mark) + 1)
            if len(self._buffer) > LINE_BYTES_MAX:
                raise MCPError(
                    f"{self._target} sent more than {LINE_BYTES_MAX} bytes without an end.",
                    code="payload_too_large",
                    target=self._target,
                )
            self._buffer += self._piece(clock)
            if early is not None:
                early(bytes(self._buffer))

    def _piece(self, clock):
        self._connection.settimeout(clock.wait())
        try:
            piece = self._connection.recv(_PIECE_BYTES)
        except socket.timeout as error:
            raise clock.error() from error
        except OSError as error:
            raise self._lost(str(error.strerror or error)) from error
        if piece:
            return piece
        if self._buffer:
            raise self._lost(f"it ended after {len(self._buffer)} bytes of an answer")
        raise EmptyResponseError(
            f"{self._target} closed the connection without an answer.",
            target=self._target,
            hint=f"look at the log of the server, or ask: rapport doctor {self._target}",
        )

    def _lost(self, why):
        return LostError(
            f"The connection to {self._target} was lost: {why}.",
            target=self._target,
            hint="connect again; what was answered is kept by the server",
        )
