"""What a grouping looks at beside a process's name: unit, container, user, command line.

Only the processes that hold sockets are asked, and only for what is needed.
"""

import os

from zabbix_sockets.cgroups import Container, Placement, parse_path
from zabbix_sockets.model import Process, Query, Snapshot, Visibility
from zabbix_sockets.names import HOST, NO_UNIT, UNNAMED, safe_name
from zabbix_sockets.readers.cgroup import CgroupTree, find_mount, read_placement
from zabbix_sockets.readers.containers import container_name
from zabbix_sockets.readers.process import is_hidden, read_bytes

_ROOT_CGROUP = 1  # also what every process has where cgroup v2 is not used


def complete(snapshot: Snapshot, query: Query) -> None:
    """Fill in the fields of the Snapshot's processes that *query* needs."""
    if not query.needs:
        return
    facts = _Facts(query)
    for index in {index for members in snapshot.owners.values() for index in members}:
        process = snapshot.processes[index] = facts.of(snapshot.processes[index])
        _note_hidden(snapshot.visibility, query, process)


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
    """The facts of processes; what several share is read once."""

    def __init__(self, query: Query) -> None:
        self._proc = query.proc
        self._needs = query.needs
        self._placements: dict[int, Placement | None] = {}
        self._containers: dict[Container, str] = {}
        self._users: dict[int, str] | None = None
        self._tree: CgroupTree | None = None
        self.places = bool(query.needs & {"unit", "container"})
        if self.places:
            mount = find_mount(query.proc)
            self._tree = CgroupTree(mount) if mount else None

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
            process = process._replace(command=self._command(process.pid))
        return process

    def _placement(self, process: Process) -> Placement | None:
        if process.cgroup > _ROOT_CGROUP:
            if process.cgroup not in self._placements:
                path = self._tree.path(process.cgroup) if self._tree else None
                self._placements[process.cgroup] = None if path is None else parse_path(path)
            found = self._placements[process.cgroup]
            if found or not process.pid:
                return found
        if not process.pid:
            return Placement()
        return read_placement(self._proc, process.pid)

    @staticmethod
    def _unit(placement: Placement) -> str:
        return safe_name(os.fsencode(placement.unit)) if placement.unit else NO_UNIT

    def _container(self, placement: Placement) -> str:
        container = placement.container
        if container is None:
            return HOST
        if container not in self._containers:
            name = container_name(container)
            self._containers[container] = safe_name(os.fsencode(name)) if name else UNNAMED
        return self._containers[container]

    def _with_user(self, process: Process) -> Process:
        try:
            uid = os.stat(f"{self._proc}/{process.pid}").st_uid
        except OSError:
            return process
        if self._users is None:
            self._users = _read_users()
        return process._replace(uid=uid, user=self._users.get(uid) or f"uid {uid}")

    def _command(self, pid: int) -> str:
        try:
            data = read_bytes(f"{self._proc}/{pid}/cmdline")
        except OSError:
            return ""
        return os.fsdecode(data.rstrip(b"\0").replace(b"\0", b" "))


def _read_users(path: str = "/etc/passwd") -> dict[int, str]:
    """Return the names of the local users; NSS could wait for a network."""
    users: dict[int, str] = {}
    try:
        with open(path, "rb") as file:
            for line in file:
                name, _, rest = line.partition(b":")
                uid = rest.split(b":")[1:2]
                if uid and uid[0].isdigit():
                    users.setdefault(int(uid[0]), safe_name(name))
    except OSError:
        pass  # a container without one
    return users
