"""Reader of /proc/PID/cgroup, and of the cgroup v2 tree by the cgroups' ids.

Source: cgroups(7), fs/kernfs/mount.c. World-readable, unless /proc is mounted with hidepid.
"""

from __future__ import annotations

import os
from _collections_abc import Iterable

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.light_library import deque, lru_cache
from zabbix_sockets.model.placement import Placement
from zabbix_sockets.readers.proc.files import read_bytes

MAX_DIRECTORIES = 20_000
"""The most directories that are read of the system's cgroups, and as many again of users'."""

_MAX_PATH = 4096
_SCANS = 2


def read_placement(proc: str, pid: int) -> Placement | None:
    """Return the unit and the container that the process *pid* is in, by its cgroup's path.

    None if /proc has no such process, or hides it (hidepid).
    """
    try:
        data = read_bytes(f"{proc}/{pid}/cgroup")
    except OSError as error:
        shortage.note(error)
        return None
    return _placement_of(data)


@lru_cache(64)
def _placement_of(data: bytes) -> Placement:
    """Return the unit and container by the bytes of /proc/PID/cgroup, which processes share."""
    from zabbix_sockets.model.cgroup_paths import choose_path, parse_path  # noqa: PLC0415  # imports re

    return parse_path(choose_path(data))


class CgroupTree:
    """The paths of the cgroups below a mount point of cgroup v2, by their ids.

    On 64-bit kernels a cgroup's id (bpf_get_current_cgroup_id, sock_diag's
    INET_DIAG_CGROUP_ID) is the inode number of its directory.

    A user to whom a cgroup is delegated may make any number of others below it. They are read when
    all of the system's have been, and users take turns: nobody's take the place of others.

    Args:
        mount: the mount point.
        deadline: the moment from which no further directory is read.
    """

    def __init__(self, mount: str, deadline: Deadline) -> None:
        self._mount = mount
        self._deadline = deadline
        self._places: dict[int, tuple[int, str]] = {}  # number: that of the parent, and the name
        self._root = 0
        self._absent: set[int] = set()
        self._scans = 0

    def path(self, number: int) -> str | None:
        """Return the path, from the mount point on, of the cgroup with the id *number*.

        It is "/" for the mount point itself, and None for a cgroup that was not found: it is gone,
        or beyond MAX_DIRECTORIES, or the deadline came first. The tree is read when the first one
        is asked for, and once more for one that is not found then: it may be new.
        """
        if self._is_unknown(number) and number not in self._absent and self._scans < _SCANS:
            self._scan(self._deadline)
            if self._is_unknown(number):
                self._absent.add(number)  # it was gone before the scan
        return None if self._is_unknown(number) else self._path(number)

    def has(self, number: int, deadline: Deadline) -> bool:
        """Whether the cgroup with the id *number* was there when the tree was last read.

        If it wasn't read yet it is now, up to *deadline*.
        """
        if not self._scans:
            self._scan(deadline)
        return not self._is_unknown(number)

    def _is_unknown(self, number: int) -> bool:
        return number not in self._places and number != self._root

    def _path(self, number: int) -> str:
        """Return the path of a cgroup that was found; "/" for the root."""
        names: list[str] = []
        while number != self._root:
            number, name = self._places[number]
            names.append(name)
        return "/" + "/".join(reversed(names))

    def _scan(self, deadline: Deadline) -> None:
        """Read the tree anew, breadth first: the system's cgroups, then those of users in turn."""
        self._scans += 1
        try:
            root = os.stat(self._mount)
        except OSError as error:
            shortage.note(error)
            return
        self._root = root.st_ino
        self._places.clear()
        delegated: dict[int, deque[int]] = {}
        system = deque((self._root,))
        seen = 1
        while system and seen < MAX_DIRECTORIES and not deadline.passed():
            number = system.popleft()
            seen += self._read(number, (0, root.st_uid), system, delegated, MAX_DIRECTORIES - seen)
        counts = dict.fromkeys(delegated, 0)
        remaining = MAX_DIRECTORIES
        while delegated and remaining > 0 and not deadline.passed():
            user = min(delegated, key=counts.__getitem__)
            queue = delegated[user]
            share = -(-remaining // len(delegated))
            found = self._read(queue.popleft(), None, queue, delegated, share)
            counts[user] += found
            remaining -= found
            if not queue:
                del delegated[user]

    def _read(
        self,
        number: int,
        owners: tuple[int, ...] | None,
        below: deque[int],
        delegated: dict[int, deque[int]],
        limit: int,
    ) -> int:
        """Add the ids of a cgroup's children to the queue *below*; return their number.

        At most *limit* are added. If the directory's owner is not one of the uids *owners* (None:
        anybody's will do), none is read, and its own id is added to that owner's in *delegated*.
        """
        path = self._mount + self._path(number)
        if len(path) >= _MAX_PATH:
            return 0
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            shortage.note(error)
            return 0  # gone or closed
        try:
            owner = os.fstat(fd).st_uid
            if owners is not None and owner not in owners:
                delegated.setdefault(owner, deque()).append(number)
                return 0
            return self._add_children(number, _directories(fd), below, limit)
        except OSError as error:
            shortage.note(error)
            return 0
        finally:
            os.close(fd)

    def _add_children(
        self, parent: int, directories: Iterable[tuple[str, int]], below: deque[int], limit: int
    ) -> int:
        found = 0
        for name, number in directories:
            if found == limit:
                break
            found += 1
            self._places[number] = parent, name
            below.append(number)
        return found


def _directories(fd: int) -> Iterable[tuple[str, int]]:
    """Yield name and inode number of each directory in the one that *fd* is open for."""
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry.name, entry.inode()
