"""A Snapshot: by the source that the plan chose, and all others' tables if that fails."""

from collections.abc import Callable
from functools import cache
from time import monotonic, time

from zabbix_sockets.collector.ahead import Ahead
from zabbix_sockets.collector.plan import Plan, choose
from zabbix_sockets.deadline import Deadline
from zabbix_sockets.errors import DeadlineError, DumpInterruptedError, SourceUnavailableError
from zabbix_sockets.fold import TableFold
from zabbix_sockets.model import FIRST_OWNER, TABLES, Query, Snapshot, Table, Visibility
from zabbix_sockets.owners import Owners
from zabbix_sockets.readers.fds import walk
from zabbix_sockets.readers.host import read_device_name, read_host, read_port_range
from zabbix_sockets.readers.process import read_fds_limit

# The walk over the descriptors is what takes long; the tables that follow tell the most.
_SHARE_OF_WALK = 0.6
_DUMP_ATTEMPTS = 4


def collect(
    query: Query, meanwhile: Callable[[], None] = lambda: None, ahead: Ahead | None = None
) -> Snapshot:
    """Read one moment of this host: every socket counted, with its owners.

    *meanwhile* is called once, if it can be while the kernel works: for what the caller has
    to do in any case, such as imports. *ahead* are the iterator's records if the caller has
    begun to read them; they are for this call alone.

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
            ports=read_port_range(query.proc),
            host=read_host(query.proc),
        )
        if plan.open_iterator:
            from zabbix_sockets.collector.iterated import Iteration  # noqa: PLC0415  # 1 ms

            try:
                iteration = Iteration(plan.open_iterator, plan, query, deadline, snapshot)
                iteration.collect(meanwhile, ahead)
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
