"""The Zabbix agents on this host, and those of their settings that decide about the keys.

Source: the manual's pages on the configuration files of agentd and agent 2, and trials with 6.0.14
and 7.0.9 (zabbix_config). Everything is found without privilege, but for files that others than
root may not read, and the executables of running processes.
"""

from __future__ import annotations

import os
import shlex
from typing import NamedTuple

from zabbix_sockets.host.programs import (
    AGENT2,
    AGENTD,
    AskVersion,
    Program,
    find_programs,
    version_of,
)
from zabbix_sockets.host.zabbix_config import Include, Setting, fits

KEYS_FILE = "zabbix_sockets.conf"
"""The name of the file with the keys, in the package and where an agent includes it."""

_PORT = 10050
_TIMEOUT = 3.0
_PLUGINS = "plugins.d"


class InstalledAgent(NamedTuple):
    """An agent that is set up on this host.

    Attributes:
        kind: agentd or agent2.
        program: the configuration, user, unit, executable and process.
        include_folder: the folder whose new KEYS_FILE the agent reads; None: there is none.
        no_folder: why there is none, and what to do; empty: there is one.
    """

    kind: str
    program: Program
    include_folder: str | None
    no_folder: str

    @property
    def config_path(self) -> str:
        """The path of its configuration file."""
        return self.program.config.path

    @property
    def faults(self) -> tuple[str, ...]:
        """What of its configuration could not be read, and why."""
        return tuple(map(str, self.program.config.faults))

    @property
    def user(self) -> str:
        """The name of its user."""
        return self.program.user

    @property
    def group(self) -> str:
        """The name of its group: who is to read the pins."""
        return self.program.group

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of all groups that it has, or gets when it starts."""
        return self.program.groups

    @property
    def unit(self) -> str | None:
        """The name of the unit that starts it; None: none does, as far as can be seen."""
        return self.program.unit

    @property
    def executable(self) -> str | None:
        """The path of its program; None: it isn't here."""
        return self.program.executable

    @property
    def pid(self) -> int | None:
        """The id of its process, of agentd's first; None: it doesn't run."""
        return self.program.pid

    @property
    def listen_port(self) -> int:
        """The port of passive checks."""
        return _number(self.program.config.value("ListenPort"), _PORT)

    @property
    def listen_ips(self) -> tuple[str, ...]:
        """The addresses of passive checks; none: all."""
        return _listed(self.program.config.value("ListenIP"))

    @property
    def servers(self) -> tuple[str, ...]:
        """Who may ask: addresses, networks or names."""
        return _listed(self.program.config.value("Server"))

    @property
    def active_servers(self) -> tuple[str, ...]:
        """Whom it asks for active checks; a cluster's nodes with ";" between them."""
        return _listed(self.program.config.value("ServerActive"))

    @property
    def answers_passively(self) -> bool:
        """Whether it listens at all: agentd doesn't with StartAgents=0, agent 2 without Server."""
        if self.kind == AGENTD:
            return self.program.config.value("StartAgents") != "0"
        return bool(self.servers)

    @property
    def timeout(self) -> float:
        """The seconds that a check may take."""
        return float(_number(self.program.config.value("Timeout"), int(_TIMEOUT)))

    @property
    def user_parameters(self) -> tuple[Setting, ...]:
        """The settings UserParameter of all its files."""
        return tuple(self.program.config.values("UserParameter"))


def find_agents(root: str = "", ask_version: AskVersion = version_of) -> list[InstalledAgent]:
    """Return the agents of the host whose files are below *root* (empty: this one).

    agentd's come first, then by the paths of their configuration files. *ask_version* says the
    version of an executable, which is asked only where a relative path depends on it.
    """
    return [
        _agent(program, root)
        for kind in (AGENTD, AGENT2)
        for program in find_programs(kind, root, ask_version)
    ]


def _agent(program: Program, root: str) -> InstalledAgent:
    folder, reason = _include_folder(program, root)
    return InstalledAgent(program.kind, program, folder, reason)


def _include_folder(program: Program, root: str) -> tuple[str | None, str]:
    """Return the folder whose KEYS_FILE the program reads, or None and why there is none.

    Of several it is the first one that is not for the settings of plugins.
    """
    config = program.config
    if config.faults and config.faults[0].path == config.path and not config.settings:
        return None, str(config.faults[0])
    readable = [each for each in config.includes if fits(each, KEYS_FILE, program.syntax)]
    readable.sort(key=_is_for_plugins)
    missing = [each for each in readable if not os.path.isdir(root + each.folder)]
    for each in readable:
        if each not in missing:
            return each.folder, ""
    if missing:
        folder = missing[0].folder
        mend = shlex.join(["mkdir", folder])  # who wrote the file may not be who types this
        return None, f"{folder}, which {missing[0].path} includes, is not there: {mend}"
    return None, (
        f"no Include of {config.path} has a place for {KEYS_FILE}: add the line"
        f" Include={_usual_folder(program)}/*.conf, and make that folder"
    )


def _usual_folder(program: Program) -> str:
    """Return the folder for a configuration's parts, as packages of zabbix.com call it."""
    stem, _ = os.path.splitext(program.config.path)
    return f"{stem}.d"


def _is_for_plugins(include: Include) -> bool:
    return os.path.basename(include.folder) == _PLUGINS


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else default


def _listed(text: str | None) -> tuple[str, ...]:
    """Return the parts of *text* between commas, without blanks and empty ones."""
    return tuple(filter(None, (each.strip() for each in (text or "").split(","))))
