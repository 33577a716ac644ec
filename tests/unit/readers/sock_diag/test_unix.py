"""unix_diag: messages as the kernel writes them give rows, and any bytes rows or an error."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.wire import UnixRow
from zabbix_sockets.readers.sock_diag.unix import decode_unix, encode_request

from .messages import attribute, done, message

STREAM, DATAGRAM, SEQPACKET = 1, 2, 5
ESTABLISHED, LISTEN = 1, 10
NAME, VFS, PEER, ICONS, RQLEN, UID = 0, 1, 2, 3, 4, 7


def row_message(
    attributes: bytes = b"", kind: int = STREAM, state: int = ESTABLISHED, inode: int = 77
) -> bytes:
    """Return the message of a socket, with a cookie."""
    head = struct.pack("=BBBBIII", 1, kind, state, 0, inode, 8, 9)
    return message(20, head + attributes)


def rows(*messages: bytes) -> list[UnixRow]:
    """Return the rows of a datagram that ends the dump."""
    *batches, end = decode_unix(memoryview(b"".join(messages) + done()))
    assert end is None
    return [row for batch in batches if batch for row in batch]


def test_all_attributes() -> None:
    """Each attribute has its place in the row, whatever comes between."""
    told = (
        attribute(NAME, b"/run/x.sock\0")
        + attribute(VFS, b"inodedev")
        + attribute(PEER, struct.pack("=I", 78))
        + attribute(ICONS, bytes(8))
        + attribute(RQLEN, struct.pack("=II", 3, 128))
        + attribute(UID, struct.pack("=I", 1000))
    )
    assert rows(row_message(told, SEQPACKET, LISTEN)) == [
        (SEQPACKET, LISTEN, 77, b"/run/x.sock", b"inodedev", 78, 3, 128, 1000)
    ]


def test_nothing_told() -> None:
    """What the kernel doesn't tell is unknown, and no 0."""
    assert rows(row_message()) == [(STREAM, ESTABLISHED, 77, b"", b"", 0, -1, -1, -1)]


def test_abstract_names_are_whole() -> None:
    """An abstract name has NULs wherever it likes; only a path ends with one."""
    told = attribute(NAME, b"\0a\0b\0")
    assert rows(row_message(told))[0][3] == b"\0a\0b\0"


def test_datagrams_are_left_out() -> None:
    """A socket of datagrams is none that is counted, between others."""
    found = rows(row_message(inode=1), row_message(kind=DATAGRAM, inode=2), row_message(inode=3))
    assert [row[2] for row in found] == [1, 3]


def test_without_module() -> None:
    """A kernel without unix_diag says so in the message that ends the dump."""
    with pytest.raises(SourceUnavailableError, match="no diag module"):
        list(decode_unix(memoryview(done(-errno.ENOENT))))


@pytest.mark.parametrize("told", [attribute(PEER, b"\1"), b"\2\0\0\0", attribute(RQLEN, b"\0" * 4)])
def test_short_attributes(told: bytes) -> None:
    """An attribute that is too short for what it has to hold is an error, not a guess."""
    with pytest.raises(ParseError):
        list(decode_unix(memoryview(row_message(told))))


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Any datagram gives rows, or one of two errors."""
    try:
        list(decode_unix(memoryview(data)))
    except (ParseError, SourceUnavailableError):
        pass


@given(st.binary(max_size=200))
def test_any_attributes(data: bytes) -> None:
    """So do any attributes of a socket."""
    try:
        list(decode_unix(memoryview(row_message(data))))
    except ParseError:
        pass


def test_request() -> None:
    """A request is one of sock_diag for unix sockets, as struct unix_diag_req."""
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", encode_request(1 << LISTEN, 0x13))
    assert (length, kind, flags) == (40, 20, 0x301)
    assert struct.unpack_from("=BB2xII I", encode_request(1 << LISTEN, 0x13), 16) == (
        *(1, 0, 1 << LISTEN, 0),
        0x13,
    )
