"""`provision` on real servers: what it imports, and as whom."""

import socket
from pathlib import Path

import pytest

from .provisioning import (
    ADMIN_ROLE,
    AGENT,
    PASSWORD,
    SUPER_ADMIN_ROLE,
    TEMPLATES,
    USER_ROLE,
    Target,
    add_user,
    make_certificate,
    tls_before,
    unique,
)
from .stage import UnavailableError

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("6.0*")]

BY_AGENT = ("--template", "agent")
UNCHANGED = [f"unchanged: template {name}" for name in TEMPLATES]


def test_second_import_changes_nothing(target: Target) -> None:
    """All is there: the database stays as it is, to the last row of the audit log."""
    before = target.state()
    for arguments in ((), ("--delete-missing",), ("--dry-run",)):
        answer = target.provision(*arguments)
        assert (answer.status, answer.out, answer.err) == (0, UNCHANGED, [])
    assert target.state() == before


def test_changed_template_is_put_right(target: Target) -> None:
    """What somebody changed in a template is told by kind, and is as in the file afterwards."""
    (template,) = target.api.template.get(filter={"host": [AGENT]}, selectItems=["itemid", "delay"])
    polled = [item for item in template["items"] if item["delay"] not in ("0", "")]
    target.api.item.update(itemid=polled[0]["itemid"], delay="33m")
    (macro, *_) = target.api.usermacro.get(hostids=template["templateid"], output=["hostmacroid"])
    target.api.usermacro.update(hostmacroid=macro["hostmacroid"], value="other")
    changed = target.state()
    line = f"template {AGENT} (template: 1 updated; items: 1 updated)"
    assert target.provision(*BY_AGENT, "--dry-run").out == [f"would update {line}"]
    assert target.state() == changed
    assert target.provision(*BY_AGENT).out == [f"updated {line}"]
    assert target.provision().out == UNCHANGED
    (item,) = target.api.item.get(itemids=polled[0]["itemid"], output=["delay"])
    assert item["delay"] == polled[0]["delay"]


@pytest.mark.short_form
def test_missing_parts_come_back(target: Target) -> None:
    """What somebody deleted is added again."""
    (template,) = target.api.template.get(filter={"host": [AGENT]}, selectTriggers=["triggerid"])
    target.api.trigger.delete(template["triggers"][0]["triggerid"])
    (answer,) = target.provision(*BY_AGENT).out
    assert answer.startswith(f"updated template {AGENT} (")
    assert "triggers: 1 added" in answer
    assert target.provision().out == UNCHANGED


@pytest.mark.short_form
def test_delete_missing(target: Target) -> None:
    """What somebody added to a template stays, unless its deletion is asked for."""
    (template,) = target.api.template.get(filter={"host": [AGENT]})
    own = {"name": "own", "key_": "own", "type": 2, "value_type": 3}
    target.api.item.create(hostid=template["templateid"], **own)
    assert target.provision().out == UNCHANGED
    line = f"template {AGENT} (items: 1 removed)"
    arguments = (*BY_AGENT, "--delete-missing")
    assert target.provision(*arguments, "--dry-run").out == [f"would update {line}"]
    assert target.api.item.get(templateids=template["templateid"], filter={"key_": "own"})
    assert target.provision(*arguments).out == [f"updated {line}"]
    assert not target.api.item.get(templateids=template["templateid"], filter={"key_": "own"})


def test_password(target: Target) -> None:
    """A password works as a token does, and its session is ended, also after a failure."""
    for arguments in ((), ("--host", "no interface")):
        answer = target.provision(*BY_AGENT, *arguments, **target.admin.by_password)
        assert answer.status == bool(arguments)
    open_sessions = f"""select count(*) n from sessions s join users u on u.userid = s.userid
        where u.username = '{target.admin.name}' and s.status = 0"""
    assert target.server.sql(open_sessions) == [{"n": "0"}]


def test_secrets_in_files(target: Target, tmp_path: Path) -> None:
    """Files with the token, or the password, work on a frontend with its API's address."""
    path = tmp_path / "secret"
    path.touch(0o600)
    url = f"{target.server.url}/api_jsonrpc.php"
    path.write_text(f"{target.admin.token}\n")
    asked = (*BY_AGENT, "--token-file", str(path))
    assert target.provision(*asked, url=url, ZABBIX_TOKEN="0").out == UNCHANGED[:1]
    path.write_text(f"{PASSWORD}\n")
    login = (*BY_AGENT, "--user", target.admin.name, "--password-file", str(path))
    assert target.provision(*login, url=url, ZABBIX_TOKEN="0").out == UNCHANGED[:1]


@pytest.mark.parametrize("wrong", ["password", "token", "user"])
def test_wrong_secret(target: Target, wrong: str) -> None:
    """A wrong password, token or user is told in a line."""
    user = add_user(target.server, SUPER_ADMIN_ROLE)  # its own, for failures block it
    environment = {
        "password": {**user.by_password, "ZABBIX_PASSWORD": "wrong-Pa55word"},
        "token": {"ZABBIX_TOKEN": user.token[::-1]},
        "user": {**user.by_password, "ZABBIX_USER": "nobody here"},
    }[wrong]
    answer = target.provision(**environment)
    assert (answer.status, answer.out) == (1, [])
    assert answer.err[0].startswith("zabbix-sockets: login: ")
    assert len(answer.err) == 2


@pytest.mark.parametrize("login", ["by_token", "by_password"])
def test_role_without_rights(target: Target, login: str) -> None:
    """A user with a role of type User is refused by name."""
    user = add_user(target.server, USER_ROLE)
    answer = target.provision("--dry-run", **getattr(user, login))
    assert (answer.status, answer.out) == (1, [])
    assert answer.err[0].endswith(f"no permission: user {user.name} has a role of type User")
    assert "Admin or Super admin" in answer.err[1]


@pytest.mark.short_form
def test_admin_without_access(target: Target) -> None:
    """An Admin who can't see the templates' group is refused before anything is done."""
    user = add_user(target.server, ADMIN_ROLE)
    before = target.state()
    answer = target.provision(**user.by_token)
    assert (answer.status, answer.out) == (1, [])
    assert "can't see the template group Templates/Applications" in answer.err[0]
    assert target.state() == before


@pytest.mark.short_form
def test_admin_with_access(target: Target) -> None:
    """Read-write access to the two groups is all that an Admin needs, but for dashboards."""
    found = {}
    for kind, name in (("host", "Linux servers"), ("template", "Templates/Applications")):
        groups = (
            target.api.hostgroup if target.server.version == "6.0" else target.api[f"{kind}group"]
        )
        found[kind] = [{"permission": 3, "id": groups.get(filter={"name": [name]})[0]["groupid"]}]
    if target.server.version == "6.0":
        rights = {"rights": [*found["host"], *found["template"]]}
    else:
        rights = {f"{kind}group_rights": each for kind, each in found.items()}
    user = add_user(target.server, ADMIN_ROLE, **rights)
    (template,) = target.api.template.get(filter={"host": [AGENT]})
    target.api.template.update(templateid=template["templateid"], description="changed")
    host = unique("of an Admin")
    asked = (*BY_AGENT, "--host", host)
    answer = target.provision(*asked, "--interface", "127.0.0.1", **user.by_token)
    assert answer.status == 0
    assert len(answer.err) == 1
    assert f"note: template {AGENT}: its dashboard is left as it is" in answer.err[0]
    assert answer.out[0] == f"updated template {AGENT} (template: 1 updated)"
    assert answer.out[1].startswith(f"created host {host}: ")
    done = target.provision(*asked, **user.by_token)
    assert (done.out, done.err) == ([UNCHANGED[0], f"unchanged: host {host}"], [])


def test_certificate(target: Target, tmp_path: Path) -> None:
    """A certificate that nobody vouches for is refused, unless its own CA is named."""
    try:
        certificate, key = make_certificate(tmp_path)
    except UnavailableError as exc:
        pytest.skip(str(exc))
    (tmp_path / "other").mkdir()
    other, _ = make_certificate(tmp_path / "other")
    with tls_before(target.server, certificate, key) as url:
        trusted = target.provision(*BY_AGENT, "--ca-file", str(certificate), url=url)
        distrusted = target.provision(url=url)
        wrong = target.provision("--ca-file", str(other), url=url)
        named = url.replace("127.0.0.1", "localhost")
        other_name = target.provision("--ca-file", str(certificate), url=named)
    assert (trusted.status, len(trusted.out), trusted.err) == (0, 1, [])
    for answer in (distrusted, wrong, other_name):
        assert (answer.status, answer.out) == (1, [])
        assert "its certificate: " in answer.err[0]
        assert "--ca-file" in answer.err[1]
    assert "self-signed" in distrusted.err[0]
    assert "localhost" in other_name.err[0]


def test_wrong_address(target: Target) -> None:
    """Pages of the frontend that are no API, and none at all, are told in a line."""
    for path, words in (("/index.php", "not in JSON"), ("/nowhere", "HTTP 404")):
        answer = target.provision(url=target.server.url + path)
        assert (answer.status, answer.out) == (1, [])
        assert words in answer.err[0]


def test_silent_server(target: Target) -> None:
    """A server that accepts and never answers is given up after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        answer = target.provision("--timeout", "0.5", url=url)
    assert (answer.status, answer.out) == (1, [])
    assert "no answer within 0.5 s" in answer.err[0]
