"""Sockets that stay while thousands of others come and go."""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from children import Child

from zabbix_sockets import Snapshot

NAME = b"stable"
SOCKETS = 60
ROWS = 4 * SOCKETS
"""The stable sockets: of each address a listener, both ends of a connection, and a bound one."""
CHURNERS = 2


def _open_stable() -> list[socket.socket]:
    """Open listeners, connections and UDP sockets, each with an address of its own."""
    held = []
    for number in range(1, SOCKETS + 1):
        server = socket.create_server((f"127.1.0.{number}", 5000))
        client = socket.create_connection(server.getsockname())
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind((f"127.1.0.{number}", 6000))
        held += [server, client, server.accept()[0], bound]
    return held


def _churn() -> None:
    """Open and close sockets, and start and end processes that hold some, without end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        held = []
        for _ in range(40):
            server = socket.create_server(("127.2.0.1", 0))
            client = socket.create_connection(server.getsockname())
            linger = b"\1\0\0\0\0\0\0\0"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            bound.bind(("127.2.0.1", 0))
            held += [server, client, bound]
        if not os.fork():
            os._exit(0)
        for sock in held:
            sock.close()


@contextmanager
def sockets_under_churn() -> Iterator[None]:
    """Hold the stable sockets in a process of their own, beside processes that churn."""
    with ExitStack() as children:
        children.enter_context(Child(_open_stable, NAME))
        for _ in range(CHURNERS):
            children.enter_context(Child(_Churner()))
        yield


class _Churner:
    """Work for a Child that is ready as soon as it starts: its own child churns."""

    def __call__(self) -> object:
        parent = os.getpid()
        if not os.fork():
            _die_with(parent)
            _churn()
        return None


def _die_with(parent: int) -> None:
    import ctypes  # noqa: PLC0415

    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(0)


def wrong_counts(snapshot: Snapshot) -> dict[str, int]:
    """Return, by protocol, how many stable sockets are missing or doubled."""
    owners = {
        number
        for number, members in snapshot.owners.items()
        if any(snapshot.processes[index].name == NAME.decode() for index in members)
    }
    seen: Counter[tuple[str, str, bytes | None, int | None]] = Counter()
    for listener in snapshot.listeners:
        if listener.owner in owners:
            seen[listener.protocol, "listener", listener.address, listener.port] += 1
    for connection, count in snapshot.connections.items():
        if connection.owner in owners:
            key = "tcp", connection.direction, connection.address, connection.port
            seen[key] += count
    wrong = {"tcp": 0, "udp": 0}
    for number in range(1, SOCKETS + 1):
        address = bytes((127, 1, 0, number))
        for protocol, kind, port in (
            ("tcp", "listener", 5000),
            ("tcp", "inbound", 5000),
            ("tcp", "outbound", 5000),
            ("udp", "listener", 6000),
        ):
            wrong[protocol] += abs(seen.pop((protocol, kind, address, port), 0) - 1)
    wrong["tcp"] += sum(seen.values())
    return wrong
