"""The network namespaces beside the caller's own: which there are, what they are called."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from typing import NamedTuple

from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import (
    DeadlineError,
    ParseError,
    SocketsError,
    SourceUnavailableError,
)
from zabbix_sockets.model.gaps import NAMESPACES
from zabbix_sockets.model.names import UNNAMED, safe_name
from zabbix_sockets.model.placement import Container, Placement, is_lasting
from zabbix_sockets.model.snapshot import DeviceName, Namespace, PortRange, Visibility
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.readers.proc import namespaces as netns
from zabbix_sockets.readers.proc.counters import read_device_name, read_port_range
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.proc.process import (
    CAP_SYS_ADMIN,
    has_capability,
    is_gone,
    is_hidden,
    read_netns,
    read_stat,
)
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

_TRIED = 4  # processes of a namespace, where one may end meanwhile
_ASKED = 64  # which of them is the oldest
_MINUTE, _GOLDEN = 60, 0.6180339887498949
_SUGGESTED = 20
_NAMED_BY_IP = ("/run/netns/", "/var/run/netns/")
_SHORT_ID = 12


class Found(NamedTuple):
    """A network namespace that is not the caller's own.

    *number* is the kernel's, or where that takes a privilege (*known* is false) the one of its
    files in /proc; *pids* are processes in it, *path* where it is mounted.
    """

    number: int
    pids: tuple[int, ...]
    path: str = ""
    known: bool = True

    def is_gone(self, proc: str) -> bool:
        """Whether nothing is left of the namespace: no mount and no process."""
        return not self.path and not any(os.path.exists(f"{proc}/{pid}") for pid in self.pids)


def find(mounts: Mounts, deadline: Deadline, *, strict: bool = False) -> tuple[list[Found], bool]:
    """Return the namespaces of all processes but the caller's, and those that are mounted.

    And whether these are all: not if processes are hidden, if there was no time for all mounts,
    or if it can't be told which of the mounted ones were found by their processes.

    Raises:
        DeadlineError: the time is over.
        OSError: /proc can't be read; with *strict* also where a look at a process fails, but is
            neither denied nor late.
    """
    proc = mounts.proc
    own = netns.read_key(proc, "thread-self")
    members: dict[int, list[int]] = {}
    pids = [name for name in os.listdir(proc) if name.isdecimal()]
    whole = "1" in pids  # it lives as long as its pid namespace
    for pid in pids:
        deadline.check()
        try:
            key, member = _key_of(proc, pid)
        except OSError as error:
            if strict and not is_gone(error) and not isinstance(error, PermissionError):
                raise
            whole &= is_gone(error)
        else:
            members.setdefault(key, []).append(member)
    members.pop(own, None)
    mounted = dict(mounts.namespaces)
    mounted.pop(read_netns(proc), None)
    found = [_identified(proc, key, pids, mounted) for key, pids in members.items()]
    # Of those that are mounted, each namespace whose number is secret may be one.
    secret = sum(not each.known for each in found)
    rest = [Found(number, (), path) for number, path in mounted.items()]
    return found + rest[secret:], whole and mounts.complete and not (rest and secret)


def look_for(mounts: Mounts, deadline: Deadline, plan: Plan) -> tuple[list[Found], bool]:
    """Return what find() does, as far as it comes, and whether it came to its end.

    That there may be more is a gap, noted in the plan's visibility.
    """
    try:
        found, whole = find(mounts, deadline)
    except (DeadlineError, OSError, ParseError) as error:
        plan.warn(f"no other network namespace was looked for: {error}")
        plan.visibility.add_gap(NAMESPACES)
        return [], False
    if not whole:
        plan.visibility.add_gap(NAMESPACES)
    return found, True


def _key_of(proc: str, pid: str) -> tuple[int, int]:
    """Return what a process's namespace is told by, and the thread by which to look into it.

    A process whose main thread has exited is in its other threads' namespace.
    """
    try:
        return netns.read_key(proc, pid), int(pid)
    except FileNotFoundError:
        for tid in os.listdir(f"{proc}/{pid}/task"):
            if tid != pid:
                return netns.read_key(proc, tid), int(tid)
        raise


def is_own(mounts: Mounts, wanted: str) -> bool:
    """Whether *wanted* is the caller's own namespace, by its number or where it is mounted."""
    number = read_netns(mounts.proc)
    path = mounts.namespaces.get(number, "")
    return wanted in (str(number), f"net:[{number}]") or (
        bool(path) and wanted == os.path.basename(path)
    )


def held(mounts: Mounts, holders: Mapping[int, Iterable[int]]) -> dict[int, Found]:
    """Return the namespaces whose sockets the processes *holders* have, by their numbers."""
    mounted = mounts.namespaces
    return {
        number: Found(number, tuple(pids), mounted.get(number, ""))
        for number, pids in holders.items()
    }


def _identified(proc: str, key: int, pids: list[int], mounted: dict[int, str]) -> Found:
    """Return a namespace by its number where one of its processes tells it; unlist its mount."""
    for pid in pids[:_TRIED]:
        number = netns.read_number(proc, str(pid))
        if number:  # what tells it may be entered by, too
            others = (each for each in pids if each != pid)
            return Found(number, (pid, *others), mounted.pop(number, ""))
    return Found(key, tuple(pids), known=False)


def describe(places: Places, found: Found) -> Namespace:
    """Return what a namespace is called; past the deadline no process is asked for that."""
    placement = _oldest_placement(places, found.pids)
    container = placement.container
    name = _name(places, found, placement)
    details = [_short(container)] if container and container.id else []
    if found.known:
        details.append(f"net:[{found.number}]")
    elif found.pids:
        details.append(f"pid {found.pids[0]}")
    return Namespace(name, " ".join(details))


def are_names_hidden(
    proc: str, found: Mapping[int, Found], described: Mapping[int, Namespace]
) -> bool:
    """Whether a namespace without a name may have one, but /proc hides each of its processes."""
    return any(
        each.pids
        and not described[number].name
        and all(is_hidden(proc, pid) for pid in each.pids[:_ASKED])
        for number, each in found.items()
    )


def _oldest_placement(places: Places, pids: Iterable[int]) -> Placement:
    """Return where the process is that was there first: whoever joins later names nothing."""
    oldest, best = float("inf"), Placement()
    if places.is_late():
        return best
    for pid in islice(pids, _ASKED):
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


def _name(places: Places, found: Found, placement: Placement) -> str:
    """Return a name that survives recreation, of whatever gave the namespace one, or none."""
    folder, _, name = found.path.rpartition("/")
    if f"{folder}/" in _NAMED_BY_IP and is_lasting(name):
        return safe_name(os.fsencode(name))
    if placement.container:
        return places.container_name(placement.container)
    name = placement.unit if placement.unit.endswith(".service") else ""
    return safe_name(os.fsencode(name)) if name else ""


def _short(container: Container) -> str:
    return safe_name(os.fsencode(container.id[:_SHORT_ID]))


def in_fair_order(found: Iterable[Found], seconds: float) -> list[Found]:
    """Return the namespaces, beginning elsewhere at each time.

    Steps of the golden ratio: however many can be read, and whatever the time between two
    calls, each has its turn soon.
    """
    order = sorted(found, key=lambda each: each.number)
    start = int(len(order) * (seconds / _MINUTE * _GOLDEN % 1))
    return order[start:] + order[:start]


class Visitor:
    """Looks into other namespaces: with netlink where they may be entered, else by /proc.

    Attributes:
        may_enter: this thread has CAP_SYS_ADMIN.
    """

    def __init__(self, proc: str, visibility: Visibility, *, netlink: bool) -> None:
        self.may_enter = has_capability(proc, CAP_SYS_ADMIN)
        self._proc = proc
        self._visibility = visibility
        self._wants_netlink = netlink

    @contextmanager
    def plan(self, found: Found, pid: int | None) -> Iterator[tuple[Plan, PortRange | None]]:
        """Give the readers of a namespace, by its process *pid* or where it is mounted.

        Raises:
            SourceUnavailableError: it is gone, or may not be looked into.
        """
        with ExitStack() as stack:
            if pid is None:
                if not (self.may_enter and self._enter(found.path, stack)):
                    raise SourceUnavailableError("to enter it takes CAP_SYS_ADMIN")
                plan, ports = self._inside("thread-self", self._wants_netlink)
            else:
                with ExitStack() as inside:
                    wanted = self._wants_netlink and self.may_enter
                    entered = wanted and self._enter(f"{self._proc}/{pid}/ns/net", inside)
                    plan, ports = self._inside(str(pid), entered)
            yield stack.enter_context(plan), ports

    def _inside(self, pid: str, netlink: bool) -> tuple[Plan, PortRange | None]:
        """Return the readers of a namespace; for netlink this thread is in it."""
        procnet = ProcTables(f"{self._proc}/{pid}/net")
        if not netlink:
            return Plan(None, procnet, self._visibility), None
        return Plan(NetlinkTables(stays=False), procnet, self._visibility), read_port_range(
            self._proc
        )

    @staticmethod
    def _enter(path: str, stack: ExitStack) -> bool:
        """Put this thread into a namespace for as long as *stack* lasts, if that is allowed."""
        try:
            stack.enter_context(netns.entered(path))
        except PermissionError:
            return False  # not even root may inspect each process
        except OSError as error:
            raise SourceUnavailableError("the network namespace is gone") from error
        return True

    def unused(self, pid: int | None) -> frozenset[str]:
        """Return the tables without a socket of the namespace that plan() gave by *pid*."""
        return netns.read_unused(self._proc, "thread-self" if pid is None else str(pid))


def ways_into(found: Found) -> Iterator[int | None]:
    """Yield what to try: where the namespace is mounted (None), then its processes."""
    if found.path:
        yield None
    yield from found.pids[:_TRIED]


def select(
    namespaces: Mapping[int, Namespace], wanted: str, *, whole: bool = True
) -> frozenset[int]:
    """Return the numbers of the namespaces that *wanted* names: by name, number or id.

    "(unnamed)" are all that have no name. It may be none if the *namespaces* are not the *whole*
    of those looked for, since the time was over.

    Raises:
        SocketsError: there is none.
    """
    safe = safe_name(os.fsencode(wanted))
    wanted_name = "" if wanted == UNNAMED else wanted
    chosen = frozenset(
        number
        for number, (name, detail, _) in namespaces.items()
        if name in (wanted_name, safe)
        or wanted in (str(number), f"net:[{number}]", detail)
        or (len(wanted) >= _SHORT_ID and wanted in detail.split())
    )
    if not chosen and whole:
        names = sorted({name for name, _, _ in namespaces.values() if name})
        known = f"with a name there are: {', '.join(names[:_SUGGESTED])}" if names else ""
        raise SocketsError(f"no network namespace {wanted!r}", known)
    return chosen


def device_names(places: Places, found: Mapping[int, Found]) -> DeviceName:
    """Return what names devices; in other namespaces their processes' files tell.

    Past the deadline these are not read: a device is shown by its index then.
    """

    @cache
    def devices(number: int) -> dict[int, str]:
        pids = found[number].pids if number in found and not places.is_late() else ()
        tables = (netns.read_devices(places.proc, str(pid)) for pid in pids[:_TRIED])
        return next(filter(None, tables), {})

    @cache
    def name(number: int, index: int) -> str:
        if not index:
            return ""
        if number == OWN_NETNS:
            return read_device_name(index)
        return devices(number).get(index) or f"if{index}"

    return name
