"""Names for owners: what the rows of the document stand for."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from zabbix_sockets.model.names import UNKNOWN
from zabbix_sockets.model.snapshot import Process, Snapshot


class Grouping(NamedTuple):
    """A way to name processes, and the fields of Process that it looks at."""

    name: str
    names_of: Callable[[Sequence[Process]], Sequence[str]]
    needs: frozenset[str] = frozenset()


def _by(field: str) -> Grouping:
    def names_of(processes: Iterable[Process]) -> list[str]:
        return [getattr(process, field) or UNKNOWN for process in processes]

    return Grouping(field, names_of, frozenset((field,)))


DEFAULT_GROUPING = "process"
GROUPINGS = {
    DEFAULT_GROUPING: Grouping(DEFAULT_GROUPING, lambda each: [process.name for process in each]),
    "unit": _by("unit"),
    "container": _by("container"),
    "user": _by("user"),
}


class Groups:
    """The groups of a Snapshot's owners.

    A socket counts once in each group that has one of its owners: two processes of one name
    that share a socket hold one.
    """

    def __init__(self, snapshot: Snapshot, grouping: Grouping) -> None:
        self.grouping = grouping
        held = sorted({index for members in snapshot.owners.values() for index in members})
        names_held = grouping.names_of([snapshot.processes[index] for index in held])
        names = dict(zip(held, names_held, strict=True))
        self.instances: dict[str, set[int]] = {}  # group: indices of its processes
        self._names: dict[int, tuple[str, ...]] = {}
        for owner, members in snapshot.owners.items():
            for index in members:
                self.instances.setdefault(names[index], set()).add(index)
            self._names[owner] = tuple(sorted({names[index] for index in members}))

    def of_all(self, owners: Collection[int]) -> Sequence[str]:
        """Return the names of the groups of all *owners*, sorted."""
        if len(owners) == 1:
            return self.of(*owners)
        return sorted({name for owner in owners for name in self.of(owner)})

    def of(self, owner: int) -> tuple[str, ...]:
        """Return the names of the groups of *owner*; none if nobody is known to hold it."""
        return self._names.get(owner, ())
