"""Tables that give way to a narrow terminal."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from zabbix_sockets.document.document import build_document
from zabbix_sockets.document.record import JsonObject
from zabbix_sockets.document.row import Row
from zabbix_sockets.model.quality import bucket_of, sample
from zabbix_sockets.model.snapshot import FIRST_OWNER
from zabbix_sockets.model.socket import TcpInfo
from zabbix_sockets.model.text_width import text_width
from zabbix_sockets.terminal.layout import Column, Style, _fit, render_table, shown_us
from zabbix_sockets.terminal.sockets import ShownSocket, render_sockets, socket_json
from zabbix_sockets.terminal.tables import omitted_columns, render

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    outbound,
    processes,
    snapshot_of,
    tcp_listener,
)
from .test_sockets import ACCEPTED, LISTENER, PIPED

INFO = TcpInfo(
    rtt_us=31_200,
    rtt_variance_us=4_210,
    congestion_window=10,
    unacked=3,
    retransmits=12,
    lost=1,
)


def rows() -> list[ShownSocket]:
    """Return a listener, and a connection with tcp_info."""
    return [ShownSocket(LISTENER), ShownSocket(ACCEPTED._replace(tcp_info=INFO))]


def test_tcp_info_has_columns_of_its_own() -> None:
    """They stand before the ends; a socket without tcp_info has none of it."""
    titles, listener, accepted = (
        line.split() for line in render_sockets(rows(), PIPED).splitlines()
    )
    assert titles[2:10] == ["RECV-Q", "SEND-Q", "RTT", "VAR", "CWND", "UNACKED", "RETRANS", "LOST"]
    assert listener[4:10] == ["-"] * 6
    assert accepted[4:10] == ["31ms", "4.2ms", "10", "3", "12", "1"]


def test_no_columns_without_tcp_info() -> None:
    """Where nobody asked, the table is as it was."""
    titles = render_sockets([ShownSocket(LISTENER)], PIPED).splitlines()[0].split()
    assert "RTT" not in titles


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (140, {"PROTO", "RECV-Q", "SEND-Q", "RTT", "VAR", "CWND", "UNACKED", "RETRANS", "LOST"}),
        (100, {"RTT", "VAR", "CWND", "UNACKED", "RETRANS", "LOST"}),
        (80, {"RTT", "CWND", "RETRANS", "LOST"}),
        (60, {"RTT"}),
        (40, set()),
    ],
)
def test_what_gives_way(width: int, kept: set[str]) -> None:
    """Narrow terminals lose the least telling columns, no line is longer, and ports stay."""
    table = render_sockets(rows(), Style(colours=False, width=width))
    titles = set(table.splitlines()[0].split())
    assert titles - {"STATE", "LOCAL", "REMOTE", "PROCESS", "PRO…", "…"} == kept
    assert max(map(text_width, table.splitlines())) <= width
    if width >= 60:
        assert ":80 " in table
        assert ":40000 " in table


@pytest.mark.parametrize("width", range(20, 160, 7))
def test_rates_fit(width: int) -> None:
    """With rates and marks of what has changed, too."""
    rates = {"sent_bytes_per_s": 123456.0}
    many = [row._replace(rates=rates, change="new") for row in rows()]
    table = render_sockets(many, Style(colours=False, width=width))
    assert max(map(text_width, table.splitlines())) <= width


LONG = ip_address("2001:db8:1234:5678:9abc:def0:1:5678").packed


def listed(kind: str, names: list[str]) -> Sequence[Row]:
    """Return rows of *kind*, of measured processes with these names, from a document."""
    owners = range(FIRST_OWNER, FIRST_OWNER + len(names))
    listeners = [tcp_listener(owner, 10050 + at, LONG) for at, owner in enumerate(owners)]
    snapshot = snapshot_of(processes(*names), listeners, {outbound(owners[0], 80): 2})
    snapshot.unmeasured = set()
    return build_document(snapshot).rows_of(kind)


@pytest.mark.parametrize("width", [80, 100, 132])
@pytest.mark.parametrize(
    "netns", ["", "@shop/cart-production-eu (4026532316)", "@net:[4026532316]"]
)
def test_listeners_keep_their_ports(width: int, netns: str) -> None:
    """Rows that differ by their port alone are told apart, whatever else gives way."""
    rows = listed("listeners", ["a-process-with-a-long-name-1", "b", "c", "d"])
    for row in rows:
        row.id += netns
    table = render("listeners", rows, Style(colours=False, width=width))
    lines = table.splitlines()
    assert max(map(text_width, lines)) <= width
    for port in range(10050, 10054):
        (line,) = (line for line in lines if f":{port}" in line)
        assert line.startswith("tcp/[2001")
        assert not netns or line.split("  ")[0].endswith(netns[-3:])


@pytest.mark.parametrize(
    ("width", "cell"),
    [
        (40, "tcp/127.0.0.1:80@shop/cart"),
        (25, "tcp/127.0.0…:80@shop/cart"),
        (20, "tcp/127.…:80@sho…art"),
        (12, "tcp/…:80@s…t"),
        (6, "t…:80…"),
        (3, ":80"),
        (1, "…"),
    ],
)
def test_address_and_namespace_give_way(width: int, cell: str) -> None:
    """Each has half of the room, or what the other leaves; the port stays."""
    column = Column[JsonObject]("L", lambda row: row["id"], shrinks=True, port=True)
    rows: list[JsonObject] = [{"id": "tcp/127.0.0.1:80@shop/cart"}]
    style = Style(colours=False, width=width)
    assert _fit(str(rows[0]["id"]), width, style.ellipsis, port=True) == cell or width < 3
    assert text_width(render_table([column], rows, style).splitlines()[1]) <= width


def test_names_before_figures() -> None:
    """A name is whole before a figure that people can do without has room; these are told."""
    rows = listed("processes", ["zabbix_agentd-with-a-longer-name"])
    for width, whole in ((80, True), (60, True), (34, False)):
        style = Style(colours=False, width=width)
        table = render("processes", rows, style)
        assert ("zabbix_agentd-with-a-longer-name" in table) is whole
        titles = table.splitlines()[0].split()
        hidden = omitted_columns("processes", rows, style)
        assert hidden
        assert {"PROCESS", "SOCKETS", "ESTAB"} <= set(titles)
        assert not set(titles) & set(hidden)
        assert len(titles) + len(hidden) == len(
            render("processes", rows, PIPED).splitlines()[0].split()
        )
    assert omitted_columns("processes", rows, PIPED) == []
    assert omitted_columns("processes", rows, Style(colours=False, width=300)) == []


def test_columns_give_way_alike() -> None:
    """The widest column is not cut below the others."""
    columns = [
        Column[JsonObject]("A", lambda row: row["a"], shrinks=True),
        Column[JsonObject]("B", lambda row: row["b"], shrinks=True),
    ]
    rows: list[JsonObject] = [{"a": "a" * 60, "b": "b" * 40}]
    (line,) = render_table(columns, rows, Style(colours=False, width=62)).splitlines()[1:]
    assert [len(cell) for cell in line.split()] == [30, 30]


def test_ellipsis_of_the_locale() -> None:
    """Where the encoding has no ellipsis, three dots are one, and lines are no longer for it."""
    table = render_sockets(rows(), Style(colours=False, width=60, ellipsis="..."))
    assert table.isascii()
    assert "nginx:7,ca..." in table
    assert max(map(len, table.splitlines())) <= 60
    assert render_sockets(rows(), Style(colours=False, width=2, ellipsis="...")).isascii()


def test_quality_of_lists() -> None:
    """Where connections were measured their tables have round-trip times, if there is room."""
    snapshot = snapshot_of(processes("nginx"), (), {outbound(FIRST_OWNER, 80): 2})
    snapshot.unmeasured = set()
    snapshot.qualities = {outbound(FIRST_OWNER, 80): sample(bucket_of(1500), True, 1, 0)}
    document = build_document(snapshot)
    for kind in ("processes", "upstreams"):
        listed = document.rows_of(kind)
        titles, line = (each.split() for each in render(kind, listed, PIPED).splitlines())
        assert titles[-3:] == ["RTT-P50", "RTT-P95", "RETRANS%"]
        assert line[-3:] == ["1.5ms", "1.5ms", "100.0"]
        narrow = render(kind, listed, Style(colours=False, width=70))
        assert "RTT" not in narrow
        snapshot.unmeasured = None
        unknown = build_document(snapshot).rows_of(kind)
        assert "RTT" not in render(kind, unknown, PIPED)


@pytest.mark.parametrize(
    ("microseconds", "shown"),
    [
        (0, "0us"),
        (999, "999us"),
        (1000, "1.0ms"),
        (9_949, "9.9ms"),
        (10_400, "10ms"),
        (1_500_000, "1.5s"),
    ],
)
def test_times(microseconds: int, shown: str) -> None:
    """A time is short, in the unit that fits."""
    assert shown_us(microseconds) == shown


def test_json_leaves_out_what_is_unknown() -> None:
    """Fields that the kernel didn't send are no zeros."""
    row = socket_json(ShownSocket(ACCEPTED._replace(cookie=77, tcp_info=INFO._replace(lost=0))))
    assert row["cookie"] == 77
    info = row["tcp_info"]
    assert isinstance(info, dict)
    assert info["lost"] == 0
    assert "min_rtt_us" not in info
