"""What is dropped at listeners and UDP sockets: every source says it as ss(8) and /proc do."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import netns
import pytest
import zoo
from children import Child
from json_documents import json_document

from zabbix_sockets import Query, collect, iter_sockets
from zabbix_sockets.terminal.sockets import ShownSocket, socket_json

SOURCES = ("bpf", "sock_diag", "procfs")
SMALL = 2304  # bytes, the least that SO_RCVBUF may be
UDP_PLACES = [("127.0.0.1", 7701), ("0.0.0.0", 7702), ("::1", 7703)]
TCP_PLACES = [("127.0.0.1", 7704), ("::1", 7705)]


def flooded(address: str, port: int, datagrams: int = 300) -> socket.socket:
    """Return a bound UDP socket with a full receive buffer, at which datagrams were dropped."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = zoo.hold(socket.socket(family, socket.SOCK_DGRAM))
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    bound.bind((address, port))
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        target = address.replace("0.0.0.0", "127.0.0.1")
        for _ in range(datagrams):
            sender.sendto(b"x" * 100, (target, port))
    return bound


def connected_and_flooded(port: int) -> socket.socket:
    """Return a connected UDP socket at which datagrams were dropped."""
    bound = zoo.hold(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    bound.bind(("127.0.0.1", port))
    sender = zoo.hold(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sender.connect(bound.getsockname())
    bound.connect(sender.getsockname())
    for _ in range(200):
        sender.send(b"x" * 100)
    return bound


def overrun(address: str, port: int) -> socket.socket:
    """Return a listener with a full accept queue that has dropped attempts to connect."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = zoo.hold(socket.socket(family, socket.SOCK_STREAM))
    server.bind((address, port))
    server.listen(1)
    for _ in range(6):
        client = zoo.hold(socket.socket(family, socket.SOCK_STREAM))
        client.setblocking(False)
        client.connect_ex((address, port))
    zoo.wait_for(lambda: dropped_by_ss().get(inode(server), 0) > 0, "a drop at the listener")
    return server


def inode(sock: socket.socket) -> int:
    """Return a socket's inode number."""
    return os.fstat(sock.fileno()).st_ino


def dropped_by_ss(netns_name: str = "") -> dict[int, int]:
    """Return what ss says was dropped at each listener and UDP socket, by inode."""
    place = ["-N", netns_name] if netns_name else []
    command = ["ss", *place, "-t", "-u", "-n", "-a", "-m", "-e", "-H", "-O"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {}
    for line in output.splitlines():
        number, drops = re.search(r" ino:(\d+)", line), re.search(r",d(\d+)\)", line)
        if number and drops and ("LISTEN" in line or line.startswith("udp")):
            found[int(number[1])] = int(drops[1])
    return found


def dropped_by_proc() -> dict[int, int]:
    """Return the last column of /proc/net/udp and udp6 by inode."""
    lines = [
        line.split()
        for name in ("udp", "udp6")
        for line in Path(f"/proc/thread-self/net/{name}").read_text("ascii").splitlines()[1:]
    ]
    return {int(fields[9]): int(fields[12]) for fields in lines}


def document_of(source: str, pins: str, **query: Any) -> dict[str, Any]:
    """Return the document of a source; of the own namespace, if the query says no other."""
    wanted = {"netns": "own", **query}
    return dict(json_document(collect(Query(source, 30, pins=pins, **wanted))))


def quiet_drops() -> dict[int, int]:
    """Return what ss says when no client tries again meanwhile, and check it against /proc."""
    by_ss = dropped_by_ss()
    by_proc = dropped_by_proc()
    assert {number: by_ss[number] for number in by_proc} == by_proc
    return by_ss


@pytest.mark.parametrize("source", SOURCES)
def test_as_ss(pins: str, source: str) -> None:
    """UDP and TCP, IPv4 and IPv6, bound and connected; the process has the sum of all."""
    udp = [flooded(*place) for place in UDP_PLACES]
    silent = zoo.hold(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    silent.bind(("127.0.0.1", 7706))
    connected = connected_and_flooded(7707)
    tcp = [overrun(*place) for place in TCP_PLACES]
    calm = zoo.listener("127.0.0.1", 7708)
    for _ in range(50):  # clients of a full queue try again
        before = quiet_drops()
        document = document_of(source, pins)
        if quiet_drops() == before:
            break
    rows = {row["port"]: row for row in document["listeners"] if "port" in row}
    for sock in (*udp, silent):
        row = rows[sock.getsockname()[1]]
        assert row["drops"] == before[inode(sock)]
        assert (row["drops"] > 0, row["recv_queue_bytes"] > 0) == (sock is not silent,) * 2
    for sock in (*tcp, calm):
        row = rows[sock.getsockname()[1]]
        assert "recv_queue_bytes" not in row
        if source == "procfs":
            assert "drops" not in row
        else:
            assert row["drops"] == before[inode(sock)]
            assert (row["drops"] > 0) == (sock is not calm)
    assert before[inode(connected)] > 0
    (process,) = [each for each in document["processes"] if each.get("instances")]
    if source == "procfs":
        assert "drops" not in process
    else:
        assert process["drops"] == sum(before.values())
    assert document["listeners"][-1]["drops"] == 0  # (absent)


@pytest.mark.parametrize("source", SOURCES)
def test_single_sockets(pins: str, source: str) -> None:
    """`show sockets` has it of each socket, too, but not of connections."""
    flooded(*UDP_PLACES[0])
    connected_and_flooded(7707)
    server = zoo.listener("127.0.0.1", 7708)
    zoo.pair(server)
    before = quiet_drops()
    shown = list(iter_sockets(Query(source, 30, pins=pins, netns="own", tcp_info=True)))
    listening = 1 if source != "procfs" else 0
    assert {each.inode: each.drops for each in shown if each.drops is not None} == {
        number: drops for number, drops in before.items() if listening or number != inode(server)
    }
    (row,) = [socket_json(ShownSocket(each)) for each in shown if each.local_port == 7701]
    assert row["drops"] == max(before.values())


@pytest.mark.parametrize("source", SOURCES)
def test_filtered(pins: str, source: str) -> None:
    """A filter leaves out what others drop, though the kernel tells that, too."""
    one, other = flooded(*UDP_PLACES[0]), flooded(*UDP_PLACES[1])
    connected_and_flooded(7707)
    before = quiet_drops()
    document = document_of(source, pins, filter="sport = :7701 or sport = :7707")
    rows = {row["port"]: row for row in document["listeners"] if "port" in row}
    assert rows.keys() == {7701}
    assert rows[7701]["drops"] == before[inode(one)] > 0
    (process,) = [each for each in document["processes"] if each.get("instances")]
    assert process["drops"] == sum(before.values()) - before[inode(other)]


@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
def test_shared_and_closed(pins: str, source: str) -> None:
    """What several processes have counts once in each; what closes takes its drops along."""
    first, second = flooded("127.0.0.1", 7701), flooded("127.0.0.1", 7709)
    with Child(lambda: None):
        before = quiet_drops()
        document = document_of(source, pins)
    (process,) = [each for each in document["processes"] if each.get("instances")]
    assert process["instances"] == 2
    assert process["drops"] == sum(before.values())
    left = before[inode(second)]
    first.close()
    document = document_of(source, pins)
    (process,) = [each for each in document["processes"] if each.get("instances")]
    assert process["drops"] == left


@pytest.mark.parametrize("source", SOURCES)
def test_in_another_namespace(pins: str, source: str) -> None:
    """Its listeners have them as well."""
    name = f"zs{os.getpid()}-drops"

    def elsewhere() -> socket.socket:
        netns.enter(netns.path_of(name))
        return flooded("127.0.0.1", 7701)

    with netns.named(name), Child(elsewhere):
        (drops,) = dropped_by_ss(name).values()
        document = document_of(source, pins, netns="all")
    (row,) = [each for each in document["listeners"] if each.get("port") == 7701]
    assert row["drops"] == drops > 0


@pytest.mark.parametrize("source", SOURCES)
def test_a_socket_that_no_process_has(pins: str, source: str) -> None:
    """The iterator doesn't see it, and netlink tells its drops: the listener's, and nobody's."""
    left, right = map(zoo.hold, socket.socketpair())
    in_flight, mine = flooded("127.0.0.1", 7701), flooded("127.0.0.1", 7709)
    before = quiet_drops()
    number = inode(in_flight)
    socket.send_fds(left, [b"x"], [in_flight.fileno()])
    in_flight.close()
    document = document_of(source, pins)
    rows = {row["port"]: row for row in document["listeners"] if "port" in row}
    assert rows[7701]["drops"] == before[number] > 0
    (process,) = [each for each in document["processes"] if each.get("instances")]
    assert process["drops"] == before[inode(mine)]
    right.close()
