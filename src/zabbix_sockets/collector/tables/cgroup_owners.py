"""Owners without a walk: the cgroups in which sockets were made.

netlink tells them with each socket (INET_DIAG_CGROUP_ID, Linux 5.8), to everybody. A socket
that was handed on, as by systemd's socket activation, is its maker's still.
"""

from collections.abc import Iterable, Iterator

from zabbix_sockets.model.gaps import CGROUPS, Gap
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Process, Query
from zabbix_sockets.model.wire import Row
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.process import (
    CAP_DAC_READ_SEARCH,
    CAP_SYS_PTRACE,
    has_capability,
)
from zabbix_sockets.readers.sock_diag.messages import CgroupRow

_BY_CGROUP = frozenset(("unit", "container"))


class CgroupOwners(Owners):
    """A process without a pid for each cgroup: it stands for all of that cgroup.

    Attributes:
        untold: a socket came without its cgroup, as on kernels before 5.8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.untold = False
        self._numbers: dict[int, int] = {}

    def gaps(self) -> list[Gap]:
        """Return what was not seen of who holds which socket, so far."""
        return [*super().gaps(), *([Gap(CGROUPS)] if self.untold else [])]

    def observe(self, rows: Iterable[CgroupRow]) -> Iterator[Row]:
        """Yield the rows, and note their owners as they come."""
        by_inode, numbers = self.by_inode, self._numbers
        for cgroup, row in rows:
            inode = row[9]
            if not inode:
                pass  # an orphan, or not accepted yet: nobody's
            elif not cgroup:
                self.untold = True
            else:
                number = numbers.get(cgroup)
                if number is None:
                    number = numbers[cgroup] = self.number(Process(0, "", cgroup=cgroup))
                by_inode.setdefault(inode, number)
            yield row


def may_not_walk(query: Query, mounts: Mounts) -> bool:
    """Whether cgroups are the better owners: they answer the question, and a walk is denied."""
    if not query.needs or not query.needs <= _BY_CGROUP or not mounts.cgroup2:
        return False
    return not all(
        has_capability(query.proc, each) for each in (CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE)
    )
