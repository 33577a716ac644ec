"""One snapshot at a time per user: under load, calls wait for each other or give up."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from zabbix_sockets.deadline import Deadline
from zabbix_sockets.errors import BusyError

# World-writable: others may have made a folder of our name before us; one that is not
# ours is passed over. /dev/shm first: the same for a service with PrivateTmp= and a shell.
_SHARED_FOLDERS = ("/dev/shm", "/run/lock", "/tmp")  # noqa: S108
_POLL = 0.02


def lock_folder() -> str | None:
    """Return a folder that only this user can write to, made if need be; None without one."""
    uid = os.geteuid()
    for shared in _SHARED_FOLDERS:
        folder = f"{shared}/zabbix-sockets-{uid}"
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        except OSError:
            continue
        if _is_ours(folder, uid):
            return folder
    return None


def _is_ours(folder: str, uid: int) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    private = not found.st_mode & 0o022
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == uid
        and private
        and os.access(folder, os.W_OK)
    )


@contextmanager
def one_at_a_time(deadline: Deadline) -> Iterator[None]:
    """Hold this user's lock; without a safe place for it, go on without.

    The kernel drops the lock when its holder ends, however it ends.

    Raises:
        BusyError: another call still held it at *deadline*.
    """
    folder = lock_folder()
    if folder is None:
        yield
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(f"{folder}/zabbix-sockets.lock", flags, 0o600)
    try:
        _acquire(fd, deadline)
        yield
    finally:
        os.close(fd)


def _acquire(fd: int, deadline: Deadline) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if deadline.passed():
                raise BusyError(
                    f"another snapshot of this user did not end within {deadline.seconds:g} s",
                    "wait for it, or give more time with --timeout",
                ) from None
            time.sleep(_POLL)
        else:
            return
