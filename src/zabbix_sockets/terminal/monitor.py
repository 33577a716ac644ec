"""Monitor of single sockets (`show sockets --interval`): changes between two snapshots.

Sockets are told apart by the kernel's cookie, which no two ever share; procfs has none, so
there by inode, addresses and ports.
"""

import gc
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, TextIO

from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.socket import Socket
from zabbix_sockets.terminal.layout import Style, style_of
from zabbix_sockets.terminal.sockets import (
    JsonRow,
    omitted_socket_columns,
    render_sockets,
    socket_json,
    socket_order,
)

NEW, GONE = "new", "gone"
"""Values of a row's field `change`."""

_RATES = {
    "bytes_sent": "sent_bytes_per_s",
    "bytes_acked": "acked_bytes_per_s",
    "bytes_received": "received_bytes_per_s",
    "bytes_retransmitted": "retransmitted_bytes_per_s",
    "retransmits": "retransmits_per_s",
}
"""Names of rates, by the counter of TcpInfo whose change per second each is."""

_CLEAR = "\x1b[H\x1b[J"

Key = tuple[object, ...]
"""The values by which a socket is told from all others."""


class SocketSnapshot(NamedTuple):
    """All sockets of a moment; *at* is on the monotonic clock, *time* in Unix seconds."""

    at: float
    time: float
    sockets: Sequence[Socket]


Take = Callable[[], Sequence[Socket]]
"""Returns the sockets that there are now."""


def run(take: Take, interval: float, count: int | None, *, as_json: bool) -> None:
    """Print what *take* returns at every *interval* seconds, *count* times or until Ctrl-C.

    Raises:
        SocketsError, OSError: there was not even a first snapshot.
    """
    gc.enable()  # a command that stays collects its garbage
    seen = snapshots(take, interval, count)
    with suppress(KeyboardInterrupt):  # the way to end it
        if as_json:
            print_json(seen, sys.stdout)
        else:
            height = shutil.get_terminal_size().lines if sys.stdout.isatty() else None
            print_tables(seen, sys.stdout, lambda: style_of(sys.stdout), height)


def key_of(socket: Socket) -> Key:
    """Return the values that tell a socket from all others."""
    if socket.cookie:
        return socket.netns, socket.protocol, socket.cookie
    endpoints = socket.local_address, socket.local_port, socket.remote_address, socket.remote_port
    return socket.netns, socket.protocol, socket.inode, *endpoints


def compare(before: SocketSnapshot | None, now: SocketSnapshot) -> list[JsonRow]:
    """Return the rows of the sockets of *now*, and behind them of those that are gone.

    A row is as `show sockets --json` has it. That of a socket which was not in *before* has
    `change` "new", that of one which is in it alone "gone"; that of one which is in both has
    `rates`, changes per second, where the kernel has its counters. Without *before* none has.
    """
    known = {key_of(each): each for each in before.sockets} if before else {}
    rows = []
    for socket in sorted(now.sockets, key=socket_order):
        row = socket_json(socket)
        earlier = known.pop(key_of(socket), None)
        if before and earlier is None:
            row["change"] = NEW
        elif before and earlier:
            rates = _rates(earlier, socket, now.at - before.at)
            if rates:
                row["rates"] = rates
        rows.append(row)
    gone = sorted(known.values(), key=socket_order)
    return rows + [socket_json(socket) | {"change": GONE} for socket in gone]


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


def snapshots(take: Take, interval: float, count: int | None) -> Iterator[SocketSnapshot | str]:
    """Yield a snapshot at every *interval* seconds, or in words why there is none; *count* in all.

    *count* None is without end. Moments that pass while one is taken are left out, and the others
    stay where they were.

    Raises:
        SocketsError, OSError: there was not even a first one.
    """
    start, taken = time.monotonic(), 0
    while True:
        try:
            sockets = take()
            yield SocketSnapshot(time.monotonic(), time.time(), sockets)
        except (SocketsError, OSError) as error:  # of the latter: no descriptor left, for one
            if not taken:
                raise
            yield str(error)
        taken += 1
        if taken == count:
            return
        passed = time.monotonic() - start
        time.sleep(interval - passed % interval)


def print_json(seen: Iterable[SocketSnapshot | str], out: TextIO) -> None:
    """Write a line of JSON for each snapshot: `time`, `seconds` since the last one, `sockets`.

    Where there is none the line has `time` and `error`.
    """
    before: SocketSnapshot | None = None
    for now in seen:
        line: JsonRow
        if isinstance(now, str):
            line = {"time": round(time.time(), 3), "error": now}
        else:
            seconds = round(now.at - before.at, 3) if before else None
            line = {"time": round(now.time, 3), "seconds": seconds}
            line["sockets"] = compare(before, now)
            before = now
        out.write(to_json(line).decode() + "\n")
        out.flush()


def print_tables(
    seen: Iterable[SocketSnapshot | str],
    out: TextIO,
    style_of: Callable[[], Style],
    height: int | None,
) -> None:
    """Write a table for each snapshot, in the style that *style_of* returns then.

    On a terminal of *height* lines each takes the place of the one before, and has as many rows as
    there is room for: those that changed most. Elsewhere *height* is None.
    """
    before: SocketSnapshot | None = None
    for now in seen:
        if isinstance(now, str):
            out.write(f"no snapshot: {now}\n")
            out.flush()
            continue
        rows = compare(before, now)
        clock = time.strftime("%H:%M:%S", time.localtime(now.time))
        shown = rows if height is None else _first(rows, max(1, height - 4))
        style = style_of()
        headline = _headline(clock, rows, omitted_socket_columns(shown, style))[: style.width]
        out.write((_CLEAR if height else "") + headline + "\n")
        out.write(render_sockets(shown, style))
        if len(shown) < len(rows):
            out.write(f"and {len(rows) - len(shown)} more\n")
        elif not height:
            out.write("\n")
        out.flush()
        before = now


def _headline(clock: str, rows: Sequence[JsonRow], hidden: Sequence[str]) -> str:
    changes = [row.get("change") for row in rows]
    gone, new = changes.count(GONE), changes.count(NEW)
    room = f"; no room for {', '.join(hidden)}" if hidden else ""
    return f"{clock}  {len(rows) - gone} sockets, {new} new (+), {gone} gone (-){room}"


def _activity(row: JsonRow) -> tuple[float, float]:
    """Return the key by which the rows with most retransmissions, then bytes, sort to the front."""
    rates = row.get("rates")
    if not isinstance(rates, dict):
        return 0.0, 0.0
    bytes_moved = rates.get("sent_bytes_per_s", 0.0) + rates.get("received_bytes_per_s", 0.0)
    return -rates.get("retransmits_per_s", 0.0), -bytes_moved


def _first(rows: Sequence[JsonRow], most: int) -> list[JsonRow]:
    """Return *most* of the rows: up to half of them new or gone, then the most active ones."""
    changed = [row for row in rows if "change" in row]
    others = sorted((row for row in rows if "change" not in row), key=_activity)
    room = max(most // 2, most - len(others))
    return [*changed[:room], *others][:most]
