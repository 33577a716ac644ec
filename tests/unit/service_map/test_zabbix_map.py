"""The map as the API has it: what is made, what is changed, and what is left alone."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given, settings

from zabbix_sockets.provision.api import ApiObject
from zabbix_sockets.service_map.drawing import Aliases, Drawing, draw
from zabbix_sockets.service_map.labels import LabelFigures, line_label
from zabbix_sockets.service_map.matching import MapHost, flows
from zabbix_sockets.service_map.sheets import Sheet
from zabbix_sockets.service_map.state import Seen, nothing_seen
from zabbix_sockets.service_map.zabbix_map import (
    Icons,
    Merged,
    SheetContent,
    Trigger,
    Wishes,
    key_of,
    linked_pairs,
    merge,
)

from .worlds import host, shop, worlds

NOW, DAY = 1_700_000_000, 86_400
WISHES = Wishes(NOW, 7 * DAY, relayout=False, icons=Icons("1", "2", "3"))


def drawn(hosts: list[MapHost]) -> Drawing:
    """Return the drawing of an installation."""
    return draw(hosts, flows(hosts), Aliases())


def content_of(drawing: Drawing, **triggers: Any) -> SheetContent:
    """Return what the map of a drawing shows."""
    labels = {
        pair: line_label(line, LabelFigures({}, {}, {}, "")) for pair, line in drawing.lines.items()
    }
    return SheetContent(Sheet("Map", drawing), labels, triggers.get("triggers", {}))


class Server:
    """A server with one map, which keeps ids, and gives what is new one."""

    def __init__(self) -> None:
        self.map: ApiObject | None = None
        self.seen = nothing_seen()
        self._ids = itertools.count(5001)

    def run(self, content: SheetContent, wishes: Wishes = WISHES) -> Merged:
        """Make or update the map, as the command does."""
        merged = merge(content, copy.deepcopy(self.map), self.seen, wishes)
        if merged.changes:
            self._store(merged.parameters)
        assert self.map
        self.seen = merged.seen._replace(links=linked_pairs(self.map, self.seen))
        return merged

    def _store(self, parameters: ApiObject) -> None:
        before = self.map or {"sysmapid": "77", "selements": [], "links": []}
        known = {each["selementid"] for each in before["selements"]}
        ids = {
            each["selementid"]: each["selementid"]
            if each["selementid"] in known
            else str(next(self._ids))
            for each in parameters["selements"]
        }
        elements = [
            each | {"selementid": ids[each["selementid"]]} for each in parameters["selements"]
        ]
        links = []
        for each in parameters["links"]:
            ends = {end: ids[each[end]] for end in ("selementid1", "selementid2")}
            linkid = each.get("linkid") or str(next(self._ids))
            triggers = [
                {"linktriggerid": str(next(self._ids)), "linkid": linkid} | trigger
                for trigger in each["linktriggers"]
            ]
            links.append(each | ends | {"linkid": linkid, "linktriggers": triggers})
        self.map = before | parameters | {"selements": elements, "links": links}

    def element(self, key: str) -> ApiObject:
        """Return the element of a key."""
        assert self.map
        found: ApiObject = next(each for each in self.map["selements"] if key_of(each) == key)
        return found

    def labels(self) -> list[str]:
        """Return the labels of the lines."""
        assert self.map
        return sorted(each["label"] for each in self.map["links"])


def test_new_map() -> None:
    """It has an element for each host and end, with a URL that knows it, and the lines."""
    server = Server()
    merged = server.run(content_of(drawn(shop())))
    assert merged.changes == "elements: 4 added; lines: 3 added"
    assert merged.parameters["name"] == "Map"
    web, end = server.element("host/1001"), server.element("end/198.51.100.7")
    assert (web["elementtype"], web["elements"]) == ("0", [{"hostid": "1001"}])
    assert "hostids%5B%5D=1001" in web["urls"][0]["url"]
    assert (end["elementtype"], end["elements"], end["iconid_off"]) == ("4", [], "2")
    assert server.labels() == ["nginx → php-fpm", "php-fpm → db", "php-fpm → port 443"]


@given(worlds(8))
@settings(deadline=None, max_examples=10)
def test_a_second_run_changes_nothing(hosts: list[MapHost]) -> None:
    """Whatever there is."""
    server = Server()
    content = content_of(drawn(hosts))
    first = server.run(content)
    assert first.changes
    before = copy.deepcopy(server.map)
    again = server.run(content, WISHES._replace(now=NOW + 60))
    assert (again.changes, again.hidden) == ("", first.hidden)
    assert server.map == before


def test_a_person_moves_an_element() -> None:
    """It stays there, and so do others when there is something new; --relayout moves all."""
    server = Server()
    server.run(content_of(drawn(shop())))
    server.element("host/1001").update(x="900", y="10")
    php = server.element("host/1002")["x"], server.element("host/1002")["y"]
    more = [*shop(), host(4, upstreams=["app\ttcp/10.0.0.3:5432"])]
    changes = server.run(content_of(drawn(more))).changes
    assert changes.startswith("elements: 1 added; lines: 1 added")
    assert (server.element("host/1001")["x"], server.element("host/1001")["y"]) == ("900", "10")
    assert (server.element("host/1002")["x"], server.element("host/1002")["y"]) == php
    assert server.run(content_of(drawn(more)), WISHES._replace(relayout=True)).changes
    assert server.element("host/1001")["x"] != "900"


def test_what_a_person_added_stays() -> None:
    """An element, a line to it, a second line and another URL are left alone."""
    server = Server()
    server.run(content_of(drawn(shop())))
    assert server.map
    web, php = server.element("host/1001"), server.element("host/1002")
    router: ApiObject = {"selementid": "9", "elementtype": "4", "elements": [], "label": "router"}
    router |= {"x": "10", "y": "900", "urls": [], "iconid_off": "3", "permission": 3}
    server.map["selements"].append(router)
    web["urls"].append({"name": "runbook", "url": "https://wiki.example.com"})
    plain = {"linktriggers": [], "drawtype": "0", "color": "00AA00", "permission": 3}
    for number, end in ((90, router), (91, php)):
        ends = {"selementid1": web["selementid"], "selementid2": end["selementid"]}
        server.map["links"].append({"linkid": str(number), "label": "mine", **ends, **plain})
    assert not server.run(content_of(drawn(shop()))).changes
    one_less = drawn(shop()[:2])
    merged = server.run(content_of(one_less), WISHES._replace(now=NOW + 30 * DAY))
    assert merged.changes == "elements: 1 added, 1 removed; lines: 1 added, 1 removed"
    assert server.labels().count("mine") == 2
    assert "runbook" in {each["name"] for each in server.element("host/1001")["urls"]}
    sent = [*merged.parameters["selements"], *merged.parameters["links"]]
    assert not [each for each in sent if "permission" in each]


def test_gone_for_days() -> None:
    """What isn't there any more stays for some days, and comes back as it was."""
    server = Server()
    silent = host(2, listeners=["tcp/10.0.0.2:9000\tphp-fpm"])
    whole, part = content_of(drawn(shop())), content_of(drawn([shop()[0], silent, host(3)]))
    server.run(whole)
    for days in (1, 6, 7):
        assert not server.run(part, WISHES._replace(now=NOW + days * DAY)).changes
    late = NOW + 7 * DAY + 1
    assert server.run(part, WISHES._replace(now=late)).changes == (
        "elements: 1 removed; lines: 2 removed"
    )
    assert server.labels() == ["nginx → php-fpm"]


def test_without_a_state_file() -> None:
    """A file that was lost makes no second set of lines, and removes nobody's at once."""
    server = Server()
    server.run(content_of(drawn(shop())))
    server.seen = nothing_seen()
    assert not server.run(content_of(drawn(shop()))).changes


def test_triggers() -> None:
    """A fault is told by a red line, slowness by a dashed one; what isn't there any more goes."""
    server = Server()
    pair = ("host/1001", "host/1002")
    for triggers in ([Trigger("8", is_fault=True), Trigger("9", is_fault=False)], []):
        content = content_of(drawn(shop()), triggers={pair: triggers})
        changed = server.run(content).changes
        assert changed
        assert not server.run(content).changes
        assert server.map
        link = next(each for each in server.map["links"] if each["label"] == "nginx → php-fpm")
        assert [(each["triggerid"], each["drawtype"]) for each in link["linktriggers"]] == (
            [("8", "2"), ("9", "4")] if triggers else []
        )


@pytest.mark.parametrize("kept", [0, 7])
def test_keep(kept: int) -> None:
    """No day at all is a choice, too."""
    server = Server()
    server.run(content_of(drawn(shop())))
    wishes = WISHES._replace(now=NOW + 1, keep=kept * DAY)
    assert bool(server.run(content_of(drawn(shop()[:1])), wishes).changes)


def test_submaps() -> None:
    """An element of a group leads to a map."""
    server = Server()
    hosts = [host(1), host(2)]
    content = content_of(drawn(hosts))._replace(submaps={"host/1001": "55"})
    server.run(content)
    assert server.element("host/1001")["elements"] == [{"sysmapid": "55"}]
    assert server.element("host/1001")["elementtype"] == "1"
    assert not server.run(content).changes


def test_nothing_is_remembered_of_nothing() -> None:
    """A sheet that was never drawn has no past."""
    assert nothing_seen() == Seen({}, {}, {}, {})
