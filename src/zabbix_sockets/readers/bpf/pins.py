"""Pins of the BPF programs: `load` makes them where the agent may read them, `unload` unpins them.

After `load`, reading every socket's owner is open(2) and read(2) of a file that belongs to
root and the group zabbix: no capability, no libbpf, no loading time. Loading needs CAP_BPF
and CAP_PERFMON; mounting the bpffs, once, CAP_SYS_ADMIN; giving the pins to a group that the
caller isn't in, CAP_CHOWN.
"""

import ctypes
import os
import stat
from _collections_abc import Callable, Iterator

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, SocketsError, SourceUnavailableError
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.readers.bpf import capabilities, loader, records, totals
from zabbix_sockets.readers.bpf.pinned import is_bpffs
from zabbix_sockets.readers.groups import group_id

_MODE = 0o440
_FIRST_PASS = 20.0  # seconds; the unit has 30
_MOUNT_FLAGS = 0xE  # MS_NOSUID | MS_NODEV | MS_NOEXEC
_OF_EVERY_BPFFS = {"maps.debug", "progs.debug"}  # since 5.9
_NEW = "-new"  # a bpffs reserves names with dots
_FORMER = ("name_programs",)  # up to version 8 of the records
_ALL = (*records.PROGRAMS, records.COUNT_MINISOCKS, *totals.PINS, *_FORMER)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def load(
    directory: str,
    group: str = PINS_GROUP,
    *,
    with_totals: bool = False,
    warn: Callable[[str], object] = lambda _: None,
) -> list[str]:
    """Pin the iterators in the folder *directory*, for *group* to read; return their paths.

    *with_totals* the programs that count in the kernel are pinned, too, and begin from 0. Where
    these or the iterator of the sockets without a file can't be loaded, all others are, and *warn*
    is called with the reason. Pins of the same version are replaced in one step each, so that no
    reader finds nothing, and nothing is left uncounted; those of other versions go afterwards.

    Raises:
        SocketsError: it can't be done; the message says why, the hint what to do.
    """
    directory = os.path.realpath(directory)
    _check_may_load()
    gid = group_id(group, "load")
    paths = []
    with loader.LoadedPrograms() as programs:
        ensure_bpffs(directory)
        has_minisocks = _load_minisocks(programs, warn)
        has_totals = with_totals and _load_totals(programs, warn)
        wanted = (
            *records.PROGRAMS,
            *((records.COUNT_MINISOCKS,) if has_minisocks else ()),
            *(totals.PINS if has_totals else ()),
        )
        for program in wanted:
            path = records.pin_path(directory, program)
            _remove(path + _NEW)
            programs.pin(program, path + _NEW)
            if program not in totals.TRACEPOINTS:
                _give(path + _NEW, group, gid)
            os.rename(path + _NEW, path)
            paths.append(path)
    for path in find_pins(directory):
        if path not in paths:
            _remove(path)
    return paths


def _load_minisocks(programs: loader.LoadedPrograms, warn: Callable[[str], object]) -> bool:
    """Load the iterator of the sockets without a file, and return whether that worked.

    If not, *warn* is called with the reason.
    """
    try:
        programs.load_minisocks()
    except SourceUnavailableError as error:
        hint = f" ({error.hint})" if error.hint else ""
        warn(f"sockets in TIME_WAIT will be read by netlink: {error}{hint}")
        return False
    return True


def _load_totals(programs: loader.LoadedPrograms, warn: Callable[[str], object]) -> bool:
    """Load the programs that count, and return whether that worked.

    What open connections have carried up to now is noted. If it didn't work, *warn* is called with
    the reason.
    """
    try:
        programs.load_totals()
    except SourceUnavailableError as error:
        warn(f"without totals: {error}" + (f" ({error.hint})" if error.hint else ""))
        return False
    passing = programs.open(records.COUNT_SOCKETS)
    try:
        for _ in records.read_chunks(passing, records.RECORD.size, Deadline(_FIRST_PASS)):
            pass
    except DeadlineError:
        warn(f"the first pass did not end within {_FIRST_PASS:g} s: totals begin with the next one")
    return True


def unload(directory: str) -> list[str]:
    """Remove the pins of all versions in the folder *directory*; return their paths.

    A bpffs that is mounted there goes too if nothing else is in it and this process may unmount
    it: where it may not, such as in the unit, which may be killed for trying, it isn't tried.

    Raises:
        SocketsError: this process may not remove them.
    """
    directory = os.path.realpath(directory)
    paths = list(find_pins(directory))
    for path in paths:
        _remove(path)
    mounted = is_bpffs(directory) and os.path.ismount(directory)
    if mounted and capabilities.may_mount() and set(os.listdir(directory)) <= _OF_EVERY_BPFFS:
        ctypes.CDLL(None).umount2(os.fsencode(directory), 0)
    return paths


def find_pins(directory: str) -> Iterator[str]:
    """Yield the paths of the pins of all versions in *directory*; none if that isn't there.

    Raises:
        SocketsError: this process may not list it.
    """
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketsError(f"can't list {directory}: {error.strerror}", "run it as root") from None
    for name in names:
        if name.startswith(tuple(f"{program}-v" for program in _ALL)):
            yield f"{directory}/{name}"


def ensure_bpffs(directory: str) -> None:
    """Mount a bpffs at *directory*, which is made if it isn't there, unless that is in one already.

    Raises:
        SocketsError: this process may not mount (CAP_SYS_ADMIN), or others than root may change
            the bpffs that is there.
    """
    if not os.path.isdir(directory):
        os.makedirs(directory)
        os.chmod(directory, 0o755)  # noqa: S103  # the agent enters it, whatever the umask
    if is_bpffs(directory):
        _check_owner(directory)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", os.fsencode(directory), b"bpf", _MOUNT_FLAGS, b"mode=0755"):
        reason = os.strerror(ctypes.get_errno())
        raise SocketsError(
            f"can't mount a bpffs at {directory}: {reason}",
            f"as root: mount -t bpf -o mode=0755,nosuid,nodev,noexec bpf {directory}",
        )


def _check_owner(directory: str) -> None:
    """Raise SocketsError where another user could put something in the place of the pins."""
    found = os.stat(directory)
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid in (0, os.geteuid()) and not mode & _OTHERS_WRITE:
        return
    raise SocketsError(
        f"other users may change {directory} (owner {found.st_uid}, mode {mode:04o})",
        f"as root: chown root {directory} && chmod 0755 {directory}",
    )


def _check_may_load() -> None:
    """Raise SourceUnavailableError where the kernel or this process's privilege forbids it."""
    reason = records.why_not_permitted()
    if reason:
        raise SourceUnavailableError(f"can't load: {reason}", "zabbix-sockets works without, too")
    lacking = capabilities.why_may_not_load()
    if lacking and os.geteuid():
        raise SourceUnavailableError(f"can't load: {lacking}", "run it as root")
    if lacking:
        raise SourceUnavailableError(
            f"can't load: {lacking}, which root has not here",
            "in a container: run it on the host instead, and mount the folder of the pins",
        )


def _give(path: str, group: str, gid: int) -> None:
    """Let the group *group* read the pin *path*; where that fails, remove the pin.

    Raises:
        SocketsError: this process is neither in the group nor has CAP_CHOWN.
    """
    try:
        os.chown(path, -1, gid)
        os.chmod(path, _MODE)
    except OSError as error:
        _remove(path)
        raise SocketsError(
            f"can't give {path} to the group {group}: {error.strerror}",
            "that takes CAP_CHOWN, or a process of that group",
        ) from None


def _remove(path: str) -> None:
    """Remove a pin, if it is there.

    Raises:
        SocketsError: this process may not.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # it is gone, as it should be
    except OSError as error:
        raise SocketsError(f"can't remove {path}: {error.strerror}", "run it as root") from None
