"""The facts of processes that groupings need: unit, container, user, command line.

They are read of the processes that hold sockets alone, only those needed, and until the deadline.
"""

from __future__ import annotations

import os

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.places import Places
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
"""By a fact that a query needs: the field of Process that is empty where the fact could not be
seen, and the kind of gap that this is. (No field is empty for a fact that is not there: an owner
outside of containers has a name for that in its field.)"""

_COMMAND = 32_768
"""The number of characters of a command line that rules look at; one is four bytes at most."""
_USER_COMMANDS = 4_000_000
"""The number of characters of one user's different command lines together, after which no more of
that user's are read."""


def fill_in(snapshot: Snapshot, query: Query, context: CallContext) -> None:
    """Fill in the fields of the Snapshot's processes that *query* needs.

    Processes that could not be read before the deadline of *context*, since a user may have
    thousands of them, keep empty fields, and the Snapshot has a gap of the kind PLACES.
    """
    if not query.needs:
        return
    facts = _Facts(query, context)
    kinds: set[str] = set()
    for index in sorted({index for members in snapshot.owners.values() for index in members}):
        if context.deadline.passed():
            kinds.add(gaps.PLACES)
            break
        process = snapshot.processes[index] = facts.of(snapshot.processes[index])
        kinds |= _hidden(query, process)
    _fill_in_of_connected(snapshot, facts, context)
    snapshot.counted = [
        each._replace(process=facts.of_counted(each.process)) for each in snapshot.counted
    ]
    if facts.unread:
        snapshot.visibility.add_gap(gaps.UNREAD_COMMANDS, how_many=facts.unread)
    snapshot.visibility.gaps += map(Gap, sorted(kinds))


def _fill_in_of_connected(snapshot: Snapshot, facts: _Facts, context: CallContext) -> None:
    """Fill in the fields of processes that hold nothing but connected unix sockets.

    They come last, and what can't be seen of them is no gap: no row is theirs alone.
    """
    if not snapshot.unix:
        return
    known = {index for members in snapshot.owners.values() for index in members}
    others = {index for members in snapshot.unix.owners.values() for index in members} - known
    for index in sorted(others):
        if context.deadline.passed():
            snapshot.visibility.add_gap(gaps.UNIX)
            return
        snapshot.processes[index] = facts.of(snapshot.processes[index])


def _hidden(query: Query, process: Process) -> set[str]:
    """Return the kinds of gaps for the facts of *process* that *query* needs and /proc hides.

    None for a process that has ended.
    """
    found = {
        kind
        for need, (field, kind) in _NEEDED.items()
        if need in query.needs and not getattr(process, field)
    }
    if not process.pid:
        return found & {gaps.CGROUPS}
    return found if found and is_hidden(query.proc, process.pid) else set()


class _Facts:
    """The facts of processes; the names of users, units and containers are read once.

    Attributes:
        unread: the number of command lines that were not read, since those of their user are too
            long together.
        places: units or containers are needed.
    """

    def __init__(self, query: Query, context: CallContext) -> None:
        self._proc = query.proc
        self._needs = query.needs
        self._context = context
        self._users: dict[int, bytes] | None = None
        self._commands: dict[int | None, dict[str, str]] = {}  # of each user, the different ones
        self._lengths: dict[int | None, int] = {}
        self.unread = 0
        self.places = bool(query.needs & {"unit", "container"})

    def of(self, process: Process) -> Process:
        """Return *process* with the fields that the query needs; unknown ones stay empty."""
        if self.places:
            placement = self._context.once(Places).of(process)
            if placement:
                process = process._replace(
                    unit=self._unit(placement), container=self._container(placement)
                )
        if process.pid and self._needs & {"user", "uid"}:
            process = self._with_user(process)
        if process.pid and "command" in self._needs:
            process = process._replace(command=self._command(process))
        return process

    def of_counted(self, process: Process) -> Process:
        """Return a Process without a pid, that stands for others, with what the query needs.

        The unit and the container of a cgroup that is gone stay empty.
        """
        process = self.of(process)
        if process.uid is None or "user" not in self._needs:
            return process
        return process._replace(user=self._user_name(process.uid))

    @staticmethod
    def _unit(placement: Placement) -> str:
        return safe_name(os.fsencode(placement.unit)) if placement.unit else NO_UNIT

    def _container(self, placement: Placement) -> str:
        if placement.container is None:
            return HOST
        return self._context.once(Places).container_name(placement.container) or UNNAMED

    def _command(self, process: Process) -> str:
        """Return the beginning of a process's command line, as far as rules look at it.

        It is empty once the user's different command lines are too long together (_USER_COMMANDS):
        a user may have thousands of processes with a command line of megabytes each.
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
        return process._replace(uid=uid, user=self._user_name(uid))

    def _user_name(self, uid: int) -> str:
        if self._users is None:
            self._users = _read_names()
        name = self._users.get(uid)
        return f"uid {uid}" if name is None else safe_name(name)


def _read_names() -> dict[int, bytes]:
    """Return the names of the local users by their uids."""
    names: dict[int, bytes] = {}
    for user in read_users():
        names.setdefault(user.uid, user.name)
    return names
