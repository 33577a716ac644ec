"""What ss(8) says of the unix sockets of this namespace, and the same of a source."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

from zabbix_sockets.model.socket import UnixSocket
from zabbix_sockets.model.wire import UNIX_TYPES, TcpState

_LINE = re.compile(
    r"(u_str|u_seq) +(LISTEN|ESTAB) +(\d+) +(\d+) +(.+) (\d+) +\* (\d+) +(users:\S+)?"
)
_TYPES = {"stream": "u_str", "seqpacket": "u_seq"}


class SsUnix(NamedTuple):
    """A line of ss. Bytes in queues are not among it: they differ by what a buffer weighs."""

    type: str
    state: str
    accept_queue: int | None  # as backlog: of listeners
    backlog: int | None
    name: str
    inode: int
    peer: int
    pids: tuple[int, ...]


def read_ss(netns: str = "") -> list[SsUnix]:
    """Return the unix sockets of streams and packets of the caller's namespace, or of one by name.

    Their names have no line feeds, and "@" for a NUL.
    """
    command = ["ss", *(("-N", netns) if netns else ()), "-x", "-a", "-n", "-p", "-H", "-O"]
    output = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    return sorted(
        _parse(line)
        for line in output.splitlines()
        if not line.startswith("u_dgr") and "UNCONN" not in line
    )


def _parse(line: str) -> SsUnix:
    found = _LINE.match(line)
    assert found, line
    kind, state, receive, send, name, inode, peer, users = found.groups()
    is_listener = state == "LISTEN"
    return SsUnix(
        kind,
        state,
        int(receive) if is_listener else -1,
        int(send) if is_listener else -1,
        "" if name == "*" else name,
        int(inode),
        int(peer),
        tuple(sorted({int(pid) for pid in re.findall(r"pid=(\d+)", users or "")})),
    )


def as_ss(socket: UnixSocket) -> SsUnix:
    """Return a socket in ss's terms."""
    is_listener = socket.state == TcpState.LISTEN
    return SsUnix(
        _TYPES[UNIX_TYPES[socket.type]],
        "LISTEN" if is_listener else "ESTAB",
        socket.accept_queue if is_listener else -1,
        socket.backlog if is_listener else -1,
        socket.name.replace(b"\0", b"@").decode(),
        socket.inode,
        socket.peer.inode if socket.peer else 0,
        tuple(sorted({owner.pid for owner in socket.owners})),
    )


def expected_of_procfs(line: SsUnix) -> SsUnix:
    """Return what /proc/net/unix can have of a socket: neither backlog nor peer."""
    return line._replace(backlog=None if line.state == "LISTEN" else -1, peer=0)
