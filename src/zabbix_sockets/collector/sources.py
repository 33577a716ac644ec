"""The readers that this host allows: probed, chosen, opened, with the reason why no better one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Generic, NamedTuple, Self, TypeVar

from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.snapshot import Query, Visibility
from zabbix_sockets.model.wire import TABLES, AddressToken, Encoding, SocketRow, Table
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.net_tables import ENCODING as PROCNET_ENCODING
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.sock_diag.messages import ENCODING, CgroupObserver, MeasuredBatch
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

TCP_TABLES = tuple(table for table in TABLES if table.protocol == "tcp")

Batch = TypeVar("Batch")

RowWithMessage = tuple[SocketRow, bytes]
"""A row, and the netlink message that it was decoded from; b"" from procfs."""

ListenerAddress = tuple[int, AddressToken]
"""The port and the address of a listener, as the rows write them."""

MatchingRows = tuple[Iterable[ListenerAddress], Iterable[RowWithMessage]]
"""A batch: the listeners in it, matching or not, by which directions are decided; and the rows that
match the filter (all without one)."""


class TableRequest(NamedTuple, Generic[Batch]):
    """A request for batches of a table's rows, as a function for each kind of reader.

    Attributes:
        table: the table, or `tcp` for those of both address families, as warnings name it.
        by_netlink: yields the batches from sock_diag.
        by_procfs: yields the batches from /proc/net.
    """

    table: Table | str
    by_netlink: Callable[[NetlinkTables], Iterator[Batch]]
    by_procfs: Callable[[ProcTables], Iterator[Batch]]


class Opened(NamedTuple, Generic[Batch]):
    """A table that is being read.

    Attributes:
        encoding: the form of the addresses and ports in the rows.
        batches: the rows, of listeners (UDP: bound sockets) first.
        is_netlink: the rows are from netlink, so they have the device that /proc/net lacks, and if
            they were requested cgroups, figures and messages.
    """

    encoding: Encoding
    batches: Iterator[Batch]
    is_netlink: bool


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
    return TableRequest(
        table,
        lambda netlink: netlink.read(table, deadline, states, observer),
        lambda procfs: procfs.read(table, deadline),
    )


def measured_rows_of(
    table: Table, deadline: Deadline, observer: CgroupObserver | None = None
) -> TableRequest[MeasuredBatch]:
    """Return the request for a table's rows with the figures of tcp_info of each.

    A batch is the rows and their figures in the same order; from procfs there are no figures.
    *observer* is called with each socket's cgroup if netlink is the reader.
    """
    return TableRequest(
        table,
        lambda netlink: netlink.read_measured(table, deadline, observer),
        lambda procfs: ((rows, ()) for rows in procfs.read(table, deadline)),
    )


def rows_with_messages_of(
    table: Table, deadline: Deadline, *, tcp_info: bool
) -> TableRequest[Iterable[RowWithMessage]]:
    """Return the request for a table's rows, each with its netlink message (procfs: b"").

    With *tcp_info* the kernel puts that into the messages.
    """
    return TableRequest(
        table,
        lambda netlink: netlink.read_with_messages(table, deadline, tcp_info=tcp_info),
        lambda procfs: (zip(rows, repeat(b"")) for rows in procfs.read(table, deadline)),
    )


def tcp_rows(deadline: Deadline, states: int) -> TableRequest[tuple[int, Iterable[SocketRow]]]:
    """Return the request for the TCP rows of both address families, each batch with its family.

    *states* is a mask of the TCP states. netlink reads both in one scan of the host's table; procfs
    reads one table after the other, with rows in all states.
    """
    return TableRequest(
        "tcp",
        lambda netlink: netlink.read_both(deadline, states),
        lambda procfs: (
            (table.family, rows) for table in TCP_TABLES for rows in procfs.read(table, deadline)
        ),
    )


class Plan:
    """The readers to use, best first; a context manager that closes them.

    Args:
        netlink: the reader by sock_diag; None where it can't be used.
        procnet: the reader by /proc/net.
        visibility: the source that was chosen, and why; later also warnings and gaps.
        open_iterator: opens a BPF iterator by the name of its program; None without iterators.
        release: closes what *open_iterator* needs.
    """

    def __init__(
        self,
        netlink: NetlinkTables | None,
        procnet: ProcTables,
        visibility: Visibility,
        open_iterator: records.Opener | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.visibility = visibility
        self.open_iterator = open_iterator
        self._netlink = netlink
        self._procnet = procnet
        self._release = release
        self._started_reader: RecordReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._started_reader:
            self._started_reader.end()
        self._release()
        if self._netlink:
            self._netlink.close()

    def begin(self, query: Query) -> None:
        """Start to read the records that records() returns later, if there are iterators.

        Not with a filter, which needs the tables' rows. An error is left for records() to raise.
        """
        if self.open_iterator and not query.filter:
            try:
                self._started_reader = self.records(query.proc, Deadline(query.timeout))
            except (OSError, SourceUnavailableError):
                pass  # records() raises it again

    def records(self, proc: str, deadline: Deadline) -> RecordReader:
        """Return a reader of the iterator's records of all sockets.

        The first time it is the one that begin() has started, if it has.

        Raises:
            OSError, SourceUnavailableError: the iterator can't be opened.
        """
        assert self.open_iterator
        started, self._started_reader = self._started_reader, None
        return started or RecordReader(self.open_iterator, proc, deadline)

    def give_up_iterator(self, error: SourceUnavailableError) -> None:
        """Use the tables from now on, after the iterator has failed with *error*.

        *visibility* is replaced by a new one: the gaps of the iterator are none of the tables'.
        """
        self.open_iterator = None
        source = (self._netlink or self._procnet).name
        self.visibility = Visibility(source, f"bpf: {error}")
        self.visibility.degraded = True

    @property
    def has_netlink(self) -> bool:
        """Whether the tables are read by netlink, which also tells the cgroups of sockets."""
        return self._netlink is not None

    def open(self, request: TableRequest[Batch]) -> Opened[Batch]:
        """Start to read the requested table with netlink, or with /proc/net where netlink can't.

        The first batch is fetched at once, since only that shows whether a reader can. If netlink
        can't, a warning names the reason. After the first batch the reader is not changed.

        Raises:
            SourceUnavailableError: no reader can read the table.
            DeadlineError: the time is over.
            ParseError: the kernel's answer could not be understood.
        """
        if self._netlink:
            try:
                return Opened(
                    ENCODING, fetch_first(request.by_netlink(self._netlink)), is_netlink=True
                )
            except SourceUnavailableError as error:
                self._note_refusal(request.table, error)
        return Opened(
            PROCNET_ENCODING, fetch_first(request.by_procfs(self._procnet)), is_netlink=False
        )

    def _note_refusal(self, table: Table | str, error: SourceUnavailableError) -> None:
        self.visibility.degraded = True
        self.warn(f"{table}: sock_diag: {error}; read elsewhere")

    def warn(self, warning: str) -> None:
        """Add a warning to the visibility, unless it is there already (from another namespace)."""
        if warning not in self.visibility.warnings:
            self.visibility.warnings.append(warning)

    def is_exact(self, table: Table) -> bool:
        """Whether no row of *table*, which has been read, can be missing.

        If one can, since /proc/net changed meanwhile, there is a warning.
        """
        if table not in self._procnet.approximate:
            return True
        self.warn(f"{table}: /proc/net changed while it was read: approximate")
        return False


def fetch_first(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Fetch the first of *batches*, and return an iterator over all of them, that one included.

    So the errors of a reader that can't read are raised here. A batch may be valid only until the
    next one is fetched, which chain() respects.
    """
    for first in batches:
        return chain((first,), batches)
    return iter(())


def choose(query: Query, programs: Sequence[str] = ()) -> Plan:
    """Return the plan for *query*: the best source that works here, or the one that it names.

    *programs* names the BPF iterators that will be read in any case, by default those for a
    Snapshot: if none are pinned, they are loaded now, and any other when it is opened.

    Raises:
        SourceUnavailableError: the source that the query names can't be used.
    """
    procnet = ProcTables(f"{query.proc}/net")
    if query.source == "procfs":
        return Plan(None, procnet, Visibility("procfs", "asked for"))
    netlink, netlink_reason = _open_netlink()
    if query.source == "sock_diag":
        if not netlink:
            raise _unusable("sock_diag", netlink_reason)
        return Plan(netlink, procnet, Visibility("sock_diag", "asked for"))
    try:
        open_iterator, release = _open_iterators(query.pins, programs or _programs_of(query))
    except SourceUnavailableError as error:
        if query.source == "bpf":
            raise _unusable("bpf", str(error)) from error
        reasons = [f"bpf: {error}", *([] if netlink else [f"sock_diag: {netlink_reason}"])]
        visibility = Visibility("sock_diag" if netlink else "procfs", "; ".join(reasons))
        # Where the kernel can't, this is the best that the host can do.
        visibility.degraded = not netlink or records.why_kernel_cannot() is None
        return Plan(netlink, procnet, visibility)
    visibility = Visibility("bpf", "asked for" if query.source else "")
    return Plan(netlink, procnet, visibility, open_iterator, release)


def _programs_of(query: Query) -> tuple[str, ...]:
    return (records.SOCKET_OWNERS,) if query.filter else (records.COUNT_SOCKETS,)


def _unusable(source: str, reason: str) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"{source} can't be used: {reason}", "leave --source out to use the best that works"
    )


def _open_netlink() -> tuple[NetlinkTables | None, str]:
    try:
        return NetlinkTables(), ""
    except SourceUnavailableError as error:
        return None, str(error)


def _open_iterators(
    pins: str, programs: Sequence[str]
) -> tuple[records.Opener, Callable[[], None]]:
    """Return the opener of the pinned iterators, else of ones that this call loads itself.

    The second function closes what the opener needs.

    Raises:
        SourceUnavailableError: none are pinned, and none can be loaded; the message says why and
            what to do.
    """
    try:
        return records.open_pinned(pins), lambda: None
    except SourceUnavailableError as error:
        reason = records.why_kernel_cannot()
        if reason:
            raise SourceUnavailableError(reason) from error
        from zabbix_sockets.readers.bpf.capabilities import why_may_not_load  # noqa: PLC0415  # only for calls that may not read pins
        from zabbix_sockets.readers.bpf.pinned import why_not_pinned  # noqa: PLC0415  # only for calls that may not read pins

        lacking = why_may_not_load()
        if lacking:
            raise SourceUnavailableError(f"{why_not_pinned(pins)}; {lacking}") from error
        from zabbix_sockets.readers.bpf import loader  # noqa: PLC0415  # imports ctypes: 2 ms

        loaded = loader.LoadedPrograms(programs)
        return loaded.open, loaded.close
