"""`show sockets`: single sockets as a table for people, or as JSON for programs."""

from collections.abc import Callable, Sequence

from zabbix_sockets.model.addresses import format_address
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.socket import Socket
from zabbix_sockets.model.wire import PROTOCOLS, TCP_STATES, UDP_STATES, TcpState, state_name
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
    address, port = str(row[f"{side}_address"]), row[f"{side}_port"]
    device = f"%{row['device']}" if side == "local" and row.get("device") else ""
    port = port or "*"
    return f"[{address}{device}]:{port}" if row["family"] == "ipv6" else f"{address}{device}:{port}"


def _owners_cell(row: JsonRow) -> str:
    owners = row["owners"]
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
        return shown_bytes(value) if isinstance(value, float | int) else value

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
_ADDRESSES = (
    Column[JsonRow]("LOCAL", lambda row: _endpoint(row, "local"), shrinks=True, port=True),
    Column[JsonRow]("REMOTE", lambda row: _endpoint(row, "remote"), shrinks=True, port=True),
)
_STATE = (
    Column("PROTO", _field("protocol"), optional=8),
    Column("STATE", _field("state")),
    Column[JsonRow](
        "RECV-Q",
        lambda row: row.get("recv_queue", row.get("accept_queue")),
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
        *(_CHANGES if any("rates" in row for row in rows) else ()),
        *(_TCP_INFO if any("tcp_info" in row for row in rows) else ()),
        *_ADDRESSES,
        *([_NETNS] if any(row["netns"] for row in rows) else ()),
        _OWNERS,
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
        "owners": [{"pid": owner.pid, "name": owner.name} for owner in socket.owners],
        "uid": socket.uid,
    }
    for name in ("device", "recv_queue", "send_queue", "accept_queue", "backlog", "cookie"):
        value = getattr(socket, name)
        if value is not None:
            row[name] = value
    if socket.tcp_info:
        fields = socket.tcp_info._asdict().items()
        row["tcp_info"] = {name: value for name, value in fields if value is not None}
    return row


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


def wants_state(socket: Socket, states: Sequence[str]) -> bool:
    """Whether a socket is in one of *states*; none: listening, established, or UDP in any state."""
    if "all" in states:
        return True
    if states:
        return state_name(socket.protocol, socket.state) in states
    return socket.protocol == "udp" or socket.state in (TcpState.LISTEN, TcpState.ESTABLISHED)
