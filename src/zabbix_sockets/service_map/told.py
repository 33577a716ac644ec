"""What a host tells of itself, in the two texts of document.map_texts: parsed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from zabbix_sockets.model.addresses import format_address, parse_address, unmapped
from zabbix_sockets.model.errors import printable

LISTENERS, UPSTREAMS = "sockets.map.listeners", "sockets.map.upstreams"
"""The keys of the items that have the texts."""

_END = re.compile(r"(tcp|udp)/\[?([0-9A-Fa-f:.]+)(?:%[^:]*|\]?):([0-9]{1,5})(?:@(.*))?", re.DOTALL)
"""Protocol, address, port and namespace of an end. After "%" comes the name of a device, which may
have any character but ":"."""

_PREFIX_DIGITS = 3  # of 128
_MAX_LINES = 20_000
"""Of a text that is no longer than 60,000 bytes; others were not made by zabbix-sockets."""


class ToldEnd(NamedTuple):
    """An address of TCP or UDP, as text in its shortest form, in a network namespace.

    *netns* is the label of the namespace from which it is seen, empty for the host's own.
    """

    protocol: str
    address: str
    port: int
    netns: str = ""

    def __str__(self) -> str:
        """Return protocol, address and port, as ids of rows have them."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol}/{shown}:{self.port}"


class ToldAddress(NamedTuple):
    """An address of the host: its kind, as model.snapshot has it, and its namespace's label.

    *prefix* is the length of the network's prefix in bits; None: it was not told.
    """

    address: str
    kind: str
    netns: str
    prefix: int | None = None


class ToldListener(NamedTuple):
    """A listener with its process and container, each empty if unknown; *row* is its row's id."""

    row: str
    end: ToldEnd
    process: str
    container: str


class ToldUpstream(NamedTuple):
    """A remote end to which a process connects; *row* is the id of its row."""

    row: str
    end: ToldEnd
    process: str


class Told(NamedTuple):
    """All that a host tells; *left_out* counts listeners and upstreams that had no room."""

    addresses: tuple[ToldAddress, ...] = ()
    listeners: tuple[ToldListener, ...] = ()
    upstreams: tuple[ToldUpstream, ...] = ()
    left_out: int = 0


NOTHING = Told()
"""What a host tells that has no such items, or none with a value."""


def parse_told(listeners: str, upstreams: str) -> Told:
    """Return the addresses, listeners and upstreams of a host, by the texts of two of its items.

    Lines of an unknown kind are passed over.
    """
    addresses: list[ToldAddress] = []
    served: list[ToldListener] = []
    used: list[ToldUpstream] = []
    left_out = 0
    for kind, *fields in _lines(listeners, upstreams):
        if kind == "address":
            addresses += _addresses(*fields[:3])
        elif kind == "listener":
            served += _listeners(*fields[:3])
        elif kind == "upstream" and len(fields) > 1:
            process, row = fields[0], fields[1]
            end = parse_end(row)
            used += [ToldUpstream(f"{process}>{row}", end, process)] if end else []
        elif kind == "left out" and fields[0].isdecimal():
            left_out += int(fields[0][:9])
    return Told(tuple(addresses), tuple(served), tuple(used), left_out)


def _lines(*texts: str) -> Iterator[list[str]]:
    """Yield the fields of each line, safe for a terminal.

    What a host's collector tells is so; but whoever may push values for a host tells what he likes.
    """
    for text in texts:
        for line in text.split("\n")[:_MAX_LINES]:
            fields = [printable(field) for field in line.rstrip("\r").split("\t")]
            if len(fields) > 1:
                yield fields


def _addresses(text: str, kind: str = "", netns: str = "") -> Iterator[ToldAddress]:
    address, _, prefix = text.partition("/")
    shown = plain_address(address)
    if shown:
        is_length = prefix.isdecimal() and len(prefix) <= _PREFIX_DIGITS
        yield ToldAddress(shown, kind, netns, int(prefix) if is_length else None)


def _listeners(row: str, process: str = "", container: str = "") -> Iterator[ToldListener]:
    end = parse_end(row)
    if end:
        yield ToldListener(row, end, process, container)


def parse_end(text: str) -> ToldEnd | None:
    """Return the end of a text such as "tcp/[2001:db8::1]:443@web"; None if it is none.

    A device, as in "[fe80::1%eth0]", is left out.
    """
    found = _END.fullmatch(text)
    if not found:
        return None
    protocol, address, port, netns = found.groups()
    shown = plain_address(address)
    if not shown or int(port) > 65535:  # noqa: PLR2004  # the greatest port
        return None
    return ToldEnd(protocol, shown, int(port), netns or "")


def plain_address(text: str) -> str:
    """Return an address in its shortest form, an IPv4-mapped one as IPv4; empty if it is none."""
    try:
        return format_address(unmapped(parse_address(text)))
    except ValueError:
        return ""
