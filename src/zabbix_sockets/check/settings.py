"""An agent's configuration: whether it can be read, and lets the keys be asked for in time."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

from zabbix_sockets.check import access, permission
from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.keys import (
    COMMAND,
    KEYS,
    OUR_KEYS,
    check_command,
    check_keys,
    parameters_of,
)
from zabbix_sockets.check.line import Line, broken, degraded, ok, then, typed, unknown
from zabbix_sockets.check.system import System
from zabbix_sockets.check.units import has_systemd, last_words, state_of
from zabbix_sockets.host.zabbix_config import Setting
from zabbix_sockets.model.deadline import DEFAULT_SECONDS

CONFIG, TIMEOUT, ACCESS, UNSAFE, RESTART = "config", "timeout", "access", "unsafe", "restart"
"""The things, each behind the agent's name: "agent2 config"."""

NAMES = (CONFIG, KEYS, COMMAND, TIMEOUT, ACCESS, UNSAFE, RESTART)
"""Those of all lines of check_settings(), in their order."""

_ASKED = ("sockets.get[process]", "sockets.get", "sockets.discovery[listeners]",
          "sockets.count[nginx,tcp,listen]")  # fmt: skip
"""Keys as templates and people ask for them."""

_DEFAULT_TIMEOUT = 3
_CLOCKS_DIFFER = 1.0
"""Seconds: the kernel counts a process's start from boot, and a file's time by the clock."""
_LEAST_TIMEOUT = 3


def timeout_of(agent: Agent) -> int:
    """Return the seconds that *agent* waits for a command; 3 where its file doesn't say it well."""
    value = agent.value("Timeout", str(_DEFAULT_TIMEOUT))
    return int(value) if value.isascii() and value.isdecimal() and value else _DEFAULT_TIMEOUT


def check_settings(system: System, agent: Agent) -> Iterator[Line]:
    """Yield the lines of what the configuration of *agent* says: those named in NAMES."""
    closed = _closed_file(system, agent)
    yield _check_config(system, agent, closed)
    parameters = parameters_of(agent)
    if closed and closed in {each.path for each in parameters}:
        yield _closed(agent, KEYS, closed)
    else:
        yield check_keys(system, agent, parameters)
    if not parameters:
        return
    yield check_command(system, agent, parameters)
    yield _check_timeout(agent)
    yield _check_access(agent)
    yield _check_unsafe(agent)
    yield _check_restart(system, agent)


def _closed_file(system: System, agent: Agent) -> str:
    """Return the file of *agent*'s configuration, or the folder, that its user may not read.

    Empty: there is none, or the caller may not look; nor is it known without a unit that starts
    the agent as its user: started as root it reads its files as root.
    """
    if not agent.user:
        return ""
    for path in agent.files:
        try:
            closed = permission.obstacle(agent.user, system.at(path), permission.READ, system.root)
        except OSError:
            continue
        if closed:
            user = state_of(system, agent.unit).get("User", "") if agent.unit else ""
            return closed[len(system.root) :] if user not in ("", "root", "0") else ""
    return ""


def _closed(agent: Agent, name: str, path: str) -> Line:
    """Return the line of a *path* that the agent's user may not read, and what lets it.

    The agent's user may have written which file that is: only one beside the agent's own counts.
    """
    user, mend = agent.user, ""
    if path in {each.path for each in parameters_of(agent)}:
        mend = typed("chmod", "644", path)
    elif user and path.startswith(f"{os.path.dirname(agent.config)}/"):
        mend = then(typed("chgrp", str(user.gid), path), typed("chmod", "g+rX", path))
    return broken(
        f"{agent.name} {name}",
        f"{agent.name}'s user {user.name if user else ''} may not read {path}, so the agent doesn't"
        " start",
        then(mend, agent.restart) if mend else "",
    )


def _check_config(system: System, agent: Agent, closed: str) -> Line:
    """Return the line of the configuration as a whole: it can be read, and the agent has a user."""
    name = f"{agent.name} {CONFIG}"
    if agent.trouble and system.euid and os.strerror(errno.EACCES) in agent.trouble:
        return unknown(name, agent.trouble, "sudo zabbix-sockets check")
    if agent.trouble:
        path, _, reason = agent.trouble.partition(": ")
        mend = typed("mkdir", path) if reason == os.strerror(errno.ENOENT) else ""
        return broken(name, f"{agent.trouble}: the agent doesn't start", then(mend, agent.restart))
    if not agent.user:
        return broken(
            name,
            f"{agent.config}: there is no user for this agent to run as",
            "useradd --system --user-group --no-create-home zabbix",
        )
    if closed:
        return _closed(agent, CONFIG, closed)
    count = len(agent.files)
    files = f"{count} file{'s' * (count != 1)}"
    return ok(name, f"{agent.config}, {files}; runs as {agent.user.name}")


def _check_timeout(agent: Agent) -> Line:
    name, seconds = f"{agent.name} {TIMEOUT}", timeout_of(agent)
    if seconds >= _LEAST_TIMEOUT:
        return ok(name, f"Timeout={seconds}, and a call ends after {DEFAULT_SECONDS} s by itself")
    found = agent.all("Timeout")
    path = found[-1].path if found else agent.config
    return degraded(
        name,
        f"Timeout={seconds}: the agent kills a call after {seconds} s, which would end by itself"
        f" after {DEFAULT_SECONDS} s and say what it has",
        then(_set("Timeout", str(_LEAST_TIMEOUT), path), agent.restart),
    )


def _set(name: str, value: str, path: str) -> str:
    """Return the command that gives a setting which is in the file *path* another value."""
    return typed("sed", "-i", rf"s/^\s*{name}\s*=.*/{name}={value}/", path)


def _check_access(agent: Agent) -> Line:
    """Return the line of AllowKey and DenyKey, as the agent evaluates them."""
    name = f"{agent.name} {ACCESS}"
    settings = [each for each in agent.settings if each.name in (access.ALLOW, access.DENY)]
    rules = [access.KeyRule(each.name, each.value) for each in settings]
    for key in _ASKED:
        rule = access.deciding(key, rules)
        if rule and rule.setting == access.DENY:
            return broken(name, f"{rule} forbids {key}", _allow(agent, settings[rules.index(rule)]))
    return ok(name, "no DenyKey forbids the keys sockets.*")


def _allow(agent: Agent, denying: Setting) -> str:
    """Return the command that puts rules for our keys before the one that is denying."""
    rules = r"\n".join(f"AllowKey={key}\\nAllowKey={key}[*]" for key in OUR_KEYS)
    escaped = re.sub(r"([\\/.*\[\]^$])", r"\\\1", denying.value)
    place = rf"/^\s*{denying.name}\s*=\s*{escaped}\s*$/i {rules}"
    return then(typed("sed", "-i", place, denying.path), agent.restart)


def _check_unsafe(agent: Agent) -> Line:
    name = f"{agent.name} {UNSAFE}"
    found = agent.all("UnsafeUserParameters")
    if not found or found[-1].value != "1":
        return ok(name, "UnsafeUserParameters=0: no parameter brings a shell's characters along")
    return degraded(
        name,
        "UnsafeUserParameters=1: whoever may ask the agent runs any command as its user, by"
        " the parameters of sockets.count",
        then(_set("UnsafeUserParameters", "0", found[-1].path), agent.restart),
    )


def _check_restart(system: System, agent: Agent) -> Line:
    """Return the line of the agent's process: it runs, and since the files were last changed."""
    name = f"{agent.name} {RESTART}"
    if not agent.process:
        return _not_running(system, agent, name)
    changed = {path: _changed(system, path) for path in agent.files}
    since = agent.process.started + _CLOCKS_DIFFER
    newer = [path for path, at in changed.items() if at is not None and at > since]
    if newer:
        return broken(
            name,
            f"the agent runs since before {newer[0]} was changed: it reads that only at its start",
            agent.restart,
        )
    return ok(name, "the agent was started after its files were changed")


def _not_running(system: System, agent: Agent, name: str) -> Line:
    """Return the line of an agent that doesn't run, with what it said when it ended."""
    said = "the agent doesn't run, as far as can be seen"
    if not agent.unit or not has_systemd(system):
        start = typed(agent.program, "-c", agent.config) if agent.program else ""
        return broken(name, said, start)
    words = last_words(system, agent.unit)
    return broken(
        name, f"{said}: {words}" if words else said, typed("systemctl", "restart", agent.unit)
    )


def _changed(system: System, path: str) -> float | None:
    try:
        return os.stat(system.at(path)).st_mtime
    except OSError:
        return None
