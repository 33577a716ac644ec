"""A map of hosts that really talk: network namespaces, whose documents the command makes there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import netns
import pytest

from zabbix_sockets.service_map.labels import ARROW
from zabbix_sockets.service_map.zabbix_map import key_of

from . import templates
from .alarms.replay import KEY, settle
from .programs import wait_for
from .provisioning import Answer
from .servers import Server
from .shop import Draftsman

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

TALKER = Path(__file__).with_name("talker.py")


class Talker(NamedTuple):
    """A host: its number on the network, process, port, and the numbers and ports of its ends."""

    number: int
    process: str
    port: int
    ends: tuple[tuple[int, int], ...] = ()


HOSTS = {
    "map-front": Talker(1, "frontend", 8080, ((2, 9000), (2, 9000), (9, 443))),
    "map-app": Talker(2, "application", 9000, ((3, 5432),)),
    "map-db": Talker(3, "database", 5432),
}
FRONT, BACK = GROUPS = ("map front", "map back")
ASKED = ("--group", FRONT, "--group", BACK)
OUTSIDE = Talker(9, "outside", 443)
"""It is on the network, and no host of the server."""


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """Namespaces with a process each, all on one bridge, that have connected to each other."""
    everybody = {**HOSTS, "map-outside": OUTSIDE}
    with ExitStack() as stack:
        stack.enter_context(netns.named(*everybody))
        netns.ip("link", "add", "map-bridge", "type", "bridge")
        stack.callback(netns.ip, "link", "del", "map-bridge")
        netns.ip("link", "set", "map-bridge", "up")
        for name, talker in everybody.items():
            end = f"map-{talker.number}"
            netns.ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
            netns.ip("link", "set", end, "master", "map-bridge", "up")
            address = f"10.77.0.{talker.number}/24"
            netns.ip("-n", name, "address", "add", address, "dev", "eth0")
            netns.ip("-n", name, "link", "set", "eth0", "up")
        said = [stack.enter_context(started(name, each)) for name, each in everybody.items()]
        for program in said:
            assert program.stdout
            assert [program.stdout.readline() for _ in range(2)] == ["listening\n", "connected\n"]
        yield


def started(name: str, talker: Talker) -> subprocess.Popen[str]:
    """Start a host's process, which ends when its standard input does."""
    ends = [f"10.77.0.{number}:{port}" for number, port in talker.ends]
    command = [sys.executable, "-I", str(TALKER), talker.process, str(talker.port), *ends]
    return subprocess.Popen(
        ["ip", "netns", "exec", name, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def document_of(name: str) -> dict[str, Any]:
    """Return the document of a host, as the command makes it there."""
    command = [sys.executable, "-I", "-m", "zabbix_sockets", "get", "--netns", "own"]
    done = subprocess.run(
        ["ip", "netns", "exec", name, *command, "--source", "sock_diag", "--timeout", "60"],
        capture_output=True,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def tell(server: Server) -> None:
    """Push a document of each host."""
    for name in HOSTS:
        text = json.dumps(document_of(name), separators=(",", ":"))
        assert server.send([(name, KEY, text)]) == (1, 0)
    settle(server)
    server.reload()


class Drawn(NamedTuple):
    """The map of a server's hosts, before and after what it shows was discovered.

    Attributes:
        draftsman: who draws it.
        hosts: the ids of hosts by name.
        answers: of the first drawing, of one that has upstreams discovered, and of one after that.
        dated: the lines of the second one.
    """

    draftsman: Draftsman
    hosts: dict[str, str]
    answers: list[Answer]
    dated: set[tuple[str, str, str]]


@pytest.fixture(scope="module")
def drawn(
    network: None,  # noqa: ARG001
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Drawn]:
    """The map of the hosts, which have told a server of themselves."""
    template = templates.template(server, "trapper")
    groups = {name: server.api.hostgroup.create(name=name)["groupids"][0] for name in GROUPS}
    hosts = {
        name: server.api.host.create(
            host=name,
            groups=[{"groupid": groups[FRONT if name == "map-front" else BACK]}],
            templates=[{"templateid": template}],
            macros=[{"macro": "{$SOCKETS.LLD.HEARTBEAT}", "value": "1s"}],
        )["hostids"][0]
        for name in HOSTS
    }
    server.reload()
    tell(server)
    draftsman = Draftsman(server, tmp_path_factory.mktemp("map"))
    answers = [draftsman.draw("Talkers", *ASKED), draftsman.draw("Talkers", *ASKED, "--discover")]
    dated = lines_of(draftsman, "Talkers")
    server.reload()
    for _ in range(2):  # the first is for discovery
        tell(server)
    answers.append(draftsman.draw("Talkers", *ASKED, "--discover"))
    yield Drawn(draftsman, hosts, answers, dated)
    server.api.map.delete(
        *(
            each["sysmapid"]
            for each in server.api.map.get(output=["sysmapid", "name"])
            if each["name"].startswith(("Talkers", "Grouped"))
        )
    )
    server.api.host.delete(*hosts.values())
    server.api.hostgroup.delete(*groups.values())


def lines_of(draftsman: Draftsman, name: str) -> set[tuple[str, str, str]]:
    """Return the lines of a map: the names of their elements, sorted, and their labels."""
    found = draftsman.map(name)
    names = {each["selementid"]: each["label"] for each in found["selements"]}
    return {
        (*sorted((names[each["selementid1"]], names[each["selementid2"]])), each["label"])
        for each in found["links"]
    }


def figure(host: str, row: str) -> str:
    """Return what a label has for the connections of an upstream's row."""
    return f'{{?last(/{host}/sockets.upstream.established["{row}"])}}'


def test_hosts_that_talk(drawn: Drawn) -> None:
    """The map has exactly these hosts, the end outside, and a line for each two that talk."""
    assert drawn.answers[0].out == ["created map Talkers (elements: 4 added; lines: 3 added)"]
    assert [(answer.status, answer.err) for answer in drawn.answers] == [(0, [])] * 3
    found = drawn.draftsman.map("Talkers")
    assert sorted(each["label"] for each in found["selements"]) == ["10.77.0.9", *sorted(HOSTS)]
    assert sorted(map(key_of, found["selements"])) == sorted(
        ["end/10.77.0.9", *(f"host/{hostid}" for hostid in drawn.hosts.values())]
    )


def test_figures_of_the_drawing(drawn: Drawn) -> None:
    """Before its upstreams are discovered, a line has the figure of the drawing, and its moment."""
    told = {(*each[:2], each[2].partition("\nas of ")[0]) for each in drawn.dated}
    assert told == {
        ("10.77.0.9", "map-front", f"frontend {ARROW} port 443: 1"),
        ("map-app", "map-front", f"frontend {ARROW} application: 2"),
        ("map-app", "map-db", f"application {ARROW} database: 1"),
    }
    assert all("\nas of " in each[2] for each in drawn.dated)


def test_discover(drawn: Drawn) -> None:
    """What lines show is discovered, and nothing else; then their figures are live."""
    cost = "about 48 more items, 0.1 MB of the server's CacheSize"
    assert drawn.answers[1].out == [
        f"discovering 3 upstreams of 2 hosts: {cost}",
        "unchanged: map Talkers",
    ]
    assert drawn.answers[2].out == ["updated map Talkers (lines: 3 updated)"]
    outside = figure("map-front", "frontend>tcp/10.77.0.9:443")
    application = figure("map-front", "frontend>tcp/10.77.0.2:9000")
    database = figure("map-app", "application>tcp/10.77.0.3:5432")
    assert lines_of(drawn.draftsman, "Talkers") == {
        ("10.77.0.9", "map-front", f"frontend {ARROW} port 443: {outside}"),
        ("map-app", "map-front", f"frontend {ARROW} application: {application}"),
        ("map-app", "map-db", f"application {ARROW} database: {database}"),
    }
    values = drawn.draftsman.server.last_values(drawn.hosts["map-front"])
    assert values['sockets.upstream.established["frontend>tcp/10.77.0.2:9000"]'] == "2"
    again = drawn.draftsman.draw("Talkers", *ASKED, "--discover")
    assert (again.status, again.out, again.err) == (0, ["unchanged: map Talkers"], [])


@pytest.mark.short_form
def test_sums(drawn: Drawn) -> None:
    """Groups have a submap each; between them the connections are summed by items of a host."""
    draftsman, server = drawn.draftsman, drawn.draftsman.server
    asked = (*ASKED, "--by", "group", "--host-for-sums", "map-db")
    answer = draftsman.draw("Grouped", *asked)
    assert (answer.status, answer.err) == (0, [])
    assert answer.out == [
        "changed items of sums (2 created)",
        f"created map Grouped / {BACK} (elements: 3 added; lines: 2 added)",
        f"created map Grouped / {FRONT} (elements: 3 added; lines: 2 added)",
        "created map Grouped (elements: 3 added; lines: 2 added)",
    ]
    submaps = {
        each["label"]: each["elements"][0]["sysmapid"]
        for each in draftsman.map("Grouped")["selements"]
        if each["elementtype"] == "1"
    }
    assert submaps == {name: draftsman.map(f"Grouped / {name}")["sysmapid"] for name in GROUPS}
    sums = {
        item["key_"]: item["itemid"]
        for item in server.items(drawn.hosts["map-db"])
        if item["key_"].startswith("sockets.map.sum[")
    }
    server.reload()
    server.run_now(list(sums.values()))

    def values() -> dict[str, str]:
        found = server.last_values(drawn.hosts["map-db"])
        return {key: found[key] for key in sums if key in found}

    wait_for(lambda: len(values()) == len(sums), values)
    labels = {
        each[:2]: values()[re.findall(r"\{\?last\(/map-db/(.*)\)\} connections", each[2])[0]]
        for each in lines_of(draftsman, "Grouped")
    }
    assert labels == {("10.77.0.9", FRONT): "1", (BACK, FRONT): "2"}
    again = draftsman.draw("Grouped", *asked)
    assert (again.status, again.err) == (0, [])
    assert {line.partition(":")[0] for line in again.out} == {"unchanged"}


def test_focus(drawn: Drawn) -> None:
    """One host's surroundings are those that it has lines with, and no others."""
    answer = drawn.draftsman.draw(
        "Talkers", *ASKED, "--focus", "map-db", "--hops", "1", "--format", "json"
    )
    found = json.loads("\n".join(answer.out))
    assert [each["hosts"] for each in found["elements"]] == [["map-app"], ["map-db"]]
    assert len(found["lines"]) == 1
