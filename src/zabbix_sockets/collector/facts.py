"""What a grouping looks at beside a process's name: unit, container, user, command line.

Only the processes that hold sockets are asked, only for what is needed, and until the deadline.
"""

import os

from zabbix_sockets.cgroups import Placement
from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.shared import Shared
from zabbix_sockets.model import Process, Query, Snapshot
from zabbix_sockets.names import HOST, NO_UNIT, UNNAMED, safe_name
from zabbix_sockets.readers.passwd import read_users
from zabbix_sockets.readers.process import read_command

_ROOT_CGROUP = 1  # also what every process has where cgroup v2 is not used
_COMMAND_BYTES = 1 << 17
"""As many as the characters that a rule looks at may have, four each (rules.MAX_MATCHED)."""


def complete(snapshot: Snapshot, query: Query, shared: Shared) -> None:
    """Fill in the fields of the Snapshot's processes that *query* needs.

    A user may have thousands of processes. Of those that could not be asked before the deadline
    nothing is known, and the Snapshot says so.
    """
    if not query.needs:
        return
    facts = _Facts(query, shared)
    for index in sorted({index for members in snapshot.owners.values() for index in members}):
        if shared.deadline.passed():
            snapshot.visibility.places_complete = False
            return
        process = snapshot.processes[index] = facts.of(snapshot.processes[index])
        snapshot.visibility.unplaced |= facts.places and not process.container


class _Facts:
    """The facts of processes; what several share is read once."""

    def __init__(self, query: Query, shared: Shared) -> None:
        self._proc = query.proc
        self._needs = query.needs
        self._shared = shared
        self._users: dict[int, bytes] | None = None
        self.places = bool(query.needs & {"unit", "container"})

    def of(self, process: Process) -> Process:
        """Return *process* with what is needed; what can't be known stays empty."""
        if self.places:
            placement = self._placement(process)
            if placement:
                process = process._replace(
                    unit=self._unit(placement), container=self._container(placement)
                )
        if process.pid and self._needs & {"user", "uid"}:
            process = self._with_user(process)
        if process.pid and "command" in self._needs:
            command = read_command(self._proc, process.pid, _COMMAND_BYTES)
            process = process._replace(command=os.fsdecode(command))
        return process

    def _placement(self, process: Process) -> Placement | None:
        places = self._shared.once(Places)
        if process.cgroup > _ROOT_CGROUP:
            found = places.of_cgroup(process.cgroup)
            if found or not process.pid:
                return found
        return places.of_process(process.pid) if process.pid else Placement()

    @staticmethod
    def _unit(placement: Placement) -> str:
        return safe_name(os.fsencode(placement.unit)) if placement.unit else NO_UNIT

    def _container(self, placement: Placement) -> str:
        if placement.container is None:
            return HOST
        return self._shared.once(Places).container_name(placement.container) or UNNAMED

    def _with_user(self, process: Process) -> Process:
        try:
            uid = os.stat(f"{self._proc}/{process.pid}").st_uid
        except OSError:
            return process
        if self._users is None:
            self._users = _read_names()
        name = self._users.get(uid)
        return process._replace(uid=uid, user=f"uid {uid}" if name is None else safe_name(name))


def _read_names() -> dict[int, bytes]:
    """Return the names of the local users by their uids."""
    names: dict[int, bytes] = {}
    for user in read_users():
        names.setdefault(user.uid, user.name)
    return names
