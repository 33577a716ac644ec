"""Clients of listeners by the iterator count_clients, a pass of its own over all sockets.

Its records are counted undecoded, as those of sockets are (record_fold). Connections that wait to
be accepted have no file: where there are any in the own namespace, the tables tell whose they are.
"""

from __future__ import annotations

import struct
from _collections_abc import Iterable
from _socket import AF_INET, AF_INET6

from zabbix_sockets.collector.directions import Directions, DirectionsByTable
from zabbix_sockets.collector.iterator.record_fold import ENCODING
from zabbix_sockets.collector.row_clients import RowClients
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.sums import MAX_DISTINCT
from zabbix_sockets.collector.table_readers import TCP_TABLES, tcp_rows
from zabbix_sockets.model import gaps
from zabbix_sockets.model.addresses import IPV4_LENGTH, unmapped
from zabbix_sockets.model.clients import Clients, ClientSums, ListenerEndpoint
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.light_library import count_elements
from zabbix_sockets.model.snapshot import DeviceName, ListenerSocket, Snapshot
from zabbix_sockets.model.wire import (
    INODE,
    LISTENING,
    LISTENING_MASK,
    LOCAL_ADDRESS,
    LOCAL_PORT,
    OWN_NETNS,
    STATE,
    TcpState,
)
from zabbix_sockets.readers.bpf.records import (
    CLIENT,
    CLIENT_END,
    COUNT_CLIENTS,
    IPV6,
    SHARED,
    read_chunks,
)

_UNDECODED = struct.Struct(f"{CLIENT.size}s")
_INODE_AT, _ADDRESS_AT = CLIENT_END.size, CLIENT_END.size + 4
_FLAGS_AT = _INODE_AT - 1
_STATES = LISTENING_MASK["tcp"] | 1 << TcpState.ESTABLISHED


def add_clients(
    snapshot: Snapshot,
    plan: Plan,
    deadline: Deadline,
    netns: int,
    device_name: DeviceName,
    *,
    own_only: bool,
) -> None:
    """Read the clients of the Snapshot's listeners into it, by an iterator of the plan.

    If they can't be read to the end, there are none, and the Snapshot has a gap. *netns* is the
    inode number of the caller's network namespace; *own_only*: those of others are left out.
    """
    assert plan.open_iterator
    # What these accepted looks as if connect(2) had taken its port, until the pass has met them.
    is_undecided = any(
        not each.backlog and snapshot.ports.has(each.port) for each in _tcp(snapshot)
    )
    passes = 2 if is_undecided else 1
    try:
        for _ in range(passes):
            found = RecordClients(snapshot, netns, device_name, own_only=own_only)
            found.read(plan.open_iterator(COUNT_CLIENTS), deadline)
        snapshot.clients = found.sums
        if any(each.accept_queue and each.netns == OWN_NETNS for each in _tcp(snapshot)):
            _add_unaccepted(snapshot, plan, deadline, device_name)
    except (DeadlineError, OSError, ParseError, SourceUnavailableError) as error:
        snapshot.visibility.add_gap(gaps.CLIENTS)
        if not isinstance(error, DeadlineError):
            plan.warn(f"clients: {error}")


def _tcp(snapshot: Snapshot) -> Iterable[ListenerSocket]:
    return (each for each in snapshot.listeners if each.protocol == "tcp")


class RecordClients:
    """The clients by the records of established connections.

    Args:
        snapshot: the Snapshot that has all listeners.
        netns: the inode number of the caller's network namespace.
        device_name: names devices by namespace and index.
        own_only: the records of other namespaces are left out.

    Attributes:
        sums: the clients by their listeners.
    """

    def __init__(
        self, snapshot: Snapshot, netns: int, device_name: DeviceName, *, own_only: bool = False
    ) -> None:
        self.sums: ClientSums[ListenerEndpoint] = ClientSums()
        self._directions = DirectionsByTable(snapshot.listeners, ENCODING, snapshot.ports)
        self._netns = netns
        self._device_name = device_name
        self._own_only = own_only
        self._by_end: dict[bytes, Clients | None] = {}
        self._shared: set[bytes] = set()  # inodes of sockets with several owners

    def read(self, fd: int, deadline: Deadline) -> None:
        """Count the records of the iterator *fd*, and close it.

        Raises:
            DeadlineError, OSError, ParseError: as read_chunks().
        """
        counted: dict[tuple[bytes], int] = {}
        for chunk in read_chunks(fd, CLIENT.size, deadline):
            count_elements(counted, _UNDECODED.iter_unpack(chunk))
            if len(counted) > MAX_DISTINCT:
                self._drain(counted)
        self._drain(counted)

    def _drain(self, counted: dict[tuple[bytes], int]) -> None:
        """Give the connections to their listeners, and empty *counted*."""
        shared = self._shared
        last, flags, clients = b"", 0, None
        for (data,), count in counted.items():
            end = data[:_INODE_AT]
            if end != last:  # one process's sockets come together
                last, flags, clients = end, end[_FLAGS_AT], self._clients_of(end)
            if flags & SHARED:
                inode = data[_INODE_AT:_ADDRESS_AT]
                if inode in shared:
                    continue
                shared.add(inode)
                count = 1  # noqa: PLW2901  # it is one socket, however often it comes
            if clients is None:
                continue
            if flags & IPV6:
                clients.add(unmapped(data[_ADDRESS_AT:]), count)
            else:
                clients.add(data[_ADDRESS_AT : _ADDRESS_AT + IPV4_LENGTH], count)
        counted.clear()
        self.sums.trim()

    def _clients_of(self, end: bytes) -> Clients | None:
        """Return the clients of the listener at a connection's local end.

        *end* is the part of a record before the inode. None: no listener is there, or its namespace
        is left out.
        """
        if end not in self._by_end:
            if len(self._by_end) > MAX_DISTINCT:  # a proxy that takes any address (TPROXY)
                self._by_end.clear()
            self._by_end[end] = self._find_clients_of(end)
        return self._by_end[end]

    def _find_clients_of(self, end: bytes) -> Clients | None:
        """Return the same as _clients_of(), by the rules for directions."""
        netns, device, local, port, _kind, flags = CLIENT_END.unpack(end)
        if netns == self._netns:
            netns = OWN_NETNS
        elif self._own_only:
            return None
        table = self._directions.table("tcp", AF_INET6 if flags & IPV6 else AF_INET, netns)
        server = table.accepted_by(port, local)
        if server is None:
            return None
        address = ENCODING.address(server)
        return self.sums.of((netns, address, port, self._device_name(netns, device)))


def _add_unaccepted(
    snapshot: Snapshot, plan: Plan, deadline: Deadline, device_name: DeviceName
) -> None:
    """Add the clients whose connections wait in accept queues of the own namespace.

    Raises:
        DeadlineError, OSError, ParseError, SourceUnavailableError: they can't be read.
    """
    opened = plan.open(tcp_rows(deadline, _STATES))
    found = {}
    for table in TCP_TABLES:
        directions = Directions(opened.encoding, table.family, snapshot.ports)
        found[table.family] = directions, RowClients(table, opened.encoding, directions)
    for family, batch in opened.batches:
        directions, clients = found[family]
        rows = list(batch)
        for row in rows:
            if row[STATE] == LISTENING["tcp"]:
                directions.add_listener(row[LOCAL_PORT], row[LOCAL_ADDRESS])
        clients.add(row for row in rows if not row[INODE])
    for _, clients in found.values():
        clients.move(snapshot, device_name)
