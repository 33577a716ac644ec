"""Snapshots made by hand, and any Snapshot for property tests.

Process number i is alone the owner FIRST_OWNER + i; what shares sockets comes behind.
Sockets are in the own network namespace, unless a test moves them to the one called "web".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from hypothesis import strategies as st

from zabbix_sockets.model import gaps
from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    INBOUND,
    NOBODY,
    OUTBOUND,
    UNKNOWN,
    UNOWNED,
    Connection,
    HostCounters,
    ListenerSocket,
    Namespace,
    PortRange,
    Process,
    Snapshot,
    Visibility,
)
from zabbix_sockets.model.totals import COUNTERS, PackedCounters, packed_counters
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

PORTS = PortRange(32768, 60999, 28232)
LOOPBACK = b"\x7f\0\0\1"
ANY = bytes(4)
REMOTE = b"\xc0\0\2\5"  # 192.0.2.5
SOURCE = fold_address(b"\xc0\0\2\1")
ESTABLISHED = TcpState.ESTABLISHED
WEB, UNNAMED, OTHER = 4026532201, 4026532202, 4026532203
NAMESPACES = {
    WEB: Namespace("web", "net:[4026532201]", PORTS),
    UNNAMED: Namespace("", "net:[4026532202]", PORTS),
    OTHER: Namespace("", "pid 77"),
}


def processes(*names: str) -> list[Process]:
    """Return processes of these names, old enough to be settled."""
    return [Process(100 + at, name, 3600.0) for at, name in enumerate(names)]


def snapshot_of(
    members: Sequence[Process] = (),
    listeners: Iterable[ListenerSocket] = (),
    connections: Mapping[Connection, int] | None = None,
    visibility: Visibility | None = None,
) -> Snapshot:
    """Return a Snapshot of uid 0 in which each of *members* is an owner of its own."""
    visibility = visibility or Visibility("sock_diag")
    snapshot = Snapshot(1_700_000_000, visibility, PORTS, HostCounters())
    snapshot.processes = list(members)
    snapshot.owners = {FIRST_OWNER + at: (at,) for at in range(len(members))}
    snapshot.listeners = list(listeners)
    snapshot.connections = dict(connections or {})
    snapshot.uids = {FIRST_OWNER + at: 0 for at in range(len(members))}
    return snapshot


def packed(**counts: int) -> PackedCounters:
    """Return the counters of totals, which are 0 but for *counts*."""
    return packed_counters(
        struct.pack(f"={len(COUNTERS)}Q", *(counts.get(each, 0) for each in COUNTERS))
    )


def tcp_listener(
    owner: int, port: int, address: bytes = ANY, queue: int = 0, backlog: int | None = 128
) -> ListenerSocket:
    """Return a TCP listener."""
    return ListenerSocket("tcp", OWN_NETNS, address, port, "", owner, queue, backlog, drops=0)


def udp_bound(owner: int, port: int, address: bytes = ANY) -> ListenerSocket:
    """Return a bound UDP socket."""
    return ListenerSocket("udp", OWN_NETNS, address, port, "", owner, None, None, 0, 0)


def inbound(owner: int, port: int, address: bytes = ANY, state: int = ESTABLISHED) -> Connection:
    """Return a connection that the listener at *address* and *port* accepted."""
    return Connection("tcp", OWN_NETNS, owner, state, INBOUND, address, port)


def outbound(
    owner: int, port: int, address: bytes = REMOTE, state: int = ESTABLISHED, protocol: str = "tcp"
) -> Connection:
    """Return a connection to *address* and *port* from an ephemeral port."""
    return Connection(
        protocol, OWN_NETNS, owner, state, OUTBOUND, address, port, source=SOURCE, ephemeral=True
    )


NAMES = st.sampled_from(["nginx", "postgres", "(sd-pam)", "naïve", "a b", "x" * 64, "%FF"])
_ADDRESSES = st.sampled_from([ANY, LOOPBACK, REMOTE, bytes(16), bytes(15) + b"\1"])
_PORTS = st.sampled_from([22, 80, 443, 5432, 40000])
_COUNTS = st.integers(1, 300)
_NETNS = st.sampled_from([OWN_NETNS] * 4 + [*NAMESPACES])


@st.composite
def _listeners(draw: st.DrawFn, owners: Sequence[int]) -> ListenerSocket:
    protocol = draw(st.sampled_from(["tcp", "udp"]))
    tcp = protocol == "tcp"
    return ListenerSocket(
        protocol,
        draw(_NETNS),
        draw(_ADDRESSES),
        draw(_PORTS),
        draw(st.sampled_from(["", "", "eth0"])),
        draw(st.sampled_from(owners)),
        draw(st.integers(0, 200)) if tcp else None,
        draw(st.none() | st.integers(0, 200)) if tcp else None,
        None if tcp else draw(st.integers(0, 200)),
        draw(st.none() | st.integers(0, 200)),
    )


@st.composite
def _connections(draw: st.DrawFn, owners: Sequence[int]) -> Connection:
    protocol = draw(st.sampled_from(["tcp", "tcp", "udp"]))
    direction = draw(st.sampled_from([INBOUND, OUTBOUND, OUTBOUND, UNKNOWN]))
    placed = direction == INBOUND or (direction == OUTBOUND and draw(st.booleans()))
    away = placed and direction == OUTBOUND
    return Connection(
        protocol,
        draw(_NETNS),
        draw(st.sampled_from(owners)),
        draw(st.sampled_from([1, 2, 4, 6, 8, 11, 13])) if protocol == "tcp" else ESTABLISHED,
        direction,
        draw(_ADDRESSES) if placed else None,
        draw(_PORTS) if placed else None,
        draw(st.sampled_from(["", "eth0"])) if placed else "",
        fold_address(draw(_ADDRESSES)) if away else None,
        draw(st.booleans()) if away else False,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Return any Snapshot: shared sockets, sockets of nobody, other namespaces."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6))
    snapshot = snapshot_of(processes(*names))
    together = st.sets(st.integers(0, len(names) - 1), min_size=min(2, len(names)))
    shared = draw(st.lists(together, max_size=3))
    for at, members in enumerate(shared, FIRST_OWNER + len(names)):
        snapshot.owners[at] = tuple(members)
    owners = [NOBODY, UNOWNED, *snapshot.owners]
    snapshot.listeners = draw(st.lists(_listeners(owners), max_size=12))
    snapshot.connections = draw(st.dictionaries(_connections(owners), _COUNTS, max_size=20))
    snapshot.uids = draw(st.fixed_dictionaries({owner: st.integers(0, 2000) for owner in owners}))
    queues = st.tuples(st.integers(0, 1 << 20), st.integers(0, 1 << 20))
    places = st.tuples(st.sampled_from(owners), _NETNS)
    snapshot.queues = draw(st.dictionaries(places, queues))
    snapshot.namespaces = dict(NAMESPACES)
    skipped = draw(st.lists(st.sampled_from([*NAMESPACES]), max_size=1))
    snapshot.visibility.gaps = [Gap(gaps.NAMESPACE, netns=number) for number in skipped]
    return snapshot
