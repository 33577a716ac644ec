"""Dumps by a netlink socket whose other end is a fake kernel."""

import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.wire import LISTENING, SocketRow, Table, TcpState
from zabbix_sockets.readers.sock_diag import tables as netlink
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

from .messages import as_getsock, attribute, done, encode_row

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)


class Kernel:
    """The other end of a netlink socket: it answers what the test told it to."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.theirs.setblocking(False)

    def answer(self, *messages: bytes) -> None:
        """Let the next receive return these messages, in one datagram."""
        self.theirs.send(b"".join(messages))

    def requests(self) -> list[bytes]:
        """Return what was asked so far."""
        found = []
        while True:
            try:
                found.append(self.theirs.recv(1000))
            except BlockingIOError:
                return found


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """Let netlink sockets end at a fake kernel."""
    kernel = Kernel()
    monkeypatch.setattr(netlink, "open_socket", lambda: kernel.ours)
    yield kernel
    kernel.ours.close()
    kernel.theirs.close()


def read(table: Table, seconds: float = 60) -> list[SocketRow]:
    """Read a whole table."""
    return [row for batch in NetlinkTables().read(table, Deadline(seconds), {}) for row in batch]


def row_with(inode: int) -> SocketRow:
    """Return a row that is told by its inode."""
    return (10, 80, 0, bytes(4), bytes(4), 0, 0, 0, 0, inode)


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_request_for_tcp(kernel: Kernel, family: int) -> None:
    """Listeners are asked for first, with their drops, then all others but CLOSE and the like."""
    kernel.answer(done())
    kernel.answer(done())
    assert read(Table("tcp", family)) == []
    asked = []
    for request in kernel.requests():
        assert struct.unpack_from("=IHH", request) == (72, 20, 0x301)
        asked_family, protocol, extensions, _, states = struct.unpack_from("=BBBBI", request, 16)
        assert (asked_family, protocol) == (family, socket.IPPROTO_TCP)
        asked.append(({state for state in range(16) if states >> state & 1}, extensions))
    others = set(range(1, 16)) - {TcpState.CLOSE, TcpState.LISTEN, 13}
    assert asked == [({TcpState.LISTEN}, 1 << 6), (others, 0)]


def test_no_time_is_no_failure(kernel: Kernel) -> None:
    """Where a dump was cut short by the deadline, the next one says the same of itself."""
    del kernel
    tables, deadline = NetlinkTables(stays=False), Deadline(0.01)
    for _ in range(2):
        with pytest.raises(DeadlineError):
            list(tables.read(Table("tcp", AF_INET), deadline, {}))


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_drops(kernel: Kernel, protocol: str) -> None:
    """Listeners and UDP sockets have them in SK_MEMINFO_DROPS; a shorter attribute has none."""
    first = LISTENING[protocol]
    memory = attribute(7, struct.pack("=9I", *range(8), 5))
    short = attribute(7, struct.pack("=8I", *range(8)))
    rows = [(first, *row_with(inode)[1:]) for inode in (1, 2, 3, 4)]
    kernel.answer(
        *(encode_row(row, AF_INET, attributes=memory) for row in rows[:2]),
        encode_row(rows[2], AF_INET, attributes=attribute(8, b"\0") + memory),
        encode_row(rows[3], AF_INET, attributes=short),
        done(),
    )
    last = (1, *row_with(5)[1:])
    kernel.answer(encode_row(last, AF_INET, attributes=memory), done())
    drops: dict[int, int] = {}
    table = Table(protocol, AF_INET)
    read = [row for batch in NetlinkTables().read(table, Deadline(60), drops) for row in batch]
    assert [row[9] for row in read] == [1, 2, 3, 4, 5]
    assert drops == dict.fromkeys((1, 2, 3, 5) if protocol == "udp" else (1, 2, 3), 5)


def test_drops_of_both_families(kernel: Kernel) -> None:
    """Listeners of both are asked for in one dump, connections in another one without drops."""
    memory = attribute(7, struct.pack("=9I", *range(8), 5))
    over_ipv6 = (10, 80, 0, bytes(16), bytes(16), 0, 0, 0, 0, 2)
    kernel.answer(
        as_getsock(encode_row(row_with(1), AF_INET, attributes=memory)),
        as_getsock(encode_row(over_ipv6, AF_INET6, attributes=memory)),
        done(),
    )
    kernel.answer(as_getsock(encode_row((6, *row_with(0)[1:]), AF_INET)), done())
    drops: dict[int, int] = {}
    batches = NetlinkTables().read_both(Deadline(60), 1 << 10 | 1 << 6, drops)
    assert [(family, [row[9] for row in rows]) for family, rows in batches] == [
        (AF_INET, [1]),
        (AF_INET6, [2]),
        (AF_INET, [0]),
    ]
    assert drops == {1: 5, 2: 5}
    assert [
        struct.unpack_from("=BBBB48xII", request, 16)[3:5] for request in kernel.requests()
    ] == [(1 << 6, 1 << 10), (0, 1 << 6)]


def test_bound_udp_comes_first(kernel: Kernel) -> None:
    """UDP takes two dumps, bound sockets first, since a connection is matched with them."""
    kernel.answer(encode_row(row_with(1), AF_INET), done())
    kernel.answer(encode_row(row_with(2), AF_INET))
    kernel.answer(done())
    assert [row[9] for row in read(Table("udp", AF_INET))] == [1, 2]
    states = [struct.unpack_from("=I", request, 20)[0] for request in kernel.requests()]
    assert states == [1 << 7, 1 << 1]


def test_silent_kernel(kernel: Kernel) -> None:
    """A kernel that doesn't answer costs the time that was given, and no more."""
    with pytest.raises(DeadlineError):
        read(Table("tcp", AF_INET), 0.05)
    assert len(kernel.requests()) == 1


def test_oversized_datagram(kernel: Kernel) -> None:
    """A datagram that the buffer cut is an error."""
    kernel.answer(bytes(70_000))
    with pytest.raises(ParseError, match="larger than the buffer"):
        read(Table("tcp", AF_INET))


def test_no_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sandbox forbids netlink the reason is named."""

    def forbidden(*_: int) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "not the kernel's words")

    monkeypatch.setattr("_socket.socket", forbidden)
    with pytest.raises(SourceUnavailableError, match="no netlink socket: Address family not"):
        NetlinkTables()


def test_close_twice(kernel: Kernel) -> None:
    """Closing gives the descriptor back, and may be repeated."""
    tables = NetlinkTables()
    tables.close()
    tables.close()
    assert kernel.ours.fileno() == -1
