"""What this process itself lacks for a moment: descriptors, memory.

A file that may not be read, or is not there, is a fact about the host, and what it would have
named has another name as long as that is so. Without a descriptor or memory it has the other name
for once, and under its own it seems to be gone. So who goes on without a file notes that here,
and the answer is not called complete.
"""

from errno import EMFILE, ENFILE, ENOMEM

_SHORTAGES = (EMFILE, ENFILE, ENOMEM)
_noted: list[int] = []


def begin() -> None:
    """Forget what was noted: another snapshot begins, of which there is one at a time."""
    _noted.clear()


def note(error: Exception) -> None:
    """Note *error* if it is a shortage."""
    if isinstance(error, OSError) and error.errno in _SHORTAGES:
        _noted.append(error.errno)


def is_noted() -> bool:
    """Whether something was passed over for want of a descriptor or memory."""
    return bool(_noted)
