"""Sockets in TIME_WAIT, counted by columns: as they are row by row."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.collector.row_fold import TableFold
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.table_readers import TableReaders
from zabbix_sockets.collector.tables import time_wait
from zabbix_sockets.collector.tables.time_wait import (
    TimeWaitFold,
    add_time_wait,
    has_much_time_wait,
)
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.snapshot import (
    OUTBOUND,
    Connection,
    HostCounters,
    PortRange,
    Snapshot,
    Visibility,
)
from zabbix_sockets.model.wire import SocketRow, Table
from zabbix_sockets.readers.sock_diag.endpoints import Endpoints
from zabbix_sockets.readers.sock_diag.messages import ENCODING

from ...readers.sock_diag.messages import encode_row  # noqa: TID252  # a test folder is no package

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
PORTS = PortRange(32768, 60999, 28232)
LISTEN, TIME_WAIT = 10, 6
V4 = [socket.inet_aton(text) for text in ("0.0.0.0", "127.0.0.1", "192.0.2.5")]
V6 = [
    socket.inet_pton(socket.AF_INET6, text)
    for text in ("::", "::1", "::ffff:127.0.0.1", "::ffff:192.0.2.5")
]
TOKEN = ENCODING.port


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, list[SocketRow], list[SocketRow]]:
    """Return a table, its listeners and its sockets in TIME_WAIT, with the numbers of ports."""
    family = draw(st.sampled_from([AF_INET, AF_INET6]))
    addresses = st.sampled_from(V4 if family == AF_INET else V6)
    ports = st.sampled_from([22, 80, 32767, 32768, 40000, 60999, 61000])
    devices = st.sampled_from([0, 0, 3])
    listeners: list[SocketRow] = [
        (LISTEN, draw(ports), 0, draw(addresses), bytes(4), 0, 0, 5, 0, number)
        for number in range(1, draw(st.integers(1, 5)))
    ]
    closed = st.tuples(ports, ports, addresses, addresses, devices)
    rows: list[SocketRow] = [
        (TIME_WAIT, *each, 0, 0, 0, 0) for each in draw(st.lists(closed, max_size=30))
    ]
    return Table("tcp", family), listeners, rows


def with_tokens(row: SocketRow) -> SocketRow:
    """Return a row as the reader yields it."""
    return row[0], TOKEN(row[1]), TOKEN(row[2]), *row[3:]


def fold_of(table: Table, rows: list[SocketRow], max_endpoints: int = 1000) -> TableFold:
    """Return the sums of *rows*."""
    fold = TableFold(table, ENCODING, PORTS, {1: 2, 2: 2, 3: 2, 4: 2}, max_endpoints)
    fold.add(map(with_tokens, rows))
    return fold


def ends_of(table: Table, rows: list[SocketRow]) -> Iterator[Endpoints]:
    """Yield the ends of *rows*, three messages at a time."""
    for at in range(0, len(rows), 3):
        encoded = [encode_row(row, table.family) for row in rows[at : at + 3]]
        data = b"".join(encoded)
        yield Endpoints(table.family, memoryview(bytearray(data)), len(encoded[0]))


def moved(fold: TableFold) -> Snapshot:
    """Return a Snapshot of what the fold counted."""
    snapshot = Snapshot(0, Visibility("sock_diag"), PORTS, HostCounters())
    fold.move(snapshot, lambda netns, index: f"if{index}@{netns}" if index else "")
    return snapshot


def counted(fold: TableFold) -> Counter[Connection]:
    """Return the connections, without the ends of those that take no ephemeral port."""
    found: Counter[Connection] = Counter()
    for each, count in moved(fold).connections.items():
        kept = each.direction != OUTBOUND or each.ephemeral
        found[each if kept else Connection(*each[:5])] += count
    return found


@given(tables())
def test_as_row_by_row(case: tuple[Table, list[SocketRow], list[SocketRow]]) -> None:
    """Each is counted once, in its direction, with the end that counts."""
    table, listeners, rows = case
    fold = fold_of(table, listeners)
    apart = TimeWaitFold(fold)
    for ends in ends_of(table, rows):
        apart.add(ends)
    apart.drain()
    assert counted(fold) == counted(fold_of(table, listeners + rows))


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ends there are, the counters and the sums stay small, and no socket is lost."""
    monkeypatch.setattr(time_wait, "MAX_DISTINCT", 10)
    table = Table("tcp", AF_INET)
    fold = fold_of(table, [], max_endpoints=20)
    apart = TimeWaitFold(fold)
    rows: list[SocketRow] = [
        (TIME_WAIT, 40000, 443, V4[1], number.to_bytes(4, "big"), 0, 0, 0, 0, 0)
        for number in range(1, 301)
    ]
    for ends in ends_of(table, rows):
        apart.add(ends)
        assert len(apart._remote) <= 10
    apart.drain()
    assert sum(fold.sums.connections.values()) == 300
    assert len(fold.sums.connections) <= 21
    assert fold.sums.overflowed


def test_clients_take_no_keys() -> None:
    """Whoever connects to a listener, or to one that has closed, there is one key or two."""
    table = Table("tcp", AF_INET)
    fold = fold_of(table, [(LISTEN, 80, 0, V4[1], bytes(4), 0, 0, 5, 0, 1)])
    apart = TimeWaitFold(fold)
    for port in (80, 81):
        rows: list[SocketRow] = [
            (TIME_WAIT, port, 1024 + number * 100, V4[1], number.to_bytes(4, "big"), 0, 0, 0, 0, 0)
            for number in range(1, 601)
        ]
        for ends in ends_of(table, rows):
            apart.add(ends)
    assert len(apart._local) <= 4
    apart.drain()
    assert len(fold.sums.connections) <= 4


class Faulty:
    """In the place of NetlinkTables: yields ends, then fails."""

    name = "sock_diag"

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def read_endpoints(self, _deadline: Deadline, _states: int) -> Iterator[Endpoints]:
        """Yield one socket's ends."""
        row: SocketRow = (TIME_WAIT, 80, 1024, V4[1], V4[2], 0, 0, 0, 0, 0)
        yield from ends_of(Table("tcp", AF_INET), [row])
        raise self._fault


FAULTS = [ParseError("netlink", b"?"), SourceUnavailableError("no"), OSError(5, "I/O")]


@pytest.mark.parametrize("fault", [*FAULTS, DeadlineError("late")])
def test_faults(fault: Exception) -> None:
    """What was read counts; it is said that there may be more."""
    plan = Plan(Visibility("sock_diag"), TableReaders(None, Faulty(fault)))  # type: ignore[arg-type]
    fold = fold_of(Table("tcp", AF_INET), [])
    assert not add_time_wait(plan, {AF_INET: fold}, Deadline(30))
    assert sum(fold.sums.connections.values()) == 1
    assert len(plan.visibility.warnings) == (not isinstance(fault, DeadlineError))


@pytest.mark.parametrize(
    ("text", "much"),
    [
        ("TCP: inuse 2 orphan 0 tw 999 alloc 2 mem 0\n", False),
        ("TCP: inuse 2 orphan 0 tw 1000 alloc 2 mem 0\n", True),
        ("UDP: inuse 2\n", False),
        ("TCP: inuse\n", False),
        (None, False),
    ],
)
def test_how_many(tmp_path: Path, text: Any, much: bool) -> None:
    """It is worth a dump from a thousand on; not where the kernel doesn't tell."""
    if text is not None:
        (tmp_path / "net").mkdir()
        (tmp_path / "net/sockstat").write_text(text)
    assert has_much_time_wait(str(tmp_path)) is much
