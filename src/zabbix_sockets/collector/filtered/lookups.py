"""Numbers for the names in a filter: of network devices, local users and cgroups of this host."""

from __future__ import annotations

import _socket
import os
import stat

from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.passwd import read_users


def device_index(name: str) -> int | None:
    """Return the index of a device in this thread's network namespace; None if it has none such."""
    try:
        return _socket.if_nametoindex(name)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None


def uid_of(name: str) -> int | None:
    """Return the uid of a user in /etc/passwd, else None: NSS may have to wait for a server."""
    wanted = name.encode()
    return next((user.uid for user in read_users() if user.name == wanted), None)


def cgroup_id(mounts: Mounts, path: str) -> int | None:
    """Return the id of a cgroup v2; None if there is none such.

    *path* may begin with the mount point's or at the root of the hierarchy.
    """
    mount = mounts.cgroup2
    if not mount:
        return None
    below = path if path == mount or path.startswith(f"{mount}/") else f"{mount}/{path}"
    try:
        found = os.stat(below)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None
    return found.st_ino if stat.S_ISDIR(found.st_mode) else None
