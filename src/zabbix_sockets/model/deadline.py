"""The deadline of a call."""

from __future__ import annotations

from time import monotonic

from zabbix_sockets.model.errors import DeadlineError

DEFAULT_SECONDS = 2.5
"""The default timeout of a call in seconds: an agent waits for 3 s by default."""

MAX_SECONDS = 3600.0
"""The longest timeout or interval."""


class Deadline:
    """A moment of the monotonic clock by which the answer is due.

    Attributes:
        end: the moment, as time.monotonic() gives it.
        seconds: the time from its beginning to its end.
    """

    __slots__ = ("end", "seconds")

    def __init__(self, seconds: float, since: float | None = None) -> None:
        """Set the end to *seconds* after *since*, a moment of the monotonic clock; None: now."""
        self.seconds = seconds
        self.end = (monotonic() if since is None else since) + seconds

    def remaining(self) -> float:
        """Return the seconds until the deadline; they are negative once it has passed."""
        return self.end - monotonic()

    def passed(self) -> bool:
        """Whether the deadline has passed."""
        return monotonic() >= self.end

    def check(self) -> None:
        """Raise DeadlineError if the deadline has passed."""
        if self.passed():
            raise DeadlineError(f"timed out after {self.seconds:g} s")

    def check_reserve(self, seconds: float) -> None:
        """Raise DeadlineError if the deadline has passed, or *seconds* are not left any more."""
        self.check()
        if seconds > self.remaining():
            raise DeadlineError(f"timed out: less than {seconds:.3g} s are left")

    def part(self, share: float) -> Deadline:
        """Return a deadline after *share*, 0 to 1, of the time that remains: 0 s if none does."""
        return Deadline(max(0.0, self.remaining()) * share)
