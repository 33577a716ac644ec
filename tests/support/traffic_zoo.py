"""TCP connections of every kind, with the totals that each must add: what a kernel test expects.

The functions open and close connections over loopback, in the namespace that the caller is in, and
add to `expected`. Both ends of most are of the calling process.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable

from children import set_comm

SENT, ANSWERED = 300, 70
"""The bytes of payload that a client sends, and that it is answered."""

Server = tuple[bytes, int]
"""Address and port of a listener or of an upstream, as totals have them."""

Sums = dict[object, "Counter[str]"]
"""Totals by the fields, of each process (its comm), each listener (Server), or each upstream (the
process and the Server)."""

_V4, _V6 = socket.inet_aton("127.0.0.1"), socket.inet_pton(socket.AF_INET6, "::1")
TCP_FASTOPEN, MSG_FASTOPEN, TCP_SYNCNT, MPTCP = 23, 0x20000000, 7, 262
_PORTS = itertools.count(1000)


class Expected:
    """The totals that there must be, by fields, of each process, listener and upstream.

    Upstreams are told apart by the name of the process, too. Times, and fields that are 0, are
    left out.
    """

    def __init__(self) -> None:
        self.comm = read_comm()
        self.processes: Sums = {}
        self.listeners: dict[Server, Counter[str]] = {}
        self.upstreams: Sums = {}

    def outbound(self, server: Server, comm: bytes = b"", **counts: int) -> None:
        """Add what the connecting end counts."""
        comm = comm or self.comm
        self.processes.setdefault(comm, Counter()).update(counts)
        self.upstreams.setdefault((comm, server), Counter()).update(counts)

    def inbound(self, server: Server, **counts: int) -> None:
        """Add what the accepting end counts; this process listens."""
        self.processes.setdefault(self.comm, Counter()).update(counts)
        self.listeners.setdefault(server, Counter()).update(counts)

    def exchange(
        self,
        server: Server,
        upstream: Server | None = None,
        comm: bytes = b"",
        *,
        sent: int = SENT,
        answered: int = ANSWERED,
        closed: int = 1,
        by_client: int = 0,
        by_server: int = 0,
    ) -> None:
        """Add a whole connection; *by_client*, *by_server*: which end reset it."""
        self.outbound(
            upstream or server, comm, attempts=1, opened=1, closed=closed, resets=by_server,
            bytes_sent=sent, bytes_received=answered,
        )  # fmt: skip
        self.inbound(
            server, accepted=1, closed=closed, resets=by_client,
            bytes_sent=answered, bytes_received=sent,
        )  # fmt: skip


def read_comm() -> bytes:
    """Return the name of this process's main thread."""
    with open("/proc/self/comm", "rb") as file:
        return file.read().rstrip(b"\n")


def tcp_counter(name: str) -> int:
    """Return a counter of /proc/net/snmp, of the namespace that the caller is in."""
    with open("/proc/thread-self/net/snmp") as file:
        names, values = (line.split()[1:] for line in file if line.startswith("Tcp: "))
    return int(values[names.index(name)])


def sysctl(name: str, value: str) -> None:
    """Set a value of the namespace that the caller is in."""
    with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
        file.write(value)


def listener(
    address: str = "127.0.0.1", backlog: int = 16, *, protocol: int = 0
) -> tuple[socket.socket, Server]:
    """Return a listener at a free port, and what totals call it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    sock.bind((address, 0))
    sock.listen(backlog)
    return sock, (socket.inet_pton(family, address), sock.getsockname()[1])


def carry(client: socket.socket, accepted: socket.socket) -> None:
    """Send the payload, and the answer."""
    client.sendall(b"x" * SENT)
    accepted.recv(SENT, socket.MSG_WAITALL)
    accepted.sendall(b"y" * ANSWERED)
    client.recv(ANSWERED, socket.MSG_WAITALL)


def close_by_reset(sock: socket.socket) -> None:
    """Close without a FIN: the other end is reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def short_lived(expected: Expected, number: int = 20) -> None:
    """Connections that are closed by the client, and by the server, as soon as they are opened."""
    server, name = listener()
    for index in range(number):
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        carry(client, accepted)
        for end in (client, accepted) if index % 2 else (accepted, client):
            end.close()
        expected.exchange(name)
    server.close()


def without_payload(expected: Expected) -> None:
    """A connection that carries nothing, over a listener at any address."""
    server, name = listener("0.0.0.0")
    client = socket.create_connection(("127.0.0.1", name[1]))
    accepted, _ = server.accept()
    client.close()
    accepted.close()
    expected.exchange(name, (_V4, name[1]), sent=0, answered=0)
    server.close()


def of_threads(expected: Expected) -> None:
    """A thread of another name connects: the main thread's name counts."""
    server, name = listener()

    def connect() -> None:
        set_comm(b"a-thread")
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        carry(client, accepted)
        client.close()
        accepted.close()

    for _ in range(3):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        expected.exchange(name)
    server.close()


def of_short_lived_processes(expected: Expected, comm: bytes = b'a "(\n\xff{$}') -> None:
    """Each connection is of a process that ends with it, and has a hostile name."""
    server, name = listener()
    for _ in range(5):
        pid = os.fork()
        if not pid:
            set_comm(comm)
            client = socket.create_connection(server.getsockname())
            client.sendall(b"x" * SENT)
            client.recv(ANSWERED, socket.MSG_WAITALL)
            os._exit(0)
        accepted, _ = server.accept()
        accepted.recv(SENT, socket.MSG_WAITALL)
        accepted.sendall(b"y" * ANSWERED)
        accepted.recv(1)
        accepted.close()
        os.waitpid(pid, 0)
        expected.exchange(name, comm=comm)
    server.close()


def inherited(expected: Expected) -> None:
    """A child goes on with the connection that its parent opened: it stays the parent's."""
    server, name = listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    pid = os.fork()
    if not pid:
        set_comm(b"a-child")
        carry(client, accepted)
        os._exit(0)
    os.waitpid(pid, 0)
    client.close()
    accepted.close()
    expected.exchange(name)
    server.close()


def refused(expected: Expected) -> None:
    """Nobody listens there any more."""
    server, name = listener()
    server.close()
    for _ in range(3):
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", name[1]))
        expected.outbound(name, attempts=1, failed=1)


def _deaf(expected: Expected) -> tuple[socket.socket, socket.socket, Server]:
    """Return a listener whose queue one connection fills, that connection, and the listener's name.

    Closing the listener resets that connection.
    """
    server, name = listener(backlog=0)
    held = socket.create_connection(server.getsockname())
    expected.exchange(name, sent=0, answered=0, by_server=1)
    return server, held, name


def timed_out(expected: Expected) -> None:
    """A full accept queue answers to no SYN: one is sent again, and then it has timed out."""
    server, held, name = _deaf(expected)
    before = tcp_counter("RetransSegs")
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_TCP, TCP_SYNCNT, 1)
        assert client.connect_ex(("127.0.0.1", name[1]))
    expected.outbound(name, attempts=1, failed=1, retransmitted=tcp_counter("RetransSegs") - before)
    server.close()
    held.close()


def unreachable(expected: Expected) -> None:
    """No such neighbour: an ICMP error ends the attempt.

    The port is another one each time: an upstream begins again where a namespace has the number of
    one that is gone.
    """
    port = next(_PORTS)
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_TCP, TCP_SYNCNT, 1)
        error = client.connect_ex(("192.0.2.99", port))
    assert error
    name = socket.inet_aton("192.0.2.99"), port
    expected.outbound(name, attempts=1, failed=1)


def without_route(expected: Expected) -> None:
    """What is refused before a SYN could be sent is no attempt."""
    del expected
    with socket.socket() as client:
        assert client.connect_ex(("198.51.100.1", 9))


def given_up(expected: Expected) -> None:
    """The caller closes a socket that is still connecting."""
    server, held, name = _deaf(expected)
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", name[1]))
    client.close()
    expected.outbound(name, attempts=1, abandoned=1)
    server.close()
    held.close()


def without_a_port(expected: Expected) -> None:
    """No ephemeral port is left: the attempt is abandoned, and the kernel opens nothing."""
    server, name = listener()
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        usual = file.read()
    sysctl("ip_local_port_range", "40000 40000")
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    with socket.socket() as other:
        assert other.connect_ex(server.getsockname())
    sysctl("ip_local_port_range", usual)
    expected.outbound(name, attempts=1, abandoned=1)
    carry(client, accepted)
    client.close()
    accepted.close()
    expected.exchange(name)
    server.close()


def reset_by_either(expected: Expected) -> None:
    """One end resets; the other one has received that."""
    server, name = listener()
    for by_client in (0, 1):
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        carry(client, accepted)
        first, second = (client, accepted) if by_client else (accepted, client)
        close_by_reset(first)
        second.close()
        expected.exchange(name, by_client=by_client, by_server=1 - by_client)
    server.close()


def reset_while_reading(expected: Expected) -> None:
    """The other end learns of the reset from recv(), and closes then."""
    server, name = listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    carry(client, accepted)
    close_by_reset(client)
    try:
        accepted.recv(1)
    except ConnectionResetError:
        pass
    else:
        raise AssertionError("it was not reset")
    accepted.close()
    expected.exchange(name, by_client=1)
    server.close()


def half_closed(expected: Expected) -> None:
    """The client says that it is done; the answer comes behind that."""
    server, name = listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    client.sendall(b"x" * SENT)
    client.shutdown(socket.SHUT_WR)
    accepted.recv(SENT, socket.MSG_WAITALL)
    assert accepted.recv(1) == b""
    accepted.sendall(b"y" * ANSWERED)
    accepted.close()
    client.recv(ANSWERED, socket.MSG_WAITALL)
    client.close()
    expected.exchange(name)
    server.close()


def over_ipv6(expected: Expected) -> None:
    """At one address, and at any."""
    for address in ("::1", "::"):
        server, name = listener(address)
        client = socket.create_connection(("::1", name[1]))
        accepted, _ = server.accept()
        carry(client, accepted)
        client.close()
        accepted.close()
        expected.exchange(name, (_V6, name[1]))
        server.close()


def v4_mapped(expected: Expected) -> None:
    """An IPv6 socket connects to a mapped address: to the totals it is the IPv4 one."""
    server, name = listener("::")
    client = socket.create_connection(("::ffff:127.0.0.1", name[1]))
    accepted, _ = server.accept()
    carry(client, accepted)
    client.close()
    accepted.close()
    expected.exchange(name, (_V4, name[1]))
    server.close()


def fast_open(expected: Expected) -> None:
    """The first bytes come with the SYN."""
    sysctl("tcp_fastopen", str(0x607))  # without cookies, on either side
    server, name = listener()
    server.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
    for _ in range(3):
        client = socket.socket()
        client.sendto(b"x" * SENT, MSG_FASTOPEN, server.getsockname())
        accepted, _ = server.accept()
        accepted.recv(SENT, socket.MSG_WAITALL)
        accepted.sendall(b"y" * ANSWERED)
        client.recv(ANSWERED, socket.MSG_WAITALL)
        client.close()
        accepted.close()
        expected.exchange(name)
    server.close()


def without_backlog(expected: Expected) -> None:
    """Connections of listen(0), which inherit nothing that tells them from others."""
    server, name = listener(backlog=0)
    for _ in range(3):
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        carry(client, accepted)
        client.close()
        accepted.close()
        expected.exchange(name)
    server.close()


def simultaneous(expected: Expected) -> None:
    """A socket connects to itself: both ends open, nobody accepts. It gets what it sends."""
    with socket.socket() as client:
        client.bind(("127.0.0.1", 0))
        client.connect(client.getsockname())
        name = _V4, client.getsockname()[1]
        client.sendall(b"x" * SENT)
        client.recv(SENT, socket.MSG_WAITALL)
    expected.outbound(name, attempts=1, opened=1, closed=1, bytes_sent=SENT, bytes_received=SENT)


def syn_cookies(expected: Expected) -> None:
    """The listener keeps nothing until the handshake is complete."""
    sysctl("tcp_syncookies", "2")
    short_lived(expected, 4)
    sysctl("tcp_syncookies", "1")


def unaccepted(expected: Expected) -> None:
    """Nobody calls accept(), and then the listener closes, which resets the connection."""
    server, name = listener()
    client = socket.create_connection(server.getsockname())
    client.sendall(b"x" * SENT)
    server.close()
    expected.exchange(name, answered=0, by_server=1)
    client.close()


def after_its_listener(expected: Expected) -> None:
    """The connection goes on when its listener is gone."""
    server, name = listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    server.close()
    carry(client, accepted)
    client.close()
    accepted.close()
    expected.exchange(name)


def again_on_one_socket(expected: Expected) -> None:
    """A socket is refused first, dissolves what it opened, and connects anew."""
    server, name = listener()
    gone, nobody = listener()
    gone.close()
    client = socket.socket()
    assert client.connect_ex(("127.0.0.1", nobody[1]))
    expected.outbound(nobody, attempts=1, failed=1)
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(2):
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        carry(client, accepted)
        expected.exchange(name, by_client=1)
        assert not libc.connect(client.fileno(), bytes(16), 16)  # AF_UNSPEC: disconnect
        accepted.close()
    client.close()
    server.close()


def by_mptcp(expected: Expected) -> None:
    """An MPTCP connection counts as its first subflow."""
    try:
        server, name = listener(protocol=MPTCP)
    except OSError:
        return
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    carry(client, accepted)
    client.close()
    accepted.close()
    expected.exchange(name)
    server.close()


Kind = Callable[[Expected], None]
KINDS: tuple[Kind, ...] = (
    *(short_lived, without_payload, of_threads, of_short_lived_processes, inherited, refused),
    *(timed_out, unreachable, without_route, given_up, without_a_port, reset_by_either),
    *(
        reset_while_reading,
        half_closed,
        over_ipv6,
        v4_mapped,
        fast_open,
        without_backlog,
        simultaneous,
        syn_cookies,
    ),
    *(unaccepted, after_its_listener, again_on_one_socket, by_mptcp),
)
