"""Reader of /proc for the running programs of Zabbix, of which a process's own words prove nothing.

Any user may start a process with any name and any arguments. So one counts only if its executable
is a file that root alone may write, its user is root or one that the caller expects, and it is in
no container but the caller's own. Whose executable may not be read (it takes root, or to be its
user) counts by comm, with the same users: so much is world-readable.

Source: proc(5), pid_namespaces(7).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple

from zabbix_sockets.host.path_resolution import END, FOLDER, LINK, steps
from zabbix_sockets.model.cgroup_paths import choose_path, parse_path
from zabbix_sockets.model.placement import Container, Placement
from zabbix_sockets.readers.proc.files import read_bytes
from zabbix_sockets.readers.proc.process import parse_status

_MAX_BYTES = 1 << 16
_COMM = 15  # bytes, TASK_COMM_LEN without its end
_DELETED = " (deleted)"  # fs/d_path.c: the file of an executable that has been replaced
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def may_only_root_write(status: os.stat_result) -> bool:
    """Whether a file with that status is written by nobody but root and this process's own user."""
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & _OTHERS_WRITE


def may_only_root_change(path: str, root: str = "") -> bool:
    """Whether nobody but root and this process's own user may change what *path* leads to.

    The file, the folders above it and each symbolic link on the way count. False where it isn't
    there. *root* is the folder that stands for "/"; what is above that doesn't count.
    """
    try:
        for place, kind in steps(path, root):
            status = os.lstat(place) if kind == LINK else os.stat(place)
            if kind == FOLDER and not may_only_root_rename(status):
                return False
            if kind == LINK and status.st_uid not in {0, os.geteuid()}:
                return False
            if kind == END and not may_only_root_write(status):
                return False
    except (OSError, ValueError):
        return False
    return True


def may_only_root_rename(folder: os.stat_result) -> bool:
    """Whether nobody else may put something in the place of what root has in a folder."""
    is_sticky = folder.st_mode & stat.S_ISVTX and folder.st_uid == 0
    return bool(is_sticky) or may_only_root_write(folder)


class Running(NamedTuple):
    """A running process.

    Attributes:
        pid: its id.
        executable: the path of its program; empty: it may not be read.
        arguments: its command line, the program's name first.
        uid, gid: the effective ones.
        groups: the ids of its supplementary groups.
        unit: the service of the system's manager that it is in; empty: it is in none.
    """

    pid: int
    executable: str
    arguments: tuple[str, ...]
    uid: int
    gid: int
    groups: tuple[int, ...]
    unit: str


class _Status(NamedTuple):
    """Of /proc/PID/status: the parent, ids, and in how many pid namespaces it has an id."""

    parent: int
    uid: int
    gid: int
    groups: tuple[int, ...]
    levels: int


def find_running(name: str, users: Collection[int], root: str = "") -> list[Running]:
    """Return the processes whose program's file is called *name* and whose uid is in *users*.

    *root* is above /proc. Of a program's several processes it is the first one, the parent.
    """
    found = {each.pid: (each, parent) for each, parent in _trusted(name, users, root)}
    return [each for each, parent in found.values() if parent not in found]


def _trusted(name: str, users: Collection[int], root: str) -> Iterator[tuple[Running, int]]:
    """Yield the processes that count, with the pid of the parent of each."""
    own = _container(f"{root}/proc/self")
    for number in filter(str.isdecimal, _listed(f"{root}/proc")):
        folder = f"{root}/proc/{number}"
        try:
            status = _read_status(folder, name)
            if status is None or status.uid not in users or status.levels > 1:
                continue
            if _container(folder) != own:
                continue
            executable = _executable(folder)
            if executable and not _is_roots(executable, name, root):
                continue
            arguments = read_bytes(f"{folder}/cmdline", _MAX_BYTES).decode("utf-8", "replace")
            unit = _service(folder)
        except (OSError, ValueError, LookupError):
            continue  # it has ended
        words = tuple(arguments.rstrip("\0").split("\0"))
        yield (
            Running(int(number), executable, words, status.uid, status.gid, status.groups, unit),
            status.parent,
        )


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []  # a tree without processes


def _read_status(folder: str, name: str) -> _Status | None:
    """Return the process of a *folder* of /proc; None: its program's file is not called *name*.

    Raises:
        OSError, ValueError, LookupError: the process has ended.
    """
    status = read_bytes(f"{folder}/status", _MAX_BYTES)
    if not status.startswith(f"Name:\t{name[:_COMM]}\n".encode()):
        return None  # nearly all of a host's processes: the rest is not worth its time
    fields = parse_status(status)
    return _Status(
        int(fields[b"PPid"]),
        int(fields[b"Uid"].split()[1]),
        int(fields[b"Gid"].split()[1]),
        tuple(map(int, fields[b"Groups"].split())),
        len(fields.get(b"NSpid", b"1").split()),
    )


def _placement(folder: str) -> Placement:
    return parse_path(choose_path(read_bytes(f"{folder}/cgroup", _MAX_BYTES)))


def _service(folder: str) -> str:
    """Return the system's service that the process is in; empty: it is in a session, or in none."""
    try:
        unit = _placement(folder).unit
    except FileNotFoundError:
        return ""  # no cgroups here
    is_whole = unit.endswith(".service") and "/" not in unit and "*" not in unit
    return unit if is_whole else ""


def _container(folder: str) -> Container | None:
    try:
        return _placement(folder).container
    except OSError:
        return None  # no cgroups here


def _executable(folder: str) -> str:
    """Return the path of the process's program; empty: this process may not read it."""
    try:
        path = os.readlink(f"{folder}/exe")
    except PermissionError:
        return ""
    return path.removesuffix(_DELETED)


def _is_roots(path: str, name: str, root: str) -> bool:
    """Whether the file *path* is called *name*, or like it, and root alone may write it.

    Packages call the server zabbix_server_pgsql, too. Of a file that is gone, as an upgrade
    replaced it, the folder tells.
    """
    last = os.path.basename(path)
    if last != name and not last.startswith(f"{name}_"):
        return False
    whole = root + path
    status = os.stat(whole if os.path.exists(whole) else os.path.dirname(whole))
    return may_only_root_write(status)
