"""The document's head: how it came about, and the host's own figures."""

from zabbix_sockets.document.completeness import unread_protocols, warnings
from zabbix_sockets.document.row import JsonRow
from zabbix_sockets.document.upstreams import Usage, ephemeral_pct
from zabbix_sockets.grouping.grouping import Grouping
from zabbix_sockets.model.addresses import format_endpoint
from zabbix_sockets.model.gaps import DENIED
from zabbix_sockets.model.snapshot import INBOUND, NOBODY, UNOWNED, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS, TCP_STATES, UDP_STATES, TcpState, state_name


def collector_of(snapshot: Snapshot, grouping: Grouping) -> JsonRow:
    """Return what the document says of how it came about, but for what its bounds left out."""
    visibility = snapshot.visibility
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
    return {
        **({"filter": snapshot.filter} if snapshot.filter else {}),
        "source": visibility.source,
        "reason": visibility.reason,
        "degraded": int(visibility.degraded),
        "grouping": grouping.name,
        "ownership": visibility.ownership,
        "seconds": round(visibility.seconds, 4),
        "sockets": len(snapshot.listeners) + sum(snapshot.connections.values()),
        "unowned": unowned,
        "unaccepted": unaccepted,
        "denied_processes": sum(gap.how_many for gap in visibility.gaps if gap.kind == DENIED),
        "vanished_processes": visibility.vanished,
        "namespaces": 1 + len(others) - skipped,
        "namespaces_skipped": skipped,
        "warnings": [*visibility.warnings, *warnings(visibility.gaps, grouping)],
    }


def host_of(snapshot: Snapshot, usage: Usage) -> JsonRow:
    """Return the figures of the collector's own namespace; what is unknown is left out.

    With a filter that are all that count sockets: those that don't fit are not known.
    """
    states: dict[str, dict[str, int]] = {
        "tcp": dict.fromkeys(TCP_STATES.values(), 0),
        "udp": dict.fromkeys(UDP_STATES.values(), 0),
    }
    del states["tcp"]["close"]  # no source has it
    for listener in snapshot.listeners:
        if listener.netns == OWN_NETNS:
            states[listener.protocol]["listen" if listener.protocol == "tcp" else "bound"] += 1
    for connection, count in snapshot.connections.items():
        if connection.netns == OWN_NETNS:
            counts = states[connection.protocol]
            name = state_name(connection.protocol, connection.state)
            counts[name] = counts.get(name, 0) + count
    host: JsonRow = {}
    unread = unread_protocols(snapshot.visibility.gaps)
    if not snapshot.filter:
        host |= {name: each for name, each in states.items() if name not in unread}
    counters = snapshot.host
    for name, value in counters._asdict().items():
        if value is not None:
            host[name] = value
    if "tcp" not in unread and not snapshot.filter:
        host["ephemeral"] = _ephemeral(snapshot, usage)
    return host


def _ephemeral(snapshot: Snapshot, usage: Usage) -> JsonRow:
    own = {key: used for key, used in usage.items() if key[1] == OWN_NETNS}
    worst = max(own, key=lambda key: (own[key], key), default=None)
    used = own[worst] if worst else 0
    return {
        "size": snapshot.ports.size,
        "worst_used": used,
        "worst_pct": ephemeral_pct(used, snapshot.ports),
        "worst_endpoint": f"{worst[0]}/{format_endpoint(*worst[3:])}" if worst else "",
    }
