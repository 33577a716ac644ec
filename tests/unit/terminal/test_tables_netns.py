"""What tables show of network namespaces and groupings."""

from collections.abc import Sequence

import pytest

from zabbix_sockets.document.document import NO_LIMITS, build_document
from zabbix_sockets.document.row import Row
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.snapshot import BY_CGROUPS, FIRST_OWNER, LISTS, Process
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.tables import render

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


def lines_of(text: str) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in text.splitlines()]


def rows_of(kind: str, *namespaces: int) -> Sequence[Row]:
    """Return the rows of a host with connections in these namespaces."""
    connections = {outbound(A, 80)._replace(netns=netns): 5 for netns in namespaces}
    snapshot = snapshot_of(processes("nginx"), (), connections)
    snapshot.namespaces = dict(NAMESPACES)
    return build_document(snapshot, NO_LIMITS).rows_of(kind)


def test_column_only_where_it_tells_something() -> None:
    """Upstreams show their namespace as soon as one is not the own."""
    titles, _ = lines_of(render("upstreams", rows_of("upstreams", OWN_NETNS), PIPED))
    assert "NETNS" not in titles
    titles, *rows = lines_of(render("upstreams", rows_of("upstreams", OWN_NETNS, WEB), PIPED))
    at = titles.index("NETNS")
    assert [row[at] for row in rows] == ["-", "web"]
    assert len({len(row) for row in (titles, *rows)}) == 1


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("kind", LISTS)
def test_title(kind: str, grouping: str) -> None:
    """A column of groups is called what they are."""
    title = render(kind, [], PIPED, grouping).split()
    assert ("PROCESS" in title) == (grouping == "process")
    assert grouping.upper() in title


def test_what_cgroups_do_not_tell() -> None:
    """Without processes their numbers are not shown."""
    snapshot = snapshot_of([Process(0, "", unit="nginx.service")], [tcp_listener(A, 80)])
    snapshot.visibility.ownership = BY_CGROUPS
    document = build_document(snapshot, NO_LIMITS, GROUPINGS["unit"])
    for kind in ("processes", "listeners"):
        rows = document.rows_of(kind)
        titles, row = lines_of(render(kind, rows, PIPED, "unit"))
        assert row[titles.index("PROCS")] == "-"
        assert row[titles.index("SOCKETS")] == "1"
