"""The document of a host with several network namespaces or other groupings."""

from __future__ import annotations

from typing import Any

import pytest
from json_documents import json_document

from zabbix_sockets.document.document import Limits
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model import gaps
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.snapshot import BY_CGROUPS, FIRST_OWNER, LISTS, UNOWNED, Process, Snapshot

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    NAMESPACES,
    OTHER,
    UNNAMED,
    WEB,
    inbound,
    outbound,
    snapshot_of,
    tcp_listener,
)

A = FIRST_OWNER

Document = dict[str, Any]


@pytest.fixture
def snapshot() -> Snapshot:
    """A Snapshot of three namespaces beside the own one."""
    process = Process(1, "nginx", 3600.0, unit="web.service", container="shop/web", user="www")
    made = snapshot_of(
        [process],
        [tcp_listener(A, 80), tcp_listener(A, 80)._replace(netns=WEB)],
        {inbound(A, 80): 2, outbound(A, 80)._replace(netns=UNNAMED): 3},
    )
    made.namespaces = dict(NAMESPACES)
    return made


def test_namespaces(snapshot: Snapshot) -> None:
    """Those that were read are counted, the own one among them, and those that were not."""
    collector: Any = json_document(snapshot)["collector"]
    assert (collector["namespaces"], collector["namespaces_skipped"]) == (4, 0)
    assert collector["warnings"] == []
    snapshot.visibility.gaps = [Gap(gaps.NAMESPACE, netns=number) for number in (WEB, OTHER)]
    collector = json_document(snapshot)["collector"]
    assert (collector["namespaces"], collector["namespaces_skipped"]) == (2, 2)


@pytest.mark.parametrize(
    ("gap", "complete", "warning"),
    [
        (Gap(gaps.NAMESPACE, netns=WEB), (), "1 network namespaces were not read to the end"),
        (Gap(gaps.NAMESPACES), (), "there may be network namespaces"),
        (Gap(gaps.CGROUPS), ("listeners",), "the cgroups of some owners"),
        (Gap(gaps.FOREIGN_OWNERS), ("listeners",), "owners in other network namespaces"),
        (None, LISTS, None),
    ],
)
def test_what_is_missing(
    snapshot: Snapshot, gap: Gap | None, complete: tuple[str, ...], warning: str | None
) -> None:
    """Only lists of which everything was seen are complete; what is missing is said."""
    snapshot.visibility.ownership = BY_CGROUPS
    snapshot.visibility.gaps = [gap] if gap else []
    document: Any = json_document(snapshot)
    assert document["lists"] == {name: int(name in complete) for name in LISTS}
    assert document["complete"] == int(complete == LISTS)
    ids = {name: [row["id"] for row in document[name]] for name in LISTS}
    assert {name for name in LISTS if "(absent)" in ids[name]} == set(complete)
    warnings = document["collector"]["warnings"]
    assert [each[: len(warning or "")] for each in warnings] == ([warning] if warning else [])


def test_host_is_the_own_namespace_whatever_was_skipped(snapshot: Snapshot) -> None:
    """A namespace that was not read to the end spoils no figure of the own one."""
    snapshot.visibility.add_gap(gaps.NAMESPACE, netns=WEB)
    host: Any = json_document(snapshot)["host"]
    assert (host["tcp"]["listen"], host["tcp"]["established"]) == (1, 2)


@pytest.mark.parametrize(
    ("grouping", "name"),
    [("process", "nginx"), ("unit", "web.service"), ("container", "shop/web"), ("user", "www")],
)
def test_grouping(snapshot: Snapshot, grouping: str, name: str) -> None:
    """Each list names groups as asked for, and the document says what they are."""
    document: Any = json_document(snapshot, grouping=GROUPINGS[grouping])
    assert document["collector"]["grouping"] == grouping
    assert document["collector"]["ownership"] == "descriptors"
    assert document["processes"][0]["id"] == document["processes"][0]["name"] == name
    assert {row["process"] for row in document["listeners"][:-1]} == {name}
    assert document["upstreams"][0]["id"] == f"{name}>tcp/192.0.2.5:80@(unnamed)"


def test_selection(snapshot: Snapshot) -> None:
    """The lists are of the selected namespaces, all else of the host as ever."""
    snapshot.listeners.append(tcp_listener(UNOWNED, 81)._replace(netns=OTHER))
    whole: Any = json_document(snapshot)
    snapshot.selected = frozenset((WEB,))
    document: Any = json_document(snapshot)
    assert [row["id"] for row in document["listeners"]] == ["tcp/0.0.0.0:80@web", "(absent)"]
    assert [row["id"] for row in document["upstreams"]] == ["(absent)"]
    assert document["processes"][0]["sockets"] == 1
    assert document["host"] == whole["host"]
    assert (whole["collector"]["namespaces"], document["collector"]["namespaces"]) == (4, 2)


def test_for_people(snapshot: Snapshot) -> None:
    """People read more of a namespace than an id has."""
    shown: Any = json_document(snapshot, for_people=True)
    assert [row["netns"] for row in shown["listeners"][:-1]] == ["", "web (net:[4026532201])"]
    assert shown["upstreams"][0]["netns"] == "net:[4026532202]"


def test_listener_fields_by_cgroups(snapshot: Snapshot) -> None:
    """A row that was cut off is summed up in `other` without what it has not."""
    snapshot.visibility.ownership = BY_CGROUPS
    snapshot.visibility.add_gap(gaps.NAMESPACE, netns=WEB)
    document: Any = json_document(snapshot, Limits(0, 0, 0), GROUPINGS["unit"])
    assert "instances" not in document["other"]["processes"]
    assert document["other"]["processes"]["sockets"] == 7
    listeners = document["other"]["listeners"]
    assert (listeners["rows"], listeners["established"]) == (2, 2)
    assert "processes" not in listeners
    snapshot.visibility.gaps.clear()
    whole: Any = json_document(snapshot, grouping=GROUPINGS["unit"])
    assert whole["processes"][-1]["id"] == whole["listeners"][-1]["id"] == "(absent)"
    assert "instances" not in whole["processes"][-1]
    assert "processes" not in whole["listeners"][-1]
