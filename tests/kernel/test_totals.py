"""The totals that the kernel counts: exact over loopback, for connections of every kind."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import traffic_zoo
from children import run_as
from counted import (
    Found,
    assert_comes_to,
    bounded,
    crowded,
    loaded,
    look,
    read,
    read_all,
    risen,
    wanted,
    without_exchange,
)
from json_documents import json_document
from netns import inside, ip, named, own_namespace
from traffic_zoo import KINDS, Expected, Kind, tcp_counter
from zoo import wait_for

from zabbix_sockets import Query, collect
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.model.snapshot import LISTS
from zabbix_sockets.readers.bpf import records, totals
from zabbix_sockets.readers.groups import group_id

NOBODY = 65534


@pytest.fixture(scope="module")
def counted(pins: str) -> Iterator[str]:
    """Load the programs that count, in a bpffs of the tests' own."""
    del pins  # it skips where nothing can be loaded
    with loaded() as folder:
        yield folder


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_is_counted_exactly(counted: str, kind: Kind) -> None:
    """Each total of each process, listener and upstream is what was done, and nothing else is."""
    before, expected = read(counted), Expected()
    kind(expected)
    assert_comes_to(counted, before, expected)


def test_each_kind_without_exchange(pins: str) -> None:
    """Linux 5.11 has no atomic exchange: what takes its place counts the same."""
    del pins
    with without_exchange() as folder:
        before, expected = read(folder), Expected()
        for kind in KINDS:
            kind(expected)
        assert_comes_to(folder, before, expected)


def test_the_kernel_itself_counts_the_same(counted: str) -> None:
    """ActiveOpens are the attempts that had a port; PassiveOpens what was accepted."""
    before, expected = read(counted), Expected()
    names = "ActiveOpens", "PassiveOpens"
    opens = [tcp_counter(name) for name in names]
    for kind in KINDS:
        kind(expected)
    assert_comes_to(counted, before, expected)
    active, passive = (tcp_counter(name) - then for name, then in zip(names, opens, strict=True))
    total: Counter[str] = sum(expected.processes.values(), Counter())
    portless = Expected()
    traffic_zoo.without_a_port(portless)
    without_port = portless.processes[portless.comm]["abandoned"]
    assert (active, passive) == (total["attempts"] - without_port, total["accepted"])


@pytest.mark.parametrize("protocol", [socket.IPPROTO_TCP, traffic_zoo.MPTCP])
@pytest.mark.parametrize("have", [loaded, without_exchange])
@pytest.mark.usefixtures("pins")
def test_bytes_of_open_connections_count(
    have: Callable[[], AbstractContextManager[str]], protocol: int
) -> None:
    """Each pass of the iterator adds what was carried since the last, and no more."""
    try:
        server, name = traffic_zoo.listener(protocol=protocol)
    except OSError as error:
        pytest.skip(f"no MPTCP in this kernel: {error}")
    with server, have() as folder, socket.socket(proto=protocol) as client:
        before, expected = read(folder), Expected()
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        expected.exchange(name, sent=0, answered=0, closed=0)
        for _ in range(3):
            client.sendall(b"x" * 1000)
            accepted.recv(1000, socket.MSG_WAITALL)
            threading.Event().wait(0.02)  # of a segment that just came a byte is left
            for _ in range(2):
                look(folder)
            expected.outbound(name, bytes_sent=1000)
            expected.inbound(name, bytes_received=1000)
            assert_comes_to(folder, before, expected)
        client.close()
        accepted.close()
        expected.outbound(name, closed=1)
        expected.inbound(name, closed=1)
        assert_comes_to(folder, before, expected)


def test_what_was_opened_before_counts_from_then_on() -> None:
    """Of connections that are older than the totals, what they carry from then on is counted."""
    server, name = traffic_zoo.listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    client.sendall(b"x" * 1000)
    accepted.recv(1000, socket.MSG_WAITALL)
    with loaded() as folder:
        expected = Expected()
        client.sendall(b"x" * 30)
        accepted.recv(30, socket.MSG_WAITALL)
        client.close()
        accepted.close()
        expected.outbound(name, closed=1, bytes_sent=30)
        expected.inbound(name, closed=1, bytes_received=30)
        assert_comes_to(folder, ({}, {}, {}), expected)
    server.close()


def test_two_readers_at_once_add_nothing_twice(counted: str) -> None:
    """Readers pass while connections open, carry and close: at the end all is counted once."""
    before, expected = read(counted), Expected()
    stop = threading.Event()
    failures: list[BaseException] = []

    def read_on() -> None:
        try:
            while not stop.is_set():
                look(counted)
                read_all(counted)
        except BaseException as error:  # noqa: BLE001  # reported below
            failures.append(error)

    readers = [threading.Thread(target=read_on) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(10):
        for kind in (traffic_zoo.short_lived, traffic_zoo.half_closed, traffic_zoo.reset_by_either):
            kind(expected)
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert_comes_to(counted, before, expected)


def test_no_counter_falls_while_all_is_in_motion(counted: str) -> None:
    """Whoever reads twice never reads less than before.

    But for upstreams of former tests: others on this machine may push these out, as the oldest.
    """
    done = threading.Event()

    def churn() -> None:
        expected = Expected()
        for _ in range(20):
            traffic_zoo.short_lived(expected)
        done.set()

    thread = threading.Thread(target=churn)
    before = first = read(counted)
    may_go: Found = ({}, {}, first[2])
    thread.start()
    while not done.is_set():
        look(counted)
        after = read(counted)
        for then, now, old in zip(before, after, may_go, strict=True):
            for key, counters in then.items():
                if key in old:
                    continue
                assert not counters - now.get(key, Counter()), key
        before = after
    thread.join()


def test_what_a_queue_refuses_was_not_sent() -> None:
    """The kernel's bytes_sent has it at each try, and its bytes_retrans doesn't."""
    payload, name = 500_000, f"zs-shaped-{os.getpid()}"
    shape = "tc qdisc add dev lo root tbf rate 20mbit burst 5000 limit 8000"
    with named(name), loaded() as folder, inside(name):
        ip("link", "set", "lo", "mtu", "1500")
        shaped = subprocess.run(shape.split(), capture_output=True, text=True, check=False)
        if shaped.returncode:
            pytest.skip(f"no tbf: {shaped.stderr}")
        server, _ = traffic_zoo.listener()
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        sending = threading.Thread(target=client.sendall, args=(b"x" * payload,))
        sending.start()
        received = accepted.recv(payload, socket.MSG_WAITALL)
        sending.join()
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 216)
        sent, again = struct.unpack_from("=QQ", info, 200)  # tcpi_bytes_sent, tcpi_bytes_retrans
        look(folder)
        _, listeners, upstreams = read(folder)
        for each in (client, accepted, server):
            each.close()
        assert len(received) == payload
        assert sent - again > payload
        (counters,) = (each for each in upstreams.values() if each["bytes_sent"])
        assert counters["bytes_sent"] == payload
        assert sum(each["bytes_received"] for each in listeners.values()) in {payload, payload - 1}


@pytest.mark.short_form
@pytest.mark.usefixtures("pins")
def test_no_room_for_a_connection() -> None:
    """Of both ends all is counted that ever is, but what open ones carry; and it is said."""
    with bounded(MAX_CONNECTIONS=4, SLOT_BITS=1) as folder, crowded(folder):
        before, expected = read(folder), Expected()
        for kind in KINDS:
            kind(expected)

        def are_counted() -> bool:
            look(folder)
            return risen(before, read(folder)) == wanted(expected)

        wait_for(are_counted, "the last ones to end", 10)
        assert read_all(folder).overflow >= 20


@pytest.mark.short_form
@pytest.mark.usefixtures("pins")
def test_no_room_for_a_key() -> None:
    """What has no key is not counted, and said; what has one goes on."""
    for _ in range(20):
        with bounded(MAX_KEYS=4) as folder:
            expected = Expected()
            traffic_zoo.short_lived(expected)
            if read_all(folder).keys != 2:  # of this process, and of its listener
                continue  # the kernel counts for the whole machine: somebody else came between
            servers = [traffic_zoo.listener()[0] for _ in range(5)]
            assert (read_all(folder).keys, read_all(folder).overflow >= 4) == (3, True)
            assert_comes_to(folder, ({}, {}, {}), expected)
            for each in servers:
                each.close()
            return
    pytest.fail("others took the keys each time")


@pytest.mark.short_form
@pytest.mark.usefixtures("pins")
def test_an_upstream_that_is_pushed_out() -> None:
    """The one that was used longest ago begins again from 0, and the process goes on."""
    with bounded(MAX_UPSTREAMS=64) as folder:
        servers = [traffic_zoo.listener() for _ in range(200)]
        for server, _ in servers:
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()
        wait_for(lambda: read(folder)[0][Expected().comm]["closed"] == 400, "")
        processes, listeners, upstreams = read(folder)
        assert len(listeners) == 200
        assert 0 < len(upstreams) <= 64
        assert processes[Expected().comm]["attempts"] == 200
        first, name = servers[0]
        with socket.create_connection(first.getsockname()):
            first.accept()[0].close()
        key = Expected().comm, name
        wait_for(lambda: read(folder)[2].get(key, Counter())["closed"] == 1, "")
        for server, _ in servers:
            server.close()


def test_read_without_any_capability(counted: str) -> None:
    """A user of the group reads all totals; others don't; nobody but root opens what counts."""
    expected = Expected()
    traffic_zoo.short_lived(expected)
    gid = group_id(PINS_GROUP, "load")

    def attempt() -> object:
        try:
            return read_all(counted).keys
        except OSError as error:
            return type(error).__name__

    keys = run_as(NOBODY, attempt, gid=gid)
    assert isinstance(keys, int)
    assert keys > 0
    assert run_as(NOBODY, attempt) == "PermissionError"
    for program in totals.TRACEPOINTS:
        mode = os.stat(records.pin_path(counted, program)).st_mode
        assert not mode & 0o077


def test_a_kernels_namespace_number_is_used_again(counted: str) -> None:
    """A new namespace with the number of one that is gone begins from 0 at its listeners."""
    port = 7301

    def serve() -> None:
        with socket.create_server(("127.0.0.1", port)) as server:
            client = socket.create_connection(server.getsockname())
            server.accept()[0].close()
            client.close()

    numbers: set[int] = set()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # the kernel gives a number back in its own time
        with own_namespace():
            number = os.stat("/proc/thread-self/ns/net").st_ino
            serve()
            listeners = read(counted)[1]
            wait_for(
                lambda: read(counted)[1][socket.inet_aton("127.0.0.1"), port]["closed"] > 0, ""
            )
            assert listeners[socket.inet_aton("127.0.0.1"), port]["accepted"] == 1
        if number in numbers:
            return
        numbers.add(number)
        time.sleep(0.02)
    pytest.skip("this kernel gave each namespace another number")


def test_in_the_document() -> None:
    """Rows have their totals; what is closed has a row all the same, and other listeners have 0."""
    with loaded() as folder:
        quiet, _ = traffic_zoo.listener()
        expected = Expected()
        traffic_zoo.short_lived(expected)
        assert_comes_to(folder, ({}, {}, {}), expected)
        document = json_document(collect(Query("bpf", netns="own", pins=folder, timeout=60)))
        quiet.close()
    comm, ((_, port),) = expected.comm.decode(), expected.listeners
    (process,) = [row for row in document["processes"] if row["name"] == comm]
    assert process["tcp"]["listen"] == 1
    want = wanted(expected)[0][expected.comm]
    assert {each: process["totals"][each] for each in want} == want
    assert process["totals"]["failed"] == 0
    (upstream,) = [row for row in document["upstreams"] if row["id"] != "(absent)"]
    assert (upstream["id"], upstream["established"]) == (f"{comm}>tcp/127.0.0.1:{port}", 0)
    assert upstream["totals"]["closed"] == want["attempts"]
    assert upstream["totals"]["handshake_us"] > 0
    (listener,) = [row for row in document["listeners"] if row["id"] != "(absent)"]
    assert listener["totals"] == dict.fromkeys(listener["totals"], 0)
    assert document["collector"]["totals"]["since"] <= document["time"]
    for each in LISTS:
        assert "totals" not in document[each][-1]  # (absent)


def test_a_named_namespace_without_a_socket() -> None:
    """What was done there keeps the namespace's name when nothing of it is open any more."""
    name = f"zs-idle-{os.getpid()}"
    with loaded() as folder, named(name):
        with inside(name):
            traffic_zoo.short_lived(Expected(), 20)

        def closed() -> list[int]:
            document = json_document(collect(Query("bpf", pins=folder, timeout=60)))
            rows = [each for each in document["upstreams"] if each["id"].endswith(f"@{name}")]
            return [each["totals"]["closed"] for each in rows if not each["established"]]

        wait_for(lambda: closed() == [20], "")


def test_no_totals_without_the_programs(pins: str) -> None:
    """Where only the iterators are loaded, nothing says 0."""
    expected = Expected()
    traffic_zoo.short_lived(expected)
    server, _ = traffic_zoo.listener()
    document = json_document(collect(Query("bpf", netns="own", pins=pins, timeout=60)))
    assert "totals" not in document["collector"]
    assert all("totals" not in row for row in document["processes"] + document["listeners"])
    server.close()
