"""What goes on around those that are watched: sockets, processes and namespaces come and go."""

from __future__ import annotations

import ctypes
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from children import Child
from rounds import SOAK_CONNECTIONS

from ..agents import free_port  # noqa: TID252  # a test folder is no installed package

PROCESSES = 8
"""Processes that live for a second or two, at any time; some have their own namespace."""

BUCKETS = Path("/proc/sys/net/ipv4/tcp_max_tw_buckets")
MOST_IN_TIME_WAIT = 20_000

_SOURCE = Path(__file__).with_name("churn.c")
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PAUSE = 0.2  # seconds between two processes that come
_NAMES = 40
_OWN_NAMESPACE = 1 / 5  # of the processes


@contextmanager
def churn(folder: Path) -> Iterator[None]:
    """Let connections, processes and namespaces come and go."""
    before = BUCKETS.read_text()
    program = folder / "churn"
    subprocess.run(["cc", "-O2", "-o", program, _SOURCE], check=True)
    BUCKETS.write_text(str(MOST_IN_TIME_WAIT))
    with ExitStack() as stack:
        stack.callback(BUCKETS.write_text, before)
        command = [str(program), str(free_port()), str(SOAK_CONNECTIONS)]
        running = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE))
        stack.callback(running.kill)
        coming = threading.Thread(target=_come_and_go, daemon=True)
        stack.enter_context(Child(coming.start, b"world"))
        yield
        assert running.poll() is None, "connections have ended"


def _come_and_go() -> None:
    """Start processes for ever, and end each a while later."""
    chance = random.Random(20)
    living: list[Child] = []
    while True:
        time.sleep(_PAUSE)
        name = f"comes {chance.randrange(_NAMES)}".encode()
        is_own = chance.random() < _OWN_NAMESPACE
        living.append(Child(_in_namespace if is_own else _listen, name))
        if len(living) > PROCESSES:
            living.pop(0).end()


def _listen() -> list[socket.socket]:
    """Hold a listener and a connection to it, both ends, until the one who started this ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    return [listener, client, listener.accept()[0]]


def _in_namespace() -> list[socket.socket]:
    """Do that in a network namespace of its own, which ends with this process."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return _listen()
