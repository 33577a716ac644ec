"""Reader of /proc/net/{sockstat,netstat,snmp,snmp6} and sysctls: what belongs to no one socket.

Source: proc(5), net/ipv4/proc.c, Documentation/networking/ip-sysctl.rst. World-readable.
Memory, orphans and their limit are the host's; all else is the network namespace's.
"""

from __future__ import annotations

import _socket
import os
import time
from _collections_abc import Mapping

from zabbix_sockets.model import shortage
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.snapshot import HostCounters, PortRange
from zabbix_sockets.readers.proc.files import read_bytes
from zabbix_sockets.readers.proc.snmp import (
    numbers_by_name,
    parse_counters,
    parse_counters6,
)

_PAGE = os.sysconf("SC_PAGE_SIZE")
_UNLIMITED_PAGES = 1 << 40  # tcp_mem can be set to "never"
_MOST_DIGITS = 20  # of 2^64
_MAX_PORT = 65535
DEFAULT_PORT_RANGE = PortRange(32768, 60999, 28232)
"""The kernel's ephemeral ports where nobody has set others (net/ipv4/af_inet.c, inet_init_net)."""

_TOTALS = (
    ("active_opens", "Tcp", "ActiveOpens"),
    ("passive_opens", "Tcp", "PassiveOpens"),
    ("attempt_fails", "Tcp", "AttemptFails"),
    ("estab_resets", "Tcp", "EstabResets"),
    ("out_rsts", "Tcp", "OutRsts"),
    ("syn_cookies_sent", "TcpExt", "SyncookiesSent"),
    ("udp_in_errors", "Udp", "InErrors"),
    ("udp_rcvbuf_errors", "Udp", "RcvbufErrors"),
    ("udp_no_ports", "Udp", "NoPorts"),
)
"""The totals by their names in the document, with group and column of snmp or netstat. TCP's are of
both families; UDP's of IPv4 alone, to which those of IPv6 are added: Udp6 and the same column."""


def parse_sockstat(text: str) -> dict[str, dict[str, int]]:
    """Return the figures of the text of /proc/net/sockstat: {"TCP": {"inuse": 5, ...}, ...}.

    Raises:
        ParseError: a line is not made of pairs of a name and a number.
    """
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        name, _, figures = line.partition(":")
        words = figures.split()
        try:
            found[name] = numbers_by_name(words[::2], words[1::2])
        except ValueError as error:
            raise ParseError("/proc/net/sockstat", line) from error
    return found


def count_time_wait(proc: str) -> int:
    """Return the number of TCP sockets in TIME_WAIT in the caller's namespace; 0: unknown, too.

    Those that netlink shows in FIN_WAIT2, though no process has them, are among them.

    Raises:
        ParseError: *proc*/net/sockstat is none.
    """
    return _tcp_figures(proc).get("tw", 0)


def may_lack_descriptors(proc: str) -> bool:
    """Whether TCP sockets without a descriptor, orphans or in TIME_WAIT, may be in this namespace.

    *proc*/net/sockstat counts them; True also where it doesn't.

    Raises:
        ParseError: the file is none.
    """
    found = _tcp_figures(proc)
    return found.get("tw") != 0 or found.get("orphan") != 0


def _tcp_figures(proc: str) -> dict[str, int]:
    """Return the line TCP of *proc*/net/sockstat; empty where it can't be read."""
    return parse_sockstat(_read(f"{proc}/net/sockstat")).get("TCP", {})


def read_host(proc: str) -> HostCounters:
    """Return the counters of the caller's network namespace, and the seconds since boot.

    None for each counter that isn't there.
    Memory is in bytes; its limit, the third value of tcp_mem, is None too where it was set so high
    that it limits nothing.

    Raises:
        ParseError: a file of *proc*/net can't be understood.
    """
    sockstat = parse_sockstat(_read(f"{proc}/net/sockstat")).get("TCP", {})
    netstat = parse_counters(_read(f"{proc}/net/netstat"), ("TcpExt",)).get("TcpExt", {})
    snmp = parse_counters(_read(f"{proc}/net/snmp"), ("Tcp", "Udp"))
    snmp6 = parse_counters6(_read(f"{proc}/net/snmp6"))
    sysctls = f"{proc}/sys/net/ipv4"
    limits = _read(f"{sysctls}/tcp_mem").split()
    limit = _number(limits[2]) if len(limits) == 3 else None  # noqa: PLR2004
    return HostCounters(
        orphans=sockstat.get("orphan"),
        tcp_memory_bytes=_pages(sockstat, "mem"),
        tcp_memory_limit_bytes=limit * _PAGE if limit and limit < _UNLIMITED_PAGES else None,
        listen_overflows=netstat.get("ListenOverflows"),
        listen_drops=netstat.get("ListenDrops"),
        retransmitted_segments=snmp.get("Tcp", {}).get("RetransSegs"),
        tcp_max_orphans=_limit(f"{sysctls}/tcp_max_orphans"),
        tcp_max_tw_buckets=_limit(f"{sysctls}/tcp_max_tw_buckets"),
        totals=_totals({**snmp, "TcpExt": netstat}, snmp6) or None,
        uptime=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
    )


def _totals(groups: Mapping[str, Mapping[str, int]], udp6: Mapping[str, int]) -> dict[str, int]:
    """Return the counters of _TOTALS that the kernel has, by their names in the document.

    *groups* are those of snmp and netstat, *udp6* the counters of snmp6.
    """
    totals = {}
    for name, group, column in _TOTALS:
        found = groups.get(group, {}).get(column)
        found6 = udp6.get(f"Udp6{column}") if group == "Udp" else None
        if found is not None or found6 is not None:
            totals[name] = (found or 0) + (found6 or 0)
    return totals


def _limit(path: str) -> int | None:
    """Return the number in a sysctl's file; None where this namespace has none to read."""
    return _number(_read(path).strip())


def _number(text: str) -> int | None:
    """Return the number that a text is; None if it is none, or more than 64 bits hold."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


def parse_port_range(text: str, reserved: str) -> PortRange:
    """Return the ephemeral ports: *text* of ip_local_port_range, less *reserved* ones.

    *reserved* is the text of ip_local_reserved_ports, such as "8080,9148-9150".

    Raises:
        ParseError: one of them is no list of ports.
    """
    try:
        low, high = map(int, text.split())
        if not 0 <= low <= high <= _MAX_PORT:
            raise ValueError("no range")
        taken: set[int] = set()
        for part in filter(None, reserved.strip().split(",")):
            first, _, last = part.partition("-")
            taken.update(range(max(low, int(first)), min(high, int(last or first)) + 1))
    except ValueError as error:
        raise ParseError("ip_local_port_range", (text, reserved)) from error
    return PortRange(low, high, max(0, high - low + 1 - len(taken)))


def read_port_range(proc: str) -> PortRange:
    """Return the ephemeral ports of the caller's network namespace, by the sysctls below *proc*.

    It is the kernel's default where a container hides them.

    Raises:
        ParseError: as parse_port_range().
    """
    folder = f"{proc}/sys/net/ipv4"
    text = _read(f"{folder}/ip_local_port_range")
    if not text:
        return DEFAULT_PORT_RANGE
    return parse_port_range(text, _read(f"{folder}/ip_local_reserved_ports"))


def has_port_range(proc: str) -> bool:
    """Whether *proc* has the sysctl of the ephemeral ports, so that nobody has to assume them."""
    return os.path.exists(f"{proc}/sys/net/ipv4/ip_local_port_range")


def read_device_name(index: int) -> str:
    """Return the name, safe to print, of the network device *index* of the caller's namespace.

    It is empty for index 0, which is no device, and "if7" for one that is not there (any more).
    """
    if not index:
        return ""
    try:
        return safe_name(os.fsencode(_socket.if_indextoname(index)))
    except OSError as error:
        shortage.note(error)
        return f"if{index}"  # it has gone


def _read(path: str) -> str:
    """Return a file's text; empty where it is not there, as in older kernels and containers."""
    try:
        return read_bytes(path).decode("ascii", "replace")
    except OSError:
        return ""


def _pages(figures: Mapping[str, int], name: str) -> int | None:
    return figures[name] * _PAGE if name in figures else None
