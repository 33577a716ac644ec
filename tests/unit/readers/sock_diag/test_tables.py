"""NETLINK_SOCK_DIAG's messages, encoded as the kernel would, and whatever else may come."""

import errno
import itertools
import os
import socket
import struct
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import (
    ParseError,
    SourceUnavailableError,
)
from zabbix_sockets.model.wire import SocketRow
from zabbix_sockets.readers.sock_diag.messages import ENCODING, decode_both, decode_datagram
from zabbix_sockets.readers.sock_diag.tables import receive_dump

from .messages import DONE_TYPE, ERROR_TYPE, ROW_TYPE, done, encode_row, message

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
FAMILIES = st.sampled_from([AF_INET, AF_INET6])
LENGTHS = {AF_INET: 4, AF_INET6: 16}
GETSOCK = 18  # TCPDIAG_GETSOCK

U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
# Lengths of the attributes behind inet_diag_msg: none, SHUTDOWN, CGROUP_ID, INFO, odd ones.
EXTRAS = st.sampled_from([0, 0, 0, 8, 8, 12, 280, 1, 3])


def decode(data: bytes, family: int) -> list[SocketRow]:
    """Return the rows of a datagram, its ports as numbers."""
    return [
        (row[0], ENCODING.port(row[1]), ENCODING.port(row[2]), *row[3:])
        for batch in decode_datagram(memoryview(data), family)
        for row in batch or ()
    ]


@st.composite
def rows_of(draw: st.DrawFn, family: int) -> SocketRow:
    """Return any row of *family*."""
    addresses = st.binary(min_size=LENGTHS[family], max_size=LENGTHS[family])
    return (
        draw(st.integers(0, 255)),
        draw(U16),
        draw(U16),
        draw(addresses),
        draw(addresses),
        draw(U32),
        draw(U32),
        draw(U32),
        draw(U32),
        draw(U32),
    )


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, list[tuple[SocketRow, int]]]:
    """Return a family, and rows with the length of what follows each."""
    family = draw(FAMILIES)
    return family, draw(st.lists(st.tuples(rows_of(family), EXTRAS), max_size=12))


@given(tables())
def test_rows_come_back(table: tuple[int, list[tuple[SocketRow, int]]]) -> None:
    """Every row comes back as it was, in order, whatever the mix of message lengths."""
    family, rows = table
    data = b"".join(encode_row(row, family, extra) for row, extra in rows)
    assert decode(data, family) == [row for row, _ in rows]


@given(tables(), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_dump_of_many_datagrams(
    table: tuple[int, list[tuple[SocketRow, int]]], sizes: list[int]
) -> None:
    """A dump is the same rows however the kernel cuts it into datagrams."""
    family, rows = table
    messages = [encode_row(row, family, extra) for row, extra in rows] + [done()]
    steps = itertools.cycle(sizes)
    datagrams: list[bytes] = []
    while messages:
        size = next(steps)
        datagrams.append(b"".join(messages[:size]))
        del messages[:size]
    waiting = iter(datagrams)

    def receive(buffer: bytearray) -> int:
        data = next(waiting)
        buffer[: len(data)] = data
        return len(data)

    decoder = partial(decode_datagram, family=family)
    # Each batch is used up before the next one is asked for: the buffer is the same.
    received = [row[3:] for batch in receive_dump(receive, decoder) for row in batch]
    assert received == [row[3:] for row, _ in rows]
    assert next(waiting, None) is None


def drain(data: bytes, family: int) -> str:
    """Decode anything; return what it ended with."""
    try:
        for row in decode(data, family):
            assert len(row) == 10
            assert len(row[3]) == len(row[4]) == LENGTHS[family]
    except (ParseError, SourceUnavailableError) as error:
        return type(error).__name__
    return "rows"


@given(st.binary(max_size=400), FAMILIES)
@example(bytes(16), AF_INET)
@example(struct.pack("=IHHII", 0xFFFFFFFF, ROW_TYPE, 0, 0, 0) + bytes(80), AF_INET6)
@example(struct.pack("=IHHII", 0xFFFFFFFF, DONE_TYPE, 0, 0, 0) + bytes(4), AF_INET6)
def test_any_bytes(data: bytes, family: int) -> None:
    """Whatever a datagram holds, it gives rows or an error of ours."""
    drain(data, family)


@given(tables(), st.data())
def test_cut_datagram(table: tuple[int, list[tuple[SocketRow, int]]], data: st.DataObject) -> None:
    """A datagram that ends within a message is an error, at whatever byte it ends."""
    family, rows = table
    messages = [encode_row(row, family, extra) for row, extra in rows] + [done()]
    whole = b"".join(messages)
    ends = set(itertools.accumulate(map(len, messages), initial=0))
    cut = data.draw(st.integers(0, len(whole)))
    assert drain(whole[:cut], family) == ("rows" if cut in ends else "ParseError")


@given(tables(), st.integers(0, 0xFFFFFFFF) | st.integers(0, 500), st.data())
def test_wrong_length(
    table: tuple[int, list[tuple[SocketRow, int]]], length: int, data: st.DataObject
) -> None:
    """A message that lies about its length gives rows or an error of ours."""
    family, rows = table
    messages = [bytearray(encode_row(row, family, extra)) for row, extra in rows]
    messages.append(bytearray(done()))
    liar = data.draw(st.sampled_from(messages))
    struct.pack_into("=I", liar, 0, length)
    drain(b"".join(messages), family)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 87])
def test_row_too_short(length: int) -> None:
    """A row shorter than inet_diag_msg is an error, not a loop without end."""
    data = struct.pack("=IHHII", length, ROW_TYPE, 2, 1, 0) + bytes(200)
    with pytest.raises(ParseError, match="netlink message"):
        decode(data, AF_INET)


def test_unknown_message_type() -> None:
    """A message of another type is an error: nobody knows what it would have said."""
    with pytest.raises(ParseError, match="netlink message"):
        decode(message(17, bytes(80)), AF_INET)


@given(st.integers(-4095, -1), st.sampled_from([DONE_TYPE, ERROR_TYPE]))
@example(-errno.EPERM, ERROR_TYPE)
def test_errno(number: int, kind: int) -> None:
    """An errno in NLMSG_ERROR, or in NLMSG_DONE, means that this source can't be used."""
    with pytest.raises(SourceUnavailableError) as caught:
        decode(message(kind, struct.pack("=i", number)), AF_INET)
    if number == -errno.ENOENT:
        assert "no diag module" in str(caught.value)
    else:
        assert os.strerror(-number) in str(caught.value)


@pytest.mark.parametrize("kind", [DONE_TYPE, ERROR_TYPE])
@pytest.mark.parametrize("number", [-(1 << 31), 1, (1 << 31) - 1])
def test_impossible_errno(kind: int, number: int) -> None:
    """A number that is no negative errno is an error of ours all the same."""
    assert drain(message(kind, struct.pack("=i", number)), AF_INET) != "rows"


def test_error_behind_rows() -> None:
    """Rows before an error were valid; then the error comes."""
    row: SocketRow = (1, 80, 4000, bytes(4), bytes(4), 0, 0, 0, 0, 7)
    data = encode_row(row, AF_INET) + message(ERROR_TYPE, struct.pack("=i", -errno.ENOMEM))
    batches = decode_datagram(memoryview(data), AF_INET)
    first = next(batches)
    assert first is not None
    assert [each[9] for each in first] == [7]
    with pytest.raises(SourceUnavailableError):
        next(batches)


def test_dump_without_end() -> None:
    """An empty datagram instead of NLMSG_DONE is an error, not a short list."""
    with pytest.raises(ParseError, match="without NLMSG_DONE"):
        list(receive_dump(lambda _: 0, decode_both))


@given(
    st.lists(FAMILIES.flatmap(lambda family: st.tuples(st.just(family), rows_of(family), EXTRAS)))
)
def test_both_families(messages: list[tuple[int, SocketRow, int]]) -> None:
    """Rows of both families in one dump come back in order, each with its family."""
    data = b"".join(
        message(GETSOCK, encode_row(row, family, extra)[16:]) for family, row, extra in messages
    )
    found = [
        (family, (row[0], ENCODING.port(row[1]), ENCODING.port(row[2]), *row[3:]))
        for batch in decode_both(memoryview(data + done()))
        for family, rows in ([batch] if batch else ())
        for row in rows
    ]
    assert found == [(family, row) for family, row, _ in messages]


def test_no_such_family() -> None:
    """A socket of neither family is an error."""
    row = (1, 2, 3, bytes(4), bytes(4), 0, 0, 0, 0, 7)
    data = message(GETSOCK, encode_row(row, 1)[16:])
    with pytest.raises(ParseError):
        list(decode_both(memoryview(data)))


def test_types_are_not_mixed_up() -> None:
    """The answer to one interface's request is none to the other's."""
    row = (1, 2, 3, bytes(4), bytes(4), 0, 0, 0, 0, 7)
    with pytest.raises(ParseError):
        list(decode_both(memoryview(encode_row(row, AF_INET))))
    with pytest.raises(ParseError):
        list(decode_datagram(memoryview(message(GETSOCK, encode_row(row, AF_INET)[16:])), AF_INET))
