"""Collection of a Snapshot from the socket tables, one namespace after another.

The owners are read by a walk over /proc/PID/fd. Where that is denied and the grouping needs no
processes, they are the cgroups in which the sockets were made, which netlink tells everybody.
"""

from __future__ import annotations

from _collections_abc import Iterable, Iterator
from itertools import repeat
from time import monotonic, time

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.namespaces import (
    FoundNamespace,
    describe,
    device_names,
    find_or_warn,
    in_fair_order,
    select,
)
from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.row_fold import TableFold
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.sums import MAX_ENDPOINTS
from zabbix_sockets.collector.table_readers import Opened, measured_rows_of, rows_of, unix_rows
from zabbix_sockets.collector.tables.cgroup_owners import CgroupOwners, must_use_cgroups
from zabbix_sockets.collector.tables.time_wait import add_time_wait, has_much_time_wait
from zabbix_sockets.collector.tables.unix_table_fold import UnixTableFold
from zabbix_sockets.collector.visits import Visitor, ways_into
from zabbix_sockets.model import gaps
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.light_typing import Any
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.quality import Quality, Sampler
from zabbix_sockets.model.snapshot import (
    ALL_NETNS,
    BY_CGROUPS,
    FIRST_OWNER,
    OWN,
    PortRange,
    Query,
    Snapshot,
)
from zabbix_sockets.model.wire import (
    INODE,
    LISTENING,
    LISTENING_MASK,
    OWN_NETNS,
    STATE,
    TABLES,
    SocketRow,
    Table,
    TcpState,
)
from zabbix_sockets.readers.proc.descriptors import walk
from zabbix_sockets.readers.proc.process import read_fds_limit
from zabbix_sockets.readers.sock_diag.messages import CgroupObserver

SHARE_OF_WALK = 0.6
"""The share of the remaining time that the walk over the descriptors may take, which is long; the
tables, which come after it, matter most."""
_SHARE_OF_SCANS = 0.5
"""The share of the remaining time that reading all namespaces may take; if it may take more, the
listeners of all of them are read first."""


class TableCollection:
    """The collection of a Snapshot from the socket tables.

    Args:
        plan: the readers.
        query: the query.
        context: the deadline and the mounts of the call.
        snapshot: the Snapshot to fill, which has no sockets yet.
    """

    # False in FilteredCollection, which reads the matching TCP and UDP sockets alone, and once.
    _may_read_listeners_first = True
    _may_read_time_wait_apart = True
    _may_read_unix = True

    def __init__(self, plan: Plan, query: Query, context: CallContext, snapshot: Snapshot) -> None:
        self._places = context.once(Places)
        self._plan = plan
        self._query = query
        self._deadline = context.deadline
        self._snapshot = snapshot
        self._found: dict[int, FoundNamespace] = {}  # as far as they are read
        self._device_name = device_names(self._places, self._found)
        self._room = MAX_ENDPOINTS
        self._states: int | None = None  # of TCP sockets, as a mask; None: all
        self._without_time_wait: list[Table] = []  # read in all other states
        self._unix: UnixTableFold | None = None
        self._lacking_unix: dict[int, str] = {}  # why not all were read, by namespace
        self._observe: CgroupObserver | None = None
        self._sampler = Sampler(query.active_within) if query.tcp_info else None
        self._owners = self._read_owners()
        self._owners.excluded_pids = query.excluded_pids

    def _read_owners(self) -> Owners:
        if not (self._plan.has_netlink and must_use_cgroups(self._query, self._places.mounts)):
            return self._walk()
        owners = CgroupOwners()
        self._observe = owners.observe
        self._snapshot.visibility.ownership = BY_CGROUPS
        return owners

    def _walk(self) -> Owners:
        return walk(self._query.proc, self._deadline.part(SHARE_OF_WALK))

    def collect(self) -> None:
        """Fill the Snapshot from the own namespace, then from the others that the query names.

        A table that can't be read to its end is a gap of the Snapshot.

        Raises:
            SourceUnavailableError: no table of the own namespace can be read.
            SocketsError: there is no network namespace of the query's name.
        """
        snapshot, owners = self._snapshot, self._owners
        snapshot.processes = owners.processes
        if self._may_read_unix:
            self._unix = UnixTableFold(owners)
        if self._query.clients:
            from zabbix_sockets.model.clients import ClientSums  # noqa: PLC0415  # for those who ask

            snapshot.clients = ClientSums()
        started = monotonic()
        self._read_own()
        if self._query.netns != OWN:
            self._read_others(scan_seconds=monotonic() - started)
        if self._sampler:
            snapshot.lacks_limited_times = self._sampler.lacks_limited_times
        if snapshot.unmeasured and OWN_NETNS in snapshot.unmeasured:
            snapshot.unmeasured = None  # as without tcp_info in the query: this source has none
        snapshot.visibility.gaps += owners.gaps()
        snapshot.visibility.vanished = owners.vanished
        holders = {owner for owner in snapshot.uids if owner >= FIRST_OWNER}
        if self._unix:
            self._unix.move(snapshot)
            assert snapshot.unix
            listening = {each.owner for each in snapshot.unix.listeners}
            holders.update(owner for owner in listening if owner >= FIRST_OWNER)
        snapshot.owners = {owner: owners.members(owner) for owner in holders}
        if snapshot.visibility.ownership != BY_CGROUPS:
            self._read_limits()

    def _read_own(self) -> None:
        snapshot = self._snapshot
        refusals: list[SourceUnavailableError] = []
        folds: dict[Table, TableFold] = {}
        if self._may_read_time_wait_apart and has_much_time_wait(self._query.proc):
            self._states = ~(1 << TcpState.TIME_WAIT)
        for table in TABLES:
            try:
                fold, complete = self._fold(self._plan, table, snapshot.ports)
            except SourceUnavailableError as error:
                refusals.append(error)
                self._plan.warn(f"{table}: {error}")
                fold, complete = None, False
            if not complete:
                snapshot.visibility.add_gap(gaps.TABLE, table.protocol)
            if fold:
                folds[table] = fold
        self._states = None
        if len(refusals) == len(TABLES):
            raise refusals[0]
        apart = {table.family: folds[table] for table in self._without_time_wait if table in folds}
        if apart and not add_time_wait(self._plan, apart, self._deadline):
            snapshot.visibility.add_gap(gaps.TABLE, "tcp")
        for fold in folds.values():
            self._merge(fold)
        self._read_unix(self._plan, OWN_NETNS)
        self._note_unix(OWN_NETNS)

    def _read_unix(self, plan: Plan, netns: int) -> None:
        """Read the unix sockets of a namespace; keep why, if they can't be read to the end."""
        if not self._unix:
            return
        try:
            for rows in plan.open(unix_rows(self._deadline)).batches:
                self._unix.add(rows, netns)
        except DeadlineError:
            self._lacking_unix[netns] = ""
        except (OSError, ParseError, SourceUnavailableError) as error:
            self._lacking_unix[netns] = f"unix: {error}"

    def _fold(self, plan: Plan, table: Table, ports: PortRange) -> tuple[TableFold | None, bool]:
        """Return a table's sums (None if no reader started), and whether it was read to its end.

        Raises:
            SourceUnavailableError: no reader can read the table.
        """
        fold = None
        try:
            fold, batches = self._open(plan, table, ports)
            for rows, samples in batches:
                fold.add(rows, samples)
        except DeadlineError:
            return fold, False
        except (OSError, ParseError) as error:
            plan.warn(f"{table}: {error}")
            return fold, False
        return fold, plan.is_exact(table)

    def _open(
        self, plan: Plan, table: Table, ports: PortRange
    ) -> tuple[TableFold, Iterator[tuple[Iterable[SocketRow], Iterable[Quality]]]]:
        """Return the empty sums of a table, and its rows in batches.

        Each row has a sample of round-trip time and retransmissions (0: none).
        """
        opened = self._open_measured(plan, table)
        return self._new_fold(table, opened, ports), opened.batches

    def _new_fold(self, table: Table, opened: Opened[Any], ports: PortRange) -> TableFold:
        kind = TableFold
        if self._query.clients and table.protocol == "tcp":
            from zabbix_sockets.collector.row_clients import FoldWithClients  # noqa: PLC0415  # for those who ask

            kind = FoldWithClients
        fold = kind(table, opened.encoding, ports, self._owners.by_inode, self._room)
        fold.drops = opened.drops
        return fold

    def _open_measured(
        self, plan: Plan, table: Table
    ) -> Opened[tuple[Iterable[SocketRow], Iterable[Quality]]]:
        sampler, unmeasured = self._sampler, self._snapshot.unmeasured
        if not sampler or unmeasured is None or table.protocol != "tcp":
            opened = plan.open(rows_of(table, self._deadline, self._states, self._observe))
            self._note_states(table, is_netlink=opened.is_netlink)
            return opened.with_batches((rows, repeat(0)) for rows in opened.batches)
        measured = plan.open(measured_rows_of(table, self._deadline, self._states, self._observe))
        self._note_states(table, is_netlink=measured.is_netlink)
        batches = measured.batches
        if measured.is_netlink:
            return measured.with_batches((rows, map(sampler, figures)) for rows, figures in batches)
        unmeasured.add(table.netns)
        return measured.with_batches((rows, repeat(0)) for rows, _ in batches)

    def _note_states(self, table: Table, *, is_netlink: bool) -> None:
        """Note a TCP table whose sockets in TIME_WAIT are not read with it, for add_time_wait().

        Of procfs all are read.
        """
        if self._states is not None and is_netlink and table.protocol == "tcp":
            self._without_time_wait.append(table)

    def _merge(self, fold: TableFold) -> None:
        self._room -= len(fold.sums.connections)
        fold.move(self._snapshot, self._device_name)

    def _read_others(self, scan_seconds: float) -> None:
        """Read the other namespaces, as many as the time allows.

        *scan_seconds* is the time that the own one took.
        """
        snapshot, query = self._snapshot, self._query
        visibility = snapshot.visibility
        found, complete = find_or_warn(self._places.mounts, self._deadline, self._plan)
        snapshot.namespaces = {each.number: describe(self._places, each) for each in found}
        if query.netns != ALL_NETNS:
            snapshot.selected = select(snapshot.namespaces, query.netns, complete=complete)
            found = [each for each in found if each.number in snapshot.selected]
        found = self._worth_visiting(found, complete=complete)
        self._found.update((each.number, each) for each in found)
        visitor = Visitor(query.proc, visibility, netlink=self._plan.has_netlink)
        listening: dict[int, list[TableFold]] = {}
        order = in_fair_order(found, time())
        if (
            self._may_read_listeners_first
            and scan_seconds * len(order) > self._deadline.remaining() * _SHARE_OF_SCANS
        ):
            listening = {each.number: self._read_listening(each, visitor) for each in order}
        for each in order:
            folds, complete, ports = self._read(each, visitor)
            if not complete and each.is_gone(query.proc):
                self._forget(each.number)
                continue
            if each.number in self._lacking_unix and each.is_gone(query.proc):
                self._forget_unix(each.number)
            self._note_unix(each.number)
            if not complete:
                visibility.add_gap(gaps.NAMESPACE, netns=each.number)
                read = {fold.table for fold in folds}
                folds += [fold for fold in listening.get(each.number, ()) if fold.table not in read]
            if ports:
                named = snapshot.namespaces[each.number]
                snapshot.namespaces[each.number] = named._replace(ports=ports)
            for fold in folds:
                self._merge(fold)
            if visibility.ownership == BY_CGROUPS and folds and ports is None:
                visibility.add_gap(gaps.FOREIGN_OWNERS, netns=each.number)

    def _forget(self, netns: int) -> None:
        """Take back what there is of a namespace that is gone."""
        del self._snapshot.namespaces[netns]
        self._forget_unix(netns)

    def _forget_unix(self, netns: int) -> None:
        """Take back what was read of the unix sockets of a namespace, and why no more was."""
        self._lacking_unix.pop(netns, None)
        if self._unix:
            self._unix.forget(netns)

    def _note_unix(self, netns: int) -> None:
        """Note a gap if not all unix sockets of a namespace were read, and warn of the reason."""
        reason = self._lacking_unix.get(netns)
        if reason is not None:
            self._snapshot.visibility.add_gap(gaps.UNIX)
        if reason:
            self._plan.warn(reason)

    def _worth_visiting(
        self, found: list[FoundNamespace], *, complete: bool
    ) -> list[FoundNamespace]:
        """Return those of the namespaces *found* that are to be read.

        *complete*: the search for them came to its end.
        """
        del complete
        return found

    def _begin(self, plan: Plan, netns: int) -> None:
        """Prepare for another namespace, which this thread is in, before its tables are read."""

    def _read(
        self, found: FoundNamespace, visitor: Visitor
    ) -> tuple[list[TableFold], bool, PortRange | None]:
        """Return the sums of a namespace's tables, whether all were read to the end, and its ports.

        The ports are its ephemeral ones; None where they can't be read from outside.
        """
        for pid in ways_into(found):
            folds: list[TableFold] = []
            if self._deadline.passed():
                break
            try:
                with visitor.visit(found, pid) as (plan, ports):
                    self._begin(plan, found.number)
                    unused, complete = visitor.unused(pid), True
                    for table in TABLES:
                        if str(table) in unused:
                            continue  # each scan is one of the host's whole table
                        fold, read_to_end = self._fold(
                            plan, table._replace(netns=found.number), ports or self._snapshot.ports
                        )
                        complete &= read_to_end
                        if fold:
                            folds.append(fold)
                    self._read_unix(plan, found.number)
                    return folds, complete, ports
            except SourceUnavailableError:
                self._owners.forget_counted()
            except (OSError, ParseError) as error:
                self._plan.warn(f"{found.number}: {error}")
                self._owners.forget_counted()
        return [], False, None

    def _read_listening(self, found: FoundNamespace, visitor: Visitor) -> list[TableFold]:
        """Return the sums of a namespace's TCP listeners, which have a small table."""
        folds: list[TableFold] = []
        for pid in ways_into(found):
            if not visitor.may_enter or self._deadline.passed():
                break
            try:
                with visitor.visit(found, pid) as (plan, ports):
                    folds += [
                        self._fold_listening(plan, found, table, ports)
                        for table in TABLES
                        if plan.has_netlink and table.protocol == "tcp"
                    ]
            except (DeadlineError, OSError, ParseError, SourceUnavailableError):
                folds.clear()
            else:
                break
        return folds

    def _fold_listening(
        self, plan: Plan, found: FoundNamespace, table: Table, ports: PortRange | None
    ) -> TableFold:
        table = table._replace(netns=found.number)
        opened = plan.open(rows_of(table, self._deadline, LISTENING_MASK["tcp"]))
        rows = [row for batch in opened.batches for row in batch if row[STATE] == LISTENING["tcp"]]
        # Counted ones are marked in a dict of their own: all are read again later.
        by_inode = self._owners.by_inode
        marks = {row[INODE]: by_inode[row[INODE]] for row in rows if row[INODE] in by_inode}
        fold = TableFold(table, opened.encoding, ports or self._snapshot.ports, marks)
        fold.drops = opened.drops
        fold.add_listeners(rows)
        return fold

    def _read_limits(self) -> None:
        """Read the descriptor limits of the processes that hold sockets, unless unlimited.

        Past the deadline the Snapshot gets none at all: the process that is closest to its limit
        might be among those not read.
        """
        snapshot = self._snapshot
        for index in {index for members in snapshot.owners.values() for index in members}:
            if self._deadline.passed():
                snapshot.fds_limits.clear()
                snapshot.visibility.add_gap(gaps.DESCRIPTOR_LIMITS)
                return
            limit = read_fds_limit(self._query.proc, snapshot.processes[index].pid)
            if limit:
                snapshot.fds_limits[index] = limit
