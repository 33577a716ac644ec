"""The checks, in the order of their lines, and the names of all lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from zabbix_sockets.check import (
    asking,
    caller,
    containers,
    kernel,
    memory,
    pins,
    push,
    selinux,
    servers,
    settings,
    totals,
    units,
    visibility,
)
from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.line import Line
from zabbix_sockets.check.system import System

AGENTS, CHECK = "agents", "check"
"""The names of the lines of what this package itself looks for: agents, and its own checks."""


class Check(NamedTuple):
    """A check of the host.

    Attributes:
        names: those of the lines that it may yield.
        run: yields them, for the host and its agents.
    """

    names: tuple[str, ...]
    run: Callable[[System, Sequence[Agent]], Iterable[Line]]


class AgentCheck(NamedTuple):
    """A check of a single agent, whose name is in front of those of the lines.

    Attributes:
        names: those of the lines that it may yield, without the agent's.
        run: yields them, for the host and one of its agents.
    """

    names: tuple[str, ...]
    run: Callable[[System, Agent], Iterable[Line]]


HOST_CHECKS = (
    Check((caller.CALLER,), caller.check_caller),
    Check(
        (kernel.KERNEL, kernel.BTF, kernel.LOCKDOWN),
        lambda system, _agents: kernel.check_kernel(system),
    ),
    Check((kernel.LIBBPF,), lambda system, _agents: kernel.check_libbpf(system)),
    Check((units.LOAD,), units.check_load_unit),
    Check((pins.PINS,), pins.check_pins),
    Check((totals.TOTALS,), lambda system, _agents: totals.check_totals(system)),
    Check((visibility.HIDEPID,), visibility.check_hidepid),
    Check((visibility.CGROUPS,), visibility.check_cgroups),
    Check((containers.CONTAINERS,), containers.check_containers),
    Check((selinux.SELINUX,), selinux.check_selinux),
)
AGENT_CHECKS = (
    AgentCheck(settings.NAMES, settings.check_settings),
    AgentCheck((memory.DISCOVERY,), memory.check_memory),
    AgentCheck((asking.CALL, asking.TEST, asking.PORT), asking.check_answers),
)
SERVER_CHECKS = (
    Check((push.PUSH, push.SENDER, push.PUSH_KEY, push.SPOOL), push.check_push),
    Check((servers.SERVER,), servers.check_servers),
)
API_NAMES = ("api", "host", "template", "master item", "map")
"""The names of the lines of what the server has (check.template, which needs pyzabbix)."""


def names() -> list[str]:
    """Return the names of all lines; those of an agent begin with "agent" instead of its name."""
    host = [name for check in (*HOST_CHECKS, *SERVER_CHECKS) for name in check.names]
    agent = [f"agent {name}" for each in AGENT_CHECKS for name in each.names]
    return [*host, AGENTS, *agent, *API_NAMES, CHECK]
