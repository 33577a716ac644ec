"""What the iterator can't see, from netlink, as cheaply as possible.

Sockets in TIME_WAIT and SYN_RECV, orphans, connections not yet accepted, the kernel's own
sockets, those of processes outside the pid namespace, descriptors in flight. Listeners and UDP
sockets have tables of their own, which are small. All else takes a scan of the host's table of
connections: not done where the kernel's counters say that there is nothing to find.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from zabbix_sockets.collector.iterator.record_fold import RecordFold
from zabbix_sockets.collector.sources import TCP_TABLES, Plan, rows_of, tcp_rows
from zabbix_sockets.collector.tables.row_fold import TableFold
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.gaps import ENDPOINTS, TABLE
from zabbix_sockets.model.snapshot import DeviceName, Snapshot
from zabbix_sockets.model.wire import TABLES, Row, Table, TcpState
from zabbix_sockets.readers.proc.counters import may_lack_descriptors

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
_LISTENING = 1 << TcpState.LISTEN


class Rest:
    """The sockets of the own namespace that the iterator can't see.

    What can be asked while the kernel iterates is asked at once. Past the deadline, and where
    a table can't be read, that is a gap of the Snapshot.
    """

    def __init__(self, plan: Plan, snapshot: Snapshot, proc: str, deadline: Deadline) -> None:
        self._plan = plan
        self._snapshot = snapshot
        self._deadline = deadline
        self._scanned = may_lack_descriptors(proc)
        self._folds: dict[Table, TableFold] = {}
        self._candidates: dict[Table, list[Row]] = {}  # of which the iterator sees most
        for table in TABLES:
            if table.protocol == "udp":
                self._try("udp", partial(self._read_udp, table))
                if not plan.is_exact(table):
                    snapshot.visibility.add_gap(TABLE, "udp")
        states = _LISTENING | (_NO_DESCRIPTOR if self._scanned else 0)
        self._try("tcp", partial(self._read_tcp, states))

    def _try(self, protocol: str, read: Callable[[], None]) -> None:
        """Let *read* do it; what it can't read to the end is missing in every list.

        The iterator's own sockets are there whatever it is that fails.
        """
        try:
            read()
        except DeadlineError:
            self._snapshot.visibility.add_gap(TABLE, protocol)
        except (OSError, ParseError, SourceUnavailableError) as error:
            self._snapshot.visibility.add_gap(TABLE, protocol)
            self._plan.warn(f"{protocol}: sockets without a descriptor can't be read: {error}")

    def _read_udp(self, table: Table) -> None:
        encoding, batches, _ = self._plan.open(rows_of(table, self._deadline))
        fold = self._folds[table] = TableFold(table, encoding, self._snapshot.ports, {})
        candidates = self._candidates[table] = []
        for rows in batches:
            candidates += rows
        for row in candidates:
            if row[0] == TcpState.CLOSE:
                fold.directions.add_listener(row[1], row[3])

    def _read_tcp(self, states: int) -> None:
        encoding, batches, _ = self._plan.open(tcp_rows(self._deadline, states))
        folds = {}
        for table in TCP_TABLES:
            if table not in self._folds:
                self._folds[table] = TableFold(table, encoding, self._snapshot.ports, {})
                self._candidates[table] = []
            folds[table.family] = self._folds[table], self._candidates[table]
        for family, rows in batches:
            fold, listeners = folds[family]
            fold.add(_ownerless(rows, fold, listeners, states))

    def merge(self, seen: RecordFold, device_name: DeviceName) -> None:
        """Add to the Snapshot what the iterator has not *seen*, and ask for what that suggests."""
        snapshot = self._snapshot
        listening = [row for table in TCP_TABLES for row in self._candidates.get(table, ())]
        states = 0
        if not self._scanned and (
            seen.has_requests or any(row[9] not in seen.inodes for row in listening)
        ):
            states |= _NO_DESCRIPTOR
        if any(row[6] for row in listening):
            states |= _UNACCEPTED
        if states:
            self._try("tcp", partial(self._read_tcp, states))
        for table, fold in self._folds.items():
            fold.add(row for row in self._candidates[table] if row[9] not in seen.inodes)
            snapshot.listeners += fold.decode_listeners(device_name)
            fold.decode_connections(snapshot.connections, snapshot.qualities, device_name)
            snapshot.note_uids(fold.uids)
            if fold.overflowed:
                snapshot.visibility.add_gap(ENDPOINTS)


def _ownerless(
    rows: Iterable[Row], fold: TableFold, listeners: list[Row], states: int
) -> Iterator[Row]:
    """Yield rows without an inode; put listeners aside, if they are asked for."""
    for row in rows:
        state = row[0]
        if states >> state & 1:
            if state == TcpState.LISTEN:
                fold.directions.add_listener(row[1], row[3])
                listeners.append(row)
            elif not row[9]:
                yield row
