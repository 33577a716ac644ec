"""Owners without a walk over /proc/PID/fd: the cgroups in which sockets were made.

netlink tells them with each socket (INET_DIAG_CGROUP_ID, Linux 5.8), whatever the caller's
privileges are. A socket that was passed to another process, as by systemd's socket activation,
remains that of the cgroup in which it was made.
"""

from _collections_abc import Iterable, Iterator

from zabbix_sockets.model import gaps
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Process, Query
from zabbix_sockets.model.wire import INODE, SocketRow
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.process import (
    CAP_DAC_READ_SEARCH,
    CAP_SYS_PTRACE,
    has_capability,
)
from zabbix_sockets.readers.sock_diag.messages import CgroupRow

_BY_CGROUP = frozenset(("unit", "container"))


class CgroupOwners(Owners):
    """The owners of sockets as cgroups: a Process without a pid stands for all of one.

    Attributes:
        lacks_cgroup: a socket came without its cgroup, as on kernels before 5.8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lacks_cgroup = False
        self._numbers: dict[int, int] = {}

    def gaps(self) -> list[Gap]:
        """Return the gaps in the owners of the rows that observe() has yielded so far."""
        return [*super().gaps(), *([Gap(gaps.CGROUPS)] if self.lacks_cgroup else [])]

    def observe(self, rows: Iterable[CgroupRow]) -> Iterator[SocketRow]:
        """Yield the rows without their cgroups, and add the owner of each by its inode."""
        by_inode, numbers = self.by_inode, self._numbers
        for cgroup, row in rows:
            inode = row[INODE]
            if not inode:
                pass  # an orphan, or not accepted yet: nobody's
            elif not cgroup:
                self.lacks_cgroup = True
            else:
                number = numbers.get(cgroup)
                if number is None:
                    number = numbers[cgroup] = self.number(Process(0, "", cgroup=cgroup))
                by_inode.setdefault(inode, number)
            yield row


def must_use_cgroups(query: Query, mounts: Mounts) -> bool:
    """Whether cgroups are to be the owners instead of processes.

    They are if the query's grouping needs units or containers alone, cgroup v2 is mounted, and the
    caller lacks a capability that a walk over the descriptors of all processes takes.
    """
    if not query.needs or not query.needs <= _BY_CGROUP or not mounts.cgroup2:
        return False
    return not all(
        has_capability(query.proc, each) for each in (CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE)
    )
