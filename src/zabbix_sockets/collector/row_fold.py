"""Sums over the rows of a socket table, which are counted as they come.

The hot path of every source but BPF: a row is a tuple on its way into a counter. No object is made
of it, and nothing of it is kept but one mark beside its inode.
"""

from __future__ import annotations

from _collections_abc import Iterable
from itertools import repeat

from zabbix_sockets.collector.directions import OUTBOUND_PORT, Directions
from zabbix_sockets.collector.sums import MAX_ENDPOINTS, Sums
from zabbix_sockets.model.addresses import fold_address, unmapped
from zabbix_sockets.model.light_library import cache
from zabbix_sockets.model.light_typing import Optional
from zabbix_sockets.model.quality import Quality, add_to
from zabbix_sockets.model.snapshot import (
    NOBODY,
    OUTBOUND,
    UNOWNED,
    Connection,
    DeviceName,
    ListenerSocket,
    PortRange,
    Snapshot,
)
from zabbix_sockets.model.wire import (
    INODE,
    LISTENING,
    AddressToken,
    Drops,
    Encoding,
    SocketRow,
    Table,
    TcpState,
)

RowListener = tuple[int, int, AddressToken, int, int, int, int]
"""A listener as its row has it: owner, port, address, index of the device that it is bound to,
accept queue, backlog (UDP: receive and send queue in bytes), inode."""

RowKey = tuple[
    int, int, str, Optional[AddressToken], Optional[int], int, Optional[AddressToken], int
]
"""The key of equal connections of a table, its items in the order of model.snapshot.Connection:
owner, state, direction, address, port, index of the device that the socket is bound to (0: none),
and for outbound connections the local address and 1 if the local port is ephemeral (else 0). For
others in CLOSE_WAIT that have an owner it is the remote address, not the local one."""

_NO_ENDPOINT = None, None, 0, None, 0


class TableFold:
    """The sums of one table.

    Args:
        table: the table.
        encoding: the encoding of the rows' addresses and ports.
        ports: the ephemeral ports of the table's namespace.
        by_inode: the owners' numbers by inode (model.owners). A number is negated when its socket
            is counted: by that a row is recognised that the kernel gives twice.
        max_endpoints: the number of distinct connections that are counted one by one.

    Attributes:
        table, encoding: as given.
        directions: the decisions by the listeners among the rows; others may be added to it.
        drops: what was dropped at listeners and UDP sockets; set by whoever adds rows of them.
    """

    def __init__(
        self,
        table: Table,
        encoding: Encoding,
        ports: PortRange,
        by_inode: dict[int, int],
        max_endpoints: int = MAX_ENDPOINTS,
    ) -> None:
        self.table = table
        self.directions = Directions(encoding, table.family, ports)
        self.sums: Sums[RowListener, RowKey] = Sums(_without_endpoint, max_endpoints)
        self.drops: Drops = {}
        self.encoding = encoding
        self._by_inode = by_inode
        self._unowned: set[int] = set()

    def add(self, rows: Iterable[SocketRow], samples: Iterable[Quality] = repeat(0)) -> None:  # noqa: C901, PLR0912  # a call per socket would double its cost
        """Count *rows*, of which a table's listeners come before its connections.

        *samples* has one of model.quality for each row, 0 for none. Of established connections with
        an inode, which a process has or had, they are added up.
        """
        sums, netns, by_inode = self.sums, self.table.netns, self._by_inode
        listening_state, established = LISTENING[self.table.protocol], TcpState.ESTABLISHED
        close_wait = TcpState.CLOSE_WAIT
        first_special = min(listening_state, close_wait)
        directions = self.directions
        by_port, ephemeral = directions.by_port(), directions.ephemeral
        accepting, direction_of = directions.accepting.get, directions.of
        connections, owner_of, count_of = sums.connections, by_inode.get, sums.connections.get
        lowest_uids = sums.uids
        outbound, nobody_or_unowned = OUTBOUND, self._nobody_or_unowned
        for row, sample in zip(rows, samples):  # repeat(0) has no end
            state, lport, rport, laddr, raddr, ifindex, recv, send, uid, inode = row
            owner = owner_of(inode)
            if owner is None:
                owner = nobody_or_unowned(inode)
                if owner is None:
                    continue  # counted already
            elif owner > 0:
                by_inode[inode] = -owner
            else:
                continue  # the same
            if state >= first_special:  # one comparison for all others
                if state == listening_state:
                    self._add_listener(owner, row)
                    continue
                if state == close_wait and owner > UNOWNED:
                    self._add_close_wait(owner, row)
                    continue
            if recv or send:
                sums.add_queues(owner, netns, recv, send)
            if by_port[lport] == OUTBOUND_PORT:
                key: RowKey = (owner, state, outbound, raddr, rport, ifindex, laddr, 1)
            else:
                direction, server = accepting(lport) or direction_of(lport, laddr, rport)
                if server is not None:
                    key = (owner, state, direction, server, lport, ifindex, None, 0)
                elif direction == outbound:
                    key = (owner, state, outbound, raddr, rport, ifindex, laddr, ephemeral[lport])
                else:
                    key = (owner, state, direction, *_NO_ENDPOINT)
            if sample and (state != established or not inode):
                sample = 0  # noqa: PLW2901  # a second name would cost each socket a store
            count = count_of(key)
            if count is None or uid < lowest_uids[owner]:
                sums.add(key, uid, quality=sample)
                continue
            connections[key] = count + 1
            if sample:
                add_to(sums.qualities, key, sample)

    def add_listeners(self, rows: Iterable[SocketRow]) -> None:
        """Count *rows*, all of which are of listening sockets.

        It takes none of the memory by which add() decides directions (Directions.by_port()).
        """
        for row in rows:
            inode = row[INODE]
            owner = self._by_inode.get(inode)
            if owner is None:
                owner = self._nobody_or_unowned(inode)
            elif owner > 0:
                self._by_inode[inode] = -owner
            else:
                continue  # counted already
            if owner is not None:
                self._add_listener(owner, row)

    def has_counted(self, inode: int) -> bool:
        """Whether a socket of that inode was counted; False for 0, which many sockets have."""
        return self._by_inode.get(inode, 0) < 0 or inode in self._unowned

    def _nobody_or_unowned(self, inode: int) -> int | None:
        """Return the owner of an inode that no process is known to hold: NOBODY (0) or UNOWNED.

        None for an inode that was counted as UNOWNED before.
        """
        if not inode:
            return NOBODY
        if inode in self._unowned:
            return None
        self._unowned.add(inode)
        return UNOWNED

    def _add_listener(self, owner: int, row: SocketRow) -> None:
        """Count a listener; the queues of a UDP socket are bytes, as a connection's are."""
        _, port, _, address, _, ifindex, recv, send, uid, inode = row
        self.sums.add_listener(owner, (owner, port, address, ifindex, recv, send, inode), uid)
        self.directions.add_listener(port, address)
        if self.table.protocol == "udp" and (recv or send):
            self.sums.add_queues(owner, self.table.netns, recv, send)

    def _add_close_wait(self, owner: int, row: SocketRow) -> None:
        """Count a connection in CLOSE_WAIT; if it is not outbound, by its remote address, too."""
        state, lport, rport, laddr, raddr, ifindex, recv, send, uid, _ = row
        if recv or send:
            self.sums.add_queues(owner, self.table.netns, recv, send)
        directions = self.directions
        direction, server = directions.of(lport, laddr, rport)
        if direction == OUTBOUND:
            local = laddr, directions.ephemeral[lport]
            self.sums.add((owner, state, OUTBOUND, raddr, rport, ifindex, *local), uid)
            return
        endpoint = _NO_ENDPOINT[:3] if server is None else (server, lport, ifindex)
        head = owner, state, direction, *endpoint
        self.sums.add_with_remote((*head, raddr, 0), (*head, None, 0), uid)

    def move(self, snapshot: Snapshot, device_name: DeviceName) -> None:
        """Move the sums to the Snapshot; *device_name* names the devices by namespace and index."""
        protocol, _, netns = self.table
        address, port = self.encoding.address, self.encoding.port
        source_of = cache(lambda token: fold_address(address(token)))

        def listener_of(listener: RowListener) -> ListenerSocket:
            owner, number, token, ifindex, recv, send, inode = listener
            head = netns, address(token), port(number), device_name(netns, ifindex), owner
            drops = self.drops.get(inode)
            if protocol == "udp":
                return ListenerSocket(protocol, *head, None, None, recv, drops)
            return ListenerSocket(protocol, *head, recv, send if send >= 0 else None, None, drops)

        def connection_of(key: RowKey) -> Connection:
            owner, state, direction, token, number, ifindex, local, ephemeral = key
            remote = None
            if local is not None and direction != OUTBOUND:
                remote = unmapped(address(local))
            if token is None or number is None:
                return Connection(protocol, netns, owner, state, direction, remote=remote)
            packed, device = address(token), device_name(netns, ifindex) if ifindex else ""
            if local is None or remote is not None:
                endpoint = packed, port(number), device
                return Connection(
                    protocol, netns, owner, state, direction, *endpoint, remote=remote
                )
            return Connection(
                protocol,
                netns,
                owner,
                state,
                direction,
                unmapped(packed),
                port(number),
                device,
                source_of(local),
                ephemeral == 1,
            )

        self._add_drops()
        self.sums.move_listeners(snapshot, listener_of)
        self.sums.move(snapshot, connection_of)

    def _add_drops(self) -> None:
        """Add up the drops of the sockets that were counted and have an owner."""
        for inode, drops in self.drops.items():
            owner = self._by_inode.get(inode, 0) if drops else 0
            if owner < 0:  # counted, see by_inode
                self.sums.add_drops(-owner, self.table.netns, drops)


def _without_endpoint(key: RowKey) -> RowKey:
    """Return an outbound key without its endpoints; others have listeners, which are few."""
    return (*key[:3], *_NO_ENDPOINT) if key[2] == OUTBOUND else key
