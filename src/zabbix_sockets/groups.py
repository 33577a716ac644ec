"""Names for owners: what the rows of the document stand for."""

from collections.abc import Callable, Collection, Sequence

from zabbix_sockets.model import Process, Snapshot

Grouping = Callable[[Process], str]

GROUPINGS: dict[str, Grouping] = {"process": lambda process: process.name}
DEFAULT_GROUPING = "process"


class Groups:
    """The groups of a Snapshot's owners.

    A socket counts once in each group that has one of its owners: two processes of one name
    that share a socket hold one.
    """

    def __init__(self, snapshot: Snapshot, grouping: Grouping) -> None:
        names = [grouping(process) for process in snapshot.processes]
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
