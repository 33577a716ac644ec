"""Drawing: every pair is one line, no element is lost, and small changes stay small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.service_map.drawing import (
    MOST_ALONE,
    Aliases,
    Drawing,
    Element,
    LinePart,
    around,
    draw,
    folded,
)
from zabbix_sockets.service_map.matching import MapHost, flows

from .worlds import host, shop, worlds


def drawn(
    hosts: list[MapHost], aliases: Aliases | None = None, *, loopback: bool = False
) -> Drawing:
    """Return the drawing of an installation."""
    return draw(hosts, flows(hosts), aliases or Aliases(), loopback=loopback)


def test_shop() -> None:
    """Hosts and the one external end are elements, and lines lead from clients to servers."""
    found = drawn(shop())
    assert {key: each.name for key, each in found.elements.items()} == {
        "host/1001": "host1",
        "host/1002": "host2",
        "host/1003": "host3",
        "end/198.51.100.7": "198.51.100.7",
    }
    assert {(line.client, line.server) for line in found.lines.values()} == {
        ("host/1001", "host/1002"),
        ("host/1002", "host/1003"),
        ("host/1002", "end/198.51.100.7"),
    }
    (part,) = found.lines["host/1002", "host/1003"].parts
    rows = (("1002", "php-fpm>tcp/10.0.0.3:5432"),), (("1003", "tcp/[::]:5432"),)
    assert part == LinePart("php-fpm", "db", *rows)


def test_loopback() -> None:
    """What a host has inside is told where that is asked for."""
    assert all(not each.inside for each in drawn(shop()).elements.values())
    found = drawn(shop(), loopback=True)
    assert found.elements["host/1002"].inside == ("php-fpm → redis",)
    assert found.lines == drawn(shop()).lines


def test_both_directions_are_one_line() -> None:
    """It leads from whoever connects more."""
    one = host(1, upstreams=["a\ttcp/10.0.0.2:80"])
    other = host(2, upstreams=["b\ttcp/10.0.0.1:81", "b\ttcp/10.0.0.1:82"])
    ((_, line),) = drawn([one, other]).lines.items()
    assert (line.client, line.server) == ("host/1002", "host/1001")
    assert {(part.client, part.server) for part in line.parts} == {
        ("a", "port 80"),
        ("b", "port 81"),
        ("b", "port 82"),
    }


def test_aliases() -> None:
    """Ends of one name are one element; the longest prefix wins."""
    ends = ["a\ttcp/192.0.2.1:1", "a\ttcp/192.0.2.2:2", "a\ttcp/192.0.3.1:1"]
    names = {"192.0.2.0/24": "Bank", "192.0.2.2": "Other bank", "192.0.0.0/16": "All"}
    found = drawn([host(1, upstreams=ends)], Aliases(names))
    assert set(found.elements) == {"host/1001", "end/=Bank", "end/=Other bank", "end/=All"}


def test_many_ends_at_one_port() -> None:
    """They are one element, and say how many there are; a few stay alone."""

    def keys(count: int) -> set[str]:
        ends = [f"a\ttcp/192.0.2.{number}:443" for number in range(count)]
        found = drawn([host(1, upstreams=[*ends, "a\ttcp/192.0.2.9:80"])])
        names = {each.name for each in found.elements.values()}
        assert (f"port 443, {count} addresses" in names) == (count > MOST_ALONE)
        return set(found.elements)

    assert "end/192.0.2.1" in keys(MOST_ALONE)
    assert keys(MOST_ALONE + 1) == {"host/1001", "end/:443", "end/192.0.2.9"}


@given(worlds())
def test_every_pair_is_one_line(hosts: list[MapHost]) -> None:
    """Whatever crosses from host to host, or out, is in exactly one part of one line."""
    found = drawn(hosts)
    rows = [row for line in found.lines.values() for part in line.parts for row in part.upstreams]
    crossing = [(flow.client, flow.upstream.row) for flow in flows(hosts) if not flow.is_inside]
    assert sorted(rows) == sorted(crossing)
    for pair, line in found.lines.items():
        assert pair == tuple(sorted((line.client, line.server)))
        assert {*pair} <= found.elements.keys()
        assert line.parts


@given(worlds())
def test_no_element_is_lost(hosts: list[MapHost]) -> None:
    """Each host has an element, and each end of a line."""
    found = drawn(hosts)
    assert {f"host/{each.hostid}" for each in hosts} <= found.elements.keys()


@given(worlds(), st.data())
def test_a_host_more_changes_only_what_it_talks_to(
    hosts: list[MapHost], data: st.DataObject
) -> None:
    """All other lines stay as they are."""
    added = data.draw(st.sampled_from(hosts))
    before = drawn([each for each in hosts if each != added])
    key = f"host/{added.hostid}"
    address = added.told.addresses[0].address
    after = drawn(hosts)
    touched = {key, f"end/{address}"}
    assert {pair: line for pair, line in after.lines.items() if not touched & {*pair}} == {
        pair: line for pair, line in before.lines.items() if not touched & {*pair}
    }


@given(worlds())
def test_folding_loses_nothing(hosts: list[MapHost]) -> None:
    """Elements that become one keep their hosts, and lines between different ones their rows."""
    found = drawn(hosts)
    groups = {key: str(sum(key.encode()) % 3) for key in found.elements}
    result = folded(found, lambda key: Element(f"group/{groups[key]}", groups[key]))
    ids = sorted(hostid for each in result.elements.values() for hostid in each.hostids)
    assert ids == sorted(each.hostid for each in hosts)
    rows = {
        row
        for pair, line in found.lines.items()
        if groups[pair[0]] != groups[pair[1]]
        for part in line.parts
        for row in part.upstreams
    }
    kept = [row for line in result.lines.values() for part in line.parts for row in part.upstreams]
    assert sorted(kept) == sorted(rows)


def test_surroundings() -> None:
    """So many lines far from a host, in either direction."""
    found = drawn(shop())
    assert around(found, "host/1001", 1).elements.keys() == {"host/1001", "host/1002"}
    assert around(found, "host/1001", 2).elements == found.elements
    assert around(found, "host/1003", 1).lines.keys() == {("host/1002", "host/1003")}
