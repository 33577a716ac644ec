"""What a user may read, enter and execute, judged from owners and modes: root's eyes see all.

Source: path_resolution(7), credentials(7). Access control lists and security modules are not
looked at.
"""

from __future__ import annotations

import errno
import os
import stat

from zabbix_sockets.check.children import User
from zabbix_sockets.host.path_resolution import FOLDER, LINK, steps

READ, EXECUTE = 4, 1


def may(user: User, wanted: int, status: os.stat_result) -> bool:
    """Whether *user* has the permission *wanted*, READ or EXECUTE, by the mode of a file."""
    if user.uid == 0:
        return wanted == READ or bool(status.st_mode & 0o111) or stat.S_ISDIR(status.st_mode)
    is_member = status.st_gid == user.gid or status.st_gid in user.groups
    shift = 6 if status.st_uid == user.uid else 3 if is_member else 0
    return bool(status.st_mode >> shift & wanted)


def obstacle(user: User, path: str, wanted: int, root: str = "") -> str | None:
    """Return the first folder on the way to *path*, or itself, that keeps *user* from it.

    None if nothing does. The folders of symbolic links count as those of their targets do; what is
    above *root*, the folder that stands for "/", doesn't.

    Raises:
        OSError: the file isn't there, or the caller may not look at it.
    """
    for place, kind in steps(path[len(root) :], root):
        if kind == LINK:
            continue
        status = os.stat(place)
        if kind == FOLDER and not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), place)
        if not may(user, EXECUTE if kind == FOLDER else wanted, status):
            return place
    return None
