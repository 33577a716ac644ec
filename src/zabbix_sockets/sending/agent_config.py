"""What the agent's configuration file says of where to push; zabbix_sender reads the rest of it.

The syntax is that of Zabbix's own parser: NAME=VALUE, # comments, Include= of a file, of all
files of a folder, or of those that fit a pattern there.
"""

import fnmatch
import os
import re
import socket
from typing import NamedTuple

from zabbix_sockets.errors import SocketsError

PLACES = ("/etc/zabbix/zabbix_agentd.conf", "/etc/zabbix/zabbix_agent2.conf")
"""Where the packages of zabbix_agentd and zabbix_agent2 have theirs."""

_MAX_DEPTH = 10  # as the parser of Zabbix
_SETTING = re.compile(r"^([A-Za-z0-9.]+)\s*=\s*(.*)$")


class AgentConfig(NamedTuple):
    """What a push needs to know of it."""

    path: str
    destinations: tuple[str, ...]
    """Of ServerActive: each a server or proxy, or the nodes of a cluster with ";" between."""
    hostname: str


def find_agent_config() -> str | None:
    """Return the first of the usual places that has one."""
    return next((path for path in PLACES if os.path.exists(path)), None)


def read_agent_config(path: str) -> AgentConfig:
    """Return what the file says; a name of the host that is not in it is the system's.

    Raises:
        SocketsError: it can't be read, or leaves open who the host is.
    """
    settings: dict[str, str] = {}
    _read_into(settings, path, 0)
    hostname = settings.get("Hostname", "").split(",")[0].strip()
    if not hostname:
        item = settings.get("HostnameItem", "system.hostname")
        if item != "system.hostname":
            raise SocketsError(
                f"{path} takes the host's name from the item {item}", "give it with --host"
            )
        hostname = socket.gethostname()
    servers = settings.get("ServerActive", "").split(",")
    return AgentConfig(path, tuple(each.strip() for each in servers if each.strip()), hostname)


def _read_into(settings: dict[str, str], path: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise SocketsError(f"{path}: Include goes too deep")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise SocketsError(
            f"{path}: {error.strerror}", "name another with --agent-config"
        ) from None
    for line in lines:
        found = _SETTING.match(line.strip())
        if not found:
            continue
        name, value = found[1], found[2].strip()
        if name != "Include":
            settings[name] = value
            continue
        for each in _included(value):
            _read_into(settings, each, depth + 1)


def _included(pattern: str) -> list[str]:
    """Return the files of an Include: itself, a folder's, or those that fit its last part."""
    folder, last = os.path.split(pattern.rstrip("/"))
    if os.path.isdir(pattern):
        folder, last = pattern, "*"
    elif "*" not in last:
        return [pattern]
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []  # as Zabbix: a folder that isn't there has no files
    paths = [os.path.join(folder, name) for name in names if fnmatch.fnmatchcase(name, last)]
    return [path for path in paths if os.path.isfile(path)]
