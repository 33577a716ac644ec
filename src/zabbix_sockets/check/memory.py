"""Whether it outlives a boot which rows an agent's calls have admitted to discovery."""

from __future__ import annotations

from collections.abc import Iterator

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.keys import parameters_of
from zabbix_sockets.check.line import Line, degraded, ok
from zabbix_sockets.check.system import System
from zabbix_sockets.host.state_folder import is_for_agents_domain, is_private_folder
from zabbix_sockets.model.paths import state_folder

DISCOVERY = "discovery"
"""The thing, behind the agent's name: "agentd discovery"."""


def check_memory(system: System, agent: Agent) -> Iterator[Line]:
    """Yield the line of the folder in which it is remembered, of an agent with keys and a user."""
    user = agent.runs_as
    if not user or not parameters_of(agent):
        return
    folder, name = state_folder(user.uid), f"{agent.name} {DISCOVERY}"
    path = system.at(folder)
    if not is_private_folder(path, user.uid):
        obstacle = f"{folder} is no folder of {user.name or user.uid} alone"
    elif not is_for_agents_domain(path, system.root):
        obstacle = f"SELinux keeps an agent in the domain zabbix_agent_t from writing to {folder}"
    else:
        yield ok(name, f"what is discovered is remembered in {folder}")
        return
    message = f"what is discovered is forgotten at the next boot: {obstacle}"
    yield degraded(name, message, "zabbix-sockets setup")
