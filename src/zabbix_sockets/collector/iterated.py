"""A Snapshot from the BPF iterator, and from netlink what the iterator can't see.

The iterator sees sockets that a process of this pid namespace has a descriptor of. What is
left: sockets in TIME_WAIT and SYN_RECV, orphans, connections not yet accepted, the kernel's
own sockets, those of processes outside the pid namespace, descriptors in flight. netlink is
asked for the states and tables in which these are, never for the established connections:
those without a descriptor are counted by the accept queues and the kernel's own count.
"""

from collections.abc import Iterable, Iterator
from functools import cache

from zabbix_sockets.collector.plan import Plan
from zabbix_sockets.collector.records import RecordFold
from zabbix_sockets.deadline import Deadline
from zabbix_sockets.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.fold import TableFold
from zabbix_sockets.model import (
    FIRST_OWNER,
    INBOUND,
    NOBODY,
    TABLES,
    UNKNOWN,
    UNOWNED,
    Connection,
    ListenerSocket,
    Process,
    Query,
    Row,
    Snapshot,
    TcpState,
)
from zabbix_sockets.owners import Owners
from zabbix_sockets.readers import bpf
from zabbix_sockets.readers.host import read_current_established, read_device_name
from zabbix_sockets.readers.process import read_name, read_netns, read_uptime

# A mask of the states in which TCP sockets may have no descriptor, and of listeners; the
# established ones are counted otherwise.
_NO_DESCRIPTOR = (
    1 << TcpState.SYN_RECV
    | 1 << TcpState.FIN_WAIT1
    | 1 << TcpState.FIN_WAIT2
    | 1 << TcpState.TIME_WAIT
    | 1 << TcpState.LAST_ACK
    | 1 << TcpState.LISTEN
    | 1 << TcpState.CLOSING
)


def collect_iterated(
    open_iterator: bpf.Opener, plan: Plan, query: Query, deadline: Deadline, snapshot: Snapshot
) -> None:
    """Fill *snapshot* from the iterator.

    Raises:
        SourceUnavailableError: the iterator failed; *snapshot* is as it was.
    """
    try:
        netns, uptime = read_netns(query.proc), read_uptime(query.proc)
        fold = RecordFold(netns, uptime, snapshot.ports, query.proc)
        before = read_current_established(query.proc)
        finished = _read_records(open_iterator(bpf.COUNT), fold, deadline)
    except (OSError, ParseError) as error:
        raise SourceUnavailableError(f"the iterator failed: {error}") from error
    device_name = cache(read_device_name)
    listeners = fold.listeners(device_name)
    snapshot.processes += fold.owners.processes
    snapshot.queues.update(fold.queues)
    snapshot.uids.update(fold.uids)
    snapshot.fds_limits.update(fold.fds_limits)
    waiting = any(listener.accept_queue for listener in listeners)
    snapshot.listeners += listeners
    for table_fold in _read_without_descriptor(plan, fold.inodes, waiting, snapshot, deadline):
        snapshot.listeners += table_fold.decode_listeners(device_name)
        table_fold.decode_connections(snapshot.connections, device_name)
    fold.connections(snapshot.connections, snapshot.listeners, device_name)
    _add_unaccepted(snapshot.connections, listeners)
    if finished:
        _add_unseen(snapshot.connections, before, read_current_established(query.proc))
    else:
        snapshot.unfinished.update(("tcp", "udp"))
    snapshot.visibility.owners_complete = finished
    snapshot.visibility.endpoints_complete &= not fold.overflowed
    holders = [owner for owner in snapshot.uids if owner >= FIRST_OWNER]
    snapshot.owners = {owner: fold.owners.members(owner) for owner in holders}


def _read_records(fd: int, fold: RecordFold, deadline: Deadline) -> bool:
    """Return whether the iterator was read to its end; what came before counts."""
    in_time = True

    def until_deadline() -> Iterator[bytes]:
        nonlocal in_time
        try:
            yield from bpf.read_chunks(fd, bpf.RECORD.size, deadline)
        except DeadlineError:
            in_time = False

    fold.add(until_deadline())
    return in_time


def _read_without_descriptor(
    plan: Plan,
    seen: set[int],
    waiting: bool,
    snapshot: Snapshot,
    deadline: Deadline,
) -> Iterator[TableFold]:
    """Yield the sums of each table's sockets that the iterator did not see.

    *waiting*: connections wait to be accepted, so some may be in CLOSE_WAIT.
    """
    states = _NO_DESCRIPTOR | (1 << TcpState.CLOSE_WAIT if waiting else 0)
    for table in TABLES:
        try:
            encoding, batches = plan.open(table, deadline, states)
            rest = TableFold(table, encoding, snapshot.ports, {})
            for rows in batches:
                rest.add(_unseen_rows(rows, rest, seen, states))
        except DeadlineError:
            snapshot.unfinished.add(table.protocol)
            return
        yield rest


def _unseen_rows(
    rows: Iterable[Row], rest: TableFold, seen: set[int], states: int
) -> Iterator[Row]:
    """Yield rows without an inode, and listeners and UDP sockets that the iterator missed."""
    tcp = rest.table.protocol == "tcp"
    listening = TcpState.LISTEN if tcp else TcpState.CLOSE
    for row in rows:
        state, port, inode = row[0], row[1], row[9]
        if state == listening and inode in seen:
            rest.directions.add_listener(port, row[3])
        elif not tcp or state == listening:
            if inode not in seen:
                yield row
        elif not inode and states >> state & 1:
            yield row


def _add_unaccepted(
    connections: dict[Connection, int], listeners: Iterable[ListenerSocket]
) -> None:
    """Count what waits in the accept queues: established, but for the rows in CLOSE_WAIT."""
    waiting: dict[tuple[bytes, int, str], int] = {}
    for listener in listeners:
        if listener.accept_queue:
            key = listener.address, listener.port, listener.device
            waiting[key] = waiting.get(key, 0) + listener.accept_queue
    for (address, port, device), count in waiting.items():
        closed = Connection("tcp", "", NOBODY, TcpState.CLOSE_WAIT, INBOUND, address, port, device)
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
        and connection.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
    )
    unseen = min(before, after) - counted
    if unseen > 0:
        key = Connection("tcp", "", UNOWNED, TcpState.ESTABLISHED.value, UNKNOWN)
        connections[key] = connections.get(key, 0) + unseen


def read_owners(fd: int, proc: str, deadline: Deadline) -> Owners:
    """Return who holds which inode, as own_sockets tells by *fd*; /proc is asked for names.

    Raises:
        DeadlineError, ParseError, OSError: as read_chunks().
    """
    owners = Owners()
    uptime = read_uptime(proc)
    numbers: dict[tuple[int, bytes, int], int] = {}
    for chunk in bpf.read_chunks(fd, bpf.OWNER.size, deadline):
        for pid, inode, started, _, comm in bpf.OWNER.iter_unpack(chunk):
            number = numbers.get((pid, comm, started))
            if number is None:
                name = read_name(proc, str(pid), comm.split(b"\0", 1)[0])
                process = Process(pid, name, max(0.0, uptime - started))
                number = numbers[pid, comm, started] = owners.number(process)
            owners.share(number, inode)
    return owners
