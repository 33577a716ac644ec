"""The sockets read in two halves at once: together they are what one reader sees, and counts."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import traffic_zoo
from counted import assert_comes_to, folder_for_pins, loaded, look, read
from traffic_zoo import Expected

from zabbix_sockets.collector import record_reader
from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.bpf.pins import load, unload

FIRST, SECOND = records.HALVES
BLOCK = 64  # descriptors; BLOCK_BITS of record.bpf.h
SOCKETS_OF_CHILD = 5
HOLD_SOCKETS = f"""
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range({SOCKETS_OF_CHILD})]
print(flush=True)
input()
"""


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """Sockets in four blocks of this process's descriptors, and in eight processes more."""
    children = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", HOLD_SOCKETS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(8)
    ]
    for each in children:
        assert each.stdout
        each.stdout.readline()
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4 * BLOCK)]
    yield held
    for one in held:
        one.close()
    for each in children:
        each.communicate(b"\n")


def read_part(pins: str, part: int) -> Counter[tuple[int, int]]:
    """Return how often each listener, by its process and inode, is in a part."""
    fd = records.open_part(records.open_pinned(pins), part)
    found: Counter[tuple[int, int]] = Counter()
    for chunk in records.read_chunks(fd, records.RECORD.size, Deadline(60)):
        for (record,) in records.RECORD_WITHOUT_QUALITY.iter_unpack(chunk):
            pid, _, _, _, kind, *_, inode, _, _, _ = records.SOCKET.unpack(record)
            if kind == records.KIND_LISTENER:
                found[pid, inode] += 1
    return found


@pytest.fixture(params=[True, False], ids=["totals", "no totals"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """Iterators with the programs that count, and without them."""
    folder = folder_for_pins()
    try:
        load(folder, with_totals=request.param, warn=pytest.fail)
        assert records.are_totals_pinned(folder) is request.param
        yield folder
    finally:
        unload(folder)
        os.rmdir(folder)


@pytest.mark.usefixtures("pins")
def test_each_socket_is_in_one_half(either: str, sockets: list[socket.socket]) -> None:
    """Both have some of one process, and some of many; nothing is in both or in neither."""
    whole, first, second = (read_part(either, part) for part in (records.WHOLE, FIRST, SECOND))
    own = {(os.getpid(), os.fstat(each.fileno()).st_ino) for each in sockets}
    assert own <= whole.keys()
    assert first + second == whole
    assert not first.keys() & second.keys()
    for half in (first, second):
        assert len(own & half.keys()) >= BLOCK
        assert any(pid != os.getpid() for pid, _ in half)


def test_flags_of_others_mean_nothing(pins: str, sockets: list[socket.socket]) -> None:
    """Who opens a pin without waiting, as many do with any file, reads all of it."""
    expected = read_part(pins, records.WHOLE)
    assert len(expected) > len(sockets)
    fd = records.open_pinned(pins)(records.COUNT_SOCKETS)
    assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
    os.close(fd)
    assert read_part(pins, os.O_NONBLOCK) == expected


@pytest.mark.usefixtures("sockets")
def test_two_threads_read_what_one_does(pins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are many connections, and more than one processor."""
    parts: list[int] = []

    def open_part(opener: records.Opener, part: int) -> int:
        parts.append(part)
        return usual(opener, part)

    usual = records.open_part
    monkeypatch.setattr(records, "open_part", open_part)
    monkeypatch.setattr(record_reader, "_MANY", 0)
    counts = []
    for processors in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, those=processors: those)
        with RecordReader(records.open_pinned(pins), "/proc", Deadline(60)) as reader:
            counts.append(sum(len(chunk) for chunk in reader))
        assert reader.complete
    assert parts == [records.WHOLE, FIRST, SECOND]
    assert counts[0] == counts[1] > 0


@pytest.mark.usefixtures("pins")
@pytest.mark.parametrize("seen", records.HALVES, ids=["first", "second"])
def test_half_a_pass_is_none_for_the_other_half(seen: int) -> None:
    """What was carried since a half was last read is counted, though the other was read since."""
    server, name = traffic_zoo.listener()
    with loaded() as folder, server:
        before, expected, pairs = read(folder), Expected(), []
        for _ in range(2 * BLOCK):
            client = socket.create_connection(server.getsockname())
            pairs.append((client, server.accept()[0]))
            expected.exchange(name, sent=0, answered=0, closed=0)
        look(folder)
        for client, accepted in pairs:
            client.sendall(b"x" * 1000)
            accepted.recv(1000, socket.MSG_WAITALL)
            expected.outbound(name, bytes_sent=1000)
            expected.inbound(name, bytes_received=1000)
        threading.Event().wait(0.1)  # longer than what a pass leaves to the next
        look(folder, seen)
        threading.Event().wait(0.1)
        look(folder)
        assert_comes_to(folder, before, expected)
        for client, accepted in pairs:
            client.close()
            accepted.close()


@pytest.mark.usefixtures("pins")
def test_totals_begin_when_both_halves_were_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was open before the load is their base, in the half that is read later, too."""
    server, name = traffic_zoo.listener()
    pairs = []
    for _ in range(2 * BLOCK):
        client = socket.create_connection(server.getsockname())
        pairs.append((client, server.accept()[0]))
        client.sendall(b"x" * 1000)
        pairs[-1][1].recv(1000, socket.MSG_WAITALL)
    monkeypatch.setattr("zabbix_sockets.readers.bpf.pins._FIRST_PASS", 0)
    folder = folder_for_pins()
    try:
        load(folder, with_totals=True, warn=lambda _: None)
        expected = Expected()
        for half in records.HALVES:
            look(folder, half)
        for client, accepted in pairs:
            client.sendall(b"x" * 30)
            accepted.recv(30, socket.MSG_WAITALL)
            client.close()
            accepted.close()
            expected.outbound(name, closed=1, bytes_sent=30)
            expected.inbound(name, closed=1, bytes_received=30)
        # Which listener accepted what came before the load is known if that was visited first.
        assert_comes_to(folder, ({}, {}, {}), expected, lambda found: (found[0], {}, found[2]))
    finally:
        unload(folder)
        os.rmdir(folder)
        server.close()
