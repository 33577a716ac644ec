"""What the command does and says, against frontends that record what they are asked."""

from typing import Any

import pytest

from .calls import SECRET, ask, parameters, provision
from .frontends import Answers, saying

NEW: dict[str, Any] = {"templates": {"added": [{"after": {}, "items": {"added": [{"after": {}}]}}]}}
ACTIVE = ("--template", "active", "--host", "web", "--host", "db")
LINKED = "linked host web to template Sockets by Zabbix agent active\n"
CREATED = "created host db: template Sockets by Zabbix agent active, group Linux servers"


def test_unchanged() -> None:
    """Where all is there already nothing is done, and said so."""
    asked, answer = ask({})
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert answer.stdout.decode().splitlines() == [
        "unchanged: template Sockets by Zabbix agent",
        "unchanged: template Sockets by Zabbix agent active",
        "unchanged: template Sockets by Zabbix trapper",
    ]
    assert "configuration.import" not in asked.methods


def test_import() -> None:
    """What the comparison was made with is imported."""
    asked, answer = ask({"configuration.importcompare": NEW}, "--template", "agent")
    line = "template Sockets by Zabbix agent (template: 1 added; items: 1 added)\n"
    assert answer.stdout.decode() == f"created {line}"
    assert parameters(asked, "configuration.import") == parameters(
        asked, "configuration.importcompare"
    )
    asked, answer = ask({"configuration.importcompare": NEW}, "--template", "agent", "--dry-run")
    assert answer.stdout.decode() == f"would create {line}"
    assert "configuration.import" not in asked.methods


@pytest.mark.parametrize(("role", "imports"), [(2, 0), (3, 1)])
def test_hidden_dashboards(role: int, imports: int) -> None:
    """An Admin may not see dashboards that are there, so an Admin's call creates none."""

    def compare(params: dict[str, Any]) -> object:
        creates = params["rules"]["templateDashboards"]["createMissing"]
        new: list[Any] = [{"after": {}}] if creates else []
        entity: dict[str, Any] = {"before": {}, "after": {}, "dashboards": {"added": new}}
        return {"templates": {"updated": [entity]}}

    answers = {
        "configuration.importcompare": compare,
        "user.checkAuthentication": {"username": "me", "type": role},
    }
    asked, answer = ask(answers, "--template", "agent")
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert asked.methods.count("configuration.import") == imports


def test_hosts() -> None:
    """Hosts are linked and created; what is not as asked is noted, safe for a terminal."""
    asked, answer = ask({}, *ACTIVE, "--macro", "A=1")
    assert answer.returncode == 0
    created = f"{CREATED}, macro {{$A}}=1\n"
    unchanged = "unchanged: template Sockets by Zabbix agent active\n"
    assert answer.stdout.decode() == unchanged + LINKED + created
    assert answer.stderr == b"note: macro {$A} of host web stays '2'\n"
    (created_with,) = parameters(asked, "host.create")
    assert created_with["templates"] == [{"templateid": "31"}]
    assert created_with["groups"] == [{"groupid": "2"}]


def test_dry_run() -> None:
    """A dry run says the same lines with would, and asks only."""
    asked, answer = ask({}, *ACTIVE, "--dry-run")
    would = (LINKED + CREATED + "\n").replace("linked", "link").replace("created", "create")
    lines = answer.stdout.decode().splitlines()
    assert lines[1:] == [f"would {line}" for line in would.splitlines()]
    harmless = ("get", "version", "login", "logout", "checkAuthentication", "importcompare")
    assert not [method for method in asked.methods if not method.endswith(harmless)]


def test_new_group() -> None:
    """A group that is missing is created before the hosts."""
    groups: list[dict[str, str]] = []

    def create(params: dict[str, str]) -> dict[str, list[str]]:
        groups.append({"groupid": "5", **params})
        return {"groupids": ["5"]}

    answers = {"hostgroup.get": lambda _: groups, "hostgroup.create": create}
    asked, answer = ask(answers, *ACTIVE, "--group", "Web")
    assert answer.stdout.decode().splitlines()[1] == "created group Web"
    assert parameters(asked, "host.create")[0]["groups"] == [{"groupid": "5"}]


def test_refused_host() -> None:
    """A host that the server refuses is told, the others are done, and the call has failed."""
    words = ValueError('Host "web"\nhas an item "sockets.get".')
    asked, answer = ask({"host.massadd": words}, *ACTIVE)
    assert answer.returncode == 1
    assert CREATED in answer.stdout.decode()
    assert LINKED not in answer.stdout.decode()
    note, message = answer.stderr.decode().splitlines()
    assert note.startswith("note: can't link host web to template Sockets by Zabbix agent active:")
    assert note.endswith('Host "web" has an item "sockets.get".')
    assert message == "zabbix-sockets: 1 of 2 hosts not done: web"
    assert asked.methods[-1] == "user.logout"


def test_refused_import() -> None:
    """An import that the server refuses ends the call, with its words; no host is touched."""
    words = ValueError("No permissions to call")
    asked, answer = ask(
        {"configuration.importcompare": NEW, "configuration.import": words}, *ACTIVE
    )
    assert answer.returncode == 1
    assert answer.stdout == b""
    message, hint = answer.stderr.decode().splitlines()
    desired = "zabbix-sockets: can't create template Sockets by Zabbix agent active: No permissions"
    assert message.startswith(desired)
    assert "docs/provision.md" in hint
    assert not {"host.create", "host.massadd"} & set(asked.methods)


@pytest.mark.parametrize(
    ("answers", "arguments", "words"),
    [
        ({"proxy.get": []}, (*ACTIVE, "--proxy", "p1"), "no proxy p1"),
        ({}, ("--host", "web"), "host web: no agent interface"),
        (
            {"configuration.importcompare": {"groups": {"added": [{}]}}},
            (),
            "Templates/Applications",
        ),
        ({"hostgroup.get": []}, (*ACTIVE, "--group", "Web"), "host group Web"),
        ({"apiinfo.version": "5.0.0"}, (), "the server is Zabbix 5.0"),
        ({"apiinfo.version": "<html>"}, (), "its answer to apiinfo.version can't be understood"),
    ],
)
def test_nothing_is_changed(answers: Answers, arguments: tuple[str, ...], words: str) -> None:
    """What can't be done is found before the first change."""
    role = {"user.checkAuthentication": {"username": "me", "type": 2}}
    asked, answer = ask({**role, **answers}, *arguments)
    assert (answer.returncode, answer.stdout) == (1, b"")
    assert words in answer.stderr.decode().splitlines()[0]
    changes = ("create", "massadd", "import")
    assert not [method for method in asked.methods if method.endswith(changes)]


def test_too_old_server_learns_no_secret() -> None:
    """A server that is too old is refused before the login."""
    asked, _ = ask({"apiinfo.version": "5.0.0"})
    assert asked.methods == ["apiinfo.version"]


def test_no_api() -> None:
    """A page of HTML at the address is told in a line, with a hint."""
    with saying(b"<html>Zabbix</html>") as url:
        answer = provision(url)
    assert answer.returncode == 1
    message, hint = answer.stderr.decode().splitlines()
    assert message == f"zabbix-sockets: {url}: answers, but not in JSON"
    assert "frontend" in hint


def test_wrong_usage() -> None:
    """Wrong arguments have an exit code of their own; a secret among them is not repeated."""
    answer = provision(f"http://Admin:{SECRET[:6]}@127.0.0.1")
    assert answer.returncode == 2
    assert SECRET[:6].encode() not in answer.stderr
