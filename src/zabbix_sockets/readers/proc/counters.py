"""/proc/net/{sockstat,netstat,snmp} and the sysctls: figures that no socket row has.

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


def parse_sockstat(text: str) -> dict[str, dict[str, int]]:
    """Return {"TCP": {"inuse": 5, ...}, ...} of /proc/net/sockstat."""
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        try:
            pairs = zip(words[::2], words[1::2], strict=True)
            found[name] = {key: int(value) for key, value in pairs}
        except ValueError as error:
            raise ParseError("/proc/net/sockstat", line) from error
    return found


def parse_counters(text: str) -> dict[str, dict[str, int]]:
    """Return {"TcpExt": {"ListenDrops": 0, ...}, ...} of /proc/net/netstat or snmp.

    Lines come in pairs: names, then values, both after the group's name.
    """
    lines = text.splitlines()
    found: dict[str, dict[str, int]] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, _, rest = names.partition(":")
        same, _, figures = values.partition(":")
        try:
            if group != same:
                raise ValueError("titles and values differ")
            pairs = zip(rest.split(), figures.split(), strict=True)
            found[group] = {key: int(value) for key, value in pairs}
        except ValueError as error:
            raise ParseError("/proc/net/netstat", values) from error
    return found


def may_lack_descriptors(proc: str) -> bool:
    """Whether TCP sockets may be in TIME_WAIT, or orphans, by /proc/net/sockstat."""
    found = parse_sockstat(_read(f"{proc}/net/sockstat")).get("TCP", {})
    return found.get("tw") != 0 or found.get("orphan") != 0


def read_host(proc: str) -> HostCounters:
    """Read all counters of the caller's namespace; what this kernel has not is None."""
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
    """Return the range of ip_local_port_range less *reserved* ports ("8080,9148-9150")."""
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
    """Read the ephemeral ports of the caller's namespace; the kernel's default if hidden."""
    folder = f"{proc}/sys/net/ipv4"
    text = _read(f"{folder}/ip_local_port_range")
    if not text:
        return DEFAULT_PORT_RANGE
    return parse_port_range(text, _read(f"{folder}/ip_local_reserved_ports"))


def has_port_range(proc: str) -> bool:
    """Whether read_port_range() can tell the ephemeral ports, and not just the default."""
    return os.path.exists(f"{proc}/sys/net/ipv4/ip_local_port_range")


def read_device_name(index: int) -> str:
    """Return the safe name of a network device of the caller's namespace; empty for 0."""
    if not index:
        return ""
    try:
        return safe_name(os.fsencode(_socket.if_indextoname(index)))
    except OSError as error:
        shortage.note(error)
        return f"if{index}"  # it has gone


def _read(path: str) -> str:
    """Return a file's text; empty where this kernel, or this container, has it not."""
    try:
        return read_bytes(path).decode("ascii", "replace")
    except OSError:
        return ""


def _pages(figures: Mapping[str, int], name: str) -> int | None:
    return figures[name] * _PAGE if name in figures else None


def read_current_established(proc: str) -> int | None:
    """Return CurrEstab of /proc/net/snmp: TCP sockets in ESTABLISHED and CLOSE_WAIT."""
    return parse_counters(_read(f"{proc}/net/snmp")).get("Tcp", {}).get("CurrEstab")
