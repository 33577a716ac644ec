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
        62,
        206,
        r"Accept queues overflow: 3 connections per second refused"
        r" \(over 0\.1 in 3 or more samples of 10m\)",
    ),
    Expected(
        "listen_drops",
        262,
        336,
        r"Listeners drop connections: 3 per second \(over 0\.1 in 3 or more samples of 10m\)",
    ),
    Expected(
        "ephemeral_warn",
        70,
        210,
        r"Ephemeral ports run low to tcp/192\.0\.2\.5:80: 85 % taken \(over 80% for 10m\)",
    ),
    Expected(
        "ephemeral_high",
        270,
        340,
        r"Ephemeral ports run out to tcp/192\.0\.2\.5:80: 97 % taken \(over 95% for 10m\)",
    ),
    Expected(
        "tcp_memory",
        70,
        210,
        r"TCP memory runs out: 810\.\d+ MB \(over 80% of the limit for 10m\)",
    ),
    Expected("collector_slow", 70, 210, r"Collector is slow: 2s 500ms \(over 2 s for 10m\)"),
    Expected("collector_degraded", 90, 200, r"Collector is degraded: no iterators"),
    Expected(
        "collector_partial",
        90,
        200,
        r"Collector sees only a part: 3 processes denied, 1 namespaces skipped",
    ),
)

LENIENT = {
    "{$SOCKETS.LISTEN.DROPS.MAX.WARN}": "50",
    "{$SOCKETS.EPHEMERAL.PCT.MAX.WARN}": "99",
    "{$SOCKETS.EPHEMERAL.PCT.MAX.HIGH}": "99",
    "{$SOCKETS.TCP.MEMORY.PCT.MAX.HIGH}": "99",
    "{$SOCKETS.COLLECTOR.SECONDS.MAX.WARN}": "9",
    "{$SOCKETS.COLLECTOR.DEGRADED.TIME}": "12h",
    "{$SOCKETS.PARTIAL.TIME}": "12h",
}
"""Thresholds and windows with which none of these happens."""

# In minutes 20 and 21 a burst; later now and then one within each ten minutes, the last at the end.
_OVERFLOWS = {0: 0, 20: 9, 22: 0, 60: 3} | _now_and_then(140, 200)
_DROPS = {0: 0, 260: 3} | _now_and_then(300, 330)
_MEMORY = {BEFORE[0]: 0.1, 60: 0.85, 140: 0.75, 200: 0.1}
_SECONDS = {BEFORE[0]: 0.05, 60: 2.5, 140: 1.8, 200: 0.05}
_TAKEN = {BEFORE[0]: 5, 60: 85, 140: 75, 200: 5, 260: 97, 300: 88, 330: 5}


def _counter(minute: int, per_second: Mapping[int, float]) -> int:
    """Return what a counter has come to that grows so since minute 0."""
    return round(60 * sum(at(each, per_second) for each in range(1, minute + 1)))


def host_document(minute: int, lists: Mapping[str, list[Row]]) -> Row:
    """Return the document of a host in that minute with these rows."""
    overflows = _counter(minute, _OVERFLOWS)
    host = {
        "listen_overflows": overflows,
        "listen_drops": overflows + _counter(minute, _DROPS),
        "tcp_memory_bytes": round(_LIMIT * at(minute, _MEMORY)) + minute % 2 * 4096,
        "tcp_memory_limit_bytes": _LIMIT,
        "ephemeral": {
            "worst_pct": at(minute, _TAKEN),
            "worst_endpoint": "tcp/192.0.2.5:80",
        },
    }
    collector: dict[str, Any] = {"seconds": at(minute, _SECONDS)}
    partial = []
    if 60 <= minute < 200:
        collector |= {"degraded": 1, "reason": "no iterators"}
        collector |= {"denied_processes": 3, "namespaces_skipped": 1}
        partial = ["upstreams"]
    return document(60 * minute, lists, host=host, collector=collector, partial=partial)


def rows(minute: int, cases: tuple[Case, ...] = ROWS) -> dict[str, list[Row]]:
    """Return all rows of that minute."""
    lists: dict[str, list[Row]] = {"processes": [], "listeners": [], "upstreams": []}
    for case in cases:
        made = (case.row(row_id, minute) for row_id in case.ids)
        lists[case.kind] += [row for row in made if row is not None]
    return lists
