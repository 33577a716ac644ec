"""Units and containers of processes and cgroups; each file is read once in a call."""

from __future__ import annotations

import os

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.model.light_library import cached_property
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.placement import Container, Placement
from zabbix_sockets.model.snapshot import ROOT_CGROUP, Process
from zabbix_sockets.readers.proc.cgroup import CgroupTree, read_placement
from zabbix_sockets.readers.proc.mounts import Mounts

TYPE_CHECKING = False  # as in zabbix_sockets/__init__.py
if TYPE_CHECKING:
    from zabbix_sockets.model.container_names import PublishedPorts
    from zabbix_sockets.readers.containers.runtimes import ContainerNames

SHORT_ID = 12
"""The number of characters of a container's short id."""
_SHARE_OF_NAMES = 0.3
"""Of the time left when the first container is met: for the files of their names."""

_SHARE_OF_KNOWN = 0.2
"""The share of the time left that reading all cgroups may take, where they only name what has no
open socket."""


class Places:
    """The mounts, cgroups and containers of a call; CallContext.once() makes it.

    Attributes:
        proc: the path where procfs is mounted.
        mounts: the mounts that the caller sees.
    """

    def __init__(self, context: CallContext) -> None:
        self.proc = context.proc
        self.mounts = Mounts(context.proc, context.deadline)
        self._context = context
        self._by_number: dict[int, Placement | None] = {}
        self._in_time = True
        context.checks.append(lambda: self.mounts.complete and self._in_time)

    def is_late(self) -> bool:
        """Whether the deadline has passed.

        If so, the call's answer is not called complete: the caller leaves something out then.
        """
        late = self._context.deadline.passed()
        self._in_time &= not late
        return late

    def of(self, process: Process) -> Placement | None:
        """Return the unit and the container of a process, or of the cgroup that stands for some.

        They are found by its cgroup, else by its pid. With pid 0 it stands for a cgroup, or for
        processes that are gone: it has its cgroup's, or none. None: they are gone or hidden.
        """
        if process.cgroup > ROOT_CGROUP:
            found = self.of_cgroup(process.cgroup)
            if found or not process.pid:
                return found
        return self.of_process(process.pid) if process.pid else Placement()

    def of_process(self, pid: int) -> Placement | None:
        """Return the unit and the container of the process *pid*; None if it is gone or hidden."""
        return read_placement(self.proc, pid)

    def of_cgroup(self, number: int) -> Placement | None:
        """Return the unit and the container of the cgroup v2 with an id; None if it isn't found."""
        if number not in self._by_number:
            from zabbix_sockets.model.cgroup_paths import parse_path  # noqa: PLC0415  # imports re

            path = self._tree.path(number) if self._tree else None
            self._by_number[number] = None if path is None else parse_path(path)
        return self._by_number[number]

    def of_known_cgroup(self, number: int) -> Placement | None:
        """Return the same as of_cgroup(), as far as it was known when all cgroups were last read.

        It is for what an answer can do without: a part of the time alone is taken to read them.
        """
        time = self._context.deadline.part(_SHARE_OF_KNOWN)
        is_there = self._tree and self._tree.has(number, time)
        return self.of_cgroup(number) if is_there else None

    def container_name(self, container: Container) -> str:
        """Return the safe name of a container; empty if it has none that survives recreation."""
        name = self._names.of(container)
        return safe_name(os.fsencode(name)) if name else ""

    def container_label(self, container: Container) -> str:
        """Return the safe name of a container; its short id if it has none; empty without an id."""
        return self.container_name(container) or short_id(container)

    def published_ports(self, container: Container) -> tuple[PublishedPorts, ...]:
        """Return the ports of the host that are published for a container, as far as is known."""
        return self._names.ports_of(container)

    @cached_property
    def _tree(self) -> CgroupTree | None:
        mount = self.mounts.cgroup2
        return CgroupTree(mount, self._context.deadline) if mount else None

    @cached_property
    def _names(self) -> ContainerNames:
        from zabbix_sockets.readers.containers.homes import Homes  # noqa: PLC0415  # takes 1 ms
        from zabbix_sockets.readers.containers.runtimes import ContainerNames  # noqa: PLC0415  # takes 1 ms

        time = self._context.deadline.part(_SHARE_OF_NAMES)
        names = ContainerNames(Homes(self.mounts), time)
        self._context.checks.append(lambda: names.complete)
        self._context.unlisted_containers = names.unlisted
        return names


def short_id(container: Container) -> str:
    """Return the first characters of a container's id, as runtimes show them, safe to print."""
    return safe_name(os.fsencode(container.id[:SHORT_ID])) if container.id else ""
