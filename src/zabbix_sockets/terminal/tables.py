"""`show`: the same figures as tables for people, or as JSON for programs."""

from collections.abc import Callable, Iterable, Sequence

from zabbix_sockets.document.row import ABSENT_ID, JsonRow
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING
from zabbix_sockets.model.addresses import format_address
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.names import as_parameter
from zabbix_sockets.model.socket import Socket
from zabbix_sockets.model.wire import PROTOCOLS, TCP_STATES, UDP_STATES, TcpState, state_name
from zabbix_sockets.terminal.layout import Column, Style, columns_that_fit, render_table


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
    device = f"%{row['device']}" if side == "local" and row.get("device") else ""
    port = port or "*"
    return f"[{address}{device}]:{port}" if row["family"] == "ipv6" else f"{address}{device}:{port}"


def _owners_cell(row: JsonRow) -> str:
    owners = row["owners"]
    assert isinstance(owners, list)
    return ",".join(f"{owner['name']}:{owner['pid']}" for owner in owners) or "-"


_NETNS = "NETNS"  # a column only where there is another namespace than the own


def _us(*path: str) -> Callable[[JsonRow], object]:
    """Return what shows a time as people read it: 87us, 4.2ms, 31ms, 1.5s."""
    field = _field(*path)

    def cell(row: JsonRow) -> object:
        value = field(row)
        return shown_us(value) if isinstance(value, int) else value

    return cell


def shown_us(microseconds: int) -> str:
    """Return a time with two digits at least, in the unit that fits."""
    for unit, size in (("s", 1_000_000), ("ms", 1_000)):
        if microseconds >= size:
            value = microseconds / size
            return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"  # noqa: PLR2004
    return f"{microseconds}us"


def _bytes(*path: str) -> Callable[[JsonRow], object]:
    """Return what shows bytes as people read them: 87, 4.2k, 31M."""
    field = _field(*path)

    def cell(row: JsonRow) -> object:
        value = field(row)
        return shown_bytes(value) if isinstance(value, float | int) else value

    return cell


def shown_bytes(count: float) -> str:
    """Return a number of bytes with two digits at least, in the decimal unit that fits."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            value = count / size
            return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"  # noqa: PLR2004
    return f"{count:.0f}"


_TCP_INFO = (
    Column("RTT", _us("tcp_info", "rtt_us"), right=True, optional=1),
    Column("VAR", _us("tcp_info", "rtt_variance_us"), right=True, optional=7),
    Column("CWND", _field("tcp_info", "congestion_window"), right=True, optional=5),
    Column("UNACKED", _field("tcp_info", "unacked"), right=True, optional=6),
    Column("RETRANS", _field("tcp_info", "retransmits"), right=True, optional=2),
    Column("LOST", _field("tcp_info", "lost"), right=True, optional=4),
)

_CHANGE = Column("", lambda row: {"new": "+", "gone": "-"}.get(str(row.get("change")), " "))
_CHANGES = (
    Column("SENT/S", _bytes("rates", "sent_bytes_per_s"), right=True, optional=1),
    Column("RECV/S", _bytes("rates", "received_bytes_per_s"), right=True, optional=1),
    Column("RETR/S", _field("rates", "retransmits_per_s"), right=True, optional=3),
)

_COLUMNS = {
    "processes": (
        Column("PROCESS", _field("name"), shrinks=True, readable=32),
        Column("PROCS", _field("instances"), right=True, optional=5),
        Column("SOCKETS", _field("sockets"), right=True),
        Column("LISTEN", _field("tcp", "listen"), right=True, optional=1),
        Column("ESTAB", _field("tcp", "established"), right=True),
        Column("IN", _field("tcp", "inbound"), right=True, optional=4),
        Column("OUT", _field("tcp", "outbound"), right=True, optional=4),
        Column("CLOSE-WAIT", _field("tcp", "close_wait"), right=True, optional=2),
        Column("UDP", _udp_total, right=True, optional=6),
        Column("RECV-Q", _field("recv_queue_bytes"), right=True, optional=8),
        Column("SEND-Q", _field("send_queue_bytes"), right=True, optional=8),
        Column("ACCEPT%", _field("accept_queue_max_pct"), right=True, optional=2),
        Column("FDS%", _field("fds_max_pct"), right=True, optional=3),
    ),
    "listeners": (
        Column("LISTENER", _field("id"), shrinks=True, port=True, readable=32),
        Column("PROCESS", lambda row: row["process"] or "-", shrinks=True, readable=20),
        Column("PROCS", _field("processes"), right=True, optional=5),
        Column("SOCKETS", _field("sockets"), right=True, optional=4),
        Column("ESTAB", _field("established"), right=True),
        Column("ACCEPT-Q", _field("accept_queue"), right=True, optional=2),
        Column("BACKLOG", _field("backlog"), right=True, optional=3),
        Column("ACCEPT%", _field("accept_queue_pct"), right=True, optional=1),
    ),
    "upstreams": (
        Column("PROCESS", _field("process"), shrinks=True, readable=20),
        Column("PROTO", _field("protocol"), optional=5),
        Column("ADDRESS", _field("address"), shrinks=True, readable=24),
        Column("PORT", _field("port"), right=True),
        Column(_NETNS, lambda row: row["netns"] or "-", shrinks=True, readable=20),
        Column("ESTAB", _field("established"), right=True),
        Column("SYN-SENT", _field("syn_sent"), right=True, optional=2),
        Column("CLOSE-WAIT", _field("close_wait"), right=True, optional=1),
        Column("PORTS%", _field("ephemeral_pct"), right=True, optional=3),
    ),
    "sockets": (
        Column("PROTO", _field("protocol"), optional=8),
        Column("STATE", _field("state")),
        Column(
            "RECV-Q",
            lambda row: row.get("recv_queue", row.get("accept_queue")),
            right=True,
            optional=9,
        ),
        Column(
            "SEND-Q",
            lambda row: row.get("send_queue", row.get("backlog", "-")),
            right=True,
            optional=9,
        ),
        Column("LOCAL", lambda row: _end(row, "local"), shrinks=True, port=True),
        Column("REMOTE", lambda row: _end(row, "remote"), shrinks=True, port=True),
        Column(_NETNS, lambda row: row["netns"] or "-", shrinks=True),
        Column("PROCESS", _owners_cell, shrinks=True),
    ),
}
_QUALITY = (
    Column("RTT-P50", _us("rtt_us", "p50"), right=True, optional=9),
    Column("RTT-P95", _us("rtt_us", "p95"), right=True, optional=7),
    Column("RETRANS%", _field("retransmitting_pct"), right=True, optional=7),
)
KINDS = tuple(_COLUMNS)
_BEFORE_TCP_INFO = [each.title for each in _COLUMNS["sockets"]].index("LOCAL")


def render(
    kind: str, rows: Iterable[JsonRow], style: Style, grouping: str = DEFAULT_GROUPING
) -> str:
    """Return the table of *kind* (one of KINDS); *grouping* is the title of its groups."""
    present = _present(rows)
    if kind in ("processes", "upstreams"):
        present.sort(key=lambda row: (-_weight(row), str(row["id"])))
    return render_table(_columns(kind, present, grouping), present, style)


def left_out(kind: str, rows: Iterable[JsonRow], style: Style) -> list[str]:
    """Return the titles of the columns for which the terminal has no room."""
    present = _present(rows)
    columns = _columns(kind, present, DEFAULT_GROUPING)
    kept = columns_that_fit(columns, present, style.width)
    return [column.title for column in columns if column not in kept]


def notes_of(document: JsonRow, kind: str) -> list[str]:
    """Return what people should know beside the rows of *kind*: what is missing, and why."""
    collector, lists, rows = document["collector"], document["lists"], document[kind]
    assert isinstance(collector, dict)
    assert isinstance(lists, dict)
    assert isinstance(rows, list)
    notes = [str(collector["reason"])] if collector["degraded"] and collector["reason"] else []
    notes += [str(warning) for warning in collector["warnings"]]
    if not _present(rows):
        fits = " that fit the filter" if collector.get("filter") else ""
        seen = "" if lists[kind] else ": what there may be can't be seen, for the reasons above"
        notes.append(f"no {kind}{fits} to show{seen}")
    return notes


def _present(rows: Iterable[JsonRow]) -> list[JsonRow]:
    """Return the rows but for the document's own."""
    return [row for row in rows if row.get("id") != ABSENT_ID]


def _columns(kind: str, present: Sequence[JsonRow], grouping: str) -> list[Column]:
    """Return the columns that these rows fill."""
    columns = [each for each in _COLUMNS[kind] if each.title != _NETNS or _has_netns(present)]
    if any("measured" in row for row in present):
        columns += _QUALITY
    if any("tcp_info" in row for row in present):
        columns[_BEFORE_TCP_INFO:_BEFORE_TCP_INFO] = _TCP_INFO
    if any("rates" in row for row in present):
        columns[_BEFORE_TCP_INFO:_BEFORE_TCP_INFO] = _CHANGES
    if any("change" in row for row in present):
        columns.insert(0, _CHANGE)
    if kind == "sockets":
        return columns
    titles = {"PROCESS": grouping.upper()}
    return [each._replace(title=titles.get(each.title, each.title)) for each in columns]


def render_keys(rows: Iterable[JsonRow]) -> str:
    """Return an item key for each process, as every agent takes it; most sockets first."""
    present = [row for row in rows if row["id"] != ABSENT_ID]
    present.sort(key=lambda row: (-_weight(row), str(row["id"])))
    return "".join(f"sockets.count[{as_parameter(str(row['id']))}]\n" for row in present)


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
