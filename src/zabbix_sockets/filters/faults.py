"""The error for a fault in an expression, which shows the place."""

from zabbix_sockets.model.errors import UsageError, printable
from zabbix_sockets.model.text_width import text_width

_SHOWN = 60  # characters of the expression on either side of the place


def fault(text: str, at: int, end: int, what: str) -> UsageError:
    """Return the error for the part text[at:end] of an expression.

    Its message has *what*, which says what is wrong there or was expected; its hint shows the
    expression with carets under the part.
    """
    end = max(at + 1, min(end, at + _SHOWN))
    start = max(0, at - _SHOWN)
    before, marked, behind = text[start:at], text[at:end], text[end : end + _SHOWN]
    line = printable(f"{before}{marked}{behind}")
    carets = " " * text_width(printable(before)) + "^" * max(1, text_width(printable(marked)))
    found = f'"{printable(marked)}"' if marked.strip() else "the end"
    return UsageError(
        f"filter, at character {at + 1}, {found}: {what}", f"  {line.rstrip()}\n  {carets}"
    )
