"""Collection of a Snapshot from the BPF iterator, and of what that one can't see.

The iterator sees the sockets of which a process of this pid namespace has a descriptor. Of the
others all but the established connections are read by netlink; or by the iterator of the sockets
without a file, where that is pinned and at least as many sockets are in TIME_WAIT as are
established (unseen). Established connections without a descriptor are counted by the accept queues
and by the kernel's CurrEstab.
"""

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.iterator.record_fold import RecordFold
from zabbix_sockets.collector.iterator.record_owners import RecordOwners
from zabbix_sockets.collector.iterator.unseen import (
    Unseen,
    add_requests,
    add_unaccepted,
    add_without_descriptor,
)
from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.model import gaps
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.light_library import cache
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN, DeviceName, Query, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS, PROTOCOLS
from zabbix_sockets.readers.bpf.records import Opener, Processes, are_totals_pinned
from zabbix_sockets.readers.proc.counters import read_device_name
from zabbix_sockets.readers.proc.process import read_netns, read_uptime
from zabbix_sockets.readers.proc.snmp import read_current_established


class IteratorCollection:
    """The collection of a Snapshot from the BPF iterator and netlink.

    Args:
        open_iterator: opens a BPF iterator by the name of its program.
        plan: the readers.
        query: the query.
        context: the deadline and the mounts of the call.
        snapshot: the Snapshot to fill, which has no sockets yet.
    """

    def __init__(
        self,
        open_iterator: Opener,
        plan: Plan,
        query: Query,
        context: CallContext,
        snapshot: Snapshot,
    ) -> None:
        self._context = context
        self._open_iterator = open_iterator
        self._plan = plan
        self._query = query
        self._proc = query.proc
        self._deadline = context.deadline
        self._snapshot = snapshot
        self._complete = False
        self._current_established: int | None = None

    def collect(self) -> None:
        """Fill the Snapshot.

        One or two other threads read the iterator; this one asks netlink, and counts the records. A
        table that netlink can't read to its end is a gap of the Snapshot.

        Raises:
            SourceUnavailableError: the iterator failed; the Snapshot must not be used.
            SocketsError: there is no network namespace of the query's name.
        """
        try:
            self._collect()
        except (OSError, ParseError) as error:
            raise SourceUnavailableError(f"the iterator failed: {error}") from error

    def _collect(self) -> None:
        """Do what collect() says.

        Raises:
            OSError, ParseError: the iterator or a file of /proc can't be read, or not understood.
        """
        snapshot = self._snapshot
        netns, uptime = read_netns(self._proc), read_uptime(self._proc)
        with self._read() as records:
            unseen = Unseen(self._plan, snapshot, self._proc, self._deadline)
            fold = self._fold(records, netns, uptime)
        if fold.needs_second_pass:
            with self._read() as records:
                fold = self._fold(records, netns, uptime)
        fold.move_unix(snapshot)
        if not (self._complete and fold.unix.complete):
            snapshot.visibility.add_gap(gaps.UNIX)
        _move_owners(snapshot, fold)
        device_name = self._device_names(fold)
        fold.move_listeners(snapshot, device_name)
        seen_listeners = list(snapshot.listeners)
        unseen.move(fold, device_name)
        fold.move(snapshot, device_name)
        add_unaccepted(snapshot, seen_listeners)
        add_requests(snapshot, fold.requests)
        if self._complete:
            after = read_current_established(self._proc)
            add_without_descriptor(snapshot, self._current_established, after)
        else:
            for protocol in PROTOCOLS:
                snapshot.visibility.add_gap(gaps.TABLE, protocol)
            snapshot.visibility.add_gap(gaps.UNASKED)
        if self._query.clients:
            self._add_clients(netns, device_name)
        if are_totals_pinned(self._query.pins):
            self._add_totals(fold, netns, device_name)

    def _add_clients(self, netns: int, device_name: DeviceName) -> None:
        """Add the clients of all listeners, which are known by now, by a pass of its own."""
        from zabbix_sockets.collector.iterator.clients import add_clients  # noqa: PLC0415  # for those who ask

        own_only = self._query.netns == OWN
        place = netns, device_name
        add_clients(self._snapshot, self._plan, self._deadline, *place, own_only=own_only)

    def _add_totals(self, fold: RecordFold, netns: int, device_name: DeviceName) -> None:
        """Add what the kernel has counted up to now, after the pass that the records are of."""
        from zabbix_sockets.collector.iterator import kernel_totals  # noqa: PLC0415  # takes 1 ms
        from zabbix_sockets.readers.bpf.totals import TotalsReader  # noqa: PLC0415

        snapshot, own_only = self._snapshot, self._query.netns == OWN
        wanted = frozenset((OWN_NETNS,)) if own_only else snapshot.selected
        place = self._query.pins, netns, device_name
        ends = kernel_totals.endpoints(snapshot)
        kernel_totals.add_totals(
            snapshot, TotalsReader(*place, self._deadline, wanted, *ends), fold.owners
        )
        idle = kernel_totals.idle_namespaces(snapshot)
        if idle:
            from zabbix_sockets.collector import namespaces  # noqa: PLC0415  # takes 2 ms
            from zabbix_sockets.collector.places import Places  # noqa: PLC0415  # takes 1 ms

            snapshot.idle_namespaces = namespaces.describe_idle(self._context.once(Places), idle)

    def _read(self) -> RecordReader:
        return self._plan.records(self._proc, self._deadline)

    def _fold(self, records: RecordReader, netns: int, uptime: float) -> RecordFold:
        described = Processes(self._open_iterator, self._deadline)
        owners = RecordOwners(self._proc, uptime, described, self._deadline)
        owners.excluded_pids = self._query.excluded_pids
        fold = RecordFold(
            netns,
            self._snapshot.ports,
            owners,
            own_only=self._query.netns == OWN,
            active_within=self._query.active_within if self._query.tcp_info else 0,
        )
        fold.add(records)
        self._complete = records.complete and fold.complete
        self._current_established = records.current_established
        return fold

    def _device_names(self, fold: RecordFold) -> DeviceName:
        """Return the function that names devices; add the other namespaces to the Snapshot."""
        wanted = self._query.netns
        if wanted == OWN or (wanted == ALL_NETNS and not fold.holders):
            own = cache(read_device_name)
            return lambda number, index: (
                own(index) if number == OWN_NETNS else f"if{index}" if index else ""
            )
        from zabbix_sockets.collector import namespaces  # noqa: PLC0415  # takes 2 ms
        from zabbix_sockets.collector.places import Places  # noqa: PLC0415  # takes 1 ms

        snapshot, places = self._snapshot, self._context.once(Places)
        pids = {
            number: sorted(snapshot.processes[index].pid for index in holders)
            for number, holders in fold.holders.items()
        }
        found = namespaces.namespaces_of(places.mounts, pids)
        complete = True
        if wanted != ALL_NETNS:
            others, complete = namespaces.find_or_warn(places.mounts, self._deadline, self._plan)
            for each in others:
                found.setdefault(each.number, each)
        snapshot.namespaces = {
            number: namespaces.describe(places, each) for number, each in found.items()
        }
        if namespaces.are_names_hidden(self._proc, found, snapshot.namespaces):
            snapshot.visibility.add_gap(gaps.NAMESPACE_NAMES)
        if wanted != ALL_NETNS:
            snapshot.selected = namespaces.select(snapshot.namespaces, wanted, complete=complete)
        return namespaces.device_names(places, found)


def _move_owners(snapshot: Snapshot, fold: RecordFold) -> None:
    """Move the owners, their processes, limits and gaps to the Snapshot."""
    snapshot.processes = fold.owners.processes
    if fold.owners.fds_known:
        snapshot.fds_limits = fold.fds_limits
    else:
        snapshot.visibility.add_gap(gaps.DESCRIPTOR_LIMITS)
    holders = *fold.sums.uids, *snapshot.uids  # the latter hold listening unix sockets
    snapshot.owners = {owner: fold.owners.members(owner) for owner in holders}
    snapshot.visibility.gaps += fold.owners.gaps()
