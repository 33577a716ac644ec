"""An agent's question counts nothing of itself: what the agent starts inherits its sockets."""

import json
import subprocess
from typing import Any

import pytest

from .agents import KINDS, Agents, Kind, Way
from .processes import TCP, hold
from .stage import HOME, Stage, UnavailableError, as_zabbix

pytestmark = pytest.mark.zabbix

NAME = "python3"  # as the program of the keys is called
AGENTD = [kind for kind in KINDS if kind.program == "zabbix_agentd"]


def figures(document: dict[str, Any]) -> tuple[int, dict[str, int]]:
    """Return how many processes of the program's name there are, and what they hold."""
    (row,) = [row for row in document["processes"] if row["id"] == NAME]
    return row["instances"], {state: row["tcp"][state] for state in TCP}


@pytest.mark.parametrize("way", [Way.UNPRIVILEGED, Way.PINNED, Way.SUDO], ids=lambda way: way.value)
@pytest.mark.parametrize("kind", AGENTD, ids=str)
def test_question_counts_nothing_of_itself(
    agents: Agents, stage: Stage, kind: Kind, way: Way
) -> None:
    """The agent alone has its connection, and a server of the program's name has its own."""
    try:
        agent = agents.get(kind, way)
    except UnavailableError as error:
        pytest.skip(str(error))
    command = [f"{HOME}/bin/python3", "-I", "-m", "zabbix_sockets", "get"]
    plain = stage.inside(as_zabbix(command), pins=way is Way.PINNED)
    with hold(stage, NAME):
        document = agent.ask_json("sockets.get")
        if way is not Way.SUDO:  # root's view, which has more of that name
            for _ in range(10):  # until no other process of that name comes or goes
                before = json.loads(subprocess.check_output(plain))
                document = agent.ask_json("sockets.get")
                if figures(document) == figures(before):
                    break
            assert figures(document) == figures(before)
    (listener,) = [row for row in document["listeners"] if row.get("port") == agent.port]
    assert (listener["process"], listener["established"]) == ("zabbix_agentd", 1)
