"""The times that totals have, and what is under way when the programs are loaded."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import traffic_zoo
from counted import Found, assert_comes_to, loaded, look, read, read_all, risen
from netns import inside, ip, named
from traffic_zoo import Expected, Server, tcp_counter
from zoo import wait_for

from zabbix_sockets.model.totals import COUNTERS, ServerCounters, counters_of

AGES = 0.0001, 0.001, 0.01, 0.1, 0.3
"""Seconds for which connections are open."""
LOCAL, FIRST, JOINING = "127.0.0.1", "192.0.2.1", "192.0.2.2"


@pytest.fixture(scope="module")
def counted(pins: str) -> Iterator[str]:
    """Load the programs that count, in a bpffs of the tests' own."""
    del pins  # it skips where nothing can be loaded
    with loaded() as folder:
        yield folder


def upstream(folder: str, name: Server) -> ServerCounters:
    """Return what was counted of the one upstream at that address and port."""
    own = os.stat("/proc/thread-self/ns/net").st_ino
    (found,) = (
        each for each in read_all(folder, {own}).upstreams if (each.address, each.port) == name
    )
    return found


def times(folder: str, name: Server, closed: int = 1) -> dict[str, float]:
    """Return the counters of times of an upstream, in seconds, when so many have been closed."""

    def counters() -> dict[str, int]:
        found = upstream(folder, name)
        return dict(zip(COUNTERS, counters_of(found.counters), strict=True))

    wait_for(lambda: counters()["closed"] == closed, "")
    return {name: value / 1e9 for name, value in counters().items() if name.endswith("_ns")}


def test_lifetimes_and_handshakes(counted: str) -> None:
    """They are the times for which connections were open, from 100 microseconds up."""
    server, name = traffic_zoo.listener()
    least = most = 0.0
    for number, age in enumerate(AGES):
        began = time.monotonic()
        client = socket.create_connection(server.getsockname())
        opened = time.monotonic()
        accepted, _ = server.accept()
        time.sleep(age)
        least += time.monotonic() - opened
        for end in (client, accepted) if number % 2 else (accepted, client):
            end.close()
        most += time.monotonic() - began
    server.close()
    found = times(counted, name, len(AGES))
    assert least <= found["lifetime_ns"] <= most
    assert 0 < found["handshake_ns"] <= most - least


def test_a_half_closed_one_lives_until_it_is_closed(counted: str) -> None:
    """No segment comes for long, and then its process closes it."""
    server, name = traffic_zoo.listener()
    began = time.monotonic()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    client.shutdown(socket.SHUT_WR)
    assert accepted.recv(1) == b""
    time.sleep(0.3)
    client.close()
    age = time.monotonic() - began
    for end in (accepted, server):
        end.close()
    assert 0.3 <= times(counted, name)["lifetime_ns"] <= age


def test_a_half_closed_one_that_is_older_than_the_totals() -> None:
    """It lives from the moment on when they were loaded: no time is below 0."""
    server, name = traffic_zoo.listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    client.shutdown(socket.SHUT_WR)
    assert accepted.recv(1) == b""
    began = time.monotonic()
    with loaded() as folder:
        client.close()
        assert 0 <= times(folder, name)["lifetime_ns"] <= time.monotonic() - began
    for end in (accepted, server):
        end.close()


def test_an_attempt_that_is_older_than_the_totals() -> None:
    """It counts as an attempt, as how it ends will count."""
    server, name = traffic_zoo.listener(backlog=0)
    first = socket.create_connection(server.getsockname())  # fills the queue
    attempts = [socket.socket() for _ in range(2)]
    for client in attempts:
        client.setblocking(False)
        client.connect_ex(server.getsockname())
    with loaded() as folder:
        given_up, opened = attempts
        given_up.close()
        server.accept()[0].close()
        opened.settimeout(20)
        opened.sendall(b"x")  # waits for the handshake: its SYN is sent again
        server.accept()[0].close()
        opened.close()
        found = read(folder)[2][Expected().comm, name]
    names = "attempts", "opened", "failed", "abandoned"
    assert [found[each] for each in names] == [2, 1, 0, 1]
    for end in (first, server):
        end.close()


def test_bytes_are_a_change(counted: str) -> None:
    """A row stays while the connections that count there carry something, whoever has them now."""
    server, name = traffic_zoo.listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    look(counted)
    before = upstream(counted, name).changed
    time.sleep(0.05)
    look(counted)
    assert upstream(counted, name).changed == before
    client.sendall(b"x")
    look(counted)
    assert upstream(counted, name).changed > before
    for end in (client, accepted, server):
        end.close()


SLOWLY = "tc qdisc add dev lo root tbf rate 16kbit burst 2000 limit 20000"


def test_two_that_cross(counted: str) -> None:
    """Two sockets that connect to each other at once are opened both, and none is accepted."""
    name = f"zs-cross-{os.getpid()}"
    with named(name), inside(name):
        shaped = subprocess.run(SLOWLY.split(), capture_output=True, text=True, check=False)
        if shaped.returncode:
            pytest.skip(f"no tbf: {shaped.stderr}")
        before = read(counted)  # of another namespace that had the number
        again = tcp_counter("RetransSegs")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            for _ in range(2):  # behind which SYNs wait
                other.sendto(bytes(1200), (LOCAL, 9))
        ends = [socket.socket() for _ in range(2)]
        for end in ends:
            end.bind((LOCAL, 0))
            end.setblocking(False)
        addresses = [end.getsockname() for end in ends]
        expected = Expected()
        for end, to in zip(ends, reversed(addresses), strict=True):
            end.connect_ex(to)
            expected.outbound(
                (socket.inet_aton(LOCAL), to[1]),
                attempts=1,
                opened=1,
                closed=1,
                bytes_sent=1,
                bytes_received=1,
            )
        for end in ends:
            end.settimeout(20)
            end.sendall(b"x")  # waits until it is open
        assert [end.recv(1) for end in ends] == [b"x", b"x"]
        for end in ends:
            end.close()
        assert_comes_to(counted, before, expected, _without_retransmitted)
        (process,) = risen(before, read(counted))[0].values()
        assert process["retransmitted"] == tcp_counter("RetransSegs") - again


def _without_retransmitted(found: Found) -> Found:
    """Return totals but for segments sent again: on a slow machine a SYN waits for too long."""
    processes, listeners, upstreams = (
        {key: each - Counter(retransmitted=each["retransmitted"]) for key, each in part.items()}
        for part in found
    )
    return processes, listeners, upstreams


def test_what_joins_an_mptcp_connection(counted: str) -> None:
    """It counts nothing: the connection is counted as its first subflow."""
    name, comm = f"zs-mptcp-{os.getpid()}", Expected().comm
    with named(name), inside(name):
        for address in FIRST, JOINING:
            ip("address", "add", f"{address}/32", "dev", "lo")
        ip("mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "2")
        ip("mptcp", "endpoint", "add", JOINING, "dev", "lo", "subflow")
        server, at = traffic_zoo.listener(FIRST, protocol=traffic_zoo.MPTCP)
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, traffic_zoo.MPTCP)
        client.bind((FIRST, 0))
        before = read(counted)  # of another namespace that had the number
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        traffic_zoo.carry(client, accepted)
        wait_for(lambda: joins() == 1, "")
        look(counted)
        for end in (client, accepted, server):
            end.close()

        def ended() -> bool:
            return risen(before, read(counted))[0][comm]["closed"] == 2

        wait_for(ended, "")
        processes, listeners, upstreams = risen(before, read(counted))
    names = "attempts", "opened", "accepted", "closed"
    assert [processes[comm][each] for each in names] == [1, 1, 1, 2]
    assert [listeners[at][each] for each in names] == [0, 0, 1, 1]
    assert [upstreams[comm, at][each] for each in names] == [1, 1, 0, 1]
    assert [[*processes], [*listeners], [*upstreams]] == [[comm], [at], [(comm, at)]]


def joins() -> int:
    """Return how many subflows have joined, in the namespace that this thread is in."""
    with open("/proc/thread-self/net/netstat") as file:
        names, values = (line.split() for line in file if line.startswith("MPTcpExt:"))
    return int(values[names.index("MPJoinAckRx")])
