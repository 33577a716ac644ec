"""Rows of the list `listeners`: each listening TCP and bound UDP address, each unix listener."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from zabbix_sockets.document.record import (
    ABSENT_ID,
    COUNTER,
    Record,
    number,
    part,
    percentage,
    text,
    yes_no,
)
from zabbix_sockets.document.row import (
    ALL_ROWS,
    BEHIND_ALL,
    OF_CLIENTS,
    OF_PROCESSES,
    Choice,
    NetnsLabel,
    Qualities,
    Rank,
    RankedRow,
    Row,
    accept_queue_pct,
    facts_of,
    has_unknown_drops,
    rank,
)
from zabbix_sockets.document.totals import ListenerTotals
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.addresses import format_address, format_endpoint
from zabbix_sockets.model.gaps import TABLE
from zabbix_sockets.model.names import is_autobound, unix_name
from zabbix_sockets.model.quality import Quality
from zabbix_sockets.model.snapshot import (
    INBOUND,
    ListenerSocket,
    ListeningEnd,
    Snapshot,
    UnixListener,
)
from zabbix_sockets.model.wire import OWN_NETNS, UNIX, TcpState

TYPE_CHECKING = False  # as in zabbix_sockets/__init__.py
if TYPE_CHECKING:  # a call that isn't asked for clients does without the module
    from zabbix_sockets.model.clients import Clients

_MAX_LABELS = 3


class ListenerClients(Record):
    """The remote addresses that have connections, in ESTABLISHED, with a listener.

    Beyond a bound (model.clients) *distinct* is an estimate, with a standard error in percent, and
    *top_connections* is too low by *top_error* at most; the errors are 0 where they are exact.
    *top_address* has most connections, and *top_pct* percent of all; it is absent without any.
    """

    distinct: int = number("addresses")
    distinct_error_pct: float = percentage()
    top_address: str | None = text(default=None)
    top_connections: int = number("connections")
    top_error: int = number("connections")
    top_pct: float = percentage()


class ListenerRow(Row):
    """The sockets that listen (TCP, unix) or are bound (UDP) at one address, and their connections.

    *established* is absent if the namespace was not read to its end. The other states are those of
    TCP connections to the listener, whether or not a process has them; *fin_wait* is FIN_WAIT1,
    FIN_WAIT2 and CLOSING. They are absent where *established* is; *fin_wait*, *last_ack* and
    *time_wait* also in other namespaces, if the source doesn't see there what no process has.
    *accept_queue*, *backlog* and *accept_queue_pct* are of TCP and unix sockets; the latter two are
    absent if one socket's backlog is unknown. Unix sockets have no *port*; *established* and
    *accept_queue* are absent where the source can't tell which of two of a name they belong to.
    *recv_queue_bytes* is of UDP. *drops*, of TCP and UDP, are those of the sockets that live: what
    was dropped at one is forgotten when it closes, so the number may fall; it is absent if one
    socket's are unknown, or the namespace was not read to its end.
    *container* is absent if none is known to answer, or more than one. *socket_unit* is there while
    systemd holds a socket for one. *unit* is the systemd unit of its processes, told only of what
    is new (Admission.apply); it is absent if they have none, or several. *clients* is of TCP, and
    absent where *established* is, and where nobody asked for it.
    """

    SINGULAR = "listener"

    id: str = text(macro="{#ID}", zero=ABSENT_ID)
    protocol: str = text(macro="{#PROTOCOL}")
    address: str = text(macro="{#ADDRESS}")
    port: int | None = number("", macro="{#PORT}", default=None)
    device: str = text()
    netns: str = text(macro="{#NETNS}")
    container: str | None = text(default=None)
    socket_unit: str | None = text(default=None)
    unit: str | None = text(default=None)
    ephemeral: int = yes_no(macro="{#EPHEMERAL}")
    process: str = text(macro="{#PROCESS}")
    admitted: int | None = number("", macro="{#ADMITTED}", default=None)
    processes: int | None = number(
        "processes", additive=True, zero=0, needs=OF_PROCESSES, default=None
    )
    sockets: int = number("sockets", additive=True, zero=0)
    established: int | None = number("connections", additive=True, zero=0, default=None)
    syn_recv: int | None = number("connections", additive=True, zero=0, default=None)
    close_wait: int | None = number("connections", additive=True, zero=0, default=None)
    fin_wait: int | None = number("connections", additive=True, zero=0, default=None)
    last_ack: int | None = number("connections", additive=True, zero=0, default=None)
    time_wait: int | None = number("connections", additive=True, zero=0, default=None)
    accept_queue: int | None = number("connections", additive=True, zero=0, default=None)
    backlog: int | None = number("connections", additive=True, zero=0, default=None)
    accept_queue_pct: float | None = percentage(zero=0, default=None)
    recv_queue_bytes: int | None = number("B", additive=True, zero=0, default=None)
    drops: int | None = number("packets", COUNTER, additive=True, zero=0, default=None)
    totals: ListenerTotals | None = part(ListenerTotals, default=None)
    clients: ListenerClients | None = part(ListenerClients, zero=0, needs=OF_CLIENTS, default=None)


_SYN_RECV, _CLOSE_WAIT, _FIN_WAIT, _LAST_ACK, _TIME_WAIT = range(1, 6)
_INDICES = {
    TcpState.ESTABLISHED.value: 0,
    TcpState.SYN_RECV.value: _SYN_RECV,
    TcpState.CLOSE_WAIT.value: _CLOSE_WAIT,
    TcpState.FIN_WAIT1.value: _FIN_WAIT,
    TcpState.FIN_WAIT2.value: _FIN_WAIT,
    TcpState.CLOSING.value: _FIN_WAIT,
    TcpState.LAST_ACK.value: _LAST_ACK,
    TcpState.TIME_WAIT.value: _TIME_WAIT,
}
"""The index of a state's number in a listener's counts, ESTABLISHED first."""

_ListenerKey = tuple[str, str, bytes, int, str]
"""The identity of a listener: protocol, label of its namespace, address, port, device."""


class _ListenerSums:
    """The sums over the *sockets* at one address, which have *connections* by _INDICES."""

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
    lacks_sockets = snapshot.visibility.has_gap(TABLE)  # gaps may be as many as denied processes
    sums: dict[_ListenerKey, _ListenerSums] = {}
    others = _Others()
    for key, each in sockets.items():
        of_key = _ListenerSums(each, counts.get(key, _NO_CONNECTIONS), key[1])
        of_key.is_read = key[1] not in partly_read
        of_key.has_drops = of_key.is_read and not lacks_sockets
        if key in chosen:
            of_key.containers.update(_container_of(snapshot, one, published) for one in each)
            sums[key] = of_key
        else:
            others.add_sums(snapshot, of_key, facts)
            others.quality += qualities.of(key) or 0
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
    rows += _unix_rows(snapshot, groups, label, facts, choice, others)
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
    row_id = listener_id(protocol, address, port, device, netns)
    return rank(min(uids, default=None), protocol == "tcp", established, row_id)


class _Others:
    """The sums of listeners that have no row of their own, as a local user may have very many.

    Attributes:
        quality: the sum of their connections' samples.
    """

    def __init__(self) -> None:
        self.quality: Quality = 0
        self._figures: dict[str, int] = {}
        self._rows = 0
        self._not_offered = 0

    def add(self, *, is_offered: bool, **figures: int | None) -> None:
        """Add a listener by its additive fields; one that is None is not known.

        *is_offered*: by default the templates would discover it, if it was admitted.
        """
        self._rows += 1
        self._not_offered += is_offered
        for name, value in figures.items():
            self._figures[name] = self._figures.get(name, 0) + (value or 0)

    def add_sums(self, snapshot: Snapshot, sums: _ListenerSums, facts: set[str]) -> None:
        """Add a listener of TCP or UDP."""
        is_tcp, port = sums.sockets[0].protocol == "tcp", sums.sockets[0].port
        waiting, backlog, _ = _accept_queue(sums.sockets) if is_tcp else (None, None, None)
        counts = _counts(snapshot, sums)
        self.add(
            is_offered=not sums.netns and not snapshot.ports.low <= port <= snapshot.ports.high,
            processes=len(_members(snapshot, sums.owners)) if OF_PROCESSES in facts else None,
            sockets=len(sums.sockets),
            established=counts[0],
            syn_recv=counts[_SYN_RECV],
            close_wait=counts[_CLOSE_WAIT],
            fin_wait=counts[_FIN_WAIT],
            last_ack=counts[_LAST_ACK],
            time_wait=counts[_TIME_WAIT],
            accept_queue=waiting,
            backlog=backlog,
            recv_queue_bytes=None if is_tcp else sum(each.recv_queue or 0 for each in sums.sockets),
            drops=_drops(sums),
        )

    def row(self) -> list[RankedRow[ListenerRow]]:
        """Return the row that stands for them, if there are any: it is never in a document."""
        if not self._rows:
            return []
        labels = dict.fromkeys(("id", "protocol", "address", "device", "netns", "process"), "")
        figures: dict[str, Any] = {**labels, "ephemeral": 0, "sockets": 0, **self._figures}
        made = ListenerRow(**figures)
        found = RankedRow(BEHIND_ALL, made, self.quality)
        found.stands_for, found.not_offered = self._rows, self._not_offered
        return [found]


def _members(snapshot: Snapshot, owners: Collection[int]) -> set[int]:
    return {index for owner in owners for index in snapshot.owners.get(owner, ())}


def _unix_rows(
    snapshot: Snapshot,
    groups: Groups,
    label: NetnsLabel,
    facts: set[str],
    choice: Choice,
    others: _Others,
) -> list[RankedRow[ListenerRow]]:
    """Return a row for each name that unix sockets listen on, of those of *choice*.

    The sums of the others are added to *others*.
    """
    listening: dict[tuple[str, bytes], list[UnixListener]] = {}
    for listener in snapshot.unix.listeners if snapshot.unix else ():
        listening.setdefault((label(listener.netns), listener.name), []).append(listener)
    ranks = {key: _unix_rank(*key, sockets) for key, sockets in listening.items()}
    chosen = choice.of(ranks)
    rows = []
    for key, sockets in listening.items():
        if key in chosen:
            rows.append(_unix_row(snapshot, groups, sockets, key[0], facts, ranks[key]))
            continue
        waiting, backlog, _ = _accept_queue(sockets)
        owners = {each.owner for each in sockets}
        others.add(
            is_offered=not key[0] and not is_autobound(key[1]),
            processes=len(_members(snapshot, owners)) if OF_PROCESSES in facts else None,
            sockets=len(sockets),
            established=_unix_established(sockets),
            accept_queue=waiting,
            backlog=backlog,
        )
    return rows


def _unix_rank(netns: str, name: bytes, sockets: list[UnixListener]) -> Rank:
    uids = (each.uid for each in sockets if each.uid is not None)
    row_id = f"{UNIX}/{unix_name(name)}" + (f"@{netns}" if netns else "")
    # Behind TCP's: of these none shall be left out for them.
    return rank(min(uids, default=None), False, _unix_established(sockets) or 0, row_id)


def _unix_established(sockets: list[UnixListener]) -> int | None:
    accepted = _sum_of_known(each.accepted for each in sockets)
    waiting = _sum_of_known(each.accept_queue for each in sockets)
    return None if accepted is None or waiting is None else accepted + waiting


def _unix_row(
    snapshot: Snapshot,
    groups: Groups,
    sockets: list[UnixListener],
    netns: str,
    facts: set[str],
    ranked: Rank,
) -> RankedRow[ListenerRow]:
    owners = {each.owner for each in sockets}
    members = _members(snapshot, owners)
    waiting, backlog, pct = _accept_queue(sockets)
    namespaces = {each.netns: snapshot.namespaces.get(each.netns) for each in sockets}
    containers = {found.container if found else "" for found in namespaces.values()}
    row = ListenerRow(
        id=ranked[3],
        protocol=UNIX,
        address=unix_name(sockets[0].name),
        device="",
        netns=netns,
        container=(containers.pop() or None) if len(containers) == 1 else None,
        socket_unit=_socket_unit(snapshot, netns, members, (UNIX, sockets[0].name, 0, "")),
        ephemeral=int(is_autobound(sockets[0].name)),
        process=_names_label(groups, owners),
        sockets=len(sockets),
        processes=len(members) if OF_PROCESSES in facts else None,
        established=_unix_established(sockets),
        accept_queue=waiting,
        backlog=backlog,
        accept_queue_pct=pct,
    )
    return RankedRow(ranked, row, None, members)


def _socket_unit(
    snapshot: Snapshot, netns: str, members: Collection[int], end: ListeningEnd
) -> str | None:
    """Return the socket unit for which systemd holds a socket at *end*.

    It is pid 1 if it is one of *members*, the indices of processes; None: it isn't, *netns* is not
    the label of the own namespace, or the unit isn't known.
    """
    if netns or not any(snapshot.processes[index].pid == 1 for index in members):
        return None
    return snapshot.socket_units.get(end)


def _sum_of_known(counts: Iterable[int | None]) -> int | None:
    """Return the sum; None if one of *counts* is."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _names_label(groups: Groups, owners: set[int]) -> str:
    """Return the names of the groups that have *owners*, at most _MAX_LABELS of them."""
    names = groups.of_all(owners)
    return ",".join(names[:_MAX_LABELS]) + (",..." if len(names) > _MAX_LABELS else "")


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


def listener_id(protocol: str, address: bytes, port: int, device: str, netns: str) -> str:
    """Return the id of a listener; *netns* is the label of its namespace, empty for the own one."""
    return f"{protocol}/{format_endpoint(address, port, device)}" + (f"@{netns}" if netns else "")


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
    members = _members(snapshot, sums.owners)
    is_tcp = protocol == "tcp"
    waiting, backlog, pct = _accept_queue(sums.sockets) if is_tcp else (None, None, None)
    counts = _counts(snapshot, sums)
    row = ListenerRow(
        id=ranked[3],
        protocol=protocol,
        address=format_address(address),
        port=port,
        device=device,
        netns=netns,
        container=(sums.containers.pop() or None) if len(sums.containers) == 1 else None,
        socket_unit=_socket_unit(snapshot, netns, members, (protocol, address, port, device)),
        ephemeral=int(snapshot.ports.low <= port <= snapshot.ports.high),
        process=_names_label(groups, sums.owners),
        sockets=len(sums.sockets),
        processes=len(members) if OF_PROCESSES in facts else None,
        established=counts[0],
        syn_recv=counts[_SYN_RECV],
        close_wait=counts[_CLOSE_WAIT],
        fin_wait=counts[_FIN_WAIT],
        last_ack=counts[_LAST_ACK],
        time_wait=counts[_TIME_WAIT],
        accept_queue=waiting,
        backlog=backlog,
        accept_queue_pct=pct,
        recv_queue_bytes=None if is_tcp else sum(each.recv_queue or 0 for each in sums.sockets),
        drops=_drops(sums),
        clients=_clients(sums.clients) if is_tcp and sums.is_read and OF_CLIENTS in facts else None,
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
    """Return what was dropped at a listener's sockets; None if some of it is unknown.

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


def _accept_queue(
    sockets: Collection[ListenerSocket | UnixListener],
) -> tuple[int | None, int | None, float | None]:
    """Return the sums of accept queues and of backlogs, and the highest percentage of one socket.

    The first is None if one queue is unknown, the others also if the backlog of one is.
    """
    backlogs, worst = 0, 0.0
    waiting = _sum_of_known(each.accept_queue for each in sockets)
    for each in sockets:
        if each.backlog is None or each.accept_queue is None:
            return waiting, None, None
        backlogs += each.backlog
        worst = max(worst, accept_queue_pct(each.accept_queue, each.backlog))
    return waiting, backlogs, worst
