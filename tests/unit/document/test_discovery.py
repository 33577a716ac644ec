"""Low-level discovery rows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from zabbix_sockets.document.discovery import discovery, macros_of
from zabbix_sockets.document.document import ROWS, build_document
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


def snapshot_of_each(count: int = 1) -> Snapshot:
    """Return a Snapshot with a row in each list."""
    connections = {inbound(A, 80): count, outbound(A, 5432): count}
    return snapshot_of(processes("nginx"), [tcp_listener(A, 80, queue=count)], connections)


def discovered(snapshot: Snapshot, kind: str) -> list[dict[str, str | int]]:
    """Return what discovery makes of a list."""
    return discovery(ROWS[kind], build_document(snapshot).rows_of(kind))


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("processes", {"{#ID}": "nginx", "{#PROCESS}": "nginx", "{#SETTLED}": 1, "{#NETNS}": ""}),
        (
            "listeners",
            {
                "{#ID}": "tcp/0.0.0.0:80",
                "{#PROTOCOL}": "tcp",
                "{#ADDRESS}": "0.0.0.0",
                "{#PORT}": 80,
                "{#NETNS}": "",
                "{#EPHEMERAL}": 0,
                "{#PROCESS}": "nginx",
            },
        ),
        (
            "upstreams",
            {
                "{#ID}": "nginx>tcp/192.0.2.5:5432",
                "{#PROCESS}": "nginx",
                "{#PROTOCOL}": "tcp",
                "{#ADDRESS}": "192.0.2.5",
                "{#PORT}": 5432,
                "{#NETNS}": "",
            },
        ),
    ],
)
def test_rows(kind: str, row: dict[str, object]) -> None:
    """Each list has the macros that templates use, and no row for the absent."""
    assert discovered(snapshot_of_each(), kind) == [row]


@given(snapshots())
def test_labels_of_every_row(snapshot: Snapshot) -> None:
    """Every row but the reserved one is discovered, by its id and in order."""
    document = build_document(snapshot)
    for kind in LISTS:
        found = discovered(snapshot, kind)
        ids = [row["{#ID}"] for row in found]
        assert ids == sorted(row.id for row in document.rows_of(kind))
        assert "(absent)" not in ids
        assert all(isinstance(value, (str, int)) for row in found for value in row.values())


@pytest.mark.parametrize("kind", LISTS)
def test_only_admitted_rows(kind: str) -> None:
    """A row that is not admitted is not discovered; one that is, is with its number."""
    row, *others = build_document(snapshot_of_each()).rows_of(kind)
    assert not others
    row.admitted = 0
    assert discovery(ROWS[kind], [row]) == []
    row.admitted = 7
    assert [each["{#ADMITTED}"] for each in discovery(ROWS[kind], [row])] == [7]


@pytest.mark.parametrize("kind", LISTS)
def test_counts_do_not_change_it(kind: str) -> None:
    """Rows change only with what exists: no count is in them."""
    few, many = (discovered(snapshot_of_each(count), kind) for count in (1, 100))
    assert few == many


@pytest.mark.parametrize("kind", LISTS)
def test_macros_are_macros(kind: str) -> None:
    """Every name is one that Zabbix accepts as a macro."""
    assert all(re.fullmatch(r"\{#[A-Z0-9_.]+\}", macro) for macro in macros_of(ROWS[kind]))
    assert macros_of(ROWS[kind])["{#ID}"] == "id"
