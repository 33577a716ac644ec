"""What ss(8) says of the sockets of this namespace, in the terms of `show sockets --json`."""

import re
import subprocess
from typing import NamedTuple

from zabbix_sockets import Socket
from zabbix_sockets.model.addresses import format_address
from zabbix_sockets.model.wire import state_name

# ss's words for the kernel's states; UDP's two are told apart by the protocol.
_STATES = {
    "ESTAB": "established",
    "SYN-SENT": "syn_sent",
    "SYN-RECV": "syn_recv",
    "FIN-WAIT-1": "fin_wait1",
    "FIN-WAIT-2": "fin_wait2",
    "TIME-WAIT": "time_wait",
    "CLOSE-WAIT": "close_wait",
    "LAST-ACK": "last_ack",
    "LISTEN": "listen",
    "CLOSING": "closing",
}
_UDP_STATES = {"UNCONN": "bound", "ESTAB": "connected"}
_END = re.compile(r"^\[?([0-9a-f.:*]*)\]?(?:%([^:]+))?:([0-9*]+)$")


class SsSocket(NamedTuple):
    """A line of ss: what all sources have in common."""

    protocol: str
    state: str
    recv_queue: int  # a listener's accept queue
    send_queue: int  # a listener's backlog
    local: tuple[str, int]
    remote: tuple[str, int]
    inode: int
    pids: tuple[int, ...]
    device: str


def read_ss(netns: str = "") -> list[SsSocket]:
    """Return every TCP and UDP socket of the caller's namespace, or of one by name."""
    command = [
        "ss",
        *(("-N", netns) if netns else ()),
        "-t",
        "-u",
        "-n",
        "-a",
        "-p",
        "-e",
        "-H",
        "-O",
    ]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [parse(line) for line in output.splitlines() if "UNCONN" not in line or "udp" in line]


def as_ss(row: Socket, *, backlog: bool = True, device: bool = True) -> SsSocket:
    """Return a socket in ss's terms, without what the source has not."""
    listening = row.recv_queue is None
    recv = row.accept_queue if listening else row.recv_queue
    send = (row.backlog if backlog else 0) if listening else row.send_queue
    assert recv is not None
    assert send is not None
    return SsSocket(
        row.protocol,
        state_name(row.protocol, row.state),
        recv,
        send,
        (format_address(row.local_address), row.local_port),
        (format_address(row.remote_address), row.remote_port),
        row.inode,
        tuple(sorted({owner.pid for owner in row.owners})),
        (row.device or "") if device else "",
    )


def expected_of_procfs(row: SsSocket) -> SsSocket:
    """Return what /proc/net can have of a socket: no backlog, no device."""
    send = 0 if row.state == "listen" else row.send_queue
    return row._replace(send_queue=send, device="")


def parse(line: str) -> SsSocket:
    """Return what a line of ss says."""
    protocol, word, recv, send, local, remote, *_ = line.split()
    state = _STATES[word] if protocol == "tcp" else _UDP_STATES[word]
    inode = re.search(r" ino:(\d+)", line)
    address, device, port = _end(local, remote)
    peer, _, peer_port = _end(remote, local)
    return SsSocket(
        protocol,
        state,
        int(recv),
        int(send),
        (address, port),
        (peer, peer_port),
        int(inode[1]) if inode else 0,
        tuple(sorted({int(pid) for pid in re.findall(r"pid=(\d+)", line)})),
        device,
    )


def _end(text: str, other: str) -> tuple[str, str, int]:
    """Return address, device and port; "*" is the IPv6 wildcard of a dual-stack socket."""
    match = _END.match(text)
    assert match, text
    address, device, port = match.groups()
    if address == "*":
        address = "::"
    elif not address:
        address = "::" if "[" in other or "*:" in other else "0.0.0.0"
    return address, device or "", 0 if port == "*" else int(port)
