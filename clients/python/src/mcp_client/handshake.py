"""The `MCP/1.0` handshake: what is sent, and what the many kinds of answers mean."""

import logging

from .errors import EmptyResponseError, LostError, MCPError, ProtocolMismatchError, TLSError

_log = logging.getLogger("mcp_client")

#: The version of the protocol that this package speaks.
VERSION = "1.0"
_HEAD_BYTES_MAX = 16 * 1024


def greeting(api_key):
    """The bytes that open a session."""
    lines = [f"MCP/{VERSION}", "Connection: Upgrade"]
    if api_key is not None:
        if any(c in api_key for c in "\r\n\0"):
            raise ValueError("`api_key`: a key is one line of text")
        lines.append(f"Authorization: Bearer {api_key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read(reader, clock, target):
    """Reads the answer; returns the version of the server, or raises what the answer means."""

    def early(so_far):
        if not b"MCP/".startswith(so_far[:4]) or len(so_far) > _HEAD_BYTES_MAX:
            raise _foreign(so_far, target)

    try:
        head = reader.until(b"\r\n\r\n", clock, early)
    except EmptyResponseError as error:
        raise EmptyResponseError(
            f"{target} closed the connection during the MCP/{VERSION} handshake. "
            f"Is it the MCP server that listens there?",
            target=target,
            hint=f"ask who listens there: rapport doctor {target}",
        ) from error
    except LostError as error:
        raise LostError(f"{error} (during the handshake)", target=target) from error
    lines = head.decode("utf-8", "replace").split("\r\n")
    words = lines[0].split(" ", 2)
    version = words[0][len("MCP/") :]
    status = words[1] if len(words) > 1 else ""
    headers = dict(_header(line) for line in lines[1:])
    if status == "101":
        return _accepted(version, target)
    raise _refused(status, lines[0], headers, target)


def _header(line):
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _accepted(version, target):
    """The same major version is compatible; another minor version lacks features at most."""
    if version.split(".")[0] != VERSION.split(".")[0]:
        raise _versions(version, target)
    if version != VERSION:
        _log.warning("%s speaks MCP/%s, this client MCP/%s", target, version, VERSION)
    return version


def _refused(status, line, headers, target):
    if status == "426":
        return _versions(headers.get("supported", "unknown"), target)
    codes = {"401": "unauthorized", "403": "forbidden", "429": "rate_limited", "503": "overloaded"}
    hints = {
        "401": "pass `api_key`; a key is made by: rapport key create",
        "403": "use a key with the scope that this needs",
    }
    return MCPError(
        f"{target} refused the handshake: {line}.",
        code=codes.get(status, "protocol_mismatch"),
        target=target,
        hint=hints.get(status),
    )


def _versions(server, target):
    return ProtocolMismatchError(
        f"{target} speaks MCP/{server}, this client MCP/{VERSION}.",
        code="version_mismatch",
        client_version=VERSION,
        server_version=server,
        target=target,
        hint="use a client and a server of the same major version",
    )


def _foreign(so_far, target):
    """What speaks there instead, as far as its first bytes tell."""
    if so_far[:2] in (b"\x15\x03", b"\x16\x03"):
        return TLSError(
            f"{target} speaks TLS, and this connection is not encrypted.",
            target=target,
            hint="switch TLS off for loopback, or use `Client` with an `https://` address",
        )
    speaks = "something that is not MCP"
    if so_far.startswith(b"HTTP/"):
        speaks = "HTTP only"
    elif so_far.startswith(b"SSH-"):
        speaks = "SSH"
    elif so_far.startswith((b"ERROR:", b"{")):
        speaks = f"JSON lines without the MCP/{VERSION} handshake"
    return ProtocolMismatchError(
        f"{target} speaks {speaks}; its answer begins with {so_far[:40]!r}.",
        client_version=VERSION,
        target=target,
        hint=f"check host and port, or ask who listens there: rapport doctor {target}",
    )
