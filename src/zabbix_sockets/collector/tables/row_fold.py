"""From millions of rows to what is distinct: a table's rows are counted as they come.

The hot path of every source but BPF: a row is a tuple on its way into a counter. No
object is made of it, and nothing of it is kept but one mark beside its inode.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import repeat
from typing import NamedTuple, TypeVar

from zabbix_sockets.model.addresses import fold_address, unmapped
from zabbix_sockets.model.quality import Quality, add_to
from zabbix_sockets.model.snapshot import (
    INBOUND,
    NOBODY,
    OUTBOUND,
    UNKNOWN,
    UNOWNED,
    Connection,
    DeviceName,
    ListenerSocket,
    PortRange,
)
from zabbix_sockets.model.wire import AddressToken, Encoding, Row, Table, TcpState

MAX_ENDPOINTS = 50_000
"""Distinct remote endpoints with a count of their own. The kernel's tables are in the order
of a hash, so what comes later is rare among the first only if it is rare at all."""

Key = TypeVar("Key", bound=tuple[int, *tuple[object, ...]])

_LISTENING = {"tcp": TcpState.LISTEN.value, "udp": TcpState.CLOSE.value}


Outbound = tuple[int, int, AddressToken, AddressToken, int, int, int]
"""What tells a table's outbound connections apart: owner, state, local address, remote address,
remote port, 1 if the local port is ephemeral (else 0), index of the device that it is bound to."""


class RawListener(NamedTuple):
    """A listener's row with its owner, still in tokens."""

    owner: int
    port: int
    address: AddressToken
    ifindex: int
    accept_queue: int
    backlog: int


@cache
def ephemeral_flags(ports: PortRange, swapped: bool) -> bytes:
    """Return 1 at the index of each ephemeral port's token, 0 elsewhere."""
    flags = bytes(ports.low) + b"\1" * (ports.high - ports.low + 1) + bytes(65535 - ports.high)
    if not swapped:
        return flags
    in_network_order = bytearray(65536)
    for high in range(256):
        in_network_order[high::256] = flags[high * 256 : high * 256 + 256]
    return bytes(in_network_order)


class Directions:
    """Tells whose connection it is, from the listeners of the same table.

    An IPv4 connection to a dual-stack listener is a row of the IPv6 table with a mapped
    address, so listeners of the other family never matter.
    """

    def __init__(self, table: Table, encoding: Encoding, ports: PortRange) -> None:
        self._wildcard = encoding.wildcard[table.family]
        self.listening: dict[int, set[AddressToken]] = {}
        self.ephemeral = ephemeral_flags(ports, encoding.port(1) != 1)

    def add_listener(self, port: int, address: AddressToken) -> None:
        """Note a listener; its connections must come later."""
        self.listening.setdefault(port, set()).add(address)

    def server(self, port: int, address: AddressToken) -> AddressToken | None:
        """Return the address of the listener that accepted at this local end, or None."""
        addresses = self.listening.get(port, ())
        if address in addresses:
            return address
        return self._wildcard if self._wildcard in addresses else None

    def unmatched(self, local_port: int, remote_port: int) -> str:
        """Return the direction of a connection that no listener accepted.

        A local port that no kernel picks and a remote one that it might: probably the
        connection of a listener that has closed. It is unknown, and never an upstream.
        """
        ephemeral = self.ephemeral
        known = ephemeral[local_port] or not ephemeral[remote_port]
        return OUTBOUND if known else UNKNOWN


class TableFold:
    """Sums of one table.

    Args:
        table: whose rows will come.
        encoding: of their tokens.
        ports: the ephemeral ports of the table's namespace.
        by_inode: owners' numbers by inode (see readers.fds). A number is negated when its
            socket is counted: a row that the kernel repeats is known by that.
        max_endpoints: how many distinct remote endpoints to count one by one.
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
        self.listeners: list[RawListener] = []
        self.queues: dict[int, list[int]] = {}
        self.uids: dict[int, int] = {}
        self.overflowed = False
        self.directions = Directions(table, encoding, ports)
        self._encoding = encoding
        self._by_inode = by_inode
        self._max_endpoints = max_endpoints
        self._unowned: set[int] = set()
        self._inbound: dict[tuple[int, int, AddressToken, int, int], int] = {}
        self._outbound: dict[Outbound, int] = {}
        self._rest: dict[tuple[int, int, str], int] = {}
        self._qualities: dict[tuple[object, ...], Quality] = {}  # by the keys of these three

    @property
    def endpoints(self) -> int:
        """How many distinct remote endpoints are counted one by one."""
        return len(self._outbound)

    def add(self, rows: Iterable[Row], samples: Iterable[Quality] = repeat(0)) -> None:  # noqa: C901, PLR0912  # a call per socket would double its cost
        """Count *rows*; a table's listeners come before its connections.

        *samples*: how good each row's connection is; of those that are established and that a
        process has, or had, they are added up.
        """
        listening_state, established = _LISTENING[self.table.protocol], TcpState.ESTABLISHED.value
        by_inode, outbound = self._by_inode, self._outbound
        listening, ephemeral = self.directions.listening, self.directions.ephemeral
        owner_of, count_of = by_inode.get, outbound.get
        for row, sample in zip(rows, samples):  # noqa: B905  # without samples there is no end
            state, lport, rport, laddr, raddr, ifindex, recv, send, uid, inode = row
            owner = owner_of(inode)
            if owner is None:
                owner = self._ownerless(inode)
            elif owner > 0:
                by_inode[inode] = -owner
            if owner is None or owner < 0:
                continue  # counted already
            if sample and (state != established or not inode):
                sample = 0  # noqa: PLW2901
            if state == listening_state:
                self._add_listener(RawListener(owner, lport, laddr, ifindex, recv, send), uid)
                if state != TcpState.LISTEN.value and (recv or send):
                    self._add_queues(owner, recv, send)
                continue
            if recv or send:
                self._add_queues(owner, recv, send)
            if lport in listening:
                server = self.directions.server(lport, laddr)
                if server is not None:
                    accepted = owner, state, server, lport, ifindex
                    self._count(self._inbound, accepted, uid, sample)
                    continue
            local_ephemeral = ephemeral[lport]
            if not local_ephemeral and ephemeral[rport]:
                self._count(self._rest, (owner, state, UNKNOWN), uid, sample)
                continue
            key = (owner, state, laddr, raddr, rport, local_ephemeral, ifindex)
            count = count_of(key)
            if count is None:
                self._add_outbound(key, uid, sample)
                continue
            outbound[key] = count + 1
            if sample:
                self._add_sample(key, sample)

    def _ownerless(self, inode: int) -> int | None:
        """Return NOBODY or UNOWNED; None for an inode that was counted as UNOWNED before."""
        if not inode:
            return NOBODY
        if inode in self._unowned:
            return None
        self._unowned.add(inode)
        return UNOWNED

    def _add_listener(self, listener: RawListener, uid: int) -> None:
        self.listeners.append(listener)
        self.directions.add_listener(listener.port, listener.address)
        self._note_uid(listener.owner, uid)

    def _add_outbound(
        self,
        key: Outbound,
        uid: int,
        sample: Quality,
    ) -> None:
        if len(self._outbound) < self._max_endpoints:
            self._count(self._outbound, key, uid, sample)
        else:
            self.overflowed = True
            self._count(self._rest, (key[0], key[1], OUTBOUND), uid, sample)

    def _count(self, counts: dict[Key, int], key: Key, uid: int, sample: Quality) -> None:
        count = counts.get(key, 0)
        counts[key] = count + 1
        if sample:
            self._add_sample(key, sample)
        if not count:
            self._note_uid(key[0], uid)

    def _add_sample(self, key: tuple[object, ...], sample: Quality) -> None:
        add_to(self._qualities, key, sample)

    def _note_uid(self, owner: int, uid: int) -> None:
        self.uids[owner] = min(uid, self.uids.get(owner, uid))

    def _add_queues(self, owner: int, recv: int, send: int) -> None:
        sums = self.queues.setdefault(owner, [0, 0])
        sums[0] += recv
        sums[1] += send

    def decode_listeners(self, device_name: DeviceName) -> list[ListenerSocket]:
        """Return the listeners in the model's terms."""
        protocol, _, netns = self.table
        address, port = self._encoding.address, self._encoding.port
        tcp = protocol == "tcp"
        return [
            ListenerSocket(
                protocol,
                netns,
                address(raw.address),
                port(raw.port),
                device_name(netns, raw.ifindex),
                raw.owner,
                raw.accept_queue if tcp else None,
                raw.backlog if tcp and raw.backlog >= 0 else None,
            )
            for raw in self.listeners
        ]

    def decode_connections(
        self,
        into: dict[Connection, int],
        qualities: dict[Connection, Quality],
        device_name: DeviceName,
    ) -> None:
        """Add the counts to *into*, and how good they are to *qualities*, in the model's terms."""
        for counted, key, count in self._connections(device_name):
            into[key] = into.get(key, 0) + count
            quality = self._qualities.get(counted)
            if quality:
                add_to(qualities, key, quality)

    def _connections(
        self, device_name: DeviceName
    ) -> Iterator[tuple[tuple[object, ...], Connection, int]]:
        protocol, _, netns = self.table
        address, port = self._encoding.address, self._encoding.port
        for inbound, count in self._inbound.items():
            owner, state, server, lport, ifindex = inbound
            key = Connection(
                protocol,
                netns,
                owner,
                state,
                INBOUND,
                address(server),
                port(lport),
                device_name(netns, ifindex),
            )
            yield inbound, key, count
        source_of = cache(lambda token: fold_address(address(token)))
        for outbound, count in self._outbound.items():
            owner, state, laddr, raddr, rport, ephemeral, ifindex = outbound
            key = Connection(
                protocol,
                netns,
                owner,
                state,
                OUTBOUND,
                unmapped(address(raddr)),
                port(rport),
                device_name(netns, ifindex),
                source=source_of(laddr),
                ephemeral=bool(ephemeral),
            )
            yield outbound, key, count
        for rest, count in self._rest.items():
            yield rest, Connection(protocol, netns, *rest), count
