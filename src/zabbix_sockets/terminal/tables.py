"""`show processes`, `listeners`, `upstreams`: the document's rows as tables for people."""

from collections.abc import Callable, Sequence
from typing import Any

from zabbix_sockets.document.document import Document
from zabbix_sockets.document.listeners import ListenerRow
from zabbix_sockets.document.processes import ProcessRow
from zabbix_sockets.document.record import TEXT, Record, field_at, value_at
from zabbix_sockets.document.row import Row
from zabbix_sockets.document.upstreams import UpstreamRow
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING
from zabbix_sockets.model.names import as_parameter
from zabbix_sockets.terminal.layout import Column, Style, columns_that_fit, render_table, shown_us


def _column(title: str, record: type[Record], path: str, **layout: Any) -> Column[Row]:
    """Return the column of the field at *path*: numbers at the right, times readable."""
    field = field_at(record, path)
    return Column(title, _cell(path, field.unit), right=field.kind != TEXT, **layout)


def _cell(path: str, unit: str) -> Callable[[Record], object]:
    names = path.split(".")

    def cell(row: Record) -> object:
        value = value_at(row, names)
        if unit == "us" and isinstance(value, int):
            return shown_us(value)
        return "-" if value is None or value == "" else value

    return cell


def _udp_total(row: Row) -> int:
    assert isinstance(row, ProcessRow)
    return sum(row.udp.values())


_NETNS = "NETNS"  # a column only where there is another namespace than the own
_COLUMNS: dict[str, tuple[Column[Row], ...]] = {
    "processes": (
        _column("PROCESS", ProcessRow, "name", shrinks=True, readable=32),
        _column("PROCS", ProcessRow, "instances", optional=5),
        _column("SOCKETS", ProcessRow, "sockets"),
        _column("LISTEN", ProcessRow, "tcp.listen", optional=1),
        _column("ESTAB", ProcessRow, "tcp.established"),
        _column("IN", ProcessRow, "tcp.inbound", optional=4),
        _column("OUT", ProcessRow, "tcp.outbound", optional=4),
        _column("CLOSE-WAIT", ProcessRow, "tcp.close_wait", optional=2),
        Column("UDP", _udp_total, right=True, optional=6),
        _column("RECV-Q", ProcessRow, "recv_queue_bytes", optional=8),
        _column("SEND-Q", ProcessRow, "send_queue_bytes", optional=8),
        _column("ACCEPT%", ProcessRow, "accept_queue_max_pct", optional=2),
        _column("FDS%", ProcessRow, "fds_max_pct", optional=3),
    ),
    "listeners": (
        _column("LISTENER", ListenerRow, "id", shrinks=True, port=True, readable=32),
        _column("PROCESS", ListenerRow, "process", shrinks=True, readable=20),
        _column("PROCS", ListenerRow, "processes", optional=5),
        _column("SOCKETS", ListenerRow, "sockets", optional=4),
        _column("ESTAB", ListenerRow, "established"),
        _column("ACCEPT-Q", ListenerRow, "accept_queue", optional=2),
        _column("BACKLOG", ListenerRow, "backlog", optional=3),
        _column("ACCEPT%", ListenerRow, "accept_queue_pct", optional=1),
    ),
    "upstreams": (
        _column("PROCESS", UpstreamRow, "process", shrinks=True, readable=20),
        _column("PROTO", UpstreamRow, "protocol", optional=5),
        _column("ADDRESS", UpstreamRow, "address", shrinks=True, readable=24),
        _column("PORT", UpstreamRow, "port"),
        _column(_NETNS, UpstreamRow, "netns", shrinks=True, readable=20),
        _column("ESTAB", UpstreamRow, "established"),
        _column("SYN-SENT", UpstreamRow, "syn_sent", optional=2),
        _column("CLOSE-WAIT", UpstreamRow, "close_wait", optional=1),
        _column("PORTS%", UpstreamRow, "ephemeral_pct", optional=3),
    ),
}
_ROUND_TRIPS = (
    _column("RTT-P50", Row, "rtt_us.p50", optional=9),
    _column("RTT-P95", Row, "rtt_us.p95", optional=7),
    _column("RETRANS%", Row, "retransmitting_pct", optional=7),
)


def render(kind: str, rows: Sequence[Row], style: Style, grouping: str = DEFAULT_GROUPING) -> str:
    """Return the rows of the list *kind* as the text of a table; *grouping* is the title of groups.

    Rows with most sockets come first, but listeners are sorted by id.
    """
    if kind != "listeners":
        rows = sorted(rows, key=_heaviest_first)
    return render_table(_columns(kind, rows, grouping), rows, style)


def omitted_columns(kind: str, rows: Sequence[Row], style: Style) -> list[str]:
    """Return the titles of the columns that render() leaves out, since the terminal has no room."""
    columns = _columns(kind, rows, DEFAULT_GROUPING)
    kept = columns_that_fit(columns, rows, style.width)
    return [column.title for column in columns if column not in kept]


def notes_of(document: Document, kind: str) -> list[str]:
    """Return the notes for people beside the rows of *kind*: missing things, and why."""
    collector = document.collector
    notes = [collector.reason] if collector.degraded and collector.reason else []
    notes += collector.warnings
    if not document.rows_of(kind):
        fits = " that fit the filter" if collector.filter else ""
        is_seen = document.lists[kind]
        seen = "" if is_seen else ": what there may be can't be seen, for the reasons above"
        notes.append(f"no {kind}{fits} to show{seen}")
    return notes


def _columns(kind: str, rows: Sequence[Row], grouping: str) -> list[Column[Row]]:
    """Return the columns that these rows fill."""
    has_netns = any(isinstance(row, UpstreamRow) and row.netns for row in rows)
    columns = [each for each in _COLUMNS[kind] if each.title != _NETNS or has_netns]
    if any(row.measured is not None for row in rows):
        columns += _ROUND_TRIPS
    titles = {"PROCESS": grouping.upper()}
    return [each._replace(title=titles.get(each.title, each.title)) for each in columns]


def render_keys(rows: Sequence[Row]) -> str:
    """Return an item key for each process, as every agent takes it; most sockets first."""
    heaviest = sorted(rows, key=_heaviest_first)
    return "".join(f"sockets.count[{as_parameter(row.id)}]\n" for row in heaviest)


def _heaviest_first(row: Row) -> tuple[int, str]:
    """Return the key that sorts processes and upstreams by what they hold, then by id."""
    weight = row.sockets if isinstance(row, ProcessRow) else value_at(row, ["established"])
    assert isinstance(weight, int)
    return -weight, row.id
