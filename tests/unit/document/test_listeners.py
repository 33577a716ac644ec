"""listeners[]: each distinct address that is listened on."""

from __future__ import annotations

import socket

import pytest
from json_documents import JsonDocument, json_document

from zabbix_sockets.document.listeners import listener_rows
from zabbix_sockets.document.row import netns_labels
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Groups
from zabbix_sockets.model import gaps
from zabbix_sockets.model.clients import ClientSums, ListenerEndpoint
from zabbix_sockets.model.gaps import NAMESPACE, TABLE, Gap
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    NOBODY,
    UNOWNED,
    ListenerSocket,
    Namespace,
    Process,
    Snapshot,
)
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    ANY,
    LOOPBACK,
    NAMESPACES,
    OTHER,
    UNNAMED,
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


def test_states() -> None:
    """Connections in other states belong to their listener, whether or not a process has them."""
    connections = {
        inbound(A, 80): 1,
        inbound(NOBODY, 80, state=TcpState.SYN_RECV): 2,
        inbound(A, 80, state=TcpState.CLOSE_WAIT): 3,
        inbound(A, 80, state=TcpState.CLOSE_WAIT)._replace(remote=LOOPBACK): 4,
        inbound(A, 80, state=TcpState.FIN_WAIT1): 5,
        inbound(NOBODY, 80, state=TcpState.FIN_WAIT2): 6,
        inbound(NOBODY, 80, state=TcpState.CLOSING): 7,
        inbound(NOBODY, 80, state=TcpState.LAST_ACK): 8,
        inbound(NOBODY, 80, state=TcpState.TIME_WAIT): 9,
        inbound(NOBODY, 80, state=TcpState.SYN_SENT): 1000,
        inbound(NOBODY, 81, state=TcpState.TIME_WAIT): 1000,
        outbound(A, 80, ANY, state=TcpState.CLOSE_WAIT): 1000,
    }
    listeners = [tcp_listener(A, 80), tcp_listener(A, 82), udp_bound(A, 53)]
    rows = rows_of(snapshot_of(processes("a"), listeners, connections))
    names = ("established", "syn_recv", "close_wait", "fin_wait", "last_ack", "time_wait")
    assert [rows["tcp/0.0.0.0:80"][name] for name in names] == [1, 2, 7, 18, 8, 9]
    assert [rows["tcp/0.0.0.0:82"][name] for name in names] == [0] * 6
    assert [name for name in names if name in rows["udp/0.0.0.0:53"]] == ["established"]


@pytest.mark.parametrize(
    ("source", "chosen", "absent"),
    [("bpf", "", True), ("bpf", "sport = :80", False), ("sock_diag", "", False)],
)
def test_states_in_another_namespace(source: str, chosen: str, absent: bool) -> None:
    """By the iterator what no process has is not seen there, which is not 0."""
    states = (TcpState.CLOSE_WAIT, TcpState.SYN_RECV, TcpState.FIN_WAIT2)
    own = {inbound(A, 80, state=state): 1 for state in states}
    other = {each._replace(netns=WEB): 1 for each in own}
    listeners = [tcp_listener(A, 80), tcp_listener(A, 80)._replace(netns=WEB)]
    snapshot = snapshot_of(processes("a"), listeners, own | other)
    snapshot.namespaces, snapshot.filter = NAMESPACES, chosen
    snapshot.visibility.source = source
    rows = rows_of(snapshot)
    unseen = {"fin_wait", "last_ack", "time_wait"}
    assert unseen <= rows["tcp/0.0.0.0:80"].keys()
    there = rows["tcp/0.0.0.0:80@web"]
    assert unseen & there.keys() == (set() if absent else unseen)
    assert (there["close_wait"], there["syn_recv"]) == (1, 1)


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


SHOP = Namespace("shop/cart", container="shop/cart")
SIX = bytes(16)


def container_of(snapshot: Snapshot, row_id: str) -> object:
    """Return the container of a row; None if it has none."""
    return rows_of(snapshot)[row_id].get("container")


def test_container_of_its_namespace() -> None:
    """A listener in a container's network namespace has the container; any other has none."""
    own = tcp_listener(A, 80)
    inside = [own._replace(netns=number) for number in (WEB, UNNAMED)]
    snapshot = snapshot_of(processes("nginx"), [own, *inside])
    snapshot.namespaces = {WEB: SHOP, UNNAMED: Namespace("", "net:[1]")}
    assert container_of(snapshot, "tcp/0.0.0.0:80@shop/cart") == "shop/cart"
    assert container_of(snapshot, "tcp/0.0.0.0:80@(unnamed)") is None
    assert container_of(snapshot, "tcp/0.0.0.0:80") is None


@pytest.mark.parametrize(
    ("published", "rows"),
    [
        (("tcp", b"", 8080, 8080), {"tcp/0.0.0.0:8080", "tcp/[::]:8080"}),
        (("tcp", ANY, 8080, 8080), {"tcp/0.0.0.0:8080"}),
        (("tcp", SIX, 8080, 8080), {"tcp/[::]:8080"}),
        (("tcp", LOOPBACK, 8080, 8080), {"tcp/127.0.0.1:8080"}),
        (("tcp", b"", 8000, 8079), set()),
        (("tcp", b"", 8000, 9000), {"tcp/0.0.0.0:8080", "tcp/[::]:8080"}),
        (("udp", b"", 8080, 8080), {"udp/0.0.0.0:8080"}),
    ],
)
def test_published_port(published: tuple[str, bytes, int, int], rows: set[str]) -> None:
    """On the host a published port leads to a container: by protocol, address and port."""
    listeners = [
        *(tcp_listener(A, 8080, address) for address in (ANY, SIX, LOOPBACK)),
        udp_bound(A, 8080),
    ]
    snapshot = snapshot_of(processes("docker-proxy"), listeners)
    snapshot.namespaces = {WEB: SHOP._replace(published=(published,))}
    found = {row_id for row_id in rows_of(snapshot) if container_of(snapshot, row_id)}
    assert found == rows
    assert {container_of(snapshot, row_id) for row_id in found} <= {"shop/cart"}


def test_more_than_one_container() -> None:
    """Where more than one may answer none is said; replicas of a service are one."""
    port = ("tcp", b"", 80, 80)
    inside = [tcp_listener(A, 80)._replace(netns=number) for number in (WEB, OTHER)]
    snapshot = snapshot_of(processes("nginx"), [tcp_listener(A, 80), *inside])
    replica = SHOP._replace(published=(port,))
    snapshot.namespaces = {WEB: replica, OTHER: replica}
    assert container_of(snapshot, "tcp/0.0.0.0:80") == "shop/cart"
    assert container_of(snapshot, "tcp/0.0.0.0:80@shop/cart") == "shop/cart"
    unnamed = Namespace(published=(port,))
    snapshot.namespaces = {
        WEB: unnamed._replace(container="3f4e1c0b5a69"),
        OTHER: unnamed._replace(container="b7b7b7b7b7b7"),
    }
    assert container_of(snapshot, "tcp/0.0.0.0:80") is None
    assert container_of(snapshot, "tcp/0.0.0.0:80@(unnamed)") is None


@pytest.mark.parametrize(("unknown", "drops"), [(False, 12), (True, None)])
def test_drops(unknown: bool, drops: int | None) -> None:
    """The sum of an address's sockets; nothing where one of them is not known."""
    listeners = [
        tcp_listener(A, 80)._replace(drops=5),
        tcp_listener(B, 80)._replace(drops=None if unknown else 7),
        udp_bound(A, 53)._replace(drops=9, recv_queue=100),
        udp_bound(B, 53)._replace(drops=0, recv_queue=20),
    ]
    rows = rows_of(snapshot_of(processes("a", "b"), listeners))
    assert rows["tcp/0.0.0.0:80"].get("drops") == drops
    assert "recv_queue_bytes" not in rows["tcp/0.0.0.0:80"]
    row = rows["udp/0.0.0.0:53"]
    assert (row["drops"], row["recv_queue_bytes"]) == (9, 120)


@pytest.mark.parametrize("gap", [Gap(TABLE, "udp"), Gap(NAMESPACE, netns=WEB)])
def test_drops_of_sockets_that_were_not_read(gap: Gap) -> None:
    """They would come back all at once, as if they were dropped in a minute."""
    netns = gap.netns
    snapshot = snapshot_of((), [udp_bound(UNOWNED, 53)._replace(drops=9, netns=netns)])
    snapshot.namespaces = NAMESPACES
    snapshot.visibility.gaps.append(gap)
    (row,) = rows_of(snapshot).values()
    assert "drops" not in row


def test_clients() -> None:
    """The distinct addresses of each TCP listener, and the one with most connections."""
    listeners = [tcp_listener(A, 80), tcp_listener(A, 81), udp_bound(A, 53)]
    snapshot = snapshot_of(processes("a"), listeners, {inbound(A, 80): 4})
    assert not any("clients" in row for row in rows_of(snapshot).values())
    snapshot.clients = ClientSums()
    come(snapshot.clients, OWN_NETNS, "", b"\xc0\0\2\1", 1)
    come(snapshot.clients, OWN_NETNS, "", b"\xc0\0\2\2", 2)
    come(snapshot.clients, OWN_NETNS, "", b"\xc0\0\2\3", 1)
    rows = rows_of(snapshot)
    assert vars(rows["tcp/0.0.0.0:80"]["clients"]) == {
        "distinct": 3,
        "distinct_error_pct": 0.0,
        "top_address": "192.0.2.2",
        "top_connections": 2,
        "top_error": 0,
        "top_pct": 50.0,
    }
    assert vars(rows["tcp/0.0.0.0:81"]["clients"]) == {
        "distinct": 0,
        "distinct_error_pct": 0.0,
        "top_connections": 0,
        "top_error": 0,
        "top_pct": 0.0,
    }
    assert "clients" not in rows["udp/0.0.0.0:53"]
    come(snapshot.clients, OWN_NETNS, "eth0", b"\xc0\0\2\3", 7)  # the listener is on any device
    clients = vars(rows_of(snapshot)["tcp/0.0.0.0:80"]["clients"])
    assert (clients["distinct"], clients["top_connections"]) == (3, 8)


def come(
    clients: ClientSums[ListenerEndpoint], netns: int, device: str, address: bytes, times: int
) -> None:
    """Let so many connections come from *address* to the listener on port 80."""
    clients.of((netns, ANY, 80, device)).add(address, times)


def test_clients_of_namespaces_with_the_same_label() -> None:
    """Listeners that are one row have the clients of all of them."""
    listeners = [tcp_listener(A, 80)._replace(netns=netns) for netns in (UNNAMED, OTHER)]
    snapshot = snapshot_of(processes("a"), listeners)
    snapshot.namespaces = NAMESPACES
    snapshot.clients = ClientSums()
    for netns in (UNNAMED, OTHER):
        come(snapshot.clients, netns, "", b"\xc0\0\2\1", 2)
        come(snapshot.clients, netns, "", bytes((198, 51, 100, netns % 256)), 3)
    for _ in range(2):  # and the Snapshot's are as they were
        (row,) = rows_of(snapshot).values()
        clients = vars(row["clients"])
        assert (clients["distinct"], clients["top_address"]) == (3, "192.0.2.1")
        assert (clients["top_connections"], clients["top_pct"]) == (4, 40.0)


@pytest.mark.parametrize(
    "gap",
    [
        Gap(gaps.CLIENTS),
        Gap(gaps.TABLE, "tcp"),
        Gap(gaps.NAMESPACE, netns=WEB),
    ],
)
def test_clients_that_are_not_known(gap: Gap) -> None:
    """Where connections were not read to the end no row says too little, nor (absent) 0."""
    listeners = [tcp_listener(A, 80)._replace(netns=WEB)]
    snapshot = snapshot_of(processes("a"), listeners)
    snapshot.namespaces = NAMESPACES
    snapshot.clients = ClientSums()
    come(snapshot.clients, WEB, "", b"\xc0\0\2\1", 2)
    assert "clients" in rows_of(snapshot)["tcp/0.0.0.0:80@web"]
    snapshot.visibility.gaps.append(gap)
    assert "clients" not in rows_of(snapshot)["tcp/0.0.0.0:80@web"]
    document = json_document(snapshot)
    assert not [row for row in document["listeners"] if "clients" in row]


def test_clients_of_the_absent_row() -> None:
    """Zeros for what is in no row, and nothing where nobody asked; an address has no zero."""
    snapshot = snapshot_of(processes("a"))
    (absent,) = json_document(snapshot)["listeners"]
    assert "clients" not in absent
    snapshot.clients = ClientSums()
    (absent,) = json_document(snapshot)["listeners"]
    names = ("distinct", "distinct_error_pct", "top_connections", "top_error", "top_pct")
    assert absent["clients"] == dict.fromkeys(names, 0)


def test_socket_unit_while_systemd_holds_it() -> None:
    """A listener that pid 1 holds is of the unit that has its end, also beside its service."""
    members = [Process(1, "systemd", 9.0), *processes("sshd")]
    listeners = [
        tcp_listener(A, 22),
        tcp_listener(B, 22),
        tcp_listener(A, 23),
        tcp_listener(B, 24),
        tcp_listener(A, 22)._replace(netns=WEB),
        tcp_listener(A, 22)._replace(device="eth0"),
        udp_bound(A, 22),
    ]
    snapshot = snapshot_of(members, listeners)
    snapshot.namespaces = NAMESPACES
    snapshot.socket_units = {("tcp", ANY, port, ""): f"{port}.socket" for port in (22, 24)}
    found = {row_id: row.get("socket_unit") for row_id, row in rows_of(snapshot).items()}
    assert found.pop("tcp/0.0.0.0:22") == "22.socket"
    assert len(found) == 5
    assert set(found.values()) == {None}
