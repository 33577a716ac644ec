"""Reader of regular files that other users may write, up to a number of bytes.

Whoever may put a file somewhere may put anything there: a FIFO that nobody writes to, a device
without an end, a file of many gigabytes.
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
            a folder nor a regular file; EFBIG: it is longer than *limit* bytes.
    """
    fd = os.open(path, _OPENING | flags)
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise _error(errno.EISDIR, path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
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


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
