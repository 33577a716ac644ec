"""What a grouping looks at beside a process's name: unit, container, user, command line.

Only the processes that hold sockets are asked, only for what is needed, and until the deadline.
"""

import os

from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.shared import Shared
from zabbix_sockets.model import gaps, shortage
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.names import HOST, NO_UNIT, UNNAMED, safe_name
from zabbix_sockets.model.placement import Placement
from zabbix_sockets.model.snapshot import Process, Query, Snapshot
from zabbix_sockets.readers.proc.passwd import read_users
from zabbix_sockets.readers.proc.process import is_hidden, read_command

_NEEDED = {
    "unit": ("container", gaps.CGROUPS),
    "container": ("container", gaps.CGROUPS),
    "user": ("user", gaps.HIDDEN_USERS),
    "command": ("command", gaps.HIDDEN_COMMANDS),
}
"""Which field of a Process is empty where what is needed was not seen, and what gap that is: an
owner outside of containers has a name for that, too."""

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
    kinds: set[str] = set()
    for index in sorted({index for members in snapshot.owners.values() for index in members}):
        if shared.deadline.passed():
            kinds.add(gaps.PLACES)
            break
        process = snapshot.processes[index] = facts.of(snapshot.processes[index])
        kinds |= _hidden(query, process)
    if facts.unread:
        snapshot.visibility.add_gap(gaps.COMMANDS, how_many=facts.unread)
        kinds.add(gaps.HIDDEN_COMMANDS)
    snapshot.visibility.gaps += map(Gap, sorted(kinds))


def _hidden(query: Query, process: Process) -> set[str]:
    """Return which kinds of gaps what *query* needs of *process* is; none if that has ended."""
    found = {
        kind
        for need, (field, kind) in _NEEDED.items()
        if need in query.needs and not getattr(process, field)
    }
    if not process.pid:
        return found & {gaps.CGROUPS}
    return found if found and is_hidden(query.proc, process.pid) else set()


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
