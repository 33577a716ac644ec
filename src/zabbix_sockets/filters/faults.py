"""What is wrong with an expression, shown at its place."""

import unicodedata

from zabbix_sockets.errors import UsageError

_SHOWN = 60  # characters of the expression on either side of the place


def fault(text: str, at: int, end: int, what: str) -> UsageError:
    """Return the error for text[at:end], of which *what* says what is wrong or was expected.

    Its hint shows the expression with carets under that place.
    """
    end = max(at + 1, min(end, at + _SHOWN))
    start = max(0, at - _SHOWN)
    ahead, marked, behind = text[start:at], text[at:end], text[end : end + _SHOWN]
    line = _printable(f"{ahead}{marked}{behind}")
    carets = " " * _cells(_printable(ahead)) + "^" * max(1, _cells(_printable(marked)))
    found = f'"{_printable(marked)}"' if marked else "the end"
    return UsageError(
        f"filter, at character {at + 1}, {found}: {what}", f"  {line.rstrip()}\n  {carets}"
    )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _cells(text: str) -> int:
    """Return how many cells of a terminal *text* takes (UAX #11)."""
    return sum(
        0
        if unicodedata.category(char) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )
