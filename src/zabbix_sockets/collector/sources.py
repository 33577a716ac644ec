"""The source of a call: which ones this host allows, the best of them, and why no better one.

A call by the iterator begins to read as soon as its source is chosen. All that it takes to read
the tables, which come after that, is imported when the first of them is opened.
"""

from __future__ import annotations

from _collections_abc import Callable, Sequence

from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.snapshot import Query, Visibility
from zabbix_sockets.readers.bpf import records

TYPE_CHECKING = False  # as in zabbix_sockets/__init__.py
if TYPE_CHECKING:
    from zabbix_sockets.collector.table_readers import Batch, Opened, TableReaders, TableRequest
    from zabbix_sockets.model.wire import Table


class Plan:
    """The readers of a network namespace: of its tables and, of the own one, the iterator's.

    It is a context manager, which closes them.

    Args:
        visibility: the source that was chosen, and why; later also warnings and gaps.
        readers: the readers of the tables; None: those of the own network namespace, which are
            opened when they are first needed.
        proc: the path where procfs is mounted.
        open_iterator: opens a BPF iterator by the name of its program; None without iterators.
        release: closes what *open_iterator* needs.
    """

    def __init__(
        self,
        visibility: Visibility,
        readers: TableReaders | None = None,
        *,
        proc: str = "/proc",
        open_iterator: records.Opener | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.visibility = visibility
        self.open_iterator = open_iterator
        self._opened_readers = readers
        self._proc = proc
        self._release = release
        self._started_reader: RecordReader | None = None

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_started_reader()
        self._release()
        if self._opened_readers:
            self._opened_readers.close()

    def begin(self, query: Query, reader: RecordReader | None = None) -> None:
        """Start to read the records that records() returns later, if there are iterators.

        *reader* is one that has been started for a call with this *query*; None: there is none yet.
        With a filter, which needs the tables' rows, or without iterators it is ended. An error is
        left for records() to raise.
        """
        self._started_reader = reader
        if query.filter or not self.open_iterator:
            self._end_started_reader()
        elif not reader:
            try:
                self._started_reader = self.records(query.proc, Deadline(query.timeout))
            except (OSError, ParseError, SourceUnavailableError):
                pass  # records() raises it again

    def _end_started_reader(self) -> None:
        if self._started_reader:
            self._started_reader.end()
            self._started_reader = None

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
        self.visibility = Visibility(self._readers.source, f"bpf: {error}")
        self.visibility.degraded = True

    @property
    def _readers(self) -> TableReaders:
        if not self._opened_readers:
            self._opened_readers = _open_readers(self._proc)
        return self._opened_readers

    @property
    def has_netlink(self) -> bool:
        """Whether the tables are read by netlink, which also tells the cgroups of sockets."""
        return self._readers.has_netlink

    def open(self, request: TableRequest[Batch]) -> Opened[Batch]:
        """Start to read the requested table with netlink, or with /proc/net where netlink can't.

        The first batch is fetched at once, since only that shows whether a reader can. If netlink
        can't, a warning names the reason. After the first batch the reader is not changed.

        Raises:
            SourceUnavailableError: no reader can read the table.
            DeadlineError: the time is over.
            ParseError: the kernel's answer could not be understood.
        """
        if self.has_netlink:
            try:
                return self._readers.open_by_netlink(request)
            except SourceUnavailableError as error:
                self.visibility.degraded = True
                self.warn(f"{request.table}: sock_diag: {error}; /proc/net is tried instead")
        return self._readers.open_by_procfs(request)

    def warn(self, warning: str) -> None:
        """Add a warning to the visibility, unless it is there already (from another namespace)."""
        if warning not in self.visibility.warnings:
            self.visibility.warnings.append(warning)

    def is_exact(self, table: Table) -> bool:
        """Whether no row of *table*, which has been read, can be missing.

        If one can, since /proc/net changed meanwhile, there is a warning.
        """
        if not self._readers.is_approximate(table):
            return True
        self.warn(f"{table}: /proc/net changed while it was read: approximate")
        return False


def choose(query: Query, programs: Sequence[str] = ()) -> Plan:
    """Return the plan for *query*: the best source that works here, or the one that it names.

    *programs* names the BPF iterators that will be read in any case, by default those for a
    Snapshot: if none are pinned, they are loaded now, and any other when it is opened.

    Raises:
        SourceUnavailableError: the source that the query names can't be used.
    """
    if query.source in ("sock_diag", "procfs"):
        return _tables_asked_for(query.source, query.proc)
    try:
        open_iterator, release = _open_iterators(query.pins, programs or _programs_of(query))
    except SourceUnavailableError as error:
        if query.source == "bpf":
            raise _unusable("bpf", str(error)) from error
        return _tables_instead_of_iterators(query.proc, error)
    visibility = Visibility("bpf", "asked for" if query.source else "")
    return Plan(visibility, proc=query.proc, open_iterator=open_iterator, release=release)


def _tables_asked_for(source: str, proc: str) -> Plan:
    readers = _open_readers(proc, netlink=source == "sock_diag")
    if source == "sock_diag" and not readers.has_netlink:
        raise _unusable(source, readers.why_no_netlink)
    return Plan(Visibility(source, "asked for"), readers)


def _tables_instead_of_iterators(proc: str, error: SourceUnavailableError) -> Plan:
    readers = _open_readers(proc)
    reasons = [f"bpf: {error}"]
    if not readers.has_netlink:
        reasons.append(f"sock_diag: {readers.why_no_netlink}")
    visibility = Visibility(readers.source, "; ".join(reasons))
    # Where the kernel has no iterators, netlink is the best that the host can do.
    visibility.degraded = not readers.has_netlink or records.why_kernel_cannot() is None
    return Plan(visibility, readers)


def _open_readers(proc: str, *, netlink: bool = True) -> TableReaders:
    from zabbix_sockets.collector.table_readers import open_readers  # noqa: PLC0415  # takes 4 ms, in which the iterator is read

    return open_readers(proc, netlink=netlink)


def _programs_of(query: Query) -> tuple[str, ...]:
    return (records.SOCKET_OWNERS,) if query.filter else (records.COUNT_SOCKETS,)


def _unusable(source: str, reason: str) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"{source} can't be used: {reason}", "leave --source out to use the best that works"
    )


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
