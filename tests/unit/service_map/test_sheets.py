"""Sheets: one map, or one of groups with submaps, none of them too large."""

from __future__ import annotations

import random

from hypothesis import given

from zabbix_sockets.service_map.drawing import Aliases, Drawing, draw
from zabbix_sockets.service_map.matching import MapHost, flows
from zabbix_sockets.service_map.sheets import MOST_ELEMENTS, Sheet, sheets

from .worlds import GROUPS, host, shop, worlds


def drawn(hosts: list[MapHost]) -> Drawing:
    """Return the drawing of an installation."""
    return draw(hosts, flows(hosts), Aliases())


def sheets_of(hosts: list[MapHost], *groups: str, by_group: bool = True) -> dict[str, Sheet]:
    """Return the sheets of an installation by name."""
    made = sheets("Map", drawn(hosts), hosts, groups, by_group=by_group)
    assert made[-1].name == "Map"
    return {sheet.name: sheet for sheet in made}


def large(count: int, groups: int, pairs: int) -> list[MapHost]:
    """Return an installation of so many hosts, groups and upstreams."""
    rng = random.Random(count)
    ends: dict[int, set[int]] = {number: set() for number in range(count)}
    for _ in range(pairs):
        ends[rng.randrange(count)].add(rng.randrange(count))
    return [
        host(
            number,
            addresses=[f"10.1.{number // 250}.{number % 250 + 1}"],
            upstreams=[
                f"app\ttcp/10.1.{each // 250}.{each % 250 + 1}:80"
                for each in sorted(ends[number] - {number})
            ],
            groups=(f"Group {number * groups // count:03}",),
        )
        for number in range(count)
    ]


def test_a_few_elements_are_one_sheet() -> None:
    """Without being asked nobody gets submaps of them."""
    (sheet,) = sheets_of(shop(), by_group=False).values()
    assert sheet.drawing == drawn(shop())


def test_by_group() -> None:
    """Groups have a line, and each leads to a sheet with what is around it."""
    made = sheets_of(shop())
    assert set(made) == {"Map", "Map / Databases", "Map / Web servers"}
    top = made["Map"]
    assert top.submaps == {
        "group/Databases": "Map / Databases",
        "group/Web servers": "Map / Web servers",
    }
    assert set(top.drawing.elements) == {*top.submaps, "end/198.51.100.7"}
    assert len(top.drawing.lines) == 2
    inner = made["Map / Databases"].drawing
    assert set(inner.elements) == {"host/1003", "group/Web servers"}
    assert set(inner.lines) == {("group/Web servers", "host/1003")}


def test_first_group_of_the_selection() -> None:
    """A host in several groups is in the first that was asked for."""
    both = [host(1, groups=("A", "B"))]
    assert "Map / A" in sheets_of(both)
    assert "Map / B" in sheets_of(both, "B")


@given(worlds())
def test_no_host_is_lost(hosts: list[MapHost]) -> None:
    """Each is on the sheet of one group, and in the top one's element for that."""
    made = sheets_of(hosts, *GROUPS)
    own = [
        key
        for name in made["Map"].submaps.values()
        for key in made[name].drawing.elements
        if key.startswith("host/")
    ]
    assert sorted(own) == sorted(f"host/{each.hostid}" for each in hosts)
    top = made["Map"].drawing.elements.values()
    ids = [hostid for each in top for hostid in each.hostids]
    assert sorted(ids) == sorted(each.hostid for each in hosts)


def test_bounds() -> None:
    """No sheet of a large installation has too many elements, and every host is on one."""
    hosts = large(300, 4, 3000)
    made = sheets_of(hosts, by_group=False)
    assert all(len(each.drawing.elements) <= MOST_ELEMENTS for each in made.values())
    assert "Map / Group 000, 1 of 2" in made
    own = [key for each in made.values() for key in each.drawing.elements if "host/" in key]
    assert sorted(own) == sorted(f"host/{each.hostid}" for each in hosts)


def test_many_groups() -> None:
    """Those with least lines become one element, which says how many they are."""
    made = sheets_of(large(200, 100, 400))
    top = made["Map"].drawing
    assert len(top.elements) == MOST_ELEMENTS
    assert top.elements["more/"].name == "41 more groups"
    assert len(made) == 101


def test_long_names_of_groups() -> None:
    """Names of maps have bounds, and stay different."""
    groups = [("x" * 200 + str(number),) for number in range(3)]
    made = sheets_of([host(number, groups=each) for number, each in enumerate(groups)])
    assert len(made) == 4
    assert all(len(name) <= 128 for name in made)
