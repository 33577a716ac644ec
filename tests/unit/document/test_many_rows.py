"""Very many rows: those that no document has room for are summed without being made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given

from zabbix_sockets.document import document as module
from zabbix_sockets.document.admission import Admission, AdmissionTable, CallMoment
from zabbix_sockets.document.document import Document, Limits, build_document
from zabbix_sockets.document.listener_row import ListenerRow
from zabbix_sockets.document.processes import ProcessRow
from zabbix_sockets.document.row import MOST_MADE
from zabbix_sockets.model.gaps import DENIED, Gap
from zabbix_sockets.model.snapshot import USER, Snapshot, Standing, Visibility

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    processes,
    snapshot_of,
    snapshots,
    tcp_listener,
)

NOW = CallMoment(1_700_000_000, 1000, b"b" * 16)
FEW = Limits(processes=1, listeners=2)
MANY = 3 * MOST_MADE


def documents(snapshot: Snapshot, *most: int) -> list[Document]:
    """Return the documents for which at most so many rows of a list are made."""
    made = []
    for each in most:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "MOST_MADE", each)
            made.append(build_document(snapshot, FEW))
    return made


@given(snapshots())
def test_same_document(snapshot: Snapshot) -> None:
    """However many rows are made, the document is the same: rows, sums and what is left out."""
    few, all_of_them = documents(snapshot, 3, 1 << 30)
    assert few == all_of_them


def test_admitted_row_is_always_made() -> None:
    """Who was admitted stays, however many others come with a lower rank."""
    table = AdmissionTable(None, NOW)
    only = snapshot_of(processes("zz"), [tcp_listener(2, 9999)])
    admission = Admission(table, lambda _members: Standing(USER, "uid 1"), lambda _data: "")
    build_document(only, admission=admission)
    names = [f"a{number:05}" for number in range(MANY)]
    crowd = snapshot_of(
        processes("zz", *names), [tcp_listener(2 + at, 9999 - at) for at in range(MANY + 1)]
    )
    document = build_document(crowd, admission=Admission(table, lambda _members: None, str))
    assert document.processes[-1].id == "zz"
    assert "tcp/0.0.0.0:9999" in [row.id for row in document.listeners]
    assert document.collector.not_admitted == 2 * MANY


class Counted(list[Gap]):
    """Gaps that count how often they are gone through."""

    times = 0

    def __iter__(self) -> Iterator[Gap]:
        self.times += 1
        return super().__iter__()


class Made(NamedTuple):
    """The numbers of rows that were made."""

    processes: list[object]
    listeners: list[object]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Count the rows that are made."""
    found = Made([], [])
    for record, rows in ((ProcessRow, found.processes), (ListenerRow, found.listeners)):
        base = record.__init__

        def count(
            self: object,
            base: object = base,
            rows: list[object] = rows,
            **values: object,
        ) -> None:
            rows.append(self)
            base(self, **values)  # type: ignore[operator]

        monkeypatch.setattr(record, "__init__", count)
    return found


def test_work_is_bounded(made: Made) -> None:
    """Of a hundred thousand listeners as many rows are made as of a few thousand."""
    snapshot = snapshot_of(
        processes(*(f"a{number}" for number in range(MANY))),
        [tcp_listener(2 + at, at) for at in range(MANY)],
    )
    document = build_document(snapshot)
    assert document.collector.truncated["listeners"] == MANY - 300
    assert document.other["listeners"]["sockets"] == MANY - 300
    assert document.other["processes"]["sockets"] == MANY - 200
    assert max(map(len, made)) <= MOST_MADE + 10


def test_gaps_are_not_asked_for_each_row() -> None:
    """As many gaps as processes that may not be inspected: each row would go through all."""
    visibility = Visibility("sock_diag")
    gaps = Counted(Gap(DENIED, f"a{number}") for number in range(10))
    visibility.gaps = gaps
    snapshot = snapshot_of(
        processes(*(f"b{number}" for number in range(400))),
        [tcp_listener(2 + at, at) for at in range(400)],
        visibility=visibility,
    )
    build_document(snapshot)
    assert gaps.times < 50
