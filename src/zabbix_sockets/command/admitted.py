"""The file that remembers which rows were admitted to discovery (document.admission).

Each user has one for each grouping, of a fixed size: in a service's own folder ($STATE_DIRECTORY),
or the one in /var/lib that root has made for the user, else beside the lock, where it is lost with
the next boot. A new file takes the place of the former one in one step, so that whatever ends a
call leaves one of the two. What is no such file is replaced; but one that can't be read now, as
where no descriptor is left, stays: whoever can bring that about could have all forgotten.
"""

from __future__ import annotations

import fcntl
import os
from _collections_abc import Collection
from errno import EACCES, EISDIR, ELOOP, ENOENT, ENOSPC, ENOTDIR, ENXIO
from time import CLOCK_BOOTTIME, clock_gettime

from zabbix_sockets.command.lock import is_ours, lock_folders, shared_folders
from zabbix_sockets.document.admission import (
    SIZE,
    Admission,
    AdmissionTable,
    Ask,
    CallMoment,
    Units,
)
from zabbix_sockets.grouping.grouping import Grouping
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.paths import state_folder
from zabbix_sockets.model.snapshot import Snapshot, Standing

_OPENING = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_FILE = {ENOENT, ENOTDIR, EISDIR, ELOOP, ENXIO, EACCES}
"""The errors of an open that say that no such file is there: nothing is, or a link, a socket, a
folder, or what this user may not read."""
_SHARE_OF_ASKING = 0.3
"""The part of the call's time that is left which may be spent on finding out whose new rows are."""
_MEANWHILE = "another call admits rows at the same time"


def file_name(grouping: str) -> str:
    """Return the name of the file for the grouping of that name."""
    return f"zabbix-sockets.admitted-{grouping}"


def admission_of(
    snapshot: Snapshot, grouping: Grouping, deadline: Deadline, proc: str = "/proc"
) -> Admission:
    """Return the Admission of the rows of a Snapshot to discovery, by this user's file."""
    folders = _folders()
    name = file_name(grouping.name)
    known, obstacle = None, "" if folders else "no folder is safe and writable to remember what was"
    try:
        known = _read(folders, name)
    except OSError as error:
        obstacle = f"{name} can't be read: {error.strerror}"
    table = AdmissionTable(known, _now(snapshot.time))

    def keep(data: bytes) -> str:
        if obstacle:
            return obstacle
        try:
            return _replace(folders, name, known, data)
        except OSError as error:
            return f"{folders[0]}/{name}: {error.strerror}"

    answers: list[tuple[Ask, Units]] = []

    def asking() -> tuple[Ask, Units]:
        if not answers:
            from zabbix_sockets.collector.call_context import CallContext  # noqa: PLC0415  # as next
            from zabbix_sockets.collector.standing import Standings  # noqa: PLC0415  # for new rows alone

            context = CallContext(proc, deadline.part(_SHARE_OF_ASKING))
            standings = Standings(snapshot, context)
            answers.append((standings.of, standings.unit))
        return answers[0]

    def ask(members: Collection[int]) -> Standing | None:
        return None if obstacle else asking()[0](members)

    def unit_of(members: Collection[int]) -> str | None:
        return asking()[1](members)

    return Admission(table, ask, keep, unit_of)


def _folders() -> list[str]:
    """Return the folders that this user alone may write, the one to write the file to first.

    That is the service's, else the one that `setup` makes, else the lock's, which is lost at a
    boot. The others are only read: the file may be there from a time when the first could not be
    used.
    """
    uid = os.geteuid()
    own = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if own:
        own = os.path.realpath(own)  # with DynamicUser= it is a link to one in /var/lib/private
    next(lock_folders(), None)  # makes the best one if it isn't there, and no other
    folders = own, state_folder(uid), *shared_folders(uid)
    return [folder for folder in folders if folder and is_ours(folder, uid)]


def _read(folders: list[str], name: str) -> bytes | None:
    """Return the bytes of the file in the first of *folders* that has it; None without one.

    Raises:
        OSError: it can't be read now.
    """
    for folder in folders:
        try:
            return _content(f"{folder}/{name}")
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
    return None


def _content(path: str) -> bytes:
    """Return the bytes of a file, of a long one as many as show that it is too long.

    Raises:
        OSError: there is none, or it can't be read.
    """
    fd = os.open(path, os.O_RDONLY | _OPENING)
    try:
        data = b""
        while len(data) <= SIZE and (more := os.read(fd, SIZE + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(fd)


def _replace(folders: list[str], name: str, known: bytes | None, data: bytes) -> str:
    """Write *data* to the file in the first of *folders*, if its bytes are still those *known*.

    Return why it isn't written: another call has changed the file, as where no lock keeps calls
    apart, and doesn't know what this one has admitted. An empty text: it is written.

    Raises:
        OSError: it can't be written, or locked; the file is as before.
    """
    path = f"{folders[0]}/{name}"
    # Of the folder anybody who may open it could hold a lock for ever.
    fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | _OPENING, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _read(folders, name) != known:
            return _MEANWHILE
        _write(path, data)
    except BlockingIOError:
        return _MEANWHILE
    finally:
        os.close(fd)
    return ""


def _write(path: str, data: bytes) -> None:
    """Put a file with *data* in the place of *path*.

    Raises:
        OSError: it can't be written; *path* is as before.
    """
    new = f"{path}.new"
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OPENING, 0o600)
        with open(fd, "wb", buffering=0) as file:
            if file.write(data) != len(data):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        os.replace(new, path)
    except OSError:
        try:
            os.unlink(new)  # whatever it is: the next call begins anew
        except OSError:
            pass  # it isn't there, or stays in the way, which the error says
        raise


def _now(time: int) -> CallMoment:
    """Return the moment of the Unix second *time*; where the boot's id can't be read, it is 0."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = bytes.fromhex(file.read().strip().replace("-", ""))
    except (OSError, ValueError):
        boot = bytes(16)
    return CallMoment(time, int(clock_gettime(CLOCK_BOOTTIME)), boot)
