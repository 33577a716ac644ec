"""Changes between two snapshots of single sockets (`show sockets --interval`).

Sockets are told apart by the kernel's cookie, which no two ever share; procfs has none, so
there by inode, addresses and ports.
"""

from __future__ import annotations

from collections.abc import Sequence

from zabbix_sockets.document.record import JsonObject
from zabbix_sockets.model.socket import Socket
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.monitor import GONE, NEW, Moment, RenderedTable, count_changes
from zabbix_sockets.terminal.sockets import (
    ShownSocket,
    omitted_socket_columns,
    render_sockets,
    socket_json,
    socket_order,
)

_RATES = {
    "bytes_sent": "sent_bytes_per_s",
    "bytes_acked": "acked_bytes_per_s",
    "bytes_received": "received_bytes_per_s",
    "bytes_retransmitted": "retransmitted_bytes_per_s",
    "retransmits": "retransmits_per_s",
}
"""Names of rates, by the counter of TcpInfo whose change per second each is."""

SocketKey = tuple[object, ...]
"""The values by which a socket is told from all others."""

Sockets = Sequence[Socket]


class SocketChanges:
    """The sockets of a moment, and what has changed since the one before (None: there was none).

    Those that are gone come last.
    """

    names = "socket", "sockets"

    def __init__(self, before: Moment[Sockets] | None, now: Moment[Sockets]) -> None:
        self._rows = compare(before, now)

    def counts(self) -> tuple[int, int, int]:
        """Return the number of sockets that there are, of new ones, and of those that are gone."""
        return count_changes([row.change for row in self._rows])

    def json_rows(self) -> list[JsonObject]:
        """Return the objects of the rows, as `show sockets --json` has them."""
        return [socket_json(row) for row in self._rows]

    def table(self, style: Style, most: int | None) -> RenderedTable:
        """Return a table of at most so many rows: those that changed most; None: of all."""
        shown = self._rows if most is None else _first(self._rows, most)
        omitted = omitted_socket_columns(shown, style)
        return RenderedTable(render_sockets(shown, style), omitted, len(self._rows) - len(shown))


def key_of(socket: Socket) -> SocketKey:
    """Return the values that tell a socket from all others."""
    if socket.cookie:
        return socket.netns, socket.protocol, socket.cookie
    endpoints = socket.local_address, socket.local_port, socket.remote_address, socket.remote_port
    return socket.netns, socket.protocol, socket.inode, *endpoints


def compare(before: Moment[Sockets] | None, now: Moment[Sockets]) -> list[ShownSocket]:
    """Return the rows of the sockets of *now*, and behind them of those that are gone.

    A socket that was not in *before* is NEW, and one that is in it alone GONE; one that is in both
    has `rates`, where the kernel has its counters. Without *before* none has any of this.
    """
    known = {key_of(each): each for each in before.seen} if before else {}
    rows = []
    for socket in sorted(now.seen, key=socket_order):
        row = ShownSocket(socket)
        earlier = known.pop(key_of(socket), None)
        if before and earlier is None:
            row = ShownSocket(socket, NEW)
        elif before and earlier:
            row = ShownSocket(socket, rates=_rates(earlier, socket, now.at - before.at))
        rows.append(row)
    gone = sorted(known.values(), key=socket_order)
    return rows + [ShownSocket(socket, GONE) for socket in gone]


def _rates(before: Socket, now: Socket, seconds: float) -> dict[str, float]:
    """Return the changes per second of the counters of tcp_info, by the names of _RATES.

    The kernel sets none of the counters back. A rate is left out where it has no counter.
    """
    if before.tcp_info is None or now.tcp_info is None or seconds <= 0:
        return {}
    rates = {}
    for counter, name in _RATES.items():
        earlier, later = getattr(before.tcp_info, counter), getattr(now.tcp_info, counter)
        if earlier is not None and later is not None:
            rates[name] = round((later - earlier) / seconds, 3)
    return rates


def _activity(row: ShownSocket) -> tuple[float, float]:
    """Return the key by which the rows with most retransmissions, then bytes, sort to the front."""
    rates = row.rates
    bytes_moved = rates.get("sent_bytes_per_s", 0.0) + rates.get("received_bytes_per_s", 0.0)
    return -rates.get("retransmits_per_s", 0.0), -bytes_moved


def _first(rows: Sequence[ShownSocket], most: int) -> list[ShownSocket]:
    """Return *most* of the rows: up to half of them new or gone, then the most active ones."""
    changed = [row for row in rows if row.change]
    others = sorted((row for row in rows if not row.change), key=_activity)
    room = max(most // 2, most - len(others))
    return [*changed[:room], *others][:most]
