"""Whether the unit that loads the BPF iterators would succeed: libbpf is there, the kernel agrees.

It is tried before the unit is enabled: without libbpf, or with one that is too old for the kernel,
the unit would fail at every boot.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from zabbix_sockets.check.distribution import install
from zabbix_sockets.check.system import System
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.paths import PINS
from zabbix_sockets.readers.bpf.loader import LIBRARIES, LoadedPrograms

_SECONDS = 10.0
_UNKNOWN = "install it, as this distribution calls it"


def why_libbpf_fails(
    *,
    may_load: bool,
    root: str = "",
    open_library: Callable[[str], object] = ctypes.CDLL,
    load: Callable[[], AbstractContextManager[object]] = LoadedPrograms,
) -> str:
    """Return why libbpf can't load the iterators of this host, and what to do; empty: it can.

    With *may_load*, which takes the capabilities for it, they are loaded and let go of at once:
    nothing is pinned. Else only the library is looked for. The name of its package is by the
    os-release below *root*.
    """
    if not any(_opens(name, open_library) for name in LIBRARIES):
        system = System(root, "/proc", Deadline(_SECONDS), PINS, os.geteuid())
        return f"libbpf: {install(system, 'libbpf') or _UNKNOWN}"
    if may_load:
        try:
            with load():
                pass
        except (SourceUnavailableError, OSError) as error:
            return f"the BPF iterators: {error}"
    return ""


def _opens(name: str, open_library: Callable[[str], object]) -> bool:
    try:
        open_library(name)
    except OSError:
        return False
    return True
