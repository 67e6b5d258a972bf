"""Opens TCP connections: both address families, one deadline, errors that name the next step."""

import errno
import socket
import time

from .errors import ConnectionError, ConnectTimeoutError, NameResolutionError, RefusedError

_LOOPBACK = [
    (socket.AF_INET, ("127.0.0.1",)),
    (socket.AF_INET6, ("::1",)),
]


def target_of(host, port):
    """`HOST:PORT` as people write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host):
    """Whether a host is this machine, by name or number."""
    bare = host.strip("[]").rstrip(".").lower()
    return bare in ("localhost", "::1") or bare.endswith(".localhost") or bare.startswith("127.")


def open_socket(host, port, seconds):
    """Connects to the first address of the host that answers.

    All attempts together take at most `seconds` (`None`: no limit). The port has to be valid:
    the resolver of the system would cut a greater number to 16 bits in silence.
    """
    target = target_of(host, port)
    deadline = None if seconds is None else time.monotonic() + seconds
    failures = []
    addresses = _addresses(host, port, target)
    for index, (family, address) in enumerate(addresses):
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            break
        # One silent address must not use up the time of the others.
        share = left if left is None else left / (len(addresses) - index)
        try:
            return _connect(family, address, share)
        except OSError as error:
            failures.append((address[0], error))
    raise _error(host, port, seconds, failures)


def _connect(family, address, seconds):
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def _addresses(host, port, target):
    """The addresses to try; `localhost` is both loopback addresses, whatever the system says."""
    bare = host.strip("[]")
    if bare.rstrip(".").lower() == "localhost":
        return [(family, (*address, port)) for family, address in _LOOPBACK]
    try:
        found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NameResolutionError(
            f"The name `{bare}` was not resolved: {error}. Is it spelled right?",
            target=target,
            hint="use `localhost` for a server on this machine",
        ) from error
    unique = dict.fromkeys((family, address) for family, _, _, _, address in found)
    return list(unique)


def _error(host, port, seconds, failures):
    target = target_of(host, port)
    hint = f"start the server, or ask it why: rapport doctor {target}"
    tried = ", ".join(address for address, _ in failures)
    details = {"target": target, "hint": hint}
    if any(isinstance(error, ConnectionRefusedError) for _, error in failures):
        return RefusedError(
            f"Connection refused. Is the MCP server running on {target}? (tried {tried})",
            **details,
        )
    if not failures or any(_is_timeout(error) for _, error in failures):
        return ConnectTimeoutError(
            f"Connection to {target} timed out after {seconds} seconds. "
            "Is the MCP server running there, and does a firewall let it through?",
            seconds=seconds,
            **details,
        )
    reason = failures[-1][1]
    return ConnectionError(
        f"Could not connect to {target}: {reason.strerror or reason}. "
        f"Is the MCP server running on {target}?",
        **details,
    )


def _is_timeout(error):
    return isinstance(error, socket.timeout) or error.errno == errno.ETIMEDOUT
