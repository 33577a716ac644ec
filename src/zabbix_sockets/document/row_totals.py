"""Totals in the rows of the three lists, from what the kernel counted.

A row of a group or an upstream is there while its totals change, even if nothing of it is open: it
is idle then.
"""

from __future__ import annotations

from _collections_abc import Callable, Collection, Iterable, Mapping, Sequence

from zabbix_sockets.document.listener_row import ListenerRow
from zabbix_sockets.document.processes import ProcessRow
from zabbix_sockets.document.record import Record, absent_row, fields_of
from zabbix_sockets.document.row import (
    Choice,
    NetnsLabel,
    RankedRow,
    Row,
    end_id,
    facts_of,
    idle_rank,
)
from zabbix_sockets.document.totals import ListenerTotals, ProcessTotals, UpstreamTotals
from zabbix_sockets.document.upstreams import UpstreamRow
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.addresses import format_address
from zabbix_sockets.model.light_library import cache, itemgetter, partial
from zabbix_sockets.model.light_typing import Any
from zabbix_sockets.model.snapshot import FIRST_USER_UID, ROOT_CGROUP, Snapshot
from zabbix_sockets.model.totals import (
    COUNTERS,
    RECENT,
    PackedCounters,
    ProcessCounters,
    ServerCounters,
    Totals,
    counters_of,
)
from zabbix_sockets.model.wire import OWN_NETNS

_RECORDS: dict[str, type[Record]] = {
    "processes": ProcessTotals,
    "listeners": ListenerTotals,
    "upstreams": UpstreamTotals,
}
_CGROUP_FACTS = {"unit", "container"}
_PLACES = (*_CGROUP_FACTS, "user")


class _Sum:
    """The totals added up for one row, and the time at which one of them changed last.

    *owner* is the name of the group whose row or upstream it is, "" of a listener, and *first* one
    of its totals. Thousands of these are made, for which few rows are.
    """

    __slots__ = "changed", "counters", "first", "netns", "owner", "uid"

    def __init__(self, totals: ProcessCounters | ServerCounters, owner: str, uid: int) -> None:
        self.counters = totals.counters
        self.changed = totals.changed
        self.owner = owner
        self.first = totals
        self.uid = uid
        self.netns = totals.netns

    def add(self, totals: ProcessCounters | ServerCounters, uid: int) -> None:
        self.counters += totals.counters
        self.changed = max(self.changed, totals.changed)
        self.uid = min(self.uid, uid)
        self.netns = min(self.netns, totals.netns)  # the own one is the least


def _recorder(kind: type[Record]) -> Callable[[PackedCounters], Record]:
    """Return the function that makes totals of a row of counters, in the units of the document."""
    fields = tuple(fields_of(kind))
    of_counters = {"handshake_us": "handshake_ns", "lifetime_ms": "lifetime_ns"}
    indices = [COUNTERS.index(of_counters.get(field, field)) for field in fields]
    pick = itemgetter(*indices)
    has_times = "handshake_us" in fields

    def record(counters: PackedCounters) -> Record:
        figures = dict(zip(fields, pick(counters_of(counters))))
        if has_times:
            figures["handshake_us"] //= 1000
            figures["lifetime_ms"] //= 1_000_000
        return kind(**figures)

    return record


_Sums = dict[str, _Sum]
"""What was counted, by the ids of rows."""


def add_totals(
    ranked: dict[str, list[RankedRow[Any]]],
    snapshot: Snapshot,
    groups: Groups,
    label: NetnsLabel,
    choices: Mapping[str, Choice],
) -> None:
    """Have the totals of TCP rows made, and add idle rows, of which no socket is open.

    *ranked* has the rows of each list, *label* labels network namespaces, and *choices* has for
    each list which rows are added of too many. Without totals in the Snapshot nothing is done. The
    rows are in no order then; their totals are set when it is known that they stay. A row of which
    it isn't known what was counted has none.
    """
    totals = snapshot.totals
    if totals is None:
        return
    facts = facts_of(snapshot, groups.grouping)
    since = totals.read_at - RECENT
    owners, untold = _owners(snapshot, groups)
    sums = _sums(snapshot, totals, owners, label)
    for name, rows in ranked.items():
        _set_totals(rows, sums[name], _recorder(_RECORDS[name]), untold, totals.is_full)
    members = {each.row.id: each.members for each in ranked["processes"]}
    for name, row_class in (("processes", ProcessRow), ("upstreams", UpstreamRow)):
        ids = {each.row.id for each in ranked[name]}
        idle: dict[tuple[bool, str], list[str]] = {}
        for row_id, each in sums[name].items():
            if each.changed > since and row_id not in ids:
                idle.setdefault((each.uid >= FIRST_USER_UID, each.owner), []).append(row_id)
        zeros, record = absent_row(row_class, facts), _recorder(_RECORDS[name])
        for row_id, turn in choices[name].of_idle(idle).items():
            each = sums[name][row_id]
            labels = {"id": row_id, **_labels(each), "netns": label(each.netns)}
            # Twice: they come first, as in an open row, and zeros has the name (absent).
            row: Row = row_class(**{**labels, **zeros, **labels})
            ranks = idle_rank(each.uid, turn, row_id)
            one = RankedRow(ranks, row, members=members.get(each.owner, ()))
            one.is_open = False
            one.totals = partial(record, each.counters)
            ranked[name].append(one)


def _labels(counted: _Sum) -> dict[str, Any]:
    """Return what an idle row says of whose it is, as an open one does; no process is settled."""
    end = counted.first
    if isinstance(end, ProcessCounters):
        return {"name": counted.owner, "settled": 0}
    address = format_address(end.address)
    return {"process": counted.owner, "protocol": "tcp", "address": address, "port": end.port}


def _set_totals(
    rows: Iterable[RankedRow[Any]],
    sums: _Sums,
    record: Callable[[PackedCounters], Record],
    untold: Collection[str],
    is_full: bool,
) -> None:
    """Have the totals made of rows with open sockets, where they are known.

    *untold* are the groups of which they aren't. What has no sums has come to 0, unless there may
    have been no room for them (*is_full*). But each listener that a process holds has sums: one
    without them isn't counted, such as the kernel's own.
    """
    for one in rows:
        row, counted = one.row, sums.get(one.row.id)
        if isinstance(row, ListenerRow):
            is_known = counted is not None
        else:
            owner = row.name if isinstance(row, ProcessRow) else row.process
            is_known = owner not in untold and not (counted is None and is_full)
        if is_known and getattr(row, "protocol", "tcp") == "tcp":
            one.totals = partial(record, counted.counters if counted else 0)


def _sums(
    snapshot: Snapshot, totals: Totals, names: Sequence[str | None], label: NetnsLabel
) -> dict[str, _Sums]:
    """Return the totals by list and row, each with the name and user that they were counted for.

    *names* has the group of each of the totals' processes; None: it isn't known.
    """
    processes: _Sums = {}
    listeners: _Sums = {}
    upstreams: _Sums = {}
    id_of = _ids(label)

    def add_to(
        sums: _Sums, row_id: str, totals: ProcessCounters | ServerCounters, owner: str, uid: int
    ) -> None:
        found = sums.get(row_id)
        if found is None:
            sums[row_id] = _Sum(totals, owner, uid)
        else:
            found.add(totals, uid)

    for name, process in zip(names, totals.processes):
        if name is not None:
            add_to(processes, name, process, name, process.uid)
    # Others have no listener, and no label of their own.
    seen = {OWN_NETNS, *snapshot.namespaces, *snapshot.idle_namespaces}
    for listener in totals.listeners:
        if listener.netns in seen:
            add_to(listeners, id_of(listener), listener, "", FIRST_USER_UID)
    uids = [process.uid for process in totals.processes]
    for upstream in totals.upstreams:
        if upstream.process is None:
            continue
        name = names[upstream.process]
        if name is not None:
            row_id = f"{name}>{id_of(upstream)}"
            add_to(upstreams, row_id, upstream, name, uids[upstream.process])
    return {"processes": processes, "listeners": listeners, "upstreams": upstreams}


def _owners(snapshot: Snapshot, groups: Groups) -> tuple[list[str | None], set[str]]:
    """Return the group of each of the totals' processes, and the groups whose totals aren't known.

    A group is None where the unit or container by which it is named is gone, or never known:
    without cgroup v2 all processes are in the root cgroup. Processes that hold sockets may be of
    other groups than the one to which they are counted: where rules look at the command line, or
    the kernel has cut two names to one. Of what these have come to nothing is known.
    """
    grouping = groups.grouping
    needed = [fact for fact in _PLACES if fact in grouping.needs and not grouping.is_plain]
    by_cgroup = not _CGROUP_FACTS.isdisjoint(needed)
    processes = [each.process for each in snapshot.counted]
    names: list[str | None] = list(grouping.names_of(processes))
    for at, process in enumerate(processes):
        is_anywhere = by_cgroup and process.cgroup == ROOT_CGROUP
        if is_anywhere or not all(getattr(process, fact) for fact in needed):
            names[at] = None
    return names, _untold(snapshot, groups, names)


def _untold(snapshot: Snapshot, groups: Groups, names: Sequence[str | None]) -> set[str]:
    """Return the groups with a process that is counted to another one, or may be.

    *names* has the group of each of the totals' processes. A process whose user isn't known may be
    any of those that the kernel counts apart. Thousands may hold sockets that are counted for
    thousands of users, so each is looked at once.
    """
    found: set[str] = set()
    by_users: dict[int, dict[int | None, set[str]]] = {}  # by the object Counted.holders
    counted_to: dict[int, set[str | None]] = {}
    for counted, name in zip(snapshot.counted, names):
        place = id(counted.holders)
        if place not in by_users:
            by_user = by_users[place] = {}
            for index in counted.holders:
                uid = snapshot.processes[index].uid
                by_user.setdefault(uid, set()).update(groups.of_processes((index,)))
        found |= by_users[place].get(counted.process.uid, set()) - {name}
        counted_to.setdefault(place, set()).add(name)
    for place, by_user in by_users.items():
        ones = counted_to[place]
        found |= by_user.get(None, set()) - (ones if len(ones) == 1 else set())
    return found


def _ids(label: NetnsLabel) -> Callable[[ServerCounters], str]:
    """Return the function for the id of a listener, which is the end of an upstream's, too.

    It keeps them: thousands may have the same one, in namespaces without a name.
    """
    id_of = cache(partial(end_id, "tcp"))
    return lambda each: id_of(each.address, each.port, each.device, label(each.netns))
