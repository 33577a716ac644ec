"""The sockets read in two halves at once: together they are what one reader sees, and counts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
import traffic_zoo
from counted import assert_comes_to, folder_for_pins, loaded, look, read
from traffic_zoo import Expected

from zabbix_sockets.collector import record_reader
from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.readers.bpf import records as bpf
from zabbix_sockets.readers.bpf.pins import load, unload

FIRST, SECOND = bpf.HALVES
BLOCK = 64  # descriptors; BLOCK_BITS of record.bpf.h
CHILDREN, SOCKETS_OF_CHILD = 16, 5
HOLD_SOCKETS = f"""
import os
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range({SOCKETS_OF_CHILD})]
print(*(os.fstat(each.fileno()).st_ino for each in held), flush=True)
input()
"""


Listener = tuple[int, int]
"""A process's id, and the inode number of a socket that it holds."""


@pytest.fixture
def held() -> Iterator[set[Listener]]:
    """Listeners in four blocks of this process's descriptors, and in sixteen processes more."""
    children = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", HOLD_SOCKETS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(CHILDREN)
    ]
    found: set[Listener] = set()
    for each in children:
        assert each.stdout
        found.update((each.pid, int(inode)) for inode in each.stdout.readline().split())
    own = [socket.create_server(("127.0.0.1", 0)) for _ in range(4 * BLOCK)]
    found.update((os.getpid(), os.fstat(each.fileno()).st_ino) for each in own)
    assert len(found) == 4 * BLOCK + CHILDREN * SOCKETS_OF_CHILD
    yield found
    for one in own:
        one.close()
    for each in children:
        each.communicate("\n")


def listeners_in(chunks: Iterable[memoryview | bytes], held: set[Listener]) -> Counter[Listener]:
    """Return how often each of those listeners is in the records: others may come and go."""
    found: Counter[Listener] = Counter()
    for chunk in chunks:
        for (record,) in bpf.RECORD_WITHOUT_QUALITY.iter_unpack(chunk):
            pid, *_, inode, _, _, _ = bpf.SOCKET.unpack(record)
            if (pid, inode) in held:
                found[pid, inode] += 1
    return found


def read_part(pins: str, part: int, held: set[Listener]) -> Counter[Listener]:
    """Return how often each of the listeners is in a part."""
    fd = bpf.open_part(bpf.open_pinned(pins), part)
    return listeners_in(bpf.read_chunks(fd, bpf.RECORD.size, Deadline(60)), held)


@pytest.fixture(params=[True, False], ids=["totals", "no totals"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """Iterators with the programs that count, and without them."""
    folder = folder_for_pins()
    try:
        load(folder, with_totals=request.param, warn=pytest.fail)
        assert bpf.are_totals_pinned(folder) is request.param
        yield folder
    finally:
        unload(folder)
        os.rmdir(folder)


@pytest.mark.usefixtures("pins")
def test_each_socket_is_in_one_half(either: str, held: set[Listener]) -> None:
    """Both have some of one process, and whole processes; nothing is in both or in neither."""
    whole, first, second = (read_part(either, part, held) for part in (bpf.WHOLE, FIRST, SECOND))
    assert whole == dict.fromkeys(held, 1)
    assert first + second == whole
    assert not first.keys() & second.keys()
    for half in (first, second):
        assert sum(pid == os.getpid() for pid, _ in half) >= BLOCK
    # A child's descriptors are in one block, and whose that is depends on its id.
    children = {pid for pid, _ in held} - {os.getpid()}
    of_first, of_second = ({pid for pid, _ in half} & children for half in (first, second))
    assert of_first | of_second == children
    assert of_first
    assert of_second
    assert not of_first & of_second


def test_flags_of_others_mean_nothing(pins: str, held: set[Listener]) -> None:
    """Who opens a pin without waiting, as many do with any file, reads all of it."""
    assert read_part(pins, os.O_NONBLOCK, held) == dict.fromkeys(held, 1)


def test_two_threads_read_what_one_does(
    pins: str, held: set[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are many connections, and more than one processor."""
    parts: list[int] = []

    def open_part(opener: bpf.Opener, part: int) -> int:
        parts.append(part)
        return usual(opener, part)

    usual = bpf.open_part
    monkeypatch.setattr(bpf, "open_part", open_part)
    monkeypatch.setattr(record_reader, "_MANY", 0)
    for processors in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, those=processors: those)
        with RecordReader(bpf.open_pinned(pins), "/proc", Deadline(60)) as reader:
            assert listeners_in(reader, held) == dict.fromkeys(held, 1)
        assert reader.complete
    assert parts == [bpf.WHOLE, FIRST, SECOND]


@pytest.mark.usefixtures("pins")
@pytest.mark.parametrize("seen", bpf.HALVES, ids=["first", "second"])
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
        for half in bpf.HALVES:
            look(folder, half)
        for client, accepted in pairs:
            client.sendall(b"x" * 30)
            accepted.recv(30, socket.MSG_WAITALL)
            client.close()
            accepted.close()
            expected.outbound(name, closed=1, bytes_sent=30)
            expected.inbound(name, closed=1, bytes_received=30)
        # What is older than the load counts for its listener only where a pass came to the
        # listener first: so listeners are not compared.
        assert_comes_to(folder, ({}, {}, {}), expected, lambda found: (found[0], {}, found[2]))
    finally:
        unload(folder)
        os.rmdir(folder)
        server.close()
