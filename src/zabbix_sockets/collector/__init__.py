"""Compose the readers by a plan: from the kernel's words to a Snapshot, or to sockets."""

from collections.abc import Callable, Iterator
from functools import cache
from time import monotonic, time

from zabbix_sockets.collector.plan import Plan, choose
from zabbix_sockets.deadline import Deadline
from zabbix_sockets.errors import DeadlineError, DumpInterruptedError, SourceUnavailableError
from zabbix_sockets.fold import Directions, TableFold
from zabbix_sockets.model import (
    FIRST_OWNER,
    INBOUND,
    TABLES,
    Encoding,
    Owner,
    PortRange,
    Query,
    Row,
    Snapshot,
    Socket,
    Table,
    TcpState,
    Visibility,
)
from zabbix_sockets.owners import Owners
from zabbix_sockets.readers.bpf import OWN
from zabbix_sockets.readers.fds import walk
from zabbix_sockets.readers.host import read_device_name, read_host, read_port_range
from zabbix_sockets.readers.process import read_fds_limit

__all__ = ["collect", "iter_sockets"]

# The walk over the descriptors is what takes long; the tables that follow tell the most.
_SHARE_OF_WALK = 0.6
_DUMP_ATTEMPTS = 4


def collect(query: Query, meanwhile: Callable[[], None] = lambda: None) -> Snapshot:
    """Read one moment of this host: every socket counted, with its owners.

    *meanwhile* is called once, if it can be while the kernel works: for what the caller has
    to do in any case, such as imports.

    Past the timeout the Snapshot is what is known by then; its *visibility* says what is
    missing.

    Raises:
        SourceUnavailableError: no source can be used, or not the one asked for.
        ParseError: the kernel said something that can't be.
    """
    started = monotonic()
    deadline = Deadline(query.timeout)
    with choose(query) as plan:
        snapshot = Snapshot(
            time=int(time()),
            visibility=plan.visibility,
            processes=[],
            ports=read_port_range(query.proc),
            host=read_host(query.proc),
        )
        if plan.open_iterator:
            from zabbix_sockets.collector.iterated import collect_iterated  # noqa: PLC0415  # 1 ms

            try:
                collect_iterated(plan.open_iterator, plan, query, deadline, snapshot, meanwhile)
            except SourceUnavailableError as error:
                plan.give_up_iterator(error)
        if not plan.open_iterator:
            _collect_tables(plan, query, deadline, snapshot)
    snapshot.visibility.seconds = monotonic() - started
    return snapshot


def _collect_tables(plan: Plan, query: Query, deadline: Deadline, snapshot: Snapshot) -> None:
    """Fill *snapshot* from the socket tables, with the owners from a walk over /proc."""
    owners = _walk(query.proc, deadline, plan.visibility)
    snapshot.processes = owners.processes
    device_name = cache(read_device_name)
    for table in TABLES:
        fold = _fold_table(plan, table, owners, snapshot, deadline)
        if fold:
            _merge(snapshot, fold, device_name)
    holders = [owner for owner in snapshot.uids if owner >= FIRST_OWNER]
    snapshot.owners = {owner: owners.members(owner) for owner in holders}
    _read_limits(snapshot, query.proc, deadline)


def _walk(proc: str, deadline: Deadline, visibility: Visibility) -> Owners:
    owners = walk(proc, deadline.part(_SHARE_OF_WALK))
    visibility.denied = owners.denied
    visibility.hidden = owners.hidden
    visibility.vanished = owners.vanished
    visibility.owners_complete = owners.complete
    return owners


def _fold_table(
    plan: Plan, table: Table, owners: Owners, snapshot: Snapshot, deadline: Deadline
) -> TableFold | None:
    """Return a table's sums; one that the deadline cuts is noted as unfinished."""
    fold = None
    for _ in range(_DUMP_ATTEMPTS):
        try:
            encoding, batches = plan.open(table, deadline)
            fold = TableFold(table, encoding, snapshot.ports, owners.by_inode)
            for rows in batches:
                fold.add(rows)
        except DeadlineError:
            break
        except DumpInterruptedError:
            owners.forget_counted()
        else:
            if not plan.is_exact(table):
                snapshot.unfinished.add(table.protocol)
            return fold
    else:
        plan.visibility.warnings.append(f"{table}: it kept changing while it was read")
    snapshot.unfinished.add(table.protocol)
    return fold


def _merge(snapshot: Snapshot, fold: TableFold, device_name: Callable[[int], str]) -> None:
    snapshot.visibility.endpoints_complete &= not fold.overflowed
    snapshot.listeners += fold.decode_listeners(device_name)
    fold.decode_connections(snapshot.connections, device_name)
    for owner, (recv, send) in fold.queues.items():
        before = snapshot.queues.get(owner, (0, 0))
        snapshot.queues[owner] = before[0] + recv, before[1] + send
    for owner, uid in fold.uids.items():
        snapshot.uids[owner] = min(uid, snapshot.uids.get(owner, uid))


def _read_limits(snapshot: Snapshot, proc: str, deadline: Deadline) -> None:
    """Note the descriptor limits of the processes that hold sockets, unless unlimited."""
    for index in {index for members in snapshot.owners.values() for index in members}:
        if deadline.passed():
            return
        limit = read_fds_limit(proc, snapshot.processes[index].pid)
        if limit:
            snapshot.fds_limits[index] = limit


def iter_sockets(query: Query) -> Iterator[Socket]:
    """Yield every socket with its owners, table by table, listeners first.

    Raises:
        DeadlineError: the timeout passed: a list is whole, or an error.
        DumpInterruptedError: a table changed too much while it was read; call again.
        SourceUnavailableError, ParseError: as collect().
    """
    deadline = Deadline(query.timeout)
    with choose(query) as plan:
        if plan.open_iterator:
            from zabbix_sockets.collector.iterated import read_owners  # noqa: PLC0415  # 1 ms

            owners = read_owners(plan.open_iterator(OWN), query.proc, deadline)
        else:
            owners = walk(query.proc, deadline)
            deadline.check()
        holders = _Holders(owners)
        ports = read_port_range(query.proc)
        device_name = cache(read_device_name)
        for table in TABLES:
            encoding, batches = plan.open(table, deadline)
            decoder = _SocketDecoder(table, encoding, ports, holders, device_name)
            seen: set[int] = set()
            for rows in batches:
                for row in rows:
                    inode = row[9]
                    if inode not in seen:
                        yield decoder.decode(row)
                    if inode:
                        seen.add(inode)


class _Holders:
    """The owners of an inode, as people read them."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._known: dict[int, tuple[Owner, ...]] = {}

    def of(self, inode: int) -> tuple[Owner, ...]:
        number = self._owners.by_inode.get(inode, 0)
        if number not in self._known:
            processes = [self._owners.processes[at] for at in self._owners.members(number)]
            self._known[number] = tuple(sorted(Owner(each.pid, each.name) for each in processes))
        return self._known[number]


class _SocketDecoder:
    """Makes a Socket of a row; the table's listeners must come first."""

    def __init__(
        self,
        table: Table,
        encoding: Encoding,
        ports: PortRange,
        holders: _Holders,
        device_name: Callable[[int], str],
    ) -> None:
        self._table = table
        self._encoding = encoding
        self._directions = Directions(table, encoding, ports)
        self._holders = holders
        self._device_name = device_name
        self._listening = TcpState.LISTEN if table.protocol == "tcp" else TcpState.CLOSE

    def decode(self, row: Row) -> Socket:
        state, lport, rport, laddr, raddr, ifindex, recv, send, uid, inode = row
        address, port = self._encoding.address, self._encoding.port
        accepting = state == TcpState.LISTEN
        return Socket(
            *self._table,
            state=state,
            direction=self._direction(row),
            local_address=address(laddr),
            local_port=port(lport),
            remote_address=address(raddr),
            remote_port=port(rport),
            device=self._device_name(ifindex),
            owners=self._holders.of(inode) if inode else (),
            uid=uid,
            inode=inode,
            recv_queue=None if accepting else recv,
            send_queue=None if accepting else send,
            accept_queue=recv if accepting else None,
            backlog=send if accepting and send >= 0 else None,
        )

    def _direction(self, row: Row) -> str | None:
        state, local_port, remote_port, local_address = row[:4]
        if state == self._listening:
            self._directions.add_listener(local_port, local_address)
            return None
        if self._directions.server(local_port, local_address) is not None:
            return INBOUND
        return self._directions.unmatched(local_port, remote_port)
