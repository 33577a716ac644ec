"""Collection of a Snapshot of the sockets that match a filter.

They are read from the tables whatever the source is, since netlink can leave the other sockets out;
the owners are read from the iterators if there are any.
"""

from __future__ import annotations

from _collections_abc import Iterable, Iterator
from itertools import repeat

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.filtered.selection import Selection
from zabbix_sockets.collector.iterator.record_owners import RecordOwners, read_owners
from zabbix_sockets.collector.namespaces import FoundNamespace
from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.row_fold import TableFold
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.table_readers import MatchingRows, RowWithMessage
from zabbix_sockets.collector.tables.collection import SHARE_OF_WALK, TableCollection
from zabbix_sockets.model import gaps
from zabbix_sockets.model.errors import DeadlineError, SourceUnavailableError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.quality import Quality, Sampler
from zabbix_sockets.model.snapshot import PortRange, Query, Snapshot
from zabbix_sockets.model.wire import INODE, LISTENING, STATE, SocketRow, Table
from zabbix_sockets.readers.sock_diag.attributes import decode_drops, decode_figures


class FilteredCollection(TableCollection):
    """The collection of a Snapshot of the sockets that match the query's filter."""

    _may_read_listeners_first = False
    _may_read_time_wait_apart = False
    _may_read_unix = False

    def __init__(self, plan: Plan, query: Query, context: CallContext, snapshot: Snapshot) -> None:
        self._selection = Selection(query, context.once(Places).mounts)
        snapshot.filter = query.filter
        super().__init__(plan, query, context, snapshot)
        self._selection.owners = self._owners

    def _read_owners(self) -> Owners:
        if self._plan.open_iterator:
            try:
                return self._owners_by_iterator()
            except SourceUnavailableError as error:
                self._plan.give_up_iterator(error)
                self._snapshot.visibility = self._plan.visibility
        return self._walk() if self._selection.needs_owners else super()._read_owners()

    def _owners_by_iterator(self) -> Owners:
        """Return the owners as the iterator tells them; incomplete ones if the time is over.

        Raises:
            SourceUnavailableError: the iterator failed.
        """
        assert self._plan.open_iterator
        try:
            deadline = self._deadline.part(SHARE_OF_WALK)
            owners: Owners = read_owners(
                self._plan.open_iterator, self._query.proc, deadline, self._deadline
            )
        except DeadlineError:
            owners = Owners()
            owners.complete = False
        return owners

    def collect(self) -> None:
        """Read the own namespace, then the others.

        Raises:
            SourceUnavailableError: no table can be read.
            ParseError: the kernel's answer could not be understood.
            SocketsError: there is no network namespace of the query's name, the source doesn't
                have a field that the filter needs, or the filter names something that is not on
                this host.
        """
        super().collect()
        snapshot = self._snapshot
        if not snapshot.visibility.has_gap(*gaps.UNREAD):
            self._selection.check_devices()
        if self._selection.undecided:
            snapshot.visibility.add_gap(gaps.UNDECIDED, how_many=self._selection.undecided)
        if isinstance(self._owners, RecordOwners):
            for index in snapshot.fds_limits:
                self._owners.count_fds(index)
            if not self._owners.fds_known:
                snapshot.fds_limits.clear()
                snapshot.visibility.add_gap(gaps.DESCRIPTOR_LIMITS)

    def _open(
        self, plan: Plan, table: Table, ports: PortRange
    ) -> tuple[TableFold, Iterator[tuple[Iterable[SocketRow], Iterable[Quality]]]]:
        unmeasured = self._snapshot.unmeasured
        sampler = self._sampler if table.protocol == "tcp" else None
        opened = self._selection.read(
            plan, table, self._deadline, tcp_info=bool(sampler), observer=self._observe
        )
        if not opened.is_netlink and sampler and unmeasured is not None:
            unmeasured.add(table.netns)
        fold = self._new_fold(table, opened, ports)
        return fold, _with_directions(fold, opened.batches, sampler)

    def _begin(self, plan: Plan, netns: int) -> None:
        if plan.has_netlink:
            self._selection.look_for_devices(netns)

    def _worth_visiting(
        self, found: list[FoundNamespace], *, complete: bool
    ) -> list[FoundNamespace]:
        self._selection.find_named_namespaces(self._snapshot.namespaces, complete=complete)
        return [each for each in found if self._selection.wants(each.number)]


def _with_directions(
    fold: TableFold, batches: Iterator[MatchingRows], sampler: Sampler | None
) -> Iterator[tuple[Iterable[SocketRow], Iterable[Quality]]]:
    """Yield the rows that match, with their samples.

    The other listeners are added to the directions of *fold*.
    """
    for listeners, rows_with_messages in batches:
        for port, address in listeners:
            fold.directions.add_listener(port, address)
        matching = list(rows_with_messages)
        rows = [row for row, _ in matching]
        _add_drops(fold, matching)
        if sampler:
            yield (
                rows,
                [sampler(decode_figures(message)) if message else 0 for _, message in matching],
            )
        else:
            yield rows, repeat(0)


def _add_drops(fold: TableFold, rows: list[RowWithMessage]) -> None:
    """Add to a fold what was dropped at its listeners and UDP sockets, as far as messages tell."""
    protocol = fold.table.protocol
    for row, message in rows:
        if message and (protocol == "udp" or row[STATE] == LISTENING[protocol]):
            drops = decode_drops(message)
            if drops is not None:
                fold.drops[row[INODE]] = drops
