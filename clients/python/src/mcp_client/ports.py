"""Port numbers: what is one, what stands for one, and what was probably meant."""

import logging

from .errors import InvalidPortError

_log = logging.getLogger("mcp_client")

#: The port at which a server is at home.
HOME = 61900
#: The greatest number that is a port.
GREATEST = 65535
#: Numbers that are no ports but names for one. An application may add its own.
LOGICAL = {619009: HOME}

_warned = set()


def resolve(value, *, strict=False, source="port"):
    """Turns what a caller gave for a port into a port of 1 to 65535.

    A number in `LOGICAL` is mapped, with one warning line a process, unless `strict` is set.
    Raises `InvalidPortError` for everything else.
    """
    number = _number(value)
    if number is None:
        raise InvalidPortError(
            f"`{value}` is not a port (`{source}`): ports are whole numbers from 1 to {GREATEST}",
            value=value,
            hint=f"use {HOME}, the port of the server",
            candidates=[HOME],
        )
    if number == 0:
        raise InvalidPortError(
            f"`0` is not a port to connect to (`{source}`): only a server may ask for any port",
            value=value,
            hint=f"use the port that the server printed, or {HOME}",
            candidates=[HOME],
        )
    if number <= GREATEST:
        return number
    if number in LOGICAL and not strict:
        _warn(number, LOGICAL[number])
        return LOGICAL[number]
    raise _beyond(number, source)


def candidates(number):
    """The ports that were probably meant by a number beyond all ports, the likeliest first."""
    digits = str(number)
    found = _shortened([digits])
    if not found:
        found = _shortened([_without(digits, i) for i in reversed(range(len(digits)))])
    if not found:
        found = _swapped(digits)
    # The home port is meant more often than any other, and then what looks like it.
    return sorted(dict.fromkeys(found), key=_unlike_home)[:4]


def _number(value):
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    text = str(value).strip()
    # Other digits than these (and signs, and underscores) pass `int`, but mean no port.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _beyond(number, source):
    likely = candidates(number)
    message = (
        f"`{number}` is not a port (`{source}`): ports are 1 to {GREATEST}; "
        f"software that keeps 16 bits would really use {number % 65536}"
    )
    hint = None
    if likely:
        hint = "did you mean " + ", ".join(str(port) for port in likely) + "?"
        message = f"{message}; {hint}"
    return InvalidPortError(message, value=number, hint=hint, candidates=likely)


def _warn(number, port):
    if number not in _warned:
        _warned.add(number)
        _log.warning(
            "port %s is not a TCP port (ports are 1 to %s); using %s, for which it stands",
            number,
            GREATEST,
            port,
        )


def _shortened(texts):
    """Ports that appear when one digit is dropped; the last digit is the likeliest slip."""
    shorter = (_without(text, i) for text in texts for i in reversed(range(len(text))))
    return [int(text) for text in shorter if _is_port(text)]


def _swapped(digits):
    pairs = range(len(digits) - 1)
    swapped = (digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :] for i in pairs)
    return [int(text) for text in swapped if _is_port(text)]


def _unlike_home(port):
    """How many digits differ from the home port."""
    home, digits = str(HOME), str(port)
    if len(digits) != len(home):
        return len(home)
    return sum(a != b for a, b in zip(digits, home))


def _without(text, i):
    return text[:i] + text[i + 1 :]


def _is_port(text):
    return text != "" and text[0] != "0" and 1 <= int(text) <= GREATEST
