"""The fold of rows against a slow and simple model of what it should count."""

import ipaddress
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.collector.row_fold import TableFold
from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.gaps import ENDPOINTS
from zabbix_sockets.model.snapshot import (
    INBOUND,
    NOBODY,
    OUTBOUND,
    UNKNOWN,
    UNOWNED,
    Connection,
    HostCounters,
    ListenerSocket,
    PortRange,
    Snapshot,
    Visibility,
)
from zabbix_sockets.model.wire import AddressToken, Encoding, SocketRow, Table
from zabbix_sockets.readers.proc import net_tables
from zabbix_sockets.readers.sock_diag import messages

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
PORTS = PortRange(32768, 60999, 28232)
LISTENING = {"tcp": 10, "udp": 7}
V4 = [socket.inet_aton(text) for text in ("0.0.0.0", "127.0.0.1", "192.0.2.5")]
V6 = [
    socket.inet_pton(socket.AF_INET6, text)
    for text in ("::", "::1", "fe80::1", "::ffff:127.0.0.1", "::ffff:192.0.2.5")
]
PICKED = messages.ENCODING.port(40000)
"""The token of a port that the kernel picks."""
OWNERS = {inode: 2 + inode % 3 for inode in range(1, 30)}  # the inodes from 30 on have none


class Socket(NamedTuple):
    """A row as the test means it: numbers and packed addresses."""

    state: int
    lport: int
    rport: int
    laddr: bytes
    raddr: bytes
    ifindex: int
    recv: int
    send: int
    inode: int

    @property
    def owner(self) -> int:
        """The owner's number."""
        return OWNERS.get(self.inode, UNOWNED) if self.inode else NOBODY

    @property
    def uid(self) -> int:
        """An owner's sockets have one uid."""
        return self.owner * 100

    def row(self, encoding: Encoding, address: Callable[[bytes], AddressToken]) -> SocketRow:
        """Return the row as a reader of that encoding yields it."""
        return (
            self.state,
            encoding.port(self.lport),
            encoding.port(self.rport),
            address(self.laddr),
            address(self.raddr),
            *(self.ifindex, self.recv, self.send, self.uid, self.inode),
        )


def as_text(address: bytes) -> AddressToken:
    """Return an address as /proc/net has it on this machine."""
    words = (address[at : at + 4] for at in range(0, len(address), 4))
    swap = net_tables.decode_address(b"01000000") == b"\0\0\0\1"
    return b"".join((word[::-1] if swap else word).hex().upper().encode() for word in words)


ENCODINGS: list[tuple[Encoding, Callable[[bytes], AddressToken]]] = [
    (messages.ENCODING, bytes),
    (net_tables.ENCODING, as_text),
]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, list[Socket]]:
    """Return a table and its sockets, listeners first; some come twice, as in a torn read."""
    protocol = draw(st.sampled_from(["tcp", "udp"]))
    family = draw(st.sampled_from([AF_INET, AF_INET6]))
    addresses = st.sampled_from(V4 if family == AF_INET else V6)
    ports = st.sampled_from([22, 80, 443, 32767, 32768, 40000, 60999, 61000])
    states = [1, 10, 10, 2, 6, 8, 13] if protocol == "tcp" else [1, 1, 7]
    sockets = st.builds(
        Socket,
        st.sampled_from(states),
        *(ports, ports, addresses, addresses),
        st.sampled_from([0, 0, 3]),
        *(st.integers(0, 9), st.integers(0, 9)),
        st.just(0) | st.integers(1, 40),
    )
    distinct = draw(st.lists(sockets, max_size=30, unique_by=lambda each: each.inode or object()))
    repeated = [each for each in distinct if each.inode and draw(st.integers(0, 3)) == 0]
    table = Table(protocol, family, draw(st.sampled_from([0, 7])))
    rows = draw(st.permutations(distinct + repeated))
    return table, sorted(rows, key=lambda each: each.state != LISTENING[protocol])


def folded(table: Table, sockets: list[Socket], which: int = 0, **options: int) -> TableFold:
    """Fold *sockets* as one of the readers would yield them, in batches of three."""
    encoding, address = ENCODINGS[which]
    fold = TableFold(table, encoding, PORTS, dict(OWNERS), **options)
    for at in range(0, len(sockets), 3):
        fold.add(each.row(encoding, address) for each in sockets[at : at + 3])
    return fold


def device_name(netns: int, index: int) -> str:
    """Return a name that tells the namespace and the index."""
    return f"if{index}@{netns}" if index else ""


def moved(fold: TableFold) -> Snapshot:
    """Return a Snapshot of what the fold counted."""
    snapshot = Snapshot(0, Visibility("sock_diag"), PORTS, HostCounters())
    fold.move(snapshot, device_name)
    return snapshot


class Model:
    """The same sums, one socket at a time."""

    def __init__(self, table: Table, sockets: list[Socket]) -> None:
        self.table = table
        self.listeners: Counter[ListenerSocket] = Counter()
        self.connections: Counter[Connection] = Counter()
        self.queues: dict[tuple[int, int], list[int]] = {}
        self._places: set[tuple[bytes, int]] = set()
        seen = set()
        for each in sockets:
            if each.inode in seen:
                continue
            seen.add(each.inode or object())
            self._count(each)

    def _count(self, each: Socket) -> None:
        if each.state == LISTENING[self.table.protocol]:
            self._places.add((each.laddr, each.lport))
            self.listeners[self._listener(each)] += 1
        else:
            self.connections[self._connection(each)] += 1
        if each.state != 10 and (each.recv or each.send):
            sums = self.queues.setdefault((each.owner, self.table.netns), [0, 0])
            sums[0] += each.recv
            sums[1] += each.send

    def _listener(self, each: Socket) -> ListenerSocket:
        protocol, _, netns = self.table
        queue = (each.recv, each.send, None) if protocol == "tcp" else (None, None, each.recv)
        device = device_name(netns, each.ifindex)
        return ListenerSocket(protocol, netns, each.laddr, each.lport, device, each.owner, *queue)

    def _connection(self, each: Socket) -> Connection:
        protocol, _, netns = self.table
        head = protocol, netns, each.owner, each.state
        has_remote = each.state == 8 and each.owner > UNOWNED
        remote = as_ipv4(each.raddr) if has_remote else None
        for server in (each.laddr, bytes(len(each.laddr))):
            if (server, each.lport) in self._places:
                device = device_name(netns, each.ifindex)
                return Connection(*head, INBOUND, server, each.lport, device, remote=remote)
        ephemeral = 32768 <= each.lport <= 60999
        if not ephemeral and 32768 <= each.rport <= 60999:
            return Connection(*head, UNKNOWN, remote=remote)
        end = as_ipv4(each.raddr), each.rport
        device, source = device_name(netns, each.ifindex), fold_address(as_ipv4(each.laddr))
        return Connection(*head, OUTBOUND, *end, device, source, ephemeral)


def as_ipv4(address: bytes) -> bytes:
    """Return an IPv4-mapped address as IPv4, by another way than the product's."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped.packed if mapped else address


@given(tables(), st.sampled_from([0, 1]))
def test_same_as_the_model(case: tuple[Table, list[Socket]], which: int) -> None:
    """Every socket is counted once, under its owner, state, direction and endpoint."""
    found, model = moved(folded(*case, which)), Model(*case)
    assert found.connections == model.connections
    assert Counter(found.listeners) == model.listeners
    assert found.queues == {place: tuple(sums) for place, sums in model.queues.items()}
    assert not found.visibility.gaps
    owners = {each.owner for each in case[1]}
    assert found.uids == {owner: owner * 100 for owner in owners}


@given(tables(), st.integers(0, 4), st.sampled_from([0, 1]))
def test_overflow_keeps_the_totals(
    case: tuple[Table, list[Socket]], bound: int, which: int
) -> None:
    """Endpoints beyond the bound lose their names, and no socket is lost."""

    def totals(connections: dict[Connection, int]) -> Counter[tuple[int, int, str]]:
        sums: Counter[tuple[int, int, str]] = Counter()
        for each, count in connections.items():
            sums[each.owner, each.state, each.direction] += count
        return sums

    snapshot, model = moved(folded(*case, which, max_endpoints=bound)), Model(*case)
    found = snapshot.connections
    assert totals(found) == totals(model.connections)
    remotes = [each for each in model.connections if each.remote is not None]
    named = {each for each in found if each.direction == OUTBOUND and each.address is not None}
    wanted = {each for each in model.connections if each.direction == OUTBOUND}
    assert len(named) <= bound
    assert named <= wanted
    if not snapshot.visibility.has_gap(ENDPOINTS):
        assert len(wanted) <= bound
        if not remotes:  # they have a bound of their own, and take room from endpoints
            assert found == model.connections


@given(tables(), st.integers(0, 30))
def test_batches_do_not_matter(case: tuple[Table, list[Socket]], cut: int) -> None:
    """A table read in one batch gives the sums of one read in many."""
    table, sockets = case
    encoding, address = ENCODINGS[0]
    fold = TableFold(table, encoding, PORTS, dict(OWNERS))
    fold.add([each.row(encoding, address) for each in sockets[:cut]])
    fold.add([each.row(encoding, address) for each in sockets[cut:]])
    assert moved(fold).connections == moved(folded(table, sockets)).connections


@given(tables(), st.sampled_from([0, 1]))
def test_listeners_alone(case: tuple[Table, list[Socket]], which: int) -> None:
    """They are counted as among others, and take no memory for the directions of these."""
    table, sockets = case
    listening = [each for each in sockets if each.state == LISTENING[table.protocol]]
    encoding, address = ENCODINGS[which]
    alone = TableFold(table, encoding, PORTS, dict(OWNERS))
    alone.add_listeners(each.row(encoding, address) for each in listening)
    assert alone.directions._by_port is None
    found, expected = moved(alone), moved(folded(table, listening, which))
    assert (found.listeners, found.uids) == (expected.listeners, expected.uids)
    assert found.queues == expected.queues


def test_unknown_backlog() -> None:
    """A backlog of -1 is not known; one of 0 is a measured 0."""
    table = Table("tcp", AF_INET)
    base = Socket(10, 80, 0, V4[0], V4[0], 0, 2, -1, 1)
    fold = folded(table, [base, base._replace(send=0, inode=2)])
    queues = [(each.accept_queue, each.backlog) for each in moved(fold).listeners]
    assert queues == [(2, None), (2, 0)]


def test_lowest_uid_of_an_owner() -> None:
    """An owner's uid is the lowest of its sockets, whatever the order they come in."""
    row: SocketRow = (10, 80, 0, bytes(4), bytes(4), 0, 0, 0, 1000, 3)
    fold = TableFold(Table("tcp", AF_INET), messages.ENCODING, PORTS, {3: 2, 4: 2, 5: 2})
    fold.add([row, (*row[:8], 33, 4), (*row[:8], 500, 5)])
    assert moved(fold).uids == {2: 33}


def test_lowest_uid_of_equal_connections() -> None:
    """It counts of each of them, also of those that have a key already."""
    row: SocketRow = (1, PICKED, 80, b"\x7f\0\0\1", b"\x7f\0\0\1", 0, 0, 0, 1000, 3)
    fold = TableFold(Table("tcp", AF_INET), messages.ENCODING, PORTS, {3: 2, 4: 2, 5: 2})
    fold.add([row, (*row[:8], 33, 4), (*row[:8], 500, 5)])
    assert list(fold.sums.connections.values()) == [3]
    assert moved(fold).uids == {2: 33}


def test_listener_that_is_known_amid_a_batch() -> None:
    """Whoever makes the rows may add a listener while they are counted, on any port."""
    fold = TableFold(Table("tcp", AF_INET), messages.ENCODING, PORTS, {3: 2, 4: 2})
    row: SocketRow = (1, PICKED, 80, b"\x7f\0\0\1", b"\x7f\0\0\1", 0, 0, 0, 0, 3)

    def rows() -> Iterator[SocketRow]:
        yield row
        fold.directions.add_listener(PICKED, bytes(4))
        yield (*row[:9], 4)

    fold.add(rows())
    assert sorted(each.direction for each in moved(fold).connections) == [INBOUND, OUTBOUND]


@pytest.mark.parametrize("repeated", [False, True])
def test_samples_go_where_their_connections_go(repeated: bool) -> None:
    """Of established ones with an inode; a row that comes twice counts once."""
    table = Table("tcp", AF_INET)
    encoding, address = ENCODINGS[0]
    server = Socket(10, 80, 0, V4[0], V4[0], 0, 0, 0, 1)
    accepted = Socket(1, 80, 40000, V4[1], V4[1], 0, 0, 0, 2)
    sockets = [
        *(server, accepted, accepted._replace(inode=3)),
        accepted._replace(inode=0),  # not accepted yet
        accepted._replace(inode=4, state=8),
        accepted._replace(inode=5, lport=33000, rport=5432),
        accepted._replace(inode=6, lport=33001, rport=5432),
        accepted._replace(inode=7, lport=1000, rport=40000),
    ]
    fold = TableFold(table, encoding, PORTS, dict.fromkeys(range(1, 8), 2), max_endpoints=4)
    for _ in range(1 + repeated):
        fold.add([each.row(encoding, address) for each in sockets], [100, 1, 2, 4, 8, 16, 32, 64])
    qualities = moved(fold).qualities
    found = {(key.direction, key.port): quality for key, quality in qualities.items()}
    assert found == {(INBOUND, 80): 3, (OUTBOUND, 5432): 48, (UNKNOWN, None): 64}


@pytest.mark.parametrize(("protocol", "listening"), [("tcp", 10), ("udp", 7)])
def test_drops(protocol: str, listening: int) -> None:
    """Owners have those of their sockets that were counted; a listener has its own, or none."""
    table = Table(protocol, AF_INET, 7)
    base = Socket(listening, 80, 0, V4[0], V4[0], 0, 0, 0, 1)
    sockets = [
        base,
        base._replace(inode=2),
        base._replace(inode=31),
        base._replace(state=1, inode=3),
    ]
    encoding, address = ENCODINGS[0]
    fold = TableFold(table, encoding, PORTS, dict(OWNERS))
    fold.drops = {1: 5, 3: 20, 4: 300, 31: 4000}
    fold.add([each.row(encoding, address) for each in sockets])
    snapshot = moved(fold)
    assert [each.drops for each in snapshot.listeners] == [5, None, 4000]
    assert snapshot.drops == {(OWNERS[1], 7): 5, (OWNERS[3], 7): 20}
