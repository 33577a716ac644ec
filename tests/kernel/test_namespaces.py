"""Network namespaces other than the caller's own: each source sees what `ss -N` sees there."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import netns
import pytest
import ss
import zoo
from children import Child, run_as
from json_documents import JsonDocument, json_document
from rounds import NAMESPACES

from zabbix_sockets import Query, collect, iter_sockets
from zabbix_sockets.document.document import NO_LIMITS
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.snapshot import ALL_NETNS

SOURCES = ("bpf", "sock_diag", "procfs")
NOBODY_UID = 65534


def name_of(index: int) -> str:
    """Return the name of a namespace of this test's own."""
    return f"zs{os.getpid()}-{index}"


def listen_and_connect(name: str) -> object:
    """Enter a namespace for good, and hold a listener, a connection and a UDP socket there."""
    netns.enter(netns.path_of(name))
    server = zoo.listener("127.0.0.1", 7300)
    return server, zoo.pair(server), zoo.udp_bound("127.0.0.1")


@pytest.fixture(scope="module")
def many() -> Iterator[list[str]]:
    """Return the names of many namespaces: each second one has a process.

    In the others this process has sockets, though it is not in them.
    """
    if os.geteuid():
        pytest.skip("network namespaces need root")
    names = [name_of(index) for index in range(NAMESPACES)]
    with netns.named(*names), ExitStack() as stack:
        for name in names[1::2]:
            stack.enter_context(Child(partial(listen_and_connect, name), b"inhabitant"))
        for name in names[::2]:
            with netns.inside(name):
                server = zoo.listener("127.0.0.1", 7300)
                for each in (server, *zoo.pair(server)):
                    stack.enter_context(each.dup())  # each test releases what zoo holds
        zoo.release()
        yield names


def document_of(source: str | None, pins: str, netns_wanted: str = ALL_NETNS) -> JsonDocument:
    """Return the document of all namespaces, or of one."""
    return json_document(collect(Query(source, 30, pins=pins, netns=netns_wanted)), NO_LIMITS)


def listeners_of(document: JsonDocument) -> dict[str, JsonDocument]:
    """Return the rows of listeners by their ids."""
    rows = document["listeners"]
    assert isinstance(rows, list)
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize("source", SOURCES)
def test_agrees_with_ss(many: list[str], pins: str, source: str) -> None:
    """Every socket of every namespace, with its owner, as `ss -N` has it."""
    seen: dict[str, list[ss.SsSocket]] = {name: [] for name in many}
    exact = source != "procfs"
    for row in iter_sockets(Query(source, 60, pins=pins, netns=ALL_NETNS)):
        name = row.netns.partition(" ")[0]
        if name in seen:
            seen[name].append(ss.as_ss(row, backlog=exact, device=exact))
    for name, rows in seen.items():
        lines = ss.read_ss(name)
        expected = lines if exact else [ss.expected_of_procfs(line) for line in lines]
        assert len(expected) >= 3
        assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("source", SOURCES)
def test_document(many: list[str], pins: str, source: str) -> None:
    """Each namespace's listener has a row of its own, with what it accepted."""
    document = document_of(source, pins)
    rows = listeners_of(document)
    for index, name in enumerate(many):
        row = rows[f"tcp/127.0.0.1:7300@{name}"]
        assert (row["netns"], row["established"], row["sockets"]) == (name, 1, 1)
        assert row["process"] == ("inhabitant" if index % 2 else row["process"])
        assert row["processes"] == 1
    collector = document["collector"]
    assert isinstance(collector, dict)
    assert collector["namespaces"] > NAMESPACES
    assert collector["namespaces_skipped"] == 0
    processes = document["processes"]
    assert isinstance(processes, list)
    (inhabitants,) = [row for row in processes if row["name"] == "inhabitant"]
    assert inhabitants["instances"] == NAMESPACES // 2
    assert inhabitants["tcp"]["listen"] == NAMESPACES // 2
    assert inhabitants["tcp"]["inbound"] == inhabitants["tcp"]["outbound"] == NAMESPACES // 2


@pytest.mark.parametrize("source", SOURCES)
def test_one_namespace(many: list[str], pins: str, source: str) -> None:
    """A namespace by its name or number: its rows alone, and the host's figures all the same."""
    zoo.listener(port=7301)
    number = os.stat(netns.path_of(many[1])).st_ino
    for wanted in (many[1], str(number)):
        document = document_of(source, pins, wanted)
        assert set(listeners_of(document)) - {"(absent)"} == {
            f"tcp/127.0.0.1:7300@{many[1]}",
            *(each for each in listeners_of(document) if each.startswith("udp/127.0.0.1:")),
        }
        processes = document["processes"]
        assert isinstance(processes, list)
        (row,) = [row for row in processes if row["id"] != "(absent)"]
        assert (row["name"], row["instances"], row["sockets"]) == ("inhabitant", 1, 4)
        host = document["host"]
        assert isinstance(host, dict)
        assert host["tcp"]["listen"] == 1
    own = listeners_of(document_of(source, pins, "own"))
    assert set(own) - {"(absent)"} == {"tcp/127.0.0.1:7301"}


@pytest.mark.parametrize("source", SOURCES)
def test_no_such_namespace(pins: str, source: str) -> None:
    """A name that no namespace has is an error, not an empty list."""
    with pytest.raises(SocketsError, match="no network namespace 'nowhere'"):
        document_of(source, pins, "nowhere")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("source", ["sock_diag", "procfs"])
def test_deadline(pins: str, source: str) -> None:
    """What the time doesn't allow is skipped, counted, and never a zero."""
    document = json_document(collect(Query(source, 0.0003 * NAMESPACES, pins=pins)))
    collector = document["collector"]
    assert isinstance(collector, dict)
    assert collector["namespaces_skipped"] > 0 or "no other network namespace" in str(collector)
    assert document["lists"] == {"processes": 0, "listeners": 0, "upstreams": 0}
    assert "(absent)" not in listeners_of(document)


def _over_the_bridge(server: socket.socket) -> socket.socket:
    """Connect; on a busy machine the bridge's ports may take seconds until they forward."""
    for _ in range(9):
        try:
            return zoo.connect(server)
        except OSError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
    return zoo.connect(server)


@pytest.mark.parametrize("source", SOURCES)
def test_bridged(pins: str, source: str) -> None:
    """A connection over a bridge and veth pairs is outbound at one end and inbound at the other."""
    here, there = name_of(1001), name_of(1002)
    with netns.named(here, there), ExitStack() as stack:
        netns.ip("link", "add", "br0", "type", "bridge")
        netns.ip("link", "set", "br0", "up")
        for number, name in enumerate((here, there), 1):
            netns.ip("link", "add", f"v{number}", "type", "veth", "peer", "eth0", "netns", name)
            netns.ip("link", "set", f"v{number}", "master", "br0", "up")
            netns.ip("-n", name, "address", "add", f"198.51.100.{number}/24", "dev", "eth0")
            netns.ip("-n", name, "link", "set", "eth0", "up")
        with netns.inside(there):
            server = stack.enter_context(zoo.listener("198.51.100.2", 7302))
        with netns.inside(here):
            client = stack.enter_context(_over_the_bridge(server))
        accepted = stack.enter_context(server.accept()[0])
        document = document_of(source, pins)
        assert client.getpeername() == accepted.getsockname()
    assert listeners_of(document)[f"tcp/198.51.100.2:7302@{there}"]["established"] == 1
    upstreams = document["upstreams"]
    assert isinstance(upstreams, list)
    (row,) = [row for row in upstreams if row.get("port") == 7302]
    assert (row["netns"], row["established"]) == (here, 1)
    assert row["id"].endswith(f">tcp/198.51.100.2:7302@{here}")


@pytest.mark.parametrize("source", SOURCES)
def test_nested_and_unnamed(pins: str, source: str) -> None:
    """Namespaces without a name, one made inside the other, share the rows' ids."""

    def nested() -> object:
        netns.unshare()
        server = zoo.listener("127.0.0.1", 7303)
        child = Child(inner)
        return server, child

    def inner() -> object:
        netns.unshare()
        return zoo.listener("127.0.0.1", 7303)

    with Child(nested, b"outer") as outer:
        document = document_of(source, pins)
        shown = json_document(collect(Query(source, 30, pins=pins)), for_people=True)
        number = os.stat(f"/proc/{outer.pid}/ns/net").st_ino
        with open(f"/proc/{outer.pid}/task/{outer.pid}/children") as children:
            pids = [int(pid) for pid in children.read().split()]
    for pid in pids:
        os.kill(pid, 9)
    row = listeners_of(document)["tcp/127.0.0.1:7303@(unnamed)"]
    assert (row["sockets"], row["processes"]) == (2, 2)
    assert f"tcp/127.0.0.1:7303@net:[{number}]" in listeners_of(shown)


@pytest.mark.parametrize("source", SOURCES)
def test_main_thread_has_exited(pins: str, source: str) -> None:
    """The namespace of a process is found by its other threads, too."""

    def leaderless() -> None:
        netns.unshare()
        zoo.listener("127.0.0.1", 7305)
        threading.Thread(target=time.sleep, args=(60,)).start()
        os.write(write, b"r")
        ctypes.CDLL(None).pthread_exit(None)

    ready, write = os.pipe()
    pid = os.fork()
    if not pid:
        leaderless()
    try:
        os.read(ready, 1)
        with open(f"/proc/{pid}/status") as status:
            zoo.wait_for(lambda: status.seek(0) == 0 and "State:\tZ" in status.read(), "its end")
        row = listeners_of(document_of(source, pins))["tcp/127.0.0.1:7305@(unnamed)"]
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(write)
    assert (row["sockets"], row["processes"]) == (1, 1)


@pytest.mark.parametrize("source", SOURCES)
def test_made_in_one_used_in_another(pins: str, source: str) -> None:
    """A socket belongs to the namespace in which it was made, wherever its owners are."""
    name = name_of(1003)

    def emigrant() -> object:
        with netns.inside(name):
            server = zoo.listener("127.0.0.1", 7304)
        heir = Child(netns.unshare, b"heir")
        return server, heir

    with netns.named(name), Child(emigrant, b"emigrant") as child:
        document = document_of(source, pins)
        with open(f"/proc/{child.pid}/task/{child.pid}/children") as children:
            pids = [int(pid) for pid in children.read().split()]
        for pid in pids:
            os.kill(pid, 9)
    row = listeners_of(document)[f"tcp/127.0.0.1:7304@{name}"]
    assert (row["sockets"], row["processes"], row["process"]) == (1, 2, "emigrant,heir")


def test_without_privilege(many: list[str], pins: str) -> None:
    """Anybody sees the sockets of namespaces with a process; what can't be seen is counted."""

    def ask() -> object:
        document = json_document(collect(Query("sock_diag", 30, pins=pins)))
        return [document["collector"], sorted(listeners_of(document))]

    ask()  # imports what the other process needs
    answer = run_as(NOBODY_UID, ask)
    assert isinstance(answer, list)
    collector, ids = answer
    assert "tcp/127.0.0.1:7300@(unnamed)" in ids
    assert "(absent)" not in ids
    assert collector["namespaces"] > NAMESPACES // 2
    # At least: one that has a process and no name may be taken for one of those with a name.
    assert collector["namespaces_skipped"] >= len(many) // 2 - 1
    assert any("not read to the end" in warning for warning in collector["warnings"])
