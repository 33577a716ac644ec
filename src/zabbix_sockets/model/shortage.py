"""What this process itself lacks for a moment: descriptors, memory.

A file that may not be read, or is not there, is a fact about the host, and what it would have
named has another name as long as that is so. Without a descriptor or memory it has the other name
for once, and under its own it seems to be gone. So who goes on without a file notes that here, and
the answer of a call in whose time that happened (collector.call_context) is not called complete.
"""

from errno import EMFILE, ENFILE, ENOMEM

_SHORTAGES = (EMFILE, ENFILE, ENOMEM)
_times = [0]


def note(error: Exception) -> None:
    """Note *error* if it is a shortage."""
    if isinstance(error, OSError) and error.errno in _SHORTAGES:
        _times[0] += 1


def times() -> int:
    """Return how often this process has gone on without something since it began."""
    return _times[0]
