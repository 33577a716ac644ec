"""Sums over the rows of unix sockets, from netlink or /proc/net."""

from __future__ import annotations

from _collections_abc import Iterable

from zabbix_sockets.collector.unix_sums import ListeningUnix, UnixSums
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import NOBODY, UNOWNED, Snapshot
from zabbix_sockets.model.wire import LISTENING, UNIX, UnixRow

_LISTEN = LISTENING[UNIX]


class UnixTableFold:
    """The sums of the rows of unix sockets; *owners* are those of all sockets by inode.

    netlink's rows tell a path from an equal one that was bound before, by the file's inode.
    """

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._sums: UnixSums[tuple[bytes, bytes]] = UnixSums()

    def add(self, rows: Iterable[UnixRow], netns: int) -> None:
        """Add the rows of sockets in the namespace *netns*."""
        by_inode, sums = self._owners.by_inode, self._sums
        add_connected, add_accepted = sums.add_connected, sums.add_accepted
        for _, state, inode, name, which, _, queue, backlog, uid in rows:
            owner = abs(by_inode.get(inode, UNOWNED)) if inode else NOBODY
            if state == _LISTEN:
                told = _known(queue), _known(backlog), _known(uid)
                sums.add_listener((name, which), ListeningUnix(netns, name, owner, *told))
                continue
            if inode:
                add_connected(owner, netns)
                if name:
                    add_accepted(netns, (name, which))
            elif name:
                sums.add_waiting(netns, (name, which))

    def forget(self, netns: int) -> None:
        """Take back what was added of the namespace *netns*, which is gone."""
        self._sums.forget(netns)

    def move(self, snapshot: Snapshot) -> None:
        """Move the sums to the Snapshot."""
        self._sums.move(snapshot, self._owners)


def _known(number: int) -> int | None:
    """Return a number of a row; None where its source doesn't tell it."""
    return None if number < 0 else number
