"""Layout of tables for people: columns that fit the terminal."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from itertools import repeat
from typing import Generic, NamedTuple, TextIO, TypeVar

from zabbix_sockets.model.text_width import text_width

BOLD, DIM, RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"
RED, GREEN, YELLOW = "\x1b[31m", "\x1b[32m", "\x1b[33m"
"""Escape sequences of terminals (ECMA-48, SGR)."""
_STATE_COLOURS = {"listen": GREEN, "bound": GREEN, "close_wait": YELLOW, "syn_sent": YELLOW}


_LEAST = 12  # cells of a column that gives way
_PORT = re.compile(r":(?:\d+|\*)(?=@|$)")  # and behind it the namespace of a listener
ELLIPSIS, PLAIN_ELLIPSIS = "…", "..."
"""The marks for something that was cut, where the terminal has UTF-8 and where not."""


Row = TypeVar("Row")


class Column(Generic[Row]):
    """A column of a table.

    Args:
        title: the text of its head.
        cell: returns the content of a row's cell, which str() makes a text of.
        right: the text is set to the right.
        shrinks: it gets narrower, and its texts are cut, where the terminal is narrow.
        optional: the column is left out where there is no room, the highest rank first; 0: never.
        port: the text is an address and a port, of which the address is cut.
        readable: the cells that a column that shrinks keeps as long as there are optional ones.
        value: returns what rows are sorted by; None: the cell.
    """

    def __init__(
        self,
        title: str,
        cell: Callable[[Row], object],
        *,
        right: bool = False,
        shrinks: bool = False,
        optional: int = 0,
        port: bool = False,
        readable: int = _LEAST,
        value: Callable[[Row], object] | None = None,
    ) -> None:
        self.title = title
        self.cell = cell
        self.right = right
        self.shrinks = shrinks
        self.optional = optional
        self.port = port
        self.readable = readable
        self.value = value or cell

    def titled(self, title: str) -> Column[Row]:
        """Return the same column with another *title*."""
        made = copy(self)
        made.title = title
        return made


class Style(NamedTuple):
    """The abilities of an output.

    Attributes:
        colours: it shows colours.
        width: the cells of a line; None where nothing need be cut: it is no terminal.
        ellipsis: the mark for something that was cut.
    """

    colours: bool
    width: int | None
    ellipsis: str = ELLIPSIS


def style_of(stream: TextIO) -> Style:
    """Return the style for *stream*; NO_COLOR (unless empty) and TERM=dumb mean no colours."""
    if not stream.isatty():
        return Style(colours=False, width=None)
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    ellipsis = ELLIPSIS if _is_utf8() else PLAIN_ELLIPSIS
    return Style(not plain, shutil.get_terminal_size().columns, ellipsis)


def _is_utf8() -> bool:
    """Whether the locale of the environment (locale(7)) has the encoding UTF-8, or says nothing."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next(filter(None, names), "C.UTF-8")
    return "utf8" in locale.lower().replace("-", "")


def _fit(text: str, width: int, ellipsis: str, *, port: bool = False) -> str:
    """Return *text* cut to *width* cells, with *ellipsis* where something is missing.

    *port*: it is an address, a port and, behind @, a network namespace. The port stays; of the
    other two each has half of the room, or what the other one leaves.
    """
    found = _PORT.search(text) if port else None
    if not found:
        return _cut(text, width, ellipsis)
    address, netns = text[: found.start()], text[found.end() :]
    room = max(0, width - text_width(found[0]))
    netns = _cut_within(netns, max(room // 2, room - text_width(address)), ellipsis)
    return _cut(address, room - text_width(netns), ellipsis) + found[0] + netns


def cut(text: str, style: Style) -> str:
    """Return *text* if it fits into a line, else what fits of it with the mark for that."""
    return text if style.width is None else _cut(text, style.width, style.ellipsis)


def _cut(text: str, width: int, ellipsis: str) -> str:
    """Return *text* if it fits into *width* cells, else what fits of it with *ellipsis*."""
    if text_width(text) <= width:
        return text
    left = width - len(ellipsis)
    while text and text_width(text) > left:
        text = text[:-1]
    return text + ellipsis[:width]


def _cut_within(text: str, width: int, ellipsis: str) -> str:
    """Return *text* if it fits into *width* cells, else its beginning, *ellipsis* and its end.

    Names of network namespaces have a number at their end.
    """
    if text_width(text) <= width:
        return text
    end = text
    while end and text_width(end) > (width - len(ellipsis)) // 2:
        end = end[1:]
    return _cut(text[: -len(end) or None] + ellipsis, width - text_width(end), ellipsis) + end


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - text_width(text))
    return space + text if right else text + space


def render_table(columns: Sequence[Column[Row]], rows: Iterable[Row], style: Style) -> str:
    """Return a table of *rows*: a line of titles, and one for each row."""
    rows = list(rows)
    columns = columns_that_fit(columns, rows, style.width)
    cells = [[str(column.cell(row)) for column in columns] for row in rows]
    widths = [
        max([text_width(column.title), *(text_width(row[at]) for row in cells)])
        for at, column in enumerate(columns)
    ]
    if style.width is not None:
        _shrink(widths, columns, style.width)
    most = sum(widths) + 2 * len(widths) if style.width is None else style.width
    lines = [
        _cut(_line(line, columns, widths, style.ellipsis), most, style.ellipsis)
        for line in ([column.title for column in columns], *cells)
    ]
    if style.colours:
        titles, *others = lines
        coloured = (_coloured(*each) for each in zip(others, repeat(columns), cells))
        lines = [f"{BOLD}{titles}{RESET}", *coloured]
    return "\n".join(lines) + "\n"


def columns_that_fit(
    columns: Sequence[Column[Row]], rows: Sequence[Row], available: int | None
) -> Sequence[Column[Row]]:
    """Return *columns* without those optional ones for which *available* cells have no room.

    None is room for all. No optional column has room before names and addresses are readable.
    """
    optional = [column for column in columns if column.optional]
    if available is None or not optional:
        return columns
    least = [_least(column, rows) for column in columns]
    if sum(least) + 2 * (len(least) - 1) <= available:
        return columns
    least_telling = max(optional, key=lambda column: column.optional)
    fewer = [column for column in columns if column is not least_telling]
    return columns_that_fit(fewer, rows, available)


def _least(column: Column[Row], rows: Sequence[Row]) -> int:
    """Return the cells that a column has before an optional one gets any."""
    cells = [text_width(str(column.cell(row))) for row in rows]
    widest = max([text_width(column.title), *cells])
    return min(widest, column.readable) if column.shrinks else widest


def _line(
    cells: Sequence[str], columns: Sequence[Column[Row]], widths: Sequence[int], ellipsis: str
) -> str:
    parts = [
        _pad(_fit(cell, width, ellipsis, port=column.port), width, right=column.right)
        for cell, column, width in zip(cells, columns, widths)
    ]
    return "  ".join(parts).rstrip()


def _shrink(widths: list[int], columns: Sequence[Column[Row]], available: int) -> None:
    """Reduce *widths* until a line fits into *available* cells.

    Each cell is taken from the widest of the columns that shrink, down to 12 of them.
    """
    shrinking = [at for at, column in enumerate(columns) if column.shrinks]
    for _ in range(sum(widths) + 2 * (len(widths) - 1) - available):
        at = max(shrinking, key=lambda at: widths[at], default=-1)
        if at < 0 or widths[at] <= _LEAST:
            return
        widths[at] -= 1


def _coloured(line: str, columns: Sequence[Column[Row]], row: Sequence[str]) -> str:
    """Return the line of a row in the colour of the state in its column STATE, if there is one."""
    states = (cell for column, cell in zip(columns, row) if column.title == "STATE")
    colour = _STATE_COLOURS.get(next(states, ""), "")
    return f"{colour}{line}{RESET}" if colour else line


def sorted_by(column: Column[Row], rows: Iterable[Row]) -> list[Row]:
    """Return *rows* by a column: the greatest number first, or texts as they are in a dictionary.

    Those without a value come last, and equal ones as they came.
    """

    def key(row: Row) -> tuple[bool, float, str]:
        value = column.value(row)
        if isinstance(value, (int, float)):
            return False, -value, ""
        return not value or value == "-", 0, str(value)

    return sorted(rows, key=key)


def shown_us(microseconds: int) -> str:
    """Return a time with two digits at least, in the unit that fits."""
    for unit, size in (("s", 1_000_000), ("ms", 1_000)):
        if microseconds >= size:
            value = microseconds / size
            return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"  # noqa: PLR2004
    return f"{microseconds}us"


def shown_bytes(count: float) -> str:
    """Return a number of bytes with two digits at least, in the decimal unit that fits."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            value = count / size
            return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"  # noqa: PLR2004
    return f"{count:.0f}"


def shown_rate(count: float) -> str:
    """Return so many a second: with a decimal below 10, and else as shown_bytes()."""
    return f"{count:.1f}" if 0 < count < 10 else shown_bytes(count)  # noqa: PLR2004
