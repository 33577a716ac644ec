"""Sockets of every kind that can be held, in the namespace that the caller is in.

What the functions open stays open until `release`. A connection's two ends are called
client and accepted by who connected.
"""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TCP_DEFER_ACCEPT = socket.TCP_DEFER_ACCEPT
IPPROTO_MPTCP = 262
MAPPED = "::ffff:127.0.0.1"

Socket = socket.socket
Pair = tuple[Socket, Socket]

_held: list[Socket] = []


def hold(sock: Socket) -> Socket:
    """Keep *sock* open until `release`."""
    _held.append(sock)
    return sock


def release() -> None:
    """Close every socket that was opened here."""
    while _held:
        _held.pop().close()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Poll until *condition* holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.01)


@contextmanager
def leaderless(first: str = "") -> Iterator[tuple[int, int]]:
    """Have a process whose main thread has exited, after it did *first*; give its pid and a thread.

    *first* is a line of Python; ctypes, socket, threading and time are imported.
    """
    code = (
        "import ctypes, socket, threading, time\n"
        f"{first}\n"
        "def rest():\n"
        "    print(threading.get_native_id(), flush=True)\n"
        "    time.sleep(600)\n"
        "threading.Thread(target=rest).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            thread = int(process.stdout.readline())
            status = Path(f"/proc/{process.pid}/status")
            wait_for(lambda: b"State:\tZ" in status.read_bytes(), "the main thread's end")
            yield process.pid, thread
        finally:
            process.kill()


def tcp_state(sock: Socket) -> int:
    """Return the kernel's state of a TCP socket: the first byte of tcp_info."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def wait_state(sock: Socket, state: int) -> None:
    """Wait until *sock* is in a state of include/net/tcp_states.h."""
    wait_for(lambda: tcp_state(sock) == state, f"state {state}, is {tcp_state(sock)}")


def listener(
    address: str = "127.0.0.1",
    port: int = 0,
    backlog: int = 16,
    *,
    protocol: int = 0,
    reuse_port: bool = False,
    v6only: bool = False,
) -> Socket:
    """Return a TCP listener; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = hold(socket.socket(family, socket.SOCK_STREAM, protocol))
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    sock.bind((address, port))
    sock.listen(backlog)
    return sock


def port_of(sock: Socket) -> int:
    """Return the local port."""
    port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


def connect(server: Socket, address: str = "", *, protocol: int = 0) -> Socket:
    """Return a connection to *server*, not accepted."""
    to = address or server.getsockname()[0]
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    sock = hold(socket.socket(family, socket.SOCK_STREAM, protocol))
    sock.connect((to, port_of(server)))
    return sock


def pair(server: Socket, address: str = "") -> Pair:
    """Return both ends of an accepted connection."""
    client = connect(server, address)
    accepted = hold(server.accept()[0])
    return client, accepted


def fill(sender: Socket) -> None:
    """Send until no more fits: the receiver's window is shut, and data waits here."""
    sender.setblocking(False)
    last = time.monotonic()
    while time.monotonic() - last < 0.2:
        try:
            sender.send(bytes(65536))
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)


def syn_sent() -> list[Socket]:
    """Hold SYN_SENT: the accept queue is full, so the SYN is dropped."""
    server = listener(backlog=0)
    first = connect(server)
    second = hold(socket.socket())
    second.setblocking(False)
    second.connect_ex(server.getsockname())
    wait_state(second, 2)
    return [server, first, second]


def syn_recv() -> list[Socket]:
    """Hold SYN_RECV: the listener waits for data before the connection counts."""
    server = listener()
    server.setsockopt(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 60)
    return [server, connect(server)]


def fin_wait2() -> list[Socket]:
    """Hold FIN_WAIT2 and CLOSE_WAIT: one end has shut down, the other not."""
    server = listener()
    client, accepted = pair(server)
    client.shutdown(socket.SHUT_WR)
    wait_state(client, 5)
    wait_state(accepted, 8)
    return [server, client, accepted]


def fin_wait1() -> list[Socket]:
    """Hold FIN_WAIT1: the FIN waits behind data that the peer doesn't take."""
    server = listener()
    client, accepted = pair(server)
    fill(client)
    client.shutdown(socket.SHUT_WR)
    wait_state(client, 4)
    return [server, client, accepted]


def last_ack() -> list[Socket]:
    """Hold LAST_ACK: the end in CLOSE_WAIT shuts down behind data that the peer doesn't take."""
    server = listener()
    client, accepted = pair(server)
    fill(accepted)
    client.shutdown(socket.SHUT_WR)
    wait_state(accepted, 8)
    accepted.shutdown(socket.SHUT_WR)
    wait_state(accepted, 9)
    return [server, client, accepted]


def closing() -> list[Socket]:
    """Hold CLOSING: both shut down, and one end's FIN waits behind data."""
    server = listener()
    client, accepted = pair(server)
    fill(client)
    client.shutdown(socket.SHUT_WR)
    accepted.shutdown(socket.SHUT_WR)
    wait_state(client, 11)
    return [server, client, accepted]


def time_wait() -> list[Socket]:
    """Hold TIME_WAIT for a minute: who closes first."""
    server = listener()
    client, accepted = pair(server)
    client.close()
    accepted.close()
    return [server]


def orphan() -> list[Socket]:
    """Hold an orphaned FIN_WAIT1: closed with data that the peer doesn't take."""
    server = listener()
    client, accepted = pair(server)
    fill(client)
    client.close()
    return [server, accepted]


def unaccepted(count: int = 3, backlog: int = 16) -> list[Socket]:
    """Hold connections that their server has not accepted."""
    server = listener(backlog=backlog)
    return [server, *(connect(server) for _ in range(count))]


def udp_bound(address: str = "127.0.0.1", port: int = 0, device: str = "") -> Socket:
    """Return a bound, unconnected UDP socket."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = hold(socket.socket(family, socket.SOCK_DGRAM))
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sock.bind((address, port))
    return sock


def udp_pair(address: str = "127.0.0.1") -> Pair:
    """Return a connected UDP socket and the bound one it sends to."""
    server = udp_bound(address)
    client = hold(socket.socket(server.family, socket.SOCK_DGRAM))
    client.connect((address, port_of(server)))
    return client, server


def link_local(device: str = "veth0") -> list[Socket]:
    """Hold a TCP listener and a UDP socket on the device's link-local address."""
    index = socket.if_nametoindex(device)
    held = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        sock = hold(socket.socket(socket.AF_INET6, kind))
        sock.bind(("fe80::1", 0, 0, index))
        held.append(sock)
    held[0].listen(4)
    return held


def reset_on_close(sock: Socket) -> None:
    """Let close() send RST, so that nothing stays behind."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


STATES: dict[str, Callable[[], list[Socket]]] = {
    "syn_sent": syn_sent,
    "syn_recv": syn_recv,
    "fin_wait1": fin_wait1,
    "fin_wait2": fin_wait2,
    "close_wait": fin_wait2,
    "time_wait": time_wait,
    "last_ack": last_ack,
    "closing": closing,
}


def everything() -> list[object]:
    """Hold one of each kind at least."""
    held: list[object] = [make() for make in dict.fromkeys(STATES.values())]
    held += [orphan(), unaccepted(), unaccepted(1, 0), unaccepted(4, 3), link_local()]
    for address in ("127.0.0.1", "::1"):
        server = listener(address)
        held += [server, pair(server), udp_bound(address), udp_pair(address)]
    dual = listener("::")
    only6 = listener("::", v6only=True)
    mapped = listener(MAPPED)
    held += [dual, pair(dual, "127.0.0.1"), pair(dual, "::1"), only6, mapped, pair(mapped)]
    wildcard = listener("0.0.0.0")
    held += [wildcard, pair(wildcard, "127.0.0.2"), udp_bound("0.0.0.0"), udp_bound("::")]
    held.append(udp_bound("0.0.0.0", 68, "veth0"))
    first = listener(reuse_port=True)
    held += [first, listener(port=port_of(first), reuse_port=True)]
    return held


def multipath() -> list[Socket]:
    """Hold an MPTCP listener and both ends of a connection to it."""
    server = listener(protocol=IPPROTO_MPTCP)
    client = connect(server, protocol=IPPROTO_MPTCP)
    accepted = hold(server.accept()[0])
    client.send(b"x")  # the path is whole once data has gone
    return [server, client, accepted]


def unaccepted_and_closed() -> list[Socket]:
    """Hold a CLOSE_WAIT that nobody has accepted: its client has closed already."""
    server, client = unaccepted(1)
    client.close()
    return [server]
