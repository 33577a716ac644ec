"""The agents of this host (host.agents), with users as the kernel has them: numbers."""

from __future__ import annotations

import time

from zabbix_sockets.check.agents import Agent, AgentProcess
from zabbix_sockets.check.children import User
from zabbix_sockets.check.system import System
from zabbix_sockets.host import agents as host_agents
from zabbix_sockets.host.accounts import Accounts
from zabbix_sockets.host.processes import Running
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.readers.proc.process import read_stat, read_uptime


def found_agents(system: System) -> tuple[Agent, ...]:
    """Return the agents of the host that *system* is."""
    accounts = Accounts(system.root)
    return tuple(_agent(system, accounts, each) for each in host_agents.find_agents(system.root))


def _agent(system: System, accounts: Accounts, found: host_agents.InstalledAgent) -> Agent:
    config, running = found.program.config, found.program.running
    return Agent(
        found.kind,
        found.executable or "",
        found.config_path,
        config.settings,
        config.files,
        found.faults[0] if found.faults else "",
        _user(accounts, found),
        _process(system, accounts, running) if running else None,
        found.unit or "",
        found.include_folder or "",
        found.no_folder,
    )


def _user(accounts: Accounts, found: host_agents.InstalledAgent) -> User | None:
    """Return the user that the agent has when it is started anew; None: there is no such user."""
    account = accounts.user(found.user)
    if account is None:
        return None
    names = accounts.groups_of(account)
    if not found.program.running:
        names = (*names, *found.groups)  # those of its unit among them
    gids = tuple(gid for gid in map(accounts.gid, dict.fromkeys(names)) if gid is not None)
    return User(account.name, account.uid, account.gid, gids)


def _process(system: System, accounts: Accounts, running: Running) -> AgentProcess:
    account = accounts.user(str(running.uid))
    user = User(account.name if account else "", running.uid, running.gid, running.groups)
    return AgentProcess(running.pid, _started(system, running.pid), user)


def _started(system: System, pid: int) -> float:
    """Return when a process was started, in Unix seconds; now, if it has ended meanwhile."""
    try:
        _, _, seconds = read_stat(system.proc, str(pid))
        return time.time() - read_uptime(system.proc) + seconds
    except (OSError, ParseError):
        return time.time()
