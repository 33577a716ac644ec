"""Cgroups of the tests' own, below the cgroup2 hierarchy that is there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import zoo


def find_root() -> Path | None:
    """Return where cgroup v2 is mounted, if it is."""
    lines = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    return next((Path(path) for _, path, kind, *_ in lines if kind == "cgroup2"), None)


@contextmanager
def made(*folders: Path) -> Iterator[None]:
    """Have these cgroups; what is in them must have ended when they are left.

    The hierarchy is the machine's, and the names are fixed: one test at a time has some.
    """
    done: list[Path] = []
    hierarchy = os.open(find_root() or "/", os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(hierarchy, fcntl.LOCK_EX)
    try:
        for folder in folders:
            folder.mkdir()
            done.append(folder)
        yield
    finally:
        for folder in reversed(done):
            if folder.exists():
                zoo.wait_for(partial(_removed, folder), "an empty cgroup")
        os.close(hierarchy)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def inside(folder: Path, work: Callable[[], object]) -> object:
    """Move this process into a cgroup, and return what *work* does."""
    (folder / "cgroup.procs").write_text(str(os.getpid()))
    return work()
