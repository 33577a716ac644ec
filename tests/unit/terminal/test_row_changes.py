"""Rows of the document again and again: what is new, gone, and how fast it goes."""

from __future__ import annotations

import pytest

from zabbix_sockets.document.document import NO_LIMITS, Document, build_document
from zabbix_sockets.model.snapshot import FIRST_OWNER, Counted, Process
from zabbix_sockets.model.totals import ProcessCounters, ServerCounters, Totals
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.monitor import Moment
from zabbix_sockets.terminal.row_changes import AskedTable, RowChanges, rates_of

from ..snapshots import packed, snapshot_of, tcp_listener  # noqa: TID252  # a test folder is no package

PLAIN = Style(colours=False, width=None)
SINCE, READ_AT = 1_600_000_000, 10**13
PROCESSES = AskedTable("processes", "process", "")


def document(since: int = SINCE, names: tuple[str, ...] = ("web",), **counts: int) -> Document:
    """Return a document of listening processes, with these counters of each and of its upstream."""
    listeners = [tcp_listener(FIRST_OWNER + at, 80 + at) for at in range(len(names))]
    snapshot = snapshot_of([Process(7 + at, name) for at, name in enumerate(names)], listeners)
    if since:
        counters = packed(**counts), READ_AT
        totals = [
            ProcessCounters(name.encode(), False, 0, 1, OWN_NETNS, *counters) for name in names
        ]
        upstreams = [
            ServerCounters(at, OWN_NETNS, bytes((127, 0, 0, 1)), 99, "", *counters)
            for at in range(len(names))
        ]
        snapshot.totals = Totals(*(since, READ_AT, 1, 0, 0), totals, [], upstreams)
        snapshot.counted = [Counted(each) for each in snapshot.processes]
    return build_document(snapshot, NO_LIMITS)


def changes(before: Document, now: Document, choice: AskedTable = PROCESSES) -> RowChanges:
    """Return what has changed within two seconds."""
    return RowChanges(choice, Moment(1, 1, before), Moment(3, 3, now))


def test_rates_and_means() -> None:
    """Totals per second, and the means of what was opened and closed in between."""
    before = document(opened=5, closed=1, handshake_ns=10**9, lifetime_ns=10**9)
    now = document(
        opened=9, closed=3, failed=1, bytes_sent=4000, handshake_ns=10**9 + 8000,
        lifetime_ns=2 * 10**9,
    )  # fmt: skip
    first, *_ = changes(before, now).json_rows()
    rates = first["rates"]
    assert (rates["opened_per_s"], rates["failed_per_s"], rates["sent_bytes_per_s"]) == (
        2,
        0.5,
        2000,
    )
    assert (rates["handshake_us"], rates.get("lifetime_ms")) == (2, None)
    (upstream, _) = changes(before, now, PROCESSES._replace(kind="upstreams")).json_rows()
    assert upstream["rates"]["lifetime_ms"] == 500


def test_nothing_opened_has_no_mean() -> None:
    """Of nothing there is neither a mean handshake nor a mean lifetime."""
    same = document(opened=5, closed=2, handshake_ns=10**9)
    (row, _) = changes(same, same, PROCESSES._replace(kind="upstreams")).json_rows()
    assert row["rates"]["opened_per_s"] == 0
    assert not {"handshake_us", "lifetime_ms"} & row["rates"].keys()


@pytest.mark.parametrize(
    ("since", "opened", "failed"), [(SINCE + 9, 9, 0), (SINCE, 4, 9)], ids=["load", "pushed out"]
)
def test_what_begins_again_has_no_rates(since: int, opened: int, failed: int) -> None:
    """After a load, or when a row was pushed out, nothing is said for once."""
    found = changes(document(opened=5), document(since, opened=opened, failed=failed))
    assert not any("rates" in row for row in found.json_rows())
    text = found.table(PLAIN, None).text
    assert text.splitlines()[1].split().count("-") >= 6


def test_new_and_gone() -> None:
    """Both are marked; what is gone comes once more, and neither has rates."""
    found = changes(document(names=("gone", "web")), document(names=("new", "web")))
    rows = {row["id"]: row for row in found.json_rows()}
    assert {row_id: row.get("change") for row_id, row in rows.items()} == {
        "gone": "gone", "new": "new", "web": None, "(absent)": None,
    }  # fmt: skip
    assert [row_id for row_id, row in rows.items() if "rates" in row] == ["web"]
    assert found.counts() == (2, 1, 1)
    lines = found.table(PLAIN, None).text.splitlines()
    assert {line[3:].split()[0]: line[0] for line in lines[1:]} == {
        "gone": "-", "new": "+", "web": " ",
    }  # fmt: skip


def test_the_first_has_neither() -> None:
    """Nothing is new in it; the columns are there already."""
    first = RowChanges(PROCESSES, None, Moment(1, 1, document()))
    assert all(not {"change", "rates"} & row.keys() for row in first.json_rows())
    assert "OPENED/S" in first.table(PLAIN, None).text


def test_without_totals() -> None:
    """There are the counts of snapshots, and no column that nothing fills."""
    plain = document(0)
    text = changes(plain, plain).table(PLAIN, None).text
    assert "SOCKETS" in text
    assert "/S" not in text


def test_sorted_and_cut() -> None:
    """Rows go by the column that was asked for, and the first ones have room."""
    before = document(names=("a", "b"))
    now = document(names=("a", "b"), failed=4)
    vars(now.processes[1].totals)["failed"] = 8
    found = changes(before, now, PROCESSES._replace(sort="failed/s"))
    table = found.table(PLAIN, 1)
    assert (table.text.splitlines()[1].split()[0], table.left_out) == ("b", 1)


def test_no_time_has_no_rates() -> None:
    """Two snapshots of one moment tell nothing of a second."""
    (row,) = document(opened=5).processes
    assert rates_of(row, row, 0) == {}
