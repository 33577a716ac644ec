"""No parameter that anybody can send through an agent becomes a command or an option."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from zabbix_sockets.model.names import as_parameter

from .agents import Agent
from .processes import HOSTILE, hold
from .stage import HOME, Stage, as_zabbix

pytestmark = pytest.mark.zabbix

KEYS = ["sockets.get", "sockets.discovery", "sockets.count"]

# Each leaves the quotes of "$1" and creates the file W.
TRICKS = [
    "$(touch W)",
    "`touch W`",
    '"; touch W; "',
    '" & touch W "',
    '" && touch W && "',
    '" | touch W "',
    '" > W "',
    '"\ntouch W\n"',
    "${x:-$(touch W)}",
    '\\\\"; touch W; "',
]

# What agents let through.
PARAMETERS = ["-h", "--help", "--version", "--source", "--timeout=0", "-", "--", "%s", "a b", "é"]

# The same as a process may be called: 15 bytes at most.
NAMES = ["--help", "-I", "--", "-", "%s%n %d", "a b,c:d=e", "--source=procfs", "^é.+"]


@pytest.fixture(scope="module")
def witness(stage: Stage) -> Iterator[Path]:
    """A file that user zabbix could create."""
    directory = stage.root / "witness"
    directory.mkdir()
    shutil.chown(directory, "zabbix")
    yield directory / "executed"
    shutil.rmtree(directory)


def in_key(text: str) -> str:
    """Quote *text* as a parameter of an item key."""
    return '"' + text.replace('"', '\\"') + '"'


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_work_on_a_careless_shell(witness: Path, trick: str) -> None:
    """Between plain quotes, with nobody who checks, every one of them is executed."""
    command = f'true -- "{trick.replace("W", str(witness))}"'
    subprocess.run(as_zabbix(["sh", "-c", command]), check=False, capture_output=True)
    witness.unlink()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_are_refused(agent: Agent, witness: Path, key: str, trick: str) -> None:
    """The agent refuses what its shell would execute, and nothing is."""
    answer = agent.ask(f"{key}[{in_key(trick.replace('W', str(witness)))}]")
    assert re.match(r"ZBX_NOTSUPPORTED: (Special c|C)haracters? .* (are|is) not allowed", answer)
    assert not witness.exists()


@pytest.mark.parametrize("parameter", PARAMETERS)
@pytest.mark.parametrize("key", ["sockets.get", "sockets.discovery"])
def test_first_parameter_stays_data(agent: Agent, key: str, parameter: str) -> None:
    """An option, a format or a second word is a value, and none that there is."""
    assert set(agent.ask_json(f"{key}[{in_key(parameter)}]")) == {"error"}


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_process_stays_data(agent: Agent, parameter: str) -> None:
    """They are names like any other, which no process has."""
    assert agent.ask(f"sockets.count[{in_key(parameter)}]") == "0"


@pytest.mark.parametrize(
    "parameters", ["--help", "tcp,--help", "tcp,listen --timeout=1", "tcp udp"]
)
def test_later_parameters_stay_data(agent: Agent, parameters: str) -> None:
    """Neither does the second or the third become an option or two words."""
    assert set(agent.ask_json(f"sockets.count[zabbix_agentd,{parameters}]")) == {"error"}


@pytest.mark.parametrize("name", NAMES)
def test_strange_names_are_counted(agent: Agent, stage: Stage, name: str) -> None:
    """A process may be called like an option; its number is given all the same."""
    with hold(stage, name):
        assert agent.ask(f"sockets.count[{in_key(name)},tcp,listen]") == "2"


@pytest.mark.short_form("zabbix_agentd-6.0")
def test_keys_that_the_command_prints(agent: Agent, stage: Stage) -> None:
    """Whatever a process is called, every agent takes the key that `show` prints for it."""
    with ExitStack() as stack:
        for name in HOSTILE:
            stack.enter_context(hold(stage, name))
        keys = shown(stage, "--keys").splitlines()
        listening = {row["id"]: row["tcp"]["listen"] for row in json.loads(shown(stage, "--json"))}
        for row in HOSTILE.values():
            key = f"sockets.count[{as_parameter(row)}]"
            assert key in keys
            assert listening[row] >= 2  # another test may hold the name, too
            assert agent.ask(f"{key[:-1]},tcp,listen]") == str(listening[row]), key


def shown(stage: Stage, option: str) -> str:
    """Return what `show processes` prints to the agent's user."""
    module = [str(HOME / "bin/python3"), "-I", "-m", "zabbix_sockets"]
    command = stage.inside(as_zabbix([*module, "show", "processes", option]))
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
