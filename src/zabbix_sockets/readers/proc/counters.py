"""Reader of /proc/net/{sockstat,netstat,snmp} and sysctls: counters and limits of no one socket.

Source: proc(5), net/ipv4/proc.c, Documentation/networking/ip-sysctl.rst. World-readable.
Memory and orphans are the host's; all else is the network namespace's.
"""

import _socket
import os
from collections.abc import Mapping

from zabbix_sockets.model import shortage
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.snapshot import HostCounters, PortRange
from zabbix_sockets.readers.proc.process import read_bytes

_PAGE = os.sysconf("SC_PAGE_SIZE")
_UNLIMITED_PAGES = 1 << 40  # tcp_mem can be set to "never"
_MAX_PORT = 65535
DEFAULT_PORT_RANGE = PortRange(32768, 60999, 28232)
"""The kernel's ephemeral ports where nobody has set others (net/ipv4/af_inet.c, inet_init_net)."""


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
            pairs = zip(words[::2], words[1::2], strict=True)
            found[name] = {key: int(value) for key, value in pairs}
        except ValueError as error:
            raise ParseError("/proc/net/sockstat", line) from error
    return found


def parse_counters(text: str) -> dict[str, dict[str, int]]:
    """Return the counters of the text of /proc/net/netstat or snmp: {"TcpExt": {"ListenDrops": 0}}.

    Lines come in pairs: names, then values, both after the group's name.

    Raises:
        ParseError: the two lines of a pair differ in group or number, or hold no numbers.
    """
    lines = text.splitlines()
    found: dict[str, dict[str, int]] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, _, titles = names.partition(":")
        same, _, figures = values.partition(":")
        try:
            if group != same:
                raise ValueError("titles and values differ")
            pairs = zip(titles.split(), figures.split(), strict=True)
            found[group] = {key: int(value) for key, value in pairs}
        except ValueError as error:
            raise ParseError("/proc/net/netstat", values) from error
    return found


def may_lack_descriptors(proc: str) -> bool:
    """Whether TCP sockets without a descriptor, orphans or in TIME_WAIT, may be in this namespace.

    *proc*/net/sockstat counts them; True also where it doesn't.

    Raises:
        ParseError: the file is none.
    """
    found = parse_sockstat(_read(f"{proc}/net/sockstat")).get("TCP", {})
    return found.get("tw") != 0 or found.get("orphan") != 0


def read_host(proc: str) -> HostCounters:
    """Return the counters of the caller's network namespace; None for each that isn't there.

    Memory is in bytes; its limit, the third value of tcp_mem, is None too where it was set so high
    that it limits nothing.

    Raises:
        ParseError: a file of *proc*/net can't be understood.
    """
    sockstat = parse_sockstat(_read(f"{proc}/net/sockstat")).get("TCP", {})
    netstat = parse_counters(_read(f"{proc}/net/netstat")).get("TcpExt", {})
    snmp = parse_counters(_read(f"{proc}/net/snmp")).get("Tcp", {})
    limits = _read(f"{proc}/sys/net/ipv4/tcp_mem").split()
    limit = int(limits[2]) if len(limits) == 3 and limits[2].isdecimal() else None  # noqa: PLR2004
    return HostCounters(
        orphans=sockstat.get("orphan"),
        tcp_memory_bytes=_pages(sockstat, "mem"),
        tcp_memory_limit_bytes=limit * _PAGE if limit and limit < _UNLIMITED_PAGES else None,
        listen_overflows=netstat.get("ListenOverflows"),
        listen_drops=netstat.get("ListenDrops"),
        retransmitted_segments=snmp.get("RetransSegs"),
    )


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


def read_current_established(proc: str) -> int | None:
    """Return how many TCP sockets are in ESTABLISHED or CLOSE_WAIT in the caller's namespace.

    It is CurrEstab of *proc*/net/snmp; None where that is not there.

    Raises:
        ParseError: as parse_counters().
    """
    return parse_counters(_read(f"{proc}/net/snmp")).get("Tcp", {}).get("CurrEstab")
