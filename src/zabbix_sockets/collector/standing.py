"""Standing of rows: whose they are, by facts of their processes that a user can't choose.

These are the unit, by the cgroup's path, where root alone names those of the system; the real user;
and whether the process is in a pid namespace below ours, as in a container, where uid 0 need not be
the host's root. Source: proc(5), /proc/PID/cgroup and /proc/PID/status, which all may read unless
/proc hides processes.
"""

from __future__ import annotations

import os
from _collections_abc import Collection

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.places import Places
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.placement import Container, Placement
from zabbix_sockets.model.snapshot import (
    FIRST_USER_UID,
    SYSTEM_UNIT,
    SYSTEM_USER,
    USER,
    Snapshot,
    Standing,
)
from zabbix_sockets.readers.proc.process import read_user

_ASKED = 3
"""The most processes of a row that are looked at: those of the lowest uid, of these the oldest."""
_ONE_USER = 65_536
"""Uids from this one on count together, as one user's: /etc/subuid gives each user 65,536 of
them."""
_USERS_UNITS = ("user@", "session-")
"""The beginnings of units whose processes are a user's."""

_UNKNOWN = Standing(USER, "unknown")


class Standings:
    """The standings of a Snapshot's rows, looked up in /proc until the deadline of *context*."""

    def __init__(self, snapshot: Snapshot, context: CallContext) -> None:
        self._processes = snapshot.processes
        self._context = context
        self._known: dict[int, Standing] = {}  # by the process's index, as these
        self._uids: dict[int, int] = {}  # the lowest of its sockets
        for owner, uid in snapshot.uids.items():
            for index in snapshot.owners.get(owner, ()):
                self._uids[index] = min(uid, self._uids.get(index, uid))

    def of(self, members: Collection[int]) -> Standing | None:
        """Return the standing of a row, of the indices of its processes.

        It is that of the process that stands highest. None: the deadline has passed.
        """
        if self._context.deadline.passed():
            return None
        oldest = sorted(members, key=self._order)[:_ASKED]
        highest = min(map(self._of_process, oldest), default=_UNKNOWN)
        age = max((self._processes[index].age or 0.0 for index in members), default=0.0)
        return highest._replace(age=age)

    def unit(self, members: Collection[int]) -> str | None:
        """Return the safe name of the systemd unit of a row, of the indices of its processes.

        It is that of the processes that of() looks at. None: they are in none, in a container or in
        several, or the deadline has passed.
        """
        if self._context.deadline.passed():
            return None
        oldest = sorted(members, key=self._order)[:_ASKED]
        places = self._context.once(Places)
        placements = [places.of(self._processes[index]) for index in oldest]
        units = {each.unit if each and not each.container else "" for each in placements}
        unit = units.pop() if len(units) == 1 else ""
        return safe_name(os.fsencode(unit)) if unit else None

    def _order(self, index: int) -> tuple[int, float]:
        return self._uids.get(index, FIRST_USER_UID), -(self._processes[index].age or 0.0)

    def _of_process(self, index: int) -> Standing:
        """Return the standing of a process, which is asked for once: many rows may be its."""
        if index not in self._known:
            self._known[index] = self._find(index)
        return self._known[index]

    def _find(self, index: int) -> Standing:
        process = self._processes[index]
        placement = self._context.once(Places).of(process) or Placement()
        unit, container = placement
        if container:
            return Standing(USER, _share_of_container(container, unit))
        is_system_unit = unit.endswith((".service", ".socket")) and not unit.startswith(
            _USERS_UNITS
        )
        if not process.pid:  # a cgroup
            return Standing(SYSTEM_UNIT if is_system_unit else USER, _share_of_unit(unit))
        user = read_user(self._context.proc, process.pid)
        if user is None:
            return _UNKNOWN
        uid, is_nested = user
        if uid < FIRST_USER_UID and not is_nested:
            order = SYSTEM_UNIT if is_system_unit else SYSTEM_USER
            return Standing(order, f"uid {uid}" if uid else "")
        if is_system_unit and not is_nested:
            return Standing(SYSTEM_UNIT, _share_of_unit(unit))
        return Standing(USER, f"inner uid {uid}" if uid < FIRST_USER_UID else _share_of_user(uid))


def _share_of_container(container: Container, unit: str) -> str:
    """Return the name of the share of a container in *unit*: its own if root has made it.

    A user, and a service to which its cgroup is delegated, can imitate any number of containers.
    """
    if container.user is not None:
        return _share_of_user(container.user)
    if unit.endswith(".service"):
        return _share_of_unit(unit)
    return f"container {container.id or container.pod}"


def _share_of_unit(unit: str) -> str:
    """Return the name of the share of a unit; those below a user's manager have one."""
    return f"unit {unit.partition('/')[0]}"


def _share_of_user(uid: int) -> str:
    return f"uid {min(uid, _ONE_USER)}"
