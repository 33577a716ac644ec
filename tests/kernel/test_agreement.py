"""The sources and ss(8) see the same sockets: each is the others' oracle."""

import os
import socket
from collections.abc import Callable

import pytest
import ss
import zoo
from children import Child

from zabbix_sockets import Query, Socket, iter_sockets
from zabbix_sockets.model.wire import state_name

SOURCES = ("bpf", "sock_diag", "procfs")


Read = Callable[[str], list[Socket]]


@pytest.fixture
def read(pins: str) -> Read:
    """Return what reads every socket of the namespace as a source has it."""
    return lambda source: list(
        iter_sockets(Query(source=source, netns="own", timeout=30, pins=pins))
    )


def read_with_ss(read: Read, source: str) -> tuple[list[Socket], list[ss.SsSocket]]:
    """Return the rows of *source* and ss's lines of a moment in which nothing changed.

    A peer that doesn't read still takes a few bytes when it is probed.
    """
    for _ in range(20):
        before = ss.read_ss()
        rows = read(source)
        if ss.read_ss() == before:
            return rows, before
    raise AssertionError("the namespace doesn't come to rest")


@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
def test_source_agrees_with_ss(read: Read, source: str) -> None:
    """Every row, every field: states, queues, ends, inodes, owners, devices."""
    zoo.everything()
    rows, lines = read_with_ss(read, source)
    assert len(lines) > 50
    assert sorted(map(ss.as_ss, rows)) == sorted(lines)


def test_procfs_agrees_with_ss(read: Read) -> None:
    """The same but for backlogs and devices, which /proc/net has not."""
    zoo.everything()
    rows, lines = read_with_ss(read, "procfs")
    seen = [ss.as_ss(row, backlog=False, device=False) for row in rows]
    assert sorted(seen) == sorted(map(ss.expected_of_procfs, lines))
    assert all(row.backlog is None for row in rows)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("state", zoo.STATES)
def test_state_is_seen(read: Read, source: str, state: str) -> None:
    """Each TCP state that can be held is reported under its name."""
    zoo.STATES[state]()
    states = {state_name(row.protocol, row.state) for row in read(source)}
    assert state in states


@pytest.mark.parametrize("source", SOURCES)
def test_multipath_is_tcp(read: Read, source: str) -> None:
    """An MPTCP socket is one TCP socket, held by its process."""
    try:
        zoo.multipath()
    except OSError as error:
        pytest.skip(f"no MPTCP: {error}")
    rows = [row for row in read(source) if row.owners]
    assert {os.getpid()} == {owner.pid for row in rows for owner in row.owners}
    assert sorted(row.state for row in rows) == [1, 1, 10]


@pytest.mark.parametrize("source", SOURCES)
def test_every_owner_of_a_shared_socket(read: Read, source: str) -> None:
    """A socket shared by fork, and one passed over a unix socket, have all their owners."""
    server = zoo.listener()
    passed = zoo.listener()
    ours, theirs = map(zoo.hold, socket.socketpair())

    def receive() -> object:
        return socket.recv_fds(theirs, 1, 1)

    with Child(lambda: server) as forked:
        socket.send_fds(ours, [b"x"], [passed.fileno()])
        with Child(receive, b"receiver") as receiver:
            rows = {row.local_port: row.owners for row in read(source)}
            inherited = {forked.pid, os.getpid(), receiver.pid}
            assert {owner.pid for owner in rows[zoo.port_of(server)]} == inherited
            named = {owner.pid: owner.name for owner in rows[zoo.port_of(passed)]}
            assert named[receiver.pid] == "receiver"


@pytest.mark.parametrize("source", SOURCES)
def test_owner_ends(read: Read, source: str) -> None:
    """Once its process has ended, a socket is gone and nobody is named for it."""
    child = Child(lambda: zoo.listener(port=7001))
    assert [row.owners[0].pid for row in read(source)] == [child.pid]
    child.end()
    assert read(source) == []
