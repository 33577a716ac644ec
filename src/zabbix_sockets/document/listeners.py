"""Rows of the list `listeners`: one for each address that TCP listens on or UDP is bound to."""

from __future__ import annotations

from _collections_abc import Collection

from zabbix_sockets.document.completeness import LACK_DROPS_OF_LISTENERS
from zabbix_sockets.document.listener_row import (
    ListenerClients,
    ListenerRow,
    Others,
    accept_queue,
    members_of,
    names_label,
    socket_unit,
)
from zabbix_sockets.document.row import (
    ALL_ROWS,
    OF_CLIENTS,
    OF_PROCESSES,
    Choice,
    NetnsLabel,
    Qualities,
    Rank,
    RankedRow,
    end_id,
    facts_of,
    has_unknown_drops,
    rank,
)
from zabbix_sockets.document.unix_listeners import unix_listener_rows
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.addresses import format_address
from zabbix_sockets.model.light_typing import Any
from zabbix_sockets.model.quality import Quality
from zabbix_sockets.model.snapshot import INBOUND, ListenerSocket, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

TYPE_CHECKING = False  # as in zabbix_sockets/__init__.py
if TYPE_CHECKING:  # a call that isn't asked for clients does without the module
    from zabbix_sockets.model.clients import Clients

_SYN_RECV, _CLOSE_WAIT, _FIN_WAIT, _LAST_ACK, _TIME_WAIT = range(1, 6)
_INDICES = {
    TcpState.ESTABLISHED: 0,
    TcpState.SYN_RECV: _SYN_RECV,
    TcpState.CLOSE_WAIT: _CLOSE_WAIT,
    TcpState.FIN_WAIT1: _FIN_WAIT,
    TcpState.FIN_WAIT2: _FIN_WAIT,
    TcpState.CLOSING: _FIN_WAIT,
    TcpState.LAST_ACK: _LAST_ACK,
    TcpState.TIME_WAIT: _TIME_WAIT,
}
"""The index of a state's number in a listener's counts, ESTABLISHED first."""

_ListenerKey = tuple[str, str, bytes, int, str]
"""The identity of a listener: protocol, label of its namespace, address, port, device."""


class _ListenerSums:
    """The listening *sockets* of one address, and the number of their *connections* by _INDICES."""

    def __init__(self, sockets: list[ListenerSocket], connections: list[int], netns: str) -> None:
        self.sockets = sockets
        self.netns = netns  # its label
        self.owners = {each.owner for each in sockets}
        self.containers: set[str] = set()
        self.counts = connections
        self.is_read = True  # its namespace, to the end
        self.has_drops = True  # that, and all tables
        self.clients: list[Clients] = []  # of the namespaces with the same label


_NO_CONNECTIONS = [0] * (_TIME_WAIT + 1)


def listener_rows(
    snapshot: Snapshot, groups: Groups, label: NetnsLabel, choice: Choice = ALL_ROWS
) -> list[RankedRow[ListenerRow]]:
    """Return a row for each address that sockets listen on (TCP, unix) or are bound to (UDP).

    *label* returns the label of a network namespace by its number. Of the rows that are not of
    *choice* there is one with their sums.
    """
    sockets: dict[_ListenerKey, list[ListenerSocket]] = {}
    for listener in snapshot.listeners:
        key = listener.protocol, label(listener.netns), *listener[2:5]
        known = sockets.get(key)
        if known is None:
            sockets[key] = [listener]
        else:
            known.append(listener)
    partly_read = {label(netns) for netns in snapshot.skipped}
    counts, qualities = _connections(snapshot, sockets, label, partly_read)
    facts = facts_of(snapshot, groups.grouping)
    published = _published_ports(snapshot)
    ranks = {
        key: _rank(snapshot, key, each, counts.get(key, _NO_CONNECTIONS)[0])
        for key, each in sockets.items()
    }
    chosen = choice.of(ranks)
    # Asked once: gaps may be as many as denied processes.
    lacks_drops = snapshot.visibility.has_gap(*LACK_DROPS_OF_LISTENERS)
    sums: dict[_ListenerKey, _ListenerSums] = {}
    others = Others()
    for key, each in sockets.items():
        of_key = _ListenerSums(each, counts.get(key, _NO_CONNECTIONS), key[1])
        of_key.is_read = key[1] not in partly_read
        of_key.has_drops = of_key.is_read and not lacks_drops
        if key in chosen:
            of_key.containers.update(_container_of(snapshot, one, published) for one in each)
            sums[key] = of_key
        else:
            _add_to(others, snapshot, of_key, facts, qualities.of(key) or 0)
    _add_clients(sums, snapshot, label)
    rows = [
        _listener_row(
            snapshot,
            groups,
            each,
            ranks[key],
            facts,
            None if key[0] == "udp" or not each.is_read else qualities.of(key),
        )
        for key, each in sums.items()
    ]
    rows += unix_listener_rows(snapshot, groups, label, facts, choice, others)
    return rows + others.row()


def _connections(
    snapshot: Snapshot,
    listening: Collection[_ListenerKey],
    label: NetnsLabel,
    partly_read: set[str],
) -> tuple[dict[_ListenerKey, list[int]], Qualities[_ListenerKey]]:
    """Return the connections of each of the *listening*, by _INDICES, and their samples.

    Those of the namespaces with the labels *partly_read* are not known.
    """
    counts: dict[_ListenerKey, list[int]] = {}
    qualities: Qualities[_ListenerKey] = Qualities(snapshot)
    for connection, count in snapshot.connections.items():
        state = _INDICES.get(connection.state)
        if connection.direction != INBOUND or state is None:
            continue
        protocol, netns, _, _, _, address, port, device, *_ = connection
        if address is None or port is None:
            continue
        key = protocol, label(netns), address, port, device
        if key not in listening:
            key = *key[:4], ""
        if key in listening and key[1] not in partly_read:
            counts.setdefault(key, list(_NO_CONNECTIONS))[state] += count
            if not state:
                qualities.add(key, connection)
    return counts, qualities


def _rank(
    snapshot: Snapshot, key: _ListenerKey, sockets: list[ListenerSocket], established: int
) -> Rank:
    protocol, netns, address, port, device = key
    uids = [snapshot.uids[each.owner] for each in sockets if each.owner in snapshot.uids]
    row_id = end_id(protocol, address, port, device, netns)
    return rank(min(uids, default=None), protocol == "tcp", established, row_id)


def _add_to(
    others: Others, snapshot: Snapshot, sums: _ListenerSums, facts: set[str], quality: Quality
) -> None:
    """Add a listener without a row of its own to *others*, the sums of all of these."""
    port = sums.sockets[0].port
    is_offered = not sums.netns and not snapshot.ports.has(port)
    others.add(is_offered=is_offered, **_additive(snapshot, sums, facts))
    others.quality += quality


def _additive(snapshot: Snapshot, sums: _ListenerSums, facts: set[str]) -> dict[str, Any]:
    """Return the fields of a row that may be added to those of another row, but for its totals."""
    is_tcp = sums.sockets[0].protocol == "tcp"
    waiting, backlog, _ = accept_queue(sums.sockets) if is_tcp else (None, None, None)
    counts = _counts(snapshot, sums)
    return {
        "processes": len(members_of(snapshot, sums.owners)) if OF_PROCESSES in facts else None,
        "sockets": len(sums.sockets),
        "established": counts[0],
        "syn_recv": counts[_SYN_RECV],
        "close_wait": counts[_CLOSE_WAIT],
        "fin_wait": counts[_FIN_WAIT],
        "last_ack": counts[_LAST_ACK],
        "time_wait": counts[_TIME_WAIT],
        "accept_queue": waiting,
        "backlog": backlog,
        "recv_queue_bytes": None if is_tcp else sum(each.recv_queue or 0 for each in sums.sockets),
        "drops": _drops(sums),
    }


def _add_clients(
    sums: dict[_ListenerKey, _ListenerSums], snapshot: Snapshot, label: NetnsLabel
) -> None:
    """Add the Snapshot's clients, if it has any, to the sums of their listeners."""
    if snapshot.clients is None:
        return
    for (netns, address, port, device), clients in snapshot.clients.by_end.items():
        key = "tcp", label(netns), address, port, device
        found = sums.get(key) or sums.get((*key[:4], ""))
        if found:
            found.clients.append(clients)


_Published = list[tuple[tuple[str, bytes, int, int], str]]
"""Published ports of the host, each with the container that they lead to."""


def _published_ports(snapshot: Snapshot) -> _Published:
    return [(each, one.container) for one in snapshot.namespaces.values() for each in one.published]


def _container_of(snapshot: Snapshot, listener: ListenerSocket, published: _Published) -> str:
    """Return the container that answers at a listening socket; empty if that is not one alone.

    It is that of the socket's namespace, or in the own one that for which the port is *published*:
    there another process of the host holds the socket, such as docker-proxy.
    """
    if listener.netns != OWN_NETNS:
        found = snapshot.namespaces.get(listener.netns)
        return found.container if found else ""
    is_wildcard = not any(listener.address)
    containers = {
        container
        for (protocol, address, first, last), container in published
        if protocol == listener.protocol
        and first <= listener.port <= last
        and (address == listener.address if address else is_wildcard)
    }
    return containers.pop() if len(containers) == 1 else ""


def _listener_row(
    snapshot: Snapshot,
    groups: Groups,
    sums: _ListenerSums,
    ranked: Rank,
    facts: set[str],
    quality: Quality | None,
) -> RankedRow[ListenerRow]:
    protocol, _, address, port, device, *_ = sums.sockets[0]
    netns = sums.netns
    members = members_of(snapshot, sums.owners)
    is_tcp = protocol == "tcp"
    row = ListenerRow(
        id=ranked[3],
        protocol=protocol,
        address=format_address(address),
        port=port,
        device=device,
        netns=netns,
        container=(sums.containers.pop() or None) if len(sums.containers) == 1 else None,
        socket_unit=socket_unit(snapshot, netns, members, (protocol, address, port, device)),
        ephemeral=int(snapshot.ports.has(port)),
        process=names_label(groups, sums.owners),
        accept_queue_pct=accept_queue(sums.sockets)[2] if is_tcp else None,
        clients=_clients(sums.clients) if is_tcp and sums.is_read and OF_CLIENTS in facts else None,
        **_additive(snapshot, sums, facts),
    )
    return RankedRow(ranked, row, quality, members)


def _counts(snapshot: Snapshot, sums: _ListenerSums) -> list[int | None]:
    """Return a listener's connections by _INDICES; None for a state that can't be told."""
    if not sums.is_read:
        return [None] * len(sums.counts)
    counts: list[int | None] = list(sums.counts)
    if sums.sockets[0].protocol != "tcp":
        return [counts[0], *[None] * _TIME_WAIT]
    if snapshot.lacks_without_file and any(each.netns != OWN_NETNS for each in sums.sockets):
        counts[_FIN_WAIT] = counts[_LAST_ACK] = counts[_TIME_WAIT] = None
    return counts


def _drops(sums: _ListenerSums) -> int | None:
    """Return the packets dropped at a listener's sockets; None if some are unknown.

    A socket that was not read would make a counter fall, and rise by all of its drops afterwards.
    """
    if not sums.has_drops or any(map(has_unknown_drops, sums.sockets)):
        return None
    return sum(each.drops or 0 for each in sums.sockets)


def _clients(parts: list[Clients]) -> ListenerClients:
    """Return the figures of a listener's clients, which are those of all *parts* together."""
    from zabbix_sockets.model.clients import merged  # noqa: PLC0415  # for those who ask

    clients = merged(parts)
    top = clients.top()
    address, connections = top or (None, 0)
    return ListenerClients(
        distinct=clients.distinct,
        distinct_error_pct=round(clients.distinct_error_pct, 2),
        top_address=None if address is None else format_address(address),
        top_connections=connections,
        top_error=clients.most_forgotten,
        top_pct=round(100 * connections / max(1, clients.connections), 1),
    )
