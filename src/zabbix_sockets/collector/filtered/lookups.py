"""What the names in a filter stand for on this host; None: there is no such thing."""

import _socket
import os
import stat

from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.passwd import read_users


def device_index(name: str) -> int | None:
    """Return the index of a device of the network namespace that this thread is in."""
    try:
        return _socket.if_nametoindex(name)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None


def uid_of(name: str) -> int | None:
    """Return a local user's uid; NSS could wait for a network."""
    wanted = name.encode()
    return next((user.uid for user in read_users() if user.name == wanted), None)


def cgroup_id(mounts: Mounts, path: str) -> int | None:
    """Return the id of a cgroup v2 by its path, with or without that of the mount point."""
    mount = mounts.cgroup2
    if not mount:
        return None
    below = path if path == mount or path.startswith(f"{mount}/") else f"{mount}/{path}"
    try:
        found = os.stat(below)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None
    return found.st_ino if stat.S_ISDIR(found.st_mode) else None
