"""What tables show of network namespaces and groupings."""

from typing import Any

import pytest

from zabbix_sockets.document.document import NO_LIMITS, build_document
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.snapshot import BY_CGROUPS, FIRST_OWNER, Process
from zabbix_sockets.model.socket import Owner, Socket
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.tables import KINDS, render, socket_json, socket_order

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    NAMESPACES,
    WEB,
    outbound,
    processes,
    snapshot_of,
    tcp_listener,
)

A = FIRST_OWNER
PIPED = Style(colours=False, width=None)
OWN = Socket(
    *("tcp", 2, "", 10, None, bytes(4), 80, bytes(4), 0, ""),
    (Owner(7, "nginx"),),
    *(0, 500, None, None, 3, 128),
)


def lines_of(text: str) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in text.splitlines()]


def rows_of(kind: str, *namespaces: int) -> list[dict[str, Any]]:
    """Return the rows of a host with connections in these namespaces."""
    connections = {outbound(A, 80)._replace(netns=netns): 5 for netns in namespaces}
    snapshot = snapshot_of(processes("nginx"), (), connections)
    snapshot.namespaces = dict(NAMESPACES)
    rows = build_document(snapshot, NO_LIMITS)[kind]
    assert isinstance(rows, list)
    return rows


def test_column_only_where_it_tells_something() -> None:
    """Upstreams show their namespace as soon as one is not the own."""
    titles, _ = lines_of(render("upstreams", rows_of("upstreams", OWN_NETNS), PIPED))
    assert "NETNS" not in titles
    titles, *rows = lines_of(render("upstreams", rows_of("upstreams", OWN_NETNS, WEB), PIPED))
    at = titles.index("NETNS")
    assert [row[at] for row in rows] == ["-", "web"]
    assert len({len(row) for row in (titles, *rows)}) == 1


def test_column_of_sockets() -> None:
    """So do single sockets."""
    other = OWN._replace(netns="net:[5]")
    assert "NETNS" not in render("sockets", [socket_json(OWN)], PIPED)
    assert "NETNS" not in render("sockets", [], PIPED)
    titles, *rows = lines_of(render("sockets", [socket_json(OWN), socket_json(other)], PIPED))
    assert titles[-2:] == ["NETNS", "PROCESS"]
    assert [row[-2:] for row in rows] == [["-", "nginx:7"], ["net:[5]", "nginx:7"]]


def test_own_sockets_come_first() -> None:
    """Sockets are listed namespace by namespace, the own one first."""
    sockets = [
        OWN._replace(netns=netns, protocol=protocol)
        for netns in ("web", "", "db")
        for protocol in ("udp", "tcp")
    ]
    listed = [(each.netns, each.protocol) for each in sorted(sockets, key=socket_order)]
    assert listed == [(netns, each) for netns in ("", "db", "web") for each in ("tcp", "udp")]


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_title(kind: str, grouping: str) -> None:
    """A column of groups is called what they are; a socket's processes are processes."""
    title = render(kind, [], PIPED, grouping).split()
    assert ("PROCESS" in title) == (grouping == "process" or kind == "sockets")
    assert (grouping.upper() in title) == (grouping == "process" or kind != "sockets")


def test_what_cgroups_do_not_tell() -> None:
    """Without processes their numbers are not shown."""
    snapshot = snapshot_of([Process(0, "", unit="nginx.service")], [tcp_listener(A, 80)])
    snapshot.visibility.ownership = BY_CGROUPS
    document = build_document(snapshot, NO_LIMITS, GROUPINGS["unit"])
    for kind in ("processes", "listeners"):
        rows = document[kind]
        assert isinstance(rows, list)
        titles, row = lines_of(render(kind, rows, PIPED, "unit"))
        assert row[titles.index("PROCS")] == "-"
        assert row[titles.index("SOCKETS")] == "1"
