"""The programs of Zabbix on this host, each with its configuration, unit, user and process.

They are found in three places: units, running processes, and the usual places of their files. A
process that no unit started may name any file: it counts if root alone may write that.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from typing import NamedTuple

from zabbix_sockets.host.accounts import Accounts
from zabbix_sockets.host.processes import Running, find_running, may_only_root_change
from zabbix_sockets.host.units import ServiceUnit, find_services
from zabbix_sockets.host.zabbix_config import (
    Syntax,
    ZabbixConfig,
    named_configs,
    read_config,
)

AGENTD, AGENT2, SERVER, PROXY = "agentd", "agent2", "server", "proxy"

_NAMES = {
    AGENTD: "zabbix_agentd",
    AGENT2: "zabbix_agent2",
    SERVER: "zabbix_server",
    PROXY: "zabbix_proxy",
}
"""The name of each program's file; packages of server and proxy add the database's to it."""

_CONFIG_FOLDERS = ("/etc/zabbix", "/etc", "/usr/local/etc", "/usr/local/etc/zabbix")
_SYSTEM_PATH = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin")
_DEFAULT_USER = "zabbix"
_USUAL_USERS = ("zabbix", "zabbix-agent", "zabbix_agent", "zabbix-agent2", "zabbixsrv")
_FOLDER_SINCE = (7, 0)
"""The first version whose C programs take relative paths from the folder of their file."""
_VERSION = re.compile(r"\(Zabbix\) (\d+)\.(\d+)")
_VERSION_SECONDS = 10.0

Version = tuple[int, int]


class Program(NamedTuple):
    """A program of Zabbix that is set up on this host.

    Attributes:
        kind: agentd, agent2, server or proxy.
        config: its settings; those of its file are config.path.
        syntax: how it reads Include.
        user: the name of the user that it runs as.
        group: the name of that user's group, or of the unit's; that of the process if it runs.
        groups: the names of all groups that it has, *group* first.
        unit: the unit that starts it; None: no unit does, as far as can be seen.
        executable: the path of its file; None: it is not here.
        running: its process; None: it doesn't run, as far as can be seen.
    """

    kind: str
    config: ZabbixConfig
    syntax: Syntax
    user: str
    group: str
    groups: tuple[str, ...]
    unit: str | None
    executable: str | None
    running: Running | None

    @property
    def pid(self) -> int | None:
        """The id of its process; None: it doesn't run."""
        return self.running.pid if self.running else None


AskVersion = Callable[[str], "Version | None"]
"""Returns the version that an executable has; None: it doesn't say."""


def version_of(executable: str) -> Version | None:
    """Return the version of the program *executable*, which is run with -V; None: it says none."""
    try:
        answer = subprocess.run(  # noqa: S603  # one that root alone may write
            [executable, "-V"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(answer.stdout.decode("utf-8", "replace"))
    return (int(found[1]), int(found[2])) if found else None


def find_programs(kind: str, root: str = "", ask_version: AskVersion = version_of) -> list[Program]:
    """Return the programs of that kind on the host below *root*, one for each configuration file.

    *ask_version* is called only where a relative path depends on it, and of an executable that
    root alone may change.
    """
    accounts, services = Accounts(root), _services(kind, root)
    running = find_running(_NAMES[kind], _users(services, accounts), root)
    found: dict[str, _Found] = {}
    for process in running:
        service = next((each for each in services if each.name == process.unit), None)
        path = _config_of(process.arguments, kind, root)
        if service or path == _usual_config(kind, root) or may_only_root_change(path, root):
            found.setdefault(path, _Found(service, process))
    for service in services:
        path = _config_of(service.command, kind, root)
        if found.setdefault(path, _Found(service, None)).service is None:
            found[path] = _Found(service, found[path].running)
    usual = _usual_config(kind, root)
    if usual:
        found.setdefault(usual, _Found(None, None))
    describe = _Describer(kind, root, accounts, ask_version)
    return [describe.program(path, each) for path, each in sorted(found.items()) if path]


def running_programs(kind: str, root: str = "") -> list[Running]:
    """Return the processes of programs of that kind on the host below *root*.

    They are root's, or those of the users of its units and of usual users.
    """
    return find_running(_NAMES[kind], _users(_services(kind, root), Accounts(root)), root)


def _services(kind: str, root: str) -> list[ServiceUnit]:
    name = _NAMES[kind]
    return [each for each in find_services(name, root) if _is_of(each.program, name)]


class _Found(NamedTuple):
    """What uses a configuration file: a service, a running process, or both."""

    service: ServiceUnit | None
    running: Running | None


class _Describer:
    """Makes Programs of what was found of them."""

    def __init__(self, kind: str, root: str, accounts: Accounts, ask_version: AskVersion) -> None:
        self._kind = kind
        self._root = root
        self._accounts = accounts
        self._ask_version = ask_version

    def program(self, path: str, found: _Found) -> Program:
        """Return the program whose configuration file is *path*."""
        service, running = found
        executable = self._executable(service, running)
        wildcards = "*?[" if self._kind == AGENT2 else "*"
        folder = service.folder if service else "/"
        syntax = Syntax(wildcards, lambda: self._relative_to(path, folder, executable))
        config = read_config(path, syntax, self._root)
        user, groups = self._identity(config, service, running)
        return Program(
            self._kind,
            config,
            syntax,
            user,
            groups[0],
            groups,
            service.name if service else (running.unit if running else None) or None,
            executable,
            running,
        )

    def _executable(self, service: ServiceUnit | None, running: Running | None) -> str | None:
        name = _NAMES[self._kind]
        given = [running.executable] if running else []
        given += [service.program] if service else []
        given += [f"{folder}/{name}" for folder in _SYSTEM_PATH]
        return next((each for each in given if each and os.path.exists(self._root + each)), None)

    def _relative_to(self, path: str, folder: str, executable: str | None) -> str:
        """Return where relative paths of the file *path* start.

        It is *folder*, the working directory, in programs in C before 7.0.
        """
        if self._kind != AGENT2:
            is_safe = executable and may_only_root_change(executable, self._root)
            version = self._ask_version(executable) if executable and is_safe else None
            if version is not None and version < _FOLDER_SINCE:
                return folder
        return os.path.dirname(path)

    def _identity(
        self, config: ZabbixConfig, service: ServiceUnit | None, running: Running | None
    ) -> tuple[str, tuple[str, ...]]:
        """Return the user's name, and the names of its groups, at least one.

        Started as root, the programs in C become the user of their setting User, unless AllowRoot
        is set; agent 2 stays what it is. Both settings count where root alone may change their
        file: else an agent's user could have root take another user, or itself, for the agent's.
        """
        accounts = self._accounts
        if running:
            user = accounts.user(str(running.uid))
            groups = [accounts.group_name(each) for each in (running.gid, *running.groups)]
            return user.name if user else str(running.uid), tuple(dict.fromkeys(groups))
        name = (service.user if service else "") or "root"
        if name in {"root", "0"} and self._kind != AGENT2:
            name = self._user_of(config)
        if service is None and self._kind == AGENT2:
            name = _DEFAULT_USER  # who starts it by hand decides; its packages have this one
        user = accounts.user(name)
        groups = list(accounts.groups_of(user)) if user else [name]
        if service:
            if service.group:  # in the place of the user's primary one
                groups = [service.group, *(sorted(accounts.joined(user)) if user else [])]
            groups += service.supplementary
        return user.name if user else name, tuple(dict.fromkeys(groups))

    def _user_of(self, config: ZabbixConfig) -> str:
        """Return the name of the user that a program in C becomes which root has started."""
        settings = {
            each.name: each.value
            for each in config.values("AllowRoot", "User")
            if may_only_root_change(each.path, self._root)
        }
        if settings.get("AllowRoot") == "1":
            return "root"
        return settings.get("User") or _DEFAULT_USER


def _users(services: list[ServiceUnit], accounts: Accounts) -> set[int]:
    """Return the uids that a program of that kind may have: of root, its units, and usual users."""
    names = {each.user for each in services if each.user} | set(_USUAL_USERS)
    found = (accounts.user(name) for name in names)
    return {0} | {each.uid for each in found if each}


def _is_of(path: str, name: str) -> bool:
    last = os.path.basename(path)
    return last == name or last.startswith(f"{name}_")


def _config_of(arguments: tuple[str, ...], kind: str, root: str) -> str:
    """Return the path of the configuration file that these arguments name, else the usual one.

    Empty: neither is there.
    """
    given = next(filter(os.path.isabs, named_configs(arguments)), "")
    return os.path.normpath(given) if given else _usual_config(kind, root)


def _usual_config(kind: str, root: str) -> str:
    """Return the path of the first file in a usual place; empty: there is none."""
    paths = [f"{folder}/{_NAMES[kind]}.conf" for folder in _CONFIG_FOLDERS]
    return next((each for each in paths if os.path.exists(root + each)), "")
