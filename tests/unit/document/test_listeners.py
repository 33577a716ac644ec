"""listeners[]: each distinct address that is listened on."""

import socket

import pytest
from json_documents import JsonDocument

from zabbix_sockets.document.listeners import listener_rows
from zabbix_sockets.document.row import netns_labels
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Groups
from zabbix_sockets.model.snapshot import FIRST_OWNER, NOBODY, UNOWNED, ListenerSocket, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    ANY,
    LOOPBACK,
    NAMESPACES,
    WEB,
    inbound,
    outbound,
    processes,
    snapshot_of,
    tcp_listener,
    udp_bound,
)

A, B = FIRST_OWNER, FIRST_OWNER + 1
LINK_LOCAL = socket.inet_pton(socket.AF_INET6, "fe80::1")


def rows_of(snapshot: Snapshot) -> dict[str, JsonDocument]:
    """Return the rows by their ids."""
    groups = Groups(snapshot, GROUPINGS[DEFAULT_GROUPING])
    rows = [
        vars(ranked.row)
        for ranked in listener_rows(snapshot, groups, netns_labels(snapshot, for_people=False))
    ]
    assert len({row["id"] for row in rows}) == len(rows)
    return {str(row["id"]): row for row in rows}


@pytest.mark.parametrize(
    ("protocol", "netns", "address", "device", "row_id"),
    [
        ("tcp", OWN_NETNS, ANY, "", "tcp/0.0.0.0:443"),
        ("udp", OWN_NETNS, ANY, "eth0", "udp/0.0.0.0%eth0:443"),
        ("tcp", OWN_NETNS, bytes(16), "", "tcp/[::]:443"),
        ("udp", OWN_NETNS, LINK_LOCAL, "eth0", "udp/[fe80::1%eth0]:443"),
        ("tcp", WEB, LOOPBACK, "", "tcp/127.0.0.1:443@web"),
        ("tcp", WEB, LINK_LOCAL, "eth0", "tcp/[fe80::1%eth0]:443@web"),
    ],
)
def test_id(protocol: str, netns: int, address: bytes, device: str, row_id: str) -> None:
    """The id is all that makes a listener another one, and the fields say the same."""
    listener = ListenerSocket(protocol, netns, address, 443, device, A, None, None)
    snapshot = snapshot_of(processes("nginx"), [listener])
    snapshot.namespaces = NAMESPACES
    row = rows_of(snapshot)[row_id]
    assert (row["protocol"], row["port"], row["device"], row["netns"]) == (
        protocol,
        443,
        device,
        "web" if netns else "",
    )
    assert "process" in row
    assert "%" not in str(row["address"])


def test_one_row_for_an_address() -> None:
    """Sockets that share an address by SO_REUSEPORT are one row with their sums."""
    listeners = [
        tcp_listener(A, 80, queue=3, backlog=7),
        tcp_listener(B, 80, queue=1, backlog=1),
        tcp_listener(A, 80, LOOPBACK, queue=100, backlog=100),
    ]
    row = rows_of(snapshot_of(processes("nginx", "nginx"), listeners))["tcp/0.0.0.0:80"]
    assert (row["sockets"], row["processes"], row["process"]) == (2, 2, "nginx")
    assert (row["accept_queue"], row["backlog"], row["accept_queue_pct"]) == (4, 8, 50.0)


@pytest.mark.parametrize(
    ("queue", "backlog", "pct"), [(0, 0, 0.0), (1, 0, 100.0), (129, 128, 100.0), (1, 2, 33.3)]
)
def test_accept_queue_pct(queue: int, backlog: int, pct: float) -> None:
    """A full queue holds backlog + 1, so that a backlog of 0 is defined."""
    row = rows_of(snapshot_of((), [tcp_listener(UNOWNED, 80, queue=queue, backlog=backlog)]))[
        "tcp/0.0.0.0:80"
    ]
    assert (row["accept_queue"], row["backlog"], row["accept_queue_pct"]) == (queue, backlog, pct)


def test_unknown_backlog_is_absent() -> None:
    """One unknown backlog leaves the sum and the percentage out, not the queue."""
    listeners = [tcp_listener(A, 80, queue=3), tcp_listener(A, 80, queue=1, backlog=None)]
    row = rows_of(snapshot_of(processes("a"), listeners))["tcp/0.0.0.0:80"]
    assert row["accept_queue"] == 4
    assert "backlog" not in row
    assert "accept_queue_pct" not in row


def test_udp_has_no_accept_queue() -> None:
    """A UDP socket accepts nothing."""
    row = rows_of(snapshot_of(processes("a"), [udp_bound(A, 53)]))["udp/0.0.0.0:53"]
    assert not {"accept_queue", "backlog", "accept_queue_pct"} & row.keys()


def test_established() -> None:
    """Accepted connections belong to their listener, also those not accepted yet."""
    connections = {
        inbound(A, 80): 5,
        inbound(NOBODY, 80): 2,
        inbound(A, 80, LOOPBACK): 7,
        inbound(A, 80, state=TcpState.CLOSE_WAIT): 100,
        inbound(A, 81): 100,
        outbound(A, 80, ANY): 100,
    }
    rows = rows_of(
        snapshot_of(
            processes("a"), [tcp_listener(A, 80), tcp_listener(A, 80, LOOPBACK)], connections
        )
    )
    assert rows["tcp/0.0.0.0:80"]["established"] == 7
    assert rows["tcp/127.0.0.1:80"]["established"] == 7


def test_established_by_device() -> None:
    """A connection over a device belongs to the listener of that device, else to any."""
    bound = tcp_listener(A, 80)._replace(device="eth0")
    over = {name: inbound(A, 80)._replace(device=name) for name in ("eth0", "eth1")}
    snapshot = snapshot_of(
        processes("a"), [tcp_listener(A, 80), bound], {over["eth0"]: 3, over["eth1"]: 4}
    )
    rows = rows_of(snapshot)
    assert rows["tcp/0.0.0.0%eth0:80"]["established"] == 3
    assert rows["tcp/0.0.0.0:80"]["established"] == 4


def test_namespaces_are_apart() -> None:
    """Equal addresses in two namespaces are two listeners."""
    listeners = [tcp_listener(A, 80), tcp_listener(A, 80)._replace(netns=WEB)]
    snapshot = snapshot_of(processes("a"), listeners, {inbound(A, 80)._replace(netns=WEB): 3})
    snapshot.namespaces = NAMESPACES
    rows = rows_of(snapshot)
    assert rows["tcp/0.0.0.0:80"]["established"] == 0
    assert rows["tcp/0.0.0.0:80@web"]["established"] == 3


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ([], ""),
        (["nginx", "nginx"], "nginx"),
        (["b", "a"], "a,b"),
        (["c", "b", "a"], "a,b,c"),
        (["d", "c", "b", "a"], "a,b,c,..."),
    ],
)
def test_label(names: list[str], label: str) -> None:
    """The label names the first three groups in order, and says when there are more."""
    snapshot = snapshot_of(processes(*names))
    snapshot.owners[50] = tuple(range(len(names)))
    snapshot.listeners = [tcp_listener(50, 80)]
    row = rows_of(snapshot)["tcp/0.0.0.0:80"]
    assert (row["process"], row["processes"]) == (label, len(names))


@pytest.mark.parametrize(
    ("port", "ephemeral"), [(32767, 0), (32768, 1), (60999, 1), (61000, 0), (443, 0)]
)
def test_ephemeral(port: int, ephemeral: int) -> None:
    """A listener inside ip_local_port_range is called ephemeral."""
    (row,) = rows_of(snapshot_of((), [tcp_listener(UNOWNED, port)])).values()
    assert row["ephemeral"] == ephemeral


def test_rank() -> None:
    """TCP comes before UDP of the same uids, and the system's before a user's."""
    snapshot = snapshot_of(processes("root", "user"))
    snapshot.uids = {A: 0, B: 1000}
    snapshot.listeners = [
        tcp_listener(UNOWNED, 1),
        tcp_listener(B, 2),
        udp_bound(A, 3),
        tcp_listener(A, 4),
        tcp_listener(A, 5),
    ]
    snapshot.connections = {inbound(A, 5): 4, inbound(B, 2): 900}
    groups = Groups(snapshot, GROUPINGS[DEFAULT_GROUPING])
    ports = [
        each.row.port
        for each in sorted(
            listener_rows(snapshot, groups, netns_labels(snapshot, for_people=False))
        )
    ]
    assert ports == [5, 4, 3, 2, 1]
