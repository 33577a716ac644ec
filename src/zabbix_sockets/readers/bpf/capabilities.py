"""The capabilities for loading BPF programs and mounting a bpffs: whether this process has them.

A module of its own, so that asking imports neither the loader nor ctypes: an agent's user, who has
none of these capabilities, asks at each call.

Source: capabilities(7), include/uapi/linux/capability.h, proc(5): /proc/PID/status.
"""

from __future__ import annotations

from zabbix_sockets.readers.proc.files import read_bytes
from zabbix_sockets.readers.proc.process import CAP_SYS_ADMIN

_LOADING = {"CAP_PERFMON": 38, "CAP_BPF": 39}  # CAP_SYS_ADMIN stands for both of them


def effective_capabilities(status: bytes) -> int:
    """Return the effective capabilities as a mask, by *status*, the bytes of /proc/self/status.

    Bit N is the capability N of linux/capability.h; all bits are set if there is no CapEff.
    """
    for line in status.split(b"\n"):
        if line.startswith(b"CapEff:"):
            return int(line.split()[1], 16)
    return -1


def missing_capabilities(status: bytes) -> list[str]:
    """Return the names of the capabilities that a process lacks for loading BPF programs.

    *status* is the bytes of its /proc/self/status.
    """
    effective = effective_capabilities(status)
    if effective >> CAP_SYS_ADMIN & 1:
        return []
    return [name for name, bit in _LOADING.items() if not effective >> bit & 1]


def why_may_not_load() -> str | None:
    """Return in words which capability this process lacks for loading; None if it has them all."""
    missing = missing_capabilities(read_bytes("/proc/self/status"))
    return f"loading needs {' and '.join(missing)}" if missing else None


def may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN, without which nothing is mounted or unmounted."""
    effective = effective_capabilities(read_bytes("/proc/self/status"))
    return bool(effective >> CAP_SYS_ADMIN & 1)
