"""The part of the plan for agents: the file of keys, and what makes an agent use it."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Collection

from zabbix_sockets.host.agents import KEYS_FILE, InstalledAgent
from zabbix_sockets.host.programs import Program
from zabbix_sockets.host.zabbix_config import fits
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.readers.proc.process import read_stat
from zabbix_sockets.setup.actions import TO_DO, Action, RemoveFile, WriteFile
from zabbix_sockets.setup.membership import has_group, join_group
from zabbix_sockets.setup.record import FILE
from zabbix_sockets.setup.restarts import add_restart
from zabbix_sockets.setup.scene import Part, Scene

_USER_PARAMETER = re.compile(r"^UserParameter=(.*)$", re.MULTILINE)
_CLOCKS_DIFFER = 1.0  # seconds


def plan_keys(scene: Scene) -> Part:
    """Return the files with the agents' keys and their groups, and what is in their way."""
    part = Part()
    written: dict[str, Action] = {}
    for agent in scene.agents:
        path = _target(scene, agent, part)
        if path is None:
            continue
        if path not in written:
            written[path] = _write(scene, agent, path)
            part.actions.append(written[path])
        member = join_group(scene, agent.program)
        part.actions += member
        is_new = any(each.state == TO_DO for each in (written[path], *member))
        fits_now = has_group(scene, agent.program) and started_after(scene, agent.program, path)
        if is_new or not fits_now:
            add_restart(scene, part, agent.program, _addresses_of(agent))
    _remove_unread(scene, part, written)
    return part


def _target(scene: Scene, agent: InstalledAgent, part: Part) -> str | None:
    """Return where the agent's keys belong; None, and a fault or note in *part*: nowhere.

    Keys that it has in another file stay there: the same key twice keeps an agent from starting.
    """
    if agent.include_folder is None:
        part.faults.append(agent.no_folder)
        return None
    path = os.path.join(agent.include_folder, KEYS_FILE)
    unsafe = _why_not_into(scene, agent, agent.include_folder)
    if unsafe:
        part.faults.append(unsafe)
        return None
    holders = _holders(scene, agent)
    if path in holders[1:]:
        holders = [path, *(each for each in holders if each != path)]
    if len(holders) > 1:
        left = [each for each in holders[1:] if not _takes_away(scene, part, each)]
        part.faults += [
            f"{holders[0]} and {each} have the same key, with which no agent starts:"
            f" {shlex.join(['rm', each])}"
            for each in left
        ]
        return None if left else holders[0]
    if not holders or os.path.basename(holders[0]) == KEYS_FILE:
        return holders[0] if holders else path
    part.notes.append(
        f"{agent.config_path} has its keys sockets.* from {holders[0]}, which is kept"
    )
    return None


def _why_not_into(scene: Scene, agent: InstalledAgent, folder: str) -> str:
    """Return in words why root does not write into *folder* for *agent*; empty: it may."""
    named_by = [each.path for each in agent.program.config.includes if each.folder == folder]
    if any(scene.may_name(each, folder, agent.user) for each in named_by):
        return ""
    return (
        f"{named_by[0]}, which others than root may change, includes {folder}, where other programs"
        " may read what is written: look whether that is meant, and let root alone write both"
    )


def _holders(scene: Scene, agent: InstalledAgent) -> list[str]:
    """Return the files of the agent's configuration that have keys of this package.

    The first one, and each other one that has a key which is in one before it, too.
    """
    ours = {_key(each) for each in _USER_PARAMETER.findall(scene.own.shipped(KEYS_FILE).decode())}
    known: dict[str, str] = {}
    found: dict[str, None] = {}
    for each in agent.user_parameters:
        key = _key(each.value)
        if key in ours and (not found or known.get(key, each.path) != each.path):
            found[each.path] = None
        if key in ours:
            known.setdefault(key, each.path)
    return list(found)


def _key(parameter: str) -> str:
    """Return the key of a setting UserParameter, without its parameters."""
    return parameter.partition(",")[0].partition("[")[0].strip()


def _takes_away(scene: Scene, part: Part, path: str) -> bool:
    """Add the removal of the keys' file *path* to *part*, if setup wrote it; return whether."""
    if os.path.basename(path) != KEYS_FILE:
        return False
    gone = RemoveFile(scene.machine, path, is_ours=scene.is_ours(KEYS_FILE, path))
    if gone.state == TO_DO and gone.command not in {each.command for each in part.actions}:
        part.actions.append(gone)
    return gone.state == TO_DO


def _remove_unread(scene: Scene, part: Part, targets: Collection[str]) -> None:
    """Add the removal of each keys' file that setup wrote, and that no agent includes any more."""
    if not all(each.include_folder for each in scene.agents):
        return  # its configuration is broken, or may not be read
    read = {path for agent in scene.agents for path in agent.program.config.files}
    for entry in scene.record.entries:
        if entry.kind == FILE and entry.name not in {*targets, *read}:
            _takes_away(scene, part, entry.name)


def _write(scene: Scene, agent: InstalledAgent, path: str) -> WriteFile:
    """Return the action that writes the keys to *path*; nothing is put beside it that is read."""
    includes = [
        each for each in agent.program.config.includes if each.folder == os.path.dirname(path)
    ]
    harmful = any(fits(each, f"{KEYS_FILE}.new", agent.program.syntax) for each in includes)
    return scene.copy(KEYS_FILE, path, beside=not harmful)


def started_after(scene: Scene, program: Program, path: str) -> bool:
    """Whether the process of *program* started after the file *path* was written."""
    if program.pid is None:
        return False
    try:
        _, _, started = read_stat(scene.machine.path("/proc"), str(program.pid))
        changed = os.stat(scene.machine.path(path)).st_ctime
    except (OSError, SocketsError):
        return True  # it has ended
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return changed < boot + started + _CLOCKS_DIFFER


def _addresses_of(agent: InstalledAgent) -> list[tuple[str, int]]:
    """Return where the agent listens; none: it doesn't."""
    if not agent.answers_passively:
        return []
    given = [each for each in agent.listen_ips if each not in {"0.0.0.0", "::"}]  # noqa: S104  # for all
    return [(each, agent.listen_port) for each in given or ["127.0.0.1", "::1"]]
