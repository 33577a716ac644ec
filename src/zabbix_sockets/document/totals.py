"""Objects `totals` in rows: counters of connections and bytes; docs/totals.md defines each."""

from __future__ import annotations

from zabbix_sockets.document.record import COUNTER, MOMENT, Record, number


class ListenerTotals(Record):
    """The totals of the connections that came to a listener."""

    accepted: int = number("connections", COUNTER)
    closed: int = number("connections", COUNTER)
    resets: int = number("connections", COUNTER)
    bytes_sent: int = number("B", COUNTER)
    bytes_received: int = number("B", COUNTER)
    retransmitted: int = number("segments", COUNTER)


class UpstreamTotals(Record):
    """The totals of the connections to a remote end.

    *handshake_us* is the sum over *opened*, *lifetime_ms* over *closed*.
    """

    attempts: int = number("connections", COUNTER)
    opened: int = number("connections", COUNTER)
    failed: int = number("connections", COUNTER)
    abandoned: int = number("connections", COUNTER)
    closed: int = number("connections", COUNTER)
    resets: int = number("connections", COUNTER)
    bytes_sent: int = number("B", COUNTER)
    bytes_received: int = number("B", COUNTER)
    retransmitted: int = number("segments", COUNTER)
    handshake_us: int = number("us", COUNTER)
    lifetime_ms: int = number("ms", COUNTER)


class ProcessTotals(UpstreamTotals):
    """The totals of processes of one group, of both directions."""

    accepted: int = number("connections", COUNTER)


class Counting(Record):
    """The counting itself: since when (Unix seconds), and what it had no room for."""

    since: int = number("", MOMENT)
    keys: int = number("keys")
    overflow: int = number("", COUNTER)
    missed: int = number("connections", COUNTER)
