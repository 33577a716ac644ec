"""Writer of the file of containers' names, /run/zabbix-sockets-names/containers.

Who may read docker's and podman's files writes it, for those who may not. Docker and podman don't
wait for anybody: `keep_up` looks again until nothing has changed for a second and no file of
theirs is missing.
"""

from __future__ import annotations

import fcntl
import os
import stat
from _collections_abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep, time

from zabbix_sockets.model.container_names import ContainerEntry, lines_of
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.readers.containers.stores import (
    FoundContainers,
    find_containers,
    watched_folders,
)

QUIET = 1.0
"""The seconds without a change after which keep_up() looks for the last time."""
PATIENCE = 5.0
"""The seconds for which it waits for a runtime to write the files of a container."""
LONGEST = 30.0
"""The seconds after which it ends, whatever changes."""
_POLL = 0.05
_RETRY = 0.2

_FOLDER_MODE, _FILE_MODE = 0o2750, 0o640
_NEW = ".new"
_LOCK = ".lock"
"""The file that a writer locks, and that its owner alone may open. Whoever may read the names could
lock the folder for ever, and no name would be written any more."""


def keep_up(path: str, group_id: int, *, root: str = "/", proc: str = "/proc") -> int:
    """Write the names until nothing has changed for QUIET seconds; return how many there are.

    The stores are below the folder *root*, procfs is at *proc*. A container that runs, but of which
    no store tells anything within PATIENCE seconds, has an entry without a name. Where there is no
    store any more the file is removed.

    Raises:
        SocketsError: the file can't be written, or not be given to the group *group_id*.
        PermissionError: this process may not read the stores.
    """
    started = changed = monotonic()
    quiet = False
    while True:
        before = _times(root)
        with _locked(os.path.dirname(path), group_id) as folder:
            found = find_containers(root, proc)
            waits = bool(found.unfinished) and monotonic() - changed < PATIENCE
            folder.write(os.path.basename(path), _content(found, waits=waits))
        is_same = _times(root) == before
        if (is_same and quiet and not waits) or monotonic() - started > LONGEST:
            return len(found.entries)
        quiet = is_same and not _changes(root, before, _RETRY if waits else QUIET)
        if not quiet:
            changed = monotonic()


def _content(found: FoundContainers, *, waits: bool) -> bytes | None:
    """Return the content of the file; None if there is none to be.

    Containers that run come first. With *waits* those without an entry are left out.
    """
    if not (found.has_stores or found.running):
        return None
    entries = dict(found.entries)
    if not waits:
        for number in found.running:
            entries.setdefault(number, ContainerEntry())
    order = sorted(entries.items(), key=lambda item: (item[0] not in found.running, item[0]))
    return lines_of(order, int(time()))


def _times(root: str) -> list[int]:
    """Return the times at which the watched folders have changed; 0 for one that isn't there."""
    times = []
    for folder in watched_folders(root):
        try:
            times.append(os.stat(folder).st_mtime_ns)
        except OSError:
            times.append(0)
    return times


def _changes(root: str, before: list[int], seconds: float) -> bool:
    """Wait until a watched folder changes, at most so many *seconds*; return whether one has."""
    end = monotonic() + seconds
    while monotonic() < end:
        sleep(_POLL)
        if _times(root) != before:
            return True
    return False


@contextmanager
def _locked(path: str, group_id: int) -> Iterator[_Folder]:
    """Open the folder *path* and lock it while the block runs: another writer waits.

    It is made if it isn't there, for the group *group_id* to read; files in it get its group.

    Raises:
        SocketsError: it can't be made, or another user may write there.
    """
    try:
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            os.chown(path, -1, group_id)
            os.chmod(path, _FOLDER_MODE)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _failure(path, error) from None
    try:
        status = os.fstat(fd)
        if os.geteuid() not in (0, status.st_uid):
            raise SocketsError(f"{path} is another user's", "run it as root")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SocketsError(f"other users may change {path}", f"as root: rm -r {path}")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            lock = os.open(_LOCK, flags, 0o600, dir_fd=fd)
        except OSError as error:
            raise _failure(f"{path}/{_LOCK}", error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield _Folder(path, fd, group_id)
        finally:
            os.close(lock)
    finally:
        os.close(fd)


class _Folder:
    """The folder *path*, open as *fd*, whose files are for the group *group_id* to read."""

    def __init__(self, path: str, fd: int, group_id: int) -> None:
        self._path = path
        self._fd = fd
        self._group_id = group_id

    def write(self, name: str, content: bytes | None) -> None:
        """Put a file with *content* in the place of the file *name*; None: remove that.

        Readers find the former or the new content, never a part.

        Raises:
            SocketsError: it can't be written, or not be given to the group.
        """
        try:
            self._remove(name + _NEW)
            if content is None:
                self._remove(name)
                return
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name + _NEW, flags, 0o600, dir_fd=self._fd)
            with open(fd, "wb") as file:
                file.write(content)
                if os.fstat(fd).st_gid != self._group_id:
                    os.chown(fd, -1, self._group_id)
                os.chmod(fd, _FILE_MODE)
            os.rename(name + _NEW, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            raise _failure(f"{self._path}/{name}", error) from None

    def _remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            pass  # it is gone, as it should be


def _failure(path: str, error: OSError) -> SocketsError:
    return SocketsError(f"can't write {path}: {error.strerror}", "run it as root")
