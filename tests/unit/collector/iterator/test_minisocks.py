"""Sums over records of sockets without a file: made by hand, read from a file."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from zabbix_sockets.collector.iterator import minisocks
from zabbix_sockets.collector.iterator.minisocks import MinisockFold
from zabbix_sockets.model.addresses import MAPPED_PREFIX, fold_address
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError
from zabbix_sockets.model.snapshot import (
    INBOUND,
    NOBODY,
    OUTBOUND,
    UNKNOWN,
    Connection,
    HostCounters,
    ListenerSocket,
    PortRange,
    Snapshot,
    Visibility,
)
from zabbix_sockets.readers.bpf.minisocks import (
    BOTH_ENDS,
    IPV6,
    LOCAL_END,
    MINISOCK,
    REMOTE_END,
    REMOTE_PORT_EPHEMERAL,
)

SYN_RECV, TIME_WAIT = 3, 6
ALL = 0xFFFF
PORTS = PortRange(100, 199, 100)
HERE, THERE = bytes((127, 0, 0, 1)), bytes((192, 0, 2, 1))
HERE6 = bytes(15) + b"\1"
LISTENERS = [(HERE, 80), (bytes(4), 81), (HERE, 150), (bytes(16), 82)]


def record(
    kind: int,
    *,
    state: int = TIME_WAIT,
    flags: int = 0,
    local_port: int = 0,
    remote_port: int = 0,
    local: bytes = HERE,
    device: int = 0,
    address: bytes = b"",
) -> bytes:
    """Return a record, its local address as a number."""
    number = fold_address(local)
    return MINISOCK.pack(
        kind, state, flags, local_port, remote_port, number, device, address.ljust(16, b"\0")
    )


def read(fold: MinisockFold, folder: Path, data: bytes) -> None:
    """Let the fold read these bytes."""
    path = folder / "records"
    path.write_bytes(data)
    fold.read(os.open(path, os.O_RDONLY), Deadline(30))


def moved(fold: MinisockFold) -> Snapshot:
    """Return a Snapshot with listeners and what the fold has."""
    snapshot = Snapshot(0, Visibility("bpf"), PORTS, HostCounters())
    snapshot.listeners = [
        ListenerSocket("tcp", 0, address, port, "", 2, 0, 5) for address, port in LISTENERS
    ]
    fold.move(snapshot, lambda netns, index: f"dev{netns}.{index}" if index else "")
    return snapshot


HEAD = "tcp", 0, NOBODY, TIME_WAIT
LOCAL_ENDS = [
    (80, HERE, 0, (INBOUND, HERE, 80)),
    (80, HERE, REMOTE_PORT_EPHEMERAL, (INBOUND, HERE, 80)),
    (80, THERE, REMOTE_PORT_EPHEMERAL, (UNKNOWN,)),
    (80, THERE, 0, (OUTBOUND,)),
    (81, THERE, 0, (INBOUND, bytes(4), 81)),
    (90, HERE, REMOTE_PORT_EPHEMERAL, (UNKNOWN,)),
    (90, HERE, 0, (OUTBOUND,)),
    (150, HERE, 0, (INBOUND, HERE, 150)),
    (150, THERE, REMOTE_PORT_EPHEMERAL, (OUTBOUND,)),  # its listener has closed just now
    (82, HERE6, IPV6, (INBOUND, bytes(16), 82)),
    (82, MAPPED_PREFIX + HERE, IPV6, (INBOUND, bytes(16), 82)),
]


@pytest.mark.parametrize(("port", "local", "flags", "expected"), LOCAL_ENDS)
def test_local_end(
    tmp_path: Path, port: int, local: bytes, flags: int, expected: tuple[str | bytes | int, ...]
) -> None:
    """It is the listener's, if one has the address; else unknown, or outbound without an end."""
    fold = MinisockFold(ALL)
    read(fold, tmp_path, record(LOCAL_END, local_port=port, local=local, flags=flags) * 3)
    assert moved(fold).connections == {Connection(*HEAD, *expected): 3}  # type: ignore[arg-type]


def test_remote_end(tmp_path: Path) -> None:
    """It is outbound, from an ephemeral port, even if one listens at a port 0."""
    fold = MinisockFold(ALL)
    mapped = MAPPED_PREFIX + THERE
    told = record(REMOTE_END, remote_port=443, address=THERE, device=3) * 2
    told += record(REMOTE_END, remote_port=443, address=mapped, flags=IPV6, device=3)
    told += record(REMOTE_END, remote_port=443, address=HERE6, local=HERE6, flags=IPV6)
    read(fold, tmp_path, told)
    here, here6 = fold_address(HERE), fold_address(HERE6)
    assert moved(fold).connections == {
        Connection(*HEAD, OUTBOUND, THERE, 443, "dev0.3", here, True): 3,
        Connection(*HEAD, OUTBOUND, HERE6, 443, "", here6, True): 1,
    }


def test_both_ends(tmp_path: Path) -> None:
    """Listeners decide."""
    fold = MinisockFold(ALL)
    ends = {"local_port": 150, "remote_port": 443, "address": THERE}
    told = record(BOTH_ENDS, **ends) * 2  # type: ignore[arg-type]
    told += record(BOTH_ENDS, **ends, local=THERE)  # type: ignore[arg-type]
    read(fold, tmp_path, told)
    assert moved(fold).connections == {
        Connection(*HEAD, INBOUND, HERE, 150): 2,
        Connection(*HEAD, OUTBOUND, THERE, 443, "", fold_address(THERE), True): 1,
    }


def test_only_wanted_states(tmp_path: Path) -> None:
    """The iterator tells of all; those that were not asked for are another's."""
    fold = MinisockFold(1 << SYN_RECV)
    told = record(LOCAL_END, local_port=80) + record(LOCAL_END, local_port=80, state=SYN_RECV)
    read(fold, tmp_path, told)
    assert [each.state for each in moved(fold).connections] == [SYN_RECV]


def test_bounded_ends_lose_no_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound remote ends are left out, and it is said; directions stay right."""
    monkeypatch.setattr(minisocks, "MAX_ENDPOINTS", 10)
    monkeypatch.setattr(minisocks, "MAX_DISTINCT", 7)
    fold = MinisockFold(ALL)
    addresses = [struct.pack(">I", number) for number in range(1, 101)]
    both = {"local_port": 150, "remote_port": 443}
    told = b"".join(
        record(REMOTE_END, remote_port=443, address=address)
        + record(BOTH_ENDS, **both, address=address)  # type: ignore[arg-type]
        + record(BOTH_ENDS, **both, address=address, local=THERE)
        + record(LOCAL_END, local_port=80)
        for address in addresses
    )
    read(fold, tmp_path, told)
    snapshot = moved(fold)
    counts = {INBOUND: 0, OUTBOUND: 0}
    for each, count in snapshot.connections.items():
        counts[each.direction] += count
    assert counts == {INBOUND: 200, OUTBOUND: 200}
    assert len(snapshot.connections) < 15
    assert [each.kind for each in snapshot.visibility.gaps] == ["endpoints"]


def test_what_came_counts(tmp_path: Path) -> None:
    """An end within a record, or of the time, is an error; what was read before it counts."""
    fold = MinisockFold(ALL)
    with pytest.raises(ParseError):
        read(fold, tmp_path, record(LOCAL_END, local_port=80) + b"half")
    path = tmp_path / "records"
    with pytest.raises(DeadlineError):
        fold.read(os.open(path, os.O_RDONLY), Deadline(0))
    assert sum(moved(fold).connections.values()) == 1
