"""The TCP sockets without a file: by an iterator, as netlink and ss(8) have them."""

from __future__ import annotations

import os
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import netns
import pytest
import ss
import zoo
from children import Child, run_as
from json_documents import json_document

from zabbix_sockets import Query, Snapshot, collect
from zabbix_sockets.collector.iterator import unseen
from zabbix_sockets.collector.tables import collection
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import NOBODY, OUTBOUND, Connection
from zabbix_sockets.model.wire import TcpState, state_name
from zabbix_sockets.readers.bpf import loader, records
from zabbix_sockets.readers.bpf.minisocks import BOTH_ENDS, LOCAL_END, MINISOCK, REMOTE_END
from zabbix_sockets.readers.bpf.pins import load, unload
from zabbix_sockets.readers.sock_diag.endpoints import Endpoints
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

EPHEMERAL = 50_051
"""A port that connect(2) may take, and that servers listen on all the same."""
WITHOUT_FILE = {
    *("syn_recv", "fin_wait1", "fin_wait2", "time_wait", "last_ack", "closing", "close_wait"),
}

Scene = Callable[[], object]


@pytest.fixture(scope="module")
def older_pins() -> Iterator[str]:
    """Pin the iterators as a `load` did that had none of sockets without a file."""
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")
    load(folder)
    os.unlink(records.pin_path(folder, records.COUNT_MINISOCKS))
    yield folder
    unload(folder)
    os.rmdir(folder)


def closed(server: socket.socket, to: str = "", port: int = 0, *, by_client: bool = False) -> None:
    """Leave a connection to *server*, at the address *to*, in TIME_WAIT at one end.

    The client binds *port*; 0: connect(2) takes one.
    """
    client = socket.socket(server.family if ":" in to or not to else socket.AF_INET)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if port:
        client.bind(("", port))
    client.connect((to or server.getsockname()[0], zoo.port_of(server)))
    accepted = server.accept()[0]
    ends = (client, accepted) if by_client else (accepted, client)
    for each in ends:
        each.close()


def servers() -> list[socket.socket]:
    """Return listeners on one address and on all, on ports that connect(2) takes and others."""
    made = [
        zoo.listener("127.0.0.1", 7501),
        zoo.listener("0.0.0.0", 7502),
        zoo.listener("::1", 7503),
        zoo.listener("::", 7504),
        zoo.listener(zoo.MAPPED, 7505),
    ]
    reuse = [(each.getsockname()[0], EPHEMERAL + at) for at, each in enumerate(made)]
    made += [zoo.listener(*each) for each in reuse]
    made += [zoo.listener("127.0.0.1", 50_061), zoo.listener("127.0.0.2", 50_061)]
    return made


def by_server_and_client() -> None:
    """Leave TIME_WAIT at both kinds of ends of each kind of listener."""
    for each in servers():
        for by_client in (False, True):
            for port in (0, 0, 999, 61_999):
                closed(each, port=port, by_client=by_client)
        if each.getsockname()[0] == "::":
            closed(each, "127.0.0.1")
            closed(each, "127.0.0.1", by_client=True)


def listener_gone() -> None:
    """Leave TIME_WAIT where nobody listens any more, or at another address only."""
    for port in (7506, 50_056):
        for to in ("127.0.0.1", "127.0.0.2"):
            server = zoo.listener(to, port)
            for client_port in (0, 998, 61_998):
                closed(server, port=client_port)
            if to == "127.0.0.1":
                server.close()


def many_upstreams() -> None:
    """Leave TIME_WAIT towards many addresses."""
    for number in range(1, 60):
        closed(zoo.listener(f"127.9.0.{number}", 7507), by_client=True)
        closed(zoo.listener(f"127.9.1.{number}", 50_057), by_client=True)


def bound_to_a_device() -> None:
    """Leave TIME_WAIT and SYN_RECV at listeners that are bound to a device."""
    for port in (7508, 50_058):
        for options in ((), ((socket.IPPROTO_TCP, zoo.TCP_DEFER_ACCEPT, 60),)):
            server = zoo.hold(socket.socket())
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            for option in options:
                server.setsockopt(*option)
            server.bind(("127.0.0.1", port + 100 * len(options)))
            server.listen(8)
            if options:
                zoo.connect(server)
            else:
                closed(server)
                closed(server, by_client=True)


def being_opened() -> None:
    """Hold SYN_RECV of both families, on ports that connect(2) takes and others."""
    for each in servers():
        each.setsockopt(socket.IPPROTO_TCP, zoo.TCP_DEFER_ACCEPT, 60)
        zoo.connect(each)
        if each.getsockname()[0] == "::":
            zoo.connect(each, "127.0.0.1")


def orphans_and_unaccepted() -> None:
    """Hold an orphan in each state, and closed connections that nobody has accepted."""
    zoo.everything()
    zoo.unaccepted_and_closed()
    for port in (7509, 50_059):
        server = zoo.listener("127.0.0.1", port)
        client, accepted = zoo.pair(server)
        zoo.fill(accepted)
        client.shutdown(socket.SHUT_WR)
        zoo.wait_state(accepted, 8)
        accepted.close()  # LAST_ACK
        client, accepted = zoo.pair(server)
        client.close()
        zoo.wait_state(accepted, 8)  # FIN_WAIT2, which the kernel keeps as it keeps TIME_WAIT
        zoo.connect(server).close()


def without_file(snapshot: Snapshot) -> Counter[Connection]:
    """Return nobody's connections, without the ends of those that take no ephemeral port."""
    found: Counter[Connection] = Counter()
    for each, count in snapshot.connections.items():
        if each.owner == NOBODY and each.protocol == "tcp":
            kept = each.direction != OUTBOUND or each.ephemeral
            bare = Connection(*each[:5])
            found[each if kept else bare] += count
    return found


def figures(snapshot: Snapshot) -> dict[str, object]:
    """Return the figures of the document: the host's, and each row of the lists."""
    document = json_document(snapshot)
    host = document["host"]
    assert isinstance(host, dict)
    named = {name: host[name] for name in ("tcp", "udp", "ephemeral")}
    return named | {name: document[name] for name in ("processes", "listeners", "upstreams")}


@pytest.fixture(autouse=True)
def always_iterated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the iterator even if netlink would take less time."""
    monkeypatch.setattr(unseen, "is_mostly_time_wait", lambda _: True)


SCENES = [
    by_server_and_client,
    listener_gone,
    many_upstreams,
    bound_to_a_device,
    being_opened,
    orphans_and_unaccepted,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_as_netlink_and_ss(pins: str, older_pins: str, scene: Scene) -> None:
    """Connection for connection as by netlink, state for state as ss has them."""
    scene()
    query = Query("bpf", 30, pins=pins, netns="own")
    for _ in range(20):
        lines = ss.read_ss()
        before = figures(collect(query))
        by_netlink = collect(query._replace(pins=older_pins))
        by_iterator = collect(query)
        if ss.read_ss() == lines and figures(by_iterator) == before:  # nothing has changed
            break
    assert without_file(by_iterator) == without_file(by_netlink)
    assert figures(by_iterator) == figures(by_netlink)
    told: Counter[str] = Counter()
    for each, count in without_file(by_iterator).items():
        told[state_name("tcp", each.state)] += count
    del told["established"]  # not yet accepted: the accept queues tell of them
    shown = Counter(each.state for each in lines if not each.inode and each.state in WITHOUT_FILE)
    assert told == shown
    assert sum(told.values()) >= 10 or scene is bound_to_a_device


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_counted_apart(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    """Without iterators those in TIME_WAIT have a dump of their own: figures are the same."""
    scene()
    query = Query("sock_diag", 30, netns="own", tcp_info=True)
    for _ in range(20):
        lines = ss.read_ss()
        before = figures(collect(query))
        monkeypatch.setattr(collection, "has_much_time_wait", lambda _: True)
        apart = collect(query)
        monkeypatch.undo()
        together = collect(query)
        if ss.read_ss() == lines and figures(together) == before:  # nothing has changed
            break
    assert without_file(apart) == without_file(together)
    assert figures(apart) == figures(together)
    told = sum(n for each, n in apart.connections.items() if each.state == TcpState.TIME_WAIT)
    assert told == sum(each.state == "time_wait" for each in lines)


def test_thousands_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a thousand on it is so, and however many clients they are of, they take no memory."""
    server = zoo.listener("0.0.0.0", 7516)
    for number in range(1100):
        client = socket.socket()
        client.bind((f"127.8.{number // 200}.{number % 200 + 1}", 0))
        client.connect(("127.0.0.1", 7516))
        accepted = server.accept()[0]
        accepted.close()
        client.close()
    seen = []
    opened = NetlinkTables.read_endpoints

    def read_endpoints(*arguments: Any) -> Iterator[Endpoints]:
        seen.append(arguments)
        return opened(*arguments)

    monkeypatch.setattr(NetlinkTables, "read_endpoints", read_endpoints)
    snapshot = collect(Query("sock_diag", 30, netns="own", tcp_info=True))
    assert len(seen) == 1
    ((connection, count),) = without_file(snapshot).items()
    assert (connection.port, count) == (7516, 1100)


def distinct(pins: str, kind: int) -> int:
    """Return how many different records of *kind* there are."""
    fd = records.open_pinned(pins)(records.COUNT_MINISOCKS)
    chunks = records.read_chunks(fd, MINISOCK.size, Deadline(30))
    told = {each for chunk in chunks for each in MINISOCK.iter_unpack(chunk)}
    return sum(each[0] == kind for each in told)


@pytest.mark.parametrize("port", [7510, EPHEMERAL])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_equal_whoever_connects(pins: str, address: str, port: int) -> None:
    """However many clients there are, their connections to a listener give one record or two.

    Two, as the remote port may be one that connect(2) takes here or not.
    """
    server = zoo.listener(address, port)
    to = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    for number in range(40):
        closed(server, to, port=900 + number if number % 2 else 0)
    assert 0 < distinct(pins, LOCAL_END) <= 2
    assert not distinct(pins, BOTH_ENDS)


def test_equal_for_one_upstream(pins: str) -> None:
    """However many connections a client has had to an address and port, they give one record.

    But for those from a port that a listener had some minutes ago.
    """
    server = zoo.listener(port=7515)
    for _ in range(40):
        closed(server, by_client=True)
    assert distinct(pins, REMOTE_END) == 1
    assert distinct(pins, BOTH_ENDS) < 20


def test_of_the_openers_namespace(pins: str) -> None:
    """Who opens the iterator in a network namespace sees the sockets of that one alone."""
    closed(zoo.listener(port=7511))
    name = f"zs{os.getpid()}-elsewhere"

    def elsewhere() -> object:
        netns.enter(netns.path_of(name))
        server = zoo.listener(port=7512)
        for _ in range(3):
            closed(server)
        return server

    with netns.named(name), Child(elsewhere):
        (own,) = without_file(collect(Query("bpf", 30, pins=pins)))
        assert own.port == 7511
        with netns.inside(name):
            (other,) = without_file(collect(Query("bpf", 30, pins=pins, netns="own"))).items()
    assert (other[0].port, other[1]) == (7512, 3)


def test_needs_no_capability(pins: str) -> None:
    """A user of the pins' group has the sockets in TIME_WAIT, and no warning."""
    closed(zoo.listener(port=7513))
    query = Query("bpf", 30, pins=pins, netns="own")
    gid = os.stat(records.pin_path(pins, records.COUNT_MINISOCKS)).st_gid

    def look() -> object:
        document = json_document(collect(query))
        return [document["host"]["tcp"]["time_wait"], document["collector"]["warnings"]]

    collect(query)  # imports what the child needs
    assert run_as(65534, look, gid=gid) == [1, []]


def test_loads_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, open_folder: Path) -> None:
    """Where this iterator can't be loaded, the others are, and it is said why."""
    path = loader.object_path
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"no object")
    monkeypatch.setattr(
        loader, "object_path", lambda name: str(broken) if name == "minisocks" else path(name)
    )
    said: list[str] = []
    pinned = load(str(open_folder), warn=said.append)
    try:
        names = {os.path.basename(each).partition("-")[0] for each in pinned}
        assert names == set(records.PROGRAMS)
        assert len(said) == 1
        assert said[0].startswith("sockets in TIME_WAIT will be read by netlink: can't open")
        closed(zoo.listener(port=7514))
        snapshot = collect(Query("bpf", 30, pins=str(open_folder), netns="own"))
        assert sum(without_file(snapshot).values()) == 1
        assert snapshot.visibility.warnings == []
    finally:
        unload(str(open_folder))
