"""processes[]: what each group holds."""

from __future__ import annotations

import pytest
from json_documents import JsonDocument

from zabbix_sockets.document.processes import process_rows
from zabbix_sockets.document.row import netns_labels
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Groups
from zabbix_sockets.model.gaps import DENIED, TABLE, Gap
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    NOBODY,
    UNKNOWN,
    UNOWNED,
    Connection,
    Process,
    Snapshot,
    Visibility,
)
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    REMOTE,
    WEB,
    inbound,
    outbound,
    processes,
    snapshot_of,
    tcp_listener,
    udp_bound,
)

A, B = FIRST_OWNER, FIRST_OWNER + 1


def rows_of(snapshot: Snapshot) -> dict[str, JsonDocument]:
    """Return the rows by their ids."""
    groups = Groups(snapshot, GROUPINGS[DEFAULT_GROUPING])
    rows = [
        vars(ranked.row)
        for ranked in process_rows(snapshot, groups, netns_labels(snapshot, for_people=False))
    ]
    assert len({row["id"] for row in rows}) == len(rows)
    return {str(row["id"]): row for row in rows}


def test_states_and_directions() -> None:
    """Each state has its count; the directions are parts of established alone."""
    connections = {
        inbound(A, 80): 5,
        outbound(A, 5432): 3,
        Connection("tcp", OWN_NETNS, A, 1, UNKNOWN): 2,
        inbound(A, 80, state=TcpState.CLOSE_WAIT): 7,
        outbound(A, 5432, state=TcpState.SYN_SENT): 1,
        outbound(A, 53, protocol="udp"): 4,
        inbound(0, 80): 100,
    }
    snapshot = snapshot_of(processes("nginx"), [tcp_listener(A, 80), udp_bound(A, 53)], connections)
    row = rows_of(snapshot)["nginx"]
    assert row["sockets"] == 2 + 5 + 3 + 2 + 7 + 1 + 4
    assert row["udp"] == {"bound": 1, "connected": 4}
    assert row["tcp"] == {
        "listen": 1,
        "established": 10,
        "inbound": 5,
        "outbound": 3,
        "unknown": 2,
        "syn_sent": 1,
        "syn_recv": 0,
        "fin_wait1": 0,
        "fin_wait2": 0,
        "close_wait": 7,
        "last_ack": 0,
        "closing": 0,
    }


@pytest.mark.parametrize(("device", "name"), [("", "any"), ("eth0", "over"), ("eth1", "any")])
def test_connections_being_opened(device: str, name: str) -> None:
    """They are in the state of who listens, by device, and no sockets of it yet."""
    names = ("any", "over", "udp", "port", "netns", "address")
    any_one, over, udp, port, netns, address = (tcp_listener(A + at, 80) for at in range(6))
    listeners = [
        any_one,
        over._replace(device="eth0"),
        udp._replace(protocol="udp", accept_queue=None, backlog=None),
        port._replace(port=81),
        netns._replace(netns=WEB),
        address._replace(address=REMOTE),
    ]
    request = inbound(NOBODY, 80, state=TcpState.SYN_RECV)._replace(device=device)
    connections = {
        request: 5,
        request._replace(state=TcpState.ESTABLISHED): 7,
        request._replace(owner=UNOWNED): 9,
        request._replace(address=None, port=None): 11,
    }
    rows = rows_of(snapshot_of(processes(*names), listeners, connections))
    for each in names:
        tcp = rows[each]["tcp"]
        assert isinstance(tcp, dict)
        assert tcp["syn_recv"] == (5 if each == name else 0)
        assert rows[each]["sockets"] == 1


def test_connections_being_opened_at_what_several_listen_on() -> None:
    """They are once each group's: of processes that share a socket, or have one each."""
    snapshot = snapshot_of(processes("nginx", "nginx", "cache", "other"))
    snapshot.owners[9] = (0, 2)
    snapshot.listeners = [tcp_listener(9, 80), tcp_listener(A + 1, 80), tcp_listener(A + 3, 81)]
    snapshot.connections = {inbound(NOBODY, 80, state=TcpState.SYN_RECV): 5}
    found = {name: row["tcp"] for name, row in rows_of(snapshot).items()}
    assert {name: tcp["syn_recv"] for name, tcp in found.items()} == {
        "nginx": 5,
        "cache": 5,
        "other": 0,
    }


def test_state_of_a_newer_kernel() -> None:
    """A state that nobody knows is counted under its number."""
    row = rows_of(snapshot_of(processes("a"), (), {outbound(A, 1, state=14): 6}))["a"]
    assert row["sockets"] == 6
    assert isinstance(row["tcp"], dict)
    assert row["tcp"]["state_14"] == 6


def test_shared_sockets_count_once_a_group() -> None:
    """Sockets of two processes of one name are that name's once, and each other name's too."""
    snapshot = snapshot_of(processes("nginx", "nginx", "cache"))
    snapshot.owners[9] = (0, 1, 2)
    snapshot.listeners = [tcp_listener(9, 80)]
    snapshot.connections = {inbound(9, 80): 5}
    snapshot.queues = {(9, OWN_NETNS): (99, 48), (9, WEB): (1, 2), (A, OWN_NETNS): (1, 2)}
    rows = rows_of(snapshot)
    assert rows["nginx"]["sockets"] == rows["cache"]["sockets"] == 6
    assert rows["nginx"]["instances"] == 2
    assert (rows["nginx"]["recv_queue_bytes"], rows["nginx"]["send_queue_bytes"]) == (101, 52)
    assert (rows["cache"]["recv_queue_bytes"], rows["cache"]["send_queue_bytes"]) == (100, 50)


@pytest.mark.parametrize(
    ("age", "listens", "settled"),
    [(600.1, False, 1), (600.0, False, 0), (0.0, False, 0), (None, False, 0), (1.0, True, 1)],
)
def test_settled(age: float | None, listens: bool, settled: int) -> None:
    """Who listens, or has run for more than ten minutes, is worth discovering."""
    snapshot = snapshot_of([Process(1, "a", age)], (), {outbound(A, 80): 1})
    if listens:
        snapshot.listeners = [tcp_listener(A, 80)]
    assert rows_of(snapshot)["a"]["settled"] == settled


def test_settled_by_the_oldest_and_not_by_bound_udp() -> None:
    """A bound UDP socket may be a short query; one old instance stands for all."""
    young = [Process(1, "dns", 1.0), Process(2, "old", 1.0), Process(3, "old", 9999.0)]
    rows = rows_of(snapshot_of(young, [udp_bound(A, 53)]))
    assert (rows["dns"]["settled"], rows["old"]["settled"]) == (0, 1)


@pytest.mark.parametrize(
    ("queues", "total", "pct"),
    [
        ([], 0, 0.0),
        ([(0, 0)], 0, 0.0),
        ([(1, 0)], 1, 100.0),
        ([(129, 128)], 129, 100.0),
        ([(3, 7), (0, 9)], 3, 37.5),
        ([(1, 2), (9, 10)], 10, 81.8),
        ([(3, None), (1, 1)], 4, None),
        ([(1, 1), (3, None)], 4, None),
    ],
)
def test_accept_queue(queues: list[tuple[int, int | None]], total: int, pct: float | None) -> None:
    """The worst listener's share of backlog + 1; absent as soon as one backlog is unknown."""
    listeners = [
        tcp_listener(A, 80 + at, queue=queue[0], backlog=queue[1])
        for at, queue in enumerate(queues)
    ]
    row = rows_of(snapshot_of(processes("a"), listeners))["a"]
    assert row["accept_queue"] == total
    assert row.get("accept_queue_max_pct") == pct


@pytest.mark.parametrize(
    ("fds", "limits", "pct"),
    [
        ([100, 900], {0: 1000, 1: 1000}, 90.0),
        ([10, 900], {0: 20, 1: 10_000}, 50.0),
        ([1, None], {0: 3, 1: 10}, 33.3),
        ([100, 100], {}, None),
        ([None, None], {0: 10, 1: 10}, None),
        ([0, 0], {0: 10, 1: 10}, 0.0),
        ([5, 5], {0: 0}, None),
    ],
)
def test_fds_of_the_worst_instance(
    fds: list[int | None], limits: dict[int, int], pct: float | None
) -> None:
    """Each instance is measured against its own limit; what is unknown or unlimited is absent."""
    snapshot = snapshot_of([Process(at, "a", 1.0, number) for at, number in enumerate(fds)])
    snapshot.fds_limits = limits
    assert rows_of(snapshot)["a"].get("fds_max_pct") == pct


def test_denied_instances() -> None:
    """A row says how many more processes of its name could not be inspected."""
    visibility = Visibility("sock_diag")
    visibility.gaps = [Gap(DENIED, "nginx", 3), Gap(DENIED, "other")]
    rows = rows_of(snapshot_of(processes("nginx", "a"), visibility=visibility))
    assert (rows["nginx"]["denied_instances"], rows["a"]["denied_instances"]) == (3, 0)
    assert "other" not in rows


def test_process_without_counted_sockets() -> None:
    """A process that holds only sockets of other kinds has no row."""
    snapshot = snapshot_of(processes("nginx", "dbus"))
    del snapshot.owners[B]
    assert set(rows_of(snapshot)) == {"nginx"}


def test_rank() -> None:
    """The system's uids come first, then who listens, then by magnitude, then by id."""
    snapshot = snapshot_of(processes("user", "few", "many", "listens", "b", "a"))
    snapshot.uids = {2: 1000, 3: 999, 4: 0, 5: 33, 6: 1000, 7: 1000}
    snapshot.listeners = [tcp_listener(5, 80), tcp_listener(2, 81)]
    snapshot.connections = {
        outbound(owner, 80): count for owner, count in {2: 9000, 3: 1, 4: 500, 6: 8, 7: 15}.items()
    }
    groups = Groups(snapshot, GROUPINGS[DEFAULT_GROUPING])
    order = [
        each.row.id
        for each in sorted(process_rows(snapshot, groups, netns_labels(snapshot, for_people=False)))
    ]
    assert order == ["listens", "many", "few", "user", "a", "b"]


def test_drops() -> None:
    """Those of a group's listeners and UDP sockets; nothing where one listener's are unknown."""
    listeners = [
        tcp_listener(A, 80)._replace(drops=5),
        udp_bound(A, 53)._replace(drops=7),
        tcp_listener(B, 81)._replace(drops=None),
    ]
    snapshot = snapshot_of(processes("nginx", "postgres"), listeners)
    snapshot.drops = {(A, OWN_NETNS): 15, (A, WEB): 1, (B, OWN_NETNS): 3}
    rows = rows_of(snapshot)
    assert rows["nginx"]["drops"] == 16
    assert "drops" not in rows["postgres"]
    snapshot.visibility.gaps.append(Gap(TABLE, "tcp"))
    assert "drops" not in rows_of(snapshot)["nginx"]
