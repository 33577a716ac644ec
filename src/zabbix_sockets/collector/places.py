"""Where processes belong, and what that is called; what several share is read once a call."""

import os
from functools import cached_property

from zabbix_sockets.collector.shared import Shared
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.placement import Container, Placement, parse_path
from zabbix_sockets.readers.containers.homes import Homes
from zabbix_sockets.readers.containers.runtimes import ContainerNames
from zabbix_sockets.readers.proc.cgroup import CgroupTree, read_placement
from zabbix_sockets.readers.proc.mounts import Mounts

_SHARE_OF_NAMES = 0.3
"""Of the time left when the first container is met: for the files of their names."""


class Places:
    """The mounts, cgroups and containers of a call, for Shared.once()."""

    def __init__(self, shared: Shared) -> None:
        self.proc = shared.proc
        self.mounts = Mounts(shared.proc, shared.deadline)
        self._shared = shared
        self._by_number: dict[int, Placement | None] = {}
        self._in_time = True
        shared.checks.append(lambda: self.mounts.complete and self._in_time)

    def is_late(self) -> bool:
        """Whether the time is over; who asks leaves something out, and the answer says so."""
        late = self._shared.deadline.passed()
        self._in_time &= not late
        return late

    def of_process(self, pid: int) -> Placement | None:
        """Return the unit and the container of a process; None if it is gone or hidden."""
        return read_placement(self.proc, pid)

    def of_cgroup(self, number: int) -> Placement | None:
        """Return the unit and the container of a cgroup by its id; None if it is not found."""
        if number not in self._by_number:
            path = self._tree.path(number) if self._tree else None
            self._by_number[number] = None if path is None else parse_path(path)
        return self._by_number[number]

    def container_name(self, container: Container) -> str:
        """Return the safe name of a container; empty if none that lasts is known."""
        name = self._names.of(container)
        return safe_name(os.fsencode(name)) if name else ""

    @cached_property
    def _tree(self) -> CgroupTree | None:
        mount = self.mounts.cgroup2
        return CgroupTree(mount, self._shared.deadline) if mount else None

    @cached_property
    def _names(self) -> ContainerNames:
        time = self._shared.deadline.part(_SHARE_OF_NAMES)
        names = ContainerNames(Homes(self.mounts), time)
        self._shared.checks.append(lambda: names.complete)
        return names
