r"""/proc/PID/cgroup, and the cgroup that a number stands for.

Source: cgroups(7), proc_pid_mountinfo(5), fs/kernfs/mount.c. World-readable, unless /proc is
mounted with hidepid.
"""

import os

from zabbix_sockets.cgroups import Placement, choose_path, parse_path
from zabbix_sockets.readers.mounts import read_mounts
from zabbix_sockets.readers.process import read_bytes

MAX_DIRECTORIES = 20_000
_SCANS = 2


def read_placement(proc: str, pid: int) -> Placement | None:
    """Return the unit and the container of a process; None if it is gone or hidden."""
    try:
        data = read_bytes(f"{proc}/{pid}/cgroup")
    except OSError:
        return None
    return parse_path(choose_path(data))


def find_mount(proc: str) -> str | None:
    """Return where the whole of cgroup v2 is mounted, else a part of it; None: nowhere."""
    part = None
    for mount in read_mounts(proc):
        if mount.filesystem == b"cgroup2":
            if mount.root == b"/":
                return mount.path
            part = part or mount.path
    return part


class CgroupTree:
    """The cgroups below a mount point, by the kernel's number.

    On 64-bit kernels a cgroup's id (bpf_get_current_cgroup_id, sock_diag's
    INET_DIAG_CGROUP_ID) is the inode number of its directory.
    """

    def __init__(self, mount: str) -> None:
        self._mount = mount
        self._paths: dict[int, str] = {}
        self._absent: set[int] = set()
        self._scans = 0

    def path(self, number: int) -> str | None:
        """Return the path below the mount point of a cgroup; None if it is gone.

        The tree is read when the first is asked for, and once more for one that is not
        found then: it may be new.
        """
        if number not in self._paths and number not in self._absent and self._scans < _SCANS:
            self._scan()
            if number not in self._paths:
                self._absent.add(number)  # it was gone before the scan
        return self._paths.get(number)

    def _scan(self) -> None:
        """Read the directories, those near the root first."""
        self._scans += 1
        try:
            self._paths[os.stat(self._mount).st_ino] = "/"
        except OSError:
            return
        level, seen = [""], 1
        while level:
            below: list[str] = []
            for parent in level:
                for name, inode in _directories(self._mount + parent):
                    if seen >= MAX_DIRECTORIES:
                        return
                    seen += 1
                    self._paths[inode] = path = f"{parent}/{name}"
                    below.append(path)
            level = below


def _directories(path: str) -> list[tuple[str, int]]:
    """Return name and inode number of the directories in one; none if it is gone or closed."""
    try:
        with os.scandir(path) as entries:
            return [
                (entry.name, entry.inode())
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []
