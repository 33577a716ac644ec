"""Opens any number of connected TCP sockets over many processes, and holds them.

    python tests/bench/load.py --sockets 100000 --processes 200

Both ends of a connection are in the same process, over loopback. Every process listens on a
loopback address and port of its own, so that no pair of addresses runs out of ephemeral ports.

Once its sockets are open, a process becomes cat(1), which waits for the end of its input: it needs
a tenth of Python's memory, and ends with its parent whatever that dies of.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import gc
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NoReturn

if not __package__:  # run by itself
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.bench.traffic import Pair, exchange

MAX_SOCKETS = 1_000_000
MAX_PROCESSES = 20_000
LISTENERS_BASE = 0x7F010000  # 127.1.0.0
UPSTREAMS_BASE = 0x7F400000  # 127.64.0.0
SOURCES_BASE = 0x7F800000  # 127.128.0.0
CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1  # linux/sched.h, sockios.h, if.h
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: connect(2) chooses the port
PORTS_BASE = 2_000  # with one port per process still below the ephemeral range
PAIRS_PER_LISTENER = 10_000  # a third of the ephemeral range, so that free ports are found quickly
SPARE_DESCRIPTORS = 64
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER 0: no TIME_WAIT stays for the next load
GRACE_SECONDS = 30.0

Progress = Callable[[int, int], None]  # processes that are ready, of how many


class LoadError(Exception):
    """The load could not be set up in full; nothing of it is left."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a load looks like.

    Attributes:
        sockets: Connected sockets in all, an odd number rounded up; listeners are extra.
        processes: How many processes share them.
        names: How many different process names they have, at least 1.
        distinct_upstreams: Each connection has two addresses of its own: all remote ends differ.
        shared: This many processes hold the same sockets: one opened them, and the others
            inherited every one of them by fork.
        namespaces: Each process has a network namespace of its own; this takes root.
        traffic: Most connections have carried data, and their round-trip times differ.
        seconds: The processes end after this time, whatever happens to their parent.
    """

    sockets: int
    processes: int = 200
    names: int = 10
    distinct_upstreams: bool = False
    shared: int = 1
    namespaces: bool = False
    traffic: bool = False
    seconds: float = 3600.0

    def __post_init__(self) -> None:
        if not (0 <= self.sockets <= MAX_SOCKETS and 0 < self.processes <= MAX_PROCESSES):
            raise LoadError(f"at most {MAX_SOCKETS:,} sockets and {MAX_PROCESSES:,} processes")
        if self.shared < 1 or self.processes % self.shared:
            raise LoadError(f"{self.processes} processes can't be shared out by {self.shared}")

    def pairs(self, index: int) -> range:
        """The numbers of the connections of opener *index*, of all connections."""
        total, openers = (self.sockets + 1) // 2, self.processes // self.shared
        return range(total * index // openers, total * (index + 1) // openers)


class Load:
    """A context manager: the sockets are open inside, and gone without a trace after it."""

    def __init__(self, shape: Shape, progress: Progress | None = None) -> None:
        self._shape = shape
        self._progress = progress
        self._pids: list[int] = []
        self._stop = -1
        self._links = ""

    def __enter__(self) -> Load:
        count = self._shape.processes // self._shape.shared
        gc.freeze()  # a collection in each of many children would copy the heap that they share
        try:
            with tempfile.TemporaryDirectory() as self._links:
                _link_names(self._links, self._shape.names)
                self._open(count)
        except BaseException:
            self.close(grace=0)
            raise
        finally:
            gc.unfreeze()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, count: int) -> None:
        stop, self._stop = os.pipe()
        reports, report = os.pipe()
        try:
            for index in range(count):
                self._start(Worker(self._shape, index, self._links, stop, report))
            os.close(report)
            self._wait(reports, count)
        finally:
            os.close(stop)
            os.close(reports)

    def _start(self, worker: Worker) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # only the parent answers Ctrl-C
        try:
            if pid := os.fork():
                self._pids.append(pid)
            else:
                worker.run(self._stop)
        except OSError as exc:
            raise LoadError(f"cannot start process {worker.index}: {exc}") from exc
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])

    def _wait(self, reports: int, count: int) -> None:
        """Return when every process has reported and closed *reports*."""
        text = b""
        while chunk := os.read(reports, 1 << 16):
            text += chunk
            if failures := set(text.split(b"\n")[:-1]) - {b"ready"}:
                raise LoadError(min(failures).decode(errors="replace"))
            if self._progress:
                self._progress(text.count(b"\n"), count)
        if (done := text.count(b"\n")) < count:
            raise LoadError(f"only {done} of {count} processes became ready")

    def close(self, grace: float = GRACE_SECONDS) -> None:
        """End the processes, and return when all are gone; kill what needs more than *grace*."""
        if self._stop >= 0:
            os.close(self._stop)
            self._stop = -1
        deadline = time.monotonic() + grace
        for pid in self._pids:
            _reap(pid, deadline)
        self._pids.clear()


def _reap(pid: int, deadline: float) -> None:
    """Wait for a child of this process; after *deadline* (monotonic seconds) kill it."""
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _link_names(directory: str, names: int) -> None:
    """Make the names under which cat is run: a process is called by the file that it executes."""
    if not (cat := shutil.which("cat")):
        raise LoadError("no cat(1) in the PATH")
    for number in range(names):
        os.symlink(cat, f"{directory}/load-{number}")


@dataclass(frozen=True, slots=True)
class Worker:
    """A process of a load, seen from inside."""

    shape: Shape
    index: int
    links: str  # the directory with the names that it can have
    stop: int  # a pipe that ends when the load does
    report: int  # a pipe that takes one line, and is closed when the process is as it will stay

    def run(self, parents_stop: int) -> NoReturn:
        """Open the sockets and stay; *parents_stop* is the other end of stop."""
        try:
            signal.setitimer(signal.ITIMER_REAL, self.shape.seconds)  # also ends a cat
            os.close(parents_stop)  # a copy here would keep the others from seeing the end
            if self.shape.namespaces:
                _enter_new_namespace()
            _open(self.shape, self.index)
            if self.shape.shared > 1:
                self._stay_with_heirs()
            os.write(self.report, b"ready\n")
            self._become_cat()
        except (OSError, LoadError) as exc:
            os.write(self.report, f"process {self.index}: {exc}\n".encode())
        finally:
            os._exit(1)

    def _become_cat(self) -> NoReturn:
        os.dup2(self.stop, 0)
        os.execv(f"{self.links}/load-{self.index % self.shape.names}", ["cat"])

    def _stay_with_heirs(self) -> NoReturn:
        """Start the processes that inherit every descriptor of this one, and wait for them."""
        pids = []
        for _ in range(1, self.shape.shared):
            if not (pid := os.fork()):
                signal.setitimer(signal.ITIMER_REAL, self.shape.seconds)  # not inherited
                self._become_cat()
            pids.append(pid)
        os.write(self.report, b"ready\n")
        os.close(self.report)
        for pid in pids:
            os.waitpid(pid, 0)
        os._exit(0)


def _enter_new_namespace() -> None:
    """Have a network namespace with loopback up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise LoadError(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def _open(shape: Shape, index: int) -> None:
    """Open the sockets of process *index*, to stay open until it ends."""
    pairs = shape.pairs(index)
    step = max(1, len(pairs)) if shape.distinct_upstreams else PAIRS_PER_LISTENER
    _allow_descriptors(2 * len(pairs) + len(pairs) // step + SPARE_DESCRIPTORS)
    for start in range(pairs.start, max(pairs.stop, pairs.start + 1), step):
        listener = _listen(shape, index, (start - pairs.start) // step)
        opened = [
            _connect(shape, listener, pair) for pair in range(start, min(start + step, pairs.stop))
        ]
        if shape.traffic:
            exchange(opened)
        for end in chain([listener], *opened):
            _keep(end)


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))
    except (OSError, ValueError):
        raise LoadError(f"needs {count} descriptors, of which {hard} are allowed") from None


def _listen(shape: Shape, index: int, number: int) -> socket.socket:
    """Open listener *number* of process *index*."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    address = _address(0 if shape.distinct_upstreams else LISTENERS_BASE + index * 64 + number)
    try:
        listener.bind((address, PORTS_BASE + index))
    except OSError:
        listener.bind((address, 0))  # another program of this namespace has that port
    listener.listen(16)
    return listener


def _connect(shape: Shape, listener: socket.socket, pair: int) -> Pair:
    """Open and return both ends of connection *pair* of all."""
    address, port = listener.getsockname()
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if shape.distinct_upstreams:
        address = _address(UPSTREAMS_BASE + pair)
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((_address(SOURCES_BASE + pair), 0))
    client.connect((address, port))
    accepted = listener.accept()[0]
    for end in (client, accepted):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return client, accepted


def _keep(end: socket.socket) -> None:
    """Leave the descriptor open, for good and for the program that this process becomes."""
    end.set_inheritable(True)
    end.detach()


def _address(number: int) -> str:
    return socket.inet_ntoa(number.to_bytes(4, "big"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hold connected TCP sockets until interrupted.")
    for name, count in {"sockets": 10_000, "processes": 200, "names": 10, "shared": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--distinct-upstreams", action="store_true")
    parser.add_argument("--namespaces", action="store_true")
    parser.add_argument("--traffic", action="store_true")
    parser.add_argument("--seconds", type=float, default=3600.0)
    return parser.parse_args()


def main() -> int:
    """Print "ready" when all sockets are open; stay until SIGINT, SIGTERM or the time is over."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        shape = Shape(**vars(_arguments()))
        with Load(shape):
            print("ready", flush=True)
            time.sleep(shape.seconds)
    except KeyboardInterrupt:
        pass
    except LoadError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
