"""The way to a file, through folders and symbolic links, as in path_resolution(7)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_MAX_LINKS = 40  # MAXSYMLINKS

FOLDER, LINK, END = "folder", "link", "end"


def steps(path: str, root: str = "") -> Iterator[tuple[str, str]]:
    """Yield each place on the way to an absolute *path*, with what it is on that way.

    FOLDER is a place in which the next part of the path is looked up, whatever is there, LINK a
    symbolic link, whose target's folders come next, and END the file itself, which comes last.
    *root* is the folder that stands for "/", also of links.

    Raises:
        OSError: a part isn't there, the caller may not look at it, or there are too many links.
    """
    at, links = root or "/", 0
    waiting = path.split("/")[::-1]
    while waiting:
        part = waiting.pop()
        if part in {"", "."}:
            continue
        yield at, FOLDER
        at = os.path.dirname(at) if part == ".." else os.path.join(at, part)
        if not os.path.islink(at):
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), at)
        yield at, LINK
        target = os.readlink(at)
        waiting += target.split("/")[::-1]
        at = (root or "/") if target.startswith("/") else os.path.dirname(at)
    yield at, END
