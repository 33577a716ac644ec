"""The sockets that the BPF iterator of files can't see, as cheaply as possible.

They are those in TIME_WAIT and SYN_RECV, orphans, connections not yet accepted, the kernel's own
sockets, those of processes outside the pid namespace, descriptors in flight. Listeners and UDP
sockets have tables of their own, which are small and read by netlink. All others take a scan of the
host's table of connections, which is left out where the kernel's counters say that there are none:
by the iterator of the sockets without a file, if it is pinned and at least as many sockets are in
TIME_WAIT as are established, else by netlink.

Established connections are never asked for: those without a descriptor are counted by the accept
queues and by the kernel's CurrEstab, and those being opened in other namespaces by their listeners.
"""

from __future__ import annotations

from _collections_abc import Callable, Iterable, Iterator

from zabbix_sockets.collector.iterator.record_fold import RecordFold
from zabbix_sockets.collector.row_fold import TableFold
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.sums import add_connections
from zabbix_sockets.collector.table_readers import TCP_TABLES, rows_of, tcp_rows
from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.light_library import partial
from zabbix_sockets.model.light_typing import Final
from zabbix_sockets.model.snapshot import (
    INBOUND,
    NOBODY,
    UNKNOWN,
    UNOWNED,
    Connection,
    DeviceName,
    ListenerSocket,
    Snapshot,
)
from zabbix_sockets.model.wire import (
    INODE,
    LISTENING,
    LISTENING_MASK,
    LOCAL_ADDRESS,
    LOCAL_PORT,
    OWN_NETNS,
    RECV_QUEUE,
    STATE,
    TABLES,
    SocketRow,
    Table,
    TcpState,
)
from zabbix_sockets.readers.bpf.records import COUNT_MINISOCKS
from zabbix_sockets.readers.proc.counters import count_time_wait, may_lack_descriptors
from zabbix_sockets.readers.proc.snmp import read_current_established

# Masks of the states in which TCP sockets may have no descriptor; the established ones are
# counted otherwise.
_NO_DESCRIPTOR = (
    1 << TcpState.SYN_RECV
    | 1 << TcpState.FIN_WAIT1
    | 1 << TcpState.FIN_WAIT2
    | 1 << TcpState.TIME_WAIT
    | 1 << TcpState.LAST_ACK
    | 1 << TcpState.CLOSING
)
_UNACCEPTED = 1 << TcpState.CLOSE_WAIT  # may have none while they wait to be accepted


class Unseen:
    """The sockets of the own namespace that the iterator can't see.

    Most of them are read at once, while the kernel iterates. A table that can't be read to its end
    before the deadline is a gap of the Snapshot.

    Args:
        plan: the readers.
        snapshot: the Snapshot whose gaps and ports are used.
        proc: the path where procfs is mounted.
        deadline: the moment after which nothing is read.
    """

    def __init__(self, plan: Plan, snapshot: Snapshot, proc: str, deadline: Deadline) -> None:
        self._plan = plan
        self._snapshot = snapshot
        self._deadline = deadline
        self._scanned = may_lack_descriptors(proc)
        self._may_iterate = is_mostly_time_wait(proc)
        self._folds: dict[Table, TableFold] = {}
        self._candidates: dict[Table, list[SocketRow]] = {}  # of which the iterator sees most
        self._moves: list[Callable[[Snapshot, DeviceName], None]] = []  # of minisocks
        for table in TABLES:
            if table.protocol == "udp":
                self._try("udp", partial(self._read_udp, table))
                if not plan.is_exact(table):
                    snapshot.visibility.add_gap(gaps.TABLE, "udp")
        states = _NO_DESCRIPTOR if self._scanned else 0
        self._try("tcp", partial(self._read_tcp, states, listening=True))

    def _try(self, protocol: str, read: Callable[[], None]) -> None:
        """Call *read*; if it fails, the tables of *protocol* are a gap of the Snapshot.

        The sockets that the iterator sees are counted all the same.
        """
        try:
            read()
        except DeadlineError:
            self._snapshot.visibility.add_gap(gaps.TABLE, protocol)
        except (OSError, ParseError, SourceUnavailableError) as error:
            self._snapshot.visibility.add_gap(gaps.TABLE, protocol)
            self._plan.warn(f"{protocol}: sockets without a descriptor can't be read: {error}")

    def _read_udp(self, table: Table) -> None:
        opened = self._plan.open(rows_of(table, self._deadline))
        fold = self._folds[table] = TableFold(table, opened.encoding, self._snapshot.ports, {})
        fold.drops = opened.drops
        candidates = self._candidates[table] = []
        for rows in opened.batches:
            candidates += rows
        for row in candidates:
            if row[STATE] == LISTENING["udp"]:
                fold.directions.add_listener(row[LOCAL_PORT], row[LOCAL_ADDRESS])

    def _read_tcp(self, states: int, *, listening: bool = False) -> None:
        """Read the connections without a descriptor in *states* (a mask; 0: none).

        With *listening* all listeners are read, too.
        """
        minisocks = self._open_minisocks() if states else None
        by_netlink = states if minisocks is None else 0
        if listening:
            by_netlink |= LISTENING_MASK["tcp"]
        try:
            if by_netlink:
                self._read_tables(by_netlink)
        finally:
            if minisocks is not None:
                self._read_minisocks(minisocks, states)

    def _read_minisocks(self, fd: int, states: int) -> None:
        """Read the connections in *states* from *fd*, the iterator of sockets without a file."""
        from zabbix_sockets.collector.iterator.minisocks import MinisockFold  # noqa: PLC0415  # not on an idle host

        fold = MinisockFold(states)
        self._moves.append(fold.move)
        fold.read(fd, self._deadline)

    def _open_minisocks(self) -> int | None:
        """Return a descriptor of the iterator of sockets without a file; None: ask netlink."""
        assert self._plan.open_iterator
        if not self._may_iterate:
            return None
        try:
            return self._plan.open_iterator(COUNT_MINISOCKS)
        except OSError:
            return None  # none is pinned, or there is no descriptor for one more

    def _read_tables(self, states: int) -> None:
        """Read by netlink the connections in *states*, and the listeners if LISTEN is in it."""
        opened = self._plan.open(tcp_rows(self._deadline, states))
        folds = {}
        for table in TCP_TABLES:
            if table not in self._folds:
                self._folds[table] = TableFold(table, opened.encoding, self._snapshot.ports, {})
                self._candidates[table] = []
            if states & LISTENING_MASK["tcp"]:
                self._folds[table].drops = opened.drops
            folds[table.family] = self._folds[table], self._candidates[table]
        for family, rows in opened.batches:
            fold, listeners = folds[family]
            fold.add(_without_inode(rows, fold, listeners, states))

    def move(self, seen: RecordFold, device_name: DeviceName) -> None:
        """Move the sockets to the Snapshot that are not among those the iterator has *seen*.

        By what it has seen a second scan may be necessary: for connections without a descriptor,
        and for those in CLOSE_WAIT that may wait in the accept queues.
        """
        listening = [row for table in TCP_TABLES for row in self._candidates.get(table, ())]
        states = 0
        if not self._scanned and (
            seen.has_requests or any(row[INODE] not in seen.inodes for row in listening)
        ):
            states |= _NO_DESCRIPTOR
        if any(row[RECV_QUEUE] for row in listening):
            states |= _UNACCEPTED
        if states:
            self._try("tcp", partial(self._read_tcp, states))
        for table, fold in self._folds.items():
            fold.add(row for row in self._candidates[table] if row[INODE] not in seen.inodes)
            fold.move(self._snapshot, device_name)
        for move_minisocks in self._moves:  # now that all listeners are there
            move_minisocks(self._snapshot, device_name)


def is_mostly_time_wait(proc: str) -> bool:
    """Whether at least as many TCP sockets are in TIME_WAIT as are established.

    The iterator of sockets without a file takes less time than netlink for each of the former, and
    more for each of the latter, which it locks. *proc* is the path where procfs is mounted.

    Raises:
        ParseError: *proc*/net/sockstat or *proc*/net/snmp is none.
    """
    time_wait = count_time_wait(proc)
    return time_wait > 0 and time_wait >= (read_current_established(proc) or 0)


def _without_inode(
    rows: Iterable[SocketRow], fold: TableFold, listeners: list[SocketRow], states: int
) -> Iterator[SocketRow]:
    """Yield the rows in *states* (a mask) without an inode; append those of listeners to a list."""
    state_at: Final = STATE
    inode_at: Final = INODE
    for row in rows:
        state = row[state_at]
        if states >> state & 1:
            if state == LISTENING["tcp"]:
                fold.directions.add_listener(row[LOCAL_PORT], row[LOCAL_ADDRESS])
                listeners.append(row)
            elif not row[inode_at]:
                yield row


def add_unaccepted(snapshot: Snapshot, listeners: Iterable[ListenerSocket]) -> None:
    """Count the connections that wait in the accept queues of *listeners*, as nobody's.

    They are established, except those that the Snapshot has in CLOSE_WAIT already.
    """
    waiting: dict[tuple[int, bytes, int, str], int] = {}
    for listener in listeners:
        if listener.accept_queue:
            key = listener[1:5]
            waiting[key] = waiting.get(key, 0) + listener.accept_queue
    for (netns, address, port, device), count in waiting.items():
        closed = Connection(
            "tcp", netns, NOBODY, TcpState.CLOSE_WAIT, INBOUND, address, port, device
        )
        still_open = count - snapshot.connections.get(closed, 0)
        if still_open > 0:
            add_connections(snapshot, closed._replace(state=TcpState.ESTABLISHED), still_open)


def add_requests(snapshot: Snapshot, requests: Iterable[tuple[ListenerSocket, int]]) -> None:
    """Count the connections in SYN_RECV in other namespaces.

    *requests* are listeners, each with the number of these connections.
    """
    for (_, netns, address, port, device, *_), count in requests:
        state = TcpState.SYN_RECV
        key = Connection("tcp", netns, NOBODY, state, INBOUND, address, port, device)
        add_connections(snapshot, key, count)


def add_without_descriptor(snapshot: Snapshot, before: int | None, after: int | None) -> None:
    """Add the own namespace's connections that the kernel counts and nothing has shown, as UNOWNED.

    No process of this pid namespace has a descriptor of them. *before* and *after* are the kernel's
    count of connections in ESTABLISHED or CLOSE_WAIT before and after the iteration (None: unknown,
    and nothing is added). The smaller one is taken, so that connections which open or close
    meanwhile don't count. What it has more than the Snapshot is added as ESTABLISHED.
    """
    if before is None or after is None:
        return
    counted = sum(
        count
        for connection, count in snapshot.connections.items()
        if connection.protocol == "tcp"
        and connection.netns == OWN_NETNS
        and connection.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
    )
    without_descriptor = min(before, after) - counted
    if without_descriptor > 0:
        key = Connection("tcp", OWN_NETNS, UNOWNED, TcpState.ESTABLISHED, UNKNOWN)
        add_connections(snapshot, key, without_descriptor)
