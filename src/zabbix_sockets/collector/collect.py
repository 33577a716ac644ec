"""Collection of a Snapshot: by the source that the plan chose, by the tables if that fails."""

from __future__ import annotations

from time import monotonic, time

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.sources import Plan, choose
from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN, HostCounters, Query, Snapshot
from zabbix_sockets.readers.proc import process
from zabbix_sockets.readers.proc.counters import (
    DEFAULT_PORT_RANGE,
    has_port_range,
    read_host,
    read_port_range,
)


def collect(query: Query, plan: Plan | None = None) -> Snapshot:
    """Return a Snapshot of this host: the sockets counted, with their owners.

    *plan* is the plan for *query*, which serves this call alone; None: it is made here. A caller
    that has other work to do while the kernel starts to iterate (Plan.begin) makes it itself.

    If the timeout passes, the Snapshot has the sockets that were read by then; the gaps of its
    *visibility* say what is missing.

    Raises:
        SourceUnavailableError: no source can be used, or not the one that the query names.
        ParseError: a file of a process in /proc is not as the kernel writes it.
        SocketsError: there is no network namespace of the query's name; or the filter needs a
            field that the source doesn't have, or names something that is not on this host.
        UsageError: the filter is wrong.
    """
    if plan is None:
        with choose(query) as made:
            return collect(query, made)
    started = monotonic()
    deadline = Deadline(query.timeout)
    context = CallContext(query.proc, deadline)
    query = _with_own(query, context)
    snapshot = None
    if plan.open_iterator and not query.filter:
        snapshot = _by_iterator(plan, query, context)
    if snapshot is None:
        snapshot = _by_tables(plan, query, context)
    _add_facts(snapshot, query, context)
    _add_socket_units(snapshot, context)
    if query.addresses:
        from zabbix_sockets.collector.own_addresses import add_addresses  # noqa: PLC0415  # for documents alone

        add_addresses(snapshot, query, context)
    if not context.complete:
        snapshot.visibility.add_gap(gaps.PLACES)
    if context.is_short:
        snapshot.visibility.add_gap(gaps.SHORTAGE)
    if process.are_command_lines_unread():
        snapshot.visibility.add_gap(gaps.STUCK_COMMANDS)
        if query.filter:  # it may ask for a name that is cut now
            snapshot.visibility.add_gap(gaps.UNDECIDED)
    if context.unlisted_containers:
        unlisted = len(context.unlisted_containers)
        snapshot.visibility.add_gap(gaps.CONTAINER_NAMES, how_many=unlisted)
    snapshot.visibility.seconds = monotonic() - started
    return snapshot


def stop_reading_command_lines() -> None:
    """Read no command line in this process from now on, which is a gap of each Snapshot."""
    process.stop_reading_command_lines()


def _by_iterator(plan: Plan, query: Query, context: CallContext) -> Snapshot | None:
    """Return the Snapshot by the BPF iterator, or None if that failed.

    After a failure the plan has no iterator any more, and its sums until then are dropped.
    """
    assert plan.open_iterator
    from zabbix_sockets.collector.iterator.collection import IteratorCollection  # noqa: PLC0415  # takes 1 ms

    snapshot = _new_snapshot(plan, query)
    collection = IteratorCollection(plan.open_iterator, plan, query, context, snapshot)
    try:
        collection.collect()
    except SourceUnavailableError as error:
        plan.give_up_iterator(error)
        return None
    return snapshot


def _by_tables(plan: Plan, query: Query, context: CallContext) -> Snapshot:
    """Return the Snapshot by the tables: of all sockets, or of those that match the filter."""
    snapshot = _new_snapshot(plan, query)
    if query.filter:
        from zabbix_sockets.collector.filtered.collection import FilteredCollection  # noqa: PLC0415  # takes 2 ms

        FilteredCollection(plan, query, context, snapshot).collect()
    else:
        from zabbix_sockets.collector.tables.collection import TableCollection  # noqa: PLC0415  # takes 1 ms

        TableCollection(plan, query, context, snapshot).collect()
    return snapshot


def _new_snapshot(plan: Plan, query: Query) -> Snapshot:
    """Return a Snapshot without sockets, with those of the host's figures that can be read."""
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


def _with_own(query: Query, context: CallContext) -> Query:
    """Return the query, with OWN in the place of the own network namespace's name or number."""
    if query.netns in (ALL_NETNS, OWN):
        return query
    from zabbix_sockets.collector.namespaces import with_own  # noqa: PLC0415  # takes 2 ms
    from zabbix_sockets.collector.places import Places  # noqa: PLC0415  # takes 1 ms

    return with_own(query, context.once(Places).mounts)


def _add_facts(snapshot: Snapshot, query: Query, context: CallContext) -> None:
    if query.needs:
        from zabbix_sockets.collector.process_facts import fill_in  # noqa: PLC0415  # takes 1 ms

        fill_in(snapshot, query, context)


def _add_socket_units(snapshot: Snapshot, context: CallContext) -> None:
    """Add the socket units if pid 1, which systemd is, holds a listener."""
    init = next((at for at, each in enumerate(snapshot.processes) if each.pid == 1), None)
    of_unix = snapshot.unix.listeners if snapshot.unix else ()
    owners = (each.owner for of_kind in (snapshot.listeners, of_unix) for each in of_kind)
    if init is not None and any(init in snapshot.owners.get(owner, ()) for owner in owners):
        from zabbix_sockets.readers.socket_units import read_socket_units  # noqa: PLC0415  # takes 1 ms

        snapshot.socket_units = read_socket_units(context.deadline)
