"""The document and the templates: each item finds its value, and each figure has an item."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from zabbix_sockets.document.record import ABSENT_ID
from zabbix_sockets.model.gaps import TABLE
from zabbix_sockets.model.snapshot import LISTS, Snapshot

from ..document.test_document import document_of  # noqa: TID252  # a test folder is no package
from .exports import Export, Object, Part, export_of, leaves
from .jsonpath import NoMatchError, query
from .lld import KINDS, discovered, labels_of

MORE = {
    f"{{$SOCKETS.LLD.MORE.{name}.MATCHES}}": "." for name in ("PROCESS", "LISTENER", "UPSTREAM")
}

# Figures that no item keeps: labels, the time of the document, and of what was left out all
# but the sums that alarm somebody.
LABELS = {
    "time",
    "collector.totals.since",
    "processes.settled",
    "listeners.port",
    "listeners.ephemeral",
    "upstreams.port",
}
LABELS |= {f"{name}.admitted" for name in LISTS}
LABELS |= {"host.unseen.close_wait", "host.unseen.syn_sent"}  # of which `stuck` is the sum
LABELS |= {"listeners.clients.distinct_error_pct", "listeners.clients.top_error"}
LEFT_OUT = "other."

ERROR = "$.error"
"""What is there instead of a document."""


_ROUND_TRIPS = re.compile(r"^\$\.rtt_us\.\w+$")


def path_of(item: Object) -> str:
    """Return the JSONPath by which an item takes its value."""
    first = item["preprocessing"][0]
    assert first["type"] == "JSONPATH"
    return str(first["parameters"][0])


def is_lacking(item: Object, row: Any) -> bool:
    """Whether a row may lack what an item is of: round trips, totals, who is worst, or comes.

    The row `(absent)` has no unix sockets: who holds connected ones alone has no row.
    """
    path = path_of(item)
    if (
        path in ("$.worst_remote", "$.clients.top_address")
        or (path.startswith("$.totals.") and "totals" not in row)
        or (path.startswith("$.unix.") and row["id"] == ABSENT_ID)
    ):
        return True
    return row.get("measured") == 0 and bool(_ROUND_TRIPS.search(path_of(item)))


def is_stored_as(value: object, item: Object) -> bool:
    """Whether a value of the document may be stored as the item wants it."""
    if any(step["type"] in ("JAVASCRIPT", "JSONPATH") for step in item["preprocessing"][1:]):
        return isinstance(value, list)  # and the step makes a text or a number of it
    kind = item.get("value_type", "UNSIGNED")
    if kind in ("CHAR", "TEXT"):
        return isinstance(value, str)
    # 5.7 is no value of an unsigned item to 6.0, and 5 to 7.0.
    return isinstance(value, int if kind == "UNSIGNED" else (int, float))


def faults(items: list[Object], value: Any) -> Iterator[str]:
    """Yield items that don't find what they want in the document, or in a row."""
    for item in items:
        if item.get("type") in ("INTERNAL", "CALCULATED") or path_of(item) == ERROR:
            continue
        try:
            found = query(value, path_of(item))
        except NoMatchError:
            if is_lacking(item, value):
                continue
            yield f"{item['key']}: nothing at {path_of(item)}"
        else:
            if not is_stored_as(found, item):
                yield f"{item['key']}: {found!r}"


def row_of(part: Part, document: Object, row_id: str) -> Object:
    """Return the row that the prototypes of that id share."""
    found = query(document, path_of(part.items[0]).replace("{#ID}", row_id))
    assert isinstance(found, dict)
    return found


def test_host(export: Export, document: Object) -> None:
    """Each item of the host finds a value of its type."""
    master, *items = export.host.items
    dependent = [item for item in items if item.get("type") != "INTERNAL"]
    assert {item["master_item"]["key"] for item in dependent} == {master["key"]}
    assert len(items) - len(dependent) == (export.path.name.count("agent") > 0)
    assert not list(faults(items, document))


def test_rows(export: Export, document: Object) -> None:
    """Each item of a row finds a value of its type in that row."""
    for part in export.rules:
        seen = set()
        for row in document[part.kind][:-1]:
            assert row_of(part, document, row["id"]) == row
            found = discovered(part, labels_of(part, row), export.macros | MORE)[KINDS[0]][1:]
            assert not list(faults(found, row))
            seen |= {item["key"] for item in found}
        assert seen == {item["key"] for item in part.items[1:]}


def test_absent_rows(export: Export, document: Object) -> None:
    """The row for what is not there has a figure for each item, and all are 0."""
    for part in export.rules:
        row = row_of(part, document, "never/seen")
        assert row["id"] == ABSENT_ID
        assert not list(faults(part.items[1:], row))
        of_fields = [item for item in part.items[1:] if item["type"] == "DEPENDENT"]
        found = [each for each in of_fields if not is_lacking(each, row)]
        assert {query(row, path_of(item)) for item in found} == {0}


def test_incomplete_lists(export: Export, full: Snapshot) -> None:
    """Of a list that is not complete nothing is stored for a row that is not there."""
    full.visibility.add_gap(TABLE, "tcp")
    document = document_of(full)
    for part in export.rules:
        with pytest.raises(NoMatchError):
            row_of(part, document, "never/seen")
        row = document[part.kind][0]
        assert row_of(part, document, row["id"]) == row


def figures(document: Object) -> set[str]:
    """Return the places of all numbers in the document; in a list of rows by its name."""
    found = {place for place, value in leaves(document) if isinstance(value, (int, float))}
    return {re.sub(r"^(\w+)/\d+/", r"\1/", place).replace("/", ".") for place in found}


def kept(export: Export) -> set[str]:
    """Return the places in the document that items keep."""
    dependent = [item for item in export.host.items if item.get("type") == "DEPENDENT"]
    found = {path_of(item).removeprefix("$.") for item in dependent}
    for part in export.rules:
        of_fields = [item for item in part.items[1:] if item["type"] == "DEPENDENT"]
        found |= {part.kind + path_of(item).removeprefix("$") for item in of_fields}
    return found


def test_every_figure_is_kept(export: Export, document: Object) -> None:
    """Every number of the document has an item, but for labels and some sums."""
    missing = figures(document) - kept(export)
    assert {each for each in missing if not each.startswith(LEFT_OUT)} == LABELS
    assert any(each.startswith(LEFT_OUT) for each in kept(export))


def test_every_text_of_the_collector_is_kept(export: Export, document: Object) -> None:
    """What the collector says of itself is stored, and only ids and addresses of rows are not."""
    texts = {place.replace("/", ".") for place, value in leaves(document) if isinstance(value, str)}
    of_rows = ("processes.", "listeners.", "upstreams.")
    assert not {each for each in texts if not each.startswith(of_rows)} - kept(export)
    assert isinstance(document["collector"]["warnings"], list)
    assert "collector.warnings" in kept(export)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("preprocessing/0/parameters/0", "$.host.udp.other"),
        ("preprocessing/0/parameters/0", "$.host.udp"),
        ("preprocessing/0/parameters/0", "$.host.ephemeral.worst_pct"),
        ("preprocessing/0/parameters/0", "$.version"),
        ("value_type", "CHAR"),
    ],
)
def test_faults_are_found(document: Object, place: str, value: str) -> None:
    """The check finds a path that leads nowhere, and each type that doesn't fit."""
    sound = export_of("sockets_by_zabbix_agent", "7.0")
    changed = sound.changed(f"templates/0/items/sockets.udp.bound/{place}", value)
    assert len(list(faults(changed.host.items[1:], document))) == 1
    assert ("host.udp.bound" in figures(document) - kept(changed)) == (place != "value_type")
