"""Reader of the agent's configuration file, for the servers and the host's name.

zabbix_sender reads the other settings, such as TLS, itself.

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
"""The files of the agents' packages, by the name of the agent's process."""

_MAX_DEPTH = 10  # as the parser of Zabbix
_MAX_BYTES = 1_000_000
_MAX_FILES = 1000
_SETTING = re.compile(r"^([A-Za-z0-9.]+)\s*=\s*(.*)$")
_SYSTEM_NAME = "system.hostname"
_ELSEWHERE = "name another with --agent-config"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_AGENTS_USER = "zabbix"


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
    """Whether a process is the agent of that name, with its file of PLACES.

    Only processes of root and of the user zabbix count: another user's may have any name.
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
    """Yield the uid, the name (comm) and the arguments of each process that can be seen."""
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
    """Whether an agent with these arguments reads the file *path*, its package's default.

    It does if they name that file, or none.
    """
    for number, argument in enumerate(arguments):
        if argument in {"-c", "--config"}:
            return path in arguments[number + 1 : number + 2]
        if argument.startswith("--config="):
            return argument == f"--config={path}"
    return True


def _is_installed(agent: str) -> bool:
    return shutil.which(agent, path=_SYSTEM_PATH) is not None


def read_agent_config(path: str) -> AgentConfig:
    """Return the settings of the file *path*; without Hostname the host's name is the system's.

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
    """Reads a file and the files that it includes.

    Relative paths are from *folder*, in which zabbix_sender runs, too.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._settings: dict[str, str] = {}
        self._files = 0

    def read(self, path: str) -> dict[str, str]:
        """Return the settings of the file *path* by name; of several of one name the last.

        Raises:
            UsageError: a file can't be read, or includes go too deep or are too many.
        """
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
        """Return the paths of Include=*pattern* in the file *path*.

        They are itself, the files of a folder, or those that match the pattern's last part.
        """
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
    """Return the text of the regular file *path*, of at most 1,000,000 bytes.

    Raises:
        UsageError: it can't be read, is longer, or is no regular file.
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
