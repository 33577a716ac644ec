"""The fold of BPF records: no count is lost, however small the bounds."""

import sys
from collections import Counter
from functools import partial
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zabbix_sockets.collector.iterator import record_fold
from zabbix_sockets.collector.iterator.record_fold import RecordFold
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.quality import ONE, Quality, figures_of, sample
from zabbix_sockets.model.snapshot import (
    INBOUND,
    OUTBOUND,
    UNKNOWN,
)
from zabbix_sockets.readers.bpf import records as bpf

from ..fakes import Looks  # noqa: TID252  # a test folder is no package
from .folded import LOOPBACK, NETNS, OTHER, fold, moved, new_fold, pack, resolved


@st.composite
def sockets(draw: st.DrawFn) -> bytes:
    """Draw a record of whatever kind, that may be shared."""
    kind = draw(st.integers(bpf.KIND_LISTENER, bpf.KIND_UNDECIDED))
    protocol = draw(st.sampled_from((6, 17)))
    listening = kind == bpf.KIND_LISTENER
    shared = draw(st.booleans())
    return pack(
        pid=draw(st.integers(1, 3)),
        netns=draw(st.sampled_from((NETNS, NETNS, NETNS, OTHER))),
        kind=kind,
        state=(10 if protocol == 6 else 7) if listening else draw(st.sampled_from((1, 8))),
        protocol=protocol,
        flags=(bpf.SHARED if shared else 0) | draw(st.sampled_from((0, bpf.IPV6))),
        local_port=draw(st.integers(90, 110)),
        remote_port=draw(st.integers(90, 110)),
        address=bytes(12) + bytes((127, 0, 0, draw(st.integers(1, 9)))),
        inode=draw(st.integers(1, 5)) if shared else 0,
        recv=draw(st.integers(0, 3)),
    )


@given(st.lists(sockets(), max_size=60), st.integers(1, 7), st.booleans())
@settings(deadline=None)
def test_every_socket_counts_once(data: list[bytes], size: int, own_only: bool) -> None:
    """Unshared records count each, shared ones once an inode; other namespaces if asked for."""
    listeners, connections = resolved(fold(data, size, own_only=own_only))
    unpacked = (bpf.SOCKET.unpack_from(each) for each in data)
    own = [record for record in unpacked if record[1] == NETNS or not own_only]
    shared = {record[15] for record in own if record[7] & bpf.SHARED}
    expected = len(shared) + sum(not record[7] & bpf.SHARED for record in own)
    assert len(listeners) + sum(connections.values()) == expected


@given(st.lists(sockets(), max_size=60))
@settings(deadline=None)
def test_bounds_change_no_sum(data: list[bytes]) -> None:
    """With room for two endpoints, the sums by owner, state and direction are the same."""

    def sums(folded: RecordFold) -> Counter[tuple[object, ...]]:
        found: Counter[tuple[object, ...]] = Counter()
        _, connections = resolved(folded)
        for key, count in connections.items():
            holders = frozenset(folded.owners.members(key.owner))
            found[key.protocol, key.netns, holders, key.state, key.direction] += count
        return found

    free = sums(fold(data))
    with (
        mock.patch.object(record_fold, "MAX_ENDPOINTS", 2),
        mock.patch.object(record_fold, "MAX_DISTINCT", 3),
    ):
        few = sums(fold(data))
    assert few == free


@given(st.binary(min_size=bpf.RECORD.size, max_size=bpf.RECORD.size), st.booleans(), st.booleans())
def test_any_bytes_are_a_record_or_a_parse_error(data: bytes, own: bool, own_only: bool) -> None:
    """Nothing but counts or a ParseError comes of a record's bytes."""
    record = data[:4] + (NETNS + (not own)).to_bytes(4, sys.byteorder) + data[8:]
    try:
        listeners, connections = resolved(fold([record], own_only=own_only))
    except ParseError:
        return
    assert len(listeners) + sum(connections.values()) == int(own or not own_only)
    found = {each.netns for each in listeners} | {each.netns for each in connections}
    assert found <= {0 if own else NETNS + 1}


@pytest.fixture
def listener() -> bytes:
    """Return a TCP listener on every IPv4 address, port 150."""
    return pack(
        kind=bpf.KIND_LISTENER, state=10, local_port=150, address=bytes(16), recv=2, send=0, inode=9
    )


def test_children_of_a_zero_backlog_are_inbound(listener: bytes) -> None:
    """A connection that the program can't decide on is inbound if it has a listener's port."""
    address = bytes((10, 0, 0, 1)) + LOOPBACK + bytes(8)
    data = [
        listener,
        pack(kind=bpf.KIND_UNDECIDED, local_port=150, remote_port=120, address=address),
    ]
    _, connections = resolved(fold(data))
    assert [(key.direction, key.port) for key in connections] == [(INBOUND, 150)]


@pytest.mark.parametrize(
    ("local_port", "remote_port", "direction"),
    [(50, 150, UNKNOWN), (50, 60, OUTBOUND), (151, 160, OUTBOUND)],
)
def test_undecided_without_a_listener(
    listener: bytes, local_port: int, remote_port: int, direction: str
) -> None:
    """The port range decides, as for the other sources."""
    data = [
        listener,
        pack(kind=bpf.KIND_UNDECIDED, local_port=local_port, remote_port=remote_port),
    ]
    _, connections = resolved(fold(data))
    assert [key.direction for key in connections] == [direction]


def test_device_of_outbound_connections(listener: bytes) -> None:
    """What they are bound to tells them apart, whoever chose their port."""
    data = [
        listener,
        *(pack(remote_port=80, requests_or_device=index) for index in (0, 3, 3, 4)),
        pack(kind=bpf.KIND_UNDECIDED, local_port=160, remote_port=80, requests_or_device=4),
    ]
    folded = fold(data)
    assert not folded.has_requests
    connections = moved(folded, lambda _, index: f"dev{index}" if index else "").connections
    by_device: dict[str, int] = {}
    for key, count in connections.items():
        by_device[key.device] = by_device.get(key.device, 0) + count
    assert by_device == {"": 1, "dev3": 2, "dev4": 2}


@pytest.mark.parametrize(
    ("netns", "own_only", "needs_second_pass"),
    [(NETNS, True, True), (NETNS, False, True), (OTHER, False, True), (OTHER, True, False)],
)
def test_mistaken(netns: int, own_only: bool, needs_second_pass: bool) -> None:
    """What a listener says of earlier records counts if its namespace is asked for."""
    listener = pack(kind=bpf.KIND_LISTENER, state=10, local_port=150, inode=1)
    flagged = pack(
        kind=bpf.KIND_LISTENER, state=10, local_port=151, inode=2, netns=netns, flags=bpf.AGAIN
    )
    assert not fold([listener, pack()]).needs_second_pass
    assert (
        fold([pack(), flagged, listener], own_only=own_only).needs_second_pass is needs_second_pass
    )


def test_equal_ends_of_two_namespaces(listener: bytes) -> None:
    """A connection belongs to the listener of its own namespace only."""
    own, other = (
        pack(kind=bpf.KIND_INBOUND, local_port=150, remote_port=120, netns=netns)
        for netns in (NETNS, OTHER)
    )
    data = [listener, own, other, other]
    listeners, connections = resolved(fold(data))
    assert [each.netns for each in listeners] == [0]
    assert {(key.netns, key.port): count for key, count in connections.items()} == {
        (0, 150): 1,
        (OTHER, None): 2,
    }


def test_holders() -> None:
    """Other namespaces are known with the processes that hold their sockets."""
    data = [
        pack(pid=1),
        pack(pid=1, netns=OTHER),
        pack(pid=2, netns=OTHER),
        *(pack(pid=pid, netns=9, flags=bpf.SHARED, inode=5) for pid in (2, 3)),
    ]
    folded = fold(data)
    pids = {
        netns: {folded.owners.processes[index].pid for index in members}
        for netns, members in folded.holders.items()
    }
    assert pids == {OTHER: {1, 2}, 9: {2, 3}}
    assert not fold(data, own_only=True).holders


def test_queues_by_namespace() -> None:
    """Queues of one process are told apart by namespace; a listener's are no bytes."""
    data = [
        pack(kind=bpf.KIND_LISTENER, state=10, recv=9, send=128, inode=1),
        *(pack(recv=1, send=2), pack(recv=1, send=2), pack(recv=5, netns=OTHER)),
    ]
    snapshot = moved(fold(data))
    (owner,) = snapshot.uids
    assert snapshot.queues == {(owner, 0): (2, 4), (owner, OTHER): (5, 0)}


def test_cgroup() -> None:
    """A process comes with the number of its cgroup."""
    assert [each.cgroup for each in fold([pack(cgroup=1 << 40)]).owners.processes] == [1 << 40]


@pytest.mark.parametrize(
    ("netns", "requests", "has"), [(NETNS, 2, True), (NETNS, 0, False), (NETNS + 1, 2, False)]
)
def test_requests(netns: int, requests: int, has: bool) -> None:
    """Connections in SYN_RECV are told by the own namespace's listeners."""
    listener = pack(
        kind=bpf.KIND_LISTENER,
        state=10,
        local_port=150,
        inode=1,
        netns=netns,
        requests_or_device=requests,
    )
    assert fold([pack(), listener]).has_requests is has


RTT, IDLE = 40, 2  # its bucket; within 30 seconds
QUALITY = (RTT, IDLE, 9, 10, 1, 5, 3)


def qualities_of(data: list[bytes], active_within: int = 60, size: int = 5) -> list[Quality]:
    """Return the qualities of a fold of records."""
    return list(moved(fold(data, size, active_within=active_within)).qualities.values())


def test_quality_of_equal_sockets() -> None:
    """Equal ones add up, others of the same end too."""
    one = pack(remote_port=80, quality=QUALITY)
    other = pack(remote_port=80, quality=(50, 1, 0, 0, 0, 0, 0))
    expected = 3 * sample(RTT, True, 5, 3, (9, 10)) + ONE[50]
    assert qualities_of([one, other, one, one, pack(remote_port=80)]) == [expected]


@pytest.mark.parametrize(("active_within", "counts"), [(10, 0), (30, 1), (60, 1), (0, 0)])
def test_idle_classes(active_within: int, counts: int) -> None:
    """Sockets that are idle for longer don't count; nobody asked: none does."""
    assert len(qualities_of([pack(quality=QUALITY)], active_within)) == counts


def test_shared_socket_is_sampled_once() -> None:
    """However many owners and descriptors a socket has, and whatever changes meanwhile."""
    first = pack(flags=bpf.SHARED, inode=7, quality=QUALITY)
    again = pack(flags=bpf.SHARED, inode=7, quality=(50, 1, 0, 0, 0, 0, 0))
    heir = pack(pid=11, flags=bpf.SHARED, inode=7, quality=QUALITY)
    (quality,) = qualities_of([first, first, again, heir])
    assert figures_of(quality)["measured"] == 1


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 5, *[st.integers(0, 1 << 31)] * 2), max_size=30))
def test_bounds_change_no_quality(endpoints: list[tuple[int, ...]]) -> None:
    """With room for few endpoints, records and samples, the sums are the same."""
    data = [pack(remote_port=at % 7, quality=end) for at, end in enumerate(endpoints)]
    free = sum(qualities_of(data, 3600))
    with (
        mock.patch.object(record_fold, "MAX_ENDPOINTS", 2),
        mock.patch.object(record_fold, "MAX_DISTINCT", 3),
        mock.patch.object(record_fold, "_MAX_SAMPLES", 2),
    ):
        assert sum(qualities_of(data, 3600)) == free
    measured = sum(1 for end in endpoints if 0 < end[1] <= 7)
    assert figures_of(free)["measured"] == measured


def test_names_that_take_too_long() -> None:
    """Past the deadline no process is asked for its name: what was counted stays, marked."""
    data = [
        pack(pid=pid, kind=bpf.KIND_LISTENER, local_port=pid, inode=pid) for pid in range(1, 3001)
    ]
    folded = new_fold(deadline=Looks(40))
    folded.add(iter([b"".join(data)]))
    assert not folded.complete
    assert [each.pid for each in folded.owners.processes] == list(range(1, 41))
    assert len(moved(folded).listeners) == 40
    assert fold(data).complete


def test_a_shared_socket_counts_past_the_deadline() -> None:
    """What was seen of a socket with several owners is counted though the time is over."""
    data = [pack(pid=pid, kind=bpf.KIND_LISTENER, flags=bpf.SHARED, inode=7) for pid in (1, 2, 3)]
    folded = new_fold(deadline=Looks(2))
    folded.add(iter([b"".join(data)]))
    assert not folded.complete
    (listener,) = moved(folded).listeners
    members = folded.owners.members(listener.owner)
    assert {folded.owners.processes[at].pid for at in members} == {1, 2}


def test_drops() -> None:
    """A second record of a listener or UDP socket has its drops; it is no further socket."""
    udp = partial(pack, protocol=17, state=7, kind=bpf.KIND_LISTENER)
    tcp = partial(pack, state=10, kind=bpf.KIND_LISTENER, local_port=150)
    connected = partial(pack, protocol=17, kind=bpf.KIND_UNDECIDED, remote_port=53, inode=4)
    data = [
        tcp(inode=1, recv=2, send=5),
        tcp(inode=1, recv=7, send=5, flags=bpf.DROPS),
        udp(inode=2, local_port=53, recv=900, flags=bpf.SHARED),
        udp(inode=2, local_port=53, recv=30, flags=bpf.SHARED | bpf.DROPS),
        udp(inode=2, local_port=53, recv=900, flags=bpf.SHARED, pid=11),
        udp(inode=2, local_port=53, recv=30, flags=bpf.SHARED | bpf.DROPS, pid=11),
        udp(inode=3, local_port=54, netns=OTHER),
        connected(),
        connected(recv=400, flags=bpf.DROPS),
    ]
    folded = fold(data)
    snapshot = moved(folded)
    assert sorted((each.port, each.recv_queue, each.drops) for each in snapshot.listeners) == [
        (53, 900, 30),
        (54, 0, 0),
        (150, None, 7),
    ]
    by_pids = {
        tuple(sorted(folded.owners.processes[at].pid for at in folded.owners.members(owner))): drops
        for (owner, _), drops in snapshot.drops.items()
    }
    assert by_pids == {(10,): 407, (10, 11): 30}
    assert sum(snapshot.connections.values()) == 1
