"""Clients of listeners by the rows of a socket table: who has how many connections with each."""

from __future__ import annotations

from _collections_abc import Iterable
from itertools import repeat

from zabbix_sockets.collector.directions import Directions
from zabbix_sockets.collector.row_fold import TableFold
from zabbix_sockets.collector.sums import MAX_DISTINCT
from zabbix_sockets.model.addresses import unmapped
from zabbix_sockets.model.clients import Clients, ClientSums
from zabbix_sockets.model.light_library import count_elements
from zabbix_sockets.model.quality import Quality
from zabbix_sockets.model.snapshot import DeviceName, Snapshot
from zabbix_sockets.model.wire import (
    INODE,
    STATE,
    AddressToken,
    Encoding,
    SocketRow,
    Table,
    TcpState,
)

_ESTABLISHED = TcpState.ESTABLISHED

RowEnd = tuple[int, AddressToken, int]
"""The local end of a connection, as rows have it: port, address, index of the device."""


class RowClients:
    """The clients by the established connections of one TCP table.

    Args:
        table: the table.
        encoding: the encoding of the rows' addresses and ports.
        directions: the decisions by the table's listeners. All of these are known before any
            connection is settled.
    """

    def __init__(self, table: Table, encoding: Encoding, directions: Directions) -> None:
        self._table = table
        self._encoding = encoding
        self._directions = directions
        self._counted: dict[tuple[int, AddressToken, int, AddressToken], int] = {}
        self._sums: ClientSums[RowEnd] = ClientSums()

    def add(self, rows: Iterable[SocketRow]) -> None:
        """Count the established connections among *rows*, whatever their direction."""
        established = (
            (port, local, device, remote)
            for state, port, _, local, remote, device, *_ in rows
            if state == _ESTABLISHED
        )
        count_elements(self._counted, established)

    def settle(self) -> None:
        """Give the connections to their listeners, if many distinct ones wait for that."""
        if len(self._counted) > MAX_DISTINCT:
            self._drain()

    def _drain(self) -> None:
        """Give the connections to their listeners, and forget them here."""
        decode = self._encoding.address
        found: dict[RowEnd, Clients | None] = {}
        for (port, local, device, remote), count in self._counted.items():
            end = port, local, device
            if end not in found:
                found[end] = self._clients_of(*end)
            clients = found[end]
            if clients is not None:
                clients.add(unmapped(decode(remote)), count)
        self._counted.clear()
        self._sums.trim()

    def _clients_of(self, port: int, local: AddressToken, device: int) -> Clients | None:
        """Return the clients of the listener that has accepted at a local end; None: none has."""
        server = self._directions.accepted_by(port, local)
        return None if server is None else self._sums.of((port, server, device))

    def move(self, snapshot: Snapshot, device_name: DeviceName) -> None:
        """Add the clients to those of the Snapshot; *device_name* names devices by index."""
        assert snapshot.clients is not None
        self._drain()
        netns, (address, port, _) = self._table.netns, self._encoding
        for (number, server, device), clients in self._sums.by_end.items():
            end = netns, address(server), port(number), device_name(netns, device)
            snapshot.clients.add(end, clients)
        snapshot.clients.trim()


class FoldWithClients(TableFold):
    """The sums of one TCP table, and the clients of its listeners."""

    _clients: RowClients | None = None

    def add(self, rows: Iterable[SocketRow], samples: Iterable[Quality] = repeat(0)) -> None:
        """Count *rows* as TableFold does, and the clients of those that it hasn't counted yet."""
        if self._clients is None:
            self._clients = RowClients(self.table, self.encoding, self.directions)
        rows = list(rows)
        new = {
            row[INODE] or -at: row  # those without an inode never come twice
            for at, row in enumerate(rows, 1)
            if row[STATE] == _ESTABLISHED and not self.has_counted(row[INODE])
        }
        self._clients.add(new.values())
        super().add(rows, samples)
        self._clients.settle()

    def move(self, snapshot: Snapshot, device_name: DeviceName) -> None:
        """Move the sums to the Snapshot as TableFold does, and add the clients to it."""
        if self._clients is not None:
            self._clients.move(snapshot, device_name)
        super().move(snapshot, device_name)
