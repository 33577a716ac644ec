"""Reader of the agent's configuration file, for the servers and the host's name.

zabbix_sender reads the other settings, such as TLS, itself. Relative paths of Include are from the
file's folder, in which zabbix_sender runs, too.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from typing import NamedTuple

from zabbix_sockets.host.programs import AGENT2, AGENTD, running_programs
from zabbix_sockets.host.zabbix_config import (
    ZabbixConfig,
    named_configs,
    read_config,
    syntax_of,
)
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.paths import SYSTEM_PATH

PLACES = {
    "zabbix_agentd": "/etc/zabbix/zabbix_agentd.conf",
    "zabbix_agent2": "/etc/zabbix/zabbix_agent2.conf",
}
"""The files of the agents' packages, by the name of the agent's process."""

_KINDS = {"zabbix_agentd": AGENTD, "zabbix_agent2": AGENT2}
_SYSTEM_NAME = "system.hostname"
_ELSEWHERE = "name another with --agent-config"


class AgentConfig(NamedTuple):
    """The settings of the file that a push needs.

    Attributes:
        path: that of the file.
        destinations: of ServerActive, each a server or proxy, or the nodes of a cluster with ";"
            between them.
        hostname: the host's name; empty: the agent takes it from an item.
    """

    path: str
    destinations: tuple[str, ...]
    hostname: str


def find_agent_config() -> str | None:
    """Return the path of the configuration file of this host's agent; None: none is in PLACES.

    Where both agents have one it is that of the agent which runs, else of the one which is
    installed; zabbix_agentd's if that decides nothing.
    """
    there = _there()
    for has in (_is_running, _is_installed):
        chosen = [agent for agent in there if has(agent)] if len(there) > 1 else there
        there = chosen or there
    return PLACES[there[0]] if there else None


def has_several() -> bool:
    """Whether both agents have a configuration file in PLACES."""
    return len(_there()) > 1


def _there() -> list[str]:
    return [agent for agent, path in PLACES.items() if os.path.exists(path)]


def _is_running(agent: str) -> bool:
    """Whether a process is the agent of that name, with its file of PLACES: see host.processes."""
    running = running_programs(_KINDS[agent])
    return any(_takes(each.arguments, PLACES[agent]) for each in running)


def _takes(arguments: Sequence[str], path: str) -> bool:
    """Whether an agent with these arguments reads the file *path*, its package's default.

    It does if they name that file, or none.
    """
    return next(named_configs(arguments), path) == path


def _is_installed(agent: str) -> bool:
    return shutil.which(agent, path=":".join(SYSTEM_PATH)) is not None


def read_agent_config(path: str) -> AgentConfig:
    """Return the settings of the file *path*; without Hostname the host's name is the system's.

    Raises:
        UsageError: it can't be read.
    """
    config = read_config(path, syntax_of(path, is_agent2=False))
    folders = {each.folder for each in config.includes}
    for fault in config.faults:
        if fault.path not in folders:  # of a missing folder zabbix_sender tells, if it minds
            raise UsageError(str(fault), _ELSEWHERE)
    servers = (config.value("ServerActive") or "").split(",")
    return AgentConfig(
        path, tuple(each.strip() for each in servers if each.strip()), named_host(config)
    )


def named_host(config: ZabbixConfig) -> str:
    """Return the host's name by *config*, without Hostname the system's.

    Empty: the agent takes it from another item.
    """
    hostname = (config.value("Hostname") or "").split(",")[0].strip()
    if not hostname and (config.value("HostnameItem") or _SYSTEM_NAME) == _SYSTEM_NAME:
        hostname = socket.gethostname()
    return hostname
