"""`check --api` on real servers: what they have of a host, and nothing is changed there."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from zabbix_sockets.check.line import BROKEN, DEGRADED, OK, UNKNOWN

from .agents import free_port
from .provisioning import AGENT, USER_ROLE, Target, add_user, unique

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

NAMES = ("api", "host", "template", "master item", "map")


def check(target: Target, host: str, *, url: str = "", token: str = "") -> dict[str, list[str]]:
    """Return of the lines about the server state, message and command, by name."""
    command = [sys.executable, "-I", "-m", "zabbix_sockets", "check", "--json", "--host", host]
    result = subprocess.run(
        [*command, "--api", url or target.server.url],
        env={"ZABBIX_TOKEN": token or target.admin.token, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in (0, 1, 2), result.stderr
    lines = {each["name"]: each for each in json.loads(result.stdout)}
    return {
        name: [lines[name][field] for field in ("state", "message", "next")]
        for name in NAMES
        if name in lines
    }


@pytest.fixture
def host(target: Target) -> str:
    """A host that is linked as `provision` does it."""
    name = unique("checked")
    answer = target.provision("--host", name, "--interface", "192.0.2.1:10050")
    assert answer.status == 0, answer
    return name


def test_host_is_linked(target: Target, host: str) -> None:
    """All is well, and the server is as it was, to the last row of its audit log."""
    before = target.state()
    found = check(target, host)
    assert [found[name][0] for name in NAMES] == [OK] * 4 + [UNKNOWN], found
    assert found["api"][1] == f"{target.server.url}, Zabbix {target.server.version}"
    assert target.state() == before


@pytest.mark.short_form
def test_no_such_host(target: Target) -> None:
    """The command makes it and links it."""
    name = unique("absent")
    state, message, command = check(target, name)["host"]
    assert (state, message) == (BROKEN, f"the API user sees no host {name!r}")
    words = shlex.split(command)
    assert words[:2] == ["zabbix-sockets", "provision"]
    answer = target.provision(
        *words[3 : words.index("--interface")], "--interface", "192.0.2.1:10050"
    )
    assert answer.status == 0, answer
    assert check(target, name)["host"][0] == OK


def test_host_without_our_template(target: Target, host: str) -> None:
    """The command links it."""
    hostid = target.host(host)["hostid"]
    (template,) = target.api.template.get(filter={"host": [AGENT]})
    target.api.host.update(hostid=hostid, templates_clear=[{"templateid": template["templateid"]}])
    found = check(target, host)
    state, message, command = found["host"]
    assert state == BROKEN
    assert message.startswith(f"{host} is linked to none of {AGENT}")
    assert set(found) == {"api", "host"}
    assert target.provision(*shlex.split(command)[3:]).status == 0
    assert check(target, host)["host"][0] == OK


@pytest.mark.short_form
def test_changed_template(target: Target, host: str) -> None:
    """A template that is another one than ours is named, and the command mends it."""
    (template,) = target.api.template.get(filter={"host": [AGENT]}, selectMacros=["hostmacroid"])
    macro = template["macros"][0]["hostmacroid"]
    target.api.usermacro.update(hostmacroid=macro, value="other")
    state, message, command = check(target, host)["template"]
    assert state == DEGRADED
    assert message.startswith(f"{AGENT} on the server is another version's, or was changed: ")
    assert target.provision(*shlex.split(command)[3:]).status == 0
    assert check(target, host)["template"][0] == OK


def _disable_host(target: Target, hostid: str, _: str) -> None:
    target.api.host.update(hostid=hostid, status=1)


def _disable_item(target: Target, _: str, itemid: str) -> None:
    target.api.item.update(itemid=itemid, status=1)


def _fail(target: Target, _: str, itemid: str) -> None:
    target.server.sql(
        f"update item_rtdata set state=1, error='Unsupported item key.' where itemid={itemid}"
        " returning itemid d"
    )


@pytest.mark.short_form("7.0-_fail*")
@pytest.mark.parametrize(
    ("make", "name", "state", "message"),
    [
        (_disable_host, "host", DEGRADED, "and disabled on the server"),
        (_disable_item, "master item", DEGRADED, "is disabled on the server"),
        (_fail, "master item", BROKEN, "is not supported: Unsupported item key."),
    ],
)
def test_faults_of_a_host(
    target: Target,
    host: str,
    make: Callable[[Target, str, str], None],
    name: str,
    state: str,
    message: str,
) -> None:
    """A host or an item that is disabled, and an item that has an error."""
    hostid = target.host(host)["hostid"]
    (item,) = target.api.item.get(hostids=hostid, search={"key_": "sockets.get"}, startSearch=True)
    make(target, hostid, item["itemid"])
    line = check(target, host)[name]
    assert line[0] == state
    assert message in line[1]


@pytest.mark.short_form("7.0--ok*")
@pytest.mark.parametrize(
    ("told", "state", "message"),
    [
        ("", OK, "the host tells of 1 addresses, 2 listeners, 1 upstreams"),
        ("\nleft out\t7", DEGRADED, "the host tells of 1 addresses, 2 listeners, 1 upstreams; 7"),
    ],
)
def test_map(target: Target, host: str, told: str, state: str, message: str) -> None:
    """What the host has told by which it is drawn, and what had no room."""
    hostid = target.host(host)["hostid"]
    texts = {
        "listeners": "address\t192.0.2.1\nlistener\ttcp/0.0.0.0:80\tnginx\nlistener\tudp/[::]:53",
        "upstreams": f"upstream\tnginx\ttcp/192.0.2.2:9000{told}",
    }
    for name, text in texts.items():
        (item,) = target.api.item.get(hostids=hostid, filter={"key_": f"sockets.map.{name}"})
        target.server.sql(
            f"insert into history_text (itemid, clock, value, ns) values"
            f" ({item['itemid']}, {int(time.time())}, $${text}$$, 0) returning itemid"
        )
    line = check(target, host)["map"]
    assert line[0] == state
    assert line[1].startswith(message)


@pytest.mark.short_form
def test_login_is_refused(target: Target, host: str) -> None:
    """A wrong token, and a user who may not see templates."""
    assert check(target, host, token="f" * 64)["api"][0] == BROKEN
    user = add_user(target.server, USER_ROLE)
    assert check(target, host, token=user.token)["api"][0] == BROKEN


def test_no_server(target: Target, host: str) -> None:
    """Where nobody answers, nothing is known."""
    found = check(target, host, url=f"http://127.0.0.1:{free_port()}")
    assert set(found) == {"api"}
    assert found["api"][0] == UNKNOWN
