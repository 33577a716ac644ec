"""`show processes`, `listeners`, `upstreams`: the document's rows as tables for people."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from zabbix_sockets.document.document import Document
from zabbix_sockets.document.listener_row import ListenerRow
from zabbix_sockets.document.processes import ProcessRow
from zabbix_sockets.document.record import TEXT, Record, field_at, value_at
from zabbix_sockets.document.row import Row
from zabbix_sockets.document.upstreams import UpstreamRow
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.names import as_parameter
from zabbix_sockets.model.snapshot import LISTS
from zabbix_sockets.terminal.layout import (
    Column,
    Style,
    columns_that_fit,
    render_table,
    shown_bytes,
    shown_rate,
    shown_us,
    sorted_by,
)


def _column(title: str, record: type[Record], path: str, **layout: Any) -> Column[Row]:
    """Return the column of the field at *path*: numbers at the right, times readable."""
    field, names = field_at(record, path), path.split(".")
    return Column(
        title,
        _cell(path, field.unit),
        right=field.kind != TEXT,
        value=lambda row: value_at(row, names),
        **layout,
    )


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
_CONTAINER = "CONTAINER"  # a column only where a container answers
_SOCKET_UNIT = "SOCKET-UNIT"  # a column only where systemd listens for one
_DROPS = "DROPS"  # a column only where something was dropped
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
        _column(_DROPS, ProcessRow, "drops", optional=3),
        _column("FDS%", ProcessRow, "fds_max_pct", optional=3),
    ),
    "listeners": (
        _column("LISTENER", ListenerRow, "id", shrinks=True, port=True, readable=32),
        _column("PROCESS", ListenerRow, "process", shrinks=True, readable=20),
        _column(_CONTAINER, ListenerRow, "container", shrinks=True, readable=20, optional=6),
        _column(_SOCKET_UNIT, ListenerRow, "socket_unit", shrinks=True, readable=20, optional=6),
        _column("PROCS", ListenerRow, "processes", optional=5),
        _column("SOCKETS", ListenerRow, "sockets", optional=4),
        _column("ESTAB", ListenerRow, "established"),
        _column("SYN-RECV", ListenerRow, "syn_recv", optional=9),
        _column("CLOSE-WAIT", ListenerRow, "close_wait", optional=8),
        _column("TIME-WAIT", ListenerRow, "time_wait", optional=8),
        _column("ACCEPT-Q", ListenerRow, "accept_queue", optional=2),
        _column("BACKLOG", ListenerRow, "backlog", optional=3),
        _column("ACCEPT%", ListenerRow, "accept_queue_pct", optional=1),
        _column("RECV-Q", ListenerRow, "recv_queue_bytes", optional=8),
        _column(_DROPS, ListenerRow, "drops", optional=2),
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


_Shown = Callable[[float], str]


def _of_ms(milliseconds: float) -> str:
    return shown_us(round(1000 * milliseconds))


def _of_us(microseconds: float) -> str:
    return shown_us(round(microseconds))


_RATES: dict[str, tuple[tuple[str, str, _Shown, int], ...]] = {
    "processes": (
        ("OPENED/S", "opened_per_s", shown_rate, 1),
        ("ACCEPTED/S", "accepted_per_s", shown_rate, 1),
        ("FAILED/S", "failed_per_s", shown_rate, 1),
        ("SENT/S", "sent_bytes_per_s", shown_bytes, 1),
        ("RECV/S", "received_bytes_per_s", shown_bytes, 1),
        ("RETR/S", "retransmits_per_s", shown_rate, 6),
    ),
    "listeners": (
        ("ACCEPTED/S", "accepted_per_s", shown_rate, 1),
        ("RESETS/S", "resets_per_s", shown_rate, 4),
        ("SENT/S", "sent_bytes_per_s", shown_bytes, 1),
        ("RECV/S", "received_bytes_per_s", shown_bytes, 1),
        ("RETR/S", "retransmits_per_s", shown_rate, 6),
    ),
    "upstreams": (
        ("OPENED/S", "opened_per_s", shown_rate, 1),
        ("FAILED/S", "failed_per_s", shown_rate, 1),
        ("SENT/S", "sent_bytes_per_s", shown_bytes, 1),
        ("RECV/S", "received_bytes_per_s", shown_bytes, 1),
        ("RETR/S", "retransmits_per_s", shown_rate, 6),
        ("HANDSHAKE", "handshake_us", _of_us, 4),
        ("LIFETIME", "lifetime_ms", _of_ms, 5),
    ),
}
"""The columns of what is counted: title, name in Lately.rates, how it is shown, rank."""


class Lately(NamedTuple):
    """What has changed since a snapshot before, by the rows' ids.

    Attributes:
        changes: "new" or "gone".
        rates: changes of totals per second, and means of what ended since, by their names; None:
            nothing is counted.
    """

    changes: Mapping[str, str]
    rates: Optional[Mapping[str, Mapping[str, float]]]


_MARKS = {"new": "+", "gone": "-"}


def _mark(changes: Mapping[str, str]) -> Column[Row]:
    return Column("", lambda row: _MARKS.get(changes.get(row.id, ""), " "))


def _rate(
    rates: Mapping[str, Mapping[str, float]], title: str, name: str, shown: _Shown, optional: int
) -> Column[Row]:
    """Return a column of Lately.rates."""

    def value(row: Row) -> Optional[float]:
        return rates.get(row.id, {}).get(name)

    def cell(row: Row) -> str:
        rate = value(row)
        return "-" if rate is None else shown(rate)

    return Column(title, cell, right=True, optional=optional, value=value)


def check_sort(kind: str, title: str, *, has_rates: bool) -> None:
    """Check that *title* is that of a column of the list *kind*, whatever its case.

    Raises:
        UsageError: it is not; only with *has_rates* it may be one of what is counted.
    """
    of_rates = [name for name, *_ in _RATES[kind]]
    titles = [column.title for column in (*_COLUMNS[kind], *_ROUND_TRIPS)]
    if title.upper() in of_rates and not has_rates:
        raise UsageError(f"--sort {title} is for --interval")
    if title.upper() not in (*titles, *of_rates):
        known = ", ".join([*titles, *(of_rates if has_rates else ())]).lower()
        raise UsageError(f"--sort: no column {title!r} of {kind}: it is one of {known}")


def sort_words() -> tuple[str, ...]:
    """Return the titles of all columns that tables may be sorted by, for completions."""
    columns = [column.title for kind in LISTS for column in _COLUMNS[kind]]
    rates = [title for kind in LISTS for title, *_ in _RATES[kind]]
    titles = (*columns, *(column.title for column in _ROUND_TRIPS), *rates)
    return tuple(dict.fromkeys(title.lower() for title in titles))


def in_order(
    kind: str, rows: Sequence[Row], sort: str = "", lately: Optional[Lately] = None
) -> list[Row]:
    """Return the rows of the list *kind* by the column *sort*, or in the usual order.

    That is with most sockets first, but listeners by id. Among equal ones it is so, too.
    """
    usual = sorted(rows, key=_by_id if kind == "listeners" else _heaviest_first)
    columns = _columns(kind, rows, DEFAULT_GROUPING, lately)
    found = [column for column in columns if column.title == sort.upper()]
    return sorted_by(found[0], usual) if sort and found else usual


def render(
    kind: str,
    rows: Sequence[Row],
    style: Style,
    grouping: str = DEFAULT_GROUPING,
    lately: Optional[Lately] = None,
) -> str:
    """Return rows of the list *kind*, in their order, as the text of a table.

    *grouping* is the title of groups.
    """
    return render_table(_columns(kind, rows, grouping, lately), rows, style)


def omitted_columns(
    kind: str, rows: Sequence[Row], style: Style, lately: Optional[Lately] = None
) -> list[str]:
    """Return the titles of the columns that render() leaves out, since the terminal has no room."""
    columns = _columns(kind, rows, DEFAULT_GROUPING, lately)
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


def _columns(
    kind: str, rows: Sequence[Row], grouping: str, lately: Optional[Lately]
) -> list[Column[Row]]:
    """Return the columns that these rows fill."""
    has_netns = any(isinstance(row, UpstreamRow) and row.netns for row in rows)
    has_container = any(isinstance(row, ListenerRow) and row.container for row in rows)
    has_unit = any(isinstance(row, ListenerRow) and row.socket_unit for row in rows)
    has_drops = any(getattr(row, "drops", None) for row in rows)
    filled = {
        _NETNS: has_netns,
        _CONTAINER: has_container,
        _SOCKET_UNIT: has_unit,
        _DROPS: has_drops,
    }
    empty = {title for title, has in filled.items() if not has}
    columns = [each for each in _COLUMNS[kind] if each.title not in empty]
    if lately is not None:
        columns.insert(0, _mark(lately.changes))
    if lately is not None and lately.rates is not None:
        columns += [_rate(lately.rates, *each) for each in _RATES[kind]]
    if any(row.measured is not None for row in rows):
        columns += _ROUND_TRIPS
    titles = {"PROCESS": grouping.upper()}
    return [each.titled(titles.get(each.title, each.title)) for each in columns]


def render_keys(rows: Sequence[Row]) -> str:
    """Return an item key for each process, as every agent takes it; most sockets first."""
    heaviest = sorted(rows, key=_heaviest_first)
    return "".join(f"sockets.count[{as_parameter(row.id)}]\n" for row in heaviest)


def _by_id(row: Row) -> tuple[int, str]:
    return 0, row.id


def _heaviest_first(row: Row) -> tuple[int, str]:
    """Return the key that sorts processes and upstreams by what they hold, then by id."""
    weight = row.sockets if isinstance(row, ProcessRow) else value_at(row, ["established"])
    assert isinstance(weight, int)
    return -weight, row.id
