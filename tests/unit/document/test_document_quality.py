"""The document's round-trip times and retransmissions, and where these are absent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from json_documents import JsonDocument, json_document

from zabbix_sockets.document.document import Limits
from zabbix_sockets.model.quality import LIMITED_TIMES, ONE, Quality, bucket_of, sample
from zabbix_sockets.model.snapshot import FIRST_OWNER, OUTBOUND, Connection, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    WEB,
    inbound,
    outbound,
    processes,
    snapshot_of,
    snapshots,
    tcp_listener,
    udp_bound,
)

A = FIRST_OWNER
SUMS = {"measured", "retransmitting", "retransmits", "lost", *LIMITED_TIMES}
OF_SAMPLES = {"rtt_us"}


def measured(qualities: dict[Connection, Quality] | None = None) -> Snapshot:
    """Return a Snapshot of a server with an upstream; these connections are *qualities*."""
    qualities = qualities or {}
    connections = {inbound(A, 80): 3, outbound(A, 5432): 2} | dict.fromkeys(qualities, 4)
    snapshot = snapshot_of(
        processes("nginx", "idle"), [tcp_listener(A, 80), udp_bound(A, 53)], connections
    )
    snapshot.unmeasured = set()
    snapshot.qualities = dict(qualities)
    return snapshot


def rows_of(snapshot: Snapshot, kind: str, limits: Limits | None = None) -> dict[str, JsonDocument]:
    """Return the rows of a list by id."""
    document: Any = json_document(snapshot, limits)
    return {row["id"]: row for row in document[kind]}


def test_where_a_sample_belongs() -> None:
    """Inbound ones are the listener's, outbound ones the upstream's, both their process's."""
    quality = sample(bucket_of(1000), True, 5, 1, (100, 7))
    snapshot = measured({inbound(A, 80): quality * 2, outbound(A, 5432): ONE[bucket_of(9)]})
    of_both = {
        "measured": 3,
        "rtt_us": {"p50": 992, "p95": 992, "max": 992},
        "retransmits": 10,
        "retransmitting_pct": 66.7,
        "lost": 2,
        "receiver_limited_ms": 200,
        "sender_buffer_limited_ms": 14,
    }
    row = rows_of(snapshot, "processes")["nginx"]
    assert {name: row[name] for name in of_both} == of_both
    row = rows_of(snapshot, "listeners")["tcp/0.0.0.0:80"]
    assert (row["measured"], row["retransmits"], row["retransmitting_pct"]) == (2, 10, 100.0)
    row = rows_of(snapshot, "upstreams")["nginx>tcp/192.0.2.5:5432"]
    assert row["rtt_us"] == {"p50": 9, "p95": 9, "max": 9}
    assert row["retransmits"] == 0


def test_none_that_counts() -> None:
    """Sums are 0, and there is nothing to have percentiles of."""
    for kind in ("processes", "listeners", "upstreams"):
        for row_id, row in rows_of(measured(), kind).items():
            if row_id.startswith("udp"):
                assert not row.keys() & (SUMS | OF_SAMPLES)
            else:
                assert {row[name] for name in SUMS} == {0}
                assert not row.keys() & OF_SAMPLES


@pytest.mark.parametrize("kind", ["processes", "listeners", "upstreams"])
def test_nobody_asked(kind: str) -> None:
    """Without tcp_info no row has such a field, (absent) neither."""
    snapshot = measured()
    snapshot.unmeasured = None
    document: Any = json_document(snapshot)
    for row in [*document[kind], document["other"][kind]]:
        assert not row.keys() & (SUMS | OF_SAMPLES)


def test_namespace_that_could_not_be_entered() -> None:
    """Rows with connections that nobody measured have no figures; others do."""
    unseen = outbound(A, 443)._replace(netns=WEB)
    snapshot = measured({outbound(A, 5432): ONE[10]})
    snapshot.connections[unseen] = 1
    snapshot.unmeasured = {WEB}
    assert "measured" not in rows_of(snapshot, "processes")["nginx"]
    assert rows_of(snapshot, "processes")["idle"]["measured"] == 0
    upstreams = rows_of(snapshot, "upstreams")
    assert upstreams["nginx>tcp/192.0.2.5:5432"]["measured"] == 1
    without = {row_id for row_id, row in upstreams.items() if "measured" not in row}
    assert without == {"(absent)", "nginx>tcp/192.0.2.5:443@(unnamed)"}


def test_older_kernel() -> None:
    """What the kernel doesn't tell is absent, in all rows."""
    snapshot = measured({outbound(A, 5432): ONE[10]})
    snapshot.lacks_limited_times = True
    for kind in ("processes", "listeners", "upstreams"):
        for row in rows_of(snapshot, kind).values():
            assert not row.keys() & set(LIMITED_TIMES)


def test_what_the_bounds_leave_out_is_summed() -> None:
    """Rows beyond the limit, and connections without an endpoint of their own."""
    quality = sample(9, False, 5, 1)
    beyond = Connection("tcp", OWN_NETNS, A, TcpState.ESTABLISHED, OUTBOUND)
    snapshot = measured({outbound(A, port): quality for port in (1, 2, 3)} | {beyond: quality})
    document: Any = json_document(snapshot, Limits(upstreams=1))
    (kept,) = document["upstreams"]
    other = document["other"]["upstreams"]
    assert other["rows"] == 3
    assert kept["measured"] + other["measured"] == 4
    assert kept["retransmits"] + other["retransmits"] == 20
    assert not other.keys() & OF_SAMPLES


@given(snapshots())
def test_any_snapshot(snapshot: Snapshot) -> None:
    """No row measures more than it has, and the (absent) row has each sum that all rows have."""
    snapshot.unmeasured = set()
    for connection, count in snapshot.connections.items():
        if (connection.protocol, connection.state) == ("tcp", TcpState.ESTABLISHED):
            snapshot.qualities[connection] = ONE[9] * count
    document: Any = json_document(snapshot)
    for row in document["processes"]:
        assert row["measured"] == row["tcp"]["established"]
    for row in document["upstreams"]:
        if row["id"] != "(absent)" and row["protocol"] == "tcp":
            assert row["measured"] == row["established"]
