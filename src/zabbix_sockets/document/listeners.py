"""Rows of the list `listeners`: each distinct listening TCP and bound UDP address."""

from collections.abc import Iterable

from zabbix_sockets.document.record import ABSENT_ID, number, percentage, text, yes_no
from zabbix_sockets.document.row import (
    OF_PROCESSES,
    NetnsLabel,
    Qualities,
    RankedRow,
    Row,
    accept_queue_pct,
    facts_of,
    rank,
)
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.addresses import format_address, format_endpoint
from zabbix_sockets.model.quality import Quality
from zabbix_sockets.model.snapshot import INBOUND, ListenerSocket, Snapshot
from zabbix_sockets.model.wire import TcpState

_MAX_LABELS = 3


class ListenerRow(Row):
    """The sockets that listen (TCP) or are bound (UDP) at one address, and their connections.

    *established* is absent if the namespace was not read to its end. *accept_queue*, *backlog* and
    *accept_queue_pct* are of TCP; the latter two are absent if one socket's backlog is unknown.
    """

    SINGULAR = "listener"

    id: str = text(macro="{#ID}", zero=ABSENT_ID)
    protocol: str = text(macro="{#PROTOCOL}")
    address: str = text(macro="{#ADDRESS}")
    port: int = number("", macro="{#PORT}")
    device: str = text()
    netns: str = text(macro="{#NETNS}")
    ephemeral: int = yes_no(macro="{#EPHEMERAL}")
    process: str = text(macro="{#PROCESS}")
    processes: int | None = number(
        "processes", additive=True, zero=0, needs=OF_PROCESSES, default=None
    )
    sockets: int = number("sockets", additive=True, zero=0)
    established: int | None = number("connections", additive=True, zero=0, default=None)
    accept_queue: int | None = number("connections", additive=True, zero=0, default=None)
    backlog: int | None = number("connections", additive=True, zero=0, default=None)
    accept_queue_pct: float | None = percentage(zero=0, default=None)


_ListenerKey = tuple[str, str, bytes, int, str]
"""The identity of a listener: protocol, label of its namespace, address, port, device."""


class _ListenerSums:
    """The sums over the sockets at one address."""

    def __init__(self) -> None:
        self.sockets: list[ListenerSocket] = []
        self.owners: set[int] = set()
        self.established: int | None = 0


def listener_rows(
    snapshot: Snapshot, groups: Groups, label: NetnsLabel
) -> list[RankedRow[ListenerRow]]:
    """Return a row for each address that sockets listen on (TCP) or are bound to (UDP).

    *label* returns the label of a network namespace by its number.
    """
    sums: dict[_ListenerKey, _ListenerSums] = {}
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
    qualities: Qualities[_ListenerKey] = Qualities(snapshot)
    for connection, count in snapshot.connections.items():
        if connection.direction == INBOUND and connection.state == TcpState.ESTABLISHED:
            protocol, netns, _, _, _, address, port, device, *_ = connection
            if address is None or port is None:
                continue
            key = protocol, label(netns), address, port, device
            if key not in sums:
                key = *key[:4], ""
            found = sums.get(key)
            if found and found.established is not None:
                found.established += count
                qualities.add(key, connection)
    facts = facts_of(snapshot, groups.grouping)
    return [
        _listener_row(
            snapshot,
            groups,
            each,
            label,
            facts,
            None if key[0] == "udp" or each.established is None else qualities.of(key),
        )
        for key, each in sums.items()
    ]


def _listener_row(
    snapshot: Snapshot,
    groups: Groups,
    sums: _ListenerSums,
    label: NetnsLabel,
    facts: set[str],
    quality: Quality | None,
) -> RankedRow[ListenerRow]:
    protocol, in_netns, address, port, device, *_ = sums.sockets[0]
    netns = label(in_netns)
    names = groups.of_all(sums.owners)
    row_id = f"{protocol}/{format_endpoint(address, port, device)}" + (f"@{netns}" if netns else "")
    is_tcp = protocol == "tcp"
    waiting, backlog, pct = _accept_queue(sums.sockets) if is_tcp else (None, None, None)
    row = ListenerRow(
        id=row_id,
        protocol=protocol,
        address=format_address(address),
        port=port,
        device=device,
        netns=netns,
        ephemeral=int(snapshot.ports.low <= port <= snapshot.ports.high),
        process=",".join(names[:_MAX_LABELS]) + (",..." if len(names) > _MAX_LABELS else ""),
        sockets=len(sums.sockets),
        processes=_count_processes(snapshot, sums.owners) if OF_PROCESSES in facts else None,
        established=sums.established,
        accept_queue=waiting,
        backlog=backlog,
        accept_queue_pct=pct,
    )
    uids = [snapshot.uids[owner] for owner in sums.owners if owner in snapshot.uids]
    ranked = rank(min(uids, default=None), is_tcp, sums.established or 0, row_id)
    return RankedRow(ranked, row, quality)


def _count_processes(snapshot: Snapshot, owners: Iterable[int]) -> int:
    """Return the number of distinct processes among the *owners*."""
    return len({index for owner in owners for index in snapshot.owners.get(owner, ())})


def _accept_queue(sockets: Iterable[ListenerSocket]) -> tuple[int, int | None, float | None]:
    """Return the sums of accept queues and of backlogs, and the highest percentage of one socket.

    The latter two are None if the backlog of one is unknown.
    """
    waiting, backlogs, worst = 0, 0, 0.0
    known = True
    for each in sockets:
        queue = each.accept_queue or 0
        waiting += queue
        if each.backlog is None:
            known = False
        else:
            backlogs += each.backlog
            worst = max(worst, accept_queue_pct(queue, each.backlog))
    return (waiting, backlogs, worst) if known else (waiting, None, None)
