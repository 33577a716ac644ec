"""The readers of the socket tables, and the requests for a table that each of them can answer."""

from __future__ import annotations

from _collections_abc import Callable, Iterable, Iterator
from itertools import chain, repeat

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.light_typing import Generic, TypeVar
from zabbix_sockets.model.wire import (
    TABLES,
    UNIX,
    AddressToken,
    Drops,
    Encoding,
    SocketRow,
    Table,
    TcpState,
    UnixRow,
)
from zabbix_sockets.readers.proc.net_tables import ENCODING as PROCNET_ENCODING
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.sock_diag.endpoints import Endpoints
from zabbix_sockets.readers.sock_diag.messages import ENCODING, CgroupObserver, MeasuredBatch
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

TCP_TABLES = tuple(table for table in TABLES if table.protocol == "tcp")

Batch = TypeVar("Batch")
NewBatch = TypeVar("NewBatch")

RowWithMessage = tuple[SocketRow, bytes]
"""A row, and the netlink message that it was decoded from; b"" from procfs."""

ListenerAddress = tuple[int, AddressToken]
"""The port and the address of a listener, as the rows write them."""

MatchingRows = tuple[Iterable[ListenerAddress], Iterable[RowWithMessage]]
"""A batch: the listeners in it, matching or not, by which directions are decided; and the rows that
match the filter (all without one)."""


class TableRequest(Generic[Batch]):
    """A request for batches of a table's rows, as a function for each kind of reader.

    Args:
        table: the table, or `tcp` for those of both address families, as warnings name it.
        by_netlink: yields the batches from sock_diag.
        by_procfs: yields the batches from /proc/net.
        drops: what the functions fill as they yield batches; None: they don't. Where rows come with
            netlink messages, these have the drops, and it stays empty.
    """

    def __init__(
        self,
        table: Table | str,
        by_netlink: Callable[[NetlinkTables], Iterator[Batch]],
        by_procfs: Callable[[ProcTables], Iterator[Batch]],
        drops: Drops | None = None,
    ) -> None:
        self.table = table
        self.by_netlink = by_netlink
        self.by_procfs = by_procfs
        self.drops: Drops = {} if drops is None else drops


class Opened(Generic[Batch]):
    """A table that is being read.

    Args:
        encoding: the form of the addresses and ports in the rows.
        batches: the rows, of listeners (UDP: bound sockets) first.
        is_netlink: the rows are from netlink, so they have the device that /proc/net lacks, and if
            they were requested cgroups, figures and messages.
        drops: what was dropped at the listeners and UDP sockets in the batches that were fetched.
            Where rows come with netlink messages, these have the drops, and it stays empty.
    """

    def __init__(
        self,
        encoding: Encoding,
        batches: Iterator[Batch],
        *,
        is_netlink: bool,
        drops: Drops | None = None,
    ) -> None:
        self.encoding = encoding
        self.batches = batches
        self.is_netlink = is_netlink
        self.drops: Drops = {} if drops is None else drops

    def with_batches(self, batches: Iterator[NewBatch]) -> Opened[NewBatch]:
        """Return the same table with other batches, which are made of these."""
        return Opened(self.encoding, batches, is_netlink=self.is_netlink, drops=self.drops)


def rows_of(
    table: Table,
    deadline: Deadline,
    states: int | None = None,
    observer: CgroupObserver | None = None,
) -> TableRequest[Iterable[SocketRow]]:
    """Return the request for a table's rows.

    *states* is a mask of the TCP states that are needed, though rows in others may come, too; None:
    all. *observer* is called with each socket's cgroup if netlink is the reader.
    """
    drops: Drops = {}
    return TableRequest(
        table,
        lambda netlink: netlink.read(table, deadline, drops, states, observer),
        lambda procfs: procfs.read(table, deadline, drops),
        drops,
    )


def measured_rows_of(
    table: Table,
    deadline: Deadline,
    states: int | None = None,
    observer: CgroupObserver | None = None,
) -> TableRequest[MeasuredBatch]:
    """Return the request for a table's rows with the figures of tcp_info of each.

    A batch is the rows and their figures in the same order; from procfs there are no figures.
    *states* and *observer* are as of rows_of().
    """
    drops: Drops = {}
    return TableRequest(
        table,
        lambda netlink: netlink.read_measured(table, deadline, drops, states, observer),
        lambda procfs: ((rows, ()) for rows in procfs.read(table, deadline, drops)),
        drops,
    )


def rows_with_messages_of(
    table: Table, deadline: Deadline, *, tcp_info: bool
) -> TableRequest[Iterable[RowWithMessage]]:
    """Return the request for a table's rows, each with its netlink message (procfs: b"").

    With *tcp_info* the kernel puts that into the messages.
    """
    drops: Drops = {}
    return TableRequest(
        table,
        lambda netlink: netlink.read_with_messages(table, deadline, tcp_info=tcp_info),
        lambda procfs: (zip(rows, repeat(b"")) for rows in procfs.read(table, deadline, drops)),
        drops,
    )


def tcp_rows(deadline: Deadline, states: int) -> TableRequest[tuple[int, Iterable[SocketRow]]]:
    """Return the request for the TCP rows of both address families, each batch with its family.

    *states* is a mask of the TCP states. netlink reads both in one scan of the host's table; procfs
    reads one table after the other, with rows in all states.
    """
    drops: Drops = {}
    return TableRequest(
        "tcp",
        lambda netlink: netlink.read_both(deadline, states, drops),
        lambda procfs: (
            (table.family, rows)
            for table in TCP_TABLES
            for rows in procfs.read(table, deadline, drops)
        ),
        drops,
    )


def time_wait_endpoints(deadline: Deadline) -> TableRequest[Endpoints]:
    """Return the request for the endpoints of TCP sockets in TIME_WAIT, of both address families.

    Only netlink can answer it.
    """

    def by_procfs(_: ProcTables) -> Iterator[Endpoints]:
        raise SourceUnavailableError("/proc/net can't tell them alone")

    return TableRequest(
        "tcp", lambda netlink: netlink.read_endpoints(deadline, 1 << TcpState.TIME_WAIT), by_procfs
    )


def unix_rows(deadline: Deadline, *, with_peers: bool = False) -> TableRequest[list[UnixRow]]:
    """Return the request for the unix sockets that listen, or are connected, in this order.

    *with_peers* netlink tells the peers, queues and uids of the latter, too.
    """
    return TableRequest(
        UNIX,
        lambda netlink: netlink.read_unix(deadline, with_peers=with_peers),
        lambda procfs: procfs.read_unix(deadline),
    )


def fetch_first(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Fetch the first of *batches*, and return an iterator over all of them, that one included.

    So the errors of a reader that can't read are raised here. A batch may be valid only until the
    next one is fetched, which chain() respects.
    """
    for first in batches:
        return chain((first,), batches)
    return iter(())


class TableReaders:
    """The readers of the socket tables of one network namespace.

    Args:
        procnet: the reader by /proc/net.
        netlink: the reader by sock_diag; None where it can't be used.
        why_no_netlink: why it can't be used; "" where it can, or was not asked for.
    """

    def __init__(
        self, procnet: ProcTables, netlink: NetlinkTables | None = None, why_no_netlink: str = ""
    ) -> None:
        self.has_netlink = netlink is not None
        self.why_no_netlink = why_no_netlink
        self._procnet = procnet
        self._netlink = netlink

    @property
    def source(self) -> str:
        """The name of the better reader, as documents have it: `sock_diag` or `procfs`."""
        return (self._netlink or self._procnet).name

    def open_by_netlink(self, request: TableRequest[Batch]) -> Opened[Batch]:
        """Start to read the requested table with netlink, and fetch the first batch.

        Raises:
            SourceUnavailableError: netlink can't read this table.
            DeadlineError: the time is over.
            ParseError: the kernel's answer could not be understood.
        """
        assert self._netlink
        batches = fetch_first(request.by_netlink(self._netlink))
        return Opened(ENCODING, batches, is_netlink=True, drops=request.drops)

    def open_by_procfs(self, request: TableRequest[Batch]) -> Opened[Batch]:
        """Start to read the requested table from /proc/net, and fetch the first batch.

        Raises:
            SourceUnavailableError: the file can't be read.
            DeadlineError: the time is over.
            ParseError: the file is not as the kernel writes it.
        """
        batches = fetch_first(request.by_procfs(self._procnet))
        return Opened(PROCNET_ENCODING, batches, is_netlink=False, drops=request.drops)

    def is_approximate(self, table: Table) -> bool:
        """Whether rows of *table* may be missing, as /proc/net changed while it was read."""
        return table in self._procnet.approximate

    def close(self) -> None:
        """Close the descriptors; the readers can't be used any more."""
        if self._netlink:
            self._netlink.close()


def open_readers(proc: str, *, netlink: bool = True) -> TableReaders:
    """Return the readers for the own network namespace.

    *proc* is the path where procfs is mounted. Without *netlink* /proc/net is read, whether or not
    netlink could be used.
    """
    procnet = ProcTables(f"{proc}/net")
    if not netlink:
        return TableReaders(procnet)
    try:
        return TableReaders(procnet, NetlinkTables())
    except SourceUnavailableError as error:
        return TableReaders(procnet, why_no_netlink=str(error))
