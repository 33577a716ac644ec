"""The API, asked over HTTP: what is sent, and what each answer and failure becomes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.api import Api, connected
from zabbix_sockets.provision.credentials import Login, Token
from zabbix_sockets.provision.failures import RefusedError
from zabbix_sockets.provision.frontend import parse_frontend

from .frontends import Frontend, frontend

TOKEN = Token("0123456789abcdef" * 4)
LOGIN = Login("Admin", "s3cret")


@contextmanager
def logged_in(asked: Frontend, credentials: Token | Login = LOGIN) -> Iterator[Api]:
    """Log in at a frontend, for a while."""
    with connected(parse_frontend(asked.url), 5, None) as api:
        api.login(credentials)
        yield api


@pytest.mark.parametrize("version", ["6.0.14", "7.0.9"])
def test_token(version: str) -> None:
    """A token goes where its version wants it; no session begins, and so none is ended."""
    with frontend({"apiinfo.version": version, "host.get": []}) as asked:
        with logged_in(asked, TOKEN) as api:
            assert api.call("host.get", output=["hostid"]) == []
            assert f"{api.version[0]}.{api.version[1]}" == version[:3]
        assert not {"user.login", "user.logout"} & set(asked.methods)
        last = asked.requests[-1]
    assert last.params == {"output": ["hostid"]}
    assert last.authorization == (f"Bearer {TOKEN.token}" if version[0] == "7" else None)


def test_password() -> None:
    """A session that a password began is ended."""
    with frontend({}) as asked:
        with logged_in(asked):
            pass
        assert asked.requests[-1].authorization == "Bearer a-session"
    assert asked.methods[-3:] == ["user.login", "user.checkAuthentication", "user.logout"]


@pytest.mark.parametrize("failure", [SocketsError, RuntimeError, KeyboardInterrupt])
def test_logout_after_failure(failure: type[BaseException]) -> None:
    """Whatever happens, the session is ended, and the failure stays what it was."""
    with frontend({"user.logout": ValueError("no")}) as asked:
        with pytest.raises(failure), logged_in(asked):
            raise failure("x")
        assert asked.methods[-1] == "user.logout"


@pytest.mark.parametrize(("role", "may_all"), [(2, False), (3, True)])
def test_roles(role: int, may_all: bool) -> None:
    """Only a Super admin may do all."""
    with (
        frontend({"user.checkAuthentication": {"username": "me", "type": role}}) as asked,
        logged_in(asked) as api,
    ):
        assert api.is_super_admin is may_all


@pytest.mark.parametrize("credentials", [TOKEN, LOGIN])
def test_role_of_a_user(credentials: Token | Login) -> None:
    """A role of type User can't do anything here; a session is ended all the same."""
    with frontend({"user.checkAuthentication": {"username": "me\n", "type": "1"}}) as asked:
        with (
            pytest.raises(RefusedError, match="user me has a role of type User") as caught,
            logged_in(asked, credentials),
        ):
            pytest.fail("it may not")
        assert ("user.logout" in asked.methods) is (credentials == LOGIN)
    assert "Admin or Super admin" in caught.value.hint


def test_refusal() -> None:
    """The server's words in one line; what it repeats of secrets is left out."""
    words = "Invalid\nparameter\x1b[31m: s3cret a-session"
    with (
        frontend({"host.get": ValueError(words)}) as asked,
        logged_in(asked) as api,
        pytest.raises(RefusedError) as caught,
    ):
        api.call("host.get")
    assert str(caught.value) == "Invalid parameter [31m: *** ***"


@pytest.mark.parametrize("credentials", [TOKEN, LOGIN])
def test_login_refused(credentials: Token | Login) -> None:
    """A wrong password or token is told as such; no session is ended that never was."""
    words = ValueError(f"Not authorised: s3cret {TOKEN.token}")
    with frontend({"user.login": words, "user.checkAuthentication": words}) as asked:
        with (
            pytest.raises(RefusedError, match=r"^login: Not authorised: ") as caught,
            logged_in(asked, credentials),
        ):
            pytest.fail("it is wrong")
        assert "user.logout" not in asked.methods
    secret = TOKEN.token if isinstance(credentials, Token) else "s3cret"
    assert secret not in str(caught.value)


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """No logger tells a password or token, however talkative the caller made them."""
    with caplog.at_level(logging.DEBUG), frontend({"host.get": []}) as asked:
        for credentials in (TOKEN, LOGIN):
            with logged_in(asked, credentials) as api:
                api.call("host.get")
    assert not [word for word in ("s3cret", "a-session", TOKEN.token) if word in caplog.text]


def test_no_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~/.netrc with an entry for the host doesn't replace the API's header."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with frontend({}) as asked:
        with logged_in(asked):
            pass
        assert asked.requests[-1].authorization == "Bearer a-session"
