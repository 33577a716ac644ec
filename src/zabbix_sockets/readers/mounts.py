"""/proc/self/mountinfo: what is mounted where.

Source: proc(5), fs/proc_namespace.c show_mountinfo(). World-readable.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

_FIELDS = 5  # before the options: ID, parent, device, root, mount point


class Mount(NamedTuple):
    """A mount: what of its filesystem, where, and the filesystem's type."""

    root: bytes
    path: str
    filesystem: bytes


def read_mounts(proc: str) -> Iterator[Mount]:
    """Yield the mounts that the caller sees; none where the file is hidden."""
    try:
        with open(f"{proc}/self/mountinfo", "rb") as lines:
            for line in lines:
                mount, _, source = line.partition(b" - ")
                fields = mount.split(b" ", _FIELDS)
                if len(fields) >= _FIELDS and source:
                    yield Mount(fields[3], unescape(fields[4]), source.split(b" ", 1)[0])
    except OSError:
        pass  # what was found is still true


def unescape(raw: bytes) -> str:
    r"""Undo the "\040" that the kernel puts for what would split a line."""
    return os.fsdecode(re.sub(rb"\\([0-3][0-7]{2})", lambda at: bytes([int(at[1], 8)]), raw))
