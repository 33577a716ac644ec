"""A Snapshot from the BPF iterator, and from netlink what the iterator can't see.

The iterator sees sockets that a process of this pid namespace has a descriptor of. What is
left netlink is asked for (see rest), but never for the established connections: those without
a descriptor are counted by the accept queues and the kernel's own count.
"""

from collections.abc import Callable, Iterable
from functools import cache, partial

from zabbix_sockets.collector.iterator.early_read import Ahead
from zabbix_sockets.collector.iterator.record_fold import RecordFold
from zabbix_sockets.collector.iterator.unseen import Rest
from zabbix_sockets.collector.shared import Shared
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import (
    ALL_NETNS,
    INBOUND,
    NOBODY,
    OWN,
    UNKNOWN,
    UNOWNED,
    Connection,
    DeviceName,
    ListenerSocket,
    Process,
    Query,
    Snapshot,
)
from zabbix_sockets.model.wire import OWN_NETNS, PROTOCOLS, TcpState
from zabbix_sockets.readers.bpf import records as bpf
from zabbix_sockets.readers.proc.counters import read_current_established, read_device_name
from zabbix_sockets.readers.proc.process import is_hidden, read_name, read_netns, read_uptime


class Iteration:
    """Fills a Snapshot from the iterator, with what netlink knows besides."""

    def __init__(
        self,
        open_iterator: bpf.Opener,
        plan: Plan,
        query: Query,
        shared: Shared,
        snapshot: Snapshot,
    ) -> None:
        self._shared = shared
        self._open_iterator = open_iterator
        self._plan = plan
        self._query = query
        self._proc = query.proc
        self._deadline = shared.deadline
        self._snapshot = snapshot
        self._complete = False
        self._established: int | None = None

    def collect(self, meanwhile: Callable[[], None], ahead: Ahead | None) -> None:
        """Fill the Snapshot.

        The kernel iterates for another thread; this one calls *meanwhile*, asks netlink, and
        counts what comes. What netlink fails to tell makes the Snapshot incomplete.

        Raises:
            SourceUnavailableError: the iterator failed; the Snapshot is of no use.
            SocketsError: there is no network namespace as asked for.
        """
        snapshot = self._snapshot
        try:
            netns, uptime = read_netns(self._proc), read_uptime(self._proc)
            with ahead or self._read() as records:
                meanwhile()
                rest = Rest(self._plan, snapshot, self._proc, self._deadline)
                fold = self._fold(records, netns, uptime)
            if fold.mistaken:
                with self._read() as records:
                    fold = self._fold(records, netns, uptime)
        except (OSError, ParseError) as error:
            raise SourceUnavailableError(f"the iterator failed: {error}") from error
        _fill(snapshot, fold)
        device_name = self._device_names(fold)
        listeners = fold.listeners(device_name)
        snapshot.listeners += listeners
        rest.merge(fold, device_name)
        fold.connections(snapshot.connections, snapshot.qualities, snapshot.listeners, device_name)
        _add_unaccepted(snapshot.connections, listeners)
        for key, count in fold.requests(device_name):
            snapshot.connections[key] = snapshot.connections.get(key, 0) + count
        if self._complete:
            after = read_current_established(self._proc)
            _add_unseen(snapshot.connections, self._established, after)
        else:
            for protocol in PROTOCOLS:
                snapshot.visibility.add_gap(gaps.TABLE, protocol)
            snapshot.visibility.add_gap(gaps.UNASKED)

    def _read(self) -> Ahead:
        return Ahead(self._open_iterator, self._proc, self._deadline)

    def _fold(self, records: Ahead, netns: int, uptime: float) -> RecordFold:
        own_only = self._query.netns == OWN
        fold = RecordFold(
            netns,
            uptime,
            self._snapshot.ports,
            self._proc,
            bpf.Programs(self._open_iterator, self._deadline),
            deadline=self._deadline,
            own_only=own_only,
            active_within=self._query.active_within if self._query.tcp_info else 0,
        )
        fold.owners.left_out = self._query.left_out
        fold.add(records)
        self._complete = records.complete and fold.complete
        self._established = records.established
        return fold

    def _device_names(self, fold: RecordFold) -> DeviceName:
        """Return what names devices; name the namespaces, if there are others."""
        wanted = self._query.netns
        if wanted == OWN or (wanted == ALL_NETNS and not fold.holders):
            own = cache(read_device_name)
            return lambda _, index: own(index)
        from zabbix_sockets.collector import namespaces  # noqa: PLC0415  # 2 ms
        from zabbix_sockets.collector.places import Places  # noqa: PLC0415  # the same

        snapshot, places = self._snapshot, self._shared.once(Places)
        pids = {
            number: sorted(snapshot.processes[index].pid for index in holders)
            for number, holders in fold.holders.items()
        }
        found = namespaces.held(places.mounts, pids)
        whole = True
        if wanted != ALL_NETNS:
            others, whole = namespaces.look_for(places.mounts, self._deadline, self._plan)
            for each in others:
                found.setdefault(each.number, each)
        snapshot.namespaces = {
            number: namespaces.describe(places, each) for number, each in found.items()
        }
        if namespaces.are_names_hidden(self._proc, found, snapshot.namespaces):
            snapshot.visibility.add_gap(gaps.NAMESPACE_NAMES)
        if wanted != ALL_NETNS:
            snapshot.selected = namespaces.select(snapshot.namespaces, wanted, whole=whole)
        return namespaces.device_names(places, found)


def _fill(snapshot: Snapshot, fold: RecordFold) -> None:
    """Take over what belongs to owners."""
    snapshot.processes = fold.owners.processes
    snapshot.queues = fold.queues
    snapshot.uids = fold.uids
    snapshot.fds_limits = fold.fds_limits
    snapshot.owners = {owner: fold.owners.members(owner) for owner in fold.uids}
    snapshot.visibility.gaps += fold.owners.gaps()
    if fold.overflowed:
        snapshot.visibility.add_gap(gaps.ENDPOINTS)


def _add_unaccepted(
    connections: dict[Connection, int], listeners: Iterable[ListenerSocket]
) -> None:
    """Count what waits in the accept queues: established, but for the rows in CLOSE_WAIT."""
    waiting: dict[tuple[int, bytes, int, str], int] = {}
    for listener in listeners:
        if listener.accept_queue:
            key = listener[1:5]
            waiting[key] = waiting.get(key, 0) + listener.accept_queue
    for (netns, address, port, device), count in waiting.items():
        closed = Connection(
            "tcp", netns, NOBODY, TcpState.CLOSE_WAIT, INBOUND, address, port, device
        )
        open_ones = count - connections.get(closed, 0)
        if open_ones > 0:
            established = closed._replace(state=TcpState.ESTABLISHED.value)
            connections[established] = connections.get(established, 0) + open_ones


def _add_unseen(connections: dict[Connection, int], before: int | None, after: int | None) -> None:
    """Count established connections that nobody here has: the kernel's, or other processes'.

    The kernel's own count was read before and after: only what both say counts, so that
    what opens or closes meanwhile doesn't.
    """
    if before is None or after is None:
        return
    counted = sum(
        count
        for connection, count in connections.items()
        if connection.protocol == "tcp"
        and connection.netns == OWN_NETNS
        and connection.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
    )
    unseen = min(before, after) - counted
    if unseen > 0:
        key = Connection("tcp", OWN_NETNS, UNOWNED, TcpState.ESTABLISHED.value, UNKNOWN)
        connections[key] = connections.get(key, 0) + unseen


def read_owners(open_iterator: bpf.Opener, proc: str, deadline: Deadline) -> Owners:
    """Return who holds which inode, as own_sockets tells; /proc is asked for names.

    Raises:
        DeadlineError: the time is over.
        SourceUnavailableError: the iterator failed.
    """
    try:
        return _owners(open_iterator, proc, deadline)
    except (OSError, ParseError) as error:
        raise SourceUnavailableError(f"the iterator failed: {error}") from error


def _owners(open_iterator: bpf.Opener, proc: str, deadline: Deadline) -> Owners:
    owners = Owners()
    programs = bpf.Programs(open_iterator, deadline)
    uptime = read_uptime(proc)
    numbers: dict[tuple[int, bytes, int], int] = {}
    last, number, note = (0, b"", 0), 0, owners.by_inode.setdefault
    for chunk in bpf.read_chunks(open_iterator(bpf.OWN_SOCKETS), bpf.OWNER.size, deadline):
        for pid, inode, started, comm in bpf.OWNER.iter_unpack(chunk):
            key = pid, comm, started
            if key != last:  # one process's sockets come together
                last, number = key, numbers.get(key, 0)
                if not number:
                    deadline.check()
                    executable = partial(programs.executable, pid, started)
                    called = read_name(proc, str(pid), comm.split(b"\0", 1)[0], executable)
                    if not called.certain and is_hidden(proc, pid):
                        owners.uncertain.add(len(owners.processes))
                    name = called.name
                    process = Process(pid, name, max(0.0, uptime - started))
                    number = numbers[key] = owners.number(process)
            if note(inode, number) != number:
                owners.share(number, inode)
    return owners
