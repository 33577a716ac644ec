"""Connections being opened (SYN_RECV): they are their listener's, whoever tells of them."""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import netns
import pytest
import ss
import zoo
from children import Child
from json_documents import json_document

from zabbix_sockets import Query, Snapshot, collect
from zabbix_sockets.document.count import count

SOURCES = ("bpf", "sock_diag", "procfs")

Collect = Callable[..., Snapshot]


@pytest.fixture(params=SOURCES)
def read(request: pytest.FixtureRequest, pins: str) -> Collect:
    """Return what collects from each source."""
    return lambda wanted="own": collect(Query(request.param, 30, pins=pins, netns=wanted))


def deferring(address: str, port: int, device: str = "") -> socket.socket:
    """Return a listener whose connections wait for data before they count."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = zoo.hold(socket.socket(family))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if device:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind((address, port))
    server.listen(16)
    return server


def connect(to: str, port: int) -> None:
    """Open a connection that stays in SYN_RECV at the other end."""
    client = zoo.hold(socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET))
    address, _, scope = to.partition("%")
    client.connect((address, port, 0, socket.if_nametoindex(scope)) if scope else (to, port))


def figures(snapshot: Snapshot) -> dict[str, tuple[int, int, int]]:
    """Return each process's connections being opened, its listeners, and all its sockets."""
    rows = json_document(snapshot)["processes"]
    assert isinstance(rows, list)
    return {
        row["id"]: (row["tcp"]["syn_recv"], row["tcp"]["listen"], row["sockets"]) for row in rows
    }


LISTENERS = {
    b"exact": [("127.0.0.1", 7401, "")],
    b"wildcard": [("0.0.0.0", 7402, "")],
    b"dual": [("::", 7403, "")],
    b"device": [("192.0.2.1", 7404, "veth0")],
    b"two": [("127.0.0.1", 7405, ""), ("::1", 7405, "")],
    b"reused-1": [("127.0.0.1", 7406, "")],
    b"reused-2": [("127.0.0.1", 7406, "")],
    b"idle": [("127.0.0.1", 7407, "")],
}
CLIENTS = [
    *[("127.0.0.1", 7401)] * 2,
    *[("127.0.0.2", 7402)] * 3,
    *[("127.0.0.1", 7403), ("::1", 7403), ("fe80::1%veth0", 7403)],
    *[("127.0.0.1", 7405), ("::1", 7405)],
    *[("127.0.0.1", 7406)] * 5,
]


def test_requests_are_their_listeners(read: Collect) -> None:
    """By address, wildcard, dual stack and device; they are no sockets of the process yet.

    Those at a port that two processes share (SO_REUSEPORT) are both's.
    """
    peer = f"zs{os.getpid()}-peer"
    with netns.named(peer), ExitStack() as children:
        netns.ip("link", "set", "veth1", "netns", peer)
        netns.ip("-n", peer, "address", "add", "192.0.2.2/24", "dev", "veth1")
        netns.ip("-n", peer, "link", "set", "veth1", "up")
        for name, places in LISTENERS.items():
            listen = partial(lambda places: [deferring(*each) for each in places], places)
            children.enter_context(Child(listen, name))
        for each in CLIENTS:
            connect(*each)
        with netns.inside(peer):
            for _ in range(4):
                connect("192.0.2.1", 7404)
        waiting = [each for each in ss.read_ss() if each.state == "syn_recv"]
        assert len(waiting) == len(CLIENTS) + 4
        snapshot = read()
        found = figures(snapshot)
        counted = count(snapshot, "dual", "tcp", "syn_recv"), count(snapshot, "dual", "tcp")
    assert {name: found[name] for name in map(os.fsdecode, LISTENERS)} == {
        "exact": (2, 1, 1),
        "wildcard": (3, 1, 1),
        "dual": (3, 1, 1),
        "device": (4, 1, 1),
        "two": (2, 2, 2),
        "reused-1": (5, 1, 1),
        "reused-2": (5, 1, 1),
        "idle": (0, 1, 1),
    }
    assert counted == (3, 1)
    host = json_document(snapshot)["host"]
    assert isinstance(host, dict)
    assert host["tcp"]["syn_recv"] == len(waiting)


def test_shared_listener(read: Collect) -> None:
    """Forked workers of one name have them once, a helper that holds the listener too."""
    server = deferring("127.0.0.1", 7408)
    with (
        Child(lambda: server, b"worker"),
        Child(lambda: server, b"worker"),
        Child(lambda: server, b"helper"),
    ):
        for _ in range(3):
            connect("127.0.0.1", 7408)
        found = figures(read())
    assert found["worker"] == found["helper"] == (3, 1, 1)


def test_requests_in_another_namespace(read: Collect) -> None:
    """They are told by each source, by the iterator as many as the listener has."""
    name = f"zs{os.getpid()}-requests"

    def listen(comm: bytes, address: str) -> Child:
        def inside() -> object:
            netns.enter(netns.path_of(name))
            held = [deferring(address, 7409)]
            for _ in range(4):
                connect("127.0.0.1", 7409)
            return held

        return Child(inside, comm)

    with netns.named(name), listen(b"elsewhere", "::"):
        snapshot = read("all")
        assert figures(snapshot)["elsewhere"] == (4, 1, 5)
        assert count(snapshot, "elsewhere", "tcp", "syn_recv") == 4
        document = json_document(read(name))
        (listener,) = [row for row in document["listeners"] if row["id"] == f"tcp/[::]:7409@{name}"]
        assert listener["established"] == 0
