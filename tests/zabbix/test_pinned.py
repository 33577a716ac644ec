"""What an agent without any privilege answers where the BPF iterators are loaded."""

import pytest

from .agents import Agent
from .processes import TCP, UDP, Holder

pytestmark = pytest.mark.zabbix


def test_everything_is_seen(pinned_agent: Agent, others: Holder) -> None:
    """Root's processes have their rows, nothing is denied, and the document is complete."""
    document = pinned_agent.ask_json("sockets.get")
    collector = document["collector"]
    assert (collector["source"], collector["degraded"]) == ("bpf", 0)
    assert collector["denied_processes"] == 0
    assert document["complete"] == 1, document["collector"]["warnings"]
    (process,) = [row for row in document["processes"] if row["name"] == others.name]
    assert {state: process["tcp"][state] for state in TCP} == TCP
    assert process["udp"] == UDP


@pytest.mark.parametrize("grouping", ["unit", "container", "user"])
def test_groups(pinned_agent: Agent, others: Holder, grouping: str) -> None:
    """Every socket is in a group, by who holds it now."""
    for _ in range(10):  # a process that ends meanwhile has no cgroup to be read any more
        document = pinned_agent.ask_json(f"sockets.get[{grouping}]")
        if document["complete"]:
            break
    assert document["collector"]["ownership"] == "descriptors"
    (listener,) = [
        row for row in document["listeners"] if row["id"] == f"tcp/127.0.0.1:{others.busy}"
    ]
    assert listener["process"] in {row["id"] for row in document["processes"]}
    assert document["complete"] == 1, document["collector"]["warnings"]


def test_count(pinned_agent: Agent, others: Holder) -> None:
    """Numbers are measured, 0 too."""
    assert pinned_agent.ask(f"sockets.count[{others.name},tcp,listen]") == "2"
    assert pinned_agent.ask("sockets.count[nobody-has-it]") == "0"


def test_discovery(pinned_agent: Agent, others: Holder) -> None:
    """Root's process is offered to discovery."""
    rows = pinned_agent.ask_json("sockets.discovery[processes]")
    assert others.name in {row["{#PROCESS}"] for row in rows}
