"""Dumps by a netlink socket whose other end is a fake kernel."""

import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.wire import SocketRow, Table, TcpState
from zabbix_sockets.readers.sock_diag import tables as netlink
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

from .messages import done, encode_row

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
    return [row for batch in NetlinkTables().read(table, Deadline(seconds)) for row in batch]


def row_with(inode: int) -> SocketRow:
    """Return a row that is told by its inode."""
    return (10, 80, 0, bytes(4), bytes(4), 0, 0, 0, 0, inode)


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_request_for_tcp(kernel: Kernel, family: int) -> None:
    """One dump asks for every TCP state but CLOSE and BOUND_INACTIVE."""
    kernel.answer(done())
    assert read(Table("tcp", family)) == []
    (request,) = kernel.requests()
    assert struct.unpack_from("=IHH", request) == (72, 20, 0x301)
    asked_family, protocol, extensions, _, states = struct.unpack_from("=BBBBI", request, 16)
    assert (asked_family, protocol, extensions) == (family, socket.IPPROTO_TCP, 0)
    left_out = {state for state in range(1, 16) if not states >> state & 1}
    assert left_out == {TcpState.CLOSE, 13}


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
