"""Network namespaces of the tests' own: nothing that a test opens is the machine's."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000

_OWN = """
link set lo up
link add veth0 type veth peer name veth1
address add 192.0.2.1/24 dev veth0
address add fe80::1/64 dev veth0 nodad
link set veth0 up
link set veth1 up
"""

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    """Let libc do it; anything but 0 means that errno is set."""
    if getattr(_libc, name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def enter(path: str) -> None:
    """Put this thread into the namespace of a file, for good."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", fd, CLONE_NEWNET)
    finally:
        os.close(fd)


def unshare() -> None:
    """Put this thread into a fresh namespace with loopback up, for good."""
    _call("unshare", CLONE_NEWNET)
    ip("link", "set", "lo", "up")


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Put this thread into a namespace of `named()`."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(path_of(name))
        yield
    finally:
        _call("setns", before, CLONE_NEWNET)
        os.close(before)


def path_of(name: str) -> str:
    """Return where a namespace of `named()` is mounted."""
    return f"/run/netns/{name}"


@contextmanager
def named(*names: str) -> Iterator[None]:
    """Have namespaces with loopback up below /run/netns."""
    made: list[str] = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in made:
            ip("netns", "del", name)


def ip(*arguments: str) -> None:
    """Let iproute2 do it in the namespace that this thread is in."""
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def own_namespace() -> Iterator[None]:
    """Put this thread, and what it starts, into a fresh namespace with loopback up.

    Needs CAP_SYS_ADMIN. A veth pair, "veth0" with 192.0.2.1 and fe80::1 and "veth1", is there
    for what loopback can't show.
    """
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", CLONE_NEWNET)
        subprocess.run(["ip", "-batch", "-"], input=_OWN, text=True, check=True)
        yield
    finally:
        _call("setns", before, CLONE_NEWNET)
        os.close(before)
