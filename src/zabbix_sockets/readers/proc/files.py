"""Reader of the files of /proc, whose length nobody knows before they are read.

Source: proc(5), fs/seq_file.c.
"""

import os

MAX_BYTES = 1 << 20
"""The most that is read of a file of /proc: users make some of them as long as they like."""

_PIECE = 65536


def read_bytes(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return the first *limit* bytes of a file of /proc, all of a shorter one.

    One read(2) gives what fits into a page, of most files (fs/seq_file.c): so it is read until
    nothing comes.

    Raises:
        OSError: as open(2) and read(2) give it.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = piece = os.read(fd, min(limit, _PIECE))
        while piece and len(data) < limit:
            piece = os.read(fd, min(limit - len(data), _PIECE))
            data += piece
    finally:
        os.close(fd)
    return data


def read_lines(path: str) -> list[bytes]:
    """Return the lines of a file of /proc without their ends, as far as MAX_BYTES reach.

    Of a longer file the last line that is returned is complete.

    Raises:
        OSError: as read_bytes().
    """
    data = read_bytes(path)
    if len(data) >= MAX_BYTES:
        data = data[: data.rfind(b"\n") + 1]
    return data.splitlines()
