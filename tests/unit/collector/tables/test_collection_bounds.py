"""Several network namespaces in one Snapshot, where time or room is short."""

from collections.abc import Iterator
from typing import Any

import pytest
from json_documents import json_document

from zabbix_sockets.collector.tables import collection
from zabbix_sockets.document.completeness import unread_protocols
from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError
from zabbix_sockets.model.wire import Table

from ...proctree import number_of  # noqa: TID252  # a test folder is no package
from ..fakes import TCP, Step, row  # noqa: TID252  # a test folder is no package
from ..hosts import LISTEN, Host, counts  # noqa: TID252  # a test folder is no package


def rows_of(document: dict[str, object], name: str) -> list[dict[str, Any]]:
    """Return a list of the document."""
    rows = document[name]
    assert isinstance(rows, list)
    return rows


def test_deadline_within_a_namespace(host: Host) -> None:
    """What was counted stays; established connections are not said of its listeners."""
    number = number_of(host.add_netns("web", 30))
    host.scripts[TCP] = [[[row(7, LISTEN, 80, 0), row(8, 1, 80)]]]
    late: list[Step] = [[row(300, LISTEN, 80, 0)], [row(301, 1, 80)], DeadlineError("late")]
    host.scripts[TCP._replace(netns=number)] = [late]
    snapshot = host.collect()
    assert counts(snapshot) == {0: 2, number: 2}
    assert snapshot.skipped == {number}
    assert unread_protocols(snapshot.visibility.gaps) == set()
    document = json_document(snapshot)
    rows = {row["netns"]: row for row in rows_of(document, "listeners")}
    assert rows[""]["established"] == 1
    assert "established" not in rows["(unnamed)"]
    collector: Any = document["collector"]
    assert (collector["namespaces"], collector["namespaces_skipped"]) == (1, 1)
    assert not any("(absent)" in row["id"] for row in rows_of(document, "listeners"))


class Expiring:
    """A batch without rows, after which the time is over."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline

    def __iter__(self) -> Iterator[Any]:
        """End the deadline."""
        self.deadline.end = 0
        return iter(())


@pytest.mark.parametrize("listeners_first", [False, True])
def test_no_time_for_all(
    host: Host, monkeypatch: pytest.MonkeyPatch, listeners_first: bool
) -> None:
    """Namespaces that the time is too short for are skipped; on busy hosts not their listeners."""
    monkeypatch.setattr(collection, "_SHARE_OF_SCANS", -1 if listeners_first else 1000)
    numbers = {number_of(host.add_netns(name, pid)) for name, pid in (("web", 30), ("db", 40))}
    for number in numbers:
        listener = row(300 if number == min(numbers) else 400, LISTEN, 80, 0)
        scripts: list[list[Step]] = [[[listener]]] if listeners_first else []
        host.scripts[TCP._replace(netns=number)] = [*scripts, [[listener, row(number)]]]
        host.scripts[Table("udp", 10, number)] = [[Expiring(host.deadline)]]
    snapshot = host.collect()
    (skipped,) = snapshot.skipped
    (read,) = numbers - {skipped}
    assert counts(snapshot) == {read: 2} | ({skipped: 1} if listeners_first else {})
    places = {each.netns for each in snapshot.listeners}
    assert places == ({read, skipped} if listeners_first else {read})
    collector: Any = json_document(snapshot)["collector"]
    assert (collector["namespaces"], collector["namespaces_skipped"]) == (2, 1)
    assert "1 network namespaces were not read to the end" in collector["warnings"]


def test_no_time_to_look_for_others(host: Host) -> None:
    """Where it is not known which others there are, that is said, and the own one is whole."""
    host.add_netns("web", 30)
    host.scripts[Table("udp", 10)] = [[Expiring(host.deadline)]]
    host.scripts[TCP] = [[[row(7)]]]
    snapshot = host.collect()
    assert counts(snapshot) == {0: 1}
    assert snapshot.visibility.has_gap(gaps.NAMESPACES)
    assert unread_protocols(snapshot.visibility.gaps) == set()
    (warning,) = snapshot.visibility.warnings
    assert "no other network namespace was looked for" in warning


def test_endpoints_of_all_namespaces_share_a_bound(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distinct endpoints of all namespaces together stay within the bound; none is lost."""
    monkeypatch.setattr(collection, "MAX_ENDPOINTS", 3)
    numbers = [0, *(number_of(host.add_netns(name, pid)) for name, pid in (("a", 30), ("b", 40)))]
    for at, number in enumerate(numbers):
        rows = [row(0, 1, 40000, 1000 * (at + 1) + port) for port in range(2)]
        host.scripts[TCP._replace(netns=number)] = [[rows]]
    snapshot = host.collect()
    assert counts(snapshot) == dict.fromkeys(numbers, 2)
    assert sum(each.address is not None for each in snapshot.connections) == 3
    assert snapshot.visibility.has_gap(gaps.ENDPOINTS)
    monkeypatch.setattr(collection, "MAX_ENDPOINTS", 6)
    snapshot = host.collect()
    assert sum(each.address is not None for each in snapshot.connections) == 6
    assert not snapshot.visibility.has_gap(gaps.ENDPOINTS)


def test_no_time_to_look_for_one(host: Host) -> None:
    """Of one namespace that was not looked for nothing is known: its lists are not the own one's.

    None of them is complete, as from the iterator.
    """
    host.add_netns("web", 30)
    host.scripts[TCP] = [[[row(1, LISTEN, 22, 0)]]]
    host.scripts[Table("udp", 10)] = [[Expiring(host.deadline)]]
    document: dict[str, Any] = json_document(host.collect(netns="web"))
    assert set(document["lists"].values()) == {0}
    assert [document[name] for name in document["lists"]] == [[], [], []]
    assert "no other network namespace was looked for" in document["collector"]["warnings"][0]


def test_listeners_of_tables_not_reached(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table that was not begun the listeners are those that were read first."""
    monkeypatch.setattr(collection, "_SHARE_OF_SCANS", -1)
    number = number_of(host.add_netns("web", 30))
    four, six = row(300, LISTEN, 80, 0), row(301, LISTEN, 81, 0)
    six = (*six[:3], bytes(16), bytes(16), *six[5:])
    late: list[Step] = [[four], Expiring(host.deadline)]
    host.scripts[TCP._replace(netns=number)] = [[[four]], late]
    host.scripts[Table("tcp", 10, number)] = [[[six]], [DeadlineError("late")]]
    snapshot = host.collect()
    assert snapshot.skipped == {number}
    assert sorted(each.port for each in snapshot.listeners) == [80, 81]


def test_no_time_for_limits(host: Host) -> None:
    """The worst of a name's processes is not known then, so none is."""
    host.proc.add(30, b"nginx", [300])
    host.scripts[TCP] = [[[row(300)]]]
    host.scripts[Table("udp", 10)] = [[Expiring(host.deadline)]]
    snapshot = host.collect(netns="own")
    assert snapshot.fds_limits == {}
    assert snapshot.visibility.has_gap(gaps.DESCRIPTOR_LIMITS)
