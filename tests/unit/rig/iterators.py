"""The pinned iterators' side of the scene: records as readers/bpf/sockets.bpf.c writes them.

Whatever program is pinned, its records are made here of the struct that readers/bpf/records.py has.
"""

import os
from collections.abc import Callable

from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.quality import bucket_of
from zabbix_sockets.readers.bpf import records as bpf

from .diag import cookie, tcp_info
from .scene import (
    CLOSE,
    ESTABLISHED,
    LISTEN,
    OTHER_FILES,
    PORTS,
    Process,
    Scene,
    Socket,
    UnixSocket,
)

_NUMBERS = {"tcp": 6, "udp": 17}
_ACTIVE = 1  # the first class of idleness: ten seconds at most


def records(scene: Scene, cgroup_of: Callable[[Process], int]) -> dict[str, bytes]:
    """Return what each pinned program gives, by its name."""
    assert set(bpf.PROGRAMS) == {
        bpf.COUNT_SOCKETS,
        bpf.SOCKET_OWNERS,
        bpf.INFORM_SOCKETS,
        bpf.DESCRIBE_PROCESSES,
        bpf.COUNT_CLIENTS,
    }
    held = [(process, each) for process in scene.processes for each in scene.held_by(process.pid)]
    unix = [
        (process, each) for process in scene.processes for each in scene.unix_held_by(process.pid)
    ]
    return {
        bpf.COUNT_SOCKETS: b"".join(
            [
                *(_record(process, each, cgroup_of(process)) for process, each in held),
                *(_unix_record(process, each, cgroup_of(process)) for process, each in unix),
            ]
        ),
        bpf.SOCKET_OWNERS: b"".join(
            [
                *(_owner(process, each.inode) for process, each in held),
                *(_owner(process, each.inode) for process, each in unix),
            ]
        ),
        bpf.DESCRIBE_PROCESSES: b"".join(
            _description(scene, process) for process in scene.processes
        ),
        bpf.INFORM_SOCKETS: b"".join(_information(each) for _, each in held if _informs(each)),
        bpf.COUNT_CLIENTS: b"".join(_client(each) for _, each in held if _may_be_client(each)),
    }


def _record(process: Process, each: Socket, cgroup: int) -> bytes:
    """Return struct record, and another with the drops, if there are any."""
    kind = _kind(each)
    local = kind in (bpf.KIND_LISTENER, bpf.KIND_INBOUND)
    ipv6 = len(each.local_address) != 4
    shared = len(each.holders) > 1
    bound = each.device if local else fold_address(each.local_address) if ipv6 else 0
    ends = each.local_address, each.remote_address
    if local or ipv6:
        address = ends[0 if local else 1].ljust(16, b"\0")
    else:
        address = (ends[1] + ends[0]).ljust(16, b"\0")
    flags = (bpf.IPV6 if ipv6 else 0) | (bpf.SHARED if shared else 0)
    told = [(flags, *each.queues, _quality(each))]
    if each.drops:
        told.append((flags | bpf.DROPS, each.drops, 0, bytes(bpf.QUALITY.size)))
    return b"".join(
        bpf.SOCKET.pack(
            process.pid, each.netns, cgroup, each.uid, kind, each.state, _NUMBERS[each.protocol],
            of_record, each.local[1] if kind != bpf.KIND_OUTBOUND else 0,
            0 if local else each.remote[1], bound, process.comm, address, recv, send,
            each.inode if shared or kind == bpf.KIND_LISTENER or each.protocol == "udp" else 0,
            process.started, process.fds_limit, each.requests,
        ) + quality
        for of_record, recv, send, quality in told
    )  # fmt: skip


def _quality(each: Socket) -> bytes:
    if not (each.rtt and each.state == ESTABLISHED):
        return bpf.QUALITY.pack(0, 0, 0, 0, 0, 0, 0)
    return bpf.QUALITY.pack(bucket_of(each.rtt), _ACTIVE, 0, 0, 0, each.retransmits, 0)


def _kind(each: Socket) -> int:
    if each.state == LISTEN or (each.protocol == "udp" and each.state == CLOSE):
        return bpf.KIND_LISTENER
    if each.protocol == "udp":
        return bpf.KIND_UNDECIDED
    if each.accepted:
        return bpf.KIND_INBOUND
    return bpf.KIND_OUTBOUND if PORTS[0] <= each.local[1] <= PORTS[1] else bpf.KIND_UNDECIDED


def _may_be_client(each: Socket) -> bool:
    is_established = (each.protocol, each.state) == ("tcp", ESTABLISHED)
    return is_established and _kind(each) != bpf.KIND_OUTBOUND


def _client(each: Socket) -> bytes:
    """Return struct client."""
    shared = len(each.holders) > 1
    flags = (bpf.IPV6 if len(each.local_address) != 4 else 0) | (bpf.SHARED if shared else 0)
    end = each.netns, each.device, fold_address(each.local_address), each.local[1]
    inode = each.inode if shared else 0
    return bpf.CLIENT.pack(*end, _kind(each), flags, inode, each.remote_address)


def _unix_record(process: Process, each: UnixSocket, cgroup: int) -> bytes:
    """Return struct record of a unix socket and, of a listener, struct unix_name."""
    shared, listens = len(each.holders) > 1, each.state == LISTEN
    found = bpf.UNIX_SOCKET.pack(
        process.pid, each.netns, cgroup, each.uid,
        bpf.KIND_UNIX_LISTENER if listens else bpf.KIND_UNIX_CONNECTED, each.state,
        bpf.SHARED if shared else 0, process.comm, each.bound, each.waiting, each.backlog,
        each.inode if shared or listens else 0, process.started, process.fds_limit,
    ) + bytes(bpf.QUALITY.size)  # fmt: skip
    if not listens:
        return found
    told = each.name + (b"\0" if each.name[0] else b"")
    name = bytearray(bpf.UNIX_NAME.pack(0, len(told), each.bound, told))
    name[20] = bpf.KIND_UNIX_NAME
    return found + bytes(name) + bytes(bpf.QUALITY.size)


def _owner(process: Process, inode: int) -> bytes:
    return bpf.OWNER.pack(process.pid, inode, process.started, process.comm)


def _description(scene: Scene, process: Process) -> bytes:
    name = os.path.basename(process.executable).encode()
    held = *scene.held_by(process.pid), *scene.unix_held_by(process.pid)
    fds = len(OTHER_FILES) + len(held)
    return bpf.PROCESS.pack(process.pid, process.started, fds, name)


def _informs(each: Socket) -> bool:
    return each.protocol == "tcp" and each.state not in (LISTEN, CLOSE)


def _information(each: Socket) -> bytes:
    return bpf.INFORMATION.pack(cookie(each), each.inode, b"cubic", tcp_info(each)[:216])
