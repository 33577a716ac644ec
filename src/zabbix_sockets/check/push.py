"""Pushing: the service, the program that it calls, its keys, and what waits in its spool."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence

from zabbix_sockets.check import permission
from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.children import User, gather, start
from zabbix_sockets.check.distribution import install
from zabbix_sockets.check.line import Line, broken, degraded, ok, then, typed, unknown
from zabbix_sockets.check.push_service import GROUP, dynamic_user, own_servers, source_of
from zabbix_sockets.check.system import System
from zabbix_sockets.check.units import SEND_UNIT, has_systemd, has_unit, last_words, state_of
from zabbix_sockets.host.zabbix_config import TLS_FILES
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.paths import SPOOL_FILE, SPOOL_FOLDER
from zabbix_sockets.readers.groups import find_group
from zabbix_sockets.sending.spool import State, read_state
from zabbix_sockets.sending.transport import PROGRAM as SENDER_PROGRAM

PUSH, SENDER, PUSH_KEY, SPOOL = "push unit", "sender", "push key", "spool"

_FIRST_VERSION = 6
_VERSION = re.compile(r"(?<=\(Zabbix\) )([0-9]{1,3})\.[0-9.]{1,20}")
_PRIVATE = f"/var/lib/private/{SPOOL_FOLDER.rpartition('/')[2]}"
_LATE_SECONDS = 600
_WAIT_SECONDS = 0.3
_TO_TELL = 0.1
"""Seconds that are kept for the line of a spool whose reading hangs."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SET_UP = "zabbix-sockets setup --push --server ADDRESS --host NAME"
"""The command that has a host push which has not said where to."""
_FAILED = re.compile(r"failed(?! 0\b)|failed 0\b[^;]*: |^no document")
"""A status of sending.service that tells of a failure: values that were refused, or a reason why
they wait. What waits without a reason is on its way."""
_NO_CONNECTION = re.compile("unable to connect|cannot connect|connection refused", re.IGNORECASE)
_NOWHERE = "no ServerActive"
"""What `send` says of a configuration that names no server (sending.target)."""


def is_used(system: System) -> bool:
    """Whether this host pushes: its service is enabled or has been started."""
    if not has_unit(system, SEND_UNIT):
        return False
    state = state_of(system, SEND_UNIT)
    enabled = state.get("UnitFileState") in ("enabled", "enabled-runtime")
    return enabled or state.get("ActiveState") not in ("inactive", None)


def check_push(system: System, agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the lines of the service that pushes, and of what it needs; one where it isn't used."""
    if not has_systemd(system) or not is_used(system):
        yield ok(PUSH, f"not used: {SEND_UNIT} is not enabled")
        return
    state = state_of(system, SEND_UNIT)
    yield _check_unit(system, state, agents)
    yield _check_sender(system)
    yield from _check_keys(system, agents, state.get("Group") or GROUP)
    yield _check_spool(system)


def naming_a_server(agent: Agent | None) -> str:
    """Return in words what a host has to do that pushes, and has not said where to."""
    return (f"set ServerActive= in {agent.config}, or: " if agent else "") + SET_UP


def has_default_server(agent: Agent | None) -> bool:
    """Whether an agent names no server but this host, as the packages' files do."""
    value = agent.value("ServerActive") if agent else ""
    hosts = (each.strip() for each in value.split(","))
    return all(each in ("", *LOOPBACK) for each in hosts)


def _check_unit(system: System, state: Mapping[str, str], agents: Sequence[Agent]) -> Line:
    active, said, group = (state.get(each, "") for each in ("ActiveState", "StatusText", "Group"))
    if active != "active" and group and find_group(group) is None:
        return broken(
            PUSH,
            f"{SEND_UNIT} can't start: there is no group {group}",
            then(typed("groupadd", "--system", group), f"systemctl restart {SEND_UNIT}"),
        )
    if active == "failed":
        words = last_words(system, SEND_UNIT) or f"systemd says {state.get('Result', 'nothing')}"
        return _failed(state, agents, words)
    if active != "active":
        return broken(
            PUSH, f"{SEND_UNIT} is not started ({active})", f"systemctl start {SEND_UNIT}"
        )
    if _FAILED.search(said):
        return _not_pushed(state, agents, said)
    if state.get("UnitFileState") == "disabled":
        return degraded(
            PUSH, f"{SEND_UNIT} is not started at boot", f"systemctl enable {SEND_UNIT}"
        )
    return ok(PUSH, f"active; the last push: {said or 'none yet'}")


def _failed(state: Mapping[str, str], agents: Sequence[Agent], words: str) -> Line:
    """Return the line of the service that has ended with these last *words*."""
    said, agent = f"{SEND_UNIT} has failed: {words}", source_of(agents)
    if _NOWHERE in words and not own_servers(state) and has_default_server(agent):
        return broken(PUSH, f"{said}: {naming_a_server(agent)}", SET_UP)
    return broken(PUSH, said, f"systemctl restart {SEND_UNIT}")


def _not_pushed(state: Mapping[str, str], agents: Sequence[Agent], said: str) -> Line:
    """Return the line of the service that runs, and *said* that its last push has failed."""
    told, agent = f"the last push: {said}", source_of(agents)
    if _NO_CONNECTION.search(said) and not own_servers(state) and has_default_server(agent):
        return broken(PUSH, f"{told}: {naming_a_server(agent)}", SET_UP)
    return broken(PUSH, told, f"journalctl -u {SEND_UNIT} -n 20")


def _check_sender(system: System) -> Line:
    """Return the line of zabbix_sender, whose option -t is of Zabbix 6.0."""
    if not system.find(SENDER_PROGRAM):
        return broken(SENDER, f"there is no {SENDER_PROGRAM}", install(system, "zabbix-sender"))
    said = _VERSION.search(system.run(SENDER_PROGRAM, "-V").text)
    if said and int(said[1]) < _FIRST_VERSION:
        return broken(
            SENDER,
            f"{SENDER_PROGRAM} is of Zabbix {said[0]}, and {_FIRST_VERSION}.0 is the first that the"
            " service can use: take the package zabbix-sender of zabbix.com",
            install(system, "zabbix-sender"),
        )
    return ok(SENDER, f"{SENDER_PROGRAM} is there" + (f", of Zabbix {said[0]}" if said else ""))


def _check_keys(system: System, agents: Sequence[Agent], group: str) -> Iterator[Line]:
    """Yield the line of the files of TLS settings, which the service, in *group*, reads."""
    agent = source_of(agents)
    paths = {agent.value(name) for name in TLS_FILES} - {""} if agent else set()
    if not agent or not paths:
        return
    if has_credentials(system):
        yield ok(PUSH_KEY, "handed to the service by the drop-in credentials.conf")
        return
    user = dynamic_user(group)
    for path in sorted(paths):
        try:
            closed = permission.obstacle(user, system.at(path), permission.READ, system.root)
        except FileNotFoundError:
            yield broken(PUSH_KEY, f"{path}, of the agent's TLS settings, isn't there")
            return
        except OSError as error:
            yield unknown(
                PUSH_KEY, f"{error.filename}: {error.strerror}", "sudo zabbix-sockets check"
            )
            return
        if closed:
            shown = closed[len(system.root) :]
            yield broken(
                PUSH_KEY,
                f"the service runs as zabbix-sockets in group {group}, which may not read {shown}:"
                " let the group, or use the drop-in credentials.conf (docs/send.md)",
                _letting_read(agent, shown, group),
            )
            return
    yield ok(PUSH_KEY, f"{', '.join(sorted(paths))} may be read by the service")


def _letting_read(agent: Agent, path: str, group: str) -> str:
    """Return the command that lets *group*, the service's, read *path*; empty: it should not.

    The agent's user may have written which file that is: only one beside the agent's own counts.
    """
    if not path.startswith(f"{os.path.dirname(agent.config)}/"):
        return ""
    return then(typed("chgrp", group, path), typed("chmod", "g+rX", path))


def has_credentials(system: System) -> bool:
    """Whether a drop-in of the service hands it files of TLS settings."""
    folders = (f"/etc/systemd/system/{SEND_UNIT}.d", f"/run/systemd/system/{SEND_UNIT}.d")
    for folder in folders:
        try:
            names = os.listdir(system.at(folder))
        except OSError:
            continue
        if any("LoadCredential=tls-" in (system.read(f"{folder}/{name}") or "") for name in names):
            return True
    return False


def _check_spool(system: System) -> Line:
    """Return the line of the documents that wait."""
    paths = [f"{folder}/{SPOOL_FILE}" for folder in (SPOOL_FOLDER, _PRIVATE)]
    path = next(filter(system.exists, paths), "")
    if not path and not system.euid:
        return ok(SPOOL, "nothing waits: no document ever had to")
    try:
        return _spooled(_spool_of_owner(system.at(path), system.deadline))
    except sqlite3.Error as error:
        if system.euid:
            return unknown(SPOOL, "only root may look at it", "sudo zabbix-sockets check")
        return broken(SPOOL, f"{path}: {error}", f"systemctl restart {SEND_UNIT}")


def _spool_of_owner(path: str, deadline: Deadline) -> State:
    """Return the state of the spool at *path*, which root reads as the owner of its folder.

    That user may have put any database there, or a link: a child that has become the same user, and
    sees no other folder, finds nothing by it that the user has not.

    Raises:
        sqlite3.Error: it can't be read, or is no spool.
    """
    folder, name = os.path.split(path)
    try:
        owner = os.stat(folder or ".")
    except OSError as error:
        raise sqlite3.OperationalError(str(error)) from None
    if os.geteuid() or not owner.st_uid:
        return read_state(path, _WAIT_SECONDS)
    user = User("", owner.st_uid, owner.st_gid, ())
    child = start(lambda: [list(read_state(f"/{name}", _WAIT_SECONDS))], user, folder)
    (result,) = gather([child], Deadline(deadline.remaining() - _TO_TELL))
    if not result.values:
        raise sqlite3.OperationalError(result.fault or "it took too long to read")
    state = State(*result.values[0])
    if not all(isinstance(each, int) for each in (state.waiting, state.dropped, state.oldest or 0)):
        raise sqlite3.DatabaseError("it is no spool")
    return state


def _spooled(state: State) -> Line:
    said = f"{state.waiting} documents wait"
    if state.dropped:
        said += f", {state.dropped} were dropped so far"
    age = time.time() - state.oldest if state.oldest is not None else 0
    if age > _LATE_SECONDS:
        said += f", the oldest for {_shown(age)}"
    if age > _LATE_SECONDS or state.dropped:
        return degraded(SPOOL, said, f"journalctl -u {SEND_UNIT} -n 20")
    return ok(SPOOL, said if state.waiting else "nothing waits")


def _shown(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
