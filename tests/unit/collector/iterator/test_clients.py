"""Clients by the records of count_clients, and by the tables while connections wait."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from zabbix_sockets.collector.iterator.clients import RecordClients
from zabbix_sockets.model import gaps
from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import ListenerSocket, Snapshot
from zabbix_sockets.readers.bpf import records as bpf

from ...snapshots import ANY, LOOPBACK, snapshot_of, tcp_listener  # noqa: TID252  # no package
from ..fakes import TCP, row  # noqa: TID252  # a test folder is no package
from . import test_collection
from .test_collection import LISTEN, SERVER, IteratedHost, record

host = test_collection.host  # the fixture

OWN, ELSEWHERE = 4026531833, 4026532999
IPV6_ANY = bytes(16)
MAPPED = b"\0" * 10 + b"\xff\xff"


def ip(text: str) -> bytes:
    """Return an IPv4 address."""
    return socket.inet_aton(text)


def client(
    remote: bytes,
    local: bytes = LOOPBACK,
    port: int = 80,
    kind: int = bpf.KIND_INBOUND,
    netns: int = OWN,
    inode: int = 0,
) -> bytes:
    """Return a record."""
    flags = (bpf.IPV6 if len(remote) == 16 else 0) | (bpf.SHARED if inode else 0)
    return bpf.CLIENT.pack(netns, 0, fold_address(local), port, kind, flags, inode, remote)


def read(
    folder: Path,
    listeners: Iterable[ListenerSocket],
    records: Iterable[bytes],
    *,
    own_only: bool = False,
) -> dict[tuple[int, bytes, int, str], tuple[int, tuple[bytes, int] | None]]:
    """Return the number of clients and the one with most connections, by listener."""
    (folder / "records").write_bytes(b"".join(records))
    snapshot = snapshot_of(listeners=listeners)
    found = RecordClients(snapshot, OWN, lambda _netns, _index: "", own_only=own_only)
    found.read(os.open(folder / "records", os.O_RDONLY), Deadline(600))
    return {end: (each.distinct, each.top()) for end, each in found.sums.by_end.items()}


def test_of_each_listener(tmp_path: Path) -> None:
    """The local address decides whose they are, and the kernel's word and listeners whether."""
    listeners = [tcp_listener(0, 80), tcp_listener(0, 80, LOOPBACK), tcp_listener(0, 443)]
    a, b = ip("192.0.2.1"), ip("192.0.2.2")
    records = [
        *[client(a)] * 3,
        client(b),
        client(b, local=ip("198.51.100.1")),
        client(a, port=443, kind=bpf.KIND_UNDECIDED),
        client(a, port=5432, kind=bpf.KIND_UNDECIDED),  # it bound its port, and connected
        client(a, port=8080),  # its listener has closed
    ]
    assert read(tmp_path, listeners, records) == {
        (0, LOOPBACK, 80, ""): (2, (a, 3)),
        (0, ANY, 80, ""): (1, (b, 1)),
        (0, ANY, 443, ""): (1, (a, 1)),
    }


def test_ipv6_and_mapped(tmp_path: Path) -> None:
    """A client over IPv4 of a listener on :: has its IPv4 address, and is no other's."""
    listeners = [tcp_listener(0, 80, IPV6_ANY), tcp_listener(0, 80)]
    a = ip("192.0.2.1")
    records = [client(MAPPED + a, MAPPED + LOOPBACK), client(b"\x20\1" + bytes(14), IPV6_ANY)]
    found = read(tmp_path, listeners, records)
    assert found == {(0, IPV6_ANY, 80, ""): (2, (b"\x20\1" + bytes(14), 1))}
    found = read(tmp_path, listeners, records[:1] * 2)
    assert found == {(0, IPV6_ANY, 80, ""): (1, (a, 2))}


def test_shared_sockets_count_once(tmp_path: Path) -> None:
    """A connection that several processes have is one."""
    a = ip("192.0.2.1")
    records = [client(a, inode=7), client(a, inode=8), client(a, inode=7), client(a)]
    found = read(tmp_path, [tcp_listener(0, 80)], records)
    assert found == {(0, ANY, 80, ""): (1, (a, 3))}


@pytest.mark.parametrize("own_only", [False, True])
def test_other_namespaces(tmp_path: Path, own_only: bool) -> None:  # a parameter
    """Each has listeners of its own; they are left out where they aren't asked for."""
    listeners = [tcp_listener(0, 80), tcp_listener(0, 80)._replace(netns=ELSEWHERE)]
    a, b = ip("192.0.2.1"), ip("192.0.2.2")
    found = read(tmp_path, listeners, [client(a), client(b, netns=ELSEWHERE)], own_only=own_only)
    elsewhere = {} if own_only else {(ELSEWHERE, ANY, 80, ""): (1, (b, 1))}
    assert found == {(0, ANY, 80, ""): (1, (a, 1))} | elsewhere


def test_a_million_clients(tmp_path: Path) -> None:
    """They are estimated, and the one with most connections is found among them."""
    end = client(bytes(16))[: bpf.CLIENT_END.size + 4]
    end = end[: bpf.CLIENT_END.size - 1] + bytes(5)  # IPv4, and not shared
    records = (end + number.to_bytes(4, "big") + bytes(12) for number in range(1_000_000))
    top = ip("192.0.2.1")
    found = read(tmp_path, [tcp_listener(0, 80)], [*records, *[client(top)] * 2000])
    ((distinct, found_top),) = found.values()
    assert abs(distinct - 1_000_000) < 40_000
    assert found_top
    assert found_top[0] == top
    assert 1800 <= found_top[1] <= 2001


def ends_of(snapshot: Snapshot) -> dict[int, tuple[int, int]]:
    """Return the number of clients and of connections, by the listener's port."""
    assert snapshot.clients
    by_end = snapshot.clients.by_end.items()
    return {port: (each.distinct, each.connections) for (_, _, port, _), each in by_end}


def pin(host: IteratedHost, data: bytes) -> None:
    """Let the iterator of clients tell this."""
    Path(bpf.pin_path(str(host.pins), bpf.COUNT_CLIENTS)).write_bytes(data)


def test_in_a_snapshot(host: IteratedHost) -> None:
    """It has them where they are asked for, and else the iterator is not even read."""
    pin(host, client(ip("192.0.2.1"), netns=host.netns))
    assert ends_of(host.collect(clients=True)) == {80: (1, 1)}
    assert host.collect().clients is None
    pin(host, b"half a record")
    assert host.collect().clients is None
    assert not host.collect().visibility.gaps


def test_connections_that_wait_to_be_accepted(host: IteratedHost) -> None:
    """They have no file: the tables tell whose they are, where listeners say that some wait."""
    listening = record(host.netns, SERVER, bpf.KIND_LISTENER, 10)
    waiting = bpf.SOCKET.unpack(listening[: bpf.SOCKET.size])
    waiting = (*waiting[:13], 2, *waiting[14:])  # its accept queue
    host.write(bpf.SOCKET.pack(*waiting) + bytes(bpf.QUALITY.size))
    pin(host, client(ip("192.0.2.1"), netns=host.netns))
    remote = row(0, 1, 80, 40_000)
    host.scripts[TCP] = [[[row(10, LISTEN, 80, 0), remote, remote, row(11, 1, 80, 40_001)]]]
    snapshot = host.collect(clients=True)
    assert snapshot.listeners[0].accept_queue == 2
    assert ends_of(snapshot) == {80: (2, 3)}


def test_half_a_record(host: IteratedHost) -> None:
    """What can't be read to its end is not half told: there are no clients, and all the rest."""
    pin(host, client(ip("192.0.2.1"), netns=host.netns) + b"half a record")
    snapshot = host.collect(clients=True)
    assert snapshot.visibility.source == "bpf"
    assert snapshot.visibility.has_gap(gaps.CLIENTS)
    assert "clients" in "".join(snapshot.visibility.warnings)
    assert len(snapshot.listeners) == 1


def test_listeners_without_a_backlog(host: IteratedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they accepted is known by a second pass, if their port is one of connect(2)'s."""
    reads = []
    read_records = RecordClients.read

    def counted(self: RecordClients, fd: int, deadline: Deadline) -> None:
        reads.append(fd)
        read_records(self, fd, deadline)

    monkeypatch.setattr(RecordClients, "read", counted)
    pin(host, client(ip("192.0.2.1"), netns=host.netns))
    host.collect(clients=True)
    assert len(reads) == 1
    fields = list(bpf.SOCKET.unpack(record(host.netns, SERVER, 1, 10)[: bpf.SOCKET.size]))
    fields[8], fields[14] = 40_000, 0  # its port and backlog
    host.write(bpf.SOCKET.pack(*fields) + bytes(bpf.QUALITY.size))
    pin(host, client(ip("192.0.2.1"), port=40_000, netns=host.netns) * 2)
    assert ends_of(host.collect(clients=True)) == {40_000: (1, 2)}
    assert len(reads) == 3
