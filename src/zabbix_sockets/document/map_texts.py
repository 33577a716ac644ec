"""What a host tells for the map of who talks to whom: two texts, of which items are made.

They hold no figures, so that they seldom change. docs/map.md has their lines.
"""

from __future__ import annotations

from _collections_abc import Iterable, Iterator, Sequence

from zabbix_sockets.document.listener_row import ListenerRow
from zabbix_sockets.document.record import Record, text
from zabbix_sockets.document.row import NetnsLabel
from zabbix_sockets.document.upstreams import UpstreamRow
from zabbix_sockets.model.addresses import (
    format_address,
    format_endpoint,
    is_loopback,
    parse_address,
)
from zabbix_sockets.model.snapshot import BRIDGE_ADDRESS, OwnAddress, PortRange, Snapshot
from zabbix_sockets.model.wire import UNIX

MAX_BYTES = 60_000
"""The greatest length of a text: Zabbix keeps 65,535 bytes of a text in MySQL."""

_MOST_PORTS = 100
_ROOM = 40  # for the line that says what was left out


class MapTexts(Record):
    """The host's addresses and listeners, and its upstreams, a line each.

    Fields of a line are separated by tabs, which no name has.
    """

    listeners: str = text()
    upstreams: str = text()


def map_texts(
    snapshot: Snapshot,
    listeners: Sequence[ListenerRow],
    upstreams: Sequence[UpstreamRow],
    label: NetnsLabel,
    left_out: tuple[int, int],
) -> MapTexts | None:
    """Return the texts of rows, which are sorted by id; None if own addresses are not known.

    *label* returns the label of a network namespace by its number. *left_out* are the numbers of
    listeners and upstreams that the document's bounds left out.
    """
    if snapshot.addresses is None:
        return None
    served = [
        *_address_lines(snapshot.addresses, label),
        *_listener_lines(listeners),
        *_published_lines(snapshot, listeners),
    ]
    used = [line for row in upstreams if (line := _upstream_line(row, snapshot.ports))]
    return MapTexts(listeners=_bounded(served, left_out[0]), upstreams=_bounded(used, left_out[1]))


def _address_lines(addresses: Iterable[OwnAddress], label: NetnsLabel) -> list[str]:
    """Return `address`, the address, for a bridge with its prefix, its kind and its namespace."""
    lines = set()
    for address, prefix, kind, netns in addresses:
        shown = format_address(address) + (f"/{prefix}" if kind == BRIDGE_ADDRESS else "")
        lines.add("\t".join(("address", shown, kind, label(netns))).rstrip("\t"))
    return sorted(lines)


def _listener_lines(rows: Iterable[ListenerRow]) -> Iterator[str]:
    """Yield `listener`, the id, the process and the container that answers.

    Ports that the kernel picks change with each start, and are left out, as are unix sockets, which
    no other host can reach.
    """
    for row in rows:
        if row.protocol != UNIX and not row.ephemeral:
            yield "\t".join(("listener", row.id, row.process, row.container or "")).rstrip("\t")


def _published_lines(snapshot: Snapshot, rows: Iterable[ListenerRow]) -> list[str]:
    """Return a `listener` line for each published port at which no process of the host listens.

    Of a range of ports these are the first _MOST_PORTS.
    """
    ids = {row.id for row in rows}
    lines = set()
    for namespace in snapshot.namespaces.values():
        for protocol, address, first, last in namespace.published:
            for port in range(first, min(last + 1, first + _MOST_PORTS)):
                row_id = f"{protocol}/{format_endpoint(address or bytes(4), port)}"
                if row_id not in ids:
                    lines.add(f"listener\t{row_id}\t\t{namespace.container}".rstrip("\t"))
    return sorted(lines)


def _upstream_line(row: UpstreamRow, ports: PortRange) -> str:
    """Return `upstream`, the process and the remote end; empty for what comes and goes.

    That is UDP, whose sockets live as long as a question, and loopback at a port that the kernel
    has picked.
    """
    end = row.id[len(row.process) + 1 :]
    passing = ports.has(row.port) and is_loopback(parse_address(row.address))
    return "" if row.protocol != "tcp" or passing else f"upstream\t{row.process}\t{end}"


def _bounded(lines: list[str], left_out: int) -> str:
    """Return the first lines that fit, and `left out` with the number of those that didn't."""
    size, kept = _ROOM, 0
    for line in lines:
        size += len(line.encode()) + 1
        if size > MAX_BYTES:
            break
        kept += 1
    left_out += len(lines) - kept
    return "\n".join([*lines[:kept], *([f"left out\t{left_out}"] if left_out else [])])
