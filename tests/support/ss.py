"""What ss(8) says of the sockets of this namespace, in the terms of `show sockets --json`."""

import re
import subprocess
from typing import NamedTuple

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


def read_ss() -> list[SsSocket]:
    """Return every TCP and UDP socket of the caller's namespace."""
    command = ["ss", "-t", "-u", "-n", "-a", "-p", "-e", "-H", "-O"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [_parse(line) for line in output.splitlines() if "UNCONN" not in line or "udp" in line]


def _parse(line: str) -> SsSocket:
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
