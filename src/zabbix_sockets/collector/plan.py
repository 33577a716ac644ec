"""Which readers to use here: probe, choose, and remember why not better."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Protocol, Self

from zabbix_sockets.deadline import Deadline
from zabbix_sockets.errors import SourceUnavailableError
from zabbix_sockets.model import Query, Row, Table, TableRead, Visibility
from zabbix_sockets.readers.netlink import NetlinkTables
from zabbix_sockets.readers.procnet import ProcTables

SOURCES = ("sock_diag", "procfs")


class TableReader(Protocol):
    """A way to read the kernel's socket tables."""

    @property
    def name(self) -> str:
        """The source's name in `collector.source`."""

    def read(self, table: Table, deadline: Deadline) -> TableRead:
        """Start reading *table*; errors come with the first batch."""


class Plan:
    """The readers to try for a table, best first; a context manager."""

    def __init__(self, netlink: NetlinkTables | None, procnet: ProcTables, reason: str) -> None:
        self._netlink = netlink
        self._procnet = procnet
        self._readers: tuple[TableReader, ...] = (netlink, procnet) if netlink else (procnet,)
        self.visibility = Visibility(self._readers[0].name, reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._netlink:
            self._netlink.close()

    def open(self, table: Table, deadline: Deadline) -> TableRead:
        """Start reading *table* with the best reader that can.

        A reader that can't is named in the warnings, with its reason.

        Raises:
            SourceUnavailableError: none can.
            DeadlineError, ParseError: as the readers do.
        """
        for reader in self._readers[:-1]:
            read = reader.read(table, deadline)
            try:
                return TableRead(read.encoding, _started(read.batches))
            except SourceUnavailableError as error:
                self.visibility.degraded = True
                self.visibility.warnings.append(f"{table}: {reader.name}: {error}; read elsewhere")
        read = self._readers[-1].read(table, deadline)
        return TableRead(read.encoding, _started(read.batches))

    def is_exact(self, table: Table) -> bool:
        """Whether no row of *table*, now that it was read, can be missing."""
        if table not in self._procnet.approximate:
            return True
        self.visibility.warnings.append(
            f"{table}: /proc/net changed while it was read: approximate"
        )
        return False


def _started(batches: Iterator[Iterable[Row]]) -> Iterator[Iterable[Row]]:
    """Return *batches* with the first one fetched: whether a reader can shows there.

    A batch may be valid only until the next one is asked for, which chain() respects.
    """
    for first in batches:
        return chain((first,), batches)
    return iter(())


def choose(query: Query) -> Plan:
    """Return the plan for *query*.

    Raises:
        SourceUnavailableError: the source that it insists on can't be used.
    """
    procnet = ProcTables(f"{query.proc}/net")
    if query.source == "procfs":
        return Plan(None, procnet, "asked for")
    try:
        netlink = NetlinkTables()
    except SourceUnavailableError as error:
        if query.source:
            raise SourceUnavailableError(
                f"sock_diag can't be used: {error}", "leave --source out, or use procfs"
            ) from error
        plan = Plan(None, procnet, f"sock_diag: {error}")
        plan.visibility.degraded = True
        return plan
    return Plan(netlink, procnet, "asked for" if query.source else "")
