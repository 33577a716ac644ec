"""Tables for people: columns that fit the terminal."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TextIO

from zabbix_sockets.cells import text_width
from zabbix_sockets.rows import JsonRow

BOLD, DIM, GREEN, YELLOW, RESET = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
_STATE_COLOURS = {"listen": GREEN, "bound": GREEN, "close_wait": YELLOW, "syn_sent": YELLOW}


_LEAST = 12  # cells of a column that gives way


class Column(NamedTuple):
    """A column of a table: its title, how a row's cell is made, and how it is set."""

    title: str
    cell: Callable[[JsonRow], object]
    right: bool = False
    shrinks: bool = False  # gives way where the terminal is narrow
    optional: int = 0  # left out where that is not enough, the highest rank first
    port: bool = False  # what is behind the last colon stays, whatever gives way


class Style(NamedTuple):
    """What the output allows: colours, and a width (None: piped, nothing is cut)."""

    colours: bool
    width: int | None


def style_of(stream: TextIO) -> Style:
    """Return the style for *stream*; NO_COLOR (unless empty) and TERM=dumb mean no colours."""
    if not stream.isatty():
        return Style(colours=False, width=None)
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    return Style(colours=not plain, width=shutil.get_terminal_size().columns)


def _fit(text: str, width: int, *, port: bool = False) -> str:
    """Cut *text* to *width* cells, with an ellipsis where something is missing."""
    if text_width(text) <= width:
        return text
    head, colon, tail = text.rpartition(":") if port else (text, "", "")
    left = width - 1 - text_width(colon + tail)
    while head and text_width(head) > left:
        head = head[:-1]
    return f"{head}…{colon}{tail}"


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - text_width(text))
    return space + text if right else text + space


def render_table(columns: Sequence[Column], rows: Iterable[JsonRow], style: Style) -> str:
    """Return a table with a line of titles; the last column is not padded."""
    rows = list(rows)
    columns = _fitting(columns, rows, style.width)
    cells = [[str(column.cell(row)) for column in columns] for row in rows]
    widths = [
        max([text_width(column.title), *(text_width(row[at]) for row in cells)])
        for at, column in enumerate(columns)
    ]
    if style.width is not None:
        _shrink(widths, columns, style.width)
    most = sum(widths) + 2 * len(widths) if style.width is None else style.width
    titles = _fit(_line([column.title for column in columns], columns, widths), most)
    lines = [f"{BOLD}{titles}{RESET}" if style.colours else titles]
    for row in cells:
        line = _fit(_line(row, columns, widths), most)
        lines.append(_coloured(line, columns, row) if style.colours else line)
    return "\n".join(lines) + "\n"


def _fitting(
    columns: Sequence[Column], rows: Sequence[JsonRow], available: int | None
) -> Sequence[Column]:
    """Return the columns without as many of the optional ones as is needed to fit."""
    optional = [column for column in columns if column.optional]
    if available is None or not optional:
        return columns
    least = [
        _LEAST
        if column.shrinks
        else max([len(column.title), *(text_width(str(column.cell(row))) for row in rows)])
        for column in columns
    ]
    if sum(least) + 2 * (len(least) - 1) <= available:
        return columns
    least_telling = max(optional, key=lambda column: column.optional)
    fewer = [column for column in columns if column is not least_telling]
    return _fitting(fewer, rows, available)


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = [
        _pad(_fit(cell, width, port=column.port), width, right=column.right)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]
    return "  ".join(parts).rstrip()


def _shrink(widths: list[int], columns: Sequence[Column], available: int) -> None:
    """Take from the widest column that gives way until the line fits, down to 12 cells."""
    while (excess := sum(widths) + 2 * (len(widths) - 1) - available) > 0:
        wide = [at for at, column in enumerate(columns) if column.shrinks and widths[at] > _LEAST]
        if not wide:
            return
        at = max(wide, key=lambda at: widths[at])
        widths[at] = max(_LEAST, widths[at] - excess)


def _coloured(line: str, columns: Sequence[Column], row: Sequence[str]) -> str:
    """Colour a line by its state, if it has one; a process may be called "listen" too."""
    states = (cell for column, cell in zip(columns, row, strict=True) if column.title == "STATE")
    colour = _STATE_COLOURS.get(next(states, ""), "")
    return f"{colour}{line}{RESET}" if colour else line
