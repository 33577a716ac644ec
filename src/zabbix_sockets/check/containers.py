"""Containers' names: whether an agent without privilege can learn them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from zabbix_sockets.check import permission
from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.line import Line, broken, degraded, ok, then
from zabbix_sockets.check.system import System
from zabbix_sockets.check.units import has_systemd, has_unit, last_words, state_of
from zabbix_sockets.model.container_names import (
    NAMES_FILE,
    NAMES_PATH_UNIT,
    NAMES_SERVICE,
    NAMES_TIMER,
)

CONTAINERS = "containers"

_STORES = {
    "docker": "/var/lib/docker/containers",
    "podman": "/var/lib/containers/storage/overlay-containers",
}
"""The folder in which each runtime has one for every container."""


def check_containers(system: System, agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the line of the file with containers' names."""
    runtimes = [name for name, folder in _STORES.items() if _has_containers(system, folder)]
    if not runtimes:
        yield ok(CONTAINERS, "docker and podman of the system's have none here")
        return
    said = " and ".join(runtimes)
    failed = _failed(system)
    if failed:
        yield failed
    elif not system.exists(NAMES_FILE):
        yield degraded(
            CONTAINERS,
            f"{said}: an agent without privilege can't learn the names of its containers, and"
            f" {NAMES_FILE}, from which it could, isn't there",
            f"systemctl enable --now {NAMES_PATH_UNIT} {NAMES_TIMER}"
            if has_unit(system, NAMES_PATH_UNIT)
            else "zabbix-sockets setup",
        )
    else:
        closed = _closed(system, agents)
        yield closed or ok(CONTAINERS, f"{said}: {NAMES_FILE} has the names, for agents to read")


def _has_containers(system: System, store: str) -> bool:
    """Whether a runtime's *store* has containers; also where the caller may not look."""
    try:
        with os.scandir(system.at(store)) as entries:
            return any(each.is_dir() for each in entries)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _failed(system: System) -> Line | None:
    """Return the line of the unit that writes the names, if that has failed."""
    if not has_systemd(system) or not has_unit(system, NAMES_SERVICE):
        return None
    for unit in (NAMES_SERVICE, NAMES_PATH_UNIT):
        if state_of(system, unit).get("ActiveState") == "failed":
            return broken(
                CONTAINERS,
                f"{unit} has failed: {last_words(system, unit) or 'its journal says nothing'}",
                f"systemctl reset-failed {NAMES_SERVICE} {NAMES_PATH_UNIT} && systemctl start"
                f" {NAMES_SERVICE}",
            )
    return None


def _closed(system: System, agents: Sequence[Agent]) -> Line | None:
    """Return the line of an agent whose user may not read the names; None if all may."""
    for agent in agents:
        user = agent.runs_as
        if not user:
            continue
        try:
            path = permission.obstacle(user, system.at(NAMES_FILE), permission.READ, system.root)
        except OSError:
            continue  # the caller may not look: it says so in its own line
        if path:
            shown, group = path[len(system.root) :], os.stat(path).st_gid
            said = f"{agent.name}'s user {user.name or user.uid} may not read {shown}"
            return broken(
                CONTAINERS,
                f"{said}, which is for the group with the id {group}",
                then("zabbix-sockets setup", agent.restart),
            )
    return None
