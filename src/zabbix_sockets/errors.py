"""The errors of this package: one small tree, turned into messages by `cli` alone."""


def printable(text: str) -> str:
    """Make a text with parts of somebody else's words safe for a terminal and a log: one line."""
    return "".join(char if char.isprintable() else "?" for char in text)


class SocketsError(Exception):
    """Base of all errors that a caller may expect.

    *hint* says what a person can do next; machines get the message only.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ParseError(SocketsError):
    """The kernel's (or a fixture's) words could not be understood."""

    def __init__(self, source: str, raw: object) -> None:
        super().__init__(f"cannot parse {source}: {raw!r:.200}")
        self.source = source
        self.raw = raw


class SourceUnavailableError(SocketsError):
    """A source, or one table of it, can't be used here; the message says why."""


class DumpInterruptedError(SocketsError):
    """The table changed so much while it was read that the kernel asks for a new read."""


class DeadlineError(SocketsError):
    """The time that the caller gave is over."""


class UsageError(SocketsError):
    """The caller's arguments are wrong."""


class BusyError(SocketsError):
    """Another snapshot of the same user did not end in time."""
