"""Which readers to use here: probe, choose, and remember why not better."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Self

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.snapshot import Query, Visibility
from zabbix_sockets.model.wire import TABLES, Encoding, Row, Table, TableRead
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.net_tables import ENCODING as PROCNET_ENCODING
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.sock_diag.messages import ENCODING, MeasuredBatch, Noted
from zabbix_sockets.readers.sock_diag.tables import Batch, NetlinkTables

TCP_TABLES = tuple(table for table in TABLES if table.protocol == "tcp")

BothFamilies = tuple[Encoding, Iterator[tuple[int, Iterable[Row]]]]
"""How addresses and ports are written, and batches of TCP rows with their family."""


class Plan:
    """The readers to use, best first; a context manager that lets go of them.

    *open_iterator* opens the BPF iterators; None without them. *release* lets go of them.
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()
        if self._netlink:
            self._netlink.close()

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

    def open(
        self,
        table: Table,
        deadline: Deadline,
        states: int | None = None,
        noted: Noted | None = None,
    ) -> TableRead:
        """Start reading *table* with the best reader that can.

        A reader that can't is named in the warnings, with its reason. *noted* sees each
        socket's cgroup, where the reader knows it.

        Raises:
            SourceUnavailableError: none can.
            DeadlineError, ParseError: as the readers do.
        """
        if self._netlink:
            try:
                if noted:
                    read = self._netlink.read_with_cgroups(table, deadline, noted)
                else:
                    read = self._netlink.read(table, deadline, states)
                return TableRead(read.encoding, started(read.batches))
            except SourceUnavailableError as error:
                self._note_refusal(table, error)
        read = self._procnet.read(table, deadline, states)
        return TableRead(read.encoding, started(read.batches))

    def open_by(
        self,
        table: Table,
        netlink: Callable[[NetlinkTables], Iterator[Batch]],
        procnet: Callable[[ProcTables], Iterator[Batch]],
    ) -> tuple[Encoding, Iterator[Batch]]:
        """Start reading *table* in the way given for the best reader that can.

        Raises: as open().
        """
        if self._netlink:
            try:
                return ENCODING, started(netlink(self._netlink))
            except SourceUnavailableError as error:
                self._note_refusal(table, error)
        return PROCNET_ENCODING, started(procnet(self._procnet))

    def open_measured(
        self, table: Table, deadline: Deadline, noted: Noted | None = None
    ) -> tuple[Encoding, Iterator[MeasuredBatch]] | None:
        """Start reading *table* with figures of tcp_info; None where the reader has none.

        Raises:
            DeadlineError, ParseError: as the readers do.
        """
        if self._netlink:
            try:
                encoding, batches = self._netlink.read_measured(table, deadline, noted)
                return encoding, started(batches)
            except SourceUnavailableError:
                pass  # as open() will say
        return None

    def open_whole(
        self, table: Table, deadline: Deadline, *, tcp_info: bool
    ) -> tuple[Encoding, Iterator[Iterable[tuple[Row, bytes]]]]:
        """Start reading *table* with each row's whole netlink message; empty without netlink.

        *tcp_info*: the messages have it.

        Raises: as open().
        """
        if self._netlink:
            try:
                encoding, batches = self._netlink.read_whole(table, deadline, tcp_info=tcp_info)
                return encoding, started(batches)
            except SourceUnavailableError as error:
                self._note_refusal(table, error)
        read = self.open(table, deadline)
        return read.encoding, (zip(rows, repeat(b"")) for rows in read.batches)

    def open_tcp(self, deadline: Deadline, states: int) -> BothFamilies:
        """Start reading the TCP tables of both families, together if netlink can: one scan.

        Raises: as open().
        """
        if self._netlink:
            try:
                return ENCODING, started(self._netlink.read_both(deadline, states))
            except SourceUnavailableError as error:
                self._note_refusal("tcp", error)
        reads = [(each, self._procnet.read(each, deadline, states)) for each in TCP_TABLES]
        batches = ((table.family, rows) for table, read in reads for rows in read.batches)
        return reads[0][1].encoding, started(batches)

    def _note_refusal(self, table: object, error: SourceUnavailableError) -> None:
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


def choose(query: Query) -> Plan:
    """Return the plan for *query*: the best source that works here, or the one it insists on.

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
        open_iterator, release = _open_iterators(query.pins)
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


def _unusable(source: str, reason: str) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"{source} can't be used: {reason}", "leave --source out to use the best that works"
    )


def _open_netlink() -> tuple[NetlinkTables | None, str]:
    try:
        return NetlinkTables(), ""
    except SourceUnavailableError as error:
        return None, str(error)


def _open_iterators(pins: str) -> tuple[records.Opener, Callable[[], None]]:
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
        from zabbix_sockets.readers.bpf import loader  # noqa: PLC0415  # ctypes, and rarely needed
        from zabbix_sockets.readers.bpf.pinned import why_not_pinned  # noqa: PLC0415  # the same

        lacking = loader.why_may_not_load()
        if lacking:
            raise SourceUnavailableError(f"{why_not_pinned(pins)}; {lacking}") from error
        loaded = loader.LoadedPrograms()
        return loaded.open, loaded.close
