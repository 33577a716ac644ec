"""Who holds which socket: processes, and numbers for those that share one."""

from collections.abc import Iterable

from zabbix_sockets.model.snapshot import FIRST_OWNER, Process


class Owners:
    """Who holds which inode; memory grows with the sockets.

    Attributes:
        by_inode: an inode's owner, as a number for one process, or for several that share
            the socket.
        chains: for each number from FIRST_OWNER on, the index of the last process found and
            the number of the owner without it (0: it is the only one).
        processes: those that hold a socket of whatever kind.
        denied: safe name and number of the processes that may not be inspected.
        vanished: processes that ended before they could be asked.
        hidden: hidepid: other users' processes are not even listed.
        complete: every process was asked; the deadline did not pass.
        uncertain: indices of the processes whose whole name /proc hides.
        left_out: pids of processes that count as nobody: those that ask (collector.asking).
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
        self.left_out: frozenset[int] = frozenset()
        self._shared: dict[tuple[int, int], int] = {}

    def members(self, owner: int) -> tuple[int, ...]:
        """Return the indices of the processes that *owner* stands for, but for those left out."""
        found = []
        while owner >= FIRST_OWNER:
            process, owner = self.chains[owner - FIRST_OWNER]
            if self.processes[process].pid not in self.left_out:
                found.append(process)
        return tuple(found)

    def add(self, process: Process, inodes: Iterable[int]) -> None:
        """Note that *process* holds the sockets *inodes*; a repeated inode counts once."""
        alone = self.number(process)
        by_inode = self.by_inode
        for inode in inodes:
            if by_inode.setdefault(inode, alone) != alone:
                self.share(alone, inode)

    def number(self, process: Process) -> int:
        """Return a new number, which stands for *process* alone."""
        index = len(self.processes)
        self.processes.append(process)
        return self._number(index, 0)

    def share(self, alone: int, inode: int) -> None:
        """Note that the process of the number *alone* holds *inode* too, besides others."""
        index = self.chains[alone - FIRST_OWNER][0]
        before = self.by_inode.setdefault(inode, alone)
        if before != alone and self.chains[before - FIRST_OWNER][0] != index:
            self.by_inode[inode] = self._share(index, before)

    def forget_counted(self) -> None:
        """Take the fold's marks back (collector.row_fold): a table will be read again."""
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
