r"""/proc/PID/cgroup, and the cgroup that a number stands for.

Source: cgroups(7), fs/kernfs/mount.c. World-readable, unless /proc is mounted with hidepid.
"""

import os
from collections import deque
from collections.abc import Iterable

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.placement import Placement, choose_path, parse_path
from zabbix_sockets.readers.proc.process import read_bytes

MAX_DIRECTORIES = 20_000
"""Of the system, and once more of all users together."""

_MAX_PATH = 4096
_SCANS = 2


def read_placement(proc: str, pid: int) -> Placement | None:
    """Return the unit and the container of a process; None if it is gone or hidden."""
    try:
        data = read_bytes(f"{proc}/{pid}/cgroup")
    except OSError as error:
        shortage.note(error)
        return None
    return parse_path(choose_path(data))


class CgroupTree:
    """The cgroups below a mount point, by the kernel's number.

    On 64-bit kernels a cgroup's id (bpf_get_current_cgroup_id, sock_diag's
    INET_DIAG_CGROUP_ID) is the inode number of its directory.

    A user to whom a cgroup is delegated may make any number of others below it. They are read when
    all of the system's have been, and users take turns: nobody's take the place of others.
    """

    def __init__(self, mount: str, deadline: Deadline) -> None:
        self._mount = mount
        self._deadline = deadline
        self._places: dict[int, tuple[int, str]] = {}  # number: that of the parent, and the name
        self._root = 0
        self._absent: set[int] = set()
        self._scans = 0

    def path(self, number: int) -> str | None:
        """Return the path below the mount point of a cgroup; None if it is gone.

        The tree is read when the first is asked for, and once more for one that is not
        found then: it may be new.
        """
        if self._is_unknown(number) and number not in self._absent and self._scans < _SCANS:
            self._scan()
            if self._is_unknown(number):
                self._absent.add(number)  # it was gone before the scan
        return None if self._is_unknown(number) else self._path(number)

    def _is_unknown(self, number: int) -> bool:
        return number not in self._places and number != self._root

    def _path(self, number: int) -> str:
        """Return the path of a cgroup that was found; "/" for the root."""
        names: list[str] = []
        while number != self._root:
            number, name = self._places[number]
            names.append(name)
        return "/" + "/".join(reversed(names))

    def _scan(self) -> None:
        """Read the directories, those near the root first."""
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
        while system and seen < MAX_DIRECTORIES and not self._deadline.passed():
            number = system.popleft()
            seen += self._read(number, (0, root.st_uid), system, delegated, MAX_DIRECTORIES - seen)
        counts = dict.fromkeys(delegated, 0)
        left = MAX_DIRECTORIES
        while delegated and left > 0 and not self._deadline.passed():
            user = min(delegated, key=counts.__getitem__)
            queue = delegated[user]
            share = -(-left // len(delegated))
            found = self._read(queue.popleft(), None, queue, delegated, share)
            counts[user] += found
            left -= found
            if not queue:
                del delegated[user]

    def _read(
        self,
        number: int,
        owners: tuple[int, ...] | None,
        below: deque[int],
        delegated: dict[int, deque[int]],
        most: int,
    ) -> int:
        """Add the directories in one to *below*, and return how many there are, *most* at most.

        None are read if it is not one of these *owners*': then it is added to *delegated*, by its
        owner.
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
            return self._note(number, _directories(fd), below, most)
        except OSError as error:
            shortage.note(error)
            return 0
        finally:
            os.close(fd)

    def _note(
        self, parent: int, directories: Iterable[tuple[str, int]], below: deque[int], most: int
    ) -> int:
        found = 0
        for name, number in directories:
            if found == most:
                break
            found += 1
            self._places[number] = parent, name
            below.append(number)
        return found


def _directories(fd: int) -> Iterable[tuple[str, int]]:
    """Yield name and inode number of the directories in one."""
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry.name, entry.inode()
