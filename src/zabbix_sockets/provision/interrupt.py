"""Bound on the time of a request: the HTTP client's own timeout begins anew with each byte."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN = 0.2
"""Seconds after which an interruption is repeated, should somebody have caught it."""


@contextmanager
def interrupting(seconds: float, error: Exception) -> Iterator[None]:
    """Raise *error* in the block, which is of the main thread, when that takes over *seconds*.

    A handler of SIGALRM does it, wherever the block is then.
    """

    def interrupt(_signal: int, _frame: object) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
