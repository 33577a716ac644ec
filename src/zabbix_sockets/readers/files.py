"""Reader of regular files that other users may write, up to a number of bytes.

Whoever may put a file somewhere may put anything there: a FIFO that nobody writes to, a device
without an end, a file of many gigabytes. To open a device does something, too: it rewinds a tape,
and starts a watchdog that reboots the host. So what is no regular file is never opened, not even
where it takes a file's place between a look and the opening.

Source: open(2), O_PATH; proc(5), /proc/PID/fd.
"""

import errno
import os
import stat

_OPENING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_PIECE = 1 << 16


def read_regular(path: str, limit: int, flags: int = 0) -> bytes:
    """Return all bytes of the regular file *path*, which has no more than *limit* of them.

    *flags* are given to open(2) besides, such as O_NOFOLLOW.

    Raises:
        OSError: as open(2) and read(2) give it. EISDIR: it is a folder; EINVAL: it is neither
            a folder nor a regular file; EFBIG: it is longer than *limit* bytes. ENOENT, too, for
            what can be no path: it has a NUL in it.
    """
    fd = _opened(path, flags)
    try:
        status = os.fstat(fd)
        if status.st_size > limit:
            raise _error(errno.EFBIG, path)
        data = piece = os.read(fd, min(limit + 1, max(_PIECE, status.st_size + 1)))
        while piece and len(data) <= limit:  # it may grow, and those of /proc have no size
            piece = os.read(fd, _PIECE)
            data += piece
    finally:
        os.close(fd)
    if len(data) > limit:
        raise _error(errno.EFBIG, path)
    return data


def _opened(path: str, flags: int) -> int:
    """Return a descriptor of the regular file *path*; for errors see read_regular()."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC | flags)
    except ValueError:
        raise _error(errno.ENOENT, path) from None
    try:
        mode = os.fstat(place).st_mode
        if stat.S_ISLNK(mode):  # O_PATH opens the link itself where it isn't to be followed
            raise _error(errno.ELOOP, path)
        if stat.S_ISDIR(mode):
            raise _error(errno.EISDIR, path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        try:
            return os.open(f"/proc/self/fd/{place}", _OPENING)
        except FileNotFoundError:  # no /proc here, as where an image of a system is made
            return os.open(path, _OPENING | flags)
        except OSError as error:
            raise _error(error.errno or errno.EIO, path) from None
    finally:
        os.close(place)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
