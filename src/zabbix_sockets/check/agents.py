"""An agent as `check` looks at it."""

from __future__ import annotations

from typing import NamedTuple

from zabbix_sockets.check.children import User
from zabbix_sockets.check.line import typed
from zabbix_sockets.host.zabbix_config import Setting


class AgentProcess(NamedTuple):
    """The process of an agent that runs.

    Attributes:
        pid: its number.
        started: when it was started, in Unix seconds.
        user: the user that it runs as, with the groups that it really has.
    """

    pid: int
    started: float
    user: User


class Agent(NamedTuple):
    """An agent of this host.

    Attributes:
        name: "agentd" or "agent2".
        program: the path of its program; empty: it isn't here.
        config: the path of its configuration file.
        settings: the lines of that file and of those that it includes, in the order in which the
            agent reads them.
        files: the paths of all these files.
        trouble: why its configuration can't be read, in words; empty: it was.
        user: the user that it runs as, as the system's files have it; None: there is no such user.
        process: its process; None: it doesn't run, or can't be seen.
        unit: the name of its unit; empty: it has none.
        include_folder: the folder in which it reads a new file; empty: there is none.
        no_folder: why there is none, and what to do; empty: there is one.
    """

    name: str
    program: str
    config: str
    settings: tuple[Setting, ...]
    files: tuple[str, ...]
    trouble: str
    user: User | None
    process: AgentProcess | None
    unit: str
    include_folder: str
    no_folder: str

    def all(self, name: str) -> list[Setting]:
        """Return the lines of a setting, in order."""
        return [each for each in self.settings if each.name == name]

    def value(self, name: str, default: str = "") -> str:
        """Return the value of a setting: that of its last line; *default* if there is none."""
        found = self.all(name)
        return found[-1].value if found else default

    @property
    def runs_as(self) -> User | None:
        """The user of its process, else the one that the system's files have."""
        return self.process.user if self.process else self.user

    @property
    def restart(self) -> str:
        """The command that restarts it."""
        if not self.unit:
            return "zabbix-sockets setup --restart"
        return typed("systemctl", "restart", self.unit)
