"""`provision map` at frontends that record what they are asked: what it prints and refuses."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.service_map.options import (
    DrawnOptions,
    MapOptions,
    UpkeepOptions,
    check_options,
    parse_alias,
    parse_tag,
)

from ..commands import COMMAND, Answer  # noqa: TID252  # a test folder is no installed package
from ..provision.frontends import Answers, Frontend, frontend  # noqa: TID252

USER = {"username": "viewer", "type": 1}
HOSTS = [
    {
        "hostid": str(number),
        "host": name,
        "name": name.upper(),
        "interfaces": [{"ip": f"192.0.2.{number}", "dns": "", "useip": "1"}],
        "inventory": [],
        "hostgroups": [{"name": "Shop"}],
    }
    for number, name in ((1, "web"), (2, "db"))
]
TEXTS = {
    "sockets.map.listeners": "address\t192.0.2.1",
    "sockets.map.upstreams": (
        "upstream\tnginx\ttcp/192.0.2.2:5432\nupstream\tnginx\ttcp/198.51.100.7:443"
    ),
}
ITEMS = [{"hostid": "1", "key_": key, "lastvalue": text} for key, text in TEXTS.items()]
SERVER: Answers = {
    "user.checkAuthentication": USER,
    "host.get": HOSTS,
    "hostgroup.get": [],
    "item.get": ITEMS,
}


def run(*arguments: str, **environment: str) -> Answer:
    """Run the command with a token, without a terminal."""
    done = subprocess.run(
        [*COMMAND, "provision", "map", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "ZABBIX_TOKEN": "abc", **environment},
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    return done


def ask(answers: Answers, *arguments: str) -> tuple[Frontend, Answer]:
    """Run the command at such a frontend, which its environment names."""
    with frontend({**SERVER, **answers}) as asked:
        return asked, run(*arguments, ZABBIX_URL=asked.url)


def said(answer: Answer) -> str:
    """Return the first line of the error."""
    assert answer.returncode, answer
    return answer.stderr.decode().splitlines()[0]


def test_json() -> None:
    """A user of any role gets the drawing; nothing is written to the server."""
    asked, answer = ask({}, "Shop", "--format", "json", "--alias", "198.51.100.0/24=Bank")
    assert (answer.returncode, answer.stderr) == (0, b"")
    found = json.loads(answer.stdout)
    assert [each["name"] for each in found["elements"]] == ["Bank", "WEB", "DB"]
    assert [(each["client"], each["server"]) for each in found["lines"]] == [
        ("host/1", "end/=Bank"),
        ("host/1", "host/2"),
    ]
    assert all(method.endswith((".get", ".version", "tion")) for method in asked.methods)


def test_dot() -> None:
    """For Graphviz."""
    _, answer = ask({}, "Shop", "--format", "dot", "--focus", "db", "--hops", "1")
    assert answer.stdout.decode().splitlines() == [
        "digraph {",
        "    rankdir=LR; node [shape=box];",
        '    "host/1" [label="WEB"];',
        '    "host/2" [label="DB"];',
        '    "host/1" -> "host/2" [label="nginx → port 5432"];',
        "}",
    ]


def test_aliases_of_the_file(tmp_path: Path) -> None:
    """The configuration file has some, which options replace; what is no address is refused."""
    path = tmp_path / "x.toml"
    path.write_text("[map.aliases]\n'198.51.100.7' = 'Bank'\n")
    asked = ("Shop", "--format", "dot", "--config", str(path))
    assert '"Bank"' in ask({}, *asked)[1].stdout.decode()
    _, answer = ask({}, *asked, "--alias", "198.51.100.7=Mine")
    assert '"Mine"' in answer.stdout.decode()
    path.write_text("[map.aliases]\n'198.51.100' = 'Bank'\n")
    assert "'198.51.100' is no address and no network" in said(ask({}, *asked)[1])


@pytest.mark.short_form("answers0*", "answers5*")
@pytest.mark.parametrize(
    ("answers", "arguments", "words"),
    [
        ({"item.get": []}, (), "none of 2 hosts that the API user may see has told of itself"),
        ({}, ("--group", "Nowhere"), "no host group Nowhere, as far as the API user may see"),
        ({"host.get": []}, ("--host", "web"), "no host web, as far as the API user may see"),
        ({}, ("--format", "dot", "--focus", "mail"), "no host mail on the map"),
        ({"item.get": [{"hostid": "1"}]}, (), "its answer to item.get can't be understood"),
        ({"host.get": PermissionError("No permissions")}, (), "No permissions"),
    ],
)
def test_one_clear_line(answers: dict[str, Any], arguments: tuple[str, ...], words: str) -> None:
    """What is missing is said in a line."""
    assert words in said(ask(answers, "Shop", *arguments)[1])


def test_which_server() -> None:
    """It is an option's or the environment's; a wrong one is told as such."""
    assert "which server?" in said(run("Shop"))
    assert "ZABBIX_URL: not a URL" in said(run("Shop", ZABBIX_URL="example"))


@pytest.mark.parametrize(
    "options",
    [
        MapOptions("x", drawn=DrawnOptions(hops=3)),
        MapOptions("x", format="dot", upkeep=UpkeepOptions(discover=True)),
        MapOptions("x", format="json", upkeep=UpkeepOptions(host_for_sums="a")),
    ],
)
def test_contradictions(options: MapOptions) -> None:
    """Options that are of no use together are refused."""
    with pytest.raises(UsageError):
        check_options(options)
    check_options(options._replace(format="map", drawn=DrawnOptions(focus="a")))


def test_values_of_options() -> None:
    """An alias is of an address or a network, a tag may have a value."""
    assert parse_alias("192.0.2.0/24=a = b ") == ("192.0.2.0/24", "a = b")
    assert parse_tag("class") == ("class", None)
    assert parse_tag("class=a=b") == ("class", "a=b")
    for text in ("192.0.2.1", "192.0.2.1=", "web=Name", "192.0.2.1/24=Name", "192.0.2.1=\x1b"):
        with pytest.raises(ValueError, match=r"."):
            parse_alias(text)
    with pytest.raises(ValueError, match="no name"):
        parse_tag("=a")
