"""How long things may take."""

import time

from .errors import OperationTimeoutError


class Timeout:
    """Three limits in seconds; `None` is no limit.

    `connect`: until the connection stands. `read`: between two pieces of an answer.
    `total`: until the whole answer is there.
    """

    def __init__(self, connect=5.0, read=5.0, total=None):
        for name, value in (("connect", connect), ("read", read), ("total", total)):
            if value is not None and not value > 0:
                raise ValueError(f"`{name}={value}`: a timeout is more than 0 seconds, or None")
        self.connect = connect
        self.read = read
        self.total = total
        # Whether all three came from one number, which says nothing about a long stream.
        self._is_plain = False

    def __repr__(self):
        return f"Timeout(connect={self.connect}, read={self.read}, total={self.total})"

    @classmethod
    def of(cls, value):
        """A number limits each of the three; a `Timeout` stands for itself."""
        if value is None or isinstance(value, (int, float)):
            timeout = cls(value, value, value)
            timeout._is_plain = True
            return timeout
        if isinstance(value, cls):
            return value
        raise TypeError(f"`timeout={value!r}`: give seconds, a Timeout, or None")

    def for_stream(self):
        """A stream lasts as long as it speaks: only the silence between two pieces is limited."""
        return Timeout(self.connect, self.read, None if self._is_plain else self.total)

    def begin(self, target):
        """Starts the clock of one call."""
        return Clock(self, target)


class Clock:
    """The time that one call has left."""

    def __init__(self, timeout, target):
        self._timeout = timeout
        self._target = target
        self._end = None if timeout.total is None else time.monotonic() + timeout.total

    def connect_seconds(self):
        """Seconds that connecting may take, or `None`."""
        return self._timeout.connect

    def wait(self):
        """Seconds that the next read may take, or `None`; raises when the total is used up."""
        if self._end is None:
            return self._timeout.read
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left if self._timeout.read is None else min(left, self._timeout.read)

    def error(self):
        """The error for an answer that did not come in time."""
        left = None if self._end is None else self._end - time.monotonic()
        is_total = left is not None and left <= 0
        seconds = self._timeout.total if is_total else self._timeout.read
        return OperationTimeoutError(
            f"No answer from {self._target} within {seconds} seconds.",
            seconds=seconds,
            target=self._target,
            hint="raise `timeout`, or look whether the model behind the server is slow",
        )
