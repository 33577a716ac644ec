"""What rows show of network namespaces, and what of owners by cgroup."""

from typing import Any

import pytest
from hypothesis import given

from zabbix_sockets.document.listeners import listener_rows
from zabbix_sockets.document.processes import process_rows
from zabbix_sockets.document.row import netns_labels
from zabbix_sockets.document.upstreams import ephemeral_usage, upstream_rows
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Groups
from zabbix_sockets.model import gaps
from zabbix_sockets.model.snapshot import (
    BY_CGROUPS,
    FIRST_OWNER,
    Namespace,
    PortRange,
    Process,
    Snapshot,
)
from zabbix_sockets.model.wire import OWN_NETNS

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    NAMESPACES,
    OTHER,
    PORTS,
    UNNAMED,
    WEB,
    inbound,
    outbound,
    processes,
    snapshot_of,
    snapshots,
    tcp_listener,
)

A = FIRST_OWNER
GROUPED = GROUPINGS[DEFAULT_GROUPING]


@pytest.fixture
def snapshot() -> Snapshot:
    """A Snapshot whose process listens and connects alike in four namespaces."""
    made = snapshot_of(processes("nginx"))
    made.namespaces = dict(NAMESPACES)
    for at, netns in enumerate((OWN_NETNS, WEB, UNNAMED, OTHER)):
        made.listeners.append(tcp_listener(A, 80, queue=at)._replace(netns=netns))
        made.connections[inbound(A, 80)._replace(netns=netns)] = 10**at
        made.connections[outbound(A, 5432)._replace(netns=netns)] = 10**at
    return made


def listeners_of(snapshot: Snapshot, *, for_people: bool = False) -> dict[str, Any]:
    """Return the listeners' rows by their ids."""
    label = netns_labels(snapshot, for_people=for_people)
    rows = [vars(each.row) for each in listener_rows(snapshot, Groups(snapshot, GROUPED), label)]
    assert len({row["id"] for row in rows}) == len(rows)
    return {str(row["id"]): row for row in rows}


def upstreams_of(snapshot: Snapshot, *, for_people: bool = False) -> dict[str, Any]:
    """Return the upstreams' rows by their ids."""
    label, usage = netns_labels(snapshot, for_people=for_people), ephemeral_usage(snapshot)
    rows, _ = upstream_rows(snapshot, Groups(snapshot, GROUPED), usage, label)
    assert len({each.row.id for each in rows}) == len(rows)
    return {each.row.id: vars(each.row) for each in rows}


def processes_of(snapshot: Snapshot, grouping: str = DEFAULT_GROUPING) -> dict[str, Any]:
    """Return the processes' rows by their ids."""
    label = netns_labels(snapshot, for_people=False)
    rows = process_rows(snapshot, Groups(snapshot, GROUPINGS[grouping]), label)
    return {each.row.id: vars(each.row) for each in rows}


def test_unnamed_namespaces_are_one(snapshot: Snapshot) -> None:
    """Ids have the name of a namespace; all without a lasting one share a row."""
    listeners = listeners_of(snapshot)
    assert {name: (row["netns"], row["sockets"]) for name, row in listeners.items()} == {
        "tcp/0.0.0.0:80": ("", 1),
        "tcp/0.0.0.0:80@web": ("web", 1),
        "tcp/0.0.0.0:80@(unnamed)": ("(unnamed)", 2),
    }
    assert [row["established"] for row in listeners.values()] == [1, 10, 1100]
    assert [row["accept_queue"] for row in listeners.values()] == [0, 1, 5]
    upstreams = upstreams_of(snapshot)
    assert {name: row["established"] for name, row in upstreams.items()} == {
        "nginx>tcp/192.0.2.5:5432": 1,
        "nginx>tcp/192.0.2.5:5432@web": 10,
        "nginx>tcp/192.0.2.5:5432@(unnamed)": 1100,
    }


def test_for_people(snapshot: Snapshot) -> None:
    """People tell namespaces apart by all that is known of them."""
    shown = {row["netns"] for row in listeners_of(snapshot, for_people=True).values()}
    assert shown == {"", "web (net:[4026532201])", "net:[4026532202]", "pid 77"}
    assert {row["netns"] for row in upstreams_of(snapshot, for_people=True).values()} == shown


def test_namespace_that_was_not_described(snapshot: Snapshot) -> None:
    """A namespace that only sockets tell of is one without a name."""
    snapshot.namespaces = {}
    for for_people in (False, True):
        label = netns_labels(snapshot, for_people=for_people)
        assert (label(OWN_NETNS), label(WEB)) == ("", "(unnamed)")


def test_established_of_a_skipped_namespace(snapshot: Snapshot) -> None:
    """It is absent where a part is missing, be it one namespace's of those that share a row."""
    snapshot.visibility.add_gap(gaps.NAMESPACE, netns=OTHER)
    rows = listeners_of(snapshot)
    assert [row.get("established") for row in rows.values()] == [1, 10, None]
    assert "established" not in rows["tcp/0.0.0.0:80@(unnamed)"]


def test_ephemeral_pct_where_the_ports_are_known(snapshot: Snapshot) -> None:
    """Each namespace has its own range; where one's is unknown there is no share to tell."""
    ports = PortRange(1000, 1099, 100)
    snapshot.namespaces[WEB] = Namespace("web", ports=ports)
    pcts = {row["netns"]: row.get("ephemeral_pct") for row in upstreams_of(snapshot).values()}
    assert pcts == {"": 0.0, "web": 10.0, "(unnamed)": None}
    assert "ephemeral_pct" not in upstreams_of(snapshot)["nginx>tcp/192.0.2.5:5432@(unnamed)"]


@pytest.mark.parametrize("order", [(UNNAMED, OTHER), (OTHER, UNNAMED)])
def test_one_unknown_range_of_a_row(order: tuple[int, int]) -> None:
    """In whatever order they come, one unknown range leaves the row's share out."""
    snapshot = snapshot_of(processes("a"))
    snapshot.namespaces = dict(NAMESPACES)
    for netns in order:
        snapshot.connections[outbound(A, 80)._replace(netns=netns)] = 5
    (row,) = upstreams_of(snapshot).values()
    assert "ephemeral_pct" not in row
    snapshot.namespaces[OTHER] = Namespace(ports=PORTS._replace(size=50))
    (row,) = upstreams_of(snapshot).values()
    assert row["ephemeral_pct"] == 10.0  # the worst, not the sum


def test_process_is_one_row_for_all_namespaces(snapshot: Snapshot) -> None:
    """A process counts with its sockets wherever they are."""
    (row,) = processes_of(snapshot).values()
    assert row["sockets"] == 4 + 2 * 1111
    assert row["tcp"]["inbound"] == 1111


def test_owners_by_cgroup() -> None:
    """A cgroup is no instance, and lasts: it has no number of processes, and is settled."""
    cgroup = Process(0, "", unit="nginx.service")
    snapshot = snapshot_of([cgroup], [tcp_listener(A, 80)], {outbound(A, 80): 1})
    snapshot.visibility.ownership = BY_CGROUPS
    (row,) = processes_of(snapshot, "unit").values()
    assert (row["id"], row["settled"], row["sockets"]) == ("nginx.service", 1, 2)
    assert not {"instances", "denied_instances", "fds_max_pct"} & row.keys()
    (listener,) = listeners_of(snapshot).values()
    assert "processes" not in listener
    snapshot.listeners.clear()
    assert processes_of(snapshot, "unit")["nginx.service"]["settled"] == 1


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_denied_instances_are_processes(grouping: str) -> None:
    """Which processes are denied is known by their names: other groupings can't say it."""
    snapshot = snapshot_of([Process(1, "a", 1.0, unit="a", container="a", user="a")])
    snapshot.visibility.add_gap(gaps.DENIED, "a", 3)
    (row,) = processes_of(snapshot, grouping).values()
    assert row["instances"] == 1
    assert row.get("denied_instances") == (3 if grouping == DEFAULT_GROUPING else None)
    assert (row["settled"], row["sockets"]) == (0, 0)


@given(snapshots())
def test_nothing_is_lost_by_labels(snapshot: Snapshot) -> None:
    """Whatever is folded into one row, each socket is in one listener's row."""
    for for_people in (False, True):
        rows = listeners_of(snapshot, for_people=for_people)
        assert sum(row["sockets"] for row in rows.values()) == len(snapshot.listeners)
    labels = {row["netns"] for row in listeners_of(snapshot).values()}
    assert labels <= {"", "web", "(unnamed)"}
