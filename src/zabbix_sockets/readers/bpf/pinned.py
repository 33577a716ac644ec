"""Diagnosis of the folder of pinned iterators: why this process can't read them.

Source: stat(2), access(2), /proc/PID/mountinfo, which anybody may read, and the system's
groups. A folder of pins is a bpffs, or a folder in one.
"""

from __future__ import annotations

import grp
import os
import pwd

from zabbix_sockets.readers.bpf.records import COUNT_SOCKETS, PROGRAMS, pin_path
from zabbix_sockets.readers.proc.mounts import read_mounts

_INIT = "1"  # the first process, whose mount namespace is the system's
_GROUP_READS = 0o040


def is_bpffs(directory: str, proc: str = "/proc") -> bool:
    """Whether *directory*, which may be a link, is a bpffs or a folder in one.

    *proc* is where procfs is mounted.
    """
    try:
        device = os.stat(directory).st_dev
    except OSError:
        return False
    return any(each.filesystem == b"bpf" and each.device == device for each in read_mounts(proc))


def why_not_pinned(directory: str, proc: str = "/proc") -> str:
    """Return in words why this process can't read this version's pins in *directory*, and a remedy.

    *proc* is where procfs is mounted.
    """
    if _mounted_at(directory, proc, _INIT) and not _mounted_at(directory, proc, "self"):
        return (
            f"{directory} is hidden from this process, which has a mount namespace of its own:"
            " restart it, or look for what hides /run in its unit or container"
        )
    closed = _closed_folder(directory)
    if closed:
        return (
            f"this user may not enter {closed}: let it (chmod a+rx {closed}),"
            " or load into another folder (--pins)"
        )
    paths = [pin_path(directory, program) for program in PROGRAMS]
    unreadable = [path for path in paths if os.path.exists(path) and not os.access(path, os.R_OK)]
    if unreadable:
        return _why_unreadable(directory, unreadable[0])
    if any(map(os.path.exists, paths)):
        return f"not all iterators are in {directory}: run zabbix-sockets load again"
    return _why_missing(directory, proc)


def _mounted_at(directory: str, proc: str, process: str) -> bool:
    """Whether the topmost mount at *directory* is a bpffs, in the mount namespace of *process*."""
    path = os.path.normpath(directory)
    mounted = [each.filesystem for each in read_mounts(proc, process) if each.path == path]
    return mounted[-1:] == [b"bpf"]


def _closed_folder(directory: str) -> str | None:
    """Return the first folder of the path *directory* that is closed to this process; else None."""
    path = "/"
    for name in ("", *os.path.abspath(directory).split("/")[1:]):
        path = os.path.join(path, name)
        if os.path.isdir(path) and not os.access(path, os.X_OK):
            return path
    return None


def _why_unreadable(directory: str, pin: str) -> str:
    """Return in words why this process may not read *pin*, by the groups of both."""
    try:
        found = os.stat(pin)
    except OSError:
        return "the iterators were just unloaded"
    try:
        group = grp.getgrgid(found.st_gid)
    except KeyError:
        return f"this user may not read {directory}: it is for the group with the id {found.st_gid}"
    reads = found.st_mode & _GROUP_READS
    if not (found.st_gid and reads):
        return (
            f"nobody but root may read {directory}: as root, run zabbix-sockets load --group"
            " with the group of the agent's user"
        )
    if found.st_gid in (os.getegid(), *os.getgroups()):
        return (
            f"this user may not read {directory}, though it is in the group {group.gr_name}:"
            " a security module (SELinux, AppArmor) forbids it"
        )
    if _is_member(group):
        return (
            f"this process runs without the group {group.gr_name}, in which its user is: restart it"
        )
    return f"this user may not read {directory}: add it to the group {group.gr_name}"


def _is_member(group: grp.struct_group) -> bool:
    """Whether /etc/passwd or /etc/group (or NSS) has this process's user in *group*."""
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return user.pw_gid == group.gr_gid or user.pw_name in group.gr_mem


def _why_missing(directory: str, proc: str) -> str:
    """Return in words what is in *directory* instead of pins, and the remedy."""
    load = "run zabbix-sockets load as root"
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return f"not loaded, there is no {directory}: {load}"
    except OSError as error:
        return f"not loaded, as far as can be seen ({directory}: {error.strerror}): {load}"
    if any(name.startswith(f"{COUNT_SOCKETS}-v") for name in names):
        return "the iterators of another version are loaded: run zabbix-sockets load again"
    if not is_bpffs(directory, proc):
        return f"not loaded, {directory} is no bpffs: {load}"
    return f"not loaded into {directory}: {load}"
