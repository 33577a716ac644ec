"""What an agent answers that runs as its package has it: user zabbix, no privilege."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .agents import HOSTILE_ENVIRONMENT, KINDS, Agent, Agents, Way
from .processes import TCP, UDP, Holder, denied_to_root
from .stage import Stage

pytestmark = pytest.mark.zabbix

GET_KEYS = ["sockets.get", "sockets.get[]", "sockets.get[process]"]

MACROS = {
    "processes": {"{#ID}", "{#PROCESS}", "{#SETTLED}", "{#NETNS}", "{#ADMITTED}"},
    "listeners": {
        "{#ID}",
        "{#PROTOCOL}",
        "{#ADDRESS}",
        "{#PORT}",
        "{#NETNS}",
        "{#EPHEMERAL}",
        "{#PROCESS}",
        "{#ADMITTED}",
    },
    "upstreams": {
        "{#ID}",
        "{#PROCESS}",
        "{#PROTOCOL}",
        "{#ADDRESS}",
        "{#PORT}",
        "{#NETNS}",
        "{#ADMITTED}",
    },
}


def row(rows: list[dict[str, Any]], identity: str, key: str = "id") -> dict[str, Any]:
    """Return the one row with that identity."""
    (found,) = [row for row in rows if row[key] == identity]
    return found


@pytest.mark.parametrize("key", GET_KEYS)
def test_document_counts_what_a_process_holds(agent: Agent, own: Holder, key: str) -> None:
    """Each spelling of the master key gives the numbers that the process really has."""
    process = row(agent.ask_json(key)["processes"], own.name)
    assert {state: process["tcp"][state] for state in TCP} == TCP
    assert process["udp"] == UDP
    assert process["sockets"] == 10
    assert process["instances"] == 1


@pytest.mark.parametrize("grouping", ["unit", "container"])
def test_groups_without_privilege(agent: Agent, own: Holder, others: Holder, grouping: str) -> None:
    """Units and containers have the sockets of processes that may not be inspected, too."""
    if " cgroup2 " not in Path("/proc/mounts").read_text("utf-8"):
        pytest.skip("no cgroup v2 here")
    document = agent.ask_json(f"sockets.get[{grouping}]")
    collector = document["collector"]
    assert (collector["grouping"], collector["ownership"]) == (grouping, "cgroups")
    assert collector["denied_processes"] == 0
    listeners = {listener["id"]: listener for listener in document["listeners"]}
    for holder in (own, others):
        assert listeners[f"tcp/127.0.0.1:{holder.busy}"]["process"]
    assert sum(group["sockets"] for group in document["processes"]) >= 20


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """The port of a listener in another network namespace."""
    work = (
        "import socket, time; server = socket.create_server(('0.0.0.0', 0));"
        " print(server.getsockname()[1], flush=True); time.sleep(600)"
    )
    command = ["unshare", "--net", sys.executable, "-c", work]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize(
    ("parameters", "is_seen"),
    [("process,own", False), (",own", False), ("process,", True), (",all", True), (",", True)],
)
def test_network_namespace(
    agent: Agent, own: Holder, elsewhere: int, parameters: str, is_seen: bool
) -> None:
    """The second parameter asks for the own one alone; left out or empty it is all of them."""
    document = agent.ask_json(f"sockets.get[{parameters}]")
    assert row(document["processes"], own.name)["sockets"] == 10
    others = {each.get("port") for each in document["listeners"] if each.get("netns")}
    assert (elsewhere in others) == is_seen


def test_users(agent: Agent, own: Holder) -> None:
    """By user: the agent's own processes are its user's."""
    document = agent.ask_json("sockets.get[user]")
    assert document["collector"]["ownership"] == "descriptors"
    assert row(document["processes"], "zabbix")["sockets"] >= 10
    assert row(document["listeners"], f"tcp/127.0.0.1:{own.busy}")["process"] == "zabbix"


def test_document_is_of_now(agent: Agent) -> None:
    """The time is the moment of asking, not of an answer kept from before."""
    before = time.time()
    document = agent.ask_json("sockets.get")
    assert int(before) <= document["time"] <= time.time()


def test_document_has_listeners_and_upstreams(agent: Agent, own: Holder) -> None:
    """A waiting connection is in its listener's queue, connections are at their upstream."""
    document = agent.ask_json("sockets.get")
    listener = row(document["listeners"], f"tcp/127.0.0.1:{own.busy}")
    assert (listener["process"], listener["port"]) == (own.name, own.busy)
    assert (listener["accept_queue"], listener["backlog"]) == (1, 8)
    upstream = row(document["upstreams"], f"{own.name}>tcp/127.0.0.1:{own.busy}")
    assert (upstream["established"], upstream["close_wait"]) == (3, 1)


def test_denied_processes_are_counted(agent: Agent, others: Holder) -> None:
    """What the agent may not see makes the answer incomplete and is no row of zeros."""
    document = agent.ask_json("sockets.get")
    assert document["collector"]["denied_processes"] > denied_to_root()
    assert document["complete"] == 0
    assert document["lists"]["processes"] == 0
    names = {process["name"] for process in document["processes"]}
    assert names.isdisjoint({others.name, "(absent)"})


def test_sockets_of_denied_processes_are_seen(agent: Agent, others: Holder) -> None:
    """A listener has its row without privilege too; only its owner is unknown."""
    document = agent.ask_json("sockets.get")
    listener = row(document["listeners"], f"tcp/127.0.0.1:{others.busy}")
    assert listener["accept_queue"] == 1
    assert not listener.get("process")
    assert document["collector"]["unowned"] >= 10


@pytest.mark.parametrize(
    ("parameters", "number"),
    [
        ("tcp,listen", "2"),
        ("tcp,established", "5"),
        ("tcp,close_wait", "1"),
        ("tcp,syn_sent", "0"),
        ("tcp", "8"),
        ("udp,bound", "1"),
        ("udp", "2"),
        (",", "10"),
    ],
)
def test_count(agent: Agent, own: Holder, parameters: str, number: str) -> None:
    """The number of one process, by protocol and state or without; its zeros are measured."""
    assert agent.ask(f'sockets.count["{own.name}",{parameters}]') == number


@pytest.mark.parametrize("parameters", ["", ",tcp", ",tcp,listen", ",udp,bound"])
def test_count_of_a_denied_process_is_an_error(
    agent: Agent, others: Holder, parameters: str
) -> None:
    """0 would be a lie."""
    answer = agent.ask_json(f"sockets.count[{others.name}{parameters}]")
    assert set(answer) == {"error"}


def test_count_of_an_unknown_name(agent: Agent) -> None:
    """Names can be read without privilege, so that nobody has this one is known."""
    assert agent.ask("sockets.count[nobody-has-it,tcp]") == "0"


@pytest.mark.parametrize("kind_of_row", MACROS)
def test_discovery(agent: Agent, own: Holder, kind_of_row: str) -> None:
    """Each list is an array whose rows have the contract's macros, the process among them.

    Unix sockets have no port.
    """
    identity = {
        "processes": own.name,
        "listeners": f"tcp/127.0.0.1:{own.busy}",
        "upstreams": f"{own.name}>tcp/127.0.0.1:{own.busy}",
    }
    rows = agent.ask_json(f"sockets.discovery[{kind_of_row}]")
    assert isinstance(rows, list)
    for found in rows:
        lacked = {"{#PORT}"} if found.get("{#PROTOCOL}") == "unix" else set()
        assert set(found) == MACROS[kind_of_row] - lacked
    assert row(rows, identity[kind_of_row], "{#ID}")["{#PROCESS}"] == own.name
    assert "(absent)" not in {found["{#ID}"] for found in rows}


@pytest.mark.parametrize(
    "key",
    [
        "sockets.get[nonsense]",
        "sockets.get[process,nonsense]",
        "sockets.discovery",
        "sockets.discovery[]",
        "sockets.discovery[nonsense]",
        "sockets.count",
        "sockets.count[]",
        "sockets.count[,tcp,listen]",
        "sockets.count[name,nonsense]",
        "sockets.count[name,tcp,nonsense]",
        "sockets.count[name,udp,close_wait]",
    ],
)
def test_wrong_parameters_give_an_error(agent: Agent, key: str) -> None:
    """A mistake is one line that a master item's first step understands."""
    answer = agent.ask_json(key)
    assert set(answer) == {"error"}
    assert answer["error"]


def test_environment_would_be_noisy(stage: Stage) -> None:
    """The agents' environment does spoil stderr, but for the -I of every key."""
    python = stage.root / "opt/zabbix-sockets/bin/python3"
    result = subprocess.run(
        [python, "-c", ""], env=HOSTILE_ENVIRONMENT, capture_output=True, check=False
    )
    assert result.stderr


def shape(value: Any) -> Any:
    """Return the names in *value*, without what is in lists."""
    return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else None


def test_all_agents_give_the_same_document(agents: Agents, own: Holder) -> None:
    """No agent and no version changes, cuts or adds to what the program printed."""
    shapes = []
    for kind in KINDS:
        document = agents.get(kind, Way.UNPRIVILEGED).ask_json("sockets.get")
        rows = [row(document["processes"], own.name)]
        rows += [row(document["listeners"], f"tcp/127.0.0.1:{own.busy}")]
        rows += [row(document["upstreams"], f"{own.name}>tcp/127.0.0.1:{own.busy}")]
        shapes.append([shape(document), *map(shape, rows)])
    assert shapes == [shapes[0]] * len(KINDS)
    assert set(shapes[0][0]) == {
        "version",
        "time",
        "complete",
        "lists",
        "collector",
        "host",
        "processes",
        "listeners",
        "upstreams",
        "other",
        "map",
    }


def test_agent_runs_as_zabbix(agent: Agent) -> None:
    """These answers are an unprivileged user's, not root's."""
    assert os.stat(f"/proc/{agent.process.pid}").st_uid == agent.log.parent.stat().st_uid != 0
