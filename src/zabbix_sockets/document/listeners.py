"""`listeners[]`: each distinct listening TCP and bound UDP address."""

from collections.abc import Iterable

from zabbix_sockets.document.row import (
    ABSENT_ID,
    JsonRow,
    NetnsLabel,
    Qualities,
    RankedRow,
    accept_queue_pct,
    rank,
)
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.addresses import format_address, format_endpoint
from zabbix_sockets.model.snapshot import BY_CGROUPS, INBOUND, ListenerSocket, Snapshot
from zabbix_sockets.model.wire import TcpState

_MAX_LABELS = 3


_Place = tuple[str, str, bytes, int, str]
"""What tells listeners apart: protocol, namespace, address, port, device."""


class _ListenerSums:
    """What the sockets at one address add up to."""

    def __init__(self) -> None:
        self.sockets: list[ListenerSocket] = []
        self.owners: set[int] = set()
        self.established: int | None = 0


def listener_rows(snapshot: Snapshot, groups: Groups, label: NetnsLabel) -> list[RankedRow]:
    """Return a row for each distinct listening TCP and bound UDP address."""
    sums: dict[_Place, _ListenerSums] = {}
    partly_read = {label(netns) for netns in snapshot.skipped}
    for listener in snapshot.listeners:
        key = listener.protocol, label(listener.netns), *listener[2:5]
        each = sums.get(key)
        if each is None:
            each = sums[key] = _ListenerSums()
        each.sockets.append(listener)
        each.owners.add(listener.owner)
        if key[1] in partly_read:
            each.established = None
    qualities: Qualities[_Place] = Qualities(snapshot)
    for connection, count in snapshot.connections.items():
        if connection.direction == INBOUND and connection.state == TcpState.ESTABLISHED:
            protocol, netns, _, _, _, at, number, device, *_ = connection
            if at is None or number is None:
                continue
            key = protocol, label(netns), at, number, device
            if key not in sums:
                key = *key[:4], ""
            found = sums.get(key)
            if found and found.established is not None:
                found.established += count
                qualities.add(key, connection)
    return [
        _listener_row(snapshot, groups, each, label)._replace(
            quality=None if key[0] == "udp" or each.established is None else qualities.of(key)
        )
        for key, each in sums.items()
    ]


def _listener_row(
    snapshot: Snapshot, groups: Groups, sums: _ListenerSums, label: NetnsLabel
) -> RankedRow:
    protocol, number, address, port, device, *_ = sums.sockets[0]
    netns = label(number)
    names = groups.of_all(sums.owners)
    processes = {index for owner in sums.owners for index in snapshot.owners.get(owner, ())}
    row_id = f"{protocol}/{format_endpoint(address, port, device)}" + (f"@{netns}" if netns else "")
    row: JsonRow = {
        "id": row_id,
        "protocol": protocol,
        "address": format_address(address),
        "port": port,
        "device": device,
        "netns": netns,
        "ephemeral": int(snapshot.ports.low <= port <= snapshot.ports.high),
        "process": ",".join(names[:_MAX_LABELS]) + (",..." if len(names) > _MAX_LABELS else ""),
        "sockets": len(sums.sockets),
    }
    if snapshot.visibility.ownership != BY_CGROUPS:
        row["processes"] = len(processes)
    if sums.established is not None:
        row["established"] = sums.established
    if protocol == "tcp":
        row |= _accept_queue_fields(sums.sockets)
    uids = [snapshot.uids[owner] for owner in sums.owners if owner in snapshot.uids]
    listening = protocol == "tcp"
    sockets = sums.established or 0
    return RankedRow(rank(min(uids, default=None), listening, sockets, row_id), row)


def _accept_queue_fields(sockets: Iterable[ListenerSocket]) -> JsonRow:
    """Return the sums of all sockets at one address, and the percentage of the worst."""
    waiting, together, worst = 0, 0, 0.0
    known = True
    for each in sockets:
        queue = each.accept_queue or 0
        waiting += queue
        if each.backlog is None:
            known = False
        else:
            together += each.backlog
            worst = max(worst, accept_queue_pct(queue, each.backlog))
    fields: JsonRow = {"accept_queue": waiting}
    if known:
        fields |= {"backlog": together, "accept_queue_pct": worst}
    return fields


def absent_listener() -> JsonRow:
    """Return the row that stands for every listener that is not in a complete list."""
    return {
        "id": ABSENT_ID,
        "processes": 0,
        "sockets": 0,
        "established": 0,
        "accept_queue": 0,
        "backlog": 0,
        "accept_queue_pct": 0,
    }
