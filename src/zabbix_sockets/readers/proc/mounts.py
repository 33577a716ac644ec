"""Reader of /proc/PID/mountinfo: mount points, and the mounts behind which a file may hang.

Source: proc(5), fs/proc_namespace.c show_mountinfo(), autofs(5). World-readable, for every
process.
"""

import os
from _collections_abc import Iterator
from errno import EINVAL

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.light_library import cached_property
from zabbix_sockets.model.light_typing import NamedTuple, Optional

_FIELDS = 5  # before the options: ID, parent, device, root, mount point
_DEVICE_DIGITS = 9  # a major number has 12 bits, a minor one 20
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
    """A line of mountinfo, of what it has as far as it is used."""

    root: bytes  # the path, within the filesystem, of what is mounted; b"net:[NUMBER]" of a netns
    path: str  # the mount point, as os.fsdecode() gives it
    filesystem: bytes  # its type, such as b"ext4"
    device: int  # st_dev of its files, as stat(2) gives it; 0 if the line has none
    options: bytes  # of the filesystem, such as b"rw,hidepid=invisible"


def read_mounts(proc: str, process: str = "self") -> Iterator[Mount]:
    """Yield the mounts of the caller's mount namespace, or of that of the process *process*.

    *process* is a folder of *proc*: a pid in digits, or "self". Nothing is yielded where the file
    can't be opened (the process is gone or hidden), and no more once it can't be read.
    """
    for fields, end in _read_lines(proc, process):
        filesystem, _, source = end.partition(b" ")
        options = source.rpartition(b" ")[2].rstrip(b"\n")
        yield Mount(fields[3], unescape(fields[4]), filesystem, _device(fields[2]), options)


def _read_lines(proc: str, process: str = "self") -> Iterator[tuple[list[bytes], bytes]]:
    """Yield of each line the first five fields (ID to mount point), and its end.

    The end is the filesystem's type, a space, its source, a space, and its options.
    """
    try:
        with open(f"{proc}/{process}/mountinfo", "rb") as lines:
            for line in lines:
                mount, _, end = line.partition(b" - ")
                fields = mount.split(b" ", _FIELDS)
                if len(fields) >= _FIELDS and end:
                    yield fields, end
    except OSError as error:
        shortage.note(error)  # what was found is still true


def _device(raw: bytes) -> int:
    """Return st_dev (stat(2)) of "MAJOR:MINOR"; 0, which no filesystem has, for anything else."""
    major, _, minor = raw.partition(b":")
    if not all(each.isdigit() and len(each) <= _DEVICE_DIGITS for each in (major, minor)):
        return 0
    return os.makedev(int(major), int(minor))


def unescape(raw: bytes) -> str:
    r"""Return a path of /proc with its octal escapes undone, as "\040" of a space.

    The kernel escapes space, tab, newline and backslash (mangle_path() in fs/seq_file.c). Bytes
    that are no UTF-8 become lone surrogates, as of os.fsdecode().
    """
    if b"\\" in raw:
        import re  # noqa: PLC0415  # takes 3 ms, with enum

        raw = re.sub(rb"\\([0-3][0-7]{2})", lambda at: bytes([int(at[1], 8)]), raw)
    return os.fsdecode(raw)


class _Table(NamedTuple):
    """The mounts by kind.

    Attributes:
        cgroups: mount points of cgroup v2, by whether its root is mounted there or a part of it.
        namespaces: mount points of network namespaces, by the namespaces' numbers.
        foreign: mount points of all filesystems but LOCAL ones.
        local: IDs of the mounts of LOCAL filesystems.
        complete: the file was read to its end; without, *local* is empty.
    """

    cgroups: dict[bool, str]
    namespaces: dict[int, str]
    foreign: set[str]
    local: set[bytes]
    complete: bool = True


class Mounts:
    """The mounts of the caller's mount namespace, read once, when they are first asked for.

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
        """Whether no answer lacks a mount: the file was read to its end before the deadline."""
        return not self._asked or self._table.complete

    @property
    def cgroup2(self) -> Optional[str]:
        """The mount point of cgroup v2's root, else of a part of it; None: it is not mounted."""
        cgroups = self._table.cgroups
        return cgroups.get(True) or cgroups.get(False)

    @property
    def namespaces(self) -> dict[int, str]:
        """The mount points of network namespaces, as of `ip netns add`, by inode number.

        Raises:
            ParseError: a mount of a namespace has no number.
        """
        return self._table.namespaces

    @cached_property
    def _table(self) -> _Table:
        self._asked = True
        table = _Table({}, {}, set(), set())
        for index, (fields, end) in enumerate(_read_lines(self.proc)):
            if index % _BETWEEN_LOOKS == 0 and self._deadline.passed():
                return table._replace(local=set(), complete=False)
            filesystem = end.partition(b" ")[0]
            if filesystem in LOCAL:
                table.local.add(fields[0])
                continue
            path = unescape(fields[4])
            table.foreign.add(path)
            if fields[3].startswith(_NAMESPACE):
                table.namespaces.setdefault(_number(fields[3]), path)
            elif filesystem == b"cgroup2":
                table.cgroups.setdefault(fields[3] == b"/", path)
        return table

    def is_local(self, path: str) -> bool:
        """Whether an absolute path leads through mounts of LOCAL filesystems only.

        Links in it are not followed. It goes by the path's text alone, and touches nothing on the
        way: not the server of a mount, not the automounter of a folder above.
        """
        foreign = self._table.foreign
        if not self._table.local or "/" in foreign:
            return False
        end = path.find("/", 1)
        while end > 0:
            if path[:end] in foreign:
                return False
            end = path.find("/", end + 1)
        return path not in foreign

    def is_local_descriptor(self, fd: int) -> bool:
        """Whether the file of a descriptor, of O_PATH too, is on a mount of a LOCAL filesystem.

        A mount that was made since the table was read is not known, and so not LOCAL. The
        filesystem is asked nothing: the kernel tells the mount's ID (proc_pid_fdinfo(5)).
        """
        try:
            with open(f"/proc/self/fdinfo/{fd}", "rb") as lines:
                for line in lines:
                    if line.startswith(b"mnt_id:"):
                        return line[7:].strip() in self._table.local
        except OSError:
            pass
        return False

    def resolve(self, path: str) -> Optional[str]:
        """Return an absolute path with symbolic links and ".." resolved, as realpath(3).

        None if there is no such file, after more than 40 links, and if it leads through a mount
        of another filesystem than LOCAL ones: that is not touched.
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
