"""How long a call may take."""

from time import monotonic

from zabbix_sockets.model.errors import DeadlineError


class Deadline:
    """A moment of the monotonic clock by which the answer is due."""

    __slots__ = ("end", "seconds")

    def __init__(self, seconds: float, since: float | None = None) -> None:
        """Begin *since* a moment of the monotonic clock; None: now."""
        self.seconds = seconds
        self.end = (monotonic() if since is None else since) + seconds

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
