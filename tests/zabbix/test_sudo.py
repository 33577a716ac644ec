"""The sudo variant: what its rule allows, and that it allows nothing else."""

import re
import subprocess

import pytest

from .agents import Agent
from .processes import TCP, Holder, denied_to_root
from .stage import HOME, SUDOERS, Stage, as_zabbix

pytestmark = pytest.mark.zabbix

PYTHON = f"{HOME}/bin/python3"


def sudo(stage: Stage, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run as user zabbix what a UserParameter might, with the rule in force."""
    command = stage.inside(as_zabbix(["sudo", "-n", *arguments]), sudoers=True)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_rule_is_valid(sudo_stage: Stage) -> None:
    """Visudo accepts the packaged file, its owner and its mode among this machine's own."""
    command = sudo_stage.inside(["visudo", "-c"], sudoers=True)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"{SUDOERS}/zabbix-sockets: parsed OK" in result.stdout


def test_rule_has_whole_commands(sudo_stage: Stage) -> None:
    """No wildcard, no pattern, no exception: a line's meaning is its text."""
    text = (sudo_stage.conf / "sudoers.d/zabbix-sockets").read_text()
    rule = re.sub(r"#.*", "", text)
    assert PYTHON in rule
    assert not re.search(r"[*?!^$\[\]]", rule)


@pytest.mark.parametrize(
    "key", ["sockets.get", "sockets.get[]", "sockets.get[process]", "sockets.get[,own]"]
)
def test_nothing_is_denied_that_root_may_see(sudo_agent: Agent, others: Holder, key: str) -> None:
    """Each spelling of the master key shows root's processes."""
    document = sudo_agent.ask_json(key)
    iterated = document["collector"]["source"] == "bpf"  # root loads the iterators by itself
    assert document["collector"]["denied_processes"] == (0 if iterated else denied_to_root())
    (process,) = [row for row in document["processes"] if row["name"] == others.name]
    assert {state: process["tcp"][state] for state in TCP} == TCP


@pytest.mark.parametrize("kind_of_row", ["processes", "listeners", "upstreams"])
def test_discovery(sudo_agent: Agent, others: Holder, kind_of_row: str) -> None:
    """Each list is discovered, root's process in it."""
    rows = sudo_agent.ask_json(f"sockets.discovery[{kind_of_row}]")
    assert others.name in {row["{#PROCESS}"] for row in rows}


@pytest.mark.parametrize(
    "key",
    [
        "sockets.get[pod]",
        "sockets.get[--help]",
        "sockets.get[process,web]",
        'sockets.get["process own"]',
        'sockets.get["process process"]',
        "sockets.discovery",
        "sockets.discovery[nonsense]",
    ],
)
def test_refusal_is_an_error(sudo_agent: Agent, key: str) -> None:
    """What sudo refuses gives a line that a master item's first step understands."""
    assert set(sudo_agent.ask_json(key)) == {"error"}


def test_count_is_without_sudo(sudo_agent: Agent, own: Holder, others: Holder) -> None:
    """Free arguments never go through sudo, so root's processes stay closed to it."""
    assert sudo_agent.ask(f'sockets.count["{own.name}",tcp,listen]') == "2"
    assert set(sudo_agent.ask_json(f"sockets.count[{others.name}]")) == {"error"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["/bin/sh"],
        ["/usr/bin/python3", "-c", "pass"],
        [PYTHON],
        [PYTHON, "-c", "pass"],
        [PYTHON, "-m", "zabbix_sockets", "get", "--", "process"],
        [PYTHON, "-I", "-m", "http.server"],
        [PYTHON, "-I", "-m", "zabbix_sockets"],
        [PYTHON, "-I", "-m", "zabbix_sockets", "get"],
        [PYTHON, "-I", "-m", "zabbix_sockets", "get", "--", "process", "more"],
        [PYTHON, "-I", "-m", "zabbix_sockets", "--source=procfs", "get", "--", "process"],
        [PYTHON, "-I", "-m", "zabbix_sockets", "count", "--", "sshd"],
        [PYTHON, "-I", "-m", "zabbix_sockets", "discover", "--", "nonsense"],
        ["-u", "daemon", PYTHON, "-I", "-m", "zabbix_sockets", "get", "--", "process"],
        ["PYTHONPATH=/tmp", PYTHON, "-I", "-m", "zabbix_sockets", "get", "--", "process"],
    ],
    ids=" ".join,
)
def test_sudo_refuses_anything_else(sudo_stage: Stage, arguments: list[str]) -> None:
    """One argument more, less or different, another user or environment: no."""
    result = sudo(sudo_stage, arguments)
    assert result.returncode == 1
    assert not result.stdout
    assert re.search(r"a password is required|not allowed", result.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-I -m zabbix_sockets get -- process"],
        ["-I -m", "zabbix_sockets get -- process"],
        ["-I", "-m zabbix_sockets", "get -- process"],
        ["-I", "-m", "zabbix_sockets get", "-- process"],
        ["-I", "-m", "zabbix_sockets", "get --", "process"],
        ["-I", "-m", "zabbix_sockets", "get", "-- process"],
    ],
    ids="|".join,
)
def test_other_divisions_of_the_words_do_nothing(sudo_stage: Stage, arguments: list[str]) -> None:
    """To sudo the joined arguments are the same, so Python and the program must refuse them."""
    result = sudo(sudo_stage, [PYTHON, *arguments])
    assert result.returncode != 0
    assert "password" not in result.stderr
    assert '"processes"' not in result.stdout
