"""The ends in netlink's messages, as columns: the same as the rows have."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.wire import SocketRow
from zabbix_sockets.readers.sock_diag.endpoints import decode_endpoints, remote_endpoint
from zabbix_sockets.readers.sock_diag.messages import ENCODING

from .messages import as_getsock, done, encode_row

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


@st.composite
def rows(draw: st.DrawFn) -> tuple[int, SocketRow, int]:
    """Return a family, a row of it, and the length of the attributes behind it."""
    family = draw(st.sampled_from([AF_INET, AF_INET6]))
    size = 4 if family == AF_INET else 16
    address = st.binary(min_size=size, max_size=size)
    row = (6, draw(U16), draw(U16), draw(address), draw(address), draw(U32), 0, 0, draw(U32), 0)
    return family, row, draw(st.sampled_from([0, 0, 8, 12, 280]))


@given(st.lists(rows(), max_size=12))
def test_ends_are_those_of_rows(given_rows: list[tuple[int, SocketRow, int]]) -> None:
    """Each column has what the rows have, in their order, whatever the mix of messages."""
    told_by = (encode_row(row, family, extra) for family, row, extra in given_rows)
    data = b"".join(map(as_getsock, told_by))
    runs = list(decode_endpoints(memoryview(data + done())))
    assert runs.pop() is None
    told = []
    port = ENCODING.port
    for run in runs:
        assert run is not None
        undecoded = [remote_endpoint(run.family, each) for each in run.remote()]
        both, local = list(run.both()), list(run.local())
        assert undecoded == [each[1:] for each in both]
        assert local == [(each[0], each[2], each[4]) for each in both]
        assert run.local_ports() == [each[0] for each in both]
        assert run.remote_ports() == [each[1] for each in both]
        told += [(run.family, port(each[0]), port(each[1]), *each[2:]) for each in both]
    assert told == [(family, *row[1:6]) for family, row, _ in given_rows]


def test_message_of_no_family() -> None:
    """A family that nobody asked for is malformed."""
    row = (6, 1, 2, bytes(4), bytes(4), 0, 0, 0, 0, 0)
    data = bytearray(as_getsock(encode_row(row, AF_INET)))
    data[16] = 99
    with pytest.raises(ParseError):
        list(decode_endpoints(memoryview(data)))
