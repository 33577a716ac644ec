"""Collection of a Snapshot from the BPF iterator, and from netlink what the iterator can't see.

The iterator sees the sockets of which a process of this pid namespace has a descriptor. Of the
others netlink is asked for all but the established connections (unseen): those without a descriptor
are counted by the accept queues and by the kernel's own count.
"""

from functools import cache

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
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN, DeviceName, Query, Snapshot
from zabbix_sockets.model.wire import PROTOCOLS
from zabbix_sockets.readers.bpf.records import Opener, Programs
from zabbix_sockets.readers.proc.counters import read_current_established, read_device_name
from zabbix_sockets.readers.proc.process import read_netns, read_uptime


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
        self._established: int | None = None

    def collect(self) -> None:
        """Fill the Snapshot.

        Another thread reads the iterator; this one asks netlink, and counts the records. A table
        that netlink can't read to its end is a gap of the Snapshot.

        Raises:
            SourceUnavailableError: the iterator failed; the Snapshot must not be used.
            SocketsError: there is no network namespace of the query's name.
        """
        snapshot = self._snapshot
        try:
            netns, uptime = read_netns(self._proc), read_uptime(self._proc)
            with self._read() as records:
                unseen = Unseen(self._plan, snapshot, self._proc, self._deadline)
                fold = self._fold(records, netns, uptime)
            if fold.needs_second_pass:
                with self._read() as records:
                    fold = self._fold(records, netns, uptime)
        except (OSError, ParseError) as error:
            raise SourceUnavailableError(f"the iterator failed: {error}") from error
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
            add_without_descriptor(snapshot, self._established, after)
        else:
            for protocol in PROTOCOLS:
                snapshot.visibility.add_gap(gaps.TABLE, protocol)
            snapshot.visibility.add_gap(gaps.UNASKED)

    def _read(self) -> RecordReader:
        return self._plan.records(self._proc, self._deadline)

    def _fold(self, records: RecordReader, netns: int, uptime: float) -> RecordFold:
        programs = Programs(self._open_iterator, self._deadline)
        owners = RecordOwners(self._proc, uptime, programs, self._deadline)
        owners.excluded_pids = self._query.excluded_pids
        fold = RecordFold(
            netns,
            self._snapshot.ports,
            self._proc,
            owners,
            own_only=self._query.netns == OWN,
            active_within=self._query.active_within if self._query.tcp_info else 0,
        )
        fold.add(records)
        self._complete = records.complete and fold.complete
        self._established = records.established
        return fold

    def _device_names(self, fold: RecordFold) -> DeviceName:
        """Return the function that names devices; add the other namespaces to the Snapshot."""
        wanted = self._query.netns
        if wanted == OWN or (wanted == ALL_NETNS and not fold.holders):
            own = cache(read_device_name)
            return lambda _, index: own(index)
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
    snapshot.fds_limits = fold.fds_limits
    snapshot.owners = {owner: fold.owners.members(owner) for owner in fold.sums.uids}
    snapshot.visibility.gaps += fold.owners.gaps()
