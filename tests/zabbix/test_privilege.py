"""What an agent answers that may look at every process."""

import pytest

from .agents import Agent
from .processes import TCP, UDP, Holder, denied_to_root

pytestmark = pytest.mark.zabbix


def test_nothing_is_denied_that_root_may_see(capable_agent: Agent, others: Holder) -> None:
    """Two capabilities on the agent's unit show root's processes with all they hold."""
    document = capable_agent.ask_json("sockets.get")
    assert document["collector"]["denied_processes"] == denied_to_root()
    (process,) = [row for row in document["processes"] if row["name"] == others.name]
    assert {state: process["tcp"][state] for state in TCP} == TCP
    assert process["udp"] == UDP


def test_count(capable_agent: Agent, others: Holder) -> None:
    """Root's process has its number."""
    assert capable_agent.ask(f"sockets.count[{others.name},tcp,listen]") == "2"


def test_count_of_an_unknown_name(capable_agent: Agent) -> None:
    """0 is said where it was measured."""
    assert capable_agent.ask("sockets.count[nobody-has-it]") == "0"


def test_discovery(capable_agent: Agent, others: Holder) -> None:
    """Root's process is offered to discovery."""
    rows = capable_agent.ask_json("sockets.discovery[processes]")
    assert others.name in {row["{#PROCESS}"] for row in rows}
