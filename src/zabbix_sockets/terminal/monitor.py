"""Monitor (`show --interval`): snapshots again and again, each compared with the one before.

What is compared, and how it looks, is said by Changes: socket_changes has those of single sockets,
row_changes those of the document's rows.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Generic, NamedTuple, Protocol, TextIO, TypeVar, Union

from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.document.record import JsonObject
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.terminal.layout import Style, cut, style_of
from zabbix_sockets.terminal.screen import Screen, can_renew

NEW, GONE = "new", "gone"
"""Values of a row's field `change`."""

T = TypeVar("T")

Take = Callable[[], tuple[T, Sequence[str]]]
"""Returns a snapshot, and notes for people on what of it can't be seen."""

Wait = Callable[[float], bool]
"""Waits so many seconds, and returns whether to go on."""


class Moment(Generic[T]):
    """What was seen at a moment: *at* is on the monotonic clock, *time* in Unix seconds."""

    def __init__(self, at: float, time: float, seen: T, notes: Sequence[str] = ()) -> None:
        self.at = at
        self.time = time
        self.seen = seen
        self.notes = notes


def count_changes(changes: Sequence[str | None]) -> tuple[int, int, int]:
    """Return the number of rows that there are, of new ones, and of those that are gone.

    *changes* are the values of their field `change`.
    """
    gone = changes.count(GONE)
    return len(changes) - gone, changes.count(NEW), gone


class RenderedTable(NamedTuple):
    """A table: its *text*, titles that had no room, and the number of rows that had none."""

    text: str
    omitted: Sequence[str]
    left_out: int


class Changes(Protocol):
    """What there is at a moment, and what of it has changed since the one before.

    *names* are the words for one row and for several; the latter is their name in JSON.
    """

    names: tuple[str, str]

    def counts(self) -> tuple[int, int, int]:
        """Return the number of rows that there are, of new ones, and of those that are gone."""

    def json_rows(self) -> list[JsonObject]:
        """Return the rows; new ones and those that are gone have `change`, others `rates`."""

    def table(self, style: Style, most: int | None) -> RenderedTable:
        """Return a table of at most so many rows, titles not counted; None: of all."""


Compare = Callable[[Union[Moment[T], None], Moment[T]], Changes]
"""Compares a moment with the one before, or with None if there was none."""


def run(
    take: Take[T], compare: Compare[T], interval: float, count: int | None, *, as_json: bool
) -> None:
    """Print what *take* returns at every *interval* seconds, *count* times or until Ctrl-C.

    On a terminal each table takes the place of the one before, and q ends it, too.

    Raises:
        SocketsError, OSError: there was not even a first snapshot.
    """
    gc.enable()  # a command that stays collects its garbage
    with suppress(KeyboardInterrupt):  # the way to end it
        if not as_json and can_renew(sys.stdout):
            _show_on(Screen(sys.stdout, sys.stdin), take, compare, interval, count)
            return
        seen = moments(take, interval, count)
        if as_json:
            print_json(seen, compare, sys.stdout)
        else:
            print_tables(seen, compare, sys.stdout)


def moments(
    take: Take[T], interval: float, count: int | None, wait: Wait | None = None
) -> Iterator[Moment[T] | str]:
    """Yield a Moment at every *interval* seconds, or in words why there is none; *count* in all.

    *count* None is until *wait* says so; without that it is without end. Moments that pass while
    one is taken are left out, and the others stay where they were.

    Raises:
        SocketsError, OSError: there was not even a first one.
    """
    start, taken = time.monotonic(), 0
    while True:
        try:
            seen, notes = take()
            yield Moment(time.monotonic(), time.time(), seen, tuple(notes))
        except (SocketsError, OSError) as error:  # of the latter: no descriptor left, for one
            if not taken:
                raise
            yield str(error)
        taken += 1
        if taken == count:
            return
        passed = time.monotonic() - start
        remaining = interval - passed % interval
        if wait is None:
            time.sleep(remaining)
        elif not wait(remaining):
            return


def _compared(
    seen: Iterable[Moment[T] | str], compare: Compare[T]
) -> Iterator[tuple[Moment[T], float | None, Changes] | str]:
    """Yield each moment, the seconds since the one before it (None: the first) and the changes."""
    before: Moment[T] | None = None
    for now in seen:
        if isinstance(now, str):
            yield now
        else:
            yield now, now.at - before.at if before else None, compare(before, now)
            before = now


def print_json(seen: Iterable[Moment[T] | str], compare: Compare[T], out: TextIO) -> None:
    """Write a line of JSON for each moment: `time`, `seconds` since the last one, and the rows.

    Where there is none the line has `time` and `error`. Notes are written to stderr, each once.
    """
    notes = _Notes()
    for each in _compared(seen, compare):
        line: JsonObject
        if isinstance(each, str):
            line = {"time": round(time.time(), 3), "error": each}
        else:
            now, seconds, changes = each
            notes.write(now.notes)
            line = {
                "time": round(now.time, 3),
                "seconds": None if seconds is None else round(seconds, 3),
                changes.names[1]: changes.json_rows(),
            }
        out.write(to_json(line).decode() + "\n")
        out.flush()


def print_tables(seen: Iterable[Moment[T] | str], compare: Compare[T], out: TextIO) -> None:
    """Write a table for each moment, one below the other; notes to stderr, each once."""
    notes = _Notes()
    for each in _compared(seen, compare):
        if isinstance(each, str):
            out.write(f"no snapshot: {each}\n")
        else:
            now, _, changes = each
            notes.write(now.notes)
            style = style_of(out)
            table = changes.table(style, None)
            out.write(f"{headline(now, changes, table, style)}\n{table.text}\n")
        out.flush()


def _show_on(
    screen: Screen, take: Take[T], compare: Compare[T], interval: float, count: int | None
) -> None:
    """Show each moment in the place of the one before; what can't be seen is said below it."""
    seen = moments(take, interval, count, screen.wait)
    first = next(seen)  # an error of which is told where others are
    with screen:
        for each in _compared(chain([first], seen), compare):
            if isinstance(each, str):
                screen.draw(partial(_without, each))
            else:
                now, _, changes = each
                screen.draw(partial(frame, now, changes))


def _without(why: str, style: Style, _height: int) -> str:
    """Return the text for a terminal where there is no snapshot."""
    return cut(f"no snapshot: {why}", style) + "\n"


def frame(now: Moment[T], changes: Changes, style: Style, height: int) -> str:
    """Return the text for a terminal of *height* lines: a headline, a table and notes."""
    notes = [cut(f"note: {note}", style) for note in now.notes]
    room = max(1, height - 2 - len(notes))
    table = changes.table(style, room)
    if table.left_out:
        table = changes.table(style, max(1, room - 1))
        notes.insert(0, cut(f"and {table.left_out} more", style))
    lines = [headline(now, changes, table, style), table.text.rstrip("\n"), *notes]
    return "\n".join(lines) + "\n"


def headline(now: Moment[T], changes: Changes, table: RenderedTable, style: Style) -> str:
    """Return the line above a table: when it was, and how many rows there are, new and gone."""
    number, new, gone = changes.counts()
    name = changes.names[number != 1]
    clock = time.strftime("%H:%M:%S", time.localtime(now.time))
    room = f"; no room for {', '.join(table.omitted)}" if table.omitted else ""
    return cut(f"{clock}  {number} {name}, {new} new (+), {gone} gone (-){room}", style)


class _Notes:
    """Notes for people on stderr, each of which is written once."""

    def __init__(self) -> None:
        self._written: set[str] = set()

    def write(self, notes: Iterable[str]) -> None:
        for note in notes:
            if note not in self._written:
                self._written.add(note)
                sys.stderr.write(f"note: {note}\n")
