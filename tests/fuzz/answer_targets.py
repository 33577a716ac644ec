"""Targets: what others answer: zabbix_sender, agents, a server's API, and items of other hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import cache
from typing import Any
from unittest import mock

import requests

from zabbix_sockets.check.document import parsed
from zabbix_sockets.check.protocol import NotSupportedError, _value, decode
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.json_reading import read_by_standard_library, read_json
from zabbix_sockets.provision.api import Api
from zabbix_sockets.provision.credentials import Token
from zabbix_sockets.provision.frontend import Frontend
from zabbix_sockets.provision.interfaces import parse_interface
from zabbix_sockets.provision.inventory import read_inventory, read_linked
from zabbix_sockets.provision.options import DesiredState
from zabbix_sockets.provision.plan import make_plan
from zabbix_sockets.provision.templates import TEMPLATES, decode_differences
from zabbix_sockets.sending.transport import parse_answer
from zabbix_sockets.service_map.reading import (
    HostSelection,
    parse_top,
    read_hosts,
    read_icons,
    read_map,
    read_map_ids,
    read_row_items,
)
from zabbix_sockets.service_map.told import parse_told

from ..unit.provision.test_inventory import INTERFACE, ROW  # noqa: TID252
from ..unit.sending.test_transport import REFUSED, TAKEN  # noqa: TID252
from ..unit.service_map.test_reading import TOP  # noqa: TID252
from .target import Target, pieces


def sender(data: bytes) -> None:
    """Read what zabbix_sender says; it was given two values."""
    outcome = parse_answer(data.decode("utf-8", "replace"), 2, "silence")
    assert outcome.error.isprintable()
    assert outcome.error or outcome.processed + outcome.failed == 2


def agent(data: bytes) -> None:
    """Read an agent's answer, and the document in it."""
    content = data if data[:4] != b"ZBXD" else decode(data)
    with suppress(NotSupportedError):
        found = parsed(_value(content.decode("utf-8", "replace")))
        assert isinstance(found, (str, dict))


def _agent_seeds() -> Iterator[bytes]:
    document = b'{"collector": {"source": "bpf"}, "complete": 1}'
    for content in (document, b'{"error": "no"}', b"ZBX_NOTSUPPORTED\0Unknown key", b"[[[]]]"):
        yield content
        yield b"ZBXD\1" + len(content).to_bytes(8, "little") + content
    yield b"ZBXD\5" + len(document).to_bytes(16, "little") + document


class _Server:
    """What a server answers, instead of one: a result for each request, the last one for others."""

    def __init__(self) -> None:
        self.bodies = [b'"7.0.9"']

    def post(self, url: str, **_: object) -> requests.Response:
        """Return the next answer."""
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        is_whole = body[:1] == b"="
        body = body[1:] if is_whole else b'{"jsonrpc":"2.0","id":1,"result":' + body + b"}"
        response = requests.Response()
        response.status_code = 200
        response.url = url
        response.encoding = "utf-8"  # else a guess, which takes ten times as long as all the rest
        response._content = body
        return response


@cache
def _connection() -> tuple[Api, _Server]:
    """Return a connection with a server of 7.0, and what that answers from then on."""
    server = _Server()
    with mock.patch.object(
        requests.Session, "post", lambda _, url, **more: server.post(url, **more)
    ):
        connection = Api(Frontend("http://192.0.2.1", exposed=True), 100.0, None)
    setattr(connection._client.session, "post", server.post)  # noqa: B010  # it is a method
    return connection, server


_WANTED = DesiredState(
    (),
    TEMPLATES["agent"],
    ("web", "db"),
    "Linux servers",
    None,
    parse_interface("192.0.2.1:10050"),
)


def _planned(api: Api) -> None:
    make_plan(_WANTED, read_inventory(api, _WANTED))


_QUESTIONS: tuple[Callable[[Api], object], ...] = (
    _planned,
    lambda api: read_hosts(api, HostSelection(), _silent),
    lambda api: read_hosts(
        api, HostSelection(("A",), ("web",), (("a", None), ("b", "c"))), _silent
    ),
    lambda api: read_row_items(api, [("7", "nginx>tcp/192.0.2.5:443")], _silent),
    read_icons,
    lambda api: read_map_ids(api, ["m"]),
    lambda api: read_map(api, "7"),
    lambda api: read_linked(api, "web"),
    lambda api: api.login(Token("x")),
    lambda api: str(api.decoded("configuration.importcompare", decode_differences)),
)


def _silent(_what: str, _done: int, _of: int) -> None:
    """Say nothing of progress."""


def _without_alarm(_seconds: float, _error: Exception) -> nullcontext[None]:
    return nullcontext()


def api(data: bytes) -> None:
    """Ask a server what the first byte chooses; each line is an answer."""
    connection, server = _connection()
    first, *bodies = data[:1], *data[1:].split(b"\n")
    server.bodies = bodies or [b"[]"]
    # The alarm that ends an answer which never ends is the fuzzer's own.
    with mock.patch("zabbix_sockets.provision.api.interrupting", _without_alarm):
        _QUESTIONS[(first or b"\0")[0] % len(_QUESTIONS)](connection)


def _api_seeds() -> Iterator[bytes]:
    host: dict[str, Any] = {**ROW, "interfaces": [INTERFACE], "name": "Web", "inventory": []}
    host["macros"] = [{"macro": "{$A}", "value": "b", "type": "0"}]
    host["parentTemplates"] = [{"templateid": "5", "name": "Sockets by Zabbix agent", "host": "x"}]
    template = {"templateid": "5", "host": "Sockets by Zabbix agent", "parentTemplates": []}
    group = {"groupid": "2", "name": "A"}
    text = {
        "hostid": "7",
        "key_": "sockets.map.upstreams",
        "lastvalue": "upstream\tx\ttcp/1.2.3.4:5",
    }
    item = {
        "hostid": "7",
        "itemid": "9",
        "hosts": [{"host": "web"}],
        "key_": 'sockets.upstream.established["nginx>tcp/192.0.2.5:443"]',
        "triggers": [{"triggerid": "8", "description": "x", "status": "0"}],
    }
    image = {"imageid": "3", "name": "Cloud_(48)"}
    user = {"username": "Admin", "type": "3"}
    difference = {"templates": {"updated": [{"before": {"a": 1}, "after": {"a": 2}}]}}
    answers: tuple[tuple[Any, ...], ...] = (
        ([host], [host], [template], [], [group]),
        ([host], [text]),
        ([group], [host], [host], [host], [host], [host], [text]),
        ([item],),
        ([image],),
        ([{"sysmapid": "1", "name": "m"}],),
        ([{"sysmapid": "1", "selements": [], "links": []}],),
        ([{**host, "parentTemplates": [{"templateid": "5", "host": "x"}]}], [template]),
        (user,),
        (difference,),
    )
    for number, each in enumerate(answers):
        yield bytes([number]) + b"\n".join(json.dumps(answer).encode() for answer in each)
    yield b'\1={"error": {"code": -1, "message": "Invalid", "data": "No permissions"}, "id": 1}'
    yield b"\4=<html>"


def told(data: bytes) -> None:
    """Read what another host tells of itself in its items, for a map."""
    texts = [each.decode("utf-8", "replace") for each in pieces(data, 2)]
    found = parse_told(*texts)
    assert found.left_out >= 0
    for listener in found.listeners:
        assert 0 <= listener.end.port < 65536
    parse_top("7", texts[0], ["nginx>tcp/192.0.2.5:443", "my app>tcp/192.0.2.12:80"])


def _told_seeds() -> Iterator[bytes]:
    listeners = (
        "address\t192.0.2.1\taddress\naddress\t172.17.0.1/16\tbridge\naddress\t::1\tloopback\tweb\n"
        "listener\ttcp/0.0.0.0:443\tnginx\tshop/web\nlistener\tudp/[fe80::1%eth0]:53@web\tx\n"
        "left out\t12"
    )
    yield listeners.encode() + b"\xffupstream\tnginx\ttcp/192.0.2.5:5432\nleft out\t3"
    yield TOP.encode() + b"\xff"


def json_texts(data: bytes) -> None:
    """Read JSON by both readers: what one refuses the other one refuses."""
    found: list[object] = []
    for read in (read_json, read_by_standard_library):
        try:
            found.append(repr(read(data)))
        except (ValueError, RecursionError):
            found.append(None)
    assert found[0] is None or found[1] is not None or b"\\u" in data or len(data) > 1000


TARGETS = {
    "sender_answer": Target(
        sender,
        lambda: [TAKEN.encode() * 2, REFUSED.encode(), b"zabbix_sender [7]: ERROR: TLS\nsent: 1;"],
        (),
    ),
    "agent_answer": Target(agent, _agent_seeds, (ValueError,)),
    "api_answer": Target(api, _api_seeds, (SocketsError,), 6000),
    "told": Target(told, _told_seeds, ()),
    "json": Target(json_texts, lambda: [b'{"a": [1, 2.5e3, null, "\\u00e9"]}', b"[[[[]]]]"], ()),
}
