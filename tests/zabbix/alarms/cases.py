"""What makes each trigger fire and recover, and what makes none fire."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from zabbix_sockets.document.row import accept_queue_pct

from ..documents import Row, listener, process  # noqa: TID252  # no installed package
from .case import (
    BAND,
    BEFORE,
    LOW,
    REMOTE,
    Case,
    Expected,
    Levels,
    at,
    counted_case,
    counter,
    levels,
    process_case,
    upstream_case,
)


def _leak(row_id: str, minute: int) -> Row:
    """Thirty an hour, then six an hour, which is not enough but more; then no more."""
    leaked = (min(max(minute, 60), 170) - 60) / 2 + (min(max(minute, 170), 215) - 170) / 10
    return process(row_id, established=1000, close_wait=int(leaked), worst_remote=REMOTE)


def _stuck(row_id: str, minute: int) -> Row:
    """Sixty connections of about 160, then of 330, then of 660; each minute others come."""
    others = int(at(minute, levels(100, 100, 270, 600)))
    stuck = int(at(minute, {BEFORE[0]: 5, 60: 60}))
    return process(
        row_id,
        established=others + minute % 2,
        close_wait=stuck + minute % 2,
        worst_remote=REMOTE,
    )


_WITH = r"most with tcp/192\.0\.2\.9:443"


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
                rf"6[01] connections stay in CLOSE_WAIT, {_WITH} \(for 15m 50 or more and 20% of"
                r" them and those established, or 1000\)",
            ),
        ),
        {"CLOSE_WAIT.PCT.MAX.WARN": "90"},
    ),
    # A few in a hundred, and too many all the same.
    process_case(
        "flooded",
        Expected("close_wait_share", 75, 215, rf"1500 connections stay in CLOSE_WAIT, {_WITH} .*"),
        tuned={"CLOSE_WAIT.MAX.WARN": "9999", "CLOSE_WAIT.GROWTH.MAX.WARN": "9999"},
        established={BEFORE[0]: 60000},
        close_wait=levels(0, 1500, 900, 0),
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
                rf"CLOSE_WAIT grows: (49|5\d) connections, {_WITH}"
                r" \(in 1h at least 20 more than in as long before, and still\)",
            ),
        ),
        {"CLOSE_WAIT.GROWTH.MAX.WARN": "200"},
    ),
    process_case(
        "connecting",
        Expected(
            "syn_sent",
            70,
            210,
            r"30 connections get no answer, most to tcp/192\.0\.2\.9:443 \(over 20, and 10% of them"
            r" and those established, for 10m\)",
        ),
        tuned={"SYN_SENT.MAX.WARN": "99"},
        syn_sent=levels(0, 30, 18, 3),
    ),
    process_case(
        "fds-low",
        Expected(
            "fds_warn",
            70,
            210,
            r"Descriptors run low: 85 % of the limit of one of its processes \(over 80% for 10m\)",
        ),
        tuned={"FDS.PCT.MAX.WARN": "99"},
        fds=levels(40, 85, 75, 60),
    ),
    # At once above both thresholds: only the worse one fires.
    process_case(
        "fds-out",
        Expected(
            "fds_high",
            70,
            210,
            r"Descriptors run out: 97 % of the limit of one of its processes \(over 95% for 10m\)",
        ),
        tuned={"FDS.PCT.MAX.WARN": "99", "FDS.PCT.MAX.HIGH": "99"},
        fds=levels(40, 97, 88, 60),
    ),
    # Still above the lower one when the worse one has recovered: now the other one fires.
    process_case(
        "fds-back",
        Expected("fds_high", 70, 148, r"Descriptors run out: 97 % of the limit .*"),
        Expected("fds_warn", 145, 210, r"Descriptors run low: 84 % of the limit .*"),
        tuned={"FDS.PCT.MAX.WARN": "99", "FDS.PCT.MAX.HIGH": "99"},
        fds=levels(40, 97, 84, 60),
    ),
    process_case(
        "lossy",
        Expected(
            "retransmitting",
            70,
            210,
            r"30 connections retransmit: 30 % of those in use \(over 20% for 10m\)",
        ),
        tuned={"RETRANSMITTING.PCT.MAX.WARN": "99"},
        measured={BEFORE[0]: 100},
        retransmitting=levels(0, 30, 18, 3),
    ),
    # In the end none sends or receives anything.
    process_case(
        "lossy-idle",
        Expected("retransmitting", 70, 150, r"30 connections retransmit: 30 % .*"),
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


def _queue(
    name: str,
    *expected: Expected,
    tuned: Mapping[str, str],
    queue: Levels,
    backlog: int = 99,
    place: str = "",
) -> Case:
    """Return a listener with a backlog of 99, so that connections are percents, or another."""

    def row(row_id: str, minute: int) -> Row:
        return listener(row_id, queue=int(at(minute, queue)), backlog=backlog)

    return Case("listeners", name, row, expected, tuned, place=place)


def _absent(*minutes: range) -> Callable[[str, int], Row | None]:
    def row(row_id: str, minute: int) -> Row | None:
        return None if any(minute in each for each in minutes) else listener(row_id)

    return row


def _gone(name: str, own: Mapping[str, str], place: str = "") -> Case:
    """Return a listener that goes; *own* are its macros."""
    expected = (Expected("gone", 70, LOW, r"Nobody listens any more, for 10m now"),)
    tuned = {"GONE.TIME": "12h"}
    return Case("listeners", name, _absent(range(60, LOW)), expected, tuned, own, place)


def _dropping(
    name: str,
    expected: Expected,
    per_second: float,
    tuned: Mapping[str, str],
    *,
    queue: int = 0,
    place: str = "",
) -> Case:
    """Return a listener that drops packets for a while; one of its sockets closes meanwhile.

    As long *queue* connections wait, of 21.
    """
    rates = {BEFORE[0]: 0, _DROPS[0]: per_second, _DROPS[1]: 0}

    def row(row_id: str, minute: int) -> Row:
        forgotten = counter(_CLOSES, rates) if minute > _CLOSES else 0
        waiting = queue * (minute in range(*_DROPS))
        made = listener(row_id, queue=waiting, drops=counter(minute, rates) - forgotten)
        if made["protocol"] == "tcp":
            made |= {"backlog": 20, "accept_queue_pct": accept_queue_pct(waiting, 20)}
        return made

    return Case("listeners", name, row, (expected,), tuned, place=place)


_DROPS, _CLOSES = (20, 45), 30
"""When they drop: before the host's own alarms on the same."""


def _crowd(
    name: str, *expected: Expected, tuned: Mapping[str, str], top: Levels, pct: Levels
) -> Case:
    """Return a listener whose busiest client has *top* connections, *pct* percent of all."""

    def row(row_id: str, minute: int) -> Row:
        figures = {"distinct": 9, "top": int(at(minute, top)), "pct": at(minute, pct)}
        return listener(row_id, clients=figures)

    return Case("listeners", name, row, expected, tuned)


_ONE_OF_MANY = Expected(
    "client_share",
    75,
    215,
    r"198\.51\.100\.7 has 300 connections, 75 % of all \(over 50%, and 100, for 15m\)",
)

LISTENERS = (
    _crowd(
        "8019",
        _ONE_OF_MANY,
        tuned={"CLIENTS.PCT.MAX.WARN": "90"},
        top={BEFORE[0]: 300},
        pct=levels(5, 75, 45, 30),
    ),
    # It has as large a share, of few.
    _crowd(
        "8020",
        _ONE_OF_MANY._replace(name=r"198\.51\.100\.7 has 300 connections, 80 % of all .*"),
        tuned={"CLIENTS.MIN": "900"},
        top=levels(9, 300, 90, 9),
        pct={BEFORE[0]: 80},
    ),
    _queue(
        "8001",
        Expected(
            "accept_warn",
            62,
            202,
            r"Accept queue fills: 80 % of its backlog used, 80 connections wait"
            r" \(over 70% in #3\)",
        ),
        tuned={"ACCEPT_QUEUE.PCT.MAX.WARN": "99", "ACCEPT_QUEUE.WAITING.TIME": "12h"},
        queue=levels(0, 80, 60, 0),
    ),
    _queue(
        "8002",
        Expected(
            "accept_high",
            62,
            202,
            r"Accept queue is full: 97 % of its backlog used, 97 connections wait"
            r" \(over 95% in #3\)",
        ),
        tuned={
            "ACCEPT_QUEUE.PCT.MAX.WARN": "99",
            "ACCEPT_QUEUE.PCT.MAX.HIGH": "99",
            "ACCEPT_QUEUE.WAITING.MIN": "99",
        },
        queue=levels(0, 97, 80, 0),
    ),
    # Never short, but for a sample that is no recovery; then it is empty now and then.
    _queue(
        "8007",
        Expected(
            "accept_waiting",
            65,
            202,
            r"12 connections wait to be accepted, 0\.3 % of the backlog"
            r" \(never under 10 for 5m, or 100 for 3m\)",
        ),
        tuned={"ACCEPT_QUEUE.WAITING.MIN": "20"},
        queue={BEFORE[0]: 0, 60: 12, BAND: 0, BAND + 1: 12, LOW: 0, LOW + 1: 1, LOW + 2: 0},
        backlog=4095,
    ),
    # Of 4,096, as today's somaxconn has it; of these 527 are 13 %.
    _queue(
        "8008",
        Expected(
            "accept_waiting", 63, 205, r"527 connections wait to be accepted, 12\.9 % of the .*"
        ),
        tuned={"ACCEPT_QUEUE.MAX.WARN": "900", "ACCEPT_QUEUE.WAITING.MIN": "900"},
        queue={BEFORE[0]: 0, 60: 527, BAND: 90, LOW: 20, LOW + 2: 0},
        backlog=4095,
    ),
    _dropping(
        "514",
        Expected(
            "drops_udp",
            22,
            55,
            r"Datagrams are dropped: up to (2\.90?|3\.10?) per second"
            r" \(over 1 in 3 or more samples of 10m\)",
        ),
        3,
        tuned={"DROPS.UDP.MAX.WARN": "99"},
        place="udp/192.0.2.{number}:514",
    ),
    # By an accept queue that is full for moments only: nobody who looks sees more than a few wait.
    _dropping(
        "8025",
        Expected(
            "drops_tcp",
            22,
            55,
            r"Connections are dropped: up to 0\.[46]0? attempts per second"
            r" \(over 0\.1 in 3 or more samples of 10m\)",
        ),
        0.5,
        tuned={"DROPS.TCP.MAX.WARN": "99"},
        queue=3,
    ),
    # By one that is always full, as its own alarm says.
    _dropping(
        "8026",
        Expected("accept_high", 22, 47, r"Accept queue is full: 100 % of its backlog used, .*"),
        0.5,
        tuned={
            "ACCEPT_QUEUE.PCT.MAX.WARN": "101",
            "ACCEPT_QUEUE.PCT.MAX.HIGH": "101",
            "ACCEPT_QUEUE.WAITING.MIN": "99",
            "DROPS.TCP.MAX.WARN": "99",
        },
        queue=21,
    ),
    # Unix sockets, of which at 100 % one more waits than the backlog says.
    _queue(
        "fpm",
        Expected(
            "accept_high",
            62,
            202,
            r"Accept queue is full: 100 % of its backlog used, 50 connections wait"
            r" \(over 95% in #3\)",
        ),
        tuned={
            "ACCEPT_QUEUE.PCT.MAX.WARN": "100.1",
            "ACCEPT_QUEUE.PCT.MAX.HIGH": "100.1",
            "ACCEPT_QUEUE.WAITING.MIN": "51",
        },
        queue=levels(0, 50, 40, 0),
        backlog=49,
        place="unix//run/php/{name}-{number}.sock",
    ),
    _gone("docker", {}, place="unix//run/{name}-{number}.sock"),
    _gone("8003", {}),
    # Shorter than two heartbeats, than the time of absence, and as short as these together.
    _gone("8010", {"SEEN.TIME": "8m"}),
    _gone("8011", {"SEEN.TIME": "2m"}),
    _gone("8012", {"SEEN.TIME": "21m"}),
    _gone("8013", {"SEEN.TIME": "30m"}),
    _gone("8014", {}, place="tcp/127.0.0.{number}:8014"),
    _gone("8015", {}, place="tcp/0.0.0.0:90{number}@web"),
)


UPSTREAMS = (
    upstream_case(
        "waits",
        Expected(
            "syn_sent",
            70,
            210,
            r"8 connections get no answer \(over 5, and 50% of them and those established, for"
            r" 10m\)",
        ),
        tuned={"SYN_SENT.UPSTREAM.MAX.WARN": "99"},
        syn_sent=levels(0, 8, 5, 1),
    ),
    upstream_case(
        "many",
        Expected(
            "ephemeral_warn",
            70,
            210,
            r"Ephemeral ports run low: 85 % of those that one source address has are taken"
            r" \(over 80% for 10m\)",
        ),
        tuned={"EPHEMERAL.PCT.MAX.WARN": "99"},
        taken=levels(5, 85, 75, 10),
    ),
    upstream_case(
        "all",
        Expected(
            "ephemeral_high",
            70,
            210,
            r"Ephemeral ports run out: 97 % of those that one source address has are taken"
            r" \(over 95% for 10m\)",
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
            r"30 connections retransmit: 30 % of those in use \(over 20% for 10m\)",
        ),
        tuned={"RETRANSMITTING.PCT.MAX.WARN": "99"},
        measured={BEFORE[0]: 100},
        retransmitting=levels(0, 30, 18, 3),
    ),
)


_LATE, _LATE_BAND, _LATE_LOW = 225, 265, 285
"""When rates rise and fall: before, the host's own alarms on the same have been raised."""


def _late(high: float, between: float, low: float) -> Levels:
    return {BEFORE[0]: 0, _LATE: high, _LATE_BAND: between, _LATE_LOW: low}


_FAILS = Expected(
    "attempts_fail",
    240,
    300,
    r"(2\.90?|3\.10?) attempts to connect fail per second, (0\.90?|1\.10?) succeed"
    r" \(over 0\.1, and 50% of both, for 15m\)",
)
_RESETS = Expected(
    "resets",
    240,
    300,
    r"(2\.90?|3\.10?) connections per second are reset by the other end, of (3\.90?|4\.10?) that"
    r" end \(over 1, and 50% of these, for 15m\)",
)

TRAFFIC = (
    *(
        counted_case(
            kind,
            "failing",
            _FAILS,
            tuned={"FAILED.PCT.MAX.WARN": "99"},
            opened={BEFORE[0]: 1},
            failed=_late(3, 0.9, 0.4),
        )
        for kind in ("processes", "upstreams")
    ),
    *(
        counted_case(
            kind,
            "reset",
            _RESETS,
            tuned={"RESETS.MAX.WARN": "99"},
            closed={BEFORE[0]: 4},
            resets=_late(3, 1.8, 0.5),
        )
        for kind in ("processes", "upstreams")
    ),
    counted_case(
        "upstreams",
        "handshake",
        Expected(
            "handshake_slow",
            75,
            120,
            r"Handshakes have become slow: over 3 times as long as usual for 15m, (0\.90?|1\.10?)"
            r" connections opened per second",
        ),
        tuned={"HANDSHAKE.FACTOR.MAX.WARN": "50"},
        opened={BEFORE[0]: 1},
        # Until minute 120 the usual level is 10 ms.
        handshake_us={BEFORE[0]: 10_000, 60: 200_000, 85: 28_000, 110: 12_000},
    ),
)
"""What only totals tell."""


def _fails_seldom(row_id: str, minute: int) -> Row:
    """Return a process of which three attempts a minute fail, and none succeeds."""
    return process(row_id, totals={"failed": 3 * (minute - BEFORE[0])})


def _begins_again(row_id: str, minute: int) -> Row:
    """Return a process whose counters begin again, and come to more than before in a minute."""
    since = {BEFORE[0]: 900.0}
    totals = {each: counter(minute, since) for each in ("opened", "failed", "closed", "resets")}
    if minute >= 100:
        totals = dict.fromkeys(totals, 50 * (minute - 99))
    for each in ("failed", "resets"):
        totals[each] = 9 if minute < 100 else 0
    return process(row_id, totals=totals)


ONE_CAUSE = (
    # The process's own alarms leave it to those of its upstreams.
    upstream_case(
        "torn 1",
        Expected("syn_sent", 70, 210, r"30 connections get no answer .*"),
        tuned={"SYN_SENT.UPSTREAM.MAX.WARN": "99"},
        syn_sent=levels(0, 30, 18, 1),
    ),
    upstream_case(
        "worn 1",
        Expected("retransmitting", 70, 210, r"30 connections retransmit: 30 % .*"),
        tuned={"RETRANSMITTING.PCT.MAX.WARN": "99"},
        measured={BEFORE[0]: 100},
        retransmitting=levels(0, 30, 18, 3),
    ),
)
"""What several rows tell of."""


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
    # The programs that count were loaded again.
    Case("processes", "reset-totals", _begins_again),
    # All fail, and they are few; some fail of many; and for a quarter of an hour less a minute.
    Case("processes", "seldom", _fails_seldom),
    counted_case("upstreams", "some", tuned={}, failed={BEFORE[0]: 3}, opened={BEFORE[0]: 30}),
    counted_case("upstreams", "outage", tuned={}, failed={BEFORE[0]: 0, 225: 30, 238: 0}),
    # The slower of two that are tried at once.
    counted_case("processes", "eyeballs", tuned={}, abandoned={BEFORE[0]: 9}),
    # A single SYN is sent again.
    counted_case(
        "upstreams",
        "resent",
        tuned={},
        opened={BEFORE[0]: 0.5},
        handshake_us={BEFORE[0]: 900, 60: 90_000, 61: 900},
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
    # Full, but with a backlog of 8, and empty in one sample of four.
    Case(
        "listeners",
        "8006",
        lambda row_id, minute: listener(row_id, queue=9 * bool(minute % 4), backlog=8),
    ),
    # Long, but for two minutes.
    _queue("8009", tuned={}, queue={BEFORE[0]: 0, 60: 400, 62: 0}, backlog=4095),
    # Everybody comes through one balancer, to a listener whose clients nobody wants to be told of.
    _crowd("8021", tuned={}, top={BEFORE[0]: 900}, pct={BEFORE[0]: 100}),
    # Most of few connections; a small share of many; both for a quarter of an hour less a minute.
    _crowd("8022", tuned={}, top={BEFORE[0]: 90}, pct={BEFORE[0]: 100}),
    _crowd("8023", tuned={}, top={BEFORE[0]: 900}, pct={BEFORE[0]: 49}),
    _crowd("8024", tuned={}, top={BEFORE[0]: 9, 65: 300, 79: 9}, pct={BEFORE[0]: 9, 65: 90, 79: 9}),
    # Gone, on loopback and in another namespace, where nobody asked for it.
    Case("listeners", "8016", _absent(range(60, LOW)), place="tcp/127.0.1.1:8016"),
    # Busy: somebody waits whenever one looks, mostly many.
    _queue(
        "8018",
        tuned={},
        queue={at: (4, 30, 55)[at % 3] for at in range(60, LOW)} | {BEFORE[0]: 0, LOW: 0},
        backlog=4095,
    ),
    Case("listeners", "8017", _absent(range(60, LOW)), place="tcp/0.0.0.0:8017@db"),
    # It has an upstream with the same alarm.
    process_case("torn", tuned={}, syn_sent=levels(0, 30, 18, 1)),
    process_case("worn", tuned={}, measured={BEFORE[0]: 100}, retransmitting=levels(0, 30, 18, 3)),
    # While the host's own alarm tells of it.
    upstream_case("taken", tuned={}, taken={BEFORE[0]: 5, 228: 85, 245: 5}),
)
"""What is no problem."""

CASES = (*PROCESSES, *LISTENERS, *UPSTREAMS, *TRAFFIC, *ONE_CAUSE)
ROWS = (*CASES, *BRIEF)
