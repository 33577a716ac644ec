"""map: what a host tells of itself for the map of who talks to whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.document.document import Document, Limits, build_document
from zabbix_sockets.document.map_texts import MAX_BYTES
from zabbix_sockets.model.addresses import parse_address
from zabbix_sockets.model.snapshot import (
    BRIDGE_ADDRESS,
    FIRST_OWNER,
    HOST_ADDRESS,
    LOOPBACK_ADDRESS,
    Namespace,
    OwnAddress,
    Snapshot,
    UnixListener,
    UnixSockets,
)
from zabbix_sockets.model.wire import OWN_NETNS

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    LOOPBACK,
    NAMESPACES,
    OTHER,
    WEB,
    outbound,
    processes,
    snapshot_of,
    snapshots,
    tcp_listener,
    udp_bound,
)

A = FIRST_OWNER


def own(address: str, kind: str = HOST_ADDRESS, netns: int = OWN_NETNS) -> OwnAddress:
    """Return an own address with a prefix of 16 bits."""
    return OwnAddress(parse_address(address), 16, kind, netns)


def texts_of(snapshot: Snapshot, limits: Limits | None = None) -> tuple[list[str], list[str]]:
    """Return the lines of both texts."""
    found = build_document(snapshot, limits).map
    assert found is not None
    return found.listeners.splitlines(), found.upstreams.splitlines()


def test_addresses() -> None:
    """Each has its kind and namespace, as far as it has any; a bridge tells its network."""
    snapshot = snapshot_of()
    snapshot.namespaces = dict(NAMESPACES)
    snapshot.addresses = [
        own("192.0.2.1"),
        own("172.17.0.1", BRIDGE_ADDRESS),
        own("2001:db8::5", LOOPBACK_ADDRESS),
        own("172.17.0.2", netns=WEB),
    ]
    assert texts_of(snapshot)[0] == [
        "address\t172.17.0.1/16\tbridge",
        "address\t172.17.0.2\t\tweb",
        "address\t192.0.2.1",
        "address\t2001:db8::5\tloopback",
    ]


def test_listeners() -> None:
    """They have their process; ports that the kernel has picked and unix sockets are left out."""
    snapshot = snapshot_of(
        processes("nginx"), [tcp_listener(A, 443), tcp_listener(A, 40000), udp_bound(A, 53)]
    )
    snapshot.addresses = []
    snapshot.unix = UnixSockets()
    snapshot.unix.listeners = [UnixListener(0, b"/run/x.sock", A, 2, 1, 128, 0)]
    assert texts_of(snapshot) == (
        ["listener\ttcp/0.0.0.0:443\tnginx", "listener\tudp/0.0.0.0:53\tnginx"],
        [],
    )


def test_published_ports() -> None:
    """The container that answers is told, whether a process of the host has the port or none."""
    snapshot = snapshot_of(processes("docker-proxy"), [tcp_listener(A, 80)])
    published = (("tcp", b"", 80, 80), ("tcp", LOOPBACK, 8000, 8001), ("tcp", b"", 9000, 9999))
    snapshot.namespaces = {OTHER: Namespace("shop", container="shop", published=published)}
    snapshot.addresses = []
    served, _ = texts_of(snapshot)
    assert served[0] == "listener\ttcp/0.0.0.0:80\tdocker-proxy\tshop"
    assert "listener\ttcp/127.0.0.1:8001\t\tshop" in served
    assert len(served) == 1 + 2 + 100


def test_upstreams() -> None:
    """Those of TCP are told without figures; short-lived ends are not."""
    snapshot = snapshot_of(
        processes("nginx"),
        connections={
            outbound(A, 5432): 7,
            outbound(A, 53, protocol="udp"): 1,
            outbound(A, 9000, LOOPBACK): 1,
            outbound(A, 45000, LOOPBACK): 1,
            outbound(A, 45000): 1,
        },
    )
    snapshot.addresses = []
    assert texts_of(snapshot)[1] == [
        "upstream\tnginx\ttcp/127.0.0.1:9000",
        "upstream\tnginx\ttcp/192.0.2.5:45000",
        "upstream\tnginx\ttcp/192.0.2.5:5432",
    ]


def test_bounds() -> None:
    """A text that is too long says how much was left out of it, as the document's bounds do."""
    names = [f"{'x' * 50}{number:04}" for number in range(1500)]
    snapshot = snapshot_of(
        processes(*names), connections={outbound(A + at, 80): 1 for at in range(len(names))}
    )
    snapshot.addresses = []
    _, used = texts_of(snapshot, Limits(upstreams=1400))
    word, _, count = used[-1].partition("\t")
    assert word == "left out"
    assert len(used) - 1 + int(count) == 1500
    assert MAX_BYTES - 200 < len("\n".join(used)) <= MAX_BYTES


def document_of(snapshot: Snapshot) -> Document:
    """Return a document with the addresses of a bridge."""
    snapshot.addresses = [own("172.17.0.1", BRIDGE_ADDRESS)]
    return build_document(snapshot)


@given(snapshots())
def test_any_snapshot(snapshot: Snapshot) -> None:
    """Each upstream's line leads to the id of its row, and no text has an end of line too many."""
    document = document_of(snapshot)
    assert document.map is not None
    ids = {row.id for row in document.upstreams}
    for line in document.map.upstreams.splitlines():
        word, process, end = line.split("\t")
        assert (word, f"{process}>{end}" in ids) == ("upstream", True)
    kept = {row.id for row in document.listeners if not row.ephemeral}
    told = [line.split("\t") for line in document.map.listeners.splitlines()]
    assert {each[1] for each in told if each[0] == "listener"} == kept


@given(snapshots(), st.integers(2, 9))
def test_figures_change_nothing(snapshot: Snapshot, times: int) -> None:
    """More connections of the same kinds make the same texts."""
    before = document_of(snapshot).map
    snapshot.connections = {each: count * times for each, count in snapshot.connections.items()}
    assert document_of(snapshot).map == before


@pytest.mark.parametrize("expression", ["", "dport = :80"])
def test_only_where_addresses_are_known(expression: str) -> None:
    """Neither a filtered document nor one without own addresses tells half of it."""
    snapshot = snapshot_of()
    snapshot.filter = expression
    snapshot.addresses = [] if expression else None
    assert build_document(snapshot).map is None
