"""What is wrong with an expression, shown at its place."""

from zabbix_sockets.model.errors import UsageError, printable
from zabbix_sockets.model.text_width import text_width

_SHOWN = 60  # characters of the expression on either side of the place


def fault(text: str, at: int, end: int, what: str) -> UsageError:
    """Return the error for text[at:end], of which *what* says what is wrong or was expected.

    Its hint shows the expression with carets under that place.
    """
    end = max(at + 1, min(end, at + _SHOWN))
    start = max(0, at - _SHOWN)
    ahead, marked, behind = text[start:at], text[at:end], text[end : end + _SHOWN]
    line = printable(f"{ahead}{marked}{behind}")
    carets = " " * text_width(printable(ahead)) + "^" * max(1, text_width(printable(marked)))
    found = f'"{printable(marked)}"' if marked.strip() else "the end"
    return UsageError(
        f"filter, at character {at + 1}, {found}: {what}", f"  {line.rstrip()}\n  {carets}"
    )
