"""/proc/PID/mountinfo: what is mounted where, and behind which mounts a file may hang.

Source: proc(5), fs/proc_namespace.c show_mountinfo(), autofs(5). World-readable, for every
process.
"""

import os
import re
from collections.abc import Iterator
from errno import EINVAL
from functools import cached_property
from typing import NamedTuple

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError

_FIELDS = 5  # before the options: ID, parent, device, root, mount point
_DEVICE_LENGTH = 16  # a major number has 12 bits, a minor one 20
_BETWEEN_LOOKS = 1024  # mounts between two looks at the clock; some hosts have tens of thousands
_MAX_LINKS = 40  # as the kernel follows at most (MAXSYMLINKS)
_NAMESPACE = b"net:["

LOCAL = frozenset(
    (
        *(b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"zfs", b"f2fs", b"bcachefs", b"jfs"),
        *(b"reiserfs", b"nilfs2", b"ubifs", b"jffs2", b"erofs", b"squashfs", b"overlay"),
        *(b"tmpfs", b"ramfs", b"rootfs"),
    )
)
"""Filesystems whose files wait for no other host, no automounter and no user's process."""


class Mount(NamedTuple):
    """A mount: what of its filesystem, where, the filesystem's type, and its st_dev."""

    root: bytes
    path: str
    filesystem: bytes
    device: int


def read_mounts(proc: str, process: str = "self") -> Iterator[Mount]:
    """Yield the mounts that the caller, or another *process*, sees; none if that is hidden."""
    for fields, filesystem in _read_lines(proc, process):
        yield Mount(fields[3], unescape(fields[4]), filesystem, _device(fields[2]))


def _read_lines(proc: str, process: str = "self") -> Iterator[tuple[list[bytes], bytes]]:
    """Yield the fields of each line before the options, and the filesystem's type."""
    try:
        with open(f"{proc}/{process}/mountinfo", "rb") as lines:
            for line in lines:
                mount, _, source = line.partition(b" - ")
                fields = mount.split(b" ", _FIELDS)
                if len(fields) >= _FIELDS and source:
                    yield fields, source.split(b" ", 1)[0]
    except OSError as error:
        shortage.note(error)  # what was found is still true


def _device(raw: bytes) -> int:
    """Return what stat(2) calls st_dev, from "major:minor"; 0, which no filesystem has, if odd."""
    major, _, minor = raw.partition(b":")
    if not (major.isdigit() and minor.isdigit() and len(raw) < _DEVICE_LENGTH):
        return 0
    return os.makedev(int(major), int(minor))


def unescape(raw: bytes) -> str:
    r"""Undo the "\040" that the kernel puts for what would split a line."""
    if b"\\" in raw:
        raw = re.sub(rb"\\([0-3][0-7]{2})", lambda at: bytes([int(at[1], 8)]), raw)
    return os.fsdecode(raw)


class _Found(NamedTuple):
    """What is kept of all mounts.

    *cgroups*: where cgroup v2 is mounted, the whole of it (True) and a part. *local*: the
    numbers of LOCAL mounts; *foreign*: where all others are. *whole*: the file was read to its end.
    """

    cgroups: dict[bool, str]
    namespaces: dict[int, str]
    foreign: set[str]
    local: set[bytes]
    whole: bool = True


class Mounts:
    """The mounts that the caller sees, read once, when the first question comes.

    Args:
        proc: where procfs is mounted.
        deadline: the moment from which no more of the file is read.
    """

    def __init__(self, proc: str, deadline: Deadline) -> None:
        self.proc = proc
        self._deadline = deadline
        self._asked = False

    @property
    def complete(self) -> bool:
        """Whether all that was asked was answered by the whole file."""
        return not self._asked or self._found.whole

    @property
    def cgroup2(self) -> str | None:
        """Where the whole of cgroup v2 is mounted, else a part of it; None: nowhere."""
        cgroups = self._found.cgroups
        return cgroups.get(True) or cgroups.get(False)

    @property
    def namespaces(self) -> dict[int, str]:
        """Where network namespaces are mounted, as by `ip netns add`, by their numbers.

        Raises:
            ParseError: one of them has no number.
        """
        return self._found.namespaces

    @cached_property
    def _found(self) -> _Found:
        self._asked = True
        found = _Found({}, {}, set(), set())
        for index, (fields, filesystem) in enumerate(_read_lines(self.proc)):
            if index % _BETWEEN_LOOKS == 0 and self._deadline.passed():
                return found._replace(local=set(), whole=False)
            if filesystem in LOCAL:
                found.local.add(fields[0])
                continue
            path = unescape(fields[4])
            found.foreign.add(path)
            if fields[3].startswith(_NAMESPACE):
                found.namespaces.setdefault(_number(fields[3]), path)
            elif filesystem == b"cgroup2":
                found.cgroups.setdefault(fields[3] == b"/", path)
        return found

    def is_local(self, path: str) -> bool:
        """Whether no mount on the way to an absolute path is of another kind than LOCAL.

        It goes by the path alone, and touches nothing on the way: not the server of a mount, not
        the automounter of a folder above.
        """
        foreign = self._found.foreign
        if not self._found.local or "/" in foreign:
            return False
        end = path.find("/", 1)
        while end > 0:
            if path[:end] in foreign:
                return False
            end = path.find("/", end + 1)
        return path not in foreign

    def holds(self, fd: int) -> bool:
        """Whether a descriptor, of O_PATH too, is of a mount that was LOCAL when they were read.

        Nothing is asked of the mount: the kernel tells which one it is (proc_pid_fdinfo(5)).
        """
        try:
            with open(f"/proc/self/fdinfo/{fd}", "rb") as lines:
                for line in lines:
                    if line.startswith(b"mnt_id:"):
                        return line[7:].strip() in self._found.local
        except OSError:
            pass
        return False

    def resolved(self, path: str) -> str | None:
        """Return an absolute path without symbolic links and "..".

        None if nothing is there, or if it leads through a mount that is not LOCAL: that is not
        touched.
        """
        done, links = "", 0
        todo = path.split("/")[::-1]
        while todo:
            part = todo.pop()
            if part == "..":
                done = done.rpartition("/")[0]
            if part in ("", ".", ".."):
                continue
            inner = f"{done}/{part}"
            if not self.is_local(inner):
                return None
            try:
                target = os.readlink(inner)
            except OSError as error:
                if error.errno != EINVAL:
                    return None
                done = inner  # it is no link
                continue
            links += 1
            if links > _MAX_LINKS:
                return None
            done = "" if target.startswith("/") else done
            todo += target.split("/")[::-1]
        return done or "/"


def _number(root: bytes) -> int:
    try:
        return int(root[len(_NAMESPACE) : -1])
    except ValueError as error:
        raise ParseError("/proc/self/mountinfo", root) from error
