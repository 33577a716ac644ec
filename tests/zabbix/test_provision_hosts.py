"""`provision` on real servers: what it does to hosts, and what it leaves alone."""

import json
from typing import Any, NamedTuple

import pytest

from .programs import wait_for
from .provisioning import ACTIVE, AGENT, SUPER_ADMIN_ROLE, Target, add_user, unique
from .servers import Servers

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

BY_AGENT = ("--template", "agent")


class Template(NamedTuple):
    """A template of somebody's own."""

    templateid: str
    name: str


def add_template(target: Target, **parameters: Any) -> Template:
    """Create a template in a group of its own."""
    name = unique("own")
    groups = target.api.hostgroup if target.server.version == "6.0" else target.api.templategroup
    (groupid,) = groups.create(name=name)["groupids"]
    of_group = [{"groupid": groupid}]
    created = target.api.template.create(host=name, groups=of_group, **parameters)
    return Template(created["templateids"][0], name)


def test_first_call_does_all(servers: Servers, target: Target) -> None:
    """One call on a new server imports, creates the group and the host, and the next is silent."""
    arguments = ("--host", "web 1", "--group", "Web servers", "--template", "active")
    with servers.fresh(target.server.version) as server:
        new = Target(server, add_user(server, SUPER_ADMIN_ROLE))
        before = new.state()
        dry = new.provision(*arguments, "--dry-run")
        assert new.state() == before
        answer = new.provision(*arguments)
        after = new.state()
        assert new.provision(*arguments).out == [
            f"unchanged: template {ACTIVE}",
            "unchanged: host web 1",
        ]
        assert new.state() == after
    assert (answer.status, answer.err) == (0, [])
    assert answer.out[1:] == [
        "created group Web servers",
        f"created host web 1: template {ACTIVE}, group Web servers",
    ]
    assert dry.out == [line.replace("created", "would create") for line in answer.out]


def test_new_host(target: Target) -> None:
    """A host is created with all that is asked for."""
    name, macro = unique("new"), '{$SOCKETS.X:"nginx"}'
    arguments = (*BY_AGENT, "--host", name, "--interface", "[::1]:10051", "--macro", f"{macro}=5")
    before = target.state()
    assert (
        target.provision(*arguments, "--dry-run").out[1].startswith(f"would create host {name}: ")
    )
    assert target.state() == before
    answer = target.provision(*arguments)
    assert (answer.status, answer.err) == (0, [])
    host = target.host(name)
    assert (host["templates"], host["groups"]) == ([AGENT], ["Linux servers"])
    assert host["macros"] == {macro: "5"}
    (interface,) = host["interfaces"]
    assert (interface["ip"], interface["port"], interface["type"]) == ("::1", "10051", "1")
    after = target.state()
    assert target.provision(*arguments).out[1] == f"unchanged: host {name}"
    assert target.state() == after


def test_existing_host(target: Target) -> None:
    """What a host has stays: templates, groups, interfaces, and the macros of people."""
    own = add_template(target)
    host = target.server.create_host(
        agent=10050,
        templates=[own.templateid],
        macros=[{"macro": "{$A:x}", "value": "7"}, {"macro": "{$B}", "value": "b", "type": 1}],
    )
    before = target.host(host.name)
    arguments = ("--macro", '{$A:"x"}=5', "--macro", "B=5", "--macro", "C=5", "--group", "Web")
    asked = (*BY_AGENT, "--host", host.name)
    answer = target.provision(*asked, *arguments, "--interface", "127.0.0.2:1")
    assert answer.status == 0
    assert answer.out[1:] == [
        f"linked host {host.name} to template {AGENT}",
        f"added macro {{$C}}=5 to host {host.name}",
    ]
    assert answer.err == [
        f"note: host {host.name} is not in group Web: left as it is",
        f"note: host {host.name} has the interface 127.0.0.1:10050: left as it is",
        f"note: macro {{$A:\"x\"}} of host {host.name} stays '7'",
        f"note: macro {{$B}} of host {host.name} is secret, and stays as it is",
    ]
    after = target.host(host.name)
    assert after["templates"] == sorted([AGENT, own.name])
    assert after["macros"] == {**before["macros"], "{$C}": "5"}
    kept = ("groups", "interfaces", "name", "status")
    assert [after[field] for field in kept] == [before[field] for field in kept]
    state = target.state()
    assert target.provision(*asked).out[1:] == [f"unchanged: host {host.name}"]
    assert target.state() == state


@pytest.mark.short_form
def test_host_without_interface(target: Target) -> None:
    """A host gets the interface that it lacks, with the template that needs it."""
    host = target.server.create_host()
    before = target.state()
    refused = target.provision(*BY_AGENT, "--host", host.name)
    assert (refused.status, refused.out) == (1, [])
    assert f"host {host.name}: no agent interface" in refused.err[0]
    assert target.state() == before
    assert target.provision(*BY_AGENT, "--host", host.name, "--interface", "localhost").status == 0
    after = target.host(host.name)
    assert after["templates"] == [AGENT]
    assert [interface["dns"] for interface in after["interfaces"]] == ["localhost"]


@pytest.mark.short_form("7.0-False")
@pytest.mark.parametrize("nested", [False, True])
def test_other_template(target: Target, nested: bool) -> None:
    """A host that has another of the templates, or by way of one's own, is left alone."""
    (template,) = target.api.template.get(filter={"host": [ACTIVE]}, output=["templateid"])
    templateid, through = template["templateid"], ""
    if nested:
        own = add_template(target, templates=[template])
        templateid, through = own.templateid, f", by way of {own.name}"
    host = target.server.create_host(templates=[templateid])
    before = target.state()
    answer = target.provision(*BY_AGENT, "--host", host.name, "--macro", "A=1")
    assert answer.status == 1
    assert answer.err == [
        f"note: host {host.name} is linked to {ACTIVE} already{through}: left as it is",
        f"zabbix-sockets: 1 of 1 hosts not done: {host.name}",
    ]
    assert target.state() == before
    done = target.provision("--host", host.name, "--template", "active")
    assert done.out[1:] == [f"unchanged: host {host.name}"]


@pytest.mark.short_form
def test_discovered_host(target: Target) -> None:
    """A host made by a host prototype: 6.0 can't keep a template of its own, 7.0 does."""
    name = discover_host(target)
    before = target.state()
    answer = target.provision("--host", name, "--template", "active", "--macro", "A=1")
    if target.server.version == "6.0":
        assert answer.status == 1
        assert f"host {name} was made by a host prototype and can't be changed" in answer.err[0]
        assert target.state() == before
        return
    assert (answer.status, answer.err) == (0, [])
    assert (target.host(name)["templates"], target.host(name)["macros"]) == (
        [ACTIVE],
        {"{$A}": "1"},
    )
    other = discover_host(target)  # the rule's next discovery
    assert target.host(name)["templates"] == [ACTIVE]
    refused = target.provision(*BY_AGENT, "--host", other, "--interface", "127.0.0.1")
    assert "without an agent interface, and can't be given one" in refused.err[0]


_prototypes: dict[str, tuple[str, list[dict[str, str]]]] = {}


def discover_host(target: Target) -> str:
    """Let a discovery rule make one more host; return its name."""
    version = target.server.version
    if version not in _prototypes:
        maker = target.server.create_host("maker")
        rule = {"name": "rule", "key_": "rule", "type": 2, "delay": "0"}
        (ruleid,) = target.api.discoveryrule.create(hostid=maker.hostid, **rule)["itemids"]
        links = [{"groupid": maker.groupid}]
        target.api.hostprototype.create(host="made {#N}", ruleid=ruleid, groupLinks=links)
        target.server.reload()
        _prototypes[version] = (maker.name, [])
    maker_name, rows = _prototypes[version]
    rows.append({"{#N}": str(len(rows))})
    name = f"made {len(rows) - 1}"
    assert target.server.send([(maker_name, "rule", json.dumps(rows))]) == (1, 0)
    wait_for(lambda: bool(target.api.host.get(filter={"host": [name]})))
    return name


@pytest.mark.short_form
def test_proxy(target: Target) -> None:
    """A new host gets the proxy; one that is there keeps its own, and an unknown one ends all."""
    proxy, name = unique("proxy"), unique("behind")
    old = target.server.version == "6.0"
    fields: dict[str, Any] = (
        {"host": proxy, "status": 5} if old else {"name": proxy, "operating_mode": 0}
    )
    (proxyid,) = target.api.proxy.create(**fields)["proxyids"]
    other = target.server.create_host()
    before = target.state()
    asked = ("--template", "active", "--host", name, "--host", other.name)
    refused = target.provision(*asked, "--proxy", proxy.upper())
    assert (refused.status, refused.out) == (1, [])
    assert f"no proxy {proxy.upper()}" in refused.err[0]
    assert target.state() == before
    answer = target.provision(*asked, "--proxy", proxy)
    assert answer.status == 0
    assert answer.err == [
        f"note: host {other.name} is not monitored by proxy {proxy}: left as it is"
    ]
    field = "proxy_hostid" if old else "proxyid"
    assert (target.host(name)[field], target.host(other.name)[field]) == (proxyid, "0")


@pytest.mark.short_form
def test_names(target: Target) -> None:
    """A technical name is exact: another's visible name, or a template's, ends all."""
    host = target.server.create_host()
    target.api.host.update(hostid=host.hostid, name=(shown := unique("Visible")))
    before = target.state()
    for name, words in (
        (shown, f"it is the visible name of host {host.name}"),
        (AGENT, "a template has this name"),
    ):
        answer = target.provision("--template", "active", "--host", name)
        assert (answer.status, answer.out) == (1, [])
        assert words in answer.err[0]
    assert target.state() == before
    upper = host.name.upper()
    created = target.provision("--template", "active", "--host", upper).out[1]
    assert created.startswith(f"created host {upper}: ")


def test_refused_by_the_server(target: Target) -> None:
    """What only the server knows it says in one line; the other hosts are done."""
    (ours,) = target.api.template.get(filter={"host": [ACTIVE]}, selectItems=["key_", "type"])
    key = next(item["key_"] for item in ours["items"] if item["type"] != "18")
    own = add_template(target)
    trapper = {"name": "own", "key_": key, "type": 2, "value_type": 4}
    target.api.item.create(hostid=own.templateid, **trapper)
    host, other = target.server.create_host(templates=[own.templateid]), unique("other")
    answer = target.provision("--template", "active", "--host", host.name, "--host", other)
    assert answer.status == 1
    assert f"created host {other}: " in answer.out[1]
    assert answer.err[0].startswith(f"note: can't link host {host.name} to template {ACTIVE}: ")
    assert key in answer.err[0]
    assert answer.err[1] == f"zabbix-sockets: 1 of 2 hosts not done: {host.name}"
    assert target.host(host.name)["templates"] == [own.name]
