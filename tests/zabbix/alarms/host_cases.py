"""What makes the triggers of the host and of the collector fire and recover.

As in cases; what shares a figure or silences each other comes one after the other.
"""

from collections.abc import Mapping
from typing import Any

from ..documents import Row, document  # noqa: TID252  # a test folder is no installed package
from .case import BEFORE, Case, Expected, at
from .cases import ROWS

_LIMIT = 1_000_000_000


def _now_and_then(begins: int, ends: int) -> dict[int, float]:
    """Return levels that are high in one minute of eight."""
    high = dict.fromkeys(range(begins + 4, ends, 8), 3.0)
    return {begins: 0.0} | high | {minute + 1: 0.0 for minute in high}


EXPECTED = (
    Expected(
        "listen_overflows",
        162,
        237,
        r"Accept queues overflow: up to 3 attempts per second refused"
        r" \(over 0\.1 in 3 or more samples of 10m\)",
    ),
    Expected(
        "listen_drops",
        262,
        336,
        r"Listeners drop connections: up to 3 attempts per second dropped"
        r" \(over 0\.1 in 3 or more samples of 10m\)",
    ),
    Expected(
        "syn_cookies",
        262,
        336,
        r"SYN cookies are sent: up to (2\.90?|3\.10?) per second"
        r" \(over 0\.1 in 3 or more samples of 10m\)",
    ),
    Expected(
        "ephemeral_warn",
        235,
        265,
        r"Ephemeral ports run low to tcp/192\.0\.2\.5:80: 85 % of those that one source address"
        r" has are taken \(over 80% for 10m\)",
    ),
    Expected(
        "ephemeral_high",
        285,
        325,
        r"Ephemeral ports run out to tcp/192\.0\.2\.5:80: 97 % of those that one source address"
        r" has are taken \(over 95% for 10m\)",
    ),
    Expected(
        "attempt_fails",
        70,
        210,
        r"Attempts to connect fail: (19\.90?|20\.10?) per second \(over 5 for 10m\)",
    ),
    Expected(
        "estab_resets",
        70,
        210,
        r"Connections are reset: (29\.90?|30\.10?) per second"
        r" \(over 20, and 50% of those opened, for 10m\)",
    ),
    Expected(
        "out_rsts",
        270,
        340,
        r"Resets are sent: (2999\.\d+|3000(\.\d+)?) per second \(over 1000 for 10m\)",
    ),
    Expected(
        "orphans",
        70,
        210,
        r"TCP orphans near their limit: 6000[01] of 65536 \(over 80% of this limit for 10m\)",
    ),
    Expected(
        "time_wait",
        70,
        210,
        r"TIME_WAIT near its limit: 12450[01] of 131072 \(over 90% of this limit for 10m\)",
    ),
    Expected(
        "tcp_memory",
        70,
        210,
        r"TCP memory runs out: 810\.\d+ MB of 953\.67 MB \(over 80% of this limit for 10m\)",
    ),
    Expected(
        "udp_rcvbuf_errors",
        62,
        206,
        r"UDP receive buffers overflow: up to (2\.90?|3\.10?) per second"
        r" \(over 1 in 3 or more samples of 10m\)",
    ),
    Expected(
        "udp_in_errors",
        262,
        336,
        r"UDP datagrams are dropped: up to (2\.90?|3\.10?) per second"
        r" \(over 1 in 3 or more samples of 10m\)",
    ),
    Expected(
        "udp_no_ports",
        70,
        210,
        r"UDP datagrams find nobody: (49\.90?|50\.10?) per second \(over 20 for 10m\)",
    ),
    Expected(
        "unseen",
        70,
        210,
        r"60 connections of new-client stay in CLOSE_WAIT or get no answer \(over 50 for 10m\)",
    ),
    Expected("collector_slow", 70, 210, r"Collector is slow: 2s 500ms \(over 2 s for 10m\)"),
    Expected(
        "collector_not_admitted",
        70,
        210,
        r"Rows are left out of discovery: 9880 processes and listeners \(at least 1 for 10m\)",
    ),
    Expected("collector_degraded", 90, 200, r"Collector is degraded: no iterators"),
    Expected(
        "collector_partial",
        90,
        300,
        r"Collector sees only a part: 3 processes denied, 1 namespaces skipped",
    ),
    Expected(
        "truncated",
        205,
        300,
        r"The document leaves rows out: 3 processes, 0 listeners \(for 10m 1 or more\)",
    ),
)

LENIENT = {
    "{$SOCKETS.LISTEN.DROPS.MAX.WARN}": "50",
    "{$SOCKETS.SYN_COOKIES.MAX.WARN}": "50",
    "{$SOCKETS.UNSEEN.MAX.WARN}": "90",
    "{$SOCKETS.EPHEMERAL.PCT.MAX.WARN}": "99",
    "{$SOCKETS.EPHEMERAL.PCT.MAX.HIGH}": "99",
    "{$SOCKETS.ATTEMPT_FAILS.MAX.WARN}": "50",
    "{$SOCKETS.ESTAB_RESETS.PCT.MAX.WARN}": "500",
    "{$SOCKETS.OUT_RSTS.MAX.WARN}": "5000",
    "{$SOCKETS.ORPHANS.PCT.MAX.WARN}": "99",
    "{$SOCKETS.TIME_WAIT.PCT.MAX.WARN}": "99",
    "{$SOCKETS.TCP.MEMORY.PCT.MAX.HIGH}": "99",
    "{$SOCKETS.UDP.ERRORS.SAMPLES}": "12",
    "{$SOCKETS.UDP.NO_PORTS.TIME}": "12h",
    "{$SOCKETS.COLLECTOR.SECONDS.MAX.WARN}": "9",
    "{$SOCKETS.COLLECTOR.DEGRADED.TIME}": "12h",
    "{$SOCKETS.PARTIAL.TIME}": "12h",
    "{$SOCKETS.NOT_ADMITTED.MAX.WARN}": "10000",
    "{$SOCKETS.TRUNCATED.MAX.WARN}": "10",
}
"""Thresholds and windows with which none of these happens."""

_BURSTS = {0: 0, 20: 9, 22: 0}
"""A burst of two minutes: by itself no alarm."""

# From minute 60 on a listener is full, and its own alarm tells of it.
_OVERFLOWS = _BURSTS | {60: 3, 110: 0, 160: 3} | _now_and_then(190, 230)
# In the first hour listeners that have an alarm of their own drop as much.
_DROPPED = {0: 0, 20: 1.5, 45: 0}
_DROPS = _DROPPED | {260: 3} | _now_and_then(300, 330)
_MEMORY = {BEFORE[0]: 0.1, 60: 0.85, 140: 0.75, 200: 0.1}
_ORPHANS = {BEFORE[0]: 10, 60: 60_000, 140: 50_000, 200: 10}
_TIME_WAIT = {BEFORE[0]: 10, 60: 124_500, 140: 110_000, 200: 10}
_STUCK = {BEFORE[0]: 0, 60: 60, 140: 45, 200: 6}
_SECONDS = {BEFORE[0]: 0.05, 60: 2.5, 140: 1.8, 200: 0.05}
# Upstreams have the same alarms before, which this one would silence.
_TAKEN = {BEFORE[0]: 5, 225: 85, 245: 75, 255: 5, 275: 97, 300: 88, 315: 5}


_RECEIVE_BUFFER = {0: 0, 20: 9, 45: 0, 60: 3} | _now_and_then(140, 200)
_TOTALS: Mapping[str, Mapping[int, float]] = {
    "active_opens": {0: 10},
    "passive_opens": {0: 10, 250: 200},
    "attempt_fails": {0: 0, 60: 20, 140: 4.5, 200: 0.5},
    # Later they are few of those that are opened.
    "estab_resets": {0: 0, 60: 30, 140: 18, 200: 1, 260: 30, 300: 1},
    # First in the shadow of both of these.
    "out_rsts": {0: 0, 75: 3000, 195: 1, 260: 3000, 300: 900, 330: 1},
    "syn_cookies_sent": _BURSTS | {260: 3} | _now_and_then(300, 330),
    "udp_rcvbuf_errors": _RECEIVE_BUFFER,
    "udp_in_errors": {0: 0, 260: 3} | _now_and_then(300, 330),
    "udp_no_ports": {0: 0, 60: 50, 140: 18, 200: 1},
}
"""What is added to counters a second."""

# In minutes 20 to 28 a host is new and takes a while; from 60 on somebody runs thousands of names.
_NOT_ADMITTED = {BEFORE[0]: 0, 20: 12, 28: 0, 60: 9880, 200: 0}


def _counter(minute: int, per_second: Mapping[int, float]) -> int:
    """Return what a counter has come to that grows so since minute 0."""
    return round(60 * sum(at(each, per_second) for each in range(1, minute + 1)))


def _totals(minute: int) -> dict[str, int]:
    """Return counters; no two rates after each other are the same, as on a real host."""
    made = {
        name: _counter(minute, rates) + 6 * (minute % 2 and at(max(minute, 0), rates) > 0)
        for name, rates in _TOTALS.items()
    }
    made["udp_in_errors"] += made["udp_rcvbuf_errors"]
    return made


def host_document(minute: int, lists: Mapping[str, list[Row]]) -> Row:
    """Return the document of a host in that minute with these rows."""
    overflows = _counter(minute, _OVERFLOWS)
    host = {
        "listen_overflows": overflows,
        "listen_drops": overflows + _counter(minute, _DROPS),
        "orphans": at(minute, _ORPHANS) + minute % 2,
        "tcp_memory_bytes": round(_LIMIT * at(minute, _MEMORY)) + minute % 2 * 4096,
        "tcp_memory_limit_bytes": _LIMIT,
        "totals": _totals(minute),
        "unseen": {"id": "new-client", "stuck": at(minute, _STUCK)},
        "ephemeral": {
            "worst_pct": at(minute, _TAKEN),
            "worst_endpoint": "tcp/192.0.2.5:80",
        },
    }
    collector: dict[str, Any] = {"seconds": at(minute, _SECONDS)}
    collector["not_admitted"] = int(at(minute, _NOT_ADMITTED))
    partial = []
    truncated = {}
    if 60 <= minute < 200:
        collector |= {"degraded": 1, "reason": "no iterators"}
        collector |= {"denied_processes": 3, "namespaces_skipped": 1}
        partial = ["upstreams"]
    if 60 <= minute < 300:  # first in the shadow of rows that are left out of discovery
        truncated = {"processes": 3}
    made = document(
        60 * minute,
        lists,
        host=host,
        collector=collector,
        partial=partial,
        truncated=truncated,
    )
    made["host"]["tcp"]["time_wait"] = at(minute, _TIME_WAIT) + minute % 2
    return made


def rows(minute: int, cases: tuple[Case, ...] = ROWS) -> dict[str, list[Row]]:
    """Return all rows of that minute."""
    lists: dict[str, list[Row]] = {"processes": [], "listeners": [], "upstreams": []}
    for case in cases:
        made = (case.row(row_id, minute) for row_id in case.ids)
        lists[case.kind] += [row for row in made if row is not None]
    return lists
