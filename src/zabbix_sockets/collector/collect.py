"""A Snapshot: by the source that the plan chose, and by the tables if that fails."""

from time import monotonic, time

from zabbix_sockets.collector.shared import Shared
from zabbix_sockets.collector.sources import Plan, choose
from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN, HostCounters, Query, Snapshot
from zabbix_sockets.readers.proc.counters import (
    DEFAULT_PORT_RANGE,
    has_port_range,
    read_host,
    read_port_range,
)


def collect(query: Query, plan: Plan | None = None) -> Snapshot:
    """Read one moment of this host: every socket counted, with its owners.

    A caller that has something else to do while the kernel begins makes the *plan* itself, of
    the same query, for this call alone: see Plan.begin().

    Past the timeout the Snapshot is what is known by then; its *visibility* says what is
    missing.

    Raises:
        SourceUnavailableError: no source can be used, or not the one asked for.
        ParseError: the kernel said of its processes what can't be.
        SocketsError: there is no network namespace as asked for, or the filter asks for what
            the source can't know, or names what is nowhere.
        UsageError: the filter is wrong.
    """
    if plan is None:
        with choose(query) as made:
            return collect(query, made)
    started = monotonic()
    deadline = Deadline(query.timeout)
    shared = Shared(query.proc, deadline)
    query = _with_own(query, shared)
    snapshot = None
    if plan.open_iterator and not query.filter:
        snapshot = _by_iterator(plan, query, shared)
    if snapshot is None:
        snapshot = _by_tables(plan, query, shared)
    _add_facts(snapshot, query, shared)
    if not shared.complete:
        snapshot.visibility.add_gap(gaps.PLACES)
    if shared.is_short:
        snapshot.visibility.add_gap(gaps.SHORTAGE)
    snapshot.visibility.seconds = monotonic() - started
    return snapshot


def _by_iterator(plan: Plan, query: Query, shared: Shared) -> Snapshot | None:
    """Return the iterator's Snapshot; None if it failed: the plan goes on without it then.

    What a failed one has counted by then goes with it.
    """
    assert plan.open_iterator
    from zabbix_sockets.collector.iterator.collection import Iteration  # noqa: PLC0415  # 1 ms

    snapshot = _begun(plan, query)
    iteration = Iteration(plan.open_iterator, plan, query, shared, snapshot)
    try:
        iteration.collect()
    except SourceUnavailableError as error:
        plan.give_up_iterator(error)
        return None
    return snapshot


def _by_tables(plan: Plan, query: Query, shared: Shared) -> Snapshot:
    """Return the tables' Snapshot: of all sockets, or of those that fit the filter."""
    snapshot = _begun(plan, query)
    if query.filter:
        from zabbix_sockets.collector.filtered.collection import FilteredCollection  # noqa: PLC0415  # 2 ms

        FilteredCollection(plan, query, shared, snapshot).collect()
    else:
        from zabbix_sockets.collector.tables.collection import TableCollection  # noqa: PLC0415  # 1 ms

        TableCollection(plan, query, shared, snapshot).collect()
    return snapshot


def _begun(plan: Plan, query: Query) -> Snapshot:
    """Return a Snapshot without sockets, with the host's figures; without those that can't be."""
    ports, host = DEFAULT_PORT_RANGE, HostCounters()
    try:
        ports = read_port_range(query.proc)
        if ports == DEFAULT_PORT_RANGE and not has_port_range(query.proc):
            plan.warn("host: ip_local_port_range is hidden: the kernel's default is assumed")
        host = read_host(query.proc)
    except ParseError as error:
        plan.warn(f"host: {error}")
    snapshot = Snapshot(int(time()), plan.visibility, ports, host)
    if query.tcp_info:
        snapshot.unmeasured = set()
    return snapshot


def _with_own(query: Query, shared: Shared) -> Query:
    """Return the query; the own namespace's name or number is that of the own one."""
    if query.netns in (ALL_NETNS, OWN):
        return query
    from zabbix_sockets.collector.namespaces import is_own  # noqa: PLC0415  # 2 ms
    from zabbix_sockets.collector.places import Places  # noqa: PLC0415  # the same

    is_own_one = is_own(shared.once(Places).mounts, query.netns)
    return query._replace(netns=OWN) if is_own_one else query


def _add_facts(snapshot: Snapshot, query: Query, shared: Shared) -> None:
    if query.needs:
        from zabbix_sockets.collector.process_facts import complete  # noqa: PLC0415  # 1 ms

        complete(snapshot, query, shared)
