"""The accumulator: whatever the order and the bound, no socket is lost and none counts twice."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.collector.sums import MAX_REMOTES, Sums, add_connections
from zabbix_sockets.model.gaps import ENDPOINTS
from zabbix_sockets.model.quality import ONE
from zabbix_sockets.model.snapshot import (
    OUTBOUND,
    Connection,
    HostCounters,
    ListenerSocket,
    PortRange,
    Snapshot,
    Visibility,
)

Key = tuple[int, int]  # owner, remote port; 0: any
Added = tuple[Key, int, int, int]

ANY = 0


def empty() -> Snapshot:
    """Return a Snapshot of no sockets."""
    return Snapshot(0, Visibility("sock_diag"), PortRange(1, 2, 2), HostCounters())


def new_sums(bound: int = 100) -> Sums[int, Key]:
    """Return sums without any; beyond the bound a port is of any."""
    return Sums(lambda key: (key[0], ANY), bound)


def connection_of(key: Key) -> Connection:
    """Return the connection that a key stands for."""
    owner, port = key
    if port == ANY:
        return Connection("tcp", 0, owner, 1, OUTBOUND)
    return Connection("tcp", 0, owner, 1, OUTBOUND, b"\x7f\0\0\1", port)


def listener_of(port: int) -> ListenerSocket:
    """Return the listener that a port stands for."""
    return ListenerSocket("tcp", 0, bytes(4), port, "", 2, 0, 128)


def added() -> st.SearchStrategy[list[Added]]:
    """Return keys, uids, numbers of sockets, and samples, which may be none."""
    keys = st.tuples(st.integers(2, 4), st.integers(1, 6))
    return st.lists(st.tuples(keys, st.integers(0, 3), st.integers(1, 3), st.integers(0, 2)))


def moved(told: list[Added], bound: int) -> Snapshot:
    """Return the Snapshot of what is told."""
    sums, snapshot = new_sums(bound), empty()
    for key, uid, sockets, samples in told:
        sums.add(key, uid, sockets, samples * ONE[5])
    sums.move(snapshot, connection_of)
    return snapshot


@given(added())
def test_equal_ones_add_up(told: list[Added]) -> None:
    """Sockets and samples by what they are equal in; the lowest uid of each owner."""
    snapshot = moved(told, 100)
    sockets: Counter[Connection] = Counter()
    samples: Counter[Connection] = Counter()
    for key, _, count, sampled in told:
        sockets[connection_of(key)] += count
        samples[connection_of(key)] += sampled * ONE[5]
    assert snapshot.connections == sockets
    assert snapshot.qualities == +samples
    owners = {key[0] for key, *_ in told}
    assert snapshot.uids == {
        owner: min(uid for key, uid, *_ in told if key[0] == owner) for owner in owners
    }
    assert not snapshot.visibility.gaps


@given(added(), st.integers(0, 20))
def test_beyond_the_bound_endpoints_lose_their_names(told: list[Added], bound: int) -> None:
    """No more than the bound are told apart; those told apart are all there is of them."""
    snapshot, whole = moved(told, bound), moved(told, 100)

    def by_owner(found: Snapshot) -> tuple[Counter[int], Counter[int]]:
        sockets: Counter[int] = Counter()
        samples: Counter[int] = Counter()
        for key, count in found.connections.items():
            sockets[key.owner] += count
        for key, quality in found.qualities.items():
            samples[key.owner] += quality
        return sockets, samples

    assert by_owner(snapshot) == by_owner(whole)
    assert snapshot.uids == whole.uids
    named = {key: count for key, count in snapshot.connections.items() if key.port}
    assert len(named) <= bound
    assert named.items() <= whole.connections.items()
    assert snapshot.visibility.has_gap(ENDPOINTS) == (len(whole.connections) > bound)


def test_a_key_without_an_endpoint_is_never_beyond() -> None:
    """What has nothing to lose says nothing of the endpoints."""
    snapshot = moved([((2, ANY), 0, 1, 0)], 0)
    assert snapshot.connections == {connection_of((2, ANY)): 1}
    assert not snapshot.visibility.gaps


def test_several_sources_in_one_snapshot() -> None:
    """Each adds to what is there, and what one could not tell apart stays said."""
    snapshot = empty()
    for uid, bound in ((5, 0), (7, 10)):
        sums = new_sums(bound)
        sums.add((2, 80), uid, 3, ONE[5])
        sums.add((2, 80), uid, 1)
        sums.add_queues(2, 0, 10, 1)
        sums.add_queues(2, 9, 100, 0)
        sums.add_listener(2, 22, uid, 2)
        sums.add_queues(2, 0, 10, 2)
        sums.move_listeners(snapshot, listener_of)
        sums.move(snapshot, connection_of)
    add_connections(snapshot, connection_of((2, 80)), 6)
    assert snapshot.connections == {connection_of((2, ANY)): 4, connection_of((2, 80)): 10}
    assert snapshot.qualities == {connection_of((2, ANY)): ONE[5], connection_of((2, 80)): ONE[5]}
    assert snapshot.listeners == [listener_of(22)] * 4
    assert snapshot.queues == {(2, 0): (40, 6), (2, 9): (200, 0)}
    assert snapshot.uids == {2: 5}
    assert snapshot.visibility.has_gap(ENDPOINTS)


def test_what_was_moved_counts_once() -> None:
    """Listeners and connections that the Snapshot has are no longer in the sums."""
    sums, snapshot = new_sums(), empty()
    sums.add((2, 80), 0)
    sums.add_listener(2, 22, 0)
    for _ in range(2):
        sums.move_listeners(snapshot, listener_of)
        sums.move(snapshot, connection_of)
    assert snapshot.connections == {connection_of((2, 80)): 1}
    assert snapshot.listeners == [listener_of(22)]


def test_lowest_uid_of_listeners_too() -> None:
    """Whichever of an owner's sockets comes first."""
    for first in (True, False):
        sums, snapshot = new_sums(), empty()
        sums.add((2, 80), 0 if first else 1000)
        sums.add_listener(2, 22, 1000 if first else 0)
        sums.add((3, 80), 5)
        sums.move(snapshot, connection_of)
        assert snapshot.uids == {2: 0, 3: 5}


def test_remotes_beyond_the_bound() -> None:
    """Of each owner so many remote ends are told apart; further sockets count without one."""
    sums, snapshot = new_sums(10 * MAX_REMOTES), empty()
    for port in range(1, MAX_REMOTES + 3):
        sums.add_with_remote((2, port), (2, ANY), 0)
    sums.add_with_remote((2, 1), (2, ANY), 0, 4)
    sums.add_with_remote((3, 1), (3, ANY), 0)
    sums.move(snapshot, connection_of)
    assert len(snapshot.connections) == MAX_REMOTES + 2
    assert snapshot.connections[connection_of((2, ANY))] == 2
    assert snapshot.connections[connection_of((2, 1))] == 5
    assert snapshot.connections[connection_of((3, 1))] == 1
    assert not snapshot.visibility.gaps
