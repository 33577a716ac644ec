"""The kernel: whether it runs BPF iterators, and whether this host has what loads them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator

from zabbix_sockets.check.distribution import install
from zabbix_sockets.check.line import Line, degraded, ok, unknown
from zabbix_sockets.check.system import System
from zabbix_sockets.check.units import LOAD_UNIT, has_unit, state_of
from zabbix_sockets.readers.bpf.loader import LIBRARIES
from zabbix_sockets.readers.bpf.records import FIRST_KERNEL, is_older_than

KERNEL, BTF, LOCKDOWN, LIBBPF = "kernel", "btf", "lockdown", "libbpf"

_SECURITY = "/sys/kernel/security"
_TOO_NEW = (6, 0)
"""The first kernel that has types which libbpf.so.0 can't read (BTF_KIND_ENUM64)."""

_WITHOUT_UNIT = f"systemctl disable --now {LOAD_UNIT} && systemctl reset-failed {LOAD_UNIT}"


def check_kernel(system: System, release: str = os.uname().release) -> Iterator[Line]:
    """Yield the lines of the kernel's version, by its *release*, its BTF and its lockdown."""
    if is_older_than(release, FIRST_KERNEL):
        first = ".".join(map(str, FIRST_KERNEL))
        yield degraded(
            KERNEL,
            f"Linux {release} is too old for BPF iterators, which need {first}, unless its"
            " distribution has them in it; else sockets are read by sock_diag, and owners"
            " of other users' sockets take privilege",
        )
    else:
        yield ok(KERNEL, f"Linux {release}")
    yield _check_btf(system)
    yield _check_lockdown(system)


def _check_btf(system: System) -> Line:
    if system.exists("/sys/kernel/btf/vmlinux"):
        return ok(BTF, "the kernel's types are in /sys/kernel/btf/vmlinux")
    return degraded(
        BTF,
        "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF), without which no BPF iterator loads:"
        " it takes a kernel of the distribution's own, or one that is built with it",
    )


def _check_lockdown(system: System) -> Line:
    """Lockdown forbids BPF to read the kernel's memory in confidentiality mode alone.

    Source: security/lockdown/lockdown.c, LOCKDOWN_BPF_READ_KERNEL.
    """
    text = system.read(f"{_SECURITY}/lockdown")
    if text is None:
        if system.exists(f"{_SECURITY}/lockdown"):
            return unknown(LOCKDOWN, "this user may not read it", "sudo zabbix-sockets check")
        return ok(LOCKDOWN, "this kernel has none, as far as can be seen")
    if "[confidentiality]" in text:
        return degraded(
            LOCKDOWN,
            "the kernel is in confidentiality mode, in which no BPF program may read its memory:"
            " boot with lockdown=integrity, which allows it",
            "cat /proc/cmdline",
        )
    mode = text[text.find("[") + 1 : text.find("]")] if "[" in text else "none"
    return ok(LOCKDOWN, f"{mode}: allows the iterators")


def check_libbpf(
    system: System,
    open_library: Callable[[str], object] = ctypes.CDLL,
    release: str = os.uname().release,
) -> Iterator[Line]:
    """Yield the line of libbpf, which `zabbix-sockets load` uses at boot, and nothing else does."""
    for name in LIBRARIES:
        try:
            open_library(name)
        except OSError:
            continue
        if name == LIBRARIES[0] or is_older_than(release, _TOO_NEW):
            yield ok(LIBBPF, f"{name} is there, for `zabbix-sockets load`")
        else:
            yield degraded(
                LIBBPF,
                f"{name} can't read the types of Linux {release}, so no BPF iterators are loaded:"
                f" install libbpf 1 ({LIBRARIES[0]}) of another source, or do without them",
                _WITHOUT_UNIT if _has_failed_to_load(system) else "",
            )
        return
    yield degraded(
        LIBBPF,
        f"there is no {' or '.join(LIBRARIES)}: `zabbix-sockets load` can't load the BPF"
        " iterators, now or at the next boot",
        install(system, "libbpf"),
    )


def _has_failed_to_load(system: System) -> bool:
    return has_unit(system, LOAD_UNIT) and (
        state_of(system, LOAD_UNIT).get("ActiveState") == "failed"
    )
