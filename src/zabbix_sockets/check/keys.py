"""The keys that an agent's configuration gives it, and the commands that they call."""

from __future__ import annotations

import os
import re
import shlex
from typing import NamedTuple

from zabbix_sockets.check import permission
from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.children import User
from zabbix_sockets.check.line import Line, broken, degraded, ok, then, typed, unknown
from zabbix_sockets.check.system import System
from zabbix_sockets.host import own_files
from zabbix_sockets.host.agents import KEYS_FILE

KEYS, COMMAND = "keys", "command"
"""The things, each behind the agent's name: "agent2 keys"."""

OUR_KEYS = ("sockets.get", "sockets.discovery", "sockets.count")

_PARAMETER = "UserParameter"
_SETUP = "zabbix-sockets setup"
_FOLDERS = ("{stem}.d", "{stem}.conf.d", "{stem}.d/plugins.d")
"""Folders of parts, by the name of the agent's file, as packages have them."""
_PACKAGED = ("/usr/lib/zabbix-sockets", "/usr/share/zabbix-sockets")
"""The folders of a package of this program: its code, and what an administrator may copy."""
_OUR_FILES = (KEYS_FILE, "zabbix_sockets_sudo.conf")
_OUR_CALL = re.compile(r"(?:/zabbix-sockets|-m zabbix_sockets)(?= )")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SUDO_OPTION = re.compile(r"-\w")


class Parameter(NamedTuple):
    """A UserParameter: its key without brackets, its command, and the path of its file."""

    key: str
    command: str
    path: str


def parameters_of(agent: Agent) -> list[Parameter]:
    """Return the UserParameters of *agent* that have our keys, in order."""
    found = []
    for each in agent.all(_PARAMETER):
        key, _, command = each.value.partition(",")
        name = key.partition("[")[0].strip()
        if name in OUR_KEYS:
            found.append(Parameter(name, command, each.path))
    return found


def check_keys(system: System, agent: Agent, parameters: list[Parameter]) -> Line:
    """Return the line of our keys: each there once, in files that the agent includes."""
    name = f"{agent.name} {KEYS}"
    by_key = {key: [each for each in parameters if each.key == key] for key in OUR_KEYS}
    twice = next((each for each in by_key.values() if len(each) > 1), None)
    if twice:
        first, second = (each.path for each in twice[:2])
        where = f"twice in {first}" if first == second else f"in {first} and in {second}"
        mend = typed("nano", first) if first == second else typed("rm", _less_ours(first, second))
        return broken(
            name,
            f"{twice[0].key} is {where}: an agent with a key twice doesn't start",
            then(mend, agent.restart),
        )
    missing = [key for key, found in by_key.items() if not found]
    if not missing:
        said = f"{', '.join(OUR_KEYS)} are in {parameters[0].path}"
        shipped = _shipped()
        differs = shipped and {_call_of(each) for each in parameters} != shipped
        return ok(name, f"{said}, in other words than this version's" if differs else said)
    if parameters:
        return degraded(
            name,
            f"{parameters[0].path} lacks {', '.join(missing)}: it is of another version, or cut",
            _SETUP,
        )
    return _not_included(system, agent, name)


def _call_of(parameter: Parameter) -> str:
    """Return the verb and the arguments with which a key's command calls this package.

    Empty if it calls something else.
    """
    found = _OUR_CALL.search(parameter.command)
    return parameter.command[found.end() :] if found else ""


def _shipped() -> set[str]:
    """Return the calls of this version's own file of keys, as _call_of() has them."""
    try:
        with open(own_files.conf_path(KEYS_FILE), encoding="utf-8") as file:
            lines = [line for line in file if line.startswith(f"{_PARAMETER}=")]
    except OSError:
        return set()
    return {line.rstrip("\n").rpartition(own_files.COMMAND)[2] for line in lines}


def _less_ours(first: str, second: str) -> str:
    """Return the file to remove of two with our keys: *second*, if *first* has the usual name."""
    return first if os.path.basename(first) != _OUR_FILES[0] else second


def _not_included(system: System, agent: Agent, name: str) -> Line:
    """Return the line of an agent that has none of our keys."""
    folder = os.path.dirname(agent.config)
    stem, _ = os.path.splitext(os.path.basename(agent.config))
    folders = [each.format(stem=stem) for each in _FOLDERS]
    for inner in (*folders, ""):
        for file in _OUR_FILES:
            path = os.path.normpath(os.path.join(folder, inner, file))
            if system.exists(path) and path not in agent.files:
                parts = f"{os.path.dirname(path)}/*.conf" if inner else path
                again = then(_include(agent, parts), agent.restart)
                return broken(
                    name,
                    f"{path} is there, but no Include of {agent.config} reaches it",
                    _SETUP if agent.include_folder else again,
                )
    where = agent.no_folder or f"they belong into {agent.include_folder}"
    return broken(
        name,
        f"no file of the agent's has the keys sockets.*: {where}",
        then(_place(system, agent, [f"{folder}/{each}" for each in folders]), _SETUP),
    )


def _place(system: System, agent: Agent, folders: list[str]) -> str:
    """Return the command that has *agent* include one of *folders*; empty: it has a place."""
    if agent.include_folder or agent.trouble:
        return ""
    there = next(filter(system.exists, folders), "")
    make = "" if there else typed("mkdir", folders[0])
    return then(make, _include(agent, f"{there or folders[0]}/*.conf"))


def _include(agent: Agent, parts: str) -> str:
    """Return the command that adds the line which includes *parts*."""
    return f"{typed('echo', f'Include={parts}')} >> {typed(agent.config)}"


def check_command(system: System, agent: Agent, parameters: list[Parameter]) -> Line:
    """Return the line of the commands of our keys: the agent's user may execute each."""
    name = f"{agent.name} {COMMAND}"
    user = agent.runs_as
    for each in parameters:
        program = _program_of(each.command)
        if not program.startswith("/"):
            return degraded(
                name,
                f"{each.path}: {program or 'an empty command'} is no absolute path, so the agent's"
                " environment decides what it is",
                _SETUP,
            )
        try:
            closed = user and permission.obstacle(
                user, system.at(program), permission.EXECUTE, system.root
            )
        except FileNotFoundError:
            return broken(name, f"{each.path}: there is no {program}", _SETUP)
        except OSError as error:
            said = f"{error.filename}: {error.strerror}"
            return unknown(name, f"{each.path}: {said}", "sudo zabbix-sockets check")
        if closed and user:
            shown = closed[len(system.root) :]
            return broken(
                name,
                f"{agent.name}'s user {user.name or user.uid} may not execute {program}, because of"
                f" {shown}: it was installed with a umask that keeps others out, or where others"
                " may not look",
                own_files.opening(shown) or _SETUP,
            )
    program, own = _program_of(parameters[0].command), own_files.command().split()[0]
    code = closed_code(system, user) if user else None
    if code and (program == own or (program == own_files.COMMAND and code.is_packaged)):
        return broken(
            name,
            f"{agent.name}'s user may not read {code.path}, which the command needs: it was"
            " installed with a umask that keeps others out, or where others may not look",
            code.mend,
        )
    other = "" if program == own else f"; this check is of another installation, {own}"
    return ok(name, f"{program} may be executed{other}")


class ClosedCode(NamedTuple):
    """A path of this installation that a user may not read, and the command that opens it."""

    path: str
    mend: str

    @property
    def is_packaged(self) -> bool:
        """Whether the path is of a package's code."""
        return self.path == _PACKAGED[0] or self.path.startswith(f"{_PACKAGED[0]}/")


def closed_code(system: System, user: User) -> ClosedCode | None:
    """Return the file or folder of this installation that *user* may not read; None: none seen."""
    try:
        closed = permission.obstacle(
            user, f"{system.package}/version.py", permission.READ, system.root
        )
    except OSError:
        return None
    if not closed:
        return None
    path = (closed if os.path.isdir(closed) else system.package)[len(system.root) :]
    code = ClosedCode(path, own_files.opening(path))
    opening = typed("chmod", "-R", "go+rX", *_PACKAGED)
    return code._replace(mend=opening) if code.is_packaged else code


def _program_of(command: str) -> str:
    """Return the program that a shell runs for *command*: behind assignments, and behind sudo."""
    try:
        words = shlex.split(command, comments=False)
    except ValueError:
        words = command.split()
    text = command.partition(";")[2] if ";" in command.partition(" ")[0] else ""
    if text:  # by="$1"; sudo ...
        return _program_of(text)
    while words and (
        _ASSIGNMENT.match(words[0])
        or os.path.basename(words[0]) == "sudo"
        or _SUDO_OPTION.fullmatch(words[0])
    ):
        words = words[1:]
    return words[0] if words else ""
