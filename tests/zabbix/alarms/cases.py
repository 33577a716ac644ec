"""What makes each trigger fire and recover: figures by the minute, and what has to come of them.

Before minute 0 lie five hours of documents every five minutes, then one comes every minute. Most
figures rise in minute 60 above the threshold, fall in minute 140 below it but not to where the
trigger recovers, and in minute 200 to where it does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..documents import Row, listener, process, upstream  # noqa: TID252  # no installed package

BEFORE = range(-300, 0, 5)
MINUTES = range(350)
DOCUMENTS = (*BEFORE, *MINUTES)

BAND, LOW = 140, 200

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

    Where it is no problem it is there once.
    """

    kind: str
    name: str
    row: Callable[[str, int], Row | None]
    """Returns the row with an id, in a minute; None where it is absent."""
    expected: tuple[Expected, ...] = ()
    tuned: Mapping[str, str] = field(default_factory=dict)
    """What the macros of the third row say so that its triggers never fire."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the rows."""
        place = {
            "processes": "{name} {number}",
            "listeners": "tcp/192.0.2.{number}:{name}",
            "upstreams": "{name}>tcp/192.0.2.{number}:5432",
        }[self.kind]
        numbers = (1, 2, 3) if self.expected else (1,)
        return tuple(place.format(name=self.name, number=number) for number in numbers)


def at(minute: int, levels: Levels) -> float:
    """Return what holds in that minute."""
    return levels[max(since for since in levels if since <= minute)]


def _levels(usual: float, high: float, between: float, low: float) -> Levels:
    return {BEFORE[0]: usual, 60: high, BAND: between, LOW: low}


def _process(name: str, *expected: Expected, tuned: Mapping[str, str], **levels: Levels) -> Case:
    def row(row_id: str, minute: int) -> Row:
        figures = {each: int(at(minute, levels[each])) for each in levels if each != "fds"}
        return process(row_id, fds=at(minute, levels.get("fds", {minute: 1})), **figures)

    return Case("processes", name, row, expected, tuned)


def _leak(row_id: str, minute: int) -> Row:
    """Thirty an hour, then six an hour, which is not enough but more; then no more."""
    leaked = (min(max(minute, 60), 170) - 60) / 2 + (min(max(minute, 170), 215) - 170) / 10
    return process(row_id, established=1000, close_wait=int(leaked))


def _stuck(row_id: str, minute: int) -> Row:
    """Sixty connections of about 160, then of 330, then of 660; each minute others come."""
    others = int(at(minute, _levels(100, 100, 270, 600)))
    stuck = int(at(minute, {BEFORE[0]: 5, 60: 60}))
    return process(row_id, established=others + minute % 2, close_wait=stuck + minute % 2)


PROCESSES = (
    Case(
        "processes",
        "stuck",
        _stuck,
        (
            Expected(
                "close_wait_share",
                75,
                215,
                r"6[01] connections stay in CLOSE_WAIT \(over 20% for 15m\)",
            ),
        ),
        {"CLOSE_WAIT.PCT.MAX.WARN": "90"},
    ),
    Case(
        "processes",
        "leak",
        _leak,
        (
            Expected(
                "close_wait_growth",
                158,
                328,
                r"CLOSE_WAIT grows: (49|5\d) connections"
                r" \(in 1h at least 20 more than in as long before, and still\)",
            ),
        ),
        {"CLOSE_WAIT.GROWTH.MAX.WARN": "200"},
    ),
    _process(
        "connecting",
        Expected("syn_sent", 70, 210, r"30 connections get no answer \(over 20 for 10m\)"),
        tuned={"SYN_SENT.MAX.WARN": "99"},
        syn_sent=_levels(0, 30, 18, 3),
    ),
    _process(
        "fds-low",
        Expected(
            "fds_warn", 70, 210, r"Descriptors run low: 85 % of its limit \(over 80% for 10m\)"
        ),
        tuned={"FDS.PCT.MAX.WARN": "99"},
        fds=_levels(40, 85, 75, 60),
    ),
    # At once above both thresholds: only the worse one fires.
    _process(
        "fds-out",
        Expected(
            "fds_high", 70, 210, r"Descriptors run out: 97 % of its limit \(over 95% for 10m\)"
        ),
        tuned={"FDS.PCT.MAX.WARN": "99", "FDS.PCT.MAX.HIGH": "99"},
        fds=_levels(40, 97, 88, 60),
    ),
    # Still above the lower one when the worse one has recovered: now the other one fires.
    _process(
        "fds-back",
        Expected("fds_high", 70, 148, r"Descriptors run out: 97 % of its limit .*"),
        Expected("fds_warn", 145, 210, r"Descriptors run low: 84 % of its limit .*"),
        tuned={"FDS.PCT.MAX.WARN": "99", "FDS.PCT.MAX.HIGH": "99"},
        fds=_levels(40, 97, 84, 60),
    ),
    _process(
        "usual",
        Expected(
            "usual",
            75,
            120,
            r"Far more connections than usual: 300, over 3 times the usual level for 15m",
        ),
        tuned={"USUAL.FACTOR.MAX.WARN": "10"},
        # Until minute 120 the usual level is 50.
        established={BEFORE[0]: 50, 60: 300, 85: 130, 105: 60},
    ),
)


def _queue(name: str, *expected: Expected, tuned: Mapping[str, str], levels: Levels) -> Case:
    """Return a listener with a backlog of 99, so that connections are percents."""

    def row(row_id: str, minute: int) -> Row:
        return listener(row_id, queue=int(at(minute, levels)), backlog=99)

    return Case("listeners", name, row, expected, tuned)


def _absent(*minutes: range) -> Callable[[str, int], Row | None]:
    def row(row_id: str, minute: int) -> Row | None:
        return None if any(minute in each for each in minutes) else listener(row_id)

    return row


LISTENERS = (
    _queue(
        "8001",
        Expected(
            "accept_warn",
            62,
            202,
            r"Accept queue fills: 80 % used, 80 connections wait \(over 70% in #3\)",
        ),
        tuned={"ACCEPT_QUEUE.PCT.MAX.WARN": "99"},
        levels=_levels(0, 80, 60, 20),
    ),
    _queue(
        "8002",
        Expected(
            "accept_high",
            62,
            202,
            r"Accept queue is full: 97 % used, 97 connections wait \(over 95% in #3\)",
        ),
        tuned={"ACCEPT_QUEUE.PCT.MAX.WARN": "99", "ACCEPT_QUEUE.PCT.MAX.HIGH": "99"},
        levels=_levels(0, 97, 80, 20),
    ),
    Case(
        "listeners",
        "8003",
        _absent(range(60, LOW)),
        (Expected("gone", 70, LOW, r"Nobody listens any more, for 10m now"),),
        {"GONE.TIME": "12h"},
    ),
)


def _upstream(name: str, *expected: Expected, tuned: Mapping[str, str], **levels: Levels) -> Case:
    def row(row_id: str, minute: int) -> Row:
        figures = {each: int(at(minute, levels[each])) for each in levels if each != "taken"}
        owner, _, place = row_id.partition(">")
        return upstream(owner, place, taken=at(minute, levels.get("taken", {minute: 1})), **figures)

    return Case("upstreams", name, row, expected, tuned)


UPSTREAMS = (
    _upstream(
        "waits",
        Expected("syn_sent", 70, 210, r"8 connections get no answer \(over 5 for 10m\)"),
        tuned={"SYN_SENT.UPSTREAM.MAX.WARN": "99"},
        syn_sent=_levels(0, 8, 5, 1),
    ),
    _upstream(
        "many",
        Expected(
            "ephemeral_warn", 70, 210, r"Ephemeral ports run low: 85 % taken \(over 80% for 10m\)"
        ),
        tuned={"EPHEMERAL.PCT.MAX.WARN": "99"},
        taken=_levels(5, 85, 75, 10),
    ),
    _upstream(
        "all",
        Expected(
            "ephemeral_high", 70, 210, r"Ephemeral ports run out: 97 % taken \(over 95% for 10m\)"
        ),
        tuned={"EPHEMERAL.PCT.MAX.WARN": "99", "EPHEMERAL.PCT.MAX.HIGH": "99"},
        taken=_levels(5, 97, 88, 10),
    ),
)


def _often(row_id: str, minute: int) -> Row | None:
    """Return a listener that is there every second quarter of an hour, and then no more."""
    return listener(row_id) if minute // 15 % 2 and minute < LOW else None


BRIEF = (
    # High in the first value of a new host.
    _process("first", tuned={}, fds={BEFORE[0]: 97, BEFORE[2]: 40}),
    # Nine minutes, and only two values as it doesn't change.
    _process("brief", tuned={}, fds={BEFORE[0]: 40, 65: 97, 74: 40}),
    # A pool that rests, whose other side has closed.
    _process("pool", tuned={}, established={BEFORE[0]: 1000}, close_wait={BEFORE[0]: 0, 60: 45}),
    # Few connections, many of them in CLOSE_WAIT.
    _process("few", tuned={}, established={BEFORE[0]: 5}, close_wait={BEFORE[0]: 49}),
    # Up to ten times the usual level, which is low.
    _process("small", tuned={}, established={BEFORE[0]: 9, 60: 90}),
    # Many connect, and all get an answer.
    _process(
        "crawler", tuned={}, established={BEFORE[0]: 500}, syn_sent={BEFORE[0]: 0, 60: 50, LOW: 0}
    ),
    _upstream(
        "far", tuned={}, established={BEFORE[0]: 60}, syn_sent={BEFORE[0]: 0, 60: 50, LOW: 0}
    ),
    Case("listeners", "8004", _absent(range(60, 69), range(103, 112), range(146, 155))),
    Case("listeners", "8005", _often),
    # Full, but with a backlog of 8.
    Case("listeners", "8006", lambda row_id, _: listener(row_id, queue=9, backlog=8)),
)
"""What is no problem."""

CASES = (*PROCESSES, *LISTENERS, *UPSTREAMS)
ROWS = (*CASES, *BRIEF)
