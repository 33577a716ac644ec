"""`show sockets`: single sockets as a table for people, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zabbix_sockets.model.addresses import format_address
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.names import unix_name
from zabbix_sockets.model.socket import Owner, Socket, UnixSocket
from zabbix_sockets.model.wire import (
    PROTOCOLS,
    TCP_STATES,
    UDP_STATES,
    UNIX,
    UNIX_TYPES,
    TcpState,
    state_name,
)
from zabbix_sockets.terminal.layout import (
    Column,
    Style,
    columns_that_fit,
    render_table,
    shown_bytes,
    shown_us,
)

JsonRow = dict[str, object]
"""A socket as the object of `show sockets --json`."""


def _field(*path: str) -> Callable[[JsonRow], object]:
    def cell(row: JsonRow) -> object:
        value: object = row
        for name in path:
            value = value.get(name, "-") if isinstance(value, dict) else "-"
        return value

    return cell


def _endpoint(row: JsonRow, side: str) -> str:
    if row["protocol"] == UNIX:
        return str(row.get(f"{side}_address", "-") or "*")
    address, port = str(row[f"{side}_address"]), row[f"{side}_port"]
    device = f"%{row['device']}" if side == "local" and row.get("device") else ""
    port = port or "*"
    return f"[{address}{device}]:{port}" if row["family"] == "ipv6" else f"{address}{device}:{port}"


def _owners_cell(row: JsonRow, field: str = "owners") -> str:
    owners = row.get(field, [])
    assert isinstance(owners, list)
    return ",".join(f"{owner['name']}:{owner['pid']}" for owner in owners) or "-"


def _us(*path: str) -> Callable[[JsonRow], object]:
    """Return the function for a cell with the time at *path*, such as 87us, 4.2ms, 1.5s."""
    field = _field(*path)

    def cell(row: JsonRow) -> object:
        value = field(row)
        return shown_us(value) if isinstance(value, int) else value

    return cell


def _bytes(*path: str) -> Callable[[JsonRow], object]:
    """Return the function for a cell with the bytes at *path*, such as 87, 4.2k, 31M."""
    field = _field(*path)

    def cell(row: JsonRow) -> object:
        value = field(row)
        return shown_bytes(value) if isinstance(value, (float, int)) else value

    return cell


_TCP_INFO = (
    Column("RTT", _us("tcp_info", "rtt_us"), right=True, optional=1),
    Column("VAR", _us("tcp_info", "rtt_variance_us"), right=True, optional=7),
    Column("CWND", _field("tcp_info", "congestion_window"), right=True, optional=5),
    Column("UNACKED", _field("tcp_info", "unacked"), right=True, optional=6),
    Column("RETRANS", _field("tcp_info", "retransmits"), right=True, optional=2),
    Column("LOST", _field("tcp_info", "lost"), right=True, optional=4),
)

_CHANGE = Column[JsonRow](
    "", lambda row: {"new": "+", "gone": "-"}.get(str(row.get("change")), " ")
)
_CHANGES = (
    Column("SENT/S", _bytes("rates", "sent_bytes_per_s"), right=True, optional=1),
    Column("RECV/S", _bytes("rates", "received_bytes_per_s"), right=True, optional=1),
    Column("RETR/S", _field("rates", "retransmits_per_s"), right=True, optional=3),
)

_NETNS = Column[JsonRow]("NETNS", lambda row: row["netns"] or "-", shrinks=True)
"""A column that is there only if a socket is in another namespace than the own."""
_DROPS = Column("DROPS", _field("drops"), right=True, optional=3)
"""A column that is there only if something was dropped."""
_ADDRESSES = (
    Column[JsonRow]("LOCAL", lambda row: _endpoint(row, "local"), shrinks=True, port=True),
    Column[JsonRow]("REMOTE", lambda row: _endpoint(row, "remote"), shrinks=True, port=True),
)
_STATE = (
    Column("PROTO", _field("protocol"), optional=8),
    Column("STATE", _field("state")),
    Column[JsonRow](
        "RECV-Q",
        lambda row: row.get("recv_queue", row.get("accept_queue", "-")),
        right=True,
        optional=9,
    ),
    Column[JsonRow](
        "SEND-Q",
        lambda row: row.get("send_queue", row.get("backlog", "-")),
        right=True,
        optional=9,
    ),
)
_OWNERS = Column("PROCESS", _owners_cell, shrinks=True)
_PEERS = Column[JsonRow]("PEER", lambda row: _owners_cell(row, "remote_owners"), shrinks=True)
"""A column that is there only if a socket is a unix socket."""


_OPTIONAL = (*("device", "recv_queue", "send_queue", "accept_queue", "backlog", "drops", "cookie"),)
"""The fields of a Socket that its object has if they are known."""


def render_sockets(rows: Sequence[JsonRow], style: Style) -> str:
    """Return the objects of sockets as the text of a table."""
    return render_table(_columns(rows), rows, style)


def omitted_socket_columns(rows: Sequence[JsonRow], style: Style) -> list[str]:
    """Return the titles of the columns that render_sockets() leaves out for want of room."""
    columns = _columns(rows)
    kept = columns_that_fit(columns, rows, style.width)
    return [column.title for column in columns if column not in kept]


def _columns(rows: Sequence[JsonRow]) -> list[Column[JsonRow]]:
    """Return the columns that these rows fill."""
    return [
        *([_CHANGE] if any("change" in row for row in rows) else ()),
        *_STATE,
        *([_DROPS] if any(row.get("drops") for row in rows) else ()),
        *(_CHANGES if any("rates" in row for row in rows) else ()),
        *(_TCP_INFO if any("tcp_info" in row for row in rows) else ()),
        *_ADDRESSES,
        *([_NETNS] if any(row["netns"] for row in rows) else ()),
        _OWNERS,
        *([_PEERS] if any(row["protocol"] == UNIX for row in rows) else ()),
    ]


def socket_json(socket: Socket) -> JsonRow:
    """Return a socket as the object of `show sockets --json`."""
    row: JsonRow = {
        "protocol": socket.protocol,
        "family": "ipv4" if len(socket.local_address) == 4 else "ipv6",  # noqa: PLR2004  # bytes of an IPv4 address
        "local_address": format_address(socket.local_address),
        "local_port": socket.local_port,
        "remote_address": format_address(socket.remote_address),
        "remote_port": socket.remote_port,
        "state": state_name(socket.protocol, socket.state),
        "direction": socket.direction,
        "netns": socket.netns,
        "owners": _owners_json(socket.owners),
        "uid": socket.uid,
    }
    for name in _OPTIONAL:
        value = getattr(socket, name)
        if value is not None:
            row[name] = value
    if socket.tcp_info:
        fields = socket.tcp_info._asdict().items()
        row["tcp_info"] = {name: value for name, value in fields if value is not None}
    return row


def _owners_json(owners: Sequence[Owner]) -> list[dict[str, object]]:
    return [{"pid": owner.pid, "name": owner.name} for owner in owners]


def unix_socket_json(socket: UnixSocket) -> JsonRow:
    """Return a unix socket as the object of `show sockets --protocol unix --json`.

    Addresses are names that are safe to print, empty where there is none. *remote_address* and
    *remote_owners* are there only if the peer is known.
    """
    peer = socket.peer
    row: JsonRow = {
        "protocol": UNIX,
        "family": UNIX,
        "type": UNIX_TYPES[socket.type],
        "local_address": _unix_address(socket.name),
        "state": state_name(UNIX, socket.state),
        "direction": socket.direction,
        "netns": socket.netns,
        "owners": _owners_json(socket.owners),
    }
    if peer:
        row["remote_address"] = _unix_address(peer.name)
        row["remote_owners"] = _owners_json(peer.owners)
    for name in ("uid", "recv_queue", "send_queue", "accept_queue", "backlog"):
        value = getattr(socket, name)
        if value is not None:
            row[name] = value
    return row


def _unix_address(name: bytes) -> str:
    return unix_name(name) if name else ""


def unix_socket_order(socket: UnixSocket) -> tuple[object, ...]:
    """Return the key that sorts unix sockets: listeners first, then by name."""
    is_connected = socket.direction is not None
    return socket.netns, is_connected, not socket.name, socket.name, socket.inode


def socket_order(socket: Socket) -> tuple[object, ...]:
    """Return the key that sorts sockets: listeners first, then by address and port."""
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
"""The values of `show sockets --state`."""


def check_states(states: Sequence[str]) -> None:
    """Check that each of *states* is one of ALL_STATES.

    Raises:
        UsageError: one is not.
    """
    for state in states:
        if state not in ALL_STATES:
            raise UsageError(f"no state {state!r}: it is one of {', '.join(ALL_STATES)}")


def wants_state(socket: Socket | UnixSocket, states: Sequence[str]) -> bool:
    """Whether a socket is in one of *states*; none: listening, established, or UDP in any state."""
    if "all" in states:
        return True
    protocol = UNIX if isinstance(socket, UnixSocket) else socket.protocol
    if states:
        return state_name(protocol, socket.state) in states
    return protocol == "udp" or socket.state in (TcpState.LISTEN, TcpState.ESTABLISHED)
