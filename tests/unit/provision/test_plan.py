"""What is done to hosts, by how they are."""

from __future__ import annotations

from typing import Any

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.interfaces import parse_interface
from zabbix_sockets.provision.macros import identity, parse_macro
from zabbix_sockets.provision.options import DesiredState
from zabbix_sockets.provision.plan import HostPlan, Ids, Inventory, ServerHost, make_plan
from zabbix_sockets.provision.templates import TEMPLATES

AGENT, ACTIVE, TRAPPER = (TEMPLATES[kind] for kind in ("agent", "active", "trapper"))
HERE, THERE = parse_interface("192.0.2.7:10050"), parse_interface("[2001:db8::1]:10050")
IDS = Ids("T", "G")
HOST = ServerHost("7", {}, {}, HERE)
VERSIONS = [(6, 0), (7, 0)]


def desired(*hosts: str, linked: str = "agent", **more: Any) -> DesiredState:
    """Return a wish for a host, "web" if none is named."""
    return DesiredState(tuple(TEMPLATES.values()), TEMPLATES[linked], hosts or ("web",), **more)


def planned(asked: DesiredState, host: ServerHost | None = HOST, **more: Any) -> HostPlan:
    """Return the plan for one host, which is as *host* if it is there."""
    hosts = {} if host is None else {"web": host}
    inventory = Inventory(**{"version": (7, 0), "hosts": hosts, "groupid": "G"} | more)
    (plan,) = make_plan(asked, inventory).hosts
    return plan


def requests(plan: HostPlan) -> list[tuple[str, dict[str, object]]]:
    """Return the calls of a plan."""
    return [(change.method, change.parameters(IDS)) for change in plan.changes]


def words(plan: HostPlan) -> list[str]:
    """Return the lines of a plan."""
    return [f"{each.verb} {each.what}{each.details}" for each in plan.changes]


def test_link() -> None:
    """A host is linked by adding, never by replacing."""
    plan = planned(desired())
    assert words(plan) == ["link host web to template Sockets by Zabbix agent"]
    asked = {"hosts": [{"hostid": "7"}], "templates": [{"templateid": "T"}]}
    assert requests(plan) == [("host.massadd", asked)]
    assert not plan.notes


def test_linked_already() -> None:
    """Nothing is to be done where all is as desired."""
    host = HOST._replace(linked={AGENT.name: ""}, macros={identity("{$A}"): "1"}, proxyid="P")
    asked = desired(macros=(parse_macro("A=1"),), interface=HERE, proxy="p1", group="Web")
    plan = planned(asked, host._replace(groups=frozenset(["Web"])), proxyid="P")
    assert plan == HostPlan("web")


@pytest.mark.parametrize("way", ["", "Linux base"])
def test_linked_to_another(way: str) -> None:
    """A host with another of the templates is left alone, macros and all."""
    asked = desired(macros=(parse_macro("A=1"),))
    plan = planned(asked, HOST._replace(linked={ACTIVE.name: way}))
    through = ", by way of Linux base" if way else ""
    note = f"host web is linked to {ACTIVE.name} already{through}: left as it is"
    assert plan == HostPlan("web", notes=(note,), unmet=True)


def test_create() -> None:
    """A host that is missing is created in one call."""
    asked = desired(interface=HERE, macros=(parse_macro('{$A:"x"}=1'),))
    plan = planned(asked, None)
    assert ", ".join(words(plan)) == (
        "create host web: template Sockets by Zabbix agent, group Linux servers,"
        ' interface 192.0.2.7:10050, macro {$A:"x"}=1'
    )
    parameters = {
        "host": "web",
        "templates": [{"templateid": "T"}],
        "groups": [{"groupid": "G"}],
        "interfaces": [HERE.parameters()],
        "macros": [{"macro": '{$A:"x"}', "value": "1"}],
    }
    assert requests(plan) == [("host.create", parameters)]


@pytest.mark.parametrize("kind", ["active", "trapper"])
def test_create_without_interface(kind: str) -> None:
    """Where no agent is asked no interface is needed; nor is there a macro or proxy."""
    ((_, parameters),) = requests(planned(desired(linked=kind, group="Web"), None))
    assert parameters.keys() == {"host", "templates", "groups"}


@pytest.mark.parametrize(
    ("version", "of_proxy"),
    [((6, 0), {"proxy_hostid": "P"}), ((7, 0), {"monitored_by": 1, "proxyid": "P"})],
)
def test_create_with_proxy(version: tuple[int, int], of_proxy: dict[str, object]) -> None:
    """Each version has its own words for the proxy of a host."""
    asked = desired(linked="active", proxy="p1")
    plan = planned(asked, None, version=version, proxyid="P")
    ((_, parameters),) = requests(plan)
    assert of_proxy.items() <= parameters.items()
    assert "proxy p1" in words(plan)[0]


def test_new_group() -> None:
    """The group is created with the first host that needs it, and not for others."""
    asked = desired("web", linked="active", group="Web")
    assert make_plan(asked, Inventory((7, 0), {})).new_group == "Web"
    assert make_plan(asked, Inventory((7, 0), {}, groupid="G")).new_group == ""
    assert make_plan(asked, Inventory((7, 0), {"web": HOST})).new_group == ""


def test_no_interface() -> None:
    """An agent's template needs an interface: for a new host, or one that has none."""
    for host in (None, HOST._replace(interface=None)):
        with pytest.raises(SocketsError, match="host web: no agent interface") as caught:
            planned(desired(), host)
        assert "--interface" in caught.value.hint
    assert planned(desired(), HOST._replace(interface=None, linked={AGENT.name: ""})).changes == ()


def test_new_interface() -> None:
    """A host without an agent's interface gets it with the template, in one call."""
    plan = planned(desired(interface=THERE), HOST._replace(interface=None))
    ((method, parameters),) = requests(plan)
    assert method == "host.massadd"
    assert parameters["interfaces"] == [THERE.parameters()]
    assert words(plan)[0].endswith(", with a new interface [2001:db8::1]:10050")


def test_interface_of_many() -> None:
    """Several hosts can't have one address."""
    with pytest.raises(SocketsError, match="hosts a, b: they can't all have the interface"):
        make_plan(desired("a", "b", interface=HERE), Inventory((7, 0), {}))
    with pytest.raises(SocketsError, match="hosts a, b: no agent interface"):
        make_plan(desired("a", "b"), Inventory((7, 0), {}))
    assert make_plan(desired("a", "b", interface=HERE), Inventory((7, 0), {"b": HOST})).hosts


def test_kept() -> None:
    """What somebody set on a host stays, with a note on each difference."""
    host = HOST._replace(
        macros={identity("{$A}"): "7\n", identity("{$B}"): None}, proxyid="Q", interface=HERE
    )
    asked = desired(
        macros=(parse_macro("A=1"), parse_macro("B=1"), parse_macro("C=1")),
        proxy="p1",
        group="Web",
        interface=THERE,
    )
    plan = planned(asked, host, proxyid="P")
    assert words(plan)[1:] == ["add macro {$C}=1 to host web"]
    assert requests(plan)[1:] == [
        ("usermacro.create", {"hostid": "7", "macro": "{$C}", "value": "1"})
    ]
    assert plan.notes == (
        "host web is not monitored by proxy p1: left as it is",
        "host web is not in group Web: left as it is",
        "host web has the interface 192.0.2.7:10050: left as it is",
        "macro {$A} of host web stays '7'",
        "macro {$B} of host web is secret, and stays as it is",
    )
    assert not plan.unmet


def test_same_macro() -> None:
    """A macro is there, however its context is quoted."""
    host = HOST._replace(linked={AGENT.name: ""}, macros={identity("{$A:x}"): "1"})
    assert planned(desired(macros=(parse_macro('{$A:"x"}=1'),)), host) == HostPlan("web")


def test_discovered() -> None:
    """6.0 takes back whatever a host prototype has not; since 7.0 it may be added."""
    host = HOST._replace(is_discovered=True)
    plan = planned(desired(), host, version=(6, 0))
    assert plan.unmet
    assert "made by a host prototype and can't be changed" in plan.notes[0]
    assert planned(desired(), host, version=(7, 0)).changes


@pytest.mark.parametrize("version", VERSIONS)
def test_discovered_and_linked(version: tuple[int, int]) -> None:
    """A host whose prototype has the template is done, and one that lacks a macro is not."""
    host = HOST._replace(is_discovered=True, linked={AGENT.name: ""})
    assert planned(desired(), host, version=version) == HostPlan("web")
    asked = desired(macros=(parse_macro("A=1"),))
    assert planned(asked, host, version=version).unmet is (version == (6, 0))
    with_macro = host._replace(macros={identity("{$A}"): "1"})
    assert planned(asked, with_macro, version=version) == HostPlan("web")


def test_discovered_without_interface() -> None:
    """No version lets anybody add an interface to such a host."""
    host = HOST._replace(is_discovered=True, interface=None)
    for version in VERSIONS:
        assert planned(desired(interface=HERE), host, version=version).unmet
    assert planned(desired(linked="active"), host).changes


def test_read_only() -> None:
    """A host that the user may only read refuses all, before anything is done."""
    with pytest.raises(SocketsError, match="host web: the API user may not change it"):
        planned(desired(), HOST._replace(is_writable=False))


def test_taken() -> None:
    """A name that something else has refuses all, with what has it."""
    taken = {"web": "it is the visible name of host www"}
    with pytest.raises(SocketsError, match="web can't be created: it is the visible name of"):
        planned(desired(linked="active"), None, taken=taken)


def test_order() -> None:
    """Hosts are done in the order in which they are named."""
    names = ("c", "a", "b")
    plan = make_plan(desired(*names, linked="active"), Inventory((7, 0), {"b": HOST, "a": HOST}))
    assert tuple(each.name for each in plan.hosts) == names
