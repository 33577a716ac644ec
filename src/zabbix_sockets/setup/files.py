"""Reading, writing and removing of single files, in folders that others than root may own.

An agent's folder may belong to the agent's user, who could put a link where a file is to be, or in
the place of the folder. So a file is opened without following links, and written as a new one that
takes the old one's place in one step: whatever was there, nothing behind it is read or written. On
the way to its folder only links are followed that nobody but root could put there.

Source: path_resolution(7), openat(2), readlinkat(2).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from zabbix_sockets.host.processes import may_only_root_rename
from zabbix_sockets.readers.files import read_regular

_PLACE = os.O_PATH | os.O_CLOEXEC
_MAX_LINKS = 40  # MAXSYMLINKS
MAX_BYTES = 1 << 20
"""The longest file that is compared: those that are written have a few kB."""


def digest(content: bytes) -> str:
    """Return the SHA-256 of *content*, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read(path: str) -> bytes | None:
    """Return the bytes of the file *path*; None: there is no such file.

    Raises:
        OSError: it is a link, no regular file, longer than MAX_BYTES, or may not be read.
    """
    try:
        return read_regular(path, MAX_BYTES, os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None


def write(path: str, content: bytes, mode: int) -> None:
    """Put a new file in the place of *path*, in one step; its folder has to be there.

    Raises:
        OSError: it can't be written.
    """
    name = os.path.basename(path)
    new = f".{name}.{os.urandom(6).hex()}"
    with _folder(path) as folder:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(new, flags, 0o600, dir_fd=folder)
        try:
            with open(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fchown(fd, os.geteuid(), os.getegid())  # whatever the folder's group is
                os.fchmod(fd, mode)
                os.fsync(fd)
            os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(new, dir_fd=folder)
            raise
        os.fsync(folder)


def remove(path: str) -> None:
    """Remove the file or link *path*; that it isn't there is well.

    Raises:
        OSError: it can't be removed.
    """
    with suppress(FileNotFoundError), _folder(path) as folder:
        os.unlink(os.path.basename(path), dir_fd=folder)


@contextmanager
def _folder(path: str) -> Iterator[int]:
    """Open the folder of *path*, so that all is done in the same one, wherever its name leads."""
    place = _place_of(os.path.dirname(path))
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
    finally:
        os.close(place)
    try:
        yield fd
    finally:
        os.close(fd)


def _place_of(folder: str) -> int:
    """Return a descriptor (O_PATH) of an absolute path, which is opened a part at a time.

    Raises:
        OSError: it isn't there, or leads over a link that others than root may have put there.
    """
    at, links = os.open("/", _PLACE | os.O_DIRECTORY), 0
    waiting = folder.split("/")[::-1]
    try:
        while waiting:
            part = waiting.pop()
            if part in {"", "."}:
                continue
            inner = os.open(part, _PLACE | os.O_NOFOLLOW, dir_fd=at)
            try:
                target = _target_of(inner, at, folder)
                if target is None:
                    at, inner = inner, at
            finally:
                os.close(inner)
            if target is None:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), folder)
            waiting += target.split("/")[::-1]
            if target.startswith("/"):
                left, at = at, os.open("/", _PLACE | os.O_DIRECTORY)
                os.close(left)
    except BaseException:
        os.close(at)
        raise
    return at


def _target_of(place: int, above: int, path: str) -> str | None:
    """Return where the link *place* in the folder *above* leads; None: it is no link.

    Raises:
        OSError: others than root may have put it there; *path* is what it is on the way of.
    """
    status = os.fstat(place)
    if not stat.S_ISLNK(status.st_mode):
        return None
    if status.st_uid not in {0, os.geteuid()} or not may_only_root_rename(os.fstat(above)):
        raise OSError(errno.ELOOP, "a symbolic link on the way is not root's", path)
    return os.readlink("", dir_fd=place)
