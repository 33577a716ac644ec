"""What makes each trigger fire and recover, and what makes none fire."""

from collections.abc import Callable, Mapping

from ..documents import Row, listener, process  # noqa: TID252  # no installed package
from .case import (
    BAND,
    BEFORE,
    LOW,
    Case,
    Expected,
    Levels,
    at,
    levels,
    process_case,
    upstream_case,
)


def _leak(row_id: str, minute: int) -> Row:
    """Thirty an hour, then six an hour, which is not enough but more; then no more."""
    leaked = (min(max(minute, 60), 170) - 60) / 2 + (min(max(minute, 170), 215) - 170) / 10
    return process(row_id, established=1000, close_wait=int(leaked))


def _stuck(row_id: str, minute: int) -> Row:
    """Sixty connections of about 160, then of 330, then of 660; each minute others come."""
    others = int(at(minute, levels(100, 100, 270, 600)))
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
    process_case(
        "connecting",
        Expected("syn_sent", 70, 210, r"30 connections get no answer \(over 20 for 10m\)"),
        tuned={"SYN_SENT.MAX.WARN": "99"},
        syn_sent=levels(0, 30, 18, 3),
    ),
    process_case(
        "fds-low",
        Expected(
            "fds_warn", 70, 210, r"Descriptors run low: 85 % of its limit \(over 80% for 10m\)"
        ),
        tuned={"FDS.PCT.MAX.WARN": "99"},
        fds=levels(40, 85, 75, 60),
    ),
    # At once above both thresholds: only the worse one fires.
    process_case(
        "fds-out",
        Expected(
            "fds_high", 70, 210, r"Descriptors run out: 97 % of its limit \(over 95% for 10m\)"
        ),
        tuned={"FDS.PCT.MAX.WARN": "99", "FDS.PCT.MAX.HIGH": "99"},
        fds=levels(40, 97, 88, 60),
    ),
    # Still above the lower one when the worse one has recovered: now the other one fires.
    process_case(
        "fds-back",
        Expected("fds_high", 70, 148, r"Descriptors run out: 97 % of its limit .*"),
        Expected("fds_warn", 145, 210, r"Descriptors run low: 84 % of its limit .*"),
        tuned={"FDS.PCT.MAX.WARN": "99", "FDS.PCT.MAX.HIGH": "99"},
        fds=levels(40, 97, 84, 60),
    ),
    process_case(
        "lossy",
        Expected(
            "retransmitting",
            70,
            210,
            r"30 connections retransmit, 30 % of those in use \(over 20% for 10m\)",
        ),
        tuned={"RETRANSMITTING.PCT.MAX.WARN": "99"},
        measured={BEFORE[0]: 100},
        retransmitting=levels(0, 30, 18, 3),
    ),
    # In the end none sends or receives anything.
    process_case(
        "lossy-idle",
        Expected("retransmitting", 70, 150, r"30 connections retransmit, 30 % of those in use .*"),
        tuned={"RETRANSMITTING.MIN": "99"},
        measured={BEFORE[0]: 100, BAND: 0},
        retransmitting={BEFORE[0]: 0, 60: 30, BAND: 0},
    ),
    process_case(
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


def _queue(name: str, *expected: Expected, tuned: Mapping[str, str], queue: Levels) -> Case:
    """Return a listener with a backlog of 99, so that connections are percents."""

    def row(row_id: str, minute: int) -> Row:
        return listener(row_id, queue=int(at(minute, queue)), backlog=99)

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
        queue=levels(0, 80, 60, 20),
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
        queue=levels(0, 97, 80, 20),
    ),
    Case(
        "listeners",
        "8003",
        _absent(range(60, LOW)),
        (Expected("gone", 70, LOW, r"Nobody listens any more, for 10m now"),),
        {"GONE.TIME": "12h"},
    ),
)


UPSTREAMS = (
    upstream_case(
        "waits",
        Expected("syn_sent", 70, 210, r"8 connections get no answer \(over 5 for 10m\)"),
        tuned={"SYN_SENT.UPSTREAM.MAX.WARN": "99"},
        syn_sent=levels(0, 8, 5, 1),
    ),
    upstream_case(
        "many",
        Expected(
            "ephemeral_warn", 70, 210, r"Ephemeral ports run low: 85 % taken \(over 80% for 10m\)"
        ),
        tuned={"EPHEMERAL.PCT.MAX.WARN": "99"},
        taken=levels(5, 85, 75, 10),
    ),
    upstream_case(
        "all",
        Expected(
            "ephemeral_high", 70, 210, r"Ephemeral ports run out: 97 % taken \(over 95% for 10m\)"
        ),
        tuned={"EPHEMERAL.PCT.MAX.WARN": "99", "EPHEMERAL.PCT.MAX.HIGH": "99"},
        taken=levels(5, 97, 88, 10),
    ),
    upstream_case(
        "slow",
        Expected(
            "slow",
            70,
            120,
            r"Upstream has become slow: round trips take 200ms,"
            r" over 3 times as long as usual for 10m",
        ),
        tuned={"RTT.FACTOR.MAX.WARN": "50"},
        measured={BEFORE[0]: 9},
        # Until minute 120 the usual level is 10 ms.
        rtt={BEFORE[0]: 0.01, 60: 0.2, 85: 0.028, 110: 0.012},
    ),
    upstream_case(
        "lossy",
        Expected(
            "retransmitting",
            70,
            210,
            r"30 connections retransmit, 30 % of those in use \(over 20% for 10m\)",
        ),
        tuned={"RETRANSMITTING.PCT.MAX.WARN": "99"},
        measured={BEFORE[0]: 100},
        retransmitting=levels(0, 30, 18, 3),
    ),
)


def _often(row_id: str, minute: int) -> Row | None:
    """Return a listener that is there every second quarter of an hour, and then no more."""
    return listener(row_id) if minute // 15 % 2 and minute < LOW else None


BRIEF = (
    # High in the first value of a new host.
    process_case("first", tuned={}, fds={BEFORE[0]: 97, BEFORE[2]: 40}),
    # Nine minutes, and only two values as it doesn't change.
    process_case("brief", tuned={}, fds={BEFORE[0]: 40, 65: 97, 74: 40}),
    # A pool that rests, whose other side has closed.
    process_case(
        "pool", tuned={}, established={BEFORE[0]: 1000}, close_wait={BEFORE[0]: 0, 60: 45}
    ),
    # Few connections, many of them in CLOSE_WAIT.
    process_case("few", tuned={}, established={BEFORE[0]: 5}, close_wait={BEFORE[0]: 49}),
    # Most retransmit, but they are few.
    process_case("lone", tuned={}, measured={BEFORE[0]: 8}, retransmitting={BEFORE[0]: 0, 60: 8}),
    # Far slower than usual, and still fast; and slow for nine minutes.
    upstream_case("near", tuned={}, measured={BEFORE[0]: 9}, rtt={BEFORE[0]: 0.0002, 60: 0.01}),
    upstream_case(
        "hiccup", tuned={}, measured={BEFORE[0]: 9}, rtt={BEFORE[0]: 0.01, 65: 0.5, 74: 0.01}
    ),
    # Up to ten times the usual level, which is low.
    process_case("small", tuned={}, established={BEFORE[0]: 9, 60: 90}),
    # Many connect, and all get an answer.
    process_case(
        "crawler", tuned={}, established={BEFORE[0]: 500}, syn_sent={BEFORE[0]: 0, 60: 50, LOW: 0}
    ),
    upstream_case(
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
