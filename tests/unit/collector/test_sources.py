"""Which source is chosen, for the whole and for each table."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.collector.sources import Plan, choose
from zabbix_sockets.collector.table_readers import (
    TableRequest,
    measured_rows_of,
    rows_of,
    rows_with_messages_of,
    tcp_rows,
)
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.snapshot import Query, Visibility
from zabbix_sockets.model.wire import Table
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc import net_tables
from zabbix_sockets.readers.sock_diag import messages

from ..proctree import ProcTree  # noqa: TID252  # a test folder is no installed package
from .fakes import TCP, UDP, FakeTables, maker, row

TIME = Deadline(1e6)
NO_DIAG = SourceUnavailableError("the kernel has no diag module for it")

Chooser = Callable[..., Plan]


@pytest.fixture
def plan_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chooser:
    """Return a function that chooses on a host without BPF, with netlink as given."""
    proc = ProcTree(tmp_path)
    monkeypatch.setattr(
        "zabbix_sockets.readers.bpf.records.why_kernel_cannot", lambda: "no BPF here"
    )

    def plan(tables: FakeTables | Exception, source: str | None = None, net: str = "") -> Plan:
        monkeypatch.setattr("zabbix_sockets.collector.table_readers.NetlinkTables", maker(tables))
        return choose(Query(source, proc=f"{proc}{net}", pins=str(tmp_path / "pins")))

    return plan


def test_netlink_is_best(plan_with: Chooser) -> None:
    """Where the kernel has no BPF netlink is the best that it can do, and nothing is degraded."""
    visibility = plan_with(FakeTables()).visibility
    assert (visibility.source, visibility.degraded) == ("sock_diag", False)
    assert "no BPF here" in visibility.reason
    assert visibility.warnings == []


def test_procfs_where_netlink_is_not(plan_with: Chooser) -> None:
    """Without netlink /proc is read; that is degraded, and the reason is told."""
    visibility = plan_with(SourceUnavailableError("no netlink socket: forbidden")).visibility
    assert (visibility.source, visibility.degraded) == ("procfs", True)
    assert "sock_diag: no netlink socket: forbidden" in visibility.reason


def test_why_there_is_no_iterator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with the pins comes with what to do, and with why none can be loaded here."""
    monkeypatch.setattr("zabbix_sockets.readers.bpf.records.why_kernel_cannot", lambda: None)
    monkeypatch.setattr(
        "zabbix_sockets.readers.bpf.capabilities.why_may_not_load", lambda: "CAP_BPF is missing"
    )
    monkeypatch.setattr("zabbix_sockets.collector.table_readers.NetlinkTables", maker(FakeTables()))
    folder = tmp_path / "pins"
    query = Query("bpf", proc=str(ProcTree(tmp_path)), pins=str(folder))
    with pytest.raises(SourceUnavailableError) as raised:
        choose(query)
    assert str(raised.value) == (
        f"bpf can't be used: not loaded, there is no {folder}: run zabbix-sockets load as root;"
        " CAP_BPF is missing"
    )


def test_procfs_asked_for(plan_with: Chooser) -> None:
    """Who asks for procfs gets it, without as much as a netlink socket."""
    visibility = plan_with(AssertionError("netlink was tried"), "procfs").visibility
    assert (visibility.source, visibility.reason) == ("procfs", "asked for")
    assert not visibility.degraded


def test_netlink_asked_for(plan_with: Chooser) -> None:
    """Who asks for sock_diag gets it, and is told so."""
    visibility = plan_with(FakeTables(), "sock_diag").visibility
    assert (visibility.source, visibility.reason) == ("sock_diag", "asked for")


@pytest.mark.parametrize(
    ("source", "reason"), [("sock_diag", "no netlink socket"), ("bpf", "no BPF here")]
)
def test_source_that_can_not_be_used(plan_with: Chooser, source: str, reason: str) -> None:
    """Who insists on a source that can't be used gets an error, its reason, and a way out."""
    with pytest.raises(SourceUnavailableError) as caught:
        plan_with(SourceUnavailableError("no netlink socket"), source)
    assert str(caught.value).startswith(f"{source} can't be used: ")
    assert reason in str(caught.value)
    assert "--source" in caught.value.hint


def test_netlink_is_closed(plan_with: Chooser) -> None:
    """The netlink socket is given back, also after an error."""
    tables = FakeTables()
    with plan_with(tables):
        pass
    with pytest.raises(KeyError), plan_with(tables):
        raise KeyError
    assert tables.closed == 2


def test_table_by_netlink(plan_with: Chooser) -> None:
    """A table comes with all its batches and its encoding, under the caller's deadline."""
    tables = FakeTables({TCP: [[[row(1)], [row(2), row(3)]]]})
    read = plan_with(tables).open(rows_of(TCP, TIME))
    assert read.encoding is messages.ENCODING
    assert [each[9] for batch in read.batches for each in batch] == [1, 2, 3]
    assert tables.reads == [(TCP, TIME)]


def test_empty_table(plan_with: Chooser) -> None:
    """A table without sockets is no reason to read elsewhere."""
    plan = plan_with(FakeTables())
    assert list(plan.open(rows_of(TCP, TIME)).batches) == []
    assert plan.visibility.warnings == []


def test_table_that_netlink_has_not(plan_with: Chooser) -> None:
    """One table without a diag module is read from /proc, and only that one."""
    plan = plan_with(FakeTables({TCP: [[[row(1)]]], UDP: [[NO_DIAG]]}))
    read = plan.open(rows_of(UDP, TIME))
    assert read.encoding is net_tables.ENCODING
    assert {each[9] for batch in read.batches for each in batch} == {3897270, 3897271}
    assert plan.open(rows_of(TCP, TIME)).encoding is messages.ENCODING
    assert plan.visibility.degraded
    assert plan.visibility.source == "sock_diag"
    (warning,) = plan.visibility.warnings
    assert warning.startswith("udp: sock_diag: the kernel has no diag module")


REQUESTS: dict[str, Callable[[], TableRequest[Any]]] = {
    "rows": lambda: rows_of(TCP, TIME, observer=lambda rows: [row for _, row in rows]),
    "measured rows": lambda: measured_rows_of(TCP, TIME),
    "rows with messages": lambda: rows_with_messages_of(TCP, TIME, tcp_info=True),
    "both families": lambda: tcp_rows(TIME, 1 << 1),
}


@pytest.mark.parametrize("make_request", REQUESTS.values(), ids=REQUESTS)
def test_every_request_has_its_fallback(
    plan_with: Chooser, make_request: Callable[[], TableRequest[Any]]
) -> None:
    """Every request is answered by netlink or else by /proc, and the caller is told by which."""
    plan = plan_with(FakeTables({TCP: [[[row(1)]], [NO_DIAG]]}))
    opened = plan.open(make_request())
    assert (opened.encoding, opened.is_netlink) == (messages.ENCODING, True)
    assert plan.visibility.warnings == []
    assert sum(1 for _ in opened.batches)
    opened = plan.open(make_request())
    assert (opened.encoding, opened.is_netlink) == (net_tables.ENCODING, False)
    assert sum(1 for _ in opened.batches)
    assert plan.visibility.degraded
    (warning,) = plan.visibility.warnings
    assert warning.startswith("tcp: sock_diag: the kernel has no diag module")


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("rows", [row(1)]),
        ("measured rows", ([row(1)], [(5,)])),
        ("rows with messages", [(row(1), b"")]),
        ("both families", (2, [row(1)])),
    ],
)
def test_batches_of_each_request(plan_with: Chooser, requested: str, expected: object) -> None:
    """The rows come with the figures, messages or address family that were requested."""
    tables = FakeTables({TCP: [[[row(1)]]]})
    tables.figures[1] = (5,)
    (batch, *_) = plan_with(tables).open(REQUESTS[requested]()).batches
    assert batch == expected


def test_table_that_nobody_has(plan_with: Chooser) -> None:
    """A table that can't be read in any way is an error."""
    plan = plan_with(FakeTables({TCP: [[NO_DIAG]]}), net="/nowhere")
    with pytest.raises(SourceUnavailableError, match="tcp is not there"):
        plan.open(rows_of(TCP, TIME))


@pytest.mark.parametrize("error", [DeadlineError("late"), ParseError("a", b"b")])
def test_other_errors_are_no_reason_to_read_elsewhere(plan_with: Chooser, error: Exception) -> None:
    """Only a source that can't be used is replaced: a choice never depends on the load."""
    plan = plan_with(FakeTables({TCP: [[error]]}))
    with pytest.raises(type(error)):
        plan.open(rows_of(TCP, TIME))
    assert not plan.visibility.degraded


def test_error_behind_the_first_batch(plan_with: Chooser) -> None:
    """A source that fails in the middle is not replaced: half the rows would come twice."""
    plan = plan_with(FakeTables({TCP: [[[row(1)], NO_DIAG]]}))
    batches = plan.open(rows_of(TCP, TIME)).batches
    next(batches)
    with pytest.raises(SourceUnavailableError):
        next(batches)


@pytest.mark.parametrize("table", [TCP, UDP, Table("udp", 10)])
def test_exact(plan_with: Chooser, table: Table) -> None:
    """Tables that were read in one consistent look are exact."""
    plan = plan_with(FakeTables(), "procfs")
    for _ in plan.open(rows_of(table, TIME)).batches:
        pass
    assert plan.is_exact(table)
    assert plan.visibility.warnings == []


def test_approximate(plan_with: Chooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that changed at every look is approximate, and a warning names it."""
    looks = iter([1, 2, 3])

    def parse_table(_lines: object, _source: str) -> list[object]:
        return [(7, next(looks), 0, b"0100007F", b"00000000", 0, 0, 0, 0, 5)]

    monkeypatch.setattr("zabbix_sockets.readers.proc.net_tables.parse_table", parse_table)
    plan = plan_with(FakeTables(), "procfs")
    for _ in plan.open(rows_of(UDP, TIME)).batches:
        pass
    assert not plan.is_exact(UDP)
    assert plan.is_exact(TCP)
    (warning,) = plan.visibility.warnings
    assert warning.startswith("udp: ")
    assert "approximate" in warning


def plan_by(tmp_path: Path, opened: list[str]) -> Plan:
    """Return a plan with an iterator that has no records, which notes when it is opened."""
    empty = tmp_path / "pin"
    empty.touch()

    def open_iterator(program: str) -> int:
        opened.append(program)
        return os.open(empty, os.O_RDONLY)

    return Plan(Visibility("bpf"), open_iterator=open_iterator)


def test_started_reading_is_used_once(tmp_path: Path) -> None:
    """What the plan has begun to read is what is read; who reads again, reads anew."""
    opened: list[str] = []
    with plan_by(tmp_path, opened) as plan:
        plan.begin(Query())
        assert opened == [records.COUNT_SOCKETS]
        for times in (1, 2):
            with plan.records("/proc", TIME) as read:
                assert (list(read), read.complete) == ([], True)
            assert len(opened) == times


@pytest.mark.parametrize("expression", ["", "sport = :1"])
def test_no_reading_is_started_in_vain(tmp_path: Path, expression: str) -> None:
    """What fits a filter is not read from these records; a plan ends what it has begun."""
    opened: list[str] = []
    before = sys.getswitchinterval()
    with plan_by(tmp_path, opened) as plan:
        plan.begin(Query(filter=expression))
    assert opened == ([] if expression else [records.COUNT_SOCKETS])
    assert sys.getswitchinterval() == before


def test_nothing_to_begin_with(tmp_path: Path) -> None:
    """An iterator that can't be opened says so when its records are asked for; none is none."""
    with plan_by(tmp_path, []) as plan:
        (tmp_path / "pin").unlink()
        plan.begin(Query())
        with pytest.raises(FileNotFoundError):
            plan.records("/proc", TIME)
    with Plan(Visibility("procfs")) as plan:
        plan.begin(Query())
