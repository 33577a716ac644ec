"""How long a call may take."""

import _signal as signal  # type: ignore[import-not-found]  # as _socket, see __init__
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from zabbix_sockets.errors import DeadlineError

_AGAIN = 0.2
"""Seconds after which an interruption is repeated, should somebody have caught it."""


class Deadline:
    """A moment of the monotonic clock by which the answer is due."""

    __slots__ = ("end", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.end = monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left; negative once it has passed."""
        return self.end - monotonic()

    def passed(self) -> bool:
        """Whether the time is over."""
        return monotonic() >= self.end

    def check(self) -> None:
        """Raise DeadlineError once the time is over."""
        if self.passed():
            raise DeadlineError(f"timed out after {self.seconds:g} s")

    def part(self, share: float) -> "Deadline":
        """Return a deadline after *share* (0-1) of what is left."""
        return Deadline(round(max(0.0, self.remaining()) * share, 2))


@contextmanager
def interrupting(seconds: float, error: Exception) -> Iterator[None]:
    """Raise *error* once *seconds* have gone by, wherever the block is by then."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
