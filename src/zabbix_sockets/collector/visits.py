"""Visits to other network namespaces, to read their tables from inside where that is allowed.

To enter one takes CAP_SYS_ADMIN; what is in /proc/PID/net is open to all. Source: setns(2),
network_namespaces(7).
"""

from _collections_abc import Callable, Iterator

from zabbix_sockets.collector.namespaces import MOST_TRIED, FoundNamespace
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.table_readers import TableReaders
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.light_typing import Optional, TypeVar
from zabbix_sockets.model.snapshot import PortRange, Visibility
from zabbix_sockets.readers.proc import namespaces as netns
from zabbix_sockets.readers.proc.counters import read_port_range
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.proc.process import CAP_SYS_ADMIN, has_capability
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

Single = TypeVar("Single")
"""A socket, as a reader of another namespace returns it."""


class Visit:
    """A visit to another namespace: a context manager of its plan and its ephemeral ports.

    This thread is in it until the context ends, if it could be entered. The ports are None unless
    it is read by netlink, from inside.

    Raises:
        SourceUnavailableError: where the context begins: the namespace is gone, or the caller may
            not look into it.
    """

    def __init__(self, visitor: "Visitor", found: FoundNamespace, pid: Optional[int]) -> None:
        self._visitor = visitor
        self._found = found
        self._pid = pid
        self._stay: Optional[netns.Stay] = None
        self._plan: Optional[Plan] = None

    def __enter__(self) -> tuple[Plan, Optional[PortRange]]:
        self._stay = self._visitor.enter(self._found, self._pid)
        try:
            self._plan, ports = self._visitor.plan_inside(self._pid, self._stay)
        except BaseException:
            self._end()
            raise
        return self._plan, ports

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        try:
            if self._plan:
                self._plan.__exit__()
        finally:
            if self._stay:
                self._stay.leave()


class Visitor:
    """The readers of other namespaces: netlink where they may be entered, else /proc/PID/net.

    Args:
        proc: the path where procfs is mounted.
        visibility: the Visibility that warnings are added to.
        netlink: netlink is to be used if possible.

    Attributes:
        may_enter: this thread has CAP_SYS_ADMIN.
    """

    def __init__(self, proc: str, visibility: Visibility, *, netlink: bool) -> None:
        self.may_enter = has_capability(proc, CAP_SYS_ADMIN)
        self._proc = proc
        self._visibility = visibility
        self._wants_netlink = netlink

    def visit(self, found: FoundNamespace, pid: Optional[int]) -> Visit:
        """Return a visit to a namespace.

        *pid* is a process in it; None: it is entered where it is mounted.
        """
        return Visit(self, found, pid)

    def visited(
        self,
        found: FoundNamespace,
        shown: str,
        read: Callable[[Plan, Optional[PortRange]], list[Single]],
    ) -> list[Single]:
        """Return the result of *read* in a namespace, entered by its mount or one of its processes.

        Empty if it is gone meanwhile.

        Raises:
            SourceUnavailableError: the caller may not look into it; *shown* names it for people.
        """
        refusal = SourceUnavailableError("the network namespace is gone")
        for pid in ways_into(found):
            try:
                with self.visit(found, pid) as (plan, ports):
                    return read(plan, ports)
            except SourceUnavailableError as error:
                refusal = error
        if found.is_gone(self._proc):
            return []
        raise SourceUnavailableError(f"{shown}: {refusal}")

    def enter(self, found: FoundNamespace, pid: Optional[int]) -> Optional[netns.Stay]:
        """Enter a namespace if that is allowed and of use; None if not.

        Raises:
            SourceUnavailableError: the namespace is gone, or can't be looked into but by entering.
        """
        stay = None
        wanted = pid is None or self._wants_netlink
        if wanted and self.may_enter:
            path = found.path if pid is None else f"{self._proc}/{pid}/ns/net"
            try:
                stay = netns.Stay(path)
            except PermissionError:
                pass  # not even root may inspect each process
            except OSError as error:
                raise SourceUnavailableError("the network namespace is gone") from error
        if pid is None and not stay:
            raise SourceUnavailableError("to enter it takes CAP_SYS_ADMIN")
        return stay

    def plan_inside(
        self, pid: Optional[int], stay: Optional[netns.Stay]
    ) -> tuple[Plan, Optional[PortRange]]:
        """Return the plan of a namespace, and its ephemeral ports.

        The ports are None unless it is read by netlink, from inside.
        """
        inside = "thread-self" if pid is None else str(pid)
        procnet = ProcTables(f"{self._proc}/{inside}/net")
        if not (stay and self._wants_netlink):
            return Plan(self._visibility, TableReaders(procnet)), None
        readers = TableReaders(procnet, NetlinkTables(stays=False))
        return Plan(self._visibility, readers), read_port_range(self._proc)

    def unused(self, pid: Optional[int]) -> frozenset[str]:
        """Return the names of the empty tables of the namespace that visit() has for *pid*."""
        return netns.read_unused(self._proc, "thread-self" if pid is None else str(pid))


def ways_into(found: FoundNamespace) -> Iterator[Optional[int]]:
    """Yield the values of *pid* for Visitor.visit(): None if it is mounted, then processes."""
    if found.path:
        yield None
    yield from found.pids[:MOST_TRIED]
