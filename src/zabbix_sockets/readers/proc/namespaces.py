"""Network namespaces: which there are, which processes are in them, and how to enter one.

Source: network_namespaces(7), setns(2), proc(5), fs/proc/proc_net.c. To know a process's
namespace by its number takes ptrace-read access, to enter it CAP_SYS_ADMIN; the files below
/proc/PID/net are open to all.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from zabbix_sockets.model import shortage
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.readers.proc.process import read_lines

CLONE_NEWNET = 0x40000000
_IN_USE = (b"TCP: inuse", b"UDP: inuse", b"TCP6: inuse", b"UDP6: inuse")


def read_key(proc: str, pid: str) -> int:
    """Return what a process's namespace can be told by without privilege.

    The files of each namespace in /proc have inode numbers of their own, from the same
    allocator as the namespaces' numbers: one is never the other's.

    Raises:
        OSError: the process is gone or hidden.
    """
    return os.stat(f"{proc}/{pid}/net/dev").st_ino


def read_number(proc: str, pid: str) -> int | None:
    """Return the number of a process's namespace; None without privilege, or if it is gone."""
    try:
        return os.stat(f"{proc}/{pid}/ns/net").st_ino
    except OSError as error:
        shortage.note(error)
        return None


@contextmanager
def entered(path: str) -> Iterator[None]:
    """Put this thread into the namespace of *path*, a file such as /proc/PID/ns/net.

    Raises:
        OSError: it is gone, or this takes CAP_SYS_ADMIN.
    """
    target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(target)
            try:
                yield
            finally:
                _setns(own)
        finally:
            os.close(own)
    finally:
        os.close(target)


def _setns(fd: int) -> None:
    setns = getattr(os, "setns", None)
    if setns:
        setns(fd, CLONE_NEWNET)
        return
    import ctypes  # noqa: PLC0415  # before Python 3.12, and only where namespaces are entered

    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def read_unused(proc: str, pid: str) -> frozenset[str]:
    """Return the tables without a socket of a process's namespace, by /proc/PID/net/sockstat*.

    Tables go by their names in /proc/net. A socket in TIME_WAIT is in none of the counts by
    family: where there is one, neither table of TCP is unused.
    """
    unused: set[str] = set()
    waiting = True
    for name in ("sockstat", "sockstat6"):
        try:
            lines = read_lines(f"{proc}/{pid}/net/{name}")
        except OSError:
            continue  # gone, or a kernel without IPv6
        for line in lines:
            if line.startswith(b"TCP: "):
                waiting = b" tw 0 " not in line
            if line.startswith(_IN_USE) and line.split()[2:3] == [b"0"]:
                unused.add(line.partition(b":")[0].decode("ascii").lower())
    return frozenset(unused - {"tcp", "tcp6"} if waiting else unused)


def read_devices(proc: str, pid: str) -> dict[int, str]:
    """Return the safe names of the network devices of a process's namespace by their indices.

    Those with an address are there: /proc/PID/net has no list of all.
    """
    found: dict[int, str] = {}
    try:
        for line in read_lines(f"{proc}/{pid}/net/igmp")[1:]:
            index, _, rest = line.partition(b"\t")
            if index.isdigit():
                found[int(index)] = safe_name(rest.partition(b":")[0].strip())
        for line in read_lines(f"{proc}/{pid}/net/if_inet6"):
            fields = line.split()
            found[int(fields[1], 16)] = safe_name(fields[5])
    except (OSError, IndexError, ValueError) as error:
        shortage.note(error)  # gone, or without IPv6: an index is shown then
    return found
