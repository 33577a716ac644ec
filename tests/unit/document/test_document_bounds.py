"""What the document's bounds leave out, and which rows stay."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from json_documents import json_document

from zabbix_sockets.document.document import NO_LIMITS, Limits
from zabbix_sockets.model.clients import ClientSums
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.snapshot import FIRST_OWNER, LISTS, Snapshot

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    inbound,
    outbound,
    processes,
    snapshot_of,
    snapshots,
    tcp_listener,
)

A = FIRST_OWNER

Document = dict[str, Any]


def document_of(snapshot: Snapshot, limits: Limits | None = None) -> Document:
    """Return the document as its readers get it."""
    return json_document(snapshot, limits)


@pytest.fixture
def full() -> Snapshot:
    """A Snapshot with a row in each list."""
    connections = {inbound(A, 80): 2, outbound(A, 5432): 3}
    return snapshot_of(processes("nginx"), [tcp_listener(A, 80)], connections)


@pytest.mark.parametrize("name", LISTS)
def test_truncated_list_has_no_zero_row(full: Snapshot, name: str) -> None:
    """A list that a bound cut is not complete, and tells how many rows are missing."""
    rows = len(document_of(full)[name]) - 1
    document = document_of(full, Limits()._replace(**{name: 0}))
    assert document[name] == []
    assert document["lists"] == {each: int(each != name) for each in LISTS}
    assert document["complete"] == 0
    assert document["collector"]["truncated"] == dict.fromkeys(LISTS, 0) | {name: rows}
    assert document["other"][name]["rows"] == rows


def additive(rows: list[Document], like: Document) -> Document:
    """Add up the fields of *rows* that *like* has."""
    total: Document = {}
    for name, value in like.items():
        if isinstance(value, dict):
            keys = {key for row in rows for key in row[name]} | set(value)
            total[name] = {key: sum(row[name].get(key, 0) for row in rows) for key in keys}
        else:
            total[name] = sum(1 if name == "rows" else row.get(name, 0) for row in rows)
    return total


def without_zeros(sums: Document) -> Document:
    """Leave states out that nothing is in."""
    return {
        name: {key: count for key, count in value.items() if count}
        if isinstance(value, dict)
        else value
        for name, value in sums.items()
    }


@given(snapshots(), st.tuples(*(st.integers(0, 8),) * 3))
def test_nothing_is_lost_by_bounds(snapshot: Snapshot, bounds: tuple[int, int, int]) -> None:
    """What stays and what is summed in other are together everything, whatever the bounds."""
    whole = document_of(snapshot, NO_LIMITS)
    cut = document_of(snapshot, Limits(*bounds))
    for name, bound in zip(LISTS, bounds):
        everything = [row for row in whole[name] if row["id"] != "(absent)"]
        kept = [row for row in cut[name] if row["id"] != "(absent)"]
        assert len(kept) == min(bound, len(everything))
        assert all(row in everything for row in kept)
        left_out = [row for row in everything if row not in kept]
        without_endpoint = whole["other"][name]  # endpoints that the fold counted together
        expected = additive([*left_out], without_endpoint)
        if name == "upstreams":
            for state in ("established", "syn_sent", "close_wait"):
                expected[state] += without_endpoint[state]
        assert without_zeros(cut["other"][name]) == without_zeros(expected)
        assert cut["collector"]["truncated"][name] == len(left_out)


@given(snapshots(), st.integers(1500, 12_000))
def test_document_fits(snapshot: Snapshot, max_bytes: int) -> None:
    """No document is longer than it may be, and one that was cut says so."""
    try:
        document = json_document(snapshot, Limits(max_bytes=max_bytes))
    except SocketsError:
        empty = orjson.dumps(json_document(snapshot, Limits(0, 0, 0)))
        assume(len(empty) > max_bytes)
        return
    assert len(orjson.dumps(document)) <= max_bytes
    collector = document["collector"]
    assert isinstance(collector, dict)
    assert not (any(collector["truncated"].values()) and document["complete"])


@pytest.mark.parametrize("max_bytes", [1, 100, 1000])
def test_nothing_fits(full: Snapshot, max_bytes: int) -> None:
    """Where not even a document without rows fits, that is said."""
    with pytest.raises(SocketsError, match=f"no document fits into {max_bytes} bytes"):
        json_document(full, Limits(max_bytes=max_bytes))


def test_cut_document_is_not_cut_more_than_needed() -> None:
    """A document that is slightly too long keeps most of its rows."""
    snapshot = snapshot_of(processes(*(f"p{at:03}" for at in range(200))))
    for at in range(200):
        snapshot.connections[inbound(A + at, 80)] = 1
    size = len(orjson.dumps(json_document(snapshot)))
    document = document_of(snapshot, Limits(max_bytes=size - 100))
    assert 150 <= len(document["processes"]) < 200


def test_with_clients_of_every_listener() -> None:
    """As many listeners as a document has room for, with the longest addresses, fit into it."""
    address = b"\x20\1" + b"\xff" * 14
    listeners = [tcp_listener(A, port, address) for port in range(20_000, 20_300)]
    snapshot = snapshot_of(processes("n" * 64), listeners)
    before = len(orjson.dumps(json_document(snapshot)))
    snapshot.clients = ClientSums()
    for each in listeners:
        clients = snapshot.clients.of((0, each.address, each.port, ""))
        for at in range(100):
            clients.add(address[:-1] + bytes([at]), 10**6)
    document = json_document(snapshot)
    assert document["complete"]
    assert len(document["listeners"]) == 301
    assert len(orjson.dumps(document)) - before < 301 * 200


@given(st.lists(st.integers(1, 1 << 20), min_size=2, max_size=12), st.integers(1, 11), st.data())
def test_ranking_does_not_flap(counts: list[int], bound: int, data: st.DataObject) -> None:
    """Counts that change within their power of two don't change which rows stay."""

    def kept(numbers: list[int]) -> dict[str, list[str]]:
        snapshot = snapshot_of(processes(*(f"p{at}" for at in range(len(numbers)))))
        snapshot.connections = {outbound(A + at, 80): number for at, number in enumerate(numbers)}
        document = document_of(snapshot, Limits(processes=bound, upstreams=bound))
        return {name: [row["id"] for row in document[name]] for name in LISTS}

    changed = [
        data.draw(st.integers(1 << (count.bit_length() - 1), (1 << count.bit_length()) - 1))
        for count in counts
    ]
    assert kept(changed) == kept(counts)
