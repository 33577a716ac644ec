"""Completeness of the document's lists, and its warnings, by the gaps of a Snapshot.

A row that is missing means 0 only if its list is complete. So a gap makes each list incomplete that
may lack a row because of it, or sockets in a row.
"""

from _collections_abc import Iterable, Iterator, Mapping

from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, Grouping
from zabbix_sockets.model import gaps
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.model.snapshot import LISTS
from zabbix_sockets.model.wire import PROTOCOLS, UNIX

_OF_GROUPS = ("processes", "upstreams")
"""The lists whose rows are of groups of owners: a socket whose owner, or its group, was not seen is
in none of them. (A listener's row has the address as its identity.)"""

_HIDES = "/proc hides {} of some processes (hidepid): which group they are in is not known"
_HIDES_FROM_COUNT = "/proc hides {} of some processes: the number can't be known"


class Effect(NamedTuple):
    """The effect of one kind of gap on a document.

    Attributes:
        incomplete: the lists that are not complete.
        warning: the line in `collector.warnings`; empty: none. `{count}` stands for the sum of
            `how_many` of all gaps of the kind; with `{where}` there is a line for each place.
    """

    incomplete: tuple[str, ...]
    warning: str = ""


EFFECTS: Mapping[str, Effect] = {
    # `fds_max_pct` is absent from the rows, which are all there.
    gaps.DESCRIPTOR_LIMITS: Effect(
        (), "it is not known how near processes are to their limits of descriptors"
    ),
    # `clients` is absent from the rows, which are all there.
    gaps.CLIENTS: Effect((), "the clients of listeners were not read to the end"),
    # The sockets of these processes have no owner.
    gaps.DENIED: Effect(
        _OF_GROUPS,
        "{count} processes may not be inspected: that takes CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH"
        " and every capability they have",
    ),
    # Any row may lack such a socket.
    gaps.UNDECIDED: Effect(
        LISTS, "filter: some sockets may fit or not: their processes can't be seen"
    ),
    gaps.HIDDEN: Effect(_OF_GROUPS, "/proc hides other users' processes (hidepid)"),
    gaps.NAMESPACES: Effect(LISTS, "there may be network namespaces that can't be seen from here"),
    # The name of a namespace is part of the ids of listeners and upstreams.
    gaps.NAMESPACE_NAMES: Effect(
        ("listeners", "upstreams"), "/proc hides what names some network namespaces have (hidepid)"
    ),
    # They tell units and containers.
    gaps.CGROUPS: Effect(_OF_GROUPS, "the cgroups of some owners are not known"),
    gaps.FOREIGN_OWNERS: Effect(_OF_GROUPS, "owners in other network namespaces are unknown"),
    # `established` is absent from its listeners, whose connections may be what was not read.
    gaps.NAMESPACE: Effect(LISTS, "{count} network namespaces were not read to the end"),
    # The names of groups, and of namespaces: with another one a row has another id.
    gaps.PLACES: Effect(
        LISTS, "timed out: not every unit, container, user or command was looked for"
    ),
    gaps.SHORTAGE: Effect(LISTS, "no descriptor or memory was left for some names"),
    gaps.CONTAINER_NAMES: Effect(
        LISTS,
        "the names of {count} containers are not known yet: zabbix-sockets-names.service has not"
        " seen them",
    ),
    gaps.UNASKED: Effect(_OF_GROUPS, "timed out: not every process was asked for its sockets"),
    # An owner may belong to another group than it seems to.
    gaps.HIDDEN_NAMES: Effect(_OF_GROUPS, _HIDES.format("the whole name")),
    gaps.HIDDEN_USERS: Effect(_OF_GROUPS, _HIDES.format("the user")),
    gaps.HIDDEN_COMMANDS: Effect(_OF_GROUPS, _HIDES.format("the command line")),
    gaps.UNREAD_COMMANDS: Effect(
        _OF_GROUPS,
        "{count} command lines were not read, since those of their user are very long together:"
        " which group these processes are in is not known",
    ),
    gaps.STUCK_COMMANDS: Effect(
        _OF_GROUPS,
        "a process lets whoever reads its command line wait (ps shows one in state D): no command"
        " line was read, and names end after 15 bytes",
    ),
    # The protocol's figures are absent from `host`, too: see unread_protocols().
    gaps.TABLE: Effect(LISTS, "timed out or approximate: {where}"),
    gaps.UNIX: Effect(("processes", "listeners"), "timed out: not every unix socket was read"),
    # Connections whose remote ends were not kept are in no upstream's row, but in `other`.
    gaps.ENDPOINTS: Effect(("upstreams",)),
    # Of the list that the gap names; `collector.truncated` says how many.
    gaps.ROWS: Effect(()),
}
"""The effect of each of gaps.KINDS, in the order of the warnings."""

LACK_DROPS_OF_LISTENERS = (gaps.TABLE,)
LACK_DROPS_OF_PROCESSES = gaps.UNREAD
"""The kinds of gaps by which `drops` are absent from all rows of listeners, or of processes: a
socket that was not read would make a counter fall. A listener of a namespace that was not read
lacks them anyway."""

_WHY_NUMBERS_ARE_UNKNOWN = (
    ((gaps.HIDDEN_NAMES,), _HIDES_FROM_COUNT.format("the whole name")),
    ((gaps.HIDDEN_USERS,), _HIDES_FROM_COUNT.format("the user")),
    ((gaps.HIDDEN_COMMANDS,), _HIDES_FROM_COUNT.format("the command line")),
    (
        (gaps.UNREAD_COMMANDS,),
        "some command lines were not read, since they are very long: the number can't be known",
    ),
    (
        (gaps.STUCK_COMMANDS,),
        "no command line was read, since one lets who reads it wait: the number can't be known",
    ),
    ((gaps.DENIED,), "{denied} processes{named} can't be inspected: no privilege"),
    ((gaps.FOREIGN_OWNERS,), "owners in other network namespaces can't be known: no privilege"),
    ((gaps.CGROUPS,), "the cgroups of some owners are not known"),
    ((gaps.UNDECIDED,), "filter: some sockets may fit or not: their processes can't be seen"),
    ((gaps.HIDDEN,), "/proc hides other users' processes: the number can't be known"),
    (gaps.UNREAD, "not every socket was read: the number can't be known"),
    ((gaps.UNIX,), "not every unix socket was read: the number can't be known"),
    ((gaps.SHORTAGE,), "no descriptor or memory was left: the number can't be known"),
    ((gaps.CONTAINER_NAMES,), "the names of some containers are not known yet"),
    ((gaps.UNASKED, gaps.PLACES), "timed out: the number can't be known"),
)
"""Kinds of gaps, and the reason that each gives why the number of a group's sockets is not known;
of several reasons the first one here is said."""


def complete_lists(found: Iterable[Gap], grouping: Grouping) -> dict[str, bool]:
    """Return for each of LISTS whether it is complete, for groups by *grouping*.

    A document is complete if all of them are.
    """
    incomplete: set[str] = set()
    for gap in _relevant(found, grouping):
        incomplete.update((gap.where,) if gap.kind == gaps.ROWS else EFFECTS[gap.kind].incomplete)
    return {name: name not in incomplete for name in LISTS}


def warnings(found: Iterable[Gap], grouping: Grouping) -> list[str]:
    """Return the warnings about gaps, in words for people, in the order of EFFECTS."""
    by_kind: dict[str, list[Gap]] = {}
    for gap in _relevant(found, grouping):
        by_kind.setdefault(gap.kind, []).append(gap)
    lines = []
    for kind, effect in EFFECTS.items():
        of_kind = by_kind.get(kind)
        if of_kind and "{where}" in effect.warning:
            lines += [effect.warning.format(where=each) for each in sorted({*_where(of_kind)})]
        elif of_kind and effect.warning:
            lines.append(effect.warning.format(count=sum(gap.how_many for gap in of_kind)))
    return lines


def unread_protocols(found: Iterable[Gap]) -> set[str]:
    """Return the protocols whose tables of the own namespace were not read to their ends.

    The document's `host` has no figures of these.
    """
    return {*_where(gap for gap in found if gap.kind == gaps.TABLE)}


def lacks_clients(found: Iterable[Gap]) -> bool:
    """Whether clients of listeners were not read: `clients` is absent from the rows then."""
    return any(
        gap.kind == gaps.CLIENTS or (gap.kind, gap.where) == (gaps.TABLE, "tcp") for gap in found
    )


def why_unknown(found: Iterable[Gap], grouping: Grouping, name: str, protocol: str) -> str:
    """Return the reason why it is not known how many sockets the group *name* holds; "" if it is.

    *protocol* is that of the sockets; empty: TCP and UDP. A number needs less than a list: gaps in
    other protocols' tables, and other processes that may not be inspected, don't matter. If groups
    are the names of processes, neither do gaps in cgroups and in other names.
    """
    by_name = grouping.is_plain
    protocols = (protocol,) if protocol else PROTOCOLS
    found = [gap for gap in found if gap.kind != gaps.UNIX or protocol == UNIX]
    kinds: set[str] = set()
    denied = 0
    for gap in _relevant(found, grouping):
        if gap.kind == gaps.DENIED and by_name and gap.where != name:
            kinds.update(() if gap.where else (gaps.HIDDEN,))  # it may be called so
        elif gap.kind == gaps.DENIED:
            denied += gap.how_many
            kinds.add(gap.kind)
        elif not (by_name and gap.kind in (gaps.CGROUPS, gaps.PLACES, gaps.CONTAINER_NAMES)):
            kinds.update((gap.kind,) if gap.kind != gaps.TABLE or gap.where in protocols else ())
    named = f" named {name}" if by_name else ""
    reasons = (
        words for of_kinds, words in _WHY_NUMBERS_ARE_UNKNOWN if not kinds.isdisjoint(of_kinds)
    )
    return next(reasons, "").format(denied=denied, named=named)


def _relevant(found: Iterable[Gap], grouping: Grouping) -> Iterator[Gap]:
    """Yield the gaps that matter to *grouping*.

    Gaps in processes' names matter to groups by process alone, with rules or without: rules leave
    most processes their names.
    """
    by_process = grouping.name == DEFAULT_GROUPING
    of_names = (gaps.HIDDEN_NAMES, gaps.STUCK_COMMANDS)
    return (gap for gap in found if by_process or gap.kind not in of_names)


def _where(found: Iterable[Gap]) -> Iterator[str]:
    return (gap.where for gap in found)
