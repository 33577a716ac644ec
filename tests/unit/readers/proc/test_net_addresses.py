"""Addresses of a process's namespace in /proc/PID/net: made up, any bytes, and the own ones."""

import os
import socket
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.readers.proc.net_addresses import (
    parse_fib_trie,
    parse_if_inet6,
    read_addresses_of,
)

FIB_TRIE = b"""\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 172.18.0.0
        /16 link UNICAST
Local:
  +-- 0.0.0.0/0 2 0 2
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 127.255.255.255
        /32 link BROADCAST
     +-- 172.18.0.0/30 2 0 2
        |-- 172.18.0.3
           /32 host LOCAL
"""
IF_INET6 = b"""\
20010db8000000000000000000000001 02 40 00 80     eth0
20010db8000000000000000000000002 02 40 00 01     eth0
20010db8000000000000000000000003 02 40 00 48     eth0
short line
"""


def test_fib_trie() -> None:
    """The namespace's own addresses are those with a local route, not networks and broadcast."""
    found = [socket.inet_ntoa(each) for each in parse_fib_trie(FIB_TRIE.splitlines())]
    assert found == ["127.0.0.1", "172.18.0.3"]


def test_if_inet6() -> None:
    """Temporary addresses and those that are not settled are left out."""
    found = [
        socket.inet_ntop(socket.AF_INET6, each) for each in parse_if_inet6(IF_INET6.splitlines())
    ]
    assert found == ["2001:db8::1"]


@given(st.lists(st.binary(max_size=60)))
def test_any_lines(lines: list[bytes]) -> None:
    """They give addresses or nothing."""
    assert all(len(each) == 4 for each in parse_fib_trie(lines))
    assert all(len(each) == 16 for each in parse_if_inet6(lines))


def test_this_process() -> None:
    """Its namespace has 127.0.0.1; what the kernel lists twice is there once."""
    found = read_addresses_of("/proc", os.getpid())
    assert found.count(socket.inet_aton("127.0.0.1")) == 1


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    """It has no addresses."""
    assert read_addresses_of(str(tmp_path), 1) == []
