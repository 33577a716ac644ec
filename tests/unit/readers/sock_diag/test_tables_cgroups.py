"""The cgroups that netlink tells with each socket, wherever they stand in its messages."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.wire import SocketRow
from zabbix_sockets.readers.sock_diag.messages import CgroupObserver, CgroupRow, decode_datagram

from .messages import CGROUP_ID, SHUTDOWN, attribute, cgroup, done, encode_row, row

AF_INET = int(socket.AF_INET)
INFO = attribute(2, b"\xaa" * 232)
SHUT = attribute(SHUTDOWN, b"\0")
BIG = (1 << 64) - 1


def note_into(found: list[tuple[int, int]]) -> CgroupObserver:
    """Return what notes each inode with its cgroup."""

    def noted(rows: Iterable[CgroupRow]) -> list[SocketRow]:
        pairs = list(rows)
        found.extend((each[9], number) for number, each in pairs)
        return [each for _, each in pairs]

    return noted


def decode(data: bytes, noted: CgroupObserver | None = None) -> list[SocketRow]:
    """Return the rows of a datagram."""
    batches = decode_datagram(memoryview(data), AF_INET, noted)
    return [each for batch in batches for each in batch or ()]


def cgroup_ids(*attributes: bytes) -> list[int]:
    """Return the cgroups of sockets with these attributes."""
    found: list[tuple[int, int]] = []
    rows = (encode_row(row(at), AF_INET, 0, each) for at, each in enumerate(attributes))
    decode(b"".join(rows), note_into(found))
    assert [inode for inode, _ in found] == list(range(len(attributes)))
    return [number for _, number in found]


@pytest.mark.parametrize(
    "attributes",
    [
        cgroup(7),
        SHUT + cgroup(7),
        cgroup(7) + SHUT,
        INFO + SHUT + cgroup(7),
        SHUT + cgroup(7) + INFO,
        cgroup(7) + cgroup(9),
        attribute(CGROUP_ID, bytes(4)) + cgroup(7),
    ],
)
def test_place(attributes: bytes) -> None:
    """The attribute may stand anywhere; of several the first of the right length counts."""
    assert cgroup_ids(attributes) == [7]


@pytest.mark.parametrize("attributes", [b"", SHUT, INFO, attribute(CGROUP_ID, bytes(4))])
def test_none(attributes: bytes) -> None:
    """Kernels before 5.8 tell none."""
    assert cgroup_ids(attributes, attributes) == [0, 0]


def test_place_changes_within_a_run() -> None:
    """Messages of one length may have it at different places, or not at all."""
    eight = attribute(99, bytes(8))
    assert cgroup_ids(
        *(cgroup(1) + SHUT, SHUT + cgroup(2), cgroup(BIG) + SHUT),
        *(eight + SHUT, SHUT + cgroup(4), SHUT + eight, cgroup(5) + SHUT),
    ) == [1, 2, BIG, 0, 4, 0, 5]


@pytest.mark.parametrize("length", [0, 1, 3])
@pytest.mark.parametrize("before", [b"", SHUT, INFO])
def test_attribute_shorter_than_its_header(length: int, before: bytes) -> None:
    """An attribute that can't be is an error, not a loop without end."""
    with pytest.raises(ParseError, match="netlink attribute"):
        cgroup_ids(before + struct.pack("=HH", length, CGROUP_ID) + bytes(8))


@pytest.mark.parametrize("size", [4, 5, 8, 11])
def test_cut_attribute_is_not_read_beyond_its_message(size: int) -> None:
    """The number is never taken from the message behind, nor from what pads its own."""
    cut = cgroup(7)[:size]
    found: list[tuple[int, int]] = []
    data = encode_row(row(1), AF_INET, 0, cut) + encode_row(row(2), AF_INET, 0, cgroup(9))
    try:
        decode(data, note_into(found))
    except ParseError:
        assert found == []
    else:
        assert found == [(1, 0), (2, 9)]


ATTRIBUTES = st.builds(
    attribute,
    st.integers(0, 60).filter(lambda kind: kind != CGROUP_ID),
    st.integers(0, 40).map(lambda size: b"\xaa" * size),
)


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    """Return cgroups (0: not told) and the attributes among which they stand."""
    layouts = draw(
        st.lists(
            st.tuples(st.lists(ATTRIBUTES, max_size=3), st.lists(ATTRIBUTES, max_size=2)),
            min_size=1,
            max_size=3,
        )
    )
    rows = []
    for before, behind in draw(st.lists(st.sampled_from(layouts), max_size=12)):
        number = draw(st.just(0) | st.integers(1, BIG))
        told = [cgroup(number)] if number else []
        rows.append((number, b"".join([*before, *told, *behind])))
    return rows


@given(tables())
def test_any_attributes(table: list[tuple[int, bytes]]) -> None:
    """Each socket comes with its cgroup, and its row is the one that comes without noting."""
    data = b"".join(
        encode_row(row(at), AF_INET, 0, attributes) for at, (_, attributes) in enumerate(table)
    )
    found: list[tuple[int, int]] = []
    rows = decode(data + done(), note_into(found))
    assert rows == decode(data + done())
    assert found == [(at, number) for at, (number, _) in enumerate(table)]


@given(st.binary(max_size=60))
def test_any_bytes(attributes: bytes) -> None:
    """Whatever follows a row, it gives a number or an error of ours."""
    try:
        (number,) = cgroup_ids(attributes)
    except ParseError:
        return
    assert not number or struct.pack("=Q", number) in attributes
