"""The network namespaces other than the caller's own: their processes, mounts and names."""

import os
from _collections_abc import Collection, Iterable, Mapping
from itertools import islice

from zabbix_sockets.collector.places import SHORT_ID, Places, short_id
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.model import gaps, shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import (
    DeadlineError,
    ParseError,
    SocketsError,
)
from zabbix_sockets.model.light_library import cache
from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.model.names import UNNAMED, safe_name
from zabbix_sockets.model.placement import Placement
from zabbix_sockets.model.snapshot import (
    ALL_NETNS,
    OWN,
    DeviceName,
    Namespace,
    Query,
)
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.readers.proc import namespaces as netns
from zabbix_sockets.readers.proc.counters import read_device_name
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.process import (
    is_gone,
    is_hidden,
    read_netns,
    read_stat,
)

MOST_TRIED = 4
"""The number of processes by which a namespace is looked into: one may end meanwhile."""
_MOST_ASKED = 64
"""The number of a namespace's processes that are asked for their start, to find the oldest."""
_MINUTE, _GOLDEN = 60, 0.6180339887498949
_SUGGESTED = 20
_NAMED_BY_IP = ("/run/netns/", "/var/run/netns/")


class FoundNamespace(NamedTuple):
    """A network namespace that is not the caller's own.

    Attributes:
        number: the kernel's number (the inode of its file); or where that takes a privilege that
            the caller lacks, the number of its files in /proc.
        pids: processes in it.
        path: the path where it is mounted; empty: nowhere.
        known: *number* is the kernel's.
    """

    number: int
    pids: tuple[int, ...]
    path: str = ""
    known: bool = True

    def is_gone(self, proc: str) -> bool:
        """Whether the namespace has no mount, and none of *pids* is in *proc* any more."""
        return not self.path and not any(os.path.exists(f"{proc}/{pid}") for pid in self.pids)


def find(
    mounts: Mounts, deadline: Deadline, *, strict: bool = False
) -> tuple[list[FoundNamespace], bool]:
    """Return the other namespaces of processes and mounts, and whether these are all.

    There may be more if processes are hidden, if there was no time for all mounts, or if it can't
    be told which of the mounted namespaces were found by their processes.

    Raises:
        DeadlineError: the time is over.
        OSError: /proc can't be read; with *strict* also if a file of a process can't be read,
            although the process is still there and access isn't denied.
    """
    proc = mounts.proc
    own = netns.read_key(proc, "thread-self")
    members: dict[int, list[int]] = {}
    pids = [name for name in os.listdir(proc) if name.isdecimal()]
    complete = "1" in pids  # it lives as long as its pid namespace
    for pid in pids:
        deadline.check()
        try:
            key, member = _key_of(proc, pid)
        except OSError as error:
            if strict and not is_gone(error) and not isinstance(error, PermissionError):
                raise
            complete &= is_gone(error)
        else:
            members.setdefault(key, []).append(member)
    members.pop(own, None)
    mounted = dict(mounts.namespaces)
    mounted.pop(read_netns(proc), None)
    found = [_identified(proc, key, pids, mounted) for key, pids in members.items()]
    # Each namespace whose number is not known may be one of those that are mounted.
    unknown = sum(not each.known for each in found)
    mounts_only = [FoundNamespace(number, (), path) for number, path in mounted.items()]
    is_certain = not (mounts_only and unknown)
    return found + mounts_only[unknown:], complete and mounts.complete and is_certain


def find_or_warn(
    mounts: Mounts, deadline: Deadline, plan: Plan
) -> tuple[list[FoundNamespace], bool]:
    """Return the other namespaces, and whether the search came to its end before the deadline.

    If it didn't, or failed, there is none and a warning says why. If there may be more, a gap of
    the kind gaps.NAMESPACES is added to the plan's visibility. See find() for what is found.
    """
    try:
        found, complete = find(mounts, deadline)
    except (DeadlineError, OSError, ParseError) as error:
        plan.warn(f"no other network namespace was looked for: {error}")
        plan.visibility.add_gap(gaps.NAMESPACES)
        return [], False
    if not complete:
        plan.visibility.add_gap(gaps.NAMESPACES)
    return found, True


def _key_of(proc: str, pid: str) -> tuple[int, int]:
    """Return the key of a process's namespace, and the thread by which to look into it.

    The key is read_key()'s. If the main thread of *pid* has exited, another thread is taken.
    """
    try:
        return netns.read_key(proc, pid), int(pid)
    except FileNotFoundError:
        for tid in os.listdir(f"{proc}/{pid}/task"):
            if tid != pid:
                return netns.read_key(proc, tid), int(tid)
        raise


def is_own(mounts: Mounts, wanted: str) -> bool:
    """Whether *wanted* is the number or the name under /run/netns of the caller's own namespace."""
    number = read_netns(mounts.proc)
    path = mounts.namespaces.get(number, "")
    return wanted in (str(number), f"net:[{number}]") or (
        bool(path) and wanted == os.path.basename(path)
    )


def with_own(query: Query, mounts: Mounts) -> Query:
    """Return the query, with OWN in the place of the own network namespace's name or number."""
    is_named = query.netns not in (ALL_NETNS, OWN)
    return query._replace(netns=OWN) if is_named and is_own(mounts, query.netns) else query


def namespaces_of(
    mounts: Mounts, holders: Mapping[int, Iterable[int]]
) -> dict[int, FoundNamespace]:
    """Return namespaces by number; *holders* has the pids of processes in each, by number, too."""
    mounted = mounts.namespaces
    return {
        number: FoundNamespace(number, tuple(pids), mounted.get(number, ""))
        for number, pids in holders.items()
    }


def describe_idle(places: Places, cgroups: Mapping[int, Collection[int]]) -> dict[int, Namespace]:
    """Return, of namespaces without an open socket, those that have a name, by their numbers.

    *cgroups* has for each the ids of the cgroups of the processes that were counted there. Where
    processes are hidden, cgroups tell no name: they don't as long as a socket is open, either.
    """
    mounted = places.mounts.namespaces
    hidden = is_hidden(places.proc, 1)
    described = {}
    for number, ids in cgroups.items():
        path = mounted.get(number, "")
        is_told = hidden or _mount_name(path)
        placement = Placement() if is_told else _placement_of(places, ids)
        if path or placement != Placement():
            found = FoundNamespace(number, (), path)
            described[number] = _described(places, found, placement)
    return {number: each for number, each in described.items() if each.name}


def _identified(proc: str, key: int, pids: list[int], mounted: dict[int, str]) -> FoundNamespace:
    """Return the namespace of the processes *pids*, which have the same *key*.

    It has the kernel's number if one of the processes tells it; then its entry is removed
    from *mounted*, whose paths are by number.
    """
    for pid in pids[:MOST_TRIED]:
        number = netns.read_number(proc, str(pid))
        if number:  # what tells it may be entered by, too
            others = (each for each in pids if each != pid)
            return FoundNamespace(number, (pid, *others), mounted.pop(number, ""))
    return FoundNamespace(key, tuple(pids), known=False)


def describe(places: Places, found: FoundNamespace) -> Namespace:
    """Return the name and the details of a namespace.

    They are those of its oldest process's container or unit, if it has one; past the deadline no
    process is looked at.
    """
    return _described(places, found, _oldest_placement(places, found.pids))


def _described(places: Places, found: FoundNamespace, placement: Placement) -> Namespace:
    container = placement.container
    name = _name(places, found, placement)
    details = [short_id(container)] if container and container.id else []
    if found.known:
        details.append(f"net:[{found.number}]")
    elif found.pids:
        details.append(f"pid {found.pids[0]}")
    described = Namespace(name, " ".join(details), pid=next(iter(found.pids), 0))
    if container is None:
        return described
    return described._replace(
        container=places.container_label(container), published=places.published_ports(container)
    )


def are_names_hidden(
    proc: str, found: Mapping[int, FoundNamespace], described: Mapping[int, Namespace]
) -> bool:
    """Whether a namespace may have no name only since /proc hides all of its processes."""
    return any(
        each.pids
        and not described[number].name
        and all(is_hidden(proc, pid) for pid in each.pids[:_MOST_ASKED])
        for number, each in found.items()
    )


def _oldest_placement(places: Places, pids: Iterable[int]) -> Placement:
    """Return the placement of the oldest process: one that joins a namespace later names nothing.

    It is empty if no process can be read, and past the deadline.
    """
    oldest, best = float("inf"), Placement()
    if places.is_late():
        return best
    for pid in islice(pids, _MOST_ASKED):
        try:
            _, _, started = read_stat(places.proc, str(pid))
        except (OSError, ParseError) as error:
            shortage.note(error)
            continue  # gone, or hidden
        if started < oldest:
            placement = places.of_process(pid)
            if placement:
                oldest, best = started, placement
    return best


def _placement_of(places: Places, cgroups: Iterable[int]) -> Placement:
    """Return the placement of the cgroups that names a namespace: a container, else a service.

    Of several the oldest one counts, which has the lowest id. It is empty if none is there any
    more.
    """
    found = [each for number in sorted(cgroups) if (each := places.of_known_cgroup(number))]
    containers = (each for each in found if each.container)
    services = (each for each in found if each.unit.endswith(".service"))
    return next(containers, None) or next(services, Placement())


def _name(places: Places, found: FoundNamespace, placement: Placement) -> str:
    """Return a name that survives recreation: under /run/netns, the container's or the service's.

    Empty if it has none such.
    """
    name = _mount_name(found.path)
    if name:
        return name
    if placement.container:
        return places.container_name(placement.container)
    name = placement.unit if placement.unit.endswith(".service") else ""
    return safe_name(os.fsencode(name)) if name else ""


def _mount_name(path: str) -> str:
    """Return the safe name that somebody gave a namespace by its mount at *path*; empty: nobody."""
    folder, _, name = path.rpartition("/")
    if f"{folder}/" not in _NAMED_BY_IP:
        return ""
    from zabbix_sockets.model.cgroup_paths import is_lasting  # noqa: PLC0415  # imports re

    return safe_name(os.fsencode(name)) if is_lasting(name) else ""


def in_fair_order(found: Iterable[FoundNamespace], seconds: float) -> list[FoundNamespace]:
    """Return the namespaces sorted by number, rotated by an offset that depends on the time.

    *seconds* is the time in Unix seconds. The offset moves by the golden ratio each minute: so
    however few can be read in one call, each is among the first ones soon.
    """
    order = sorted(found, key=lambda each: each.number)
    start = int(len(order) * (seconds / _MINUTE * _GOLDEN % 1))
    return order[start:] + order[:start]


def select(
    namespaces: Mapping[int, Namespace], wanted: str, *, complete: bool = True
) -> frozenset[int]:
    """Return the numbers of the namespaces that have the name, number or container id *wanted*.

    "(unnamed)" are all that have no name. Unless *namespaces* are *complete*, there may be none.

    Raises:
        SocketsError: there is none.
    """
    safe = safe_name(os.fsencode(wanted))
    wanted_name = "" if wanted == UNNAMED else wanted
    numbers = frozenset(
        number
        for number, (name, detail, *_) in namespaces.items()
        if name in (wanted_name, safe)
        or wanted in (str(number), f"net:[{number}]", detail)
        or (len(wanted) >= SHORT_ID and wanted in detail.split())
    )
    if not numbers and complete:
        names = sorted({each.name for each in namespaces.values() if each.name})
        known = f"with a name there are: {', '.join(names[:_SUGGESTED])}" if names else ""
        raise SocketsError(f"no network namespace {wanted!r}", known)
    return numbers


def device_names(places: Places, found: Mapping[int, FoundNamespace]) -> DeviceName:
    """Return the function that returns a device's safe name by its namespace and index.

    In other namespaces it reads files of their processes; past the deadline, and where these can't
    be read, the name is made of the index.
    """

    @cache
    def devices(number: int) -> dict[int, str]:
        pids = found[number].pids if number in found and not places.is_late() else ()
        tables = (netns.read_devices(places.proc, str(pid)) for pid in pids[:MOST_TRIED])
        return next(filter(None, tables), {})

    @cache
    def name(number: int, index: int) -> str:
        if not index:
            return ""
        if number == OWN_NETNS:
            return read_device_name(index)
        return devices(number).get(index) or f"if{index}"

    return name
