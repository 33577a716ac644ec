"""Round-trip times and losses: the sources, ss(8) and the document, over a path with faults."""

import math
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faulty
import netns
import pytest
import zoo
from children import Child
from json_documents import json_document
from ss_info import SsInfo, as_ss_has_it, read_ss_info

from zabbix_sockets import Query, collect, iter_sockets
from zabbix_sockets.model.socket import Socket, TcpInfo

# Of this run alone; without a digit, so that it is a name that lasts.
FAR = "zs-far-" + str(os.getpid()).translate(str.maketrans("0123456789", "abcdefghij"))
PORT = 7201
CONNECTIONS = 24
SOURCES = ("bpf", "sock_diag")
TIMES = ("last_sent_ms", "last_received_ms")
LENGTH = 4000  # of a message, in several segments
LATE = 5  # the connection whose reader is late


def timeless(info: TcpInfo) -> TcpInfo:
    """Return tcp_info without what goes on by itself."""
    return info._replace(**dict.fromkeys(TIMES))


def informed(source: str, pins: str, netns: str = "own") -> dict[int, Socket]:
    """Return the sockets with tcp_info and an inode, by inode."""
    query = Query(source, netns=netns, pins=pins, timeout=30, tcp_info=True)
    return {each.inode: each for each in iter_sockets(query) if each.tcp_info and each.inode}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The file that lets the path lose everything."""
    return tmp_path / "broken"


@pytest.fixture
def path(broken: Path) -> Iterator[None]:
    """A path to the namespace FAR that takes 20 ms each way and loses packets."""
    try:
        with faulty.path_to(FAR, str(broken)):
            yield
    except FileNotFoundError as error:
        pytest.skip(f"no TUN devices: {error}")


def talk(server: socket.socket) -> object:
    """Connect from FAR as often as CONNECTIONS says, and send as often as each one's number."""
    with netns.inside(FAR):
        clients = [zoo.hold(socket.socket()) for _ in range(CONNECTIONS)]
    clients[LATE].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    pairs = []
    for client in clients:
        client.settimeout(20)
        client.connect((faulty.HERE, PORT))
        accepted = zoo.hold(server.accept()[0])
        accepted.settimeout(20)
        pairs.append((client, accepted))
    for turn in range(4):
        busy = [pair for number, pair in enumerate(pairs) if number % 5 > turn]
        for client, _ in busy:
            client.sendall(bytes(LENGTH))
        for _, accepted in busy:
            read(accepted, LENGTH)
            accepted.sendall(bytes(LENGTH // 4))
        for client, _ in busy:
            read(client, LENGTH // 4)
    client, accepted = pairs[LATE]
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
    sent = fill(client)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    read(accepted, sent)
    return pairs


def read(sock: socket.socket, length: int) -> None:
    """Read so many bytes."""
    while length:
        length -= len(sock.recv(length))


def fill(client: socket.socket) -> int:
    """Send until the receiver's window has been shut for a while; return how much."""
    client.setblocking(False)
    sent, last = 0, time.monotonic()
    while time.monotonic() - last < 0.3:
        try:
            sent += client.send(bytes(65536))
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    client.settimeout(20)
    return sent


def at_rest(namespaces: tuple[str, ...] = ("", FAR)) -> list[list[SsInfo]]:
    """Return what ss says of the namespaces as soon as nothing is on its way."""
    for _ in range(100):
        lines = [read_ss_info(name) for name in namespaces]
        if not any(each.info.unacked for of_one in lines for each in of_one):
            return lines
        time.sleep(0.1)
    raise AssertionError("the path doesn't come to rest")


@pytest.fixture
def talked(path: None) -> Iterator[None]:  # noqa: ARG001
    """Connections over the path, of a process on either side, at rest."""
    server = zoo.listener(faulty.HERE, PORT, 64)

    def far() -> object:
        return talk(server)

    with Child(far, b"talker"):
        at_rest()
        yield


@pytest.mark.parametrize("where", ["own", FAR])
@pytest.mark.usefixtures("talked")
def test_tcp_info_is_the_same_from_each_source(pins: str, where: str) -> None:
    """Each field of each quiet socket: BPF's, netlink's and ss's."""
    lines = {each.inode: each for each in read_ss_info("" if where == "own" else FAR)}
    iterated, dumped = informed("bpf", pins, where), informed("sock_diag", pins, where)
    assert lines.keys() == iterated.keys() == dumped.keys()
    assert len(lines) == CONNECTIONS
    for inode, line in lines.items():
        by_bpf, by_netlink = iterated[inode].tcp_info, dumped[inode].tcp_info
        assert by_bpf
        assert by_netlink
        assert timeless(by_bpf) == timeless(by_netlink)
        assert timeless(as_ss_has_it(by_netlink)) == timeless(line.info)
        for name in TIMES:
            first, *later = (getattr(each, name) for each in (line.info, by_bpf, by_netlink))
            assert first <= min(later) <= max(later) < first + 60_000
        assert iterated[inode].cookie == dumped[inode].cookie != 0
    assert any(each.info.retransmits for each in lines.values()) == (where == FAR) or where == "own"


def test_multipath(pins: str) -> None:
    """An MPTCP socket's tcp_info is its first subflow's, as netlink has it."""
    try:
        zoo.multipath()
    except OSError as error:
        pytest.skip(f"no MPTCP: {error}")
    time.sleep(0.2)
    iterated, dumped = informed("bpf", pins), informed("sock_diag", pins)
    assert len(iterated) == 2
    for inode, row in iterated.items():
        by_bpf, by_netlink = row.tcp_info, dumped[inode].tcp_info
        assert by_bpf
        assert by_netlink
        assert timeless(by_bpf) == timeless(by_netlink)


@pytest.mark.parametrize("source", SOURCES)
def test_listeners_have_none(pins: str, source: str) -> None:
    """A listener's tcp_info has other things in it, and procfs has none at all."""
    server = zoo.listener()
    zoo.pair(server)
    rows = list(iter_sockets(Query(source, netns="own", pins=pins, tcp_info=True)))
    assert [row.state for row in rows if not row.tcp_info] == [10]
    assert all(row.cookie for row in rows)
    for query in (Query("procfs", netns="own", tcp_info=True), Query(source, pins=pins)):
        assert not any(row.tcp_info for row in iter_sockets(query))


def figures(source: str, pins: str, where: str, **options: Any) -> dict[str, Any]:
    """Return the document of one of the namespaces."""
    query = Query(source, netns=where, pins=pins, timeout=30, tcp_info=True)
    return json_document(collect(query._replace(**options)))


def assert_says(row: dict[str, Any], lines: list[SsInfo]) -> None:
    """The row has what the lines of ss add up to: counts exactly, times within a sixteenth."""
    infos = [each.info for each in lines]
    assert row["measured"] == len(infos)
    for name in ("retransmits", "lost"):
        assert row[name] == sum(getattr(each, name) for each in infos)
    for field, name in (
        ("receiver_limited_ms", "receiver_limited_us"),
        ("sender_buffer_limited_ms", "sender_buffer_limited_us"),
    ):
        exact = sum(getattr(each, name) for each in infos) / 1000
        assert abs(row[field] - exact) * 16 <= exact
    times = sorted(each.rtt_us or 0 for each in infos)
    for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1)):
        exact = times[math.ceil(len(times) * share) - 1]
        assert abs(row["rtt_us"][name] - exact) * 16 <= exact


def row_of(document: dict[str, Any], kind: str, **wanted: object) -> dict[str, Any]:
    """Return the one row with these fields."""
    (row,) = [
        row for row in document[kind] if all(row.get(name) == wanted[name] for name in wanted)
    ]
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.usefixtures("talked")
def test_document_says_what_ss_adds_up_to(pins: str, source: str) -> None:
    """Of a process, a listener and an upstream, in two namespaces."""
    near, far = at_rest()
    document = figures(source, pins, FAR)
    by_talker = [each for each in far if each.process == "talker"]
    assert len(by_talker) == CONNECTIONS
    assert sum(each.info.retransmits or 0 for each in by_talker) > 0
    assert sum(each.info.receiver_limited_us or 0 for each in by_talker) > 0
    assert_says(row_of(document, "upstreams", process="talker", port=PORT), by_talker)
    document = figures(source, pins, "own")
    assert_says(row_of(document, "listeners", port=PORT), near)
    assert row_of(document, "listeners", port=PORT)["rtt_us"]["p50"] > 2 * 20_000 * 15 / 16
    assert row_of(document, "listeners", port=PORT)["retransmitting_pct"] == 0
    everything = figures(source, pins, "all")
    talker = row_of(everything, "processes", id="talker")
    assert talker["measured"] == 2 * CONNECTIONS
    both = sum(each.info.retransmits or 0 for each in [*near, *far])
    assert talker["retransmits"] == both


@pytest.mark.parametrize("source", SOURCES)
def test_retransmitting_now(pins: str, source: str, path: None, broken: Path) -> None:  # noqa: ARG001
    """Connections whose peer doesn't answer are a share of those that count."""
    server = zoo.listener(faulty.HERE, PORT, 64)
    with Child(lambda: _half_stuck(server, broken), b"stuck"):
        zoo.wait_for(
            lambda: sum(bool(each.info.retransmits_in_flight) for each in read_ss_info(FAR)) == 2,
            "retransmissions",  # beyond a probe for the tail's loss
        )
        row = row_of(figures(source, pins, FAR), "upstreams", process="stuck")
    assert (row["measured"], row["retransmitting_pct"]) == (8, 25.0)
    assert row["retransmits"] >= 2


def _half_stuck(server: socket.socket, broken: Path) -> object:
    """Connect eight times, break the path, and send by two of the connections."""
    with netns.inside(FAR):
        clients = [zoo.hold(socket.socket()) for _ in range(8)]
    for client in clients:
        client.connect((faulty.HERE, PORT))
        zoo.hold(server.accept()[0])
    broken.touch()
    for client in clients[:2]:
        client.send(b"x")
    return clients


@pytest.mark.parametrize("source", SOURCES)
def test_active_within(pins: str, source: str) -> None:
    """Connections that are idle for longer don't count; they still are connections."""
    server = zoo.listener(port=7202)
    idle, _ = zoo.pair(server)
    idle.send(b"x")
    time.sleep(10.5)
    zoo.pair(server)
    for seconds, expected in ((10, 1), (30, 2)):
        document = figures(source, pins, "own", active_within=seconds)
        row = row_of(document, "listeners", port=7202)
        assert (row["established"], row["measured"]) == (2, expected)


@pytest.mark.usefixtures("talked")
def test_sources_agree(pins: str) -> None:
    """Every figure of every row, with connections that wait and that are shared, too."""
    zoo.everything()
    zoo.unaccepted_and_closed()
    names = {
        *("rtt_us", "measured", "retransmits", "retransmitting_pct", "lost"),
        *("receiver_limited_ms", "sender_buffer_limited_ms"),
    }

    def said(source: str) -> dict[str, object]:
        return {
            f"{kind} {row['id']}@{where}": {name: row.get(name) for name in names}
            for where in ("own", FAR)
            for document in [figures(source, pins, where)]
            for kind in ("processes", "listeners", "upstreams")
            for row in document[kind]
            if row["id"] != "(absent)"
        }

    for _ in range(30):
        before, iterated = said("sock_diag"), said("bpf")
        if said("sock_diag") == before:
            break
    assert iterated == before
    assert sum(bool(each["rtt_us"]) for each in iterated.values()) > 5  # type: ignore[index]


def test_procfs_has_none(pins: str) -> None:
    """Absent, never 0; nor without being asked for."""
    zoo.pair(zoo.listener())
    for query in (Query("procfs", tcp_info=True), Query("bpf", pins=pins), Query("sock_diag")):
        document: Any = json_document(collect(query._replace(netns="own", timeout=30)))
        for kind in ("processes", "listeners", "upstreams"):
            rows = [*document[kind], document["other"][kind]]
            assert not any({"measured", "rtt_us", "lost"} & row.keys() for row in rows)
