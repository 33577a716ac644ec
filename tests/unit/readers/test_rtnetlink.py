"""Own addresses by RTM_GETADDR: any bytes, made-up answers, and this machine's own."""

from __future__ import annotations

import errno
import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.readers import rtnetlink
from zabbix_sockets.readers.netlink import NLMSG_DONE, NLMSG_ERROR
from zabbix_sockets.readers.rtnetlink import DeviceAddress, decode_addresses, read_addresses

TIME = Deadline(1e6)
V4, V6 = b"\xc0\0\2\1", b"\x20\1\x0d\xb8" + bytes(11) + b"\1"
DONE = struct.pack("=IHHIIi", 20, NLMSG_DONE, 0, 1, 0, 0)


def attribute(kind: int, data: bytes) -> bytes:
    """Return an attribute, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(family: int, *attributes: bytes, flags: int = 0, prefix: int = 24) -> bytes:
    """Return a message that has an address of the device 7."""
    body = struct.pack("=BBBBI", family, prefix, flags, 0, 7) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), rtnetlink.RTM_NEWADDR, 2, 1, 0) + body


def decoded(*messages: bytes) -> list[DeviceAddress | None]:
    """Return what is decoded of a datagram."""
    return list(decode_addresses(b"".join(messages)))


def test_both_families() -> None:
    """An address is its device's, with the length of its prefix; the end is told."""
    four = message(socket.AF_INET, attribute(3, b"eth0\0"), attribute(1, V4))
    six = message(socket.AF_INET6, attribute(1, V6), prefix=64)
    assert decoded(four, six, DONE) == [(7, V4, 24), (7, V6, 64), None]


def test_point_to_point() -> None:
    """IFA_ADDRESS is the other end's there: the own one is IFA_LOCAL."""
    both = attribute(1, b"\xc0\0\2\2"), attribute(2, V4)
    assert decoded(message(socket.AF_INET, *both)) == [(7, V4, 24)]


@pytest.mark.parametrize("flags", [0x01, 0x08, 0x40])
def test_passing_addresses_of_ipv6(flags: int) -> None:
    """A temporary address, and one that may be another's, is none to be reached by."""
    assert decoded(message(socket.AF_INET6, attribute(1, V6), flags=flags)) == []


def test_secondary_address_of_ipv4() -> None:
    """A second address has the bit of temporary ones, and lasts."""
    assert decoded(message(socket.AF_INET, attribute(1, V4), flags=1)) == [(7, V4, 24)]


def test_other_families_are_passed_over() -> None:
    """Also an address whose length is not its family's."""
    assert decoded(message(99, attribute(1, V4)), message(socket.AF_INET, attribute(1, V6))) == []


def test_error_of_the_kernel() -> None:
    """It is that of a source that can't be read, in the system's words."""
    with pytest.raises(SourceUnavailableError, match=os.strerror(errno.EPERM)):
        decoded(struct.pack("=IHHIIi", 20, NLMSG_ERROR, 0, 1, 0, -errno.EPERM))


def test_dump_that_ends_with_an_error() -> None:
    """What came before is not all, so it is none; want of memory is counted as such."""
    before = shortage.times()
    with pytest.raises(SourceUnavailableError, match=os.strerror(errno.ENOMEM)):
        decoded(
            message(socket.AF_INET, attribute(1, V4)),
            struct.pack("=IHHIIi", 20, NLMSG_DONE, 0, 1, 0, -errno.ENOMEM),
        )
    assert shortage.times() == before + 1


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """They are addresses, or one of the two errors."""
    try:
        found = decoded(data)
    except (ParseError, SourceUnavailableError):
        return
    assert all(each is None or len(each[1]) in (4, 16) for each in found)


@given(st.binary(max_size=80), st.integers(0, 120))
def test_damaged_answers(junk: bytes, at: int) -> None:
    """A datagram that is damaged somewhere gives addresses or an error, and ends."""
    whole = message(socket.AF_INET, attribute(1, V4), attribute(2, V4)) + DONE
    try:
        decoded(whole[:at] + junk + whole[at:])
    except (ParseError, SourceUnavailableError):
        pass


def test_this_machine() -> None:
    """Loopback is among its own addresses, of whose device the kernel knows the name."""
    found = {address: index for index, address, _ in read_addresses(TIME)}
    assert socket.if_indextoname(found[socket.inet_aton("127.0.0.1")]) == "lo"


def test_a_sandbox_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said in words, as of every other reader."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("zabbix_sockets.readers.rtnetlink._socket.socket", refuse)
    with pytest.raises(SourceUnavailableError, match="not permitted"):
        read_addresses(TIME)


def test_no_time_left() -> None:
    """Past the deadline nothing is waited for."""
    with pytest.raises(DeadlineError):
        read_addresses(Deadline(0))
