"""What the names in a filter stand for on this host; None: there is no such thing."""

import _socket
import os
import stat

from zabbix_sockets.readers.cgroup import find_mount


def device_index(name: str) -> int | None:
    """Return the index of a device of the network namespace that this thread is in."""
    try:
        return _socket.if_nametoindex(name)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None


def uid_of(name: str) -> int | None:
    """Return a local user's uid; NSS could wait for a network."""
    try:
        with open("/etc/passwd", "rb") as file:
            lines = [line.split(b":") for line in file]
    except OSError:
        return None
    uids = (line[2] for line in lines if line[0] == name.encode() and len(line) > 2)  # noqa: PLR2004
    return next((int(uid) for uid in uids if uid.isdigit()), None)


def cgroup_id(proc: str, path: str) -> int | None:
    """Return the id of a cgroup v2 by its path, with or without that of the mount point."""
    mount = find_mount(proc)
    if not mount:
        return None
    below = path if path == mount or path.startswith(f"{mount}/") else f"{mount}/{path}"
    try:
        found = os.stat(below)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None
    return found.st_ino if stat.S_ISDIR(found.st_mode) else None
