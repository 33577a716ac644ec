"""Records as bytes, and what a fold of them comes to."""

from typing import Any

from zabbix_sockets.collector.iterator.record_fold import RecordFold
from zabbix_sockets.collector.iterator.record_owners import RecordOwners
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import (
    Connection,
    DeviceName,
    HostCounters,
    ListenerSocket,
    PortRange,
    Snapshot,
    Visibility,
)
from zabbix_sockets.readers.bpf import records as bpf

PORTS = PortRange(100, 199, 100)
NETNS, OTHER = 7, 8
LOOPBACK = bytes((127, 0, 0, 1))


def opens_nothing(program: str) -> int:
    """Stand for iterators of which nobody should need one."""
    raise AssertionError(program)


NO_PROCESSES = bpf.Processes(opens_nothing, Deadline(1e6))


def pack(  # noqa: PLR0913  # each is a field of struct record
    *,
    pid: int = 10,
    netns: int = NETNS,
    cgroup: int = 0,
    kind: int = bpf.KIND_OUTBOUND,
    state: int = 1,
    protocol: int = 6,
    flags: int = 0,
    local_port: int = 0,
    remote_port: int = 0,
    bound: int = 0,
    address: bytes = LOOPBACK,
    recv: int = 0,
    send: int = 0,
    inode: int = 0,
    uid: int = 0,
    requests_or_device: int = 0,
    quality: tuple[int, ...] = (0,) * 7,
    comm: bytes = b"name",
    limit: int = bpf.NO_LIMIT,
) -> bytes:
    """Return a record's bytes."""
    socket = bpf.SOCKET.pack(
        pid, netns, cgroup, uid, kind, state, protocol, flags, local_port, remote_port, bound,
        comm, address, recv, send, inode, 5, limit, requests_or_device,
    )  # fmt: skip
    return socket + bpf.QUALITY.pack(*quality)


TIME = Deadline(1e6)


def new_fold(
    described: bpf.Processes = NO_PROCESSES, deadline: Deadline = TIME, **options: Any
) -> RecordFold:
    """Return a fold without records."""
    owners = RecordOwners("/nowhere", 1000.0, described, deadline)
    return RecordFold(NETNS, PORTS, owners, **options)


def fold(data: list[bytes], size: int = 5, **options: Any) -> RecordFold:
    """Return the fold of records that come *size* at a time."""
    folded = new_fold(**options)
    folded.add(b"".join(data[at : at + size]) for at in range(0, len(data), size))
    return folded


def moved(folded: RecordFold, device_name: DeviceName = lambda _, __: "") -> Snapshot:
    """Return a Snapshot of what a fold counted."""
    snapshot = Snapshot(0, Visibility("bpf"), PORTS, HostCounters())
    folded.move_listeners(snapshot, device_name)
    folded.move(snapshot, device_name)
    return snapshot


def resolved(folded: RecordFold) -> tuple[list[ListenerSocket], dict[Connection, int]]:
    """Return the listeners and the connections of a fold."""
    snapshot = moved(folded)
    return snapshot.listeners, snapshot.connections
