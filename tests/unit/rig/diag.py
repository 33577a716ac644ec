"""Netlink's side of the scene: requests as the kernel reads them, answers as it writes them.

Source: sock_diag(7), include/uapi/linux/{netlink,inet_diag,tcp}.h, inet_diag_bc_run() of
net/ipv4/inet_diag.c.
"""

import socket
import struct
from collections.abc import Callable, Iterator

from ..filters.trees import run  # noqa: TID252  # a test folder is no package
from ..readers.sock_diag.messages import (  # noqa: TID252  # a test folder is no package
    attribute,
    done,
    message,
)
from .scene import LISTEN, Scene, Socket, UnixSocket

SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK = 20, 18
INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_SKMEMINFO, INET_DIAG_CGROUP_ID = 2, 4, 7, 21
_TCP_INFO_SIZE = 232
_FULL_STATES = (1, LISTEN)  # which tell their cgroup, whatever else may
_PROTOCOLS = {6: "tcp", 17: "udp"}
_PER_DATAGRAM = 4

CgroupOf = Callable[[Socket], int]
"""Returns the id of the cgroup in which a socket was made; 0: none."""


def answer(request: bytes, scene: Scene, netns: int, cgroup_of: CgroupOf) -> Iterator[bytes]:
    """Yield the datagrams of a dump; DONE comes with the last sockets or behind them."""
    length, kind, *_ = struct.unpack_from("=IHHII", request)
    if request[16] == socket.AF_UNIX:
        yield from _unix_answer(request, scene, netns)
        return
    if kind == TCPDIAG_GETSOCK:
        family, _, _, extensions, states, _ = struct.unpack_from("=BBBB48xII", request, 16)
        tables, program = [("tcp", 2), ("tcp", 10)], b""
    else:
        family, number, extensions, _, states = struct.unpack_from("=BBBBI", request, 16)
        tables, program = [(_PROTOCOLS[number], family)], request[16 + 56 + 4 : length]
    wanted = [
        each
        for protocol, of in tables
        for each in scene.sockets_of(netns, protocol, of)
        if states >> each.state & 1 and _fits(program, each, cgroup_of)
    ]
    messages = [encode(each, kind, extensions, cgroup_of(each)) for each in wanted]
    for at in range(0, len(messages), _PER_DATAGRAM):
        yield b"".join(messages[at : at + _PER_DATAGRAM])
    yield done()


def _unix_answer(request: bytes, scene: Scene, netns: int) -> Iterator[bytes]:
    """Yield the datagrams of a dump of unix sockets."""
    states, _, show = struct.unpack_from("=III", request, 20)
    messages = [
        _unix_message(each, show)
        for each in scene.unix
        if each.netns == netns and states >> each.state & 1
    ]
    for at in range(0, len(messages), _PER_DATAGRAM):
        yield b"".join(messages[at : at + _PER_DATAGRAM])
    yield done()


def _unix_message(each: UnixSocket, show: int) -> bytes:
    """Return a unix socket's message, as sk_diag_fill() of net/unix/diag.c writes it."""
    payload = struct.pack("=BBBBIQ", socket.AF_UNIX, 1, each.state, 0, each.inode, each.inode)
    is_path = each.name and each.name[0]
    if each.name and show & 1:
        payload += attribute(0, each.name + (b"\0" if is_path else b""))
    if is_path and show & 2:
        payload += attribute(1, struct.pack("=II", each.bound, 8))
    if each.peer and show & 4:
        payload += attribute(2, struct.pack("=I", each.peer))
    if show & 0x10:
        payload += attribute(4, struct.pack("=II", each.waiting, each.backlog))
    if show & 0x40:
        payload += attribute(7, struct.pack("=I", each.uid))
    return message(SOCK_DIAG_BY_FAMILY, payload)


def _fits(program: bytes, each: Socket, cgroup_of: CgroupOf) -> bool:
    if not program:
        return True
    ports = socket.htons(each.local[1]), socket.htons(each.remote[1])
    ends = each.local_address, each.remote_address
    row = (each.state, *ports, *ends, each.device, *each.queues, each.uid, each.inode)
    return run(program, each.family, row, cgroup_of(each), 0)


def encode(each: Socket, kind: int, extensions: int, cgroup: int) -> bytes:
    """Return a socket's message, as inet_diag_msg_common_fill() and what follows write it."""
    payload = struct.pack("=4B", each.family, each.state, 0, 0)
    payload += struct.pack("!HH", each.local[1], each.remote[1])
    payload += each.local_address.ljust(16, b"\0") + each.remote_address.ljust(16, b"\0")
    payload += struct.pack("=IQ", each.device, cookie(each))
    payload += struct.pack("=5I", 0, *each.queues, each.uid, each.inode)
    payload += attribute(8, b"\0")  # INET_DIAG_SHUTDOWN
    if cgroup and (each.state in _FULL_STATES or each.inode):
        payload += attribute(INET_DIAG_CGROUP_ID, struct.pack("=Q", cgroup))
    if extensions >> INET_DIAG_SKMEMINFO - 1 & 1:
        payload += attribute(INET_DIAG_SKMEMINFO, struct.pack("=32xI", each.drops))
    if each.protocol == "tcp" and each.inode:
        if extensions >> INET_DIAG_INFO - 1 & 1:
            payload += attribute(INET_DIAG_INFO, tcp_info(each))
        if extensions >> INET_DIAG_CONG - 1 & 1:
            payload += attribute(INET_DIAG_CONG, b"cubic\0")
    return message(kind, payload)


def cookie(each: Socket) -> int:
    """Return what tells a socket from all others."""
    return each.inode * 1000 + each.remote[1] + 1


def tcp_info(each: Socket) -> bytes:
    """Return struct tcp_info with what the scene says: data were sent a second ago."""
    info = bytearray(_TCP_INFO_SIZE)
    for at, value in ((44, 1000), (52, 2000), (68, each.rtt), (80, 10), (100, each.retransmits)):
        struct.pack_into("=I", info, at, value)
    return bytes(info)
