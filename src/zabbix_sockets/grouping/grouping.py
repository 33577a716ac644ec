"""Groupings of owners: names for the groups that are rows of the document."""

from _collections_abc import Callable, Collection, Iterable, Sequence

from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.model.names import UNKNOWN_NAME
from zabbix_sockets.model.snapshot import Process, Snapshot


class Grouping(NamedTuple):
    """A way to put processes into groups.

    Attributes:
        name: the choice of --group-by.
        names_of: returns for each of some processes the name of its group, safe to print.
        needs: the fields of Process, besides its name, that *names_of* reads.
        is_plain: a group is all processes of one name, as Process has it: without rules.
    """

    name: str
    names_of: Callable[[Sequence[Process]], Sequence[str]]
    needs: frozenset[str] = frozenset()
    is_plain: bool = False


def _by(field: str) -> Grouping:
    """Return the grouping by a field of Process; those where it is empty are "(unknown)"."""

    def names_of(processes: Iterable[Process]) -> list[str]:
        return [getattr(process, field) or UNKNOWN_NAME for process in processes]

    return Grouping(field, names_of, frozenset((field,)))


DEFAULT_GROUPING = "process"
"""The name of the grouping by process name, with or without rules."""
GROUPINGS = {
    DEFAULT_GROUPING: Grouping(
        DEFAULT_GROUPING, lambda each: [process.name for process in each], is_plain=True
    ),
    "unit": _by("unit"),
    "container": _by("container"),
    "user": _by("user"),
}
"""The groupings by their names, without an administrator's rules."""


class Groups:
    """The groups of a Snapshot's owners.

    A socket counts once in each group that has one of its owners: two processes of one name
    that share a socket hold one.

    Attributes:
        grouping: the way they are made.
        instances: the indices in the Snapshot's `processes` of each group's members, by its name:
            those that hold a TCP or UDP socket, or a unix socket that listens.
    """

    def __init__(self, snapshot: Snapshot, grouping: Grouping) -> None:
        self.grouping = grouping
        of_unix = snapshot.unix.owners if snapshot.unix else {}
        owners = (*snapshot.owners.values(), *of_unix.values())
        held = sorted({index for members in owners for index in members})
        names_held = grouping.names_of([snapshot.processes[index] for index in held])
        self._of_processes = names = dict(zip(held, names_held))
        self.instances: dict[str, set[int]] = {}
        for members in snapshot.owners.values():
            for index in members:
                self.instances.setdefault(names[index], set()).add(index)

        def names_of(members: Iterable[int]) -> tuple[str, ...]:
            return tuple(sorted({names[index] for index in members}))

        self._names = {owner: names_of(members) for owner, members in snapshot.owners.items()}
        self._of_unix = {owner: names_of(members) for owner, members in of_unix.items()}

    def of_processes(self, indices: Iterable[int]) -> set[str]:
        """Return the names of the groups that have some processes of the Snapshot, by its indices.

        Processes that hold nothing but connected unix sockets may have none.
        """
        return {self._of_processes[index] for index in indices if index in self._of_processes}

    def of_all(self, owners: Collection[int]) -> Sequence[str]:
        """Return the names of the groups that have a member of any of *owners*, sorted."""
        if len(owners) == 1:
            return self.of(*owners)
        return sorted({name for owner in owners for name in self.of(owner)})

    def of(self, owner: int) -> tuple[str, ...]:
        """Return the names of the groups that have a member of *owner*, sorted.

        There is none for NOBODY and UNOWNED.
        """
        return self._names.get(owner, ())

    def of_connected(self, owner: int) -> tuple[str, ...]:
        """Return the names of the groups that hold the connected unix sockets of *owner*, sorted.

        Groups that hold nothing else are among them, which are none of `instances`.
        """
        return self._of_unix.get(owner, ())
