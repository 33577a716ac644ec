"""What the agent's configuration file says of where to push; zabbix_sender reads the rest of it.

The syntax is that of Zabbix's own parser: NAME=VALUE, # comments, Include= of a file, of all
files of a folder, or of those that fit a pattern there.
"""

import fnmatch
import os
import pwd
import re
import shutil
import socket
import stat
from collections.abc import Iterator
from typing import NamedTuple

from zabbix_sockets.model.errors import UsageError

PLACES = {
    "zabbix_agentd": "/etc/zabbix/zabbix_agentd.conf",
    "zabbix_agent2": "/etc/zabbix/zabbix_agent2.conf",
}
"""Where the packages of the agents have theirs; an agent is told by its process's name."""

_MAX_DEPTH = 10  # as the parser of Zabbix
_MAX_BYTES = 1_000_000
_MAX_FILES = 1000
_SETTING = re.compile(r"^([A-Za-z0-9.]+)\s*=\s*(.*)$")
_SYSTEM_NAME = "system.hostname"
_ELSEWHERE = "name another with --agent-config"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_AGENTS_USER = "zabbix"


class AgentConfig(NamedTuple):
    """What a push needs to know of it."""

    path: str
    destinations: tuple[str, ...]
    """Of ServerActive: each a server or proxy, or the nodes of a cluster with ";" between."""
    hostname: str
    """Empty: the agent takes it from an item."""


def find_agent_config() -> str | None:
    """Return the file of this host's agent in its usual place; None: there is none.

    Where both agents have one it is that of the agent which runs, else of the one which is
    installed; zabbix_agentd's if that decides nothing.
    """
    there = _there()
    for has in (_is_running, _is_installed):
        chosen = [agent for agent in there if has(agent)] if len(there) > 1 else there
        there = chosen or there
    return PLACES[there[0]] if there else None


def has_several() -> bool:
    """Whether both agents have a file in its usual place."""
    return len(_there()) > 1


def _there() -> list[str]:
    return [agent for agent, path in PLACES.items() if os.path.exists(path)]


def _is_running(agent: str) -> bool:
    """Whether a process of root's or of the agent's own user is that agent, with its usual file.

    Another user's may call itself what it likes.
    """
    users = {0}
    try:
        users.add(pwd.getpwnam(_AGENTS_USER).pw_uid)
    except KeyError:
        pass  # an agent of root's
    return any(
        user in users and name == agent and _takes(arguments, PLACES[agent])
        for user, name, arguments in _processes()
    )


def _processes() -> Iterator[tuple[int, str, list[str]]]:
    """Yield the user, the name and the arguments of each process that can be seen."""
    for number in filter(str.isdecimal, os.listdir("/proc")):
        folder = f"/proc/{number}"
        try:
            user = os.stat(folder).st_uid
            with open(f"{folder}/comm", encoding="utf-8", errors="replace") as file:
                name = file.read(64).rstrip("\n")
            with open(f"{folder}/cmdline", encoding="utf-8", errors="replace") as file:
                arguments = file.read(4096).split("\0")
        except OSError:
            continue  # it has ended
        yield user, name, arguments


def _takes(arguments: list[str], path: str) -> bool:
    """Whether an agent's arguments name this file, or none: then it takes that of its package."""
    for number, argument in enumerate(arguments):
        if argument in {"-c", "--config"}:
            return path in arguments[number + 1 : number + 2]
        if argument.startswith("--config="):
            return argument == f"--config={path}"
    return True


def _is_installed(agent: str) -> bool:
    return shutil.which(agent, path=_SYSTEM_PATH) is not None


def read_agent_config(path: str) -> AgentConfig:
    """Return what the file says; a name of the host that is not in it is the system's.

    Raises:
        UsageError: it can't be read.
    """
    settings = _Reader(os.path.dirname(path)).read(path)
    hostname = settings.get("Hostname", "").split(",")[0].strip()
    if not hostname and settings.get("HostnameItem", _SYSTEM_NAME) == _SYSTEM_NAME:
        hostname = socket.gethostname()
    servers = settings.get("ServerActive", "").split(",")
    return AgentConfig(path, tuple(each.strip() for each in servers if each.strip()), hostname)


class _Reader:
    """Reads a file and what it includes, relative to *folder*: there zabbix_sender runs, too."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._settings: dict[str, str] = {}
        self._files = 0

    def read(self, path: str) -> dict[str, str]:
        """Return the settings by name; of several of the same name the last counts."""
        self._read_into(path, 0)
        return self._settings

    def _read_into(self, path: str, depth: int) -> None:
        self._files += 1
        if depth > _MAX_DEPTH or self._files > _MAX_FILES:
            raise UsageError(f"{path}: Include goes too deep, or has too many files")
        for line in _read_file(path).split("\n"):
            found = _SETTING.match(line.strip())
            if not found:
                continue
            name, value = found[1], found[2].strip()
            if name != "Include":
                self._settings[name] = value
                continue
            for each in self._included(value, path):
                self._read_into(each, depth + 1)

    def _included(self, pattern: str, path: str) -> list[str]:
        """Return the files of an Include: itself, a folder's, or those that fit its last part."""
        if "\0" in pattern:
            raise UsageError(f"{path}: an Include has a NUL in it")
        pattern = os.path.join(self._folder, pattern)
        folder, last = os.path.split(pattern.rstrip("/"))
        if os.path.isdir(pattern):
            folder, last = pattern, "*"
        elif "*" not in last:
            return [pattern]
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return []  # zabbix_sender says it, if it minds
        paths = [os.path.join(folder, name) for name in names if fnmatch.fnmatchcase(name, last)]
        return [path for path in paths if os.path.isfile(path)]


def _read_file(path: str) -> str:
    """Return the text of a regular file that is not longer than a configuration is.

    Raises:
        UsageError: it can't be read, or is something else.
    """
    try:  # without waiting for somebody to write, should it be a FIFO
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path}: not a regular file", _ELSEWHERE)
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", _ELSEWHERE) from None
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path}: longer than {_MAX_BYTES} bytes", _ELSEWHERE)
    return content.decode("utf-8", "surrogateescape")
