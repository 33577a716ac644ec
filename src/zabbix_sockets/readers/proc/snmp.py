"""Reader of /proc/net/{snmp,snmp6,netstat}: the counters that the kernel keeps of its protocols.

Source: proc(5), net/ipv4/proc.c, net/ipv6/proc.c. World-readable; they are the network namespace's.
"""

from __future__ import annotations

from _collections_abc import Collection

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.readers.proc.files import read_bytes


def parse_counters(text: str, wanted: Collection[str] = ()) -> dict[str, dict[str, int]]:
    """Return the counters of the text of /proc/net/netstat or snmp: {"TcpExt": {"ListenDrops": 0}}.

    Lines come in pairs: names, then values, both after the group's name. Only the groups *wanted*
    are looked at; empty: all.

    Raises:
        ParseError: the two lines of a pair differ in group or number, or hold no numbers.
    """
    lines = text.splitlines()
    found: dict[str, dict[str, int]] = {}
    for names, values in zip(lines[::2], lines[1::2]):
        group, _, titles = names.partition(":")
        if wanted and group not in wanted:
            continue
        same, _, figures = values.partition(":")
        try:
            if group != same:
                raise ValueError("titles and values differ")
            found[group] = numbers_by_name(titles.split(), figures.split())
        except ValueError as error:
            raise ParseError("/proc/net/netstat", values) from error
    return found


def parse_counters6(text: str) -> dict[str, int]:
    """Return UDP's counters of the text of /proc/net/snmp6: {"Udp6NoPorts": 0, ...}.

    Each of their lines is a name and a number.

    Raises:
        ParseError: it is not.
    """
    words = [word for line in text.splitlines() if line[:4] == "Udp6" for word in line.split()]
    try:
        return numbers_by_name(words[::2], words[1::2])
    except ValueError as error:
        raise ParseError("/proc/net/snmp6", text) from error


def numbers_by_name(names: list[str], figures: list[str]) -> dict[str, int]:
    """Return the numbers that *figures* are, by their names.

    Raises:
        ValueError: there are more of one than of the other, or a figure is no number.
    """
    if len(names) != len(figures):
        raise ValueError("names and figures differ in number")
    return {name: int(figure) for name, figure in zip(names, figures)}


def read_current_established(proc: str) -> int | None:
    """Return how many TCP sockets are in ESTABLISHED or CLOSE_WAIT in the caller's namespace.

    It is CurrEstab of *proc*/net/snmp; None where that is not there.

    Raises:
        ParseError: as parse_counters().
    """
    try:
        text = read_bytes(f"{proc}/net/snmp").decode("ascii", "replace")
    except OSError:
        return None
    return parse_counters(text).get("Tcp", {}).get("CurrEstab")
