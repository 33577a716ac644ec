"""/proc/net's tables, printed as the kernel prints them, and whatever else may come."""

import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.wire import SocketRow, Table, UnixRow
from zabbix_sockets.readers.proc.net_tables import (
    ENCODING,
    ProcTables,
    decode_address,
    parse_table,
    parse_unix,
)

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
CAPTURE = Path(__file__).parents[2] / "captures" / "linux-6.18" / "net"
TITLES = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"

U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
TIME = Deadline(1e6)

little_endian = pytest.mark.skipif(
    sys.byteorder == "big", reason="the captures were made on a little-endian machine"
)


def words(address: bytes) -> str:
    """Return an address as "%08X" prints its 32-bit words."""
    return "".join(
        f"{int.from_bytes(address[at : at + 4], sys.byteorder):08X}"
        for at in range(0, len(address), 4)
    )


def line_of(
    row: SocketRow, slot: int = 0, behind: str = " 2 00000000be66200e 20 0 0 10 -1"
) -> bytes:
    """Return a row as get_tcp4_sock() and its siblings print it; addresses are packed."""
    state, lport, rport, laddr, raddr, _, recv, send, uid, inode = row
    assert isinstance(laddr, bytes)
    assert isinstance(raddr, bytes)
    # The kernel's own format, so that the two can be compared.
    text = "%4d: %s:%04X %s:%04X %02X %08X:%08X %02X:%08X %08X %5d %8d %d%s" % (  # noqa: UP031
        *(slot, words(laddr), lport, words(raddr), rport, state, send, recv),
        *(1, 0x14, 3, uid, 0, inode, behind),
    )
    return text.ljust(149).encode()


@st.composite
def rows(draw: st.DrawFn) -> SocketRow:
    """Return any row that /proc/net can show, its addresses packed."""
    length = draw(st.sampled_from([4, 16]))
    address = st.binary(min_size=length, max_size=length)
    return (
        draw(st.integers(0, 255)),
        draw(U16),
        draw(U16),
        draw(address),
        draw(address),
        0,
        draw(U32),
        draw(U32),
        draw(U32),
        draw(U32),
    )


def decoded(row: SocketRow) -> SocketRow:
    """Return a row of the reader in the model's terms."""
    return (*row[:3], ENCODING.address(row[3]), ENCODING.address(row[4]), *row[5:])


@given(
    st.lists(rows(), max_size=5),
    st.integers(0, 10**7),
    st.sampled_from(["", " 3 00000000ea32da9c", " 2 00000000e40034d7 0", " 1 0 100 0 0 10 0"]),
)
def test_rows_come_back(table: list[SocketRow], slot: int, behind: str) -> None:
    """Every line comes back as the row it was printed from, however it ends."""
    lines = [line_of(row, slot, behind) for row in table]
    listening = [row[0] == 10 for row in table]
    expected = [
        (*row[:7], -1 if listens else row[7], *row[8:]) for row, listens in zip(table, listening)
    ]
    assert [decoded(row) for row in parse_table(lines, "tcp")] == expected


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_addresses_come_back(address: bytes) -> None:
    """An address is the same bytes as netlink's, whichever way the words were swapped."""
    assert decode_address(words(address).encode()) == address


def drain(lines: list[bytes]) -> None:
    """Parse anything; only a ParseError may come."""
    try:
        for row in parse_table(lines, "tcp"):
            assert len(row) == 10
    except ParseError:
        return


@given(st.lists(st.binary(max_size=200), max_size=4))
@example([b""])
@example([b"0: :0050 :0050 0A 0:0 0 0 0 0 5"])
def test_any_bytes(lines: list[bytes]) -> None:
    """Whatever a line holds, it gives a row or a ParseError."""
    drain(lines)


@given(rows(), st.integers(0, 200), st.binary(max_size=4), st.integers(0, 4))
def test_damaged_line(row: SocketRow, at: int, patch: bytes, dropped: int) -> None:
    """A line with a few bytes changed, gone or added gives a row or a ParseError."""
    line = line_of(row)
    drain([line[:at] + patch + line[at + dropped :]])


@given(rows(), st.integers(0, 90))
def test_cut_line(row: SocketRow, end: int) -> None:
    """A line that ends before its inode is an error, not a socket of inode 0."""
    line = line_of(row).split(None, 9)
    whole = b" ".join(line[:9])
    with pytest.raises(ParseError):
        list(parse_table([whole[:end]], "tcp"))


@given(st.binary(max_size=40))
@example(b"0100007F00")
@example(b"0G00007F")
@example(b"")
@example("\u0660".encode())
def test_any_address(token: bytes) -> None:
    """A token that is no address is a ParseError, like every other word that can't be."""
    try:
        address = decode_address(token)
    except ParseError:
        return
    assert len(address) in (4, 16)


def read(root: Path, name: str, deadline: Deadline = TIME) -> list[SocketRow]:
    """Read a table of *root* whole."""
    return read_with(ProcTables(str(root)), name, deadline)


def read_with(tables: ProcTables, name: str, deadline: Deadline = TIME) -> list[SocketRow]:
    """Read a table whole, decoded."""
    table = Table(name.rstrip("6"), AF_INET6 if name.endswith("6") else AF_INET)
    return [decoded(row) for batch in tables.read(table, deadline, {}) for row in batch]


@little_endian
@pytest.mark.parametrize(("name", "count"), [("tcp", 10), ("tcp6", 5), ("udp", 2), ("udp6", 1)])
def test_captured_tables(name: str, count: int) -> None:
    """What Linux 6.18 printed is read to the last line, listeners first."""
    tables = ProcTables(str(CAPTURE))
    found = read_with(tables, name)
    assert len(found) == count
    first = 7 if name.startswith("udp") else 10
    listening = [row[0] == first for row in found]
    assert listening == sorted(listening, reverse=True)
    assert not tables.approximate


@little_endian
def test_captured_fields() -> None:
    """Each column is what it says: states, ends, queues, inodes."""
    by_inode = {row[9]: row for row in read(CAPTURE, "tcp") if row[9]}
    local = socket.inet_aton("127.0.0.1")
    assert by_inode[3897262] == (10, 7801, 0, local, bytes(4), 0, 2, -1, 0, 3897262)
    assert by_inode[3897264] == (1, 7801, 0x8E50, local, local, 0, 0, 0, 0, 3897264)
    (time_wait,) = (row for row in read(CAPTURE, "tcp") if row[0] == 6)
    assert time_wait[1:5] == (0xBEBE, 7805, local, socket.inet_aton("127.0.0.2"))
    mapped = socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1")
    unaccepted = [row for row in read(CAPTURE, "tcp6") if row[3] == mapped]
    assert [(row[1], row[6], row[9]) for row in unaccepted] == [(7804, 3, 0)]


@little_endian
def test_drops() -> None:
    """They are the last column of UDP's tables; TCP's have none."""
    tables = ProcTables(str(CAPTURE))
    drops: dict[int, int] = {}
    for protocol in ("tcp", "udp"):
        rows = [
            row for batch in tables.read(Table(protocol, AF_INET), TIME, drops) for row in batch
        ]
    assert drops == {row[9]: 0 for row in rows}


@pytest.mark.parametrize(("column", "drops"), [(b" 12\n", 12), (b" 4294967295\n", 4294967295)])
def test_number_of_drops(tmp_path: Path, column: bytes, drops: int) -> None:
    """Whatever a socket has dropped is read as it is."""
    line = line_of(socket_row(53, 7, state=7))
    (tmp_path / "udp").write_bytes(TITLES + line.rstrip().rpartition(b" ")[0] + column)
    found: dict[int, int] = {}
    list(ProcTables(str(tmp_path)).read(Table("udp", AF_INET), TIME, found))
    assert found == {7: drops}


def test_line_without_a_number_of_drops(tmp_path: Path) -> None:
    """It is no such table."""
    line = line_of(socket_row(53, 7, state=7))
    (tmp_path / "udp").write_bytes(TITLES + line.rstrip() + b"x\n")
    with pytest.raises(ParseError):
        read(tmp_path, "udp")


def test_missing_ipv6(tmp_path: Path) -> None:
    """A kernel without IPv6 has no IPv6 sockets; without the IPv4 table nothing is known."""
    assert read(tmp_path, "tcp6") == []
    assert read(tmp_path, "udp6") == []
    with pytest.raises(SourceUnavailableError, match=r"/tcp is not there"):
        read(tmp_path, "tcp")
    with pytest.raises(SourceUnavailableError, match=r"/tcp6 is not there"):
        read(tmp_path / "nowhere", "tcp6")


def test_unreadable_table(tmp_path: Path) -> None:
    """A file that can't be opened says why."""
    (tmp_path / "tcp").symlink_to("tcp")
    with pytest.raises(SourceUnavailableError, match=r"can't be read: .*symbolic"):
        read(tmp_path, "tcp")


def test_table_that_fails_while_it_is_read(tmp_path: Path) -> None:
    """A read(2) that fails is no other error than an open(2) that does."""
    (tmp_path / "tcp").symlink_to("/proc/self/mem")  # there is nothing at address 0: EIO
    with pytest.raises(SourceUnavailableError, match=r"/tcp can't be read: Input/output error"):
        read(tmp_path, "tcp")


def socket_row(port: int, inode: int, state: int = 1, remote: int = 9) -> SocketRow:
    """Return a row that is told by its port and inode."""
    local = socket.inet_aton("127.0.0.1")
    return (state, port, remote, local, local, 0, 0, 0, 0, inode)


def write(path: Path, *table: SocketRow) -> None:
    """Write a table as the kernel would show it; who reads the old one is not disturbed."""
    new = path.with_suffix(".new")
    new.write_bytes(TITLES + b"".join(line_of(row) + b"\n" for row in table))
    os.replace(new, path)


def test_large_table(tmp_path: Path) -> None:
    """A table of many reads has no row twice, none cut and none lost."""
    table = [socket_row(at % 60000, at) for at in range(1, 8001)]
    write(tmp_path / "tcp", *table)
    assert read(tmp_path, "tcp") == table


def test_table_without_its_last_newline(tmp_path: Path) -> None:
    """A file that ends within a line is an error, not a shorter table."""
    (tmp_path / "tcp").write_bytes(TITLES + line_of(socket_row(80, 5))[:60])
    with pytest.raises(ParseError):
        read(tmp_path, "tcp")


def test_repeated_rows_of_nobody(tmp_path: Path) -> None:
    """A TIME_WAIT that the kernel shows twice is one; two of different ends are two."""
    again, other = socket_row(80, 0, 6), socket_row(80, 0, 6, remote=10)
    write(tmp_path / "tcp", again, socket_row(81, 7), again, other)
    assert [row[2] for row in read(tmp_path, "tcp") if not row[9]] == [9, 10]


def test_deadline_within_a_table() -> None:
    """Past the deadline reading ends with its error."""
    with pytest.raises(DeadlineError):
        read(CAPTURE, "tcp", Deadline(0))


class Changes(Deadline):
    """Changes a table each time it has been read: a reader looks at the clock just then."""

    def __init__(self, path: Path, *versions: list[SocketRow]) -> None:
        super().__init__(600)
        self._path = path
        self._versions = list(versions)
        self.reads = 0
        self.check()

    def check(self) -> None:
        """Show the next version; the last one stays."""
        if self._versions:
            write(self._path, *self._versions.pop(0))
        self.reads += 1


ONE, TWO, THREE = (socket_row(port, port, 7, 0) for port in (1001, 1002, 1003))


@pytest.mark.parametrize(
    ("versions", "ports", "exact"),
    [
        ([[ONE, TWO]], {1001, 1002}, True),
        ([[ONE], [ONE, TWO]], {1001, 1002}, True),
        ([[ONE, TWO], [ONE], [ONE]], {1001}, True),
        ([[ONE], [TWO], [THREE]], {1001, 1002, 1003}, False),
        ([[TWO, ONE], [ONE, THREE], [TWO, ONE]], {1001, 1002, 1003}, False),
        ([[ONE, ONE, TWO]], {1001, 1002}, True),
    ],
)
def test_udp_is_read_until_two_reads_agree(
    tmp_path: Path, versions: list[list[SocketRow]], ports: set[int], exact: bool
) -> None:
    """Two equal reads in a row are the table; three that differ are joined and approximate."""
    tables = ProcTables(str(tmp_path))
    found = read_with(tables, "udp", Changes(tmp_path / "udp", *versions))
    assert sorted(row[1] for row in found) == sorted(ports)
    assert (Table("udp", AF_INET) not in tables.approximate) == exact


def test_connected_udp_comes_behind_bound(tmp_path: Path) -> None:
    """Bound sockets come first, wherever the kernel's table has them."""
    connected, bound = socket_row(1001, 5, 1), socket_row(1002, 6, 7, 0)
    write(tmp_path / "udp", connected, bound)
    assert [row[0] for row in read(tmp_path, "udp")] == [7, 1]


UNIX_TITLES = b"Num       RefCount Protocol Flags    Type St Inode Path\n"


def unix_line(
    name: bytes = b"", *, flags: int = 0, kind: int = 1, state: int = 3, inode: int = 77
) -> bytes:
    """Return a line as unix_seq_show() prints it."""
    head = b"%016x: %08X %08X %08X %04X %02X %5d" % (0xABC, 2, 0, flags, kind, state, inode)
    return head + (b" " + name if name else b"")


def unix_rows(*lines: bytes) -> list[UnixRow]:
    """Return the rows of lines."""
    return list(parse_unix(b"\n".join(lines).split(b"\n")))


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (
            unix_line(b"/run/x.sock", flags=0x10000, state=1),
            (1, 10, 77, b"/run/x.sock", b"", 0, -1, -1, -1),
        ),
        (unix_line(b"@a@b", kind=5), (5, 1, 77, b"\0a@b", b"", 0, -1, -1, -1)),
        (unix_line(), (1, 1, 77, b"", b"", 0, -1, -1, -1)),
        (
            unix_line(b"  /with  spaces ", inode=1234567),
            (1, 1, 1234567, b"  /with  spaces ", b"", 0, -1, -1, -1),
        ),
        (unix_line(b"/x", state=2, inode=0), (1, 1, 0, b"/x", b"", 0, -1, -1, -1)),
    ],
)
def test_unix(line: bytes, row: UnixRow) -> None:
    """A listener, an accepted socket, one of a pair, and one that waits to be accepted."""
    assert unix_rows(line) == [row]


@pytest.mark.parametrize(
    "line",
    [
        unix_line(b"/dev/log", kind=2, state=1),  # datagrams
        unix_line(b"/x", state=1),  # bound, neither listening nor connected
        unix_line(state=4, inode=0),
    ],
)
def test_unix_left_out(line: bytes) -> None:
    """Others are none of those that are counted."""
    assert unix_rows(line) == []


def test_unix_name_with_line_feeds() -> None:
    """What follows a line feed in a name is skipped, and no line after it is lost."""
    lines = unix_line(b"/a\nb: c\n\nd", inode=1), unix_line(b"/e", inode=2)
    assert [row[2] for row in unix_rows(*lines)] == [1, 2]


@given(st.lists(st.binary(max_size=90)))
def test_unix_any_lines(lines: list[bytes]) -> None:
    """Names are hostile: whatever there is gives rows, or none."""
    for row in parse_unix(lines):
        assert row[0] in (1, 5)


def test_unix_file(tmp_path: Path) -> None:
    """A row that comes twice, as the file resumes by position, is one; titles are none."""
    lines = [unix_line(inode=1), unix_line(inode=2), unix_line(inode=1)]
    waiting = [unix_line(b"/x", state=2, inode=0)] * 2
    (tmp_path / "unix").write_bytes(UNIX_TITLES + b"\n".join([*lines, *waiting]) + b"\n")
    rows = [row for batch in ProcTables(str(tmp_path)).read_unix(TIME) for row in batch]
    assert [row[2] for row in rows] == [1, 2, 0, 0]
