"""The fold of BPF records of unix sockets: by the kernel's own address, and with all owners."""

import pytest

from zabbix_sockets.collector.iterator.record_fold import RecordFold
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.snapshot import (
    HostCounters,
    PortRange,
    Snapshot,
    UnixSockets,
    Visibility,
)
from zabbix_sockets.readers.bpf import records as bpf

from ..fakes import Looks  # noqa: TID252  # a test folder is no package
from .folded import NETNS, NO_PROCESSES, OTHER, fold, new_fold, pack

PORTS = PortRange(100, 199, 100)
PATH, LONG, ABSTRACT = b"/run/x.sock", b"/" + b"x" * 107, b"\0a\0b"


def unix(  # noqa: PLR0913  # each is a field of struct record
    kind: int = bpf.KIND_UNIX_CONNECTED,
    *,
    pid: int = 10,
    netns: int = NETNS,
    flags: int = 0,
    name: int = 0,
    queue: int = 0,
    backlog: int = 0,
    inode: int = 0,
    uid: int = 5,
    comm: bytes = b"name",
) -> bytes:
    """Return the bytes of a unix socket's record."""
    return (
        bpf.UNIX_SOCKET.pack(
            pid, netns, 1, uid, kind, 1, flags, comm, name, queue, backlog, inode, 5, bpf.NO_LIMIT
        )
        + bytes(bpf.QUALITY.size)
    )  # fmt: skip


def name_records(number: int, name: bytes) -> bytes:
    """Return the records of a name, which is a path if it doesn't begin with a NUL."""
    told = name if name[:1] == b"\0" else name + b"\0"
    found = b""
    for part in range(-(-len(told) // 64)):
        piece = told[part * 64 : part * 64 + 64]
        data = bytearray(bpf.UNIX_NAME.pack(part, len(told), number, piece))
        data[20] = bpf.KIND_UNIX_NAME
        found += bytes(data) + bytes(bpf.QUALITY.size)
    return found


def listener(number: int, name: bytes, **fields: int) -> bytes:
    """Return the records of a listener: its own, and its name's."""
    fields = {"inode": 7, "queue": 2, "backlog": 128, **fields}
    return unix(bpf.KIND_UNIX_LISTENER, name=number, **fields) + name_records(number, name)  # type: ignore[arg-type]  # comm is none of them


def snapshot_of(folded: RecordFold) -> Snapshot:
    """Return a Snapshot with the unix sockets."""
    snapshot = Snapshot(0, Visibility("bpf"), PORTS, HostCounters())
    folded.move_unix(snapshot)
    return snapshot


def moved(folded: RecordFold) -> UnixSockets:
    """Return the unix sockets of a Snapshot."""
    found = snapshot_of(folded).unix
    assert found
    return found


@pytest.mark.parametrize("name", [PATH, LONG, ABSTRACT, b"/" + b"y" * 62, b"/" + b"z" * 63, b"\0"])
def test_names(name: bytes) -> None:
    """A name is whole, be it one part or two; a path is without the NUL at its end."""
    (found,) = moved(fold([listener(9, name)])).listeners
    assert found.name == name


def test_accepted_by_address() -> None:
    """By the number, not by the name: a path may be bound twice, and the first one be closed."""
    rows = [
        listener(9, PATH, inode=7),
        listener(8, PATH, inode=6),
        *[unix(name=8, pid=11)] * 3,
        unix(name=7),  # of a listener that is closed
        unix(),
    ]
    found = moved(fold(rows))
    assert sorted((each.name, each.accepted) for each in found.listeners) == [(PATH, 0), (PATH, 3)]
    assert sorted(found.connected.values()) == [2, 3]


def test_address_that_is_used_again() -> None:
    """A name may have the address of one that went during the pass: what is whose isn't known."""
    rows = [listener(9, PATH, inode=7), listener(9, PATH, inode=6), unix(name=9, pid=11)]
    assert [each.accepted for each in moved(fold(rows)).listeners] == [None, None]


def test_shared_sockets_count_once() -> None:
    """A socket that processes share is one, of all of them; so is a listener."""
    shared = {"flags": bpf.SHARED, "inode": 70}
    rows = [
        listener(9, PATH, flags=bpf.SHARED, pid=10),
        listener(9, PATH, flags=bpf.SHARED, pid=11),
        unix(name=9, pid=10, **shared),  # type: ignore[arg-type]  # all are numbers
        unix(name=9, pid=11, **shared),  # type: ignore[arg-type]  # as above
    ]
    folded = fold(rows)
    found = moved(folded)
    (one,) = found.listeners
    assert one.accepted == 1
    assert len(folded.owners.members(one.owner)) == 2
    ((owner, netns), count) = next(iter(found.connected.items()))
    assert (netns, count, len(found.owners[owner])) == (0, 1, 2)


def test_owners_of_listeners_alone_are_the_snapshot_s() -> None:
    """Who holds nothing but connected sockets is no owner of other ones, and has no descriptors."""
    folded = fold([listener(9, PATH, pid=10), unix(pid=11), unix(pid=10)])
    snapshot = snapshot_of(folded)
    found = snapshot.unix
    assert found
    (one,) = found.listeners
    assert snapshot.uids == {one.owner: one.uid}
    assert len(found.connected) == 2
    assert sorted(folded.owners.numbers) == [(10, b"name".ljust(16, b"\0"), 5)]


def test_other_namespaces() -> None:
    """A namespace is known by its listeners; the own one alone may be asked for."""
    rows = [listener(9, PATH, netns=OTHER), unix(name=9, netns=OTHER), unix(name=9)]
    folded = fold(rows)
    (one,) = moved(folded).listeners
    assert (one.netns, one.accepted) == (OTHER, 1)
    assert list(folded.holders) == [OTHER]
    own = moved(fold(rows, own_only=True))
    assert not own.listeners
    assert list(own.connected.values()) == [1]


def test_no_time_for_owners() -> None:
    """Past the deadline TCP's owners are there; it is said that those of unix sockets are not."""
    folded = new_fold(NO_PROCESSES, Looks(1))
    folded.add([pack(), unix(pid=11)])
    found = moved(folded)
    assert folded.complete
    assert not folded.unix.complete
    assert not found.connected


def test_no_record() -> None:
    """What is no record of any kind is an error."""
    with pytest.raises(ParseError):
        fold([unix(8)])
    with pytest.raises(ParseError):
        fold([pack(protocol=0)])


def test_name_is_missing() -> None:
    """A listener that was being closed has none, and is left out."""
    assert not moved(fold([unix(bpf.KIND_UNIX_LISTENER, name=9, inode=7)])).listeners
