"""Sockets that a process keeps where no descriptor tells of it: they are seen, without an owner."""

from __future__ import annotations

import array
import ctypes
import os
import socket
from collections.abc import Callable, Iterator

import pytest
import zoo
from json_documents import json_document

from zabbix_sockets import Query, collect

SETUP, REGISTER = 425, 427  # io_uring_setup(2), io_uring_register(2), on all machines
REGISTER_FILES = 2
PORT = 7099


def in_a_ring(listener: socket.socket) -> int:
    """Keep a socket in the table of files of an io_uring; return the ring's descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    ring: int = libc.syscall(SETUP, 4, ctypes.create_string_buffer(120))
    if ring < 0:
        pytest.skip(f"no io_uring here: {os.strerror(ctypes.get_errno())}")
    files = (ctypes.c_int * 1)(listener.fileno())
    assert libc.syscall(REGISTER, ring, REGISTER_FILES, files, 1) == 0
    return ring


def in_flight(listener: socket.socket) -> int:
    """Keep a socket in a message that nobody receives; return a descriptor of its way."""
    one, other = socket.socketpair(socket.AF_UNIX)
    sent = array.array("i", [listener.fileno()])
    one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)])
    one.close()
    return other.detach()


@pytest.fixture(params=[in_a_ring, in_flight])
def hidden(request: pytest.FixtureRequest) -> Iterator[None]:
    """A listener of this process, kept that way alone."""
    hide: Callable[[socket.socket], int] = request.param
    listener = socket.socket()
    listener.bind(("127.0.0.1", PORT))
    listener.listen()
    kept = hide(listener)
    listener.close()
    yield
    os.close(kept)


@pytest.mark.parametrize("source", ["bpf", "sock_diag", "procfs"])
@pytest.mark.usefixtures("hidden")
def test_is_counted_and_listed(source: str, pins: str) -> None:
    """The row of the listener is there, with no process, and the socket counts as unowned."""
    zoo.listener(port=PORT + 1)
    document = json_document(collect(Query(source, netns="own", pins=pins, timeout=30)))
    rows = {row["id"]: row for row in document["listeners"]}
    assert rows[f"tcp/127.0.0.1:{PORT}"]["process"] == ""
    assert rows[f"tcp/127.0.0.1:{PORT + 1}"]["process"]
    assert document["collector"]["unowned"] == 1
