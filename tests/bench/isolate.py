"""Runs a function where it sees its own sockets and processes and no others."""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
IFREQ = struct.Struct("16sh22x")

_libc = ctypes.CDLL(None, use_errno=True)


def run_isolated(main: Callable[[], int]) -> int:
    """Return what *main* returns, run in network, process and mount namespaces of its own.

    When the calling process ends, everything in these namespaces does: *main* is its process 1.
    Without the privilege (CAP_SYS_ADMIN), say so on stderr and run it right here.
    """
    try:
        _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS))
    except OSError as exc:
        print(
            f"no namespaces of its own ({exc.strerror}; it takes root): this measures the sockets"
            " and processes of everybody on this host, too",
            file=sys.stderr,
        )
        return main()
    pid = os.fork()
    if pid:
        return _wait(pid)
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    _mount_own()
    _bring_up("lo")
    return main()


def _wait(pid: int) -> int:
    """Wait for the child; it answers Ctrl-C itself, and SIGTERM ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code  # as a shell reports a signal


def _mount_own() -> None:
    """Mount what shows or keeps something of others; other namespaces don't see these mounts.

    /proc shows the own process namespace, and in /dev/shm `get` keeps others waiting.
    """
    _check(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    _check(_libc.mount(b"proc", b"/proc", b"proc", 0, None))
    if os.path.isdir("/dev/shm"):
        _check(_libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, None))


def _bring_up(device: str) -> None:
    name = device.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, SIOCGIFFLAGS, IFREQ.pack(name, 0))
        flags = IFREQ.unpack(answer)[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, IFREQ.pack(name, flags | IFF_UP))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno() or errno.EINVAL
        raise OSError(number, os.strerror(number))
