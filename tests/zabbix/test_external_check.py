"""Items of type External check: a server or proxy asks its own machine, without an agent."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.host.own_files import with_command

from .processes import Holder
from .programs import wait_for
from .proxies import Proxy
from .servers import SCRIPTS, Server
from .stage import Stage

pytestmark = pytest.mark.zabbix

EXTERNAL, TEXT, NUMBER = 10, 4, 3


def install(stage: Stage, directory: Path) -> Path:
    """Put the script where the program of *directory* looks for it; return where it may write.

    The stage's own path is the command: no mount namespace is the server's alone.
    """
    scripts = directory / SCRIPTS
    scripts.mkdir(exist_ok=True)
    text = (Path(__file__).parents[2] / "conf/external_check/zabbix-sockets").read_text("utf-8")
    words = f"{stage.root}/opt/zabbix-sockets/bin/python3 -I -m zabbix_sockets"
    script = scripts / "zabbix-sockets"
    script.write_text(with_command(text, words))
    script.chmod(0o755)
    return directory


def ask(
    server: Server, reload: Callable[[], None], keys: Sequence[str], **host: Any
) -> dict[str, str]:
    """Return the values of items with these keys, of a new host without an agent."""
    created = server.create_host("external", agent=1, **host)
    try:
        interfaces: Any = server.api.hostinterface.get(hostids=created.hostid)
        for key in keys:
            server.api.item.create(
                name=key,
                key_=key,
                hostid=created.hostid,
                type=EXTERNAL,
                value_type=NUMBER if is_number(key) else TEXT,
                delay="1m",
                interfaceid=interfaces[0]["interfaceid"],
            )
        reload()
        server.run_now([each["itemid"] for each in server.items(created.hostid)])
        wait_for(
            lambda: set(server.last_values(created.hostid)) == set(keys),
            lambda: [
                (each["key_"], each["lastclock"], each["error"])
                for each in server.items(created.hostid)
            ],
        )
        return server.last_values(created.hostid)
    finally:
        server.disable_host(created)


def is_number(key: str) -> bool:
    """Whether the answer is a number: of a count whose parameters are right."""
    return key.startswith("zabbix-sockets[count,") and "evil" not in key


def hostile(marker: Path) -> list[str]:
    """Return keys whose parameters are meant to do something else; they would make *marker*."""
    parameters = [
        "",
        "--version",
        "send",
        "get --source procfs",
        "get,--help",
        "get,--timeout=60",
        "discovery,--help",
        "get,process,--debug",
        f'count,"evil$(touch {marker})",--help',
        f'count,"evil`touch {marker}`",tcp,no state',
        f'"count","evil\'; touch {marker}; \'",tcp,no state',
        f'"get; touch {marker}"',
        f'"get","\\"; touch {marker}"',
        "../zabbix-sockets",
    ]
    return [f"zabbix-sockets[{each}]" for each in parameters]


def check_answers(own: Holder, answers: dict[str, str], marker: Path) -> None:
    """Check that right keys are answered, and hostile ones with an error alone."""
    document = json.loads(answers["zabbix-sockets[get]"])
    assert own.name in {each["id"] for each in document["processes"]}
    assert json.loads(answers["zabbix-sockets[get,user]"])["collector"]["grouping"] == "user"
    found = json.loads(answers["zabbix-sockets[discovery,listeners]"])
    assert f"tcp/127.0.0.1:{own.busy}" in {each["{#ID}"] for each in found}
    assert answers[f'zabbix-sockets[count,"{own.name}",tcp]'] == "8"
    assert answers[f'zabbix-sockets[count,"{own.name}",tcp,listen]'] == "2"
    for key in hostile(marker):
        assert re.fullmatch(r'\{"error":".+"\}', answers[key]), (key, answers[key])
    assert not marker.exists()


def keys(own: Holder, marker: Path) -> list[str]:
    """Return the keys of all items."""
    right = ["get", "get,user", "discovery,listeners"]
    right += [f'count,"{own.name}",tcp', f'count,"{own.name}",tcp,listen']
    return [*(f"zabbix-sockets[{each}]" for each in right), *hostile(marker)]


@pytest.mark.short_form
def test_server(stage: Stage, server: Server, own: Holder) -> None:
    """A server of each version answers for its machine, as its own user."""
    marker = install(stage, server.directory) / "made"
    check_answers(own, ask(server, server.reload, keys(own, marker)), marker)


@pytest.mark.short_form("7.0")
def test_proxy(stage: Stage, proxy: Proxy, own: Holder) -> None:
    """So does a proxy."""
    marker = install(stage, proxy.directory) / "made"
    answers = ask(proxy.server, proxy.reload, keys(own, marker), **proxy.assignment)
    check_answers(own, answers, marker)
