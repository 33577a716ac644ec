"""What a case is: figures of a row by the minute, and what has to come of them.

Before minute 0 lie five hours of documents every five minutes, then one comes every minute. Most
figures rise in minute 60 above the threshold, fall in minute 140 below it but not to where the
trigger recovers, and in minute 200 to where it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import rounds

from ..documents import Row, process, quality, upstream  # noqa: TID252  # no installed package

BEFORE = range(-300, 0, 5)
MINUTES = range(350)
DOCUMENTS = (*BEFORE, *MINUTES)

BAND, LOW = 140, 200

REMOTE = "tcp/192.0.2.9:443"
"""With whom all connections are that are stuck."""

Levels = Mapping[int, float]
"""Values by the minute from which on they hold."""


class Expected(NamedTuple):
    """A problem of a row: its trigger, about when it is raised and when it recovers, its name."""

    trigger: str
    opens: int
    closes: int
    name: str
    """Regular expression for all of it, without the title of the row."""


@dataclass(frozen=True, slots=True)
class Case:
    """A row, which is there three times: as it is, silenced, and with another threshold.

    Where it is no problem it is there once. In the short form so are others, but for each sixth.
    """

    kind: str
    name: str
    row: Callable[[str, int], Row | None]
    """Returns the row with an id, in a minute; None where it is absent."""
    expected: tuple[Expected, ...] = ()
    tuned: Mapping[str, str] = field(default_factory=dict)
    """What the macros of the third row say so that its triggers never fire."""
    own: Mapping[str, str] = field(default_factory=dict)
    """What macros of all three say, for the triggers to fire as they are expected to."""
    place: str = ""
    """What ids are like that are others than those of most listeners: with {number}."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the rows."""
        place = (
            self.place
            or {
                "processes": "{name} {number}",
                "listeners": "tcp/192.0.2.{number}:{name}",
                "upstreams": "{name}>tcp/192.0.2.{number}:5432",
            }[self.kind]
        )
        is_thrice = self.expected and (not rounds.IS_SHORT or crc32(self.name.encode()) % 6 == 0)
        numbers = (1, 2, 3) if is_thrice else (1,)
        return tuple(place.format(name=self.name, number=number) for number in numbers)


def at(minute: int, levels: Levels) -> float:
    """Return what holds in that minute."""
    return levels[max(since for since in levels if since <= minute)]


def levels(usual: float, high: float, between: float, low: float) -> Levels:
    """Return what most figures do."""
    return {BEFORE[0]: usual, 60: high, BAND: between, LOW: low}


def counter(minute: int, per_second: Levels) -> int:
    """Return what a counter has come to that grows so; no two rates after each other are the same.

    That is as on a real host; values that are the same are stored once.
    """
    begins = sorted(per_second)
    ends = [*begins[1:], max(minute + 1, begins[-1])]
    minutes = (
        per_second[begin] * max(0, min(end, minute + 1) - begin) for begin, end in zip(begins, ends)
    )
    return round(60 * sum(minutes)) + 6 * (minute % 2 and at(minute, per_second) > 0)


def counted_case(
    kind: str, name: str, *expected: Expected, tuned: Mapping[str, str], **rates: Levels
) -> Case:
    """Return a process or an upstream whose totals grow at these rates."""

    def row(row_id: str, minute: int) -> Row:
        totals = {each: counter(minute, rate) for each, rate in rates.items()}
        if kind == "processes":
            return process(row_id, totals=totals)
        owner, _, place = row_id.partition(">")
        return upstream(owner, place, totals=totals)

    return Case(kind, name, row, expected, tuned)


_QUALITY = ("measured", "retransmitting", "rtt")


def _quality(figures: Mapping[str, Levels], minute: int) -> Row:
    """Return the round-trip times and retransmissions of a row."""
    made = {each: at(minute, figures[each]) for each in _QUALITY if each in figures}
    rtt = made.pop("rtt", 0.0)
    return quality(rtt=rtt, **{each: int(figure) for each, figure in made.items()})


def _counts(figures: Mapping[str, Levels], minute: int, besides: str) -> dict[str, int]:
    known = (besides, *_QUALITY)
    return {each: int(at(minute, figures[each])) for each in figures if each not in known}


def process_case(
    name: str, *expected: Expected, tuned: Mapping[str, str], **figures: Levels
) -> Case:
    """Return a process whose counts, *fds* or quality are at these levels."""

    def row(row_id: str, minute: int) -> Row:
        made: Row = {**_counts(figures, minute, "fds"), **_quality(figures, minute)}
        if any(made.get(each) for each in ("close_wait", "syn_sent")):
            made["worst_remote"] = REMOTE
        return process(row_id, fds=at(minute, figures.get("fds", {minute: 1})), **made)

    return Case("processes", name, row, expected, tuned)


def upstream_case(
    name: str, *expected: Expected, tuned: Mapping[str, str], **figures: Levels
) -> Case:
    """Return an upstream whose counts, *taken* ports or quality are at these levels."""

    def row(row_id: str, minute: int) -> Row:
        made = _counts(figures, minute, "taken") | _quality(figures, minute)
        owner, _, place = row_id.partition(">")
        return upstream(owner, place, taken=at(minute, figures.get("taken", {minute: 1})), **made)

    return Case("upstreams", name, row, expected, tuned)
