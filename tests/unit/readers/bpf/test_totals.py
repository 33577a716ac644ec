"""The totals of the kernel's records."""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from socket import AF_INET, AF_INET6

import pytest

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.totals import (
    COUNTERS,
    MOST_KEYS,
    RECENT,
    Endpoint,
    ProcessCounters,
    ServerCounters,
    Totals,
    counters_of,
)
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.readers.bpf import totals
from zabbix_sockets.readers.bpf.records import pin_path
from zabbix_sockets.readers.bpf.totals import MAPS, TotalsReader

HERE, ELSEWHERE, FURTHER = 4026531840, 4026532000, 4026532001
LARGEST = 2**64 - 1
LOCAL = bytes((127, 0, 0, 1))


def sums(changed: int, *counters: int, namespace: int = 1) -> bytes:
    """Return the sums of a record, which are 0 behind *counters*."""
    rest = len(COUNTERS) - len(counters)
    return struct.pack(f"={len(COUNTERS)}QQQ", *counters, *[0] * rest, changed, namespace)


def process(
    number: int, name: bytes, netns: int, found: bytes, uid: int = 0, is_kernel: int = 0
) -> bytes:
    """Return the record of a process in the cgroup 9."""
    return struct.pack("=I4xQIIII16s", number, 9, netns, uid, is_kernel, 0, name) + found


def server(
    number: int,
    netns: int,
    port: int,
    found: bytes,
    device: int = 0,
    family: int = AF_INET,
    address: bytes = LOCAL,
) -> bytes:
    """Return the record of a listener or upstream."""
    return struct.pack("=III16sHHI4x", 0, netns, device, address, port, family, number) + found


def read(
    folder: Path,
    processes: Sequence[bytes] = (),
    listeners: Sequence[bytes] = (),
    upstreams: Sequence[bytes] = (),
    wanted: frozenset[int] | None = None,
    endpoints: tuple[Collection[Endpoint] | None, Collection[Endpoint] | None] = (None, None),
) -> Totals:
    """Return the totals of the records, behind each of which comes that of the figures."""
    figures = sums(0, 3, 4, 5, 77)
    for name, records, last in zip(
        MAPS,
        (processes, listeners, upstreams),
        (process(0, b"", 0, figures), *[server(0, 0, 0, figures)] * 2),
        strict=True,
    ):
        Path(pin_path(str(folder), name)).write_bytes(b"".join((*records, last)))
    device = {(OWN_NETNS, 3): "eth0", (ELSEWHERE, 3): "eth1"}
    place = str(folder), HERE, lambda netns, index: device[netns, index]
    return TotalsReader(*place, Deadline(60), wanted, *endpoints).read()


def test_the_number_of_keys() -> None:
    """The program has room for as many as are said to be full."""
    source = Path(totals.__file__).with_name("totals.bpf.c").read_text()
    (most,) = re.findall(r"#define MAX_KEYS (\d+)", source)
    assert int(most) == MOST_KEYS + 1


def test_each_counter_is_kept(tmp_path: Path) -> None:
    """Even the largest that the kernel could have."""
    numbers = range(LARGEST, LARGEST - len(COUNTERS), -1)
    found = read(tmp_path, [process(1, b"web", HERE, sums(8, *numbers))])
    assert found[2:5] == (3, 4, 5)
    (only,) = found.processes
    assert only[:5] == (b"web", False, 0, 9, OWN_NETNS)
    assert (counters_of(only.counters), only.changed) == (tuple(numbers), 8)


def test_when(tmp_path: Path) -> None:
    """They begin with the pin of the programs, and are of the moment when all have been read."""
    read(tmp_path)
    os.utime(pin_path(str(tmp_path), "total_processes"), (5.5, 1_600_000_000.5))
    before = time.monotonic_ns()
    found = TotalsReader(str(tmp_path), HERE, lambda _, index: str(index), Deadline(60)).read()
    assert found.since == 1_600_000_000
    assert before <= found.read_at <= time.monotonic_ns()


def test_the_kernel(tmp_path: Path) -> None:
    """Its own connections are nobody else's."""
    counted = [process(2 - at, b"", HERE, sums(8, 1), is_kernel=at) for at in (1, 0)]
    found = read(tmp_path, counted)
    assert [each.is_kernel for each in found.processes] == [True, False]


def test_too_much(tmp_path: Path) -> None:
    """Sums that have no room are wrong, and no error: the kernel's have."""
    most = sums(8, *[LARGEST] * len(COUNTERS))
    (only,) = read(tmp_path, [process(at, b"web", HERE, most) for at in (1, 2)]).processes
    assert len(counters_of(only.counters)) == len(COUNTERS)


def test_one_process_of_all_namespaces(tmp_path: Path) -> None:
    """Thousands of namespaces cost little: processes that differ by nothing else are one."""
    counted = [
        process(1, b"web", FURTHER, sums(8, 1, 2)),
        process(2, b"web", ELSEWHERE, sums(9, 3, 4)),
        process(3, b"web", ELSEWHERE, sums(7, 5), uid=1),
    ]
    upstreams = [server(number, HERE, 80, sums(8, number)) for number in (1, 2, 3, 4)]
    found = read(tmp_path, counted, upstreams=upstreams)
    assert [(each.uid, each.netns, each.changed) for each in found.processes] == [
        *((0, ELSEWHERE, 9), (1, ELSEWHERE, 7)),
    ]
    assert [counters_of(each.counters)[:3] for each in found.processes] == [(4, 6, 0), (5, 0, 0)]
    assert [each.process for each in found.upstreams] == [0, 0, 1, None]


def test_only_of_the_namespaces_wanted(tmp_path: Path) -> None:
    """What was counted elsewhere is left out."""
    places = HERE, ELSEWHERE, FURTHER
    counted = [process(1 + at, b"web", each, sums(8, 1)) for at, each in enumerate(places)]
    servers = [server(1 + at, each, 80, sums(8, 1)) for at, each in enumerate(places)]
    found = read(tmp_path, counted, servers, servers, frozenset((OWN_NETNS, FURTHER)))
    assert [each.netns for each in found.listeners] == [OWN_NETNS, FURTHER]
    assert found.listeners == found.upstreams
    assert [counters_of(each.counters)[0] for each in found.processes] == [2]


def test_only_of_the_endpoints_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of upstreams all of an endpoint of which something changed lately, however old it is."""
    now = 10 * RECENT  # a machine may be up for less than that
    monkeypatch.setattr("zabbix_sockets.readers.bpf.totals.monotonic_ns", lambda: now)
    old, new = sums(now - RECENT - 1, 1), sums(now, 1)
    servers = [
        server(1, ELSEWHERE, 82, old),
        *(server(1, HERE, 80 + at, each) for at, each in enumerate((old, old, new, old, new))),
        server(1, HERE, 85, sums(now - RECENT, 1)),
        server(1, HERE, 80, old, address=bytes((127, 0, 0, 2))),
        server(1, HERE, 80, old, family=AF_INET6, address=bytes(15) + b"\1"),
    ]
    counted = [process(1, b"web", HERE, new)]
    endpoints = {(LOCAL, 80), (bytes(15) + b"\1", 80)}, {(LOCAL, 81)}
    found = read(tmp_path, counted, servers, servers, endpoints=endpoints)
    assert [(each.address, each.port) for each in found.listeners] == [
        *((LOCAL, 80), (bytes(15) + b"\1", 80)),
    ]
    assert [(each.netns, each.port) for each in found.upstreams] == [
        *((ELSEWHERE, 82), (OWN_NETNS, 81), (OWN_NETNS, 82), (OWN_NETNS, 84)),
    ]
    nothing = read(tmp_path, counted, servers[:1], servers[:2], endpoints=((), ()))
    assert (nothing.listeners, nothing.upstreams, nothing.keys) == ([], [], 3)


def test_what_is_visited_twice(tmp_path: Path) -> None:
    """An iterator may come to a key again while others come and go; it counts once."""
    counted = [process(1, b"web", HERE, sums(8, 1 + at)) for at in range(2)]
    servers = [server(1, HERE, 80, sums(8, 1 + at)) for at in range(2)]
    counted.append(process(2, b"other", HERE, sums(8, 9)))
    servers.append(server(2, HERE, 81, sums(8, 9)))
    found = read(tmp_path, counted, servers, servers)
    assert [counters_of(each.counters)[0] for each in found.processes] == [1, 9]
    for each in found.listeners, found.upstreams:
        assert [counters_of(one.counters)[0] for one in each] == [2, 9]


def test_a_number_that_is_used_again(tmp_path: Path) -> None:
    """Upstreams of the namespace that had it before are left out, whichever has what cookie."""
    upstreams = [
        server(1, ELSEWHERE, 81, sums(9, 1, namespace=5)),
        server(1, ELSEWHERE, 82, sums(3, 1, namespace=5)),
        server(1, ELSEWHERE, 80, sums(8, 1, namespace=7)),
        server(1, FURTHER, 83, sums(0, 1, namespace=6)),
        server(1, HERE, 84, sums(1, 1, namespace=1)),
    ]
    found = read(tmp_path, [process(1, b"web", HERE, sums(9))], upstreams, upstreams)
    assert [each.port for each in found.upstreams] == [81, 82, 83, 84]
    assert len(found.listeners) == len(upstreams)


def test_servers(tmp_path: Path) -> None:
    """Their addresses have the length of their family, and devices the names of their namespace."""
    servers = [
        server(1, HERE, 80, sums(8, 1), device=3),
        server(0, ELSEWHERE, 443, sums(8), device=3, family=AF_INET6),
        server(1, HERE, 81, sums(8)),
    ]
    one, other, third = read(tmp_path, [process(1, b"web", HERE, sums(8))], servers).listeners
    ipv4 = bytes((127, 0, 0, 1))
    assert one[:5] == (0, OWN_NETNS, ipv4, 80, "eth0")
    assert other[:5] == (None, ELSEWHERE, ipv4 + bytes(12), 443, "eth1")
    assert third.device == ""


def test_rubbish(tmp_path: Path) -> None:
    """A family that there isn't, and records without the last one, are errors."""
    with pytest.raises(ParseError, match=r"^cannot parse BPF totals: .*\b80, 99, 1\b"):
        read(tmp_path, listeners=[server(1, HERE, 80, sums(8), family=99)])
    read(tmp_path)
    for name in MAPS:
        read(tmp_path)
        Path(pin_path(str(tmp_path), name)).write_bytes(b"")
        missing = "^cannot parse BPF totals: 'the last record is missing'$"
        with pytest.raises(ParseError, match=missing):
            TotalsReader(str(tmp_path), HERE, lambda _, index: str(index), Deadline(60)).read()


def test_no_totals(tmp_path: Path) -> None:
    """Nothing but the figures is read of what has counted nothing yet."""
    found = read(tmp_path)
    nothing: tuple[list[ProcessCounters], list[ServerCounters], list[ServerCounters]] = ([], [], [])
    assert found[2:] == (3, 4, 5, *nothing)
