"""Shortage of descriptors and memory in this process, counted.

A file that may not be read, or is not there, is a fact about the host: the process or namespace
that it would name has another name as long as that is so. For want of a descriptor or memory it has
the other name for one moment, and seems to be gone under its own. So code that goes on without a
file counts that here, and the answer of a call during which that happened (collector.call_context)
is not called complete.
"""

from errno import EMFILE, ENFILE, ENOMEM

_SHORTAGES = (EMFILE, ENFILE, ENOMEM)
_times = [0]


def note(error: Exception) -> None:
    """Count *error* if it is a shortage (EMFILE, ENFILE, ENOMEM)."""
    if isinstance(error, OSError) and error.errno in _SHORTAGES:
        _times[0] += 1


def times() -> int:
    """Return the number of shortages that this process has counted since its start."""
    return _times[0]
