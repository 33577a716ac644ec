"""The sums of unix sockets by rows: whose, by which listener, and what can't be told."""

from zabbix_sockets.collector.tables.unix_table_fold import UnixTableFold
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    UNOWNED,
    HostCounters,
    PortRange,
    Process,
    Snapshot,
    UnixSockets,
    Visibility,
)
from zabbix_sockets.model.wire import UnixRow

STREAM, ESTABLISHED, LISTEN = 1, 1, 10
A, B = FIRST_OWNER, FIRST_OWNER + 1
PATH, ABSTRACT = b"/run/x.sock", b"\0x"


def listening(inode: int, name: bytes = PATH, which: bytes = b"", queue: int = 2) -> UnixRow:
    """Return the row of a listener, as netlink tells it."""
    return STREAM, LISTEN, inode, name, which, 0, queue, 128, 5


def connected(inode: int, name: bytes = b"", which: bytes = b"") -> UnixRow:
    """Return the row of a connected socket."""
    return STREAM, ESTABLISHED, inode, name, which, 0, -1, -1, -1


def as_procfs(row: UnixRow) -> UnixRow:
    """Return a row as /proc/net/unix has it."""
    return (*row[:4], b"", 0, -1, -1, -1)


def sums(*rows: UnixRow, netns: int = 0) -> tuple[UnixSockets, dict[int, int]]:
    """Return the sums of rows, of inodes below 200 and below 300 for two owners, and the uids."""
    owners = Owners()
    owners.add(Process(1, "a"), range(100, 200))
    owners.add(Process(2, "b"), range(200, 300))
    found = UnixTableFold(owners)
    found.add(rows, netns)
    return moved(found)


def moved(found: UnixTableFold) -> tuple[UnixSockets, dict[int, int]]:
    """Return what a Snapshot takes over of the sums, and its uids."""
    snapshot = Snapshot(0, Visibility("sock_diag"), PortRange(32768, 60999, 0), HostCounters())
    found.move(snapshot)
    assert snapshot.unix
    return snapshot.unix, snapshot.uids


def test_accepted_by_name() -> None:
    """What bears a listener's name it has accepted; ends without a name are just connected."""
    found, uids = sums(
        listening(100), connected(101, PATH), connected(201, PATH), connected(202), connected(999)
    )
    (listener,) = found.listeners
    assert (listener.owner, listener.accepted, listener.accept_queue, listener.backlog) == (
        *(A, 2, 2),
        128,
    )
    assert found.connected == {(A, 0): 1, (B, 0): 2, (UNOWNED, 0): 1}
    assert found.owners == {A: (0,), B: (1,), UNOWNED: ()}
    assert uids == {A: 5}


def test_path_bound_twice() -> None:
    """After an unlink two listeners have one path: the file tells which has accepted what."""
    found, _ = sums(
        listening(100, which=b"old"), listening(200, which=b"new"), connected(201, PATH, b"old")
    )
    assert [(each.owner, each.accepted) for each in found.listeners] == [(A, 1), (B, 0)]


def test_path_bound_twice_in_procfs() -> None:
    """Nothing tells them apart there: neither what each has accepted nor what waits."""
    rows = listening(100), listening(200), connected(201, PATH), connected(0, PATH)
    found, _ = sums(*map(as_procfs, rows))
    assert [(each.accepted, each.accept_queue) for each in found.listeners] == [(None, None)] * 2


def test_accept_queue_in_procfs() -> None:
    """Sockets without an inode that bear the name wait to be accepted, and nobody holds them."""
    rows = listening(100), connected(101, PATH), connected(0, PATH), connected(0, PATH)
    found, uids = sums(*map(as_procfs, rows))
    (listener,) = found.listeners
    assert (listener.accepted, listener.accept_queue, listener.backlog) == (1, 2, None)
    assert listener.uid is None
    assert not uids
    assert found.connected == {(A, 0): 1}


def test_path_and_abstract_name() -> None:
    """An abstract name is none of the same letters, nor is one in another namespace."""
    found, _ = sums(listening(100, b"x"), connected(101, ABSTRACT))
    assert found.listeners[0].accepted == 0


def test_namespace_that_is_gone() -> None:
    """Nothing that was added of it remains, and all of the others."""
    owners = Owners()
    owners.add(Process(1, "a"), range(100, 200))
    found = UnixTableFold(owners)
    for netns in (0, 7):
        found.add([listening(100, queue=-1), connected(101, PATH), connected(0, PATH)], netns)
    found.forget(7)
    rest, _ = moved(found)
    assert [(each.netns, each.accepted, each.accept_queue) for each in rest.listeners] == [
        (0, 1, 1)
    ]
    assert rest.connected == {(A, 0): 1}
