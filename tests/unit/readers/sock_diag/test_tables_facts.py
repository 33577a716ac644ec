"""Requests with bytecode, and what netlink tells of a socket beside its row."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.wire import Table
from zabbix_sockets.readers.sock_diag.attributes import decode_cgroup_and_mark
from zabbix_sockets.readers.sock_diag.messages import decode_with_messages, encode_request

from .messages import SHUTDOWN, attribute, cgroup, done, encode_row, row

AF_INET = int(socket.AF_INET)
TCP = Table("tcp", AF_INET)
MARK = 15
SHUT = attribute(SHUTDOWN, b"\0")


def mark(number: int) -> bytes:
    """Return the attribute with a socket's mark."""
    return attribute(MARK, struct.pack("=I", number))


def decode(data: bytes) -> list[tuple[int, int, int]]:
    """Return cgroup, mark and inode of each socket of a datagram."""
    batches = decode_with_messages(memoryview(data), AF_INET)
    return [
        (*decode_cgroup_and_mark(message), each[9])
        for batch in batches
        for each, message in batch or ()
    ]


@pytest.mark.parametrize(
    ("attributes", "facts"),
    [
        (b"", (0, 0)),
        (SHUT, (0, 0)),
        (cgroup(7), (7, 0)),
        (mark(3) + cgroup(1 << 40), (1 << 40, 3)),
        (SHUT + cgroup(7) + SHUT + mark(1 << 31), (7, 1 << 31)),
        (attribute(MARK, b"\1\2") + attribute(21, bytes(4)), (0, 0)),
    ],
)
def test_facts(attributes: bytes, facts: tuple[int, int]) -> None:
    """They may stand anywhere; what is not told is 0."""
    data = encode_row(row(1), AF_INET) + encode_row(row(2), AF_INET, 0, attributes) + done()
    assert decode(data) == [(0, 0, 1), (*facts, 2)]


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_rows_or_an_error(attributes: bytes, whole: bool) -> None:
    """Whatever stands behind a message, or in its place."""
    data = encode_row(row(1), AF_INET, 0, attributes) if whole else attributes
    try:
        rows = decode(data)
    except ParseError:
        return
    except Exception as error:  # noqa: BLE001  # those of DONE and ERROR
        assert type(error).__module__ == "zabbix_sockets.model.errors"  # noqa: PT017  # as said
        return
    assert all(group >= 0 and number >= 0 for group, number, _ in rows)


def test_request_with_a_program() -> None:
    """The bytecode is an attribute behind inet_diag_req_v2, and the length counts it."""
    program = bytes(range(12))
    plain, request = encode_request(TCP, 0xFFF), encode_request(TCP, 0xFFF, (), program)
    assert struct.unpack_from("=I", plain)[0] == len(plain) == 72
    assert struct.unpack_from("=I", request)[0] == len(request) == 72 + 4 + 12
    assert request[4:72] == plain[4:]
    assert struct.unpack_from("=HH", request, 72) == (16, 1)
    assert request[76:] == program
