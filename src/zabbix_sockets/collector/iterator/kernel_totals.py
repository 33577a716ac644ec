"""The totals that the kernel counts, beside what the iterator's records say of the moment."""

from __future__ import annotations

from _collections_abc import Collection
from itertools import chain

from zabbix_sockets.collector.iterator.record_owners import RecordOwners
from zabbix_sockets.model.errors import DeadlineError, ParseError
from zabbix_sockets.model.names import KERNEL
from zabbix_sockets.model.programs import name_by_comm, program_name
from zabbix_sockets.model.snapshot import OUTBOUND, Counted, Process, Snapshot
from zabbix_sockets.model.totals import RECENT, Endpoint, ProcessCounters
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.readers.bpf.totals import TotalsReader


def add_totals(snapshot: Snapshot, reader: TotalsReader, owners: RecordOwners) -> None:
    """Read the totals into the Snapshot, with a Counted for each ProcessCounters.

    *owners* are those of the records, which tell who may be counted there now. If the totals can't
    be read, that is a warning, and there are none.
    """
    try:
        totals = reader.read()
    except (OSError, DeadlineError, ParseError) as error:
        snapshot.visibility.warnings.append(f"totals: {error}")
        return
    holders: dict[tuple[bytes, int], set[int]] = {}
    for (_, comm, _started), number in owners.numbers.items():
        for index in owners.members(number):
            key = comm.split(b"\0", 1)[0], snapshot.processes[index].cgroup
            holders.setdefault(key, set()).add(index)
    names = {
        key: {snapshot.processes[index].name for index in held_by}
        for key, held_by in holders.items()
    }
    snapshot.totals = totals
    for each in totals.processes:
        key = each.comm, each.cgroup
        process = _process(each, names.get(key, ()))
        snapshot.counted.append(Counted(process, holders.get(key, frozenset())))


def endpoints(snapshot: Snapshot) -> tuple[set[Endpoint], set[Endpoint]]:
    """Return the endpoints of the listening sockets, and those to which connections are outbound.

    They are all for which there may be a row of what is open.
    """
    listeners = {(each.address, each.port) for each in snapshot.listeners}
    upstreams = {
        (each.address, each.port)
        for each in snapshot.connections
        if each.direction == OUTBOUND and each.address is not None and each.port is not None
    }
    return listeners, upstreams


def idle_namespaces(snapshot: Snapshot) -> dict[int, set[int]]:
    """Return the network namespaces in which nothing is open at the moment, but something counted.

    They are by their numbers, with the ids of the cgroups of the processes that were counted there.
    """
    totals = snapshot.totals
    found: dict[int, set[int]] = {}
    if totals is None:
        return found
    open_ones = {OWN_NETNS, *snapshot.namespaces}
    since = totals.read_at - RECENT
    for server in chain(totals.upstreams, totals.listeners):
        if server.netns not in open_ones:
            cgroups = found.setdefault(server.netns, set())
            if server.process is not None:
                cgroups.add(totals.processes[server.process].cgroup)
    told = {number for number, cgroups in found.items() if cgroups}
    for process in totals.processes:
        if process.changed > since and process.netns not in open_ones | told:
            found.setdefault(process.netns, set()).add(process.cgroup)
    return found


def _process(counted: ProcessCounters, living: Collection[str]) -> Process:
    """Return the Process, without a pid, that stands for those that were counted together.

    What comm alone doesn't tell is completed by the names of the *living* ones, if they are all
    called the same.
    """
    if counted.is_kernel:
        return Process(0, KERNEL, uid=0, cgroup=counted.cgroup)
    told = name_by_comm(counted.comm)
    if told is None and len(living) == 1:
        (name,) = living
    else:
        name = (told or program_name(counted.comm, lambda: None, lambda: None)).name
    return Process(0, name, cgroup=counted.cgroup, uid=counted.uid)
