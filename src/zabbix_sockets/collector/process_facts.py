"""What a grouping looks at beside a process's name: unit, container, user, command line.

Only the processes that hold sockets are asked, only for what is needed, and until the deadline.
"""

import os

from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.shared import Shared
from zabbix_sockets.model import shortage
from zabbix_sockets.model.names import HOST, NO_UNIT, UNNAMED, safe_name
from zabbix_sockets.model.placement import Placement
from zabbix_sockets.model.snapshot import Process, Query, Snapshot, Visibility
from zabbix_sockets.readers.proc.passwd import read_users
from zabbix_sockets.readers.proc.process import is_hidden, read_command

_ROOT_CGROUP = 1  # also what every process has where cgroup v2 is not used
_COMMAND = 32_768
"""As many characters of a command line as a rule looks at; one is four bytes at most."""
_USER_COMMANDS = 4_000_000
"""Characters of the different command lines of one user's processes together."""


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
            break
        process = snapshot.processes[index] = facts.of(snapshot.processes[index])
        _note_hidden(snapshot.visibility, query, process)
    if facts.unread:
        what = f"{facts.unread} command lines were not read: their user's are very long together"
        snapshot.visibility.warnings.append(what)
        snapshot.visibility.hidden_facts.add("command")


def _note_hidden(visibility: Visibility, query: Query, process: Process) -> None:
    """Note what of *process* is needed and could not be looked at, unless it has ended."""
    unplaced = bool(query.needs & {"unit", "container"}) and not process.container
    unknown = {name for name in query.needs & {"user", "command"} if not getattr(process, name)}
    if not process.pid:
        visibility.unplaced |= unplaced
    elif (unplaced or unknown) and is_hidden(query.proc, process.pid):
        visibility.unplaced |= unplaced
        visibility.hidden_facts |= unknown


class _Facts:
    """The facts of processes; what several share is read once.

    Attributes:
        unread: how many command lines were left out, since those of their user are too long.
    """

    def __init__(self, query: Query, shared: Shared) -> None:
        self._proc = query.proc
        self._needs = query.needs
        self._shared = shared
        self._users: dict[int, bytes] | None = None
        self._commands: dict[int | None, dict[str, str]] = {}  # of each user, the different ones
        self._lengths: dict[int | None, int] = {}
        self.unread = 0
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
            process = process._replace(command=self._command(process))
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

    def _command(self, process: Process) -> str:
        """Return the command line of a process as far as rules look at it.

        A user may have thousands of processes with one of megabytes each: beyond what all of a
        user's may have together it is empty.
        """
        length = self._lengths.get(process.uid, 0)
        if length >= _USER_COMMANDS:
            self.unread += 1
            return ""
        data = read_command(self._proc, process.pid, 4 * _COMMAND)
        known = self._commands.setdefault(process.uid, {})
        command = os.fsdecode(data)[:_COMMAND]
        if command not in known:
            known[command] = command
            self._lengths[process.uid] = length + len(command)
        return known[command]

    def _with_user(self, process: Process) -> Process:
        try:
            uid = os.stat(f"{self._proc}/{process.pid}").st_uid
        except OSError as error:
            shortage.note(error)
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
