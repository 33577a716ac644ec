"""`show sockets`: single sockets as a table for people, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Union

from zabbix_sockets.model.addresses import IPV4_LENGTH, format_address, format_endpoint
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.names import unix_name
from zabbix_sockets.model.socket import Owner, Socket, TcpInfo, UnixSocket
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

AnySocket = Union[Socket, UnixSocket]


class ShownSocket(NamedTuple):
    """A row of the table, and an object of the JSON.

    Attributes:
        socket: the socket.
        change: NEW or GONE (terminal.monitor), compared with the moment before; else empty.
        rates: changes per second since the moment before, by name; empty where unknown.
    """

    socket: AnySocket
    change: str = ""
    rates: Mapping[str, float] = MappingProxyType({})


Cell = Callable[[ShownSocket], object]
"""The content of a row's cell."""


def _of_socket(*names: str) -> Cell:
    """Return the function for a cell with the first of these attributes that the socket has."""

    def cell(row: ShownSocket) -> object:
        values = (getattr(row.socket, name, None) for name in names)
        return next((value for value in values if value is not None), "-")

    return cell


def _of_tcp_info(name: str) -> Cell:
    """Return the function for a cell with a figure of tcp_info; times such as 87us, 4.2ms, 1.5s."""

    def cell(row: ShownSocket) -> object:
        value = getattr(getattr(row.socket, "tcp_info", None), name, None)
        return "-" if value is None else shown_us(value) if name.endswith("_us") else value

    return cell


def _rate(name: str) -> Cell:
    """Return the function for a cell with a rate; one of bytes such as 87, 4.2k, 31M."""

    def cell(row: ShownSocket) -> object:
        value = row.rates.get(name)
        return "-" if value is None else shown_bytes(value) if "_bytes_" in name else value

    return cell


def _state_name(row: ShownSocket) -> str:
    return state_name(row.socket.protocol, row.socket.state)


def _local(row: ShownSocket) -> str:
    """Return the own end: the address, the device that it is bound to, and the port, or a name."""
    socket = row.socket
    if isinstance(socket, UnixSocket):
        return _unix_address(socket.name) or "*"
    return format_endpoint(socket.local_address, socket.local_port or "*", socket.device or "")


def _remote(row: ShownSocket) -> str:
    socket = row.socket
    if not isinstance(socket, UnixSocket):
        return format_endpoint(socket.remote_address, socket.remote_port or "*")
    return (_unix_address(socket.peer.name) or "*") if socket.peer else "-"


def _names_of(owners: Sequence[Owner]) -> str:
    return ",".join(f"{owner.name}:{owner.pid}" for owner in owners) or "-"


def _peers(row: ShownSocket) -> str:
    peer = row.socket.peer if isinstance(row.socket, UnixSocket) else None
    return _names_of(peer.owners if peer else ())


def change_mark(change: str | None) -> str:
    """Return the mark of a row that is new or gone; a blank for any other."""
    return {"new": "+", "gone": "-"}.get(change or "", " ")


_TCP_INFO = (
    Column("RTT", _of_tcp_info("rtt_us"), right=True, optional=1),
    Column("VAR", _of_tcp_info("rtt_variance_us"), right=True, optional=7),
    Column("CWND", _of_tcp_info("congestion_window"), right=True, optional=5),
    Column("UNACKED", _of_tcp_info("unacked"), right=True, optional=6),
    Column("RETRANS", _of_tcp_info("retransmits"), right=True, optional=2),
    Column("LOST", _of_tcp_info("lost"), right=True, optional=4),
)

_CHANGE = Column[ShownSocket]("", lambda row: change_mark(row.change))
_CHANGES = (
    Column("SENT/S", _rate("sent_bytes_per_s"), right=True, optional=1),
    Column("RECV/S", _rate("received_bytes_per_s"), right=True, optional=1),
    Column("RETR/S", _rate("retransmits_per_s"), right=True, optional=3),
)

_NETNS = Column[ShownSocket]("NETNS", lambda row: row.socket.netns or "-", shrinks=True)
"""A column that is there only if a socket is in another namespace than the own."""
_DROPS = Column("DROPS", _of_socket("drops"), right=True, optional=3)
"""A column that is there only if something was dropped."""
_ADDRESSES = (
    Column("LOCAL", _local, shrinks=True, port=True),
    Column("REMOTE", _remote, shrinks=True, port=True),
)
_STATE = (
    Column("PROTO", _of_socket("protocol"), optional=8),
    Column("STATE", _state_name),
    Column("RECV-Q", _of_socket("recv_queue", "accept_queue"), right=True, optional=9),
    Column("SEND-Q", _of_socket("send_queue", "backlog"), right=True, optional=9),
)
_OWNERS = Column[ShownSocket]("PROCESS", lambda row: _names_of(row.socket.owners), shrinks=True)
_PEERS = Column("PEER", _peers, shrinks=True)
"""A column that is there only if a socket is a unix socket."""


def render_sockets(rows: Sequence[ShownSocket], style: Style) -> str:
    """Return the rows as the text of a table."""
    return render_table(_columns(rows), rows, style)


def omitted_socket_columns(rows: Sequence[ShownSocket], style: Style) -> list[str]:
    """Return the titles of the columns that render_sockets() leaves out for want of room."""
    columns = _columns(rows)
    kept = columns_that_fit(columns, rows, style.width)
    return [column.title for column in columns if column not in kept]


def _columns(rows: Sequence[ShownSocket]) -> list[Column[ShownSocket]]:
    """Return the columns that these rows fill."""
    sockets = [row.socket for row in rows]
    inet = [each for each in sockets if isinstance(each, Socket)]
    return [
        *([_CHANGE] if any(row.change for row in rows) else ()),
        *_STATE,
        *([_DROPS] if any(each.drops for each in inet) else ()),
        *(_CHANGES if any(row.rates for row in rows) else ()),
        *(_TCP_INFO if any(each.tcp_info for each in inet) else ()),
        *_ADDRESSES,
        *([_NETNS] if any(each.netns for each in sockets) else ()),
        _OWNERS,
        *([_PEERS] if len(inet) < len(sockets) else ()),
    ]


def socket_json(row: ShownSocket) -> dict[str, object]:
    """Return a row as the object of `show sockets --json`; what is unknown is not in it.

    Names are safe to print. Of a unix socket *remote_address* and *remote_owners* are there only if
    the peer is known, and an address is empty where it has none.
    """
    socket = row.socket
    content = _unix_json(socket) if isinstance(socket, UnixSocket) else _inet_json(socket)
    if row.change:
        content["change"] = row.change
    if row.rates:
        content["rates"] = dict(row.rates)
    return content


def _inet_json(socket: Socket) -> dict[str, object]:
    content: dict[str, object] = {
        "protocol": socket.protocol,
        "family": "ipv4" if len(socket.local_address) == IPV4_LENGTH else "ipv6",
        "local_address": format_address(socket.local_address),
        "local_port": socket.local_port,
        "remote_address": format_address(socket.remote_address),
        "remote_port": socket.remote_port,
        "state": state_name(socket.protocol, socket.state),
        "direction": socket.direction,
        "netns": socket.netns,
        "owners": _owners_json(socket.owners),
        "uid": socket.uid,
        **_known(socket, "device", *_QUEUES, "drops", "cookie"),
    }
    if socket.tcp_info:
        content["tcp_info"] = _known(socket.tcp_info, *TcpInfo._fields)
    return content


def _unix_json(socket: UnixSocket) -> dict[str, object]:
    peer = socket.peer
    content: dict[str, object] = {
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
        content["remote_address"] = _unix_address(peer.name)
        content["remote_owners"] = _owners_json(peer.owners)
    return content | _known(socket, "uid", *_QUEUES)


_QUEUES = ("recv_queue", "send_queue", "accept_queue", "backlog")


def _known(value: object, *names: str) -> dict[str, object]:
    """Return those of the attributes that are not None, by name."""
    fields = {name: getattr(value, name) for name in names}
    return {name: field for name, field in fields.items() if field is not None}


def _owners_json(owners: Sequence[Owner]) -> list[dict[str, object]]:
    return [owner._asdict() for owner in owners]


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
    unknown = next((state for state in states if state not in ALL_STATES), None)
    if unknown is not None:
        raise UsageError(f"no state {unknown!r}: it is one of {', '.join(ALL_STATES)}")


def wants_state(socket: AnySocket, states: Sequence[str]) -> bool:
    """Whether a socket is in one of *states*; none: listening, established, or UDP in any state."""
    if "all" in states:
        return True
    if states:
        return state_name(socket.protocol, socket.state) in states
    return socket.protocol == "udp" or socket.state in (TcpState.LISTEN, TcpState.ESTABLISHED)
