"""The capabilities for loading BPF programs and mounting a bpffs: whether this process has them.

A module of its own, so that asking imports neither the loader nor ctypes: an agent's user, who has
none of these capabilities, asks at each call.

Source: capabilities(7), include/uapi/linux/capability.h, proc(5): /proc/PID/status.
"""

from __future__ import annotations

from zabbix_sockets.readers.proc.process import (
    CAP_SYS_ADMIN,
    has_capability,
    read_capabilities,
)

_LOADING = {"CAP_PERFMON": 38, "CAP_BPF": 39}  # CAP_SYS_ADMIN stands for both of them


def missing_capabilities(proc: str) -> list[str]:
    """Return the names of the capabilities that this process lacks for loading BPF programs.

    Raises:
        OSError, ParseError: *proc* doesn't tell which it has.
    """
    effective = read_capabilities(proc)
    if effective >> CAP_SYS_ADMIN & 1:
        return []
    return [name for name, bit in _LOADING.items() if not effective >> bit & 1]


def why_may_not_load() -> str | None:
    """Return in words which capability this process lacks for loading; None if it has them all.

    Raises:
        OSError, ParseError: /proc doesn't tell which it has.
    """
    missing = missing_capabilities("/proc")
    return f"loading needs {' and '.join(missing)}" if missing else None


def may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN, without which nothing is mounted or unmounted."""
    return has_capability("/proc", CAP_SYS_ADMIN)
