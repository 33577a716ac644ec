"""The errors of this package: one small tree.

`cli` alone prints those that end a call; what goes on without something keeps their words.
"""


def printable(text: str) -> str:
    """Return *text* as one line that is safe for a terminal and a log.

    Each character that is not printable, such as a line feed of somebody else's words, becomes "?".
    """
    return "".join(char if char.isprintable() else "?" for char in text)


class SocketsError(Exception):
    """Base of all errors that a caller may expect.

    *hint* says what a person can do next; machines get the message only.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ParseError(SocketsError):
    """Data from the kernel could not be understood.

    Attributes:
        source: the interface that it came from, such as "/proc/net/tcp".
        raw: the bytes or the text, of which the message has the first 200 characters.
    """

    def __init__(self, source: str, raw: object) -> None:
        super().__init__(f"cannot parse {source}: {raw!r:.200}")
        self.source = source
        self.raw = raw


class SourceUnavailableError(SocketsError):
    """A source, or one table of it, can't be used here; the message says why."""


class DeadlineError(SocketsError):
    """The time that the caller gave has passed, as the code at work found by the clock."""


class TimedOutError(SocketsError):
    """The call did not end in time by itself, and was ended from outside."""


class InternalError(SocketsError):
    """An error that nobody foresaw: a fault of this package, no memory left, a crash.

    Attributes:
        trace: the traceback, for --debug; empty without one.
    """

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message, "--debug shows where" if trace else "")
        self.trace = trace

    @classmethod
    def of(cls, error: BaseException) -> "InternalError":
        """Return the InternalError with the message and the traceback of any exception."""
        if isinstance(error, MemoryError):
            return cls("no memory left")  # there is none for a traceback, either
        if isinstance(error, OSError) and error.strerror:
            message = f"{error.filename or 'system call'}: {error.strerror}"
        else:
            message = f"{type(error).__name__}: {error}"
        return cls(message, _trace_of(error))


def _trace_of(error: BaseException) -> str:
    """Return the traceback of *error*; empty where there is no descriptor or memory for one."""
    try:
        from traceback import format_exception  # noqa: PLC0415  # 5 ms, and no answer needs it

        return "".join(format_exception(type(error), error, error.__traceback__))
    except Exception:  # noqa: BLE001  # the message is worth more
        return ""


class UsageError(SocketsError):
    """The caller's arguments are wrong."""


class BusyError(SocketsError):
    """Another snapshot of the same user did not end in time."""


def words_of(error: BaseException) -> str:
    """Return the message of an error, with its class unless it is one of this package."""
    return str(error) if isinstance(error, SocketsError) else f"{type(error).__name__}: {error}"
