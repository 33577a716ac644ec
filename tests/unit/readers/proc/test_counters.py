"""The host's counters and sysctls."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.collector.directions import ephemeral_flags
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.snapshot import HostCounters, PortRange
from zabbix_sockets.readers.proc.counters import (
    DEFAULT_PORT_RANGE,
    may_lack_descriptors,
    parse_port_range,
    parse_sockstat,
    read_device_name,
    read_host,
    read_port_range,
)

CAPTURE = Path(__file__).parents[2] / "captures" / "linux-6.18"
PAGE = os.sysconf("SC_PAGE_SIZE")

WORDS = st.text("TCPtcp: 0123456789-\n\xe9\u0660", max_size=80) | st.text(max_size=80)
PORT = st.integers(0, 65535)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A copy of the capture that a test may change."""
    return Path(shutil.copytree(CAPTURE, tmp_path, dirs_exist_ok=True))


@given(WORDS)
@example("TCP: inuse")
@example("TCP: inuse many")
def test_sockstat_of_any_text(text: str) -> None:
    """Whatever sockstat holds, it gives numbers or a ParseError."""
    try:
        found = parse_sockstat(text)
    except ParseError:
        return
    assert all(isinstance(value, int) for group in found.values() for value in group.values())


def test_captured_counters() -> None:
    """What Linux 6.18 printed is read."""
    sockstat = parse_sockstat((CAPTURE / "net/sockstat").read_text())
    assert sockstat["TCP"] == {"inuse": 8, "orphan": 0, "tw": 3, "alloc": 13, "mem": 0}


def write_counters(proc: Path) -> None:
    """Give each counter that is used a number of its own."""
    net = proc / "net"
    (net / "sockstat").write_text("sockets: used 9\nTCP: inuse 5 orphan 2 tw 3 alloc 7 mem 11\n")
    (net / "netstat").write_text("TcpExt: ListenOverflows ListenDrops\nTcpExt: 13 17\n")
    (net / "snmp").write_text("Ip: A\nIp: 1\nTcp: MaxConn RetransSegs\nTcp: -1 19\n")


def test_host(proc: Path) -> None:
    """Each counter is what it says, memory in bytes."""
    write_counters(proc)
    host = read_host(str(proc))
    assert host.uptime
    assert host._replace(uptime=None) == HostCounters(
        orphans=2,
        tcp_memory_bytes=11 * PAGE,
        tcp_memory_limit_bytes=575802 * PAGE,
        listen_overflows=13,
        listen_drops=17,
        retransmitted_segments=19,
    )


def test_totals(proc: Path) -> None:
    """UDP's are the sum of both families, or the one that there is; a missing one is no 0."""
    net, sysctls = proc / "net", proc / "sys/net/ipv4"
    (net / "snmp").write_text(
        "Tcp: OutRsts ActiveOpens\nTcp: 3 5\nUdp: NoPorts InErrors\nUdp: 7 9\n"
    )
    (net / "netstat").write_text("TcpExt: SyncookiesSent\nTcpExt: 11\n")
    (net / "snmp6").write_text("Ip6InReceives 1\nUdp6NoPorts 13\nUdp6RcvbufErrors 17\n")
    (sysctls / "tcp_max_tw_buckets").write_text("19\n")
    host = read_host(str(proc))
    assert (host.tcp_max_orphans, host.tcp_max_tw_buckets) == (None, 19)
    assert host.totals == {
        "active_opens": 5,
        "out_rsts": 3,
        "syn_cookies_sent": 11,
        "udp_in_errors": 9,
        "udp_rcvbuf_errors": 17,
        "udp_no_ports": 20,
    }
    (net / "snmp6").unlink()
    assert (read_host(str(proc)).totals or {})["udp_no_ports"] == 7


def test_nothing_is_known() -> None:
    """Where a kernel or a container has none of the files, nothing is known and nothing is 0."""
    assert read_host("/nowhere")._replace(uptime=None) == HostCounters()
    assert read_port_range("/nowhere") == DEFAULT_PORT_RANGE


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1\t2\t3\n", 3 * PAGE),
        (f"1 2 {1 << 51}\n", None),  # "never"
        ("1 2\n", None),
        ("", None),
        ("a b c\n", None),
    ],
)
def test_memory_limit(proc: Path, text: str, limit: int | None) -> None:
    """The third number of tcp_mem is the limit; what is no limit is None."""
    (proc / "sys/net/ipv4/tcp_mem").write_text(text)
    assert read_host(str(proc)).tcp_memory_limit_bytes == limit


@given(
    st.tuples(PORT, PORT).map(sorted),
    st.lists(st.tuples(PORT, PORT).map(sorted), max_size=5),
)
def test_port_range(ends: list[int], reserved: list[list[int]]) -> None:
    """The range's size is the number of its ports that nobody reserved."""
    low, high = ends
    parts = [str(a) if a == b else f"{a}-{b}" for a, b in reserved]
    taken = {port for a, b in reserved for port in range(a, b + 1)}
    size = sum(port not in taken for port in range(low, high + 1))
    found = parse_port_range(f"{low}\t{high}\n", ",".join(parts) + "\n")
    assert found == PortRange(low, high, size)
    flags = ephemeral_flags(found, False)
    assert (len(flags), sum(flags)) == (65536, high - low + 1)


@given(st.text("0123456789 \t-,x", max_size=5), st.text("0123456789-,x\n", max_size=5))
@example("", "")
@example("1", "")
@example("1 2 3", "")
@example("1 2", "-")
@example("1 2", "1-2-3")
def test_port_range_of_any_text(text: str, reserved: str) -> None:
    """Whatever the sysctls hold, they give a range or a ParseError."""
    try:
        found = parse_port_range(text, reserved)
    except ParseError:
        return
    assert 0 <= found.size <= max(0, found.high - found.low + 1)


@pytest.mark.parametrize("text", ["1 65536", "-1 100", "60999 32768", "0 99999999999999999999"])
def test_port_range_that_no_kernel_has(text: str) -> None:
    """Numbers that are no ports, or no range, are a ParseError before they do harm."""
    with pytest.raises(ParseError):
        parse_port_range(text, "")


def test_captured_port_range() -> None:
    """The captured sysctls are the kernel's defaults."""
    assert read_port_range(str(CAPTURE)) == PortRange(32768, 60999, 28232)


def test_device_names() -> None:
    """A device's name is found by its index; 0 is none, and one that has gone keeps its index."""
    assert read_device_name(0) == ""
    assert read_device_name(socket.if_nametoindex("lo")) == "lo"
    assert read_device_name(0x7FFFFFFF) == "if2147483647"


def test_hostile_device_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device's name is as harmless as a process's."""
    monkeypatch.setattr("_socket.if_indextoname", lambda _: 'e"\udcff')
    assert read_device_name(5) == "e%22%FF"


@pytest.mark.parametrize(
    ("line", "may"),
    [
        ("TCP: inuse 3 orphan 0 tw 0 alloc 4 mem 1", False),
        ("TCP: inuse 3 orphan 1 tw 0 alloc 4 mem 1", True),
        ("TCP: inuse 3 orphan 0 tw 2 alloc 4 mem 1", True),
        ("TCP: inuse 3", True),
        ("", True),
    ],
)
def test_may_lack_descriptors(tmp_path: Path, line: str, may: bool) -> None:
    """Only two zeros say that no socket is in TIME_WAIT or an orphan."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net/sockstat").write_text(f"sockets: used 9\n{line}\n")
    assert may_lack_descriptors(str(tmp_path)) is may


def test_limits_that_no_kernel_has(proc: Path) -> None:
    """A number longer than any of the kernel's is not known."""
    folder = proc / "sys/net/ipv4"
    (folder / "tcp_mem").write_text(f"1 2 {'9' * 5000}\n")
    (folder / "tcp_max_orphans").write_text("9" * 5000)
    found = read_host(str(proc))
    assert found.tcp_memory_limit_bytes is None
    assert found.tcp_max_orphans is None
