"""How things are on a server, from what its API answers."""

from typing import Any

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.api import connected
from zabbix_sockets.provision.credentials import Login
from zabbix_sockets.provision.frontend import parse_frontend
from zabbix_sockets.provision.interfaces import parse_interface
from zabbix_sockets.provision.inventory import read_inventory
from zabbix_sockets.provision.options import DesiredState
from zabbix_sockets.provision.plan import Inventory, ServerHost
from zabbix_sockets.provision.templates import TEMPLATES

from .frontends import Answers, frontend

AGENT, ACTIVE, TRAPPER = TEMPLATES.values()
WANTED = DesiredState((), AGENT, ("web", "db"))
ROW = {
    "hostid": "7",
    "host": "web",
    "flags": "0",
    "proxyid": "0",
    "parentTemplates": [],
    "interfaces": [],
    "macros": [],
    "hostgroups": [{"groupid": "2", "name": "Linux servers"}],
}
INTERFACE = {"type": "1", "main": "1", "useip": "1", "ip": "192.0.2.7", "dns": "", "port": "1"}


def hosts(*rows: dict[str, Any], writable: bool = True) -> Any:
    """Return what host.get answers: rows, ids of what may be changed, visible names."""

    def answer(params: dict[str, Any]) -> list[dict[str, Any]]:
        if "name" in params["filter"]:
            return [{"host": "db 1", "name": "db"}, {"host": "x", "name": "DB"}]
        return [*rows] if writable or "editable" not in params else []

    return answer


def parents(*known: tuple[str, str, str]) -> Any:
    """Return what template.get answers; each template is an id, a name and its parent's id."""
    rows = {templateid: {"templateid": templateid, "host": name} for templateid, name, _ in known}

    def answer(params: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {**rows[templateid], "parentTemplates": [rows[parent]] if parent else []}
            for templateid, _, parent in known
            if templateid in params.get("templateids", ())
        ]

    return answer


def inventory(answers: Answers, desired: DesiredState = WANTED) -> Inventory:
    """Return what a server that answers so has."""
    defaults = {"host.get": hosts(ROW), "template.get": [], "hostgroup.get": []}
    with (
        frontend({**defaults, **answers}) as asked,
        connected(parse_frontend(asked.url), 5, None) as api,
    ):
        api.login(Login("Admin", "s3cret"))
        found = read_inventory(api, desired)
        changes = ("create", "massadd", "import", "update", "delete")
        assert not [method for method in asked.methods if method.endswith(changes)]
    return found


def host_of(row: dict[str, Any], **answers: Any) -> ServerHost:
    """Return the host that a row of host.get is."""
    return inventory({"host.get": hosts({**ROW, **row}), **answers}).hosts["web"]


def test_bare_host() -> None:
    """A host that has nothing yet."""
    found = inventory({})
    assert found.version == (7, 0)
    assert found.hosts == {"web": ServerHost("7", {}, {}, None, frozenset(["Linux servers"]))}
    assert (found.groupid, found.proxyid) == (None, None)


def test_old_words() -> None:
    """6.0 has other words for the groups and the proxy."""
    row = {key: value for key, value in ROW.items() if key not in ("proxyid", "hostgroups")}
    old = row | {"proxy_hostid": "9", "groups": [{"groupid": "2", "name": "Web"}]}
    found = inventory({"apiinfo.version": "6.0.14", "host.get": hosts(old)})
    assert found.hosts == {"web": ServerHost("7", {}, {}, None, frozenset(["Web"]), "9")}


def test_a_host_with_all() -> None:
    """Interface, proxy, macros and flags are found; a secret value is not known."""
    host = host_of(
        {
            "flags": "4",
            "proxyid": "9",
            "interfaces": [{**INTERFACE, "main": "0"}, {**INTERFACE, "type": "2"}, INTERFACE],
            "macros": [
                {"macro": '{$A:"x"}', "value": "1", "type": "0"},
                {"macro": "{$B}", "value": "", "type": "1"},
            ],
        }
    )
    assert host.is_discovered
    assert host.is_writable
    assert host.proxyid == "9"
    assert host.interface == parse_interface("192.0.2.7:1")
    assert host.macros == {("A", "", "x"): "1", ("B",): None}


def test_read_only_host() -> None:
    """What is not editable is seen and can't be changed."""
    assert not inventory({"host.get": hosts(ROW, writable=False)}).hosts["web"].is_writable


def test_names_are_exact() -> None:
    """A name in other capitals is another host."""
    assert not inventory({"host.get": hosts({**ROW, "host": "WEB"})}).hosts


def test_linked() -> None:
    """Templates of ours are found among others."""
    templates = [{"templateid": "1", "host": "Linux"}, {"templateid": "2", "host": ACTIVE.name}]
    assert host_of({"parentTemplates": templates}).linked == {ACTIVE.name: ""}


def test_linked_by_way_of_others() -> None:
    """A template of ours that another one brings along counts, with the one that does."""
    known = parents(("1", "Base", "2"), ("2", "Linux", "3"), ("3", AGENT.name, ""))
    host = host_of(
        {"parentTemplates": [{"templateid": "1", "host": "Base"}]}, **{"template.get": known}
    )
    assert host.linked == {AGENT.name: "Base"}


def test_templates_in_a_circle() -> None:
    """No server has one, and no answer makes this run forever."""
    known = parents(("1", "A", "2"), ("2", "B", "1"))
    templates = [{"templateid": "1", "host": "A"}]
    assert not host_of({"parentTemplates": templates}, **{"template.get": known}).linked


def test_taken_names() -> None:
    """A host that is missing can't have the visible name of another, or a template's."""
    assert inventory({}).taken["db"] == "it is the visible name of host db 1"
    found = inventory({"template.get": [{"host": "db"}]})
    assert found.taken["db"] == "a template has this name"
    assert inventory({}, WANTED._replace(hosts=("web",))).taken == {}


def test_group() -> None:
    """The group of new hosts is found by its exact name."""
    rows = [{"groupid": "5", "name": "web"}, {"groupid": "6", "name": "Web"}]
    asked = WANTED._replace(group="Web")
    assert inventory({"hostgroup.get": rows}, asked).groupid == "6"
    assert inventory({"hostgroup.get": rows[:1]}, asked).groupid is None


def test_read_only_group() -> None:
    """A group that hosts can't be put into refuses before anything is done."""
    rows = [{"groupid": "2", "name": "Linux servers"}]
    with pytest.raises(SocketsError, match="Linux servers: the API user may not put hosts into"):
        inventory({"hostgroup.get": lambda params: [] if "editable" in params else rows})


@pytest.mark.parametrize(("version", "field"), [("6.0.14", "host"), ("7.0.9", "name")])
def test_proxy(version: str, field: str) -> None:
    """A proxy is found by its exact name."""
    rows = [{"proxyid": "8", field: "P1"}, {"proxyid": "9", field: "p1"}]
    answers = {"apiinfo.version": version, "proxy.get": rows, "host.get": []}
    assert inventory(answers, WANTED._replace(proxy="p1")).proxyid == "9"
    with pytest.raises(SocketsError, match="no proxy p2 on the server"):
        inventory(answers, WANTED._replace(proxy="p2"))
