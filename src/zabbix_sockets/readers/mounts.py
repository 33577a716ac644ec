"""/proc/PID/mountinfo: what is mounted where.

Source: proc(5), fs/proc_namespace.c show_mountinfo(). World-readable, for every process.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

_FIELDS = 5  # before the options: ID, parent, device, root, mount point
_DEVICE_LENGTH = 16  # a major number has 12 bits, a minor one 20


class Mount(NamedTuple):
    """A mount: what of its filesystem, where, the filesystem's type, and its st_dev."""

    root: bytes
    path: str
    filesystem: bytes
    device: int


def read_mounts(proc: str, process: str = "self") -> Iterator[Mount]:
    """Yield the mounts that the caller, or another *process*, sees; none if that is hidden."""
    try:
        with open(f"{proc}/{process}/mountinfo", "rb") as lines:
            for line in lines:
                mount, _, source = line.partition(b" - ")
                fields = mount.split(b" ", _FIELDS)
                if len(fields) >= _FIELDS and source:
                    filesystem = source.split(b" ", 1)[0]
                    device = _device(fields[2])
                    yield Mount(fields[3], unescape(fields[4]), filesystem, device)
    except OSError:
        pass  # what was found is still true


def _device(raw: bytes) -> int:
    """Return what stat(2) calls st_dev, from "major:minor"; 0, which no filesystem has, if odd."""
    major, _, minor = raw.partition(b":")
    if not (major.isdigit() and minor.isdigit() and len(raw) < _DEVICE_LENGTH):
        return 0
    return os.makedev(int(major), int(minor))


def unescape(raw: bytes) -> str:
    r"""Undo the "\040" that the kernel puts for what would split a line."""
    return os.fsdecode(re.sub(rb"\\([0-3][0-7]{2})", lambda at: bytes([int(at[1], 8)]), raw))
