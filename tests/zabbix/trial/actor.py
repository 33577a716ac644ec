"""A process that does with sockets what it is told, a command a line; see actors.py.

It says `ok` when a command is done. What runs on meanwhile runs in threads.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import resource
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PR_SET_PDEATHSIG = 1
TIMEOUT_SECONDS = 10.0

kept: list[socket.socket] = []
"""Connections that are neither read nor closed."""

listeners: dict[int, socket.socket] = {}
descriptors: list[int] = []
children: list[int] = []
running: list[threading.Event] = []
"""What ends each thing that runs on."""


def listen(address: str, port: str, backlog: str) -> None:
    """Listen, and accept nothing."""
    listeners[int(port)] = socket.create_server((address, int(port)), backlog=int(backlog))


def keep(port: str) -> None:
    """Accept all that come to a port from now on, and keep them whatever the other side does."""
    _run_on(lambda: kept.append(listeners[int(port)].accept()[0]))


def hang_up(port: str) -> None:
    """Accept all that come to a port from now on, and close each at once."""

    def one() -> None:
        listeners[int(port)].accept()[0].close()

    _run_on(one)


def answer(port: str) -> None:
    """Accept all that come to a port from now on, and close them when the other side has."""
    poll = selectors.DefaultSelector()
    listener = listeners[int(port)]
    poll.register(listener, selectors.EVENT_READ)

    def one() -> None:
        for key, _ in poll.select():
            ready = key.fileobj
            assert isinstance(ready, socket.socket)
            if ready is listener:
                poll.register(ready.accept()[0], selectors.EVENT_READ)
            elif not _read(ready):
                poll.unregister(ready)
                ready.close()

    _run_on(one)


def _read(connection: socket.socket) -> bool:
    """Return whether the other side goes on."""
    try:
        return bool(connection.recv(4096))
    except OSError:
        return False


def connect(address: str, port: str, number: str, *payload: str) -> None:
    """Open connections and keep them; no answer is waited for. What is said to each is a path."""
    for _ in range(int(number)):
        client = socket.socket()
        client.setblocking(bool(payload))
        client.settimeout(TIMEOUT_SECONDS if payload else 0)
        with suppress(BlockingIOError):
            client.connect((address, int(port)))
        for path in payload:
            client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        kept.append(client)


def fill(path: str) -> None:
    """Open connections to a unix socket until there is no room in its queue, and keep them."""
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(path)
        except BlockingIOError:
            client.close()
            return
        kept.append(client)


def visit(address: str, port: str, number: str) -> None:
    """Open that many connections and close each at once."""
    for _ in range(int(number)):
        socket.create_connection((address, int(port)), TIMEOUT_SECONDS).close()


def visits(address: str, port: str, a_second: str) -> None:
    """Do so again and again until `close`, that many in a second."""
    _pace(lambda: visit(address, port, "1"), float(a_second))


def requests(address: str, port: str, path: str, a_second: str) -> None:
    """Ask for a page again and again until `close`, and read the answer to its end."""
    _pace(lambda: _ask(address, port, path), float(a_second))


def _ask(address: str, port: str, path: str) -> None:
    with socket.create_connection((address, int(port)), TIMEOUT_SECONDS) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        while client.recv(65536):
            pass


def exhaust(address: str, port: str, number: str) -> None:
    """Keep that many connections, and open and close others as long as there is a port."""
    connect(address, port, number)

    def one() -> None:
        try:
            visit(address, port, "1")
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                time.sleep(0.1)

    _run_on(one)


def knock(address: str, first: str, last: str) -> None:
    """Try to connect to each of these ports."""
    for port in range(int(first), int(last) + 1):
        with socket.socket() as client:
            client.settimeout(TIMEOUT_SECONDS)
            client.connect_ex((address, port))


def take(number: str, limit: str) -> None:
    """Have that limit of descriptors, and open files until *number* are open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
    while len(os.listdir("/proc/self/fd")) - 1 < int(number):
        descriptors.append(os.open("/dev/null", os.O_RDONLY))


def crowd(number: str) -> None:
    """Have that many children of other names and another user, each with a socket."""
    for each in range(int(number)):
        pid = os.fork()
        if pid:
            children.append(pid)
            continue
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write(f"crowd-{each}")
        os.setgid(65534)
        os.setuid(65534)
        with socket.socket(type=socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", 0))
            signal.pause()
        os._exit(0)


def jobs(address: str, port: str, path: str, number: str) -> None:
    """Have that many children, one after the other, of other names, that ask for a page."""
    for each in range(int(number)):
        pid = os.fork()
        if not pid:
            with open("/proc/self/comm", "w", encoding="ascii") as comm:
                comm.write(f"job-{each}")
            _ask(address, port, path)
            os._exit(0)
        os.waitpid(pid, 0)


def close() -> None:
    """Close and end all but the listeners and what accepts."""
    while running:
        running.pop().set()
    while kept:
        kept.pop().close()
    while descriptors:
        os.close(descriptors.pop())
    while children:
        os.kill(children[-1], signal.SIGKILL)
        os.waitpid(children.pop(), 0)


def _run_on(one: Callable[[], None]) -> None:
    stop = threading.Event()
    running.append(stop)

    def run() -> None:
        while not stop.is_set():
            one()

    threading.Thread(target=run, daemon=True).start()


def _pace(one: Callable[[], None], a_second: float) -> None:
    began = time.monotonic()
    done = itertools.count(1)

    def paced() -> None:
        with suppress(OSError):
            one()
        time.sleep(max(0.0, began + next(done) / a_second - time.monotonic()))

    _run_on(paced)


COMMANDS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (
        listen, keep, hang_up, answer, connect, fill, visit, visits, requests, exhaust, knock, take,
        crowd, jobs, close,
    )
}  # fmt: skip


def main() -> None:
    """Do what standard input says until it ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for line in sys.stdin:
        name, *arguments = line.split()
        COMMANDS[name](*arguments)
        sys.stdout.write("ok\n")
        sys.stdout.flush()
    close()


if __name__ == "__main__":
    main()
