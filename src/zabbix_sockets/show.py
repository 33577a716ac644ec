"""`show`: the same figures as tables for people, or as JSON for programs."""

import os
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TextIO

from zabbix_sockets.addresses import format_address
from zabbix_sockets.errors import UsageError
from zabbix_sockets.groups import DEFAULT_GROUPING
from zabbix_sockets.model import (
    PROTOCOLS,
    TCP_STATES,
    UDP_STATES,
    Socket,
    TcpState,
    state_name,
)
from zabbix_sockets.rows import ABSENT_ID, JsonRow

BOLD, DIM, GREEN, YELLOW, RESET = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
_STATE_COLOURS = {"listen": GREEN, "bound": GREEN, "close_wait": YELLOW, "syn_sent": YELLOW}


class Column(NamedTuple):
    """A column of a table: its title, how a row's cell is made, and how it is set."""

    title: str
    cell: Callable[[JsonRow], object]
    right: bool = False
    shrinks: bool = False  # gives way where the terminal is narrow


class Style(NamedTuple):
    """What the output allows: colours, and a width (None: piped, nothing is cut)."""

    colours: bool
    width: int | None


def style_of(stream: TextIO) -> Style:
    """Return the style for *stream*; NO_COLOR (unless empty) and TERM=dumb mean no colours."""
    if not stream.isatty():
        return Style(colours=False, width=None)
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    return Style(colours=not plain, width=shutil.get_terminal_size().columns)


def text_width(text: str) -> int:
    """Return how many cells of a terminal *text* takes (UAX #11; marks: none)."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(char) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def _fit(text: str, width: int) -> str:
    """Cut *text* to *width* cells, with an ellipsis where something is missing."""
    if text_width(text) <= width:
        return text
    while text and text_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - text_width(text))
    return space + text if right else text + space


def render_table(columns: Sequence[Column], rows: Iterable[JsonRow], style: Style) -> str:
    """Return a table with a line of titles; the last column is not padded."""
    cells = [[str(column.cell(row)) for column in columns] for row in rows]
    widths = [
        max([text_width(column.title), *(text_width(row[at]) for row in cells)])
        for at, column in enumerate(columns)
    ]
    if style.width is not None:
        _shrink(widths, columns, style.width)
    titles = _line([column.title for column in columns], columns, widths)
    lines = [f"{BOLD}{titles}{RESET}" if style.colours else titles]
    for row in cells:
        line = _line(row, columns, widths)
        lines.append(_coloured(line, columns, row) if style.colours else line)
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = [
        _pad(_fit(cell, width), width, right=column.right)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]
    return "  ".join(parts).rstrip()


def _shrink(widths: list[int], columns: Sequence[Column], available: int) -> None:
    """Take from the widest column that gives way until the line fits, down to 12 cells."""
    least = 12
    while (excess := sum(widths) + 2 * (len(widths) - 1) - available) > 0:
        wide = [at for at, column in enumerate(columns) if column.shrinks and widths[at] > least]
        if not wide:
            return
        at = max(wide, key=lambda at: widths[at])
        widths[at] = max(least, widths[at] - excess)


def _coloured(line: str, columns: Sequence[Column], row: Sequence[str]) -> str:
    """Colour a line by its state, if it has one; a process may be called "listen" too."""
    states = (cell for column, cell in zip(columns, row, strict=True) if column.title == "STATE")
    colour = _STATE_COLOURS.get(next(states, ""), "")
    return f"{colour}{line}{RESET}" if colour else line


def _field(*path: str) -> Callable[[JsonRow], object]:
    def cell(row: JsonRow) -> object:
        value: object = row
        for name in path:
            value = value.get(name, "-") if isinstance(value, dict) else "-"
        return value

    return cell


def _udp_total(row: JsonRow) -> int:
    udp = row["udp"]
    assert isinstance(udp, dict)
    return sum(udp.values())


def _end(row: JsonRow, side: str) -> str:
    address, port = str(row[f"{side}_address"]), row[f"{side}_port"]
    device = f"%{row['device']}" if side == "local" and row["device"] else ""
    port = port or "*"
    return f"[{address}{device}]:{port}" if row["family"] == "ipv6" else f"{address}{device}:{port}"


def _owners_cell(row: JsonRow) -> str:
    owners = row["owners"]
    assert isinstance(owners, list)
    return ",".join(f"{owner['name']}:{owner['pid']}" for owner in owners) or "-"


_NETNS = "NETNS"  # a column only where there is another namespace than the own

_COLUMNS = {
    "processes": (
        Column("PROCESS", _field("name"), shrinks=True),
        Column("PROCS", _field("instances"), right=True),
        Column("SOCKETS", _field("sockets"), right=True),
        Column("LISTEN", _field("tcp", "listen"), right=True),
        Column("ESTAB", _field("tcp", "established"), right=True),
        Column("IN", _field("tcp", "inbound"), right=True),
        Column("OUT", _field("tcp", "outbound"), right=True),
        Column("CLOSE-WAIT", _field("tcp", "close_wait"), right=True),
        Column("UDP", _udp_total, right=True),
        Column("RECV-Q", _field("recv_queue_bytes"), right=True),
        Column("SEND-Q", _field("send_queue_bytes"), right=True),
        Column("ACCEPT%", _field("accept_queue_max_pct"), right=True),
        Column("FDS%", _field("fds_max_pct"), right=True),
    ),
    "listeners": (
        Column("LISTENER", _field("id"), shrinks=True),
        Column("PROCESS", lambda row: row["process"] or "-", shrinks=True),
        Column("PROCS", _field("processes"), right=True),
        Column("SOCKETS", _field("sockets"), right=True),
        Column("ESTAB", _field("established"), right=True),
        Column("ACCEPT-Q", _field("accept_queue"), right=True),
        Column("BACKLOG", _field("backlog"), right=True),
        Column("ACCEPT%", _field("accept_queue_pct"), right=True),
    ),
    "upstreams": (
        Column("PROCESS", _field("process"), shrinks=True),
        Column("PROTO", _field("protocol")),
        Column("ADDRESS", _field("address"), shrinks=True),
        Column("PORT", _field("port"), right=True),
        Column(_NETNS, lambda row: row["netns"] or "-", shrinks=True),
        Column("ESTAB", _field("established"), right=True),
        Column("SYN-SENT", _field("syn_sent"), right=True),
        Column("CLOSE-WAIT", _field("close_wait"), right=True),
        Column("PORTS%", _field("ephemeral_pct"), right=True),
    ),
    "sockets": (
        Column("PROTO", _field("protocol")),
        Column("STATE", _field("state")),
        Column("RECV-Q", lambda row: row.get("recv_queue", row.get("accept_queue")), right=True),
        Column("SEND-Q", lambda row: row.get("send_queue", row.get("backlog", "-")), right=True),
        Column("LOCAL", lambda row: _end(row, "local"), shrinks=True),
        Column("REMOTE", lambda row: _end(row, "remote"), shrinks=True),
        Column(_NETNS, lambda row: row["netns"] or "-", shrinks=True),
        Column("PROCESS", _owners_cell, shrinks=True),
    ),
}
KINDS = tuple(_COLUMNS)


def render(
    kind: str, rows: Iterable[JsonRow], style: Style, grouping: str = DEFAULT_GROUPING
) -> str:
    """Return the table of *kind* (one of KINDS); *grouping* is the title of its groups."""
    present = [row for row in rows if row.get("id") != ABSENT_ID]
    if kind in ("processes", "upstreams"):
        present.sort(key=lambda row: (-_weight(row), str(row["id"])))
    columns = [each for each in _COLUMNS[kind] if each.title != _NETNS or _has_netns(present)]
    if kind != "sockets":
        titles = {"PROCESS": grouping.upper()}
        columns = [each._replace(title=titles.get(each.title, each.title)) for each in columns]
    return render_table(columns, present, style)


def _has_netns(rows: Iterable[JsonRow]) -> bool:
    return any(row["netns"] for row in rows)


def _weight(row: JsonRow) -> int:
    value = row.get("sockets", row.get("established"))
    assert isinstance(value, int)
    return value


def socket_json(socket: Socket) -> JsonRow:
    """Return a socket as the object of `show sockets --json`."""
    row: JsonRow = {
        "protocol": socket.protocol,
        "family": "ipv4" if len(socket.local_address) == 4 else "ipv6",  # noqa: PLR2004
        "local_address": format_address(socket.local_address),
        "local_port": socket.local_port,
        "remote_address": format_address(socket.remote_address),
        "remote_port": socket.remote_port,
        "device": socket.device,
        "state": state_name(socket.protocol, socket.state),
        "direction": socket.direction,
        "netns": socket.netns,
        "owners": [{"pid": owner.pid, "name": owner.name} for owner in socket.owners],
        "uid": socket.uid,
    }
    for name in ("recv_queue", "send_queue", "accept_queue", "backlog"):
        value = getattr(socket, name)
        if value is not None:
            row[name] = value
    return row


def socket_order(socket: Socket) -> tuple[object, ...]:
    """Return the key by which sockets are listed: listeners first, then by their ends."""
    return (
        socket.netns,
        PROTOCOLS.index(socket.protocol),
        socket.direction is not None,
        socket.family,
        socket.local_port,
        socket.local_address,
        socket.remote_address,
        socket.remote_port,
        socket.inode,
    )


ALL_STATES = ("all", *TCP_STATES.values(), *UDP_STATES.values())


def check_states(states: Sequence[str]) -> None:
    """Raise SocketsError for a state that no socket has."""
    for state in states:
        if state not in ALL_STATES:
            raise UsageError(f"no state {state!r}: it is one of {', '.join(ALL_STATES)}")


def wants_state(socket: Socket, states: Sequence[str]) -> bool:
    """Whether a socket is in one of *states*; by default listening, established and all UDP."""
    if "all" in states:
        return True
    if states:
        return state_name(socket.protocol, socket.state) in states
    return socket.protocol == "udp" or socket.state in (TcpState.LISTEN, TcpState.ESTABLISHED)
