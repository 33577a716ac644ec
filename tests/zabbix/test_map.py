"""The map on real servers: what it has, how it is kept up to date, and what people see of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.service_map.zabbix_map import key_of

from . import shop
from .browser import Browser
from .provisioning import USER_ROLE, add_user
from .servers import Server
from .shop import NAME, Town

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]


@pytest.fixture(scope="module")
def town(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The shop, drawn once."""
    town = Town(server, tmp_path_factory.mktemp("map"), shop.HEALED_MINUTES)
    answer = town.shown()
    assert (answer.status, answer.err) == (0, []), answer
    lines = sum(len(each.upstreams) for each in shop.HOSTS)
    count = len(shop.HOSTS) + 1
    assert answer.out == [f"created map {NAME} (elements: {count} added; lines: {lines} added)"]
    yield town
    server.api.map.delete(town.map(NAME)["sysmapid"])
    shop.remove(server, town.ids)


def ends(found: dict[str, Any]) -> dict[str, str]:
    """Return the keys of elements by their ids."""
    return {each["selementid"]: key_of(each) for each in found["selements"]}


def test_elements_and_lines(town: Town) -> None:
    """There is one for each host and end, and a line for each two that talk."""
    found = town.map(NAME)
    keys = ends(found)
    hosts = {f"host/{hostid}" for hostid in town.ids.values()}
    assert sorted(keys.values()) == sorted({*hosts, "end/=Payment service"})
    address = {each.address: f"host/{town.ids[each.name]}" for each in shop.HOSTS}
    address[shop.PAYMENTS] = "end/=Payment service"
    wanted = sorted(
        tuple(sorted((f"host/{town.ids[each.name]}", address[end.partition(":")[0]])))
        for each in shop.HOSTS
        for _, end, _ in each.upstreams
    )
    drawn = [
        tuple(sorted((keys[each["selementid1"]], keys[each["selementid2"]])))
        for each in found["links"]
    ]
    assert sorted(drawn) == wanted
    assert found["private"] == "0"


def test_a_second_run_writes_nothing(town: Town) -> None:
    """Neither to the map nor, with --dry-run, anywhere."""
    before = town.map(NAME)
    audit = town.server.sql("select count(*) n from auditlog where action not in (4, 8)")
    assert town.shown().out == [f"unchanged: map {NAME}"]
    assert town.shown("--dry-run", "--relayout").out == [f"unchanged: map {NAME}"]
    assert town.map(NAME) == before
    after = town.server.sql("select count(*) n from auditlog where action not in (4, 8)")
    assert after == audit


def test_what_people_do_stays(town: Town) -> None:
    """An element that was moved is not moved back, one that was added isn't taken away."""
    found = town.map(NAME)
    moved = found["selements"][0] | {"x": "500", "y": "700"}
    added = {
        "selementid": "999999",
        "elementtype": "4",
        "iconid_off": moved["iconid_off"],
        "label": "router",
        "x": "20",
        "y": "700",
    }
    elements = [
        {name: value for name, value in each.items() if name != "permission"}
        for each in (moved, *found["selements"][1:])
    ]
    links = [
        {name: value for name, value in each.items() if name != "permission"}
        for each in found["links"]
    ]
    town.server.api.map.update(
        sysmapid=found["sysmapid"], selements=[*elements, added], links=links
    )
    answer = town.shown("--host", "web1")
    assert answer.status == 0, answer
    after = town.map(NAME)
    places = {each["selementid"]: (each["x"], each["y"]) for each in after["selements"]}
    assert places[moved["selementid"]] == ("500", "700")
    assert "router" in {each["label"] for each in after["selements"]}
    assert {each["linkid"] for each in after["links"]} == {
        each["linkid"] for each in found["links"]
    }
    assert town.shown("--relayout").status == 0


def seen_on_page(browser: Browser, town: Town) -> tuple[str, dict[str, int]]:
    """Return the texts that a map's page shows, and how many lines have each colour."""
    path = f"zabbix.php?action=map.view&sysmapid={town.map(NAME)['sysmapid']}"
    with browser.page(town.server, path) as page:
        page.wait_for_selector("svg text")
        texts = page.locator("svg text").all_text_contents()
        strokes = page.eval_on_selector_all(
            "svg g:has(> line)",
            "all => all.map(each => each.getAttribute('stroke') || '')",
        )
    colors: dict[str, int] = {}
    for each in strokes:
        colors[each.lower()] = colors.get(each.lower(), 0) + 1
    return "\n".join(texts), colors


def test_page(browser: Browser, town: Town) -> None:
    """Labels have the documents' figures; what fails is red, what is slow is dashed, until well."""
    texts, colors = seen_on_page(browser, town)
    assert "haproxy → nginx: 40" in texts
    assert "php-fpm → postgres: 9" in texts
    assert "php-fpm → redis: 6" in texts
    assert "python3 → port 443: 0" in texts
    assert "Payment service" in texts
    assert (colors["#e45959"], colors["#e97659"]) == (1, 1)
    shop.heal(town.server, town.now)
    _, colors = seen_on_page(browser, town)
    assert not {"#e45959", "#e97659"} & colors.keys()


@pytest.mark.short_form
def test_without_rights(town: Town, tmp_path: Path) -> None:
    """A user who sees no host is told so in one line, with what it takes."""
    user = add_user(town.server, USER_ROLE)
    answer = town.draw(NAME, "--state", str(tmp_path / "state"), user=user)
    assert (answer.status, answer.out) == (1, [])
    assert "none of 0 hosts that the API user may see has told of itself" in answer.err[0]
    assert "read access" in answer.err[1]


@pytest.mark.short_form
def test_by_group(town: Town, tmp_path: Path) -> None:
    """Groups have a map of their own, to which the first one leads; nobody else's is written."""
    state = ("--state", str(tmp_path / "state"))
    before = town.map(NAME)
    asked = ("--by", "group", *state)
    command = town.draw(NAME, *asked, "--dry-run")
    assert command.status == 0, command
    assert command.out[0].startswith(f"would create map {NAME} / {shop.GROUP} (")
    assert town.map(NAME) == before
