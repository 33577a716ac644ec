"""A /proc that hides other processes (hidepid), for an ordinary user who may read the pins."""

import ctypes
import grp
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from children import run_as, run_forked

from zabbix_sockets.model.paths import PINS_GROUP

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


def _call(result: int, what: str) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def hiding(hidepid: int, folder: Path, work: Callable[[str], object]) -> object:
    """Return what *work* does as an ordinary user, with a /proc of its own that hides others."""

    def mounted() -> object:
        _call(_libc.unshare(CLONE_NEWNS), "unshare")
        _call(_libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
        options = f"hidepid={hidepid}".encode()
        _call(_libc.mount(b"proc", os.fsencode(folder), b"proc", 0, options), "mount proc")
        return run_as(NOBODY, partial(work, str(folder)), grp.getgrnam(PINS_GROUP).gr_gid)

    return run_forked(mounted)
