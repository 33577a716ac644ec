"""Servers that give no answer of an API, each told in a line."""

from __future__ import annotations

import json
import socket
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.api import connected
from zabbix_sockets.provision.credentials import Login
from zabbix_sockets.provision.failures import UnreachableError
from zabbix_sockets.provision.frontend import parse_frontend

from .frontends import frontend, saying, serving

LOGIN = Login("Admin", "s3cret")


def ask(url: str, *, timeout: float = 5, ca_file: str | None = None) -> None:
    """Log in there and ask something."""
    with connected(parse_frontend(url), timeout, ca_file) as api:
        api.login(LOGIN)
        api.call("host.get")


@pytest.mark.parametrize(
    "body",
    [
        b"<html><title>Zabbix</title></html>",
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b"null",
        b"5",
        b"[]",
        b"{}",
        b'""',
        b'"error"',
        b'{"error": null}',
        b'{"error": 5}',
        b'{"error": []}',
        b'{"error": {}}',
        b'{"error": {"code": 1, "message": 5, "data": {"a": 1}}}',
        b'{"result": null}',
        b'{"result": 7}',
        b'{"result": "x.y.z"}',
        b'{"result": {"a": 1}}',
        b'{"result": "7"}',
    ],
)
def test_no_api(body: bytes) -> None:
    """Whatever answers and is no API is told in a line."""
    with saying(body) as url, pytest.raises(SocketsError) as caught:
        ask(url)
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(url) is isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize("result", [None, 7, "x", ["x"], [{}], {"a": 1}, [{"hostid": None}]])
def test_not_understood(result: object) -> None:
    """A result of another shape is told with the method."""
    with (
        frontend({"host.get": result}) as asked,
        connected(parse_frontend(asked.url), 5, None) as api,
        pytest.raises(SocketsError, match=r"its answer to host\.get can't be understood"),
    ):
        api.rows("host.get", lambda row: int(row["hostid"]))


@pytest.mark.parametrize(("status", "words"), [(404, "Not Found"), (403, "Forbidden"), (502, "")])
def test_status(status: int, words: str) -> None:
    """A status of the web server is told with its number."""
    with saying(b"s3cret", status) as url, pytest.raises(UnreachableError) as caught:
        ask(url)
    assert str(caught.value).startswith(f"{url}: HTTP {status} {words}")
    assert "frontend" in caught.value.hint


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect(status: int) -> None:
    """A redirect is told and not followed: the password is not for another place."""
    with (
        frontend({}) as other,
        saying(b"", status, Location=f"{other.url}/api_jsonrpc.php") as url,
        pytest.raises(UnreachableError, match=f"redirects to {other.url}"),
    ):
        ask(url)
    assert not other.requests


def test_refused_connection() -> None:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"^http://127.0.0.1:{port}: Connection refused$"):
        ask(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_of_the_environment(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that can't be reached is told to be in the way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv(f"{scheme}_proxy", f"http://me:s3cret@127.0.0.1:{port}")
    with pytest.raises(UnreachableError) as caught:
        ask(f"{scheme}://nowhere.invalid")
    desired = f"{scheme}://nowhere.invalid: Connection refused (by way of a proxy)"
    assert str(caught.value) == desired
    assert "no_proxy" in caught.value.hint


def test_authority_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of certificates that the environment names and isn't there is told."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(UnreachableError, match=r"invalid path: /nowhere/ca\.pem"):
        ask("https://127.0.0.1:1")


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "xn--0.invalid"])
def test_unknown_host(host: str) -> None:
    """A name that leads nowhere is an error of one line."""
    with pytest.raises((UnreachableError, ValueError)) as caught:
        ask(f"http://{host}")
    assert str(caught.value).isprintable()


def test_closed_connection() -> None:
    """A server that hangs up without a word."""

    def hang_up(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.close_connection = True

    with (
        serving(hang_up) as url,
        pytest.raises(UnreachableError, match="the server closed the connection"),
    ):
        ask(url)


def test_silence() -> None:
    """A server that takes the request and never answers."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(UnreachableError, match=r"no answer within 0\.3 s") as caught,
    ):
        ask(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=0.3)
    assert "--timeout" in caught.value.hint


def test_answer_in_drops() -> None:
    """A server that keeps the connection alive with a byte now and then is given up too."""

    def drip(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        try:
            for _ in range(600):
                handler.wfile.write(b" ")
                time.sleep(0.1)
        except OSError:
            pass  # it hung up

    begin = time.monotonic()
    with serving(drip) as url, pytest.raises(UnreachableError, match="no answer within"):
        ask(url, timeout=0.5)
    assert time.monotonic() - begin < 30


def test_logout_is_not_waited_for() -> None:
    """A server that is gone by the end has no say in what was done."""

    def vanish(_: Any) -> object:
        time.sleep(1)
        return ValueError("too late")

    with frontend({"user.logout": vanish}) as asked:
        with connected(parse_frontend(asked.url), 0.3, None) as api:
            api.login(LOGIN)
        assert asked.methods[-1] == "user.logout"


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff"])
def test_no_authority(tmp_path: Path, content: bytes | None) -> None:
    """A file of certificates that holds none is told before anything is sent."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SocketsError, match=r"ca\.pem: (No such file|holds no certificate)"):
        ask("https://nowhere.invalid", ca_file=str(path))


def test_no_tls_there() -> None:
    """A port that speaks plain http is told as such."""
    with saying(b"") as url, pytest.raises(UnreachableError, match=r"TLS|closed") as caught:
        ask(url.replace("http:", "https:"))
    assert caught.value.hint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ERRORS = st.fixed_dictionaries({}, optional={"code": JSON, "message": JSON, "data": JSON})


@given(JSON | st.fixed_dictionaries({"error": JSON | ERRORS}))
def test_any_json(answer: object) -> None:
    """Any JSON at all that is no API's is told in a line."""
    with saying(json.dumps(answer).encode()) as url, pytest.raises(SocketsError) as caught:
        ask(url)
    assert str(caught.value).isprintable()


def test_infinite_number() -> None:
    """A number that is none is another answer than the API's, too."""
    with (
        frontend({"host.get": [{"hostid": float("inf")}]}) as asked,
        connected(parse_frontend(asked.url), 5, None) as api,
        pytest.raises(UnreachableError, match=r"answer to host\.get can't be understood"),
    ):
        api.rows("host.get", lambda row: int(row["hostid"]))
