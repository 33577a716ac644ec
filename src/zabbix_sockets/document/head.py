"""The document's objects `collector` and `host`: the collection itself, and the host's figures."""

from __future__ import annotations

from _collections_abc import Iterable

from zabbix_sockets.document.completeness import unread_protocols, warnings
from zabbix_sockets.document.processes import STUCK, UDP_PARTS, ProcessRow, stuck
from zabbix_sockets.document.record import (
    COUNTER,
    FRACTION,
    MOMENT,
    Record,
    number,
    numbers,
    part,
    percentage,
    text,
    texts,
    yes_no,
)
from zabbix_sockets.document.totals import Counting
from zabbix_sockets.document.upstreams import Usage, ephemeral_pct
from zabbix_sockets.grouping.grouping import Grouping
from zabbix_sockets.model import gaps
from zabbix_sockets.model.addresses import format_endpoint
from zabbix_sockets.model.snapshot import INBOUND, LISTS, NOBODY, UNOWNED, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS, TCP_STATES, TcpState, state_name

_TCP_PARTS = tuple(name for name in TCP_STATES.values() if name != "close")  # no source has that


class SpoolFigures(Record):
    """The documents that wait in the spool of `send`, and those dropped so far.

    *oldest* is the Unix time of the oldest that waits; 0 if none does.
    """

    waiting: int = number("documents")
    dropped: int = number("documents")
    oldest: int = number("", MOMENT)


class Collector(Record):
    """The collection that the document was made by.

    *filter* is absent without one. *truncated* has the number of rows that the bounds left out of
    each list. *not_admitted* is the number of processes and listeners of the host itself that are
    not admitted to discovery; absent if that was not asked for. *spool* is there with `send` and a
    spool alone.
    """

    filter: str | None = text(default=None)
    source: str = text()
    reason: str = text()
    degraded: int = yes_no()
    grouping: str = text()
    ownership: str = text()
    seconds: float = number("s", FRACTION)
    sockets: int = number("sockets")
    unowned: int = number("sockets")
    unaccepted: int = number("connections")
    denied_processes: int = number("processes")
    vanished_processes: int = number("processes")
    namespaces: int = number("namespaces")
    namespaces_skipped: int = number("namespaces")
    warnings: list[str] = texts()
    truncated: dict[str, int] = numbers("rows", LISTS)
    not_admitted: int | None = number("rows", default=None)
    spool: SpoolFigures | None = part(SpoolFigures, default=None)
    totals: Counting | None = part(Counting, default=None)


class Ephemeral(Record):
    """The ephemeral ports of the own namespace, and the destination that takes most of them.

    *worst_endpoint* is protocol, address and port of that; empty if no port is taken.
    """

    size: int = number("ports")
    worst_used: int = number("ports")
    worst_pct: float = percentage()
    worst_endpoint: str = text()


class HostTotals(Record):
    """The kernel's counters of TCP and UDP since the collector's network namespace was made.

    They are those of /proc/net/snmp, snmp6 and netstat. UDP's are the sums of IPv4 and IPv6. Each
    is absent where the kernel doesn't count it.
    """

    active_opens: int | None = number("connections", COUNTER, default=None)
    passive_opens: int | None = number("connections", COUNTER, default=None)
    attempt_fails: int | None = number("connections", COUNTER, default=None)
    estab_resets: int | None = number("connections", COUNTER, default=None)
    out_rsts: int | None = number("segments", COUNTER, default=None)
    syn_cookies_sent: int | None = number("segments", COUNTER, default=None)
    udp_in_errors: int | None = number("datagrams", COUNTER, default=None)
    udp_rcvbuf_errors: int | None = number("datagrams", COUNTER, default=None)
    udp_no_ports: int | None = number("datagrams", COUNTER, default=None)


class UnofferedGroup(Record):
    """The group of processes, of those not offered to discovery, with most connections stuck.

    *id* is empty, and the figures are 0, if none of these groups has any.
    """

    id: str = text()
    stuck: int = number("connections")
    close_wait: int = number("connections")
    syn_sent: int = number("connections")


class HostFigures(Record):
    """Figures of the collector's own network namespace; orphans, memory, uptime are of the host.

    Each is absent if it is not known; those that count sockets are absent with a filter, too.
    *unseen* is chosen among all groups that discovery isn't offered, also those beyond the bounds
    of `processes`.
    """

    tcp: dict[str, int] | None = numbers("sockets", _TCP_PARTS, default=None)
    udp: dict[str, int] | None = numbers("sockets", UDP_PARTS, default=None)
    orphans: int | None = number("sockets", default=None)
    tcp_memory_bytes: int | None = number("B", default=None)
    tcp_memory_limit_bytes: int | None = number("B", default=None)
    listen_overflows: int | None = number("connections", COUNTER, default=None)
    listen_drops: int | None = number("connections", COUNTER, default=None)
    retransmitted_segments: int | None = number("segments", COUNTER, default=None)
    tcp_max_orphans: int | None = number("sockets", default=None)
    tcp_max_tw_buckets: int | None = number("sockets", default=None)
    totals: HostTotals | None = part(HostTotals, default=None)
    uptime: int | None = number("s", default=None)
    ephemeral: Ephemeral | None = part(Ephemeral, default=None)
    unseen: UnofferedGroup | None = part(UnofferedGroup, default=None)


def collector_of(snapshot: Snapshot, grouping: Grouping) -> Collector:
    """Return the object `collector` of a Snapshot's document; its `truncated` is empty as yet."""
    visibility, totals = snapshot.visibility, snapshot.totals
    others = snapshot.namespaces if snapshot.selected is None else snapshot.selected
    skipped = len(snapshot.skipped)
    unowned = sum(listener.owner == UNOWNED for listener in snapshot.listeners)
    unaccepted = 0
    for connection, count in snapshot.connections.items():
        if connection.owner == UNOWNED:
            unowned += count
        elif connection.owner == NOBODY and connection.direction == INBOUND:
            waiting = connection.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
            unaccepted += count if waiting else 0
    return Collector(
        filter=snapshot.filter or None,
        source=visibility.source,
        reason=visibility.reason,
        degraded=int(visibility.degraded),
        grouping=grouping.name,
        ownership=visibility.ownership,
        seconds=round(visibility.seconds, 4),
        sockets=len(snapshot.listeners) + sum(snapshot.connections.values()),
        unowned=unowned,
        unaccepted=unaccepted,
        denied_processes=sum(gap.how_many for gap in visibility.gaps if gap.kind == gaps.DENIED),
        vanished_processes=visibility.vanished,
        namespaces=1 + len(others) - skipped,
        namespaces_skipped=skipped,
        warnings=[*visibility.warnings, *warnings(visibility.gaps, grouping)],
        truncated={},
        totals=Counting(**totals.figures) if totals else None,
    )


def host_of(snapshot: Snapshot, usage: Usage) -> HostFigures:
    """Return the object `host` of a Snapshot's document.

    *usage* is ephemeral_usage()'s; *unseen* is missing as yet. With a filter the other sockets are
    not known, and so no figure that counts sockets is there.
    """
    states = {"tcp": dict.fromkeys(_TCP_PARTS, 0), "udp": dict.fromkeys(UDP_PARTS, 0)}
    for listener in snapshot.listeners:
        if listener.netns == OWN_NETNS:
            states[listener.protocol]["listen" if listener.protocol == "tcp" else "bound"] += 1
    for connection, count in snapshot.connections.items():
        if connection.netns == OWN_NETNS:
            counts = states[connection.protocol]
            name = state_name(connection.protocol, connection.state)
            counts[name] = counts.get(name, 0) + count
    counters = snapshot.host._asdict()
    totals = counters.pop("totals")
    known = set() if snapshot.filter else states.keys() - unread_protocols(snapshot.visibility.gaps)
    return HostFigures(
        tcp=states["tcp"] if "tcp" in known else None,
        udp=states["udp"] if "udp" in known else None,
        **counters,
        totals=HostTotals(**totals) if totals else None,
        ephemeral=_ephemeral(snapshot, usage) if "tcp" in known else None,
    )


def unseen_of(rows: Iterable[ProcessRow], *, is_complete: bool) -> UnofferedGroup | None:
    """Return the worst of *rows*, those of processes that are not offered to discovery.

    Of equal ones it is the first. None if nothing is stuck in any, and *is_complete* is False, so
    that there may be others.
    """
    worst = max(rows, key=lambda row: stuck(row.tcp), default=None)
    if worst is not None and stuck(worst.tcp):
        tcp = worst.tcp
        in_states = {name: tcp[name] for name in STUCK}
        return UnofferedGroup(id=worst.id, stuck=stuck(tcp), **in_states)
    return UnofferedGroup(id="", stuck=0, **dict.fromkeys(STUCK, 0)) if is_complete else None


def _ephemeral(snapshot: Snapshot, usage: Usage) -> Ephemeral:
    own = {key: used for key, used in usage.items() if key[1] == OWN_NETNS}
    worst = max(own, key=lambda key: (own[key], key), default=None)
    used = own[worst] if worst else 0
    return Ephemeral(
        size=snapshot.ports.size,
        worst_used=used,
        worst_pct=ephemeral_pct(used, snapshot.ports),
        worst_endpoint=f"{worst[0]}/{format_endpoint(*worst[3:])}" if worst else "",
    )
