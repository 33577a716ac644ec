"""Which readers to use here: probe, choose, open tables, and remember why not better."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Generic, NamedTuple, Self, TypeVar

from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.snapshot import Query, Visibility
from zabbix_sockets.model.wire import TABLES, AddressToken, Encoding, Row, Table
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.net_tables import ENCODING as PROCNET_ENCODING
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.sock_diag.messages import ENCODING, CgroupObserver, MeasuredBatch
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

TCP_TABLES = tuple(table for table in TABLES if table.protocol == "tcp")

Batch = TypeVar("Batch")

Whole = tuple[Row, bytes]
"""A row, and the netlink message that it is from; empty from procfs."""

ListeningEnd = tuple[int, AddressToken]
"""Port and address of a listener."""

ChosenRows = tuple[Iterable[ListeningEnd], Iterable[Whole]]
"""Listeners, chosen or not, for the directions of what comes; and the rows that are chosen."""


class Wish(NamedTuple, Generic[Batch]):
    """What is wanted of a table, and how each reader yields it.

    *table* is what warnings call it: a Table, or `tcp` for those of both families.
    """

    table: Table | str
    by_netlink: Callable[[NetlinkTables], Iterator[Batch]]
    by_procfs: Callable[[ProcTables], Iterator[Batch]]


class Opened(NamedTuple, Generic[Batch]):
    """A table that is being read: batches, listeners (UDP: bound sockets) first.

    *encoding* is how the rows write addresses and ports. *is_netlink*: netlink yields them, so
    they have what /proc/net lacks: devices, and where they were asked for cgroups, figures and
    messages.
    """

    encoding: Encoding
    batches: Iterator[Batch]
    is_netlink: bool


def rows_of(
    table: Table,
    deadline: Deadline,
    states: int | None = None,
    observer: CgroupObserver | None = None,
) -> Wish[Iterable[Row]]:
    """Wish for a table's rows.

    *states*: a mask of the TCP states that matter, others may come too; None: all. *observer* sees
    each socket's cgroup, where netlink is the reader.
    """
    return Wish(
        table,
        lambda netlink: netlink.read(table, deadline, states, observer),
        lambda procfs: procfs.read(table, deadline),
    )


def measured_rows_of(
    table: Table, deadline: Deadline, observer: CgroupObserver | None = None
) -> Wish[MeasuredBatch]:
    """Wish for rows_of() with the figures of tcp_info of each; procfs has none for any."""
    return Wish(
        table,
        lambda netlink: netlink.read_measured(table, deadline, observer),
        lambda procfs: ((rows, ()) for rows in procfs.read(table, deadline)),
    )


def whole_rows_of(table: Table, deadline: Deadline, *, tcp_info: bool) -> Wish[Iterable[Whole]]:
    """Wish for a table's rows with the netlink messages they are from, with *tcp_info* in them."""
    return Wish(
        table,
        lambda netlink: netlink.read_with_messages(table, deadline, tcp_info=tcp_info),
        lambda procfs: (zip(rows, repeat(b"")) for rows in procfs.read(table, deadline)),
    )


def tcp_rows(deadline: Deadline, states: int) -> Wish[tuple[int, Iterable[Row]]]:
    """Wish for the TCP rows of both families in *states*, each batch with its family.

    netlink reads them in one scan of the host's table; procfs one after the other, in all states.
    """
    return Wish(
        "tcp",
        lambda netlink: netlink.read_both(deadline, states),
        lambda procfs: (
            (table.family, rows) for table in TCP_TABLES for rows in procfs.read(table, deadline)
        ),
    )


class Plan:
    """The readers to use, best first; a context manager that lets go of them.

    *open_iterator* opens the BPF iterators; None without them. *release* lets go of them.
    The plan has the reading of their records begun as soon as it is made, if it is asked to.
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
        self._begun: RecordReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._begun:
            self._begun.end()
        self._release()
        if self._netlink:
            self._netlink.close()

    def begin(self, query: Query) -> None:
        """Let the kernel begin with what records() returns later, if the iterators are for it.

        What fits a filter is read otherwise.
        """
        if self.open_iterator and not query.filter:
            try:
                self._begun = self.records(query.proc, Deadline(query.timeout))
            except (OSError, SourceUnavailableError):
                pass  # records() will say why

    def records(self, proc: str, deadline: Deadline) -> RecordReader:
        """Return the iterator's records of all sockets; those begun already, the first time.

        Raises:
            OSError, SourceUnavailableError: it can't be opened.
        """
        assert self.open_iterator
        begun, self._begun = self._begun, None
        return begun or RecordReader(self.open_iterator, proc, deadline)

    def give_up_iterator(self, error: SourceUnavailableError) -> None:
        """Go on with the next best source, after the iterator has failed.

        *visibility* is a new one: what could not be seen by the iterator says nothing of the
        other's.
        """
        self.open_iterator = None
        source = (self._netlink or self._procnet).name
        self.visibility = Visibility(source, f"bpf: {error}")
        self.visibility.degraded = True

    @property
    def has_netlink(self) -> bool:
        """Whether the tables are netlink's: then sockets come with their cgroups, too."""
        return self._netlink is not None

    def open(self, wish: Wish[Batch]) -> Opened[Batch]:
        """Start reading as *wish* says, with the best reader that can.

        The first batch is fetched: whether a reader can shows there. One that can't is named in
        the warnings, with its reason. Once rows have come nothing is read elsewhere.

        Raises:
            SourceUnavailableError: no reader can.
            DeadlineError, ParseError: as the readers do; no reason to read elsewhere.
        """
        if self._netlink:
            try:
                return Opened(ENCODING, started(wish.by_netlink(self._netlink)), is_netlink=True)
            except SourceUnavailableError as error:
                self._note_refusal(wish.table, error)
        return Opened(PROCNET_ENCODING, started(wish.by_procfs(self._procnet)), is_netlink=False)

    def _note_refusal(self, table: Table | str, error: SourceUnavailableError) -> None:
        self.visibility.degraded = True
        self.warn(f"{table}: sock_diag: {error}; read elsewhere")

    def warn(self, warning: str) -> None:
        """Note a warning, once for all namespaces."""
        if warning not in self.visibility.warnings:
            self.visibility.warnings.append(warning)

    def is_exact(self, table: Table) -> bool:
        """Whether no row of *table*, now that it was read, can be missing."""
        if table not in self._procnet.approximate:
            return True
        self.warn(f"{table}: /proc/net changed while it was read: approximate")
        return False


def started(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Return *batches* with the first one fetched: whether a reader can shows there.

    A batch may be valid only until the next one is asked for, which chain() respects.
    """
    for first in batches:
        return chain((first,), batches)
    return iter(())


def choose(query: Query, programs: Sequence[str] = ()) -> Plan:
    """Return the plan for *query*: the best source that works here, or the one it insists on.

    *programs* are those of the BPF iterators that will be read in any case, by default a
    Snapshot's: where none are pinned, they are loaded now, and any other when it is opened.

    Raises:
        SourceUnavailableError: the source that it insists on can't be used.
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
    return (records.OWN_SOCKETS,) if query.filter else (records.COUNT_SOCKETS,)


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

    Raises:
        SourceUnavailableError: neither can be had; the message says why and what to do.
    """
    try:
        return records.open_pinned(pins), lambda: None
    except SourceUnavailableError as error:
        reason = records.why_kernel_cannot()
        if reason:
            raise SourceUnavailableError(reason) from error
        from zabbix_sockets.readers.bpf.capabilities import why_may_not_load  # noqa: PLC0415  # few
        from zabbix_sockets.readers.bpf.pinned import why_not_pinned  # noqa: PLC0415  # the same

        lacking = why_may_not_load()
        if lacking:
            raise SourceUnavailableError(f"{why_not_pinned(pins)}; {lacking}") from error
        from zabbix_sockets.readers.bpf import loader  # noqa: PLC0415  # ctypes: 2 ms

        loaded = loader.LoadedPrograms(programs)
        return loaded.open, loaded.close
