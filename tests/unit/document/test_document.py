"""The document: its shape, what is complete, and what its bounds leave out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from json_documents import json_document

from zabbix_sockets import __version__
from zabbix_sockets.document.document import NO_LIMITS, Limits
from zabbix_sockets.document.head import HostTotals
from zabbix_sockets.document.record import fields_of
from zabbix_sockets.model import gaps
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    LISTS,
    NOBODY,
    OUTBOUND,
    UNOWNED,
    Connection,
    HostCounters,
    Namespace,
    Process,
    Snapshot,
    Visibility,
)
from zabbix_sockets.model.wire import OWN_NETNS, TCP_STATES, TcpState

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


Document = dict[str, Any]


def document_of(snapshot: Snapshot, limits: Limits | None = None) -> Document:
    """Return the document as its readers get it."""
    return json_document(snapshot, limits)


def ids(document: Document, name: str) -> list[str]:
    """Return the ids of a list."""
    return [row["id"] for row in document[name]]


@pytest.fixture
def full() -> Snapshot:
    """A Snapshot in which every field has something to say."""
    snapshot = snapshot_of(
        [Process(1, "nginx", 3600.0, 50)],
        [tcp_listener(A, 80, queue=1), udp_bound(A, 53)],
        {
            inbound(A, 80): 2,
            outbound(A, 5432): 3,
            outbound(A, 5432, state=TcpState.SYN_SENT): 5,
            inbound(NOBODY, 80): 1,
        },
    )
    snapshot.host = HostCounters(*range(1, 9))._replace(
        totals=dict.fromkeys(fields_of(HostTotals), 9), uptime=9
    )
    snapshot.fds_limits = {0: 1000}
    published = ("tcp", b"", 80, 80), ("udp", b"", 53, 53)
    snapshot.namespaces = {WEB: Namespace("shop/cart", container="shop/cart", published=published)}
    return snapshot


def test_fields(full: Snapshot) -> None:
    """The document begins with its head; every state of the host has a number."""
    document = document_of(full)
    assert list(document) == [
        *("version", "time", "complete", "lists", "collector", "host"),
        *(*LISTS, "other"),
    ]
    assert (document["version"], document["time"]) == (__version__, 1_700_000_000)
    assert document["lists"] == dict.fromkeys(LISTS, 1)
    states = {name for state, name in TCP_STATES.items() if state != TcpState.CLOSE}
    assert document["host"]["tcp"].keys() == states
    assert document["host"]["udp"].keys() == {"bound", "connected"}


def test_absent_rows(full: Snapshot) -> None:
    """A complete list ends with one row of zeros for all that is not in it."""
    document = document_of(full)
    for name in LISTS:
        *rows, absent = document[name]
        assert rows
        assert absent.pop("id") == "(absent)"
        absent.pop("name", None)
        numbers = [*absent.pop("tcp", {}).values(), *absent.pop("udp", {}).values()]
        assert not any([*numbers, *absent.values()])
        figures = {
            field for row in rows for field, value in row.items() if not isinstance(value, str)
        }
        labels = {"settled", "port", "ephemeral", "tcp", "udp"}
        assert absent.keys() == figures - labels


@pytest.mark.parametrize(
    ("gap", "complete"),
    [
        (None, {"processes", "listeners", "upstreams"}),
        (Gap(gaps.DENIED, "sshd"), {"listeners"}),
        (Gap(gaps.ENDPOINTS), {"processes", "listeners"}),
        (Gap(gaps.TABLE, "udp"), set()),
    ],
)
def test_only_complete_lists_say_zero(full: Snapshot, gap: Gap | None, complete: set[str]) -> None:
    """What was not seen to the end has no row of zeros, and says so."""
    full.visibility.gaps = [gap] if gap else []
    full.visibility.vanished, full.visibility.degraded = 5, True
    document = document_of(full)
    assert document["lists"] == {name: int(name in complete) for name in LISTS}
    assert document["complete"] == int(len(complete) == len(LISTS))
    assert {name for name in LISTS if "(absent)" in ids(document, name)} == complete


def test_unfinished_protocol_has_no_host_figures(full: Snapshot) -> None:
    """A protocol whose tables were not read to the end has no counts that look measured."""
    full.visibility.gaps = [Gap(gaps.TABLE, "tcp")]
    host = document_of(full)["host"]
    assert "tcp" not in host
    assert "ephemeral" not in host
    assert host["udp"] == {"bound": 1, "connected": 0}
    full.visibility.gaps = [Gap(gaps.TABLE, "udp")]
    assert "udp" not in document_of(full)["host"]


def test_host_counts_the_own_namespace() -> None:
    """The host's figures are those of the collector's own namespace, all owners."""
    connections = {
        outbound(NOBODY, 80, state=TcpState.TIME_WAIT): 7,
        outbound(A, 80): 2,
        outbound(UNOWNED, 80, state=13): 1,
        outbound(A, 80)._replace(netns=WEB): 100,
        outbound(A, 53, protocol="udp"): 4,
    }
    listeners = [tcp_listener(A, 80), tcp_listener(A, 80)._replace(netns=WEB), udp_bound(0, 53)]
    host = document_of(snapshot_of(processes("a"), listeners, connections))["host"]
    counts = {state: count for state, count in host["tcp"].items() if count}
    assert counts == {"listen": 1, "time_wait": 7, "established": 2, "state_13": 1}
    assert host["udp"] == {"bound": 1, "connected": 4}
    assert (host["ephemeral"]["worst_used"], host["ephemeral"]["worst_endpoint"]) == (
        10,
        "tcp/192.0.2.5:80",
    )


def test_unknown_host_counters_are_absent() -> None:
    """A counter that this kernel has not is left out; one of 0 stays."""
    snapshot = snapshot_of()
    snapshot.host = HostCounters(orphans=0)
    host = document_of(snapshot)["host"]
    assert set(host) == {"tcp", "udp", "orphans", "ephemeral", "unseen"}
    assert host["orphans"] == 0
    assert host["ephemeral"]["worst_endpoint"] == ""


def test_worst_remote() -> None:
    """A row with 5 stuck connections names the remote end of most; those that came no port."""
    close_wait = TcpState.CLOSE_WAIT
    came = inbound(A, 80, state=close_wait)._replace(remote=b"\xc0\0\2\7")
    stuck = {outbound(A, 443, state=TcpState.SYN_SENT): 2, came: 2, inbound(A, 80): 9}
    (row, _) = document_of(snapshot_of(processes("a"), (), stuck))["processes"]
    assert "worst_remote" not in row
    for connection, named in ((came, "192.0.2.7"), (next(iter(stuck)), "tcp/192.0.2.5:443")):
        (row, _) = document_of(snapshot_of(processes("a"), (), stuck | {connection: 3}))[
            "processes"
        ]
        assert row["worst_remote"] == named


def test_unseen() -> None:
    """The worst that is not offered: young, or left out; without any none; else not known."""
    state = TcpState.SYN_SENT
    stuck = {outbound(A, 443, state=state): 7, outbound(A + 1, 443, state=state): 5}
    members = [*processes("old"), Process(9, "young", 3.0)]
    snapshot = snapshot_of(members, (), stuck)
    young = {"id": "young", "stuck": 5, "close_wait": 0, "syn_sent": 5}
    assert document_of(snapshot)["host"]["unseen"] == young
    bounded = document_of(snapshot, NO_LIMITS._replace(processes=0))
    assert bounded["host"]["unseen"]["id"] == "old"
    snapshot.connections = {}
    nothing = {"id": "", "stuck": 0, "close_wait": 0, "syn_sent": 0}
    assert document_of(snapshot)["host"]["unseen"] == nothing
    snapshot.visibility.add_gap(gaps.DENIED)
    assert "unseen" not in document_of(snapshot)["host"]
    snapshot.connections = stuck
    assert document_of(snapshot)["host"]["unseen"] == young


def test_collector_figures() -> None:
    """Sockets without an owner are told apart: not accepted yet, ownerless by nature, unseen."""
    connections = {
        inbound(NOBODY, 80): 3,
        inbound(NOBODY, 80, state=TcpState.CLOSE_WAIT): 2,
        inbound(NOBODY, 80, state=TcpState.TIME_WAIT): 50,
        outbound(NOBODY, 80, state=TcpState.FIN_WAIT1): 60,
        outbound(NOBODY, 80): 13,
        outbound(UNOWNED, 80): 7,
        outbound(A, 80): 11,
    }
    visibility = Visibility("procfs", "asked for")
    visibility.gaps, visibility.vanished = [Gap(gaps.DENIED, "a", 2), Gap(gaps.DENIED, "b")], 4
    listeners = [tcp_listener(A, 80), tcp_listener(UNOWNED, 81)]
    collector = document_of(snapshot_of(processes("a"), listeners, connections, visibility))[
        "collector"
    ]
    assert (collector["source"], collector["reason"]) == ("procfs", "asked for")
    assert (collector["unaccepted"], collector["unowned"]) == (5, 8)
    assert collector["sockets"] == 2 + 3 + 2 + 50 + 60 + 13 + 7 + 11
    assert (collector["denied_processes"], collector["vanished_processes"]) == (3, 4)


def test_warnings() -> None:
    """What readers said comes first, then each thing that was not seen."""
    snapshot = snapshot_of()
    snapshot.visibility.warnings = ["tcp6: gone"]
    snapshot.visibility.gaps = [Gap(gaps.UNASKED), Gap(gaps.HIDDEN)]
    gone, hidden, late = document_of(snapshot)["collector"]["warnings"]
    assert gone == "tcp6: gone"
    assert "hidepid" in hidden
    assert "timed out: not every process" in late


@given(snapshots())
def test_rows_are_sorted_by_unique_ids(snapshot: Snapshot) -> None:
    """Each id is there once, in order, and the reserved one comes last."""
    document = document_of(snapshot)
    for name in LISTS:
        found = ids(document, name)
        if document["lists"][name]:
            assert found.pop() == "(absent)"
        assert "(absent)" not in found
        assert found == sorted(set(found))


@given(snapshots())
def test_directions_are_parts_of_established(snapshot: Snapshot) -> None:
    """Inbound, outbound and unknown together are established, in every row."""
    for row in document_of(snapshot, NO_LIMITS)["processes"]:
        tcp = row["tcp"]
        assert tcp["inbound"] + tcp["outbound"] + tcp["unknown"] == tcp["established"]


def test_overflowed_endpoints_are_in_other() -> None:
    """Connections whose endpoints were not counted apart are in other, with no row."""
    snapshot = snapshot_of(processes("a"), (), {Connection("tcp", OWN_NETNS, A, 1, OUTBOUND): 9})
    snapshot.visibility.add_gap(gaps.ENDPOINTS)
    document = document_of(snapshot)
    assert document["upstreams"] == []
    assert document["other"]["upstreams"]["established"] == 9
    assert document["processes"][0]["tcp"]["outbound"] == 9


def test_filter_leaves_out_what_would_mean_something_else() -> None:
    """Figures that count all sockets are not those of the sockets that fit: absent, never 0."""
    snapshot = snapshot_of(processes("nginx"), [tcp_listener(A, 80)], {outbound(A, 443): 2})
    snapshot.filter = "state established"
    document: Any = json_document(snapshot)
    assert document["collector"]["filter"] == "state established"
    assert not {"tcp", "udp", "ephemeral"} & document["host"].keys()
    assert all("ephemeral_pct" not in row for row in document["upstreams"])
    assert [row["id"] for row in document["upstreams"]][-1] == "(absent)"
    snapshot.filter = ""
    document = json_document(snapshot)
    assert "filter" not in document["collector"]
    assert {"tcp", "udp", "ephemeral"} <= document["host"].keys()


def test_undecided_filter_is_no_complete_list() -> None:
    """Sockets that may fit or not, for want of their owners, are in no list."""
    snapshot = snapshot_of(processes("nginx"), [tcp_listener(A, 80)])
    snapshot.visibility.gaps = [Gap(gaps.UNDECIDED), Gap(gaps.DENIED, "x")]
    document: Any = json_document(snapshot)
    assert not any(document["lists"].values())
    assert any("filter" in each for each in document["collector"]["warnings"])
