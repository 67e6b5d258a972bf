"""The address of a server as a URL, read without the traps of the standard library.

`urllib` refuses port numbers beyond 65535 with a bare `ValueError`, and other parts of the library
cut them to 16 bits in silence; here such a number is either mapped or explained.
"""

from collections import namedtuple

from . import ports

Address = namedtuple("Address", "scheme host port prefix")
_PORTS = {"http": 80, "https": 443}


def parse(url, *, strict=False):
    """Takes `http[s]://HOST[:PORT][/PREFIX]` apart."""
    scheme, mark, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in _PORTS:
        raise ValueError(f"`{url}`: a base address begins with `http://` or `https://`")
    authority, _, prefix = rest.partition("/")
    if "@" in authority or "?" in rest or "#" in rest:
        raise ValueError(f"`{url}`: give only scheme, host, port and path")
    host, port = _split(authority, url)
    if not host:
        raise ValueError(f"`{url}`: the host is missing")
    if port is None:
        number = _PORTS[scheme]
    else:
        number = ports.resolve(port, strict=strict, source=url)
    prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
    return Address(scheme, host, number, prefix)


def _split(authority, url):
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(f"`{url}`: an IPv6 address stands in brackets, as in `[::1]:61900`")
        return host, port[1:] if port else None
    host, colon, port = authority.partition(":")
    return host, port if colon else None
