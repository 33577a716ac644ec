"""`load` and `unload`: pin the BPF iterators where the agent may read them, and unpin them.

After `load`, reading every socket's owner is open(2) and read(2) of a file that belongs to
root and the group zabbix: no capability, no libbpf, no loading time. Loading needs CAP_BPF
and CAP_PERFMON; mounting the bpffs, once, CAP_SYS_ADMIN.
"""

import ctypes
import grp
import os
from collections.abc import Iterator

from zabbix_sockets.errors import SocketsError, SourceUnavailableError
from zabbix_sockets.readers import bpf, libbpf

GROUP = "zabbix"
_MODE = 0o440
_MOUNT_FLAGS = 0xE  # MS_NOSUID | MS_NODEV | MS_NOEXEC
_OF_EVERY_BPFFS = {"maps.debug", "progs.debug"}  # since 5.9
_NEW = "-new"  # a bpffs reserves names with dots


def load(directory: str) -> list[str]:
    """Pin the iterators below *directory*; return their paths.

    Pins of the same version are replaced in one step each, so that no reader finds nothing;
    those of other versions go afterwards.

    Raises:
        SocketsError: it can't be done; the message says why, the hint what to do.
    """
    reason = bpf.why_not_permitted() or libbpf.why_may_not_load()
    if reason:
        raise SourceUnavailableError(f"can't load: {reason}", "run it as root, on Linux 5.11 on")
    group = _group_id()
    paths = []
    with libbpf.LoadedPrograms() as programs:
        ensure_bpffs(directory)
        for program in bpf.PROGRAMS:
            path = bpf.pin_path(directory, program)
            _remove(path + _NEW)
            programs.pin(program, path + _NEW)
            os.chown(path + _NEW, -1, group)
            os.chmod(path + _NEW, _MODE)
            os.rename(path + _NEW, path)
            paths.append(path)
    for path in pinned(directory):
        if path not in paths:
            _remove(path)
    return paths


def unload(directory: str) -> list[str]:
    """Remove the pins below *directory*, of all versions; return their paths.

    The bpffs goes too if nothing else is in it and this process may unmount it.
    """
    paths = list(pinned(directory))
    for path in paths:
        _remove(path)
    if is_bpffs(directory) and set(os.listdir(directory)) <= _OF_EVERY_BPFFS:
        ctypes.CDLL(None).umount2(os.fsencode(directory), 0)
    return paths


def pinned(directory: str) -> Iterator[str]:
    """Yield the paths of all pins of ours below *directory*, whatever their version."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(tuple(f"{program}-v" for program in bpf.PROGRAMS)):
            yield f"{directory}/{name}"


def is_bpffs(directory: str) -> bool:
    """Whether a bpffs is mounted at *directory*."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mounted, _, source = line.partition(" - ")
            if mounted.split()[4] == directory and source.split()[0] == "bpf":
                return True
    return False


def ensure_bpffs(directory: str) -> None:
    """Mount a bpffs at *directory* unless one is there.

    Raises:
        SocketsError: this process may not.
    """
    if is_bpffs(directory):
        return
    os.makedirs(directory, mode=0o755, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", os.fsencode(directory), b"bpf", _MOUNT_FLAGS, b"mode=0755"):
        reason = os.strerror(ctypes.get_errno())
        raise SocketsError(
            f"can't mount a bpffs at {directory}: {reason}",
            f"as root: mount -t bpf -o mode=0755,nosuid,nodev,noexec bpf {directory}",
        )


def _group_id() -> int:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        raise SocketsError(
            f"no group {GROUP}: nobody but root could read what is loaded",
            f"install the Zabbix agent first, or: groupadd --system {GROUP}",
        ) from None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # it is gone, as it should be
