"""Reader of the network namespaces of processes: numbers, devices, tables in use; setns(2).

Source: network_namespaces(7), setns(2), proc(5), fs/proc/proc_net.c. To know a process's
namespace by its number takes ptrace-read access, to enter it CAP_SYS_ADMIN; the files below
/proc/PID/net are open to all.
"""

from __future__ import annotations

import os
from _collections_abc import Callable

from zabbix_sockets.model import shortage
from zabbix_sockets.model.light_library import lru_cache
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.readers.proc.files import read_lines

CLONE_NEWNET = 0x40000000
_IN_USE = (b"TCP: inuse", b"UDP: inuse", b"TCP6: inuse", b"UDP6: inuse")


def read_key(proc: str, pid: str) -> int:
    """Return a number that tells the network namespace of the process *pid* from all others.

    It takes no privilege, other than the namespace's own number: it is the inode number of
    *proc*/PID/net/dev, of which each namespace has its own. Both kinds of numbers come from one
    allocator, so one is never the other's.

    Raises:
        OSError: the process is gone or hidden.
    """
    return os.stat(f"{proc}/{pid}/net/dev").st_ino


def read_number(proc: str, pid: str) -> int | None:
    """Return the number (inode number) of the network namespace of the process *pid*.

    None if the process is gone, or without ptrace-read access to it.
    """
    try:
        return os.stat(f"{proc}/{pid}/ns/net").st_ino
    except OSError as error:
        shortage.note(error)
        return None


class Stay:
    """The stay of this thread in the network namespace of the file *path*, until it is left.

    *path* is such as /proc/PID/ns/net, or a mount of one.

    Raises:
        OSError: the file is gone, or this process lacks CAP_SYS_ADMIN.
    """

    def __init__(self, path: str) -> None:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(target)
            except BaseException:
                os.close(self._own)
                raise
        finally:
            os.close(target)

    def leave(self) -> None:
        """Have the thread in the namespace again where it was before.

        Raises:
            OSError: it still is in the other one.
        """
        try:
            _setns(self._own)
        finally:
            os.close(self._own)


def _setns(fd: int) -> None:
    setns = getattr(os, "setns", None) or _setns_of_libc()
    setns(fd, CLONE_NEWNET)


@lru_cache(maxsize=1)
def _setns_of_libc() -> Callable[[int, int], None]:
    """Return setns(2) for a Python before 3.12, which has no os.setns()."""
    import ctypes  # noqa: PLC0415  # only where namespaces are entered

    function = ctypes.CDLL(None, use_errno=True).setns

    def setns(fd: int, kind: int) -> None:
        if function(fd, kind):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "setns")

    return setns


def read_unused(proc: str, pid: str) -> frozenset[str]:
    """Return the socket tables without a socket in the network namespace of the process *pid*.

    They are told by their names in /proc/net: tcp, tcp6, udp, udp6. *proc*/PID/net/sockstat and
    sockstat6 count sockets; none is returned that they don't. A socket in TIME_WAIT is in none of
    the counts by family: where there is one, neither table of TCP is unused.
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
    """Return network devices of the namespace of the process *pid*: names by index, safe to print.

    These are the devices with an address, as *proc*/PID/net/igmp and if_inet6 list them: there is
    no file of all. Fewer are returned where the process is gone or hidden.
    """
    found: dict[int, str] = {}
    try:
        for line in read_lines(f"{proc}/{pid}/net/igmp")[1:]:
            index, _, description = line.partition(b"\t")
            if index.isdigit():
                found[int(index)] = safe_name(description.partition(b":")[0].strip())
        for line in read_lines(f"{proc}/{pid}/net/if_inet6"):
            fields = line.split()
            found[int(fields[1], 16)] = safe_name(fields[5])
    except (OSError, IndexError, ValueError) as error:
        shortage.note(error)  # gone, or without IPv6: an index is shown then
    return found
