"""Owners of sockets: processes by inode number, and numbers for processes that share a socket."""

from _collections_abc import Iterable

from zabbix_sockets.model import gaps
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.snapshot import FIRST_OWNER, Process

ROW_SECONDS = 50e-6
"""The time in seconds, for each process found so far, that is kept to make the document: when less
is left, no further process is asked. A local user may have tens of thousands."""


class Owners:
    """The processes that hold each socket, by its inode number; memory grows with the sockets.

    A number from FIRST_OWNER on stands for a set of processes that share sockets.

    Attributes:
        by_inode: each socket's owner, a number of *chains*, by inode number.
        chains: for each number, at number - FIRST_OWNER, the index in *processes* of the set's
            last member, and the number of the set without it (0: it is the only member).
        processes: those that hold a socket of whatever kind.
        denied: how many processes may not be inspected, by their name, safe to print ("" where
            hidepid hides that, too).
        vanished: how many processes ended before they could be read.
        hidden: the mount option hidepid keeps other users' processes out of the list.
        complete: every process was read before the deadline passed.
        uncertain: indices in *processes* of those whose full name /proc hides.
        excluded_pids: pids of processes that are in no set: those that ask (collector.requesters).
    """

    def __init__(self) -> None:
        self.by_inode: dict[int, int] = {}
        self.chains: list[tuple[int, int]] = []
        self.processes: list[Process] = []
        self.denied: dict[str, int] = {}
        self.vanished = 0
        self.hidden = False
        self.complete = True
        self.uncertain: set[int] = set()
        self.excluded_pids: frozenset[int] = frozenset()
        self._shared: dict[tuple[int, int], int] = {}

    def members(self, owner: int) -> tuple[int, ...]:
        """Return the indices in `processes` of the members of the set *owner*, the last one first.

        It has none for NOBODY and UNOWNED; processes in `excluded_pids` are none of them.
        """
        found = []
        while owner >= FIRST_OWNER:
            process, owner = self.chains[owner - FIRST_OWNER]
            if self.processes[process].pid not in self.excluded_pids:
                found.append(process)
        return tuple(found)

    def add(self, process: Process, inodes: Iterable[int]) -> None:
        """Add *process* as an owner of the sockets *inodes*; a repeated inode counts once."""
        alone = self.number(process)
        by_inode = self.by_inode
        for inode in inodes:
            if by_inode.setdefault(inode, alone) != alone:
                self.share(alone, inode)

    def number(self, process: Process) -> int:
        """Add *process*; return a new number, which stands for it alone."""
        index = len(self.processes)
        self.processes.append(process)
        return self._number(index, 0)

    def share(self, alone: int, inode: int) -> None:
        """Add the process that the number *alone* stands for as a further owner of *inode*."""
        index = self.chains[alone - FIRST_OWNER][0]
        before = self.by_inode.setdefault(inode, alone)
        if before != alone and self.chains[before - FIRST_OWNER][0] != index:
            self.by_inode[inode] = self._share(index, before)

    def gaps(self) -> list[Gap]:
        """Return the gaps in the owners: processes that could not be inspected or asked."""
        found = [Gap(gaps.DENIED, name, count) for name, count in self.denied.items()]
        if self.hidden:
            found.append(Gap(gaps.HIDDEN))
        if not self.complete:
            found.append(Gap(gaps.UNASKED))
        if self.uncertain:
            found.append(Gap(gaps.HIDDEN_NAMES, how_many=len(self.uncertain)))
        return found

    def forget_counted(self) -> None:
        """Make all numbers of `by_inode` positive: a table will be read again.

        A fold of rows negates the number of each socket that it has counted.
        """
        for inode, owner in self.by_inode.items():
            self.by_inode[inode] = abs(owner)

    def _share(self, index: int, before: int) -> int:
        key = (index, before)
        number = self._shared.get(key)
        if number is None:
            number = self._shared[key] = self._number(index, before)
        return number

    def _number(self, index: int, before: int) -> int:
        self.chains.append((index, before))
        return FIRST_OWNER + len(self.chains) - 1
