"""The pinned iterators: whether they are there, and whether the agents' users may read them."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator, Sequence

from zabbix_sockets.check import permission
from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.children import User
from zabbix_sockets.check.line import Line, broken, degraded, ok, then, typed, unknown
from zabbix_sockets.check.system import System
from zabbix_sockets.check.units import load_command
from zabbix_sockets.readers.bpf.pinned import is_bpffs
from zabbix_sockets.readers.bpf.records import (
    COUNT_MINISOCKS,
    COUNT_SOCKETS,
    PROGRAMS,
    pin_path,
    why_kernel_cannot,
)
from zabbix_sockets.readers.proc.mounts import read_mounts

PINS = "pins"


def check_pins(system: System, agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the line of the pins, or one for each agent that can't read those that are there."""
    folder = system.at(system.pins)
    lacking = _lacking(system, folder) or _lacking_minisocks(system, folder)
    if lacking:
        yield lacking
        return
    lines = [line for each in agents for line in _check_agent(system, folder, each)]
    yield from lines
    if not lines:
        readers = " and ".join(f"{each.name}'s user" for each in agents if each.runs_as)
        said = f"loaded into {system.pins}"
        yield ok(PINS, f"{said}; {readers} may read them" if readers else said)


def _lacking(system: System, folder: str) -> Line | None:
    """Return the line of pins that are not there, all and of this version, and in a bpffs.

    None if they are.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        names = []
    except OSError as error:
        return unknown(PINS, f"{system.pins}: {error.strerror}", "sudo zabbix-sockets check")
    missing = [each for each in PROGRAMS if os.path.basename(pin_path("", each)) not in names]
    if missing and any(name.startswith(f"{COUNT_SOCKETS}-v") for name in names):
        return broken(
            PINS,
            f"those in {system.pins} are of another version: until they are loaded again, sockets"
            " are read by sock_diag",
            load_command(system).replace("restart", "reload"),
        )
    if missing:
        cannot = why_kernel_cannot()
        if cannot:
            return ok(PINS, f"not used: {cannot}")
        return degraded(
            PINS,
            f"no BPF iterators are loaded into {system.pins}: an agent without privilege sees"
            " every socket, but not whose it is",
            load_command(system),
        )
    if not is_bpffs(folder, system.proc):
        said = f"{system.pins} is no bpffs, so what is in it are no iterators"
        return broken(PINS, said, load_command(system))
    return None


def _lacking_minisocks(system: System, folder: str) -> Line | None:
    """Return the line of pins without the one that `load` leaves out where it can't be loaded."""
    if os.path.exists(pin_path(folder, COUNT_MINISOCKS)):
        return None
    return degraded(
        PINS,
        f"those in {system.pins} lack the one of sockets in TIME_WAIT, which are read by netlink,"
        " and that takes longer: this kernel refused it, which a load says, or it is an older load",
        load_command(system).replace("restart", "reload"),
    )


def _check_agent(system: System, folder: str, agent: Agent) -> Iterator[Line]:
    """Yield the line of pins that *agent* can't read; none if it can."""
    user = agent.runs_as
    found = _unreadable(system, folder, user) if user else None
    if user and found:
        yield _mended(system, agent, user, found)
    elif agent.process and _is_hidden(system, agent.process.pid):
        yield broken(
            PINS,
            f"{agent.name} was started in a mount namespace that doesn't show {system.pins}",
            agent.restart,
        )


def _unreadable(system: System, folder: str, user: User) -> str | None:
    """Return the pin, or the folder on the way, that *user* may not read; None: all may be read."""
    for program in (*PROGRAMS, COUNT_MINISOCKS):
        try:
            path = permission.obstacle(
                user, pin_path(folder, program), permission.READ, system.root
            )
        except OSError as error:
            path = error.filename
        if path:
            return str(path)
    return None


def _mended(system: System, agent: Agent, user: User, path: str) -> Line:
    """Return the line for a *path* that keeps *user*, as which *agent* runs, from the pins."""
    shown = path[len(system.root) :]
    said = f"{agent.name}'s user {user.name or user.uid} may not read {shown}"
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        return broken(PINS, said, typed("chmod", "a+rx", shown))
    if not status.st_gid or not status.st_mode & stat.S_IRGRP:
        load = typed("zabbix-sockets", "load", "--group", _group_name(user.gid))
        return broken(PINS, f"{said}: nobody but root may", load)
    group = _group_name(status.st_gid)
    if agent.process and agent.user and permission.may(agent.user, permission.READ, status):
        return broken(
            PINS, f"{said}: it was started before it was in the group {group}", agent.restart
        )
    add = typed("usermod", "-aG", group, user.name) if user.name else ""
    return broken(
        PINS,
        f"{said}: it is not in the group {group}, which they are for",
        then(add, agent.restart) if add else "",
    )


def _is_hidden(system: System, pid: int) -> bool:
    """Whether the folder of the pins is a mount here, and not where the process *pid* is.

    False where the caller may not look at that process.
    """

    def mounted(process: str) -> list[bytes]:
        path = system.at(system.pins)
        return [each.filesystem for each in read_mounts(system.proc, process) if each.path == path]

    theirs = list(read_mounts(system.proc, str(pid)))
    return bool(theirs) and mounted("self")[-1:] == [b"bpf"] != mounted(str(pid))[-1:]


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
