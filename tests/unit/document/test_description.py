"""What the classes say of their fields, against the document's JSON and against docs/.

Who adds a field to a row is told here what else there is: docs/document.md, and by
tests/unit/templates the item that keeps it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from described import undescribed
from hypothesis import given
from json_documents import json_document

from zabbix_sockets.document.discovery import macros_of
from zabbix_sockets.document.document import ROWS, Document, build_document, read_document
from zabbix_sockets.document.head import (
    Collector,
    Ephemeral,
    HostFigures,
    HostTotals,
    SpoolFigures,
    UnofferedGroup,
)
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.document.listener_row import ListenerClients
from zabbix_sockets.document.record import (
    COUNTER,
    FRACTION,
    INTEGER,
    MOMENT,
    OBJECT,
    TEXT,
    YES_NO,
    Field,
    Record,
    fields_of,
)
from zabbix_sockets.document.row import Row, facts_of
from zabbix_sockets.document.totals import (
    Counting,
    ListenerTotals,
    ProcessTotals,
    UpstreamTotals,
)
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS
from zabbix_sockets.model.clients import ClientSums
from zabbix_sockets.model.quality import sample
from zabbix_sockets.model.snapshot import LISTS, Snapshot, UnixSockets
from zabbix_sockets.model.totals import ServerCounters, Totals

from ..snapshots import snapshot_of, snapshots  # noqa: TID252  # a test folder is no package
from . import test_document

full = test_document.full  # the fixture

PAGE = (Path(__file__).parents[3] / "docs" / "document.md").read_text("utf-8")
KINDS = (TEXT, YES_NO, INTEGER, FRACTION, COUNTER, MOMENT, OBJECT)
TOTALS = ListenerTotals, UpstreamTotals, ProcessTotals, Counting
RECORDS = (
    Document,
    Collector,
    SpoolFigures,
    HostFigures,
    HostTotals,
    Ephemeral,
    UnofferedGroup,
    Row,
    ListenerClients,
    *TOTALS,
    *ROWS.values(),
)
SECTIONS: dict[str, type[Record]] = {
    "`collector`": Collector,
    "`host`": HostFigures,
    **{f"`{name}[]`": row for name, row in ROWS.items()},
    "Round-trip times and retransmissions": Row,
}


@pytest.fixture
def whole(full: Snapshot) -> Snapshot:
    """A Snapshot in which every field has something to say."""
    full.unmeasured = set()
    full.qualities = dict.fromkeys(full.connections, sample(9, True, 1, 1, (1, 1)))
    full.unix = UnixSockets()
    full.processes = [each._replace(pid=1) for each in full.processes]
    full.socket_units = {(each[0], *each[2:5]): "x.socket" for each in full.listeners}
    full.clients = ClientSums()
    for each in full.listeners:
        full.clients.of(each[1:5]).add(each.address)
    counted = [
        ServerCounters(None, each.netns, each.address, each.port, each.device, 0, 0)
        for each in full.listeners
        if each.protocol == "tcp"
    ]
    full.totals = Totals(*(1_600_000_000, 0, 1, 0, 0), [], counted, [])
    return full


def test_whole_document(whole: Snapshot) -> None:
    """Where every field has something to say each is there, but for two that a call may lack."""
    document = json_document(whole, admits=True)
    assert not undescribed(document)
    assert fields_of(Collector).keys() - document["collector"].keys() == {"filter", "spool"}
    assert fields_of(HostFigures).keys() == document["host"].keys()
    for name, record in ROWS.items():
        *rows, _ = document[name]
        assert fields_of(record).keys() == set().union(*rows)


@given(snapshots())
def test_any_document(snapshot: Snapshot) -> None:
    """The JSON has what the classes say and nothing else, whatever was seen."""
    assert not undescribed(json_document(snapshot))


@given(snapshots())
def test_read_again(snapshot: Snapshot) -> None:
    """What another process reads of the JSON is the document."""
    document = build_document(snapshot)
    text = to_json(document).decode()
    again = read_document(text)
    assert again == document
    assert to_json(again).decode() == text


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"more": 1}, "HostFigures.more is not described"),
        ({"tcp": {"listen": 0, "other": 1}}, "HostFigures.tcp: other"),
        ({"orphans": "7"}, "HostFigures.orphans: '7'"),
        ({"orphans": 7.5}, "HostFigures.orphans: 7.5"),
        ({"ephemeral": {"size": 1, "worst_used": 1, "worst_pct": 1}}, "worst_endpoint is lacking"),
    ],
)
def test_faults_are_found(whole: Snapshot, change: dict[str, Any], fault: str) -> None:
    """The check finds what is more, what is less and what is of another kind."""
    document = json_document(whole)
    document["host"] |= change
    (found,) = undescribed(document)
    assert fault in found


@pytest.mark.parametrize("name", LISTS)
def test_absent_row(whole: Snapshot, name: str) -> None:
    """It has the same fields as rows, but for what tells them apart and what is measured alone."""
    *_, absent = json_document(whole)[name]
    fields = fields_of(ROWS[name])
    assert list(absent) == [each for each, field in fields.items() if field.zero is not None]
    for each, field in fields.items():
        is_label = field.macro or field.kind == TEXT
        measured_alone = each in ("rtt_us", "totals", "unix")
        assert (field.zero is None) == (measured_alone or bool(is_label and each not in absent))


@pytest.mark.parametrize("record", RECORDS)
def test_descriptions_make_sense(record: type[Record]) -> None:
    """What is summed is a number and has a zero; facts and kinds are some that there are."""
    facts = facts_of(snapshot_of(), GROUPINGS[DEFAULT_GROUPING]) | facts_of(
        measured(), GROUPINGS[DEFAULT_GROUPING]
    )
    for name, field in fields_of(record).items():
        assert field.kind in KINDS, name
        assert field.needs in facts, name
        assert not field.needs or field.optional, name
        is_number = field.kind in (INTEGER, COUNTER)
        assert not field.additive or (is_number and field.zero == 0), name
        assert field.unit != "%" or not field.additive, name


def measured() -> Snapshot:
    """Return a Snapshot whose every connection was asked."""
    snapshot = snapshot_of()
    snapshot.unmeasured = set()
    snapshot.clients = ClientSums()
    return snapshot


def tables(section: str) -> Iterator[tuple[set[str], str]]:
    """Yield names and meaning of each line of a section's first table."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| (`.*)", text, re.MULTILINE):
        names, _, meaning = line.partition(" | ")
        yield set(re.findall(r"`(\w+)`", names)), meaning


@pytest.mark.parametrize("section", SECTIONS)
def test_documented(section: str) -> None:
    """docs/document.md has each field, with what is in it, and none that there is not."""
    record = SECTIONS[section]
    fields = {name: each for name, each in vars(record).items() if isinstance(each, Field)}
    lines = list(tables(section))
    shared = fields_of(Row).keys() if issubclass(record, Row) else set()
    named = set().union(*(names for names, _ in lines))
    assert fields.keys() <= named
    assert named <= fields.keys() | shared
    for name, field in fields.items():
        inner = fields_of(field.record) if field.record else field.parts
        (meaning,) = (meaning for names, meaning in lines if name in names)
        if name != "truncated":  # by list
            assert set(inner) <= set(re.findall(r"`(\w+)`", meaning)), name


def test_head_is_documented() -> None:
    """docs/document.md names what is in no section of its own, and has sections for the rest."""
    first = PAGE.partition("\n## ")[0]
    in_first = set(re.findall(r"^\| `(\w+)`", first, re.MULTILINE))
    sections = set(re.findall(r"^## `(\w+)(?:\[\])?`$", PAGE, re.MULTILINE)) - {"netns"}
    assert in_first | sections == fields_of(Document).keys()


def test_discovery_is_documented() -> None:
    """docs/document.md has the macros of each list."""
    section = PAGE.partition("\n## Low-level discovery\n")[2]
    for name, row in ROWS.items():
        (line,) = re.findall(rf"^\| {name} \| (.*) \|$", section, re.MULTILINE)
        assert re.findall(r"`(.*?)`", line) == list(macros_of(row))
