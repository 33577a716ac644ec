"""What one condition of a filter says of one row, of netlink's and of /proc/net's."""

from __future__ import annotations

import socket
import sys

import pytest

from zabbix_sockets.filters.evaluate import OwnerMatcher, RowContext, compile_test
from zabbix_sockets.filters.terms import (
    CgroupCondition,
    DeviceCondition,
    HostCondition,
    Leaf,
    MarkCondition,
    PidCondition,
    PortCondition,
    ProcessCondition,
    StatesCondition,
    UserCondition,
)
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Process
from zabbix_sockets.model.wire import AddressToken, Encoding, SocketRow
from zabbix_sockets.readers.proc import net_tables
from zabbix_sockets.readers.sock_diag import messages

LOCAL, REMOTE = bytes((10, 1, 2, 3)), bytes((192, 0, 2, 9))
LOCAL6, REMOTE6 = b"\xfd" + bytes(14) + b"\1", b"\x20\1" + bytes(14)
MAPPED = bytes(10) + b"\xff\xff" + REMOTE
ESTABLISHED, LISTEN = 1, 10


def netlink_row(local: bytes, remote: bytes) -> SocketRow:
    """Return a row as netlink gives it: ports 22 and 40000, device 3, uid 1000, inode 7."""
    ports = socket.htons(22), socket.htons(40000)
    return (ESTABLISHED, *ports, local, remote, 3, 11, 12, 1000, 7)


def proc_address(address: bytes) -> AddressToken:
    """Return the address as /proc/net has it: each word as the host has numbers, in hexadecimal."""
    words = [address[at : at + 4] for at in range(0, len(address), 4)]
    return b"".join(b"%08X" % int.from_bytes(word, sys.byteorder) for word in words)


def proc_row(local: bytes, remote: bytes) -> SocketRow:
    """Return the same row as the reader of /proc/net gives it."""
    port = {number: token for token in range(65536) if (number := net_tables.ENCODING.port(token))}
    return (ESTABLISHED, port[22], port[40000], proc_address(local), proc_address(remote),
            3, 11, 12, 1000, 7)  # fmt: skip


def holds(leaf: Leaf, row: SocketRow, family: int, encoding: Encoding) -> bool:
    """Return what a condition says of a row, whose socket two processes have, in cgroup 77."""
    owners = Owners()
    owners.add(Process(1, "one"), [7])
    owners.add(Process(2, "two"), [7])
    owners.add(Process(3, "three"), [8])
    test = compile_test(leaf, RowContext(family, encoding, OwnerMatcher(owners)))
    found = test(row, 77, 0x21)
    assert type(found) is bool
    assert test(row, 77, 0x21) is found  # it remembers what it found of owners
    return found


@pytest.mark.parametrize("encoding", [messages.ENCODING, net_tables.ENCODING], ids=["nl", "proc"])
@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (StatesCondition(1 << ESTABLISHED), True),
        (StatesCondition(1 << ESTABLISHED | 1 << LISTEN), True),
        (StatesCondition(1 << LISTEN), False),
        (StatesCondition(0), False),
        *((PortCondition(True, "=", port), port == 22) for port in (21, 22, 23, 40000)),
        *((PortCondition(False, "=", port), port == 40000) for port in (22, 39999, 40000)),
        *((PortCondition(True, ">=", port), port <= 22) for port in (0, 21, 22, 23, 40000)),
        *((PortCondition(False, ">=", port), port <= 40000) for port in (22, 40000, 40001)),
        *((PortCondition(True, "<=", port), port >= 22) for port in (21, 22, 23, 65535)),
        *((PortCondition(False, "<=", port), port >= 40000) for port in (22, 39999, 40000)),
        (HostCondition(True, LOCAL, 32), True),
        (HostCondition(False, LOCAL, 32), False),
        (HostCondition(False, REMOTE, 32), True),
        (HostCondition(True, LOCAL[:3] + b"\0", 24), True),
        (HostCondition(True, LOCAL[:3] + b"\2", 31), True),
        (HostCondition(True, LOCAL[:3] + b"\2", 32), False),
        (HostCondition(True, bytes(4), 0), True),
        (HostCondition(True, LOCAL, 32, 22), True),
        (HostCondition(True, LOCAL, 32, 40000), False),
        (HostCondition(True, REMOTE, 32, 22), False),
        (HostCondition(False, REMOTE, 32, 40000), True),
        (HostCondition(False, REMOTE, 32, 22), False),
        (HostCondition(False, LOCAL, 32, 40000), False),
        (HostCondition(True, LOCAL6, 128), False),
        (HostCondition(True, LOCAL6, 128, 22), False),
        (DeviceCondition(3), True),
        (DeviceCondition(11), False),
        (DeviceCondition(0), False),
        (MarkCondition(0x21, 0xFFFFFFFF), True),
        (MarkCondition(1, 0xF), True),
        (MarkCondition(1, 0xFF), False),
        (CgroupCondition(77), True),
        (CgroupCondition(7), False),
        (UserCondition(1000), True),
        (UserCondition(0), False),
        (PidCondition(1), True),
        (PidCondition(2), True),
        (PidCondition(3), False),
        (ProcessCondition("two"), True),
        (ProcessCondition("three"), False),
    ],
)
def test_a_row_over_ipv4(encoding: Encoding, leaf: Leaf, expected: bool) -> None:
    """Each condition, at its bounds, whatever the reader's encoding."""
    made = netlink_row if encoding is messages.ENCODING else proc_row
    assert holds(leaf, made(LOCAL, REMOTE), socket.AF_INET, encoding) is expected


@pytest.mark.parametrize("encoding", [messages.ENCODING, net_tables.ENCODING], ids=["nl", "proc"])
@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (HostCondition(True, LOCAL6, 128), True),
        (HostCondition(True, LOCAL6, 128, 22), True),
        (HostCondition(True, LOCAL6, 128, 23), False),
        (HostCondition(True, b"\xfc" + bytes(15), 7), True),
        (HostCondition(True, b"\xfc" + bytes(15), 8), False),
        (HostCondition(False, REMOTE, 32), True),
        (HostCondition(False, REMOTE[:2] + bytes(2), 16), True),
        (HostCondition(False, LOCAL, 32), False),
        (HostCondition(False, MAPPED, 128), True),
        (HostCondition(True, MAPPED, 128), False),
    ],
)
def test_a_row_over_ipv6(encoding: Encoding, leaf: Leaf, expected: bool) -> None:
    """An address of IPv4 fits the one that is mapped to IPv6, too."""
    made = netlink_row if encoding is messages.ENCODING else proc_row
    assert holds(leaf, made(LOCAL6, MAPPED), socket.AF_INET6, encoding) is expected


def test_an_address_of_ipv6_itself() -> None:
    """It is none of IPv4."""
    row = netlink_row(LOCAL6, REMOTE6)
    for prefix in (0, 32):
        leaf = HostCondition(False, bytes(4), prefix)
        assert not holds(leaf, row, socket.AF_INET6, messages.ENCODING)


def test_a_socket_of_nobody() -> None:
    """It has no process, whatever others have."""
    row = (*netlink_row(LOCAL, REMOTE)[:9], 0)
    for inode in (0, 9):
        each = (*row[:9], inode)
        assert not holds(PidCondition(1), each, socket.AF_INET, messages.ENCODING)
