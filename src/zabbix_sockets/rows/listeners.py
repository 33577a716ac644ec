"""`listeners[]`: each distinct listening TCP and bound UDP address."""

from collections.abc import Iterable

from zabbix_sockets.addresses import format_address, format_endpoint
from zabbix_sockets.groups import Groups
from zabbix_sockets.model import INBOUND, ListenerSocket, Snapshot, TcpState
from zabbix_sockets.rows import ABSENT_ID, JsonRow, RankedRow, accept_queue_pct, rank

_MAX_LABELS = 3


class _ListenerSums:
    """What the sockets at one address add up to."""

    def __init__(self) -> None:
        self.sockets: list[ListenerSocket] = []
        self.owners: set[int] = set()
        self.established = 0


def listener_rows(snapshot: Snapshot, groups: Groups) -> list[RankedRow]:
    """Return a row for each distinct listening TCP and bound UDP address."""
    sums: dict[tuple[str, str, bytes, int, str], _ListenerSums] = {}
    for listener in snapshot.listeners:
        key = listener[:5]
        each = sums.get(key)
        if each is None:
            each = sums[key] = _ListenerSums()
        each.sockets.append(listener)
        each.owners.add(listener.owner)
    for connection, count in snapshot.connections.items():
        if connection.direction == INBOUND and connection.state == TcpState.ESTABLISHED:
            protocol, netns, _, _, _, at, number, device, *_ = connection
            if at is None or number is None:
                continue
            found = sums.get((protocol, netns, at, number, device)) or sums.get(
                (protocol, netns, at, number, "")
            )
            if found:
                found.established += count
    return [_listener_row(snapshot, groups, each) for each in sums.values()]


def _listener_row(snapshot: Snapshot, groups: Groups, sums: _ListenerSums) -> RankedRow:
    protocol, netns, address, port, device, *_ = sums.sockets[0]
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
        "processes": len(processes),
        "sockets": len(sums.sockets),
        "established": sums.established,
    }
    if protocol == "tcp":
        row |= _accept_queue_fields(sums.sockets)
    uids = [snapshot.uids[owner] for owner in sums.owners if owner in snapshot.uids]
    listening = protocol == "tcp"
    return RankedRow(rank(min(uids, default=None), listening, sums.established, row_id), row)


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
    return {"id": ABSENT_ID, "processes": 0, "sockets": 0, "established": 0, "accept_queue": 0}
