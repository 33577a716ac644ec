"""Sums over the rows of unix sockets, from netlink or /proc/net.

An accepted socket bears the name of its listener, and netlink's rows tell a path from an equal one
that was bound before. Of two listeners whose names can't be told apart it is not known which one
has accepted what.
"""

from __future__ import annotations

from collections.abc import Iterable

from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import NOBODY, UNOWNED, UnixListener, UnixSockets
from zabbix_sockets.model.wire import LISTENING, UNIX, UnixRow

_Bound = tuple[int, bytes, bytes]
"""Namespace, name, and the bytes that tell it from an equal one."""

_LISTEN = LISTENING[UNIX]


class UnixRows:
    """The sums of the rows of unix sockets; *owners* are those of all sockets by inode."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._listeners: list[tuple[_Bound, int, int, int, int]] = []
        self._accepted: dict[_Bound, int] = {}
        self._waiting: dict[_Bound, int] = {}
        self._connected: dict[tuple[int, int], int] = {}

    def add(self, rows: Iterable[UnixRow], netns: int) -> None:
        """Add the rows of sockets in the namespace *netns*."""
        by_inode, connected = self._owners.by_inode, self._connected
        for _, state, inode, name, which, _, queue, backlog, uid in rows:
            owner = abs(by_inode.get(inode, UNOWNED)) if inode else NOBODY
            if state == _LISTEN:
                self._listeners.append(((netns, name, which), owner, queue, backlog, uid))
                continue
            if inode:
                key = owner, netns
                connected[key] = connected.get(key, 0) + 1
            if name:
                counts, bound = self._accepted if inode else self._waiting, (netns, name, which)
                counts[bound] = counts.get(bound, 0) + 1

    def forget(self, netns: int) -> None:
        """Take back what was added of the namespace *netns*, which is gone."""
        self._listeners = [each for each in self._listeners if each[0][0] != netns]
        for counts in (self._accepted, self._waiting):
            for bound in [each for each in counts if each[0] == netns]:
                del counts[bound]
        for key in [each for each in self._connected if each[1] == netns]:
            del self._connected[key]

    def move(self, uids: dict[int, int]) -> UnixSockets:
        """Return the sums, and add the uids of listeners, where they are known, to *uids*."""
        found = UnixSockets()
        alike: dict[_Bound, int] = {}
        for bound, *_ in self._listeners:
            alike[bound] = alike.get(bound, 0) + 1
        for bound, owner, queue, backlog, uid in self._listeners:
            accepted: int | None = self._accepted.get(bound, 0)
            waiting: int | None = queue if queue >= 0 else self._waiting.get(bound, 0)
            if alike[bound] > 1:
                accepted = None
                waiting = queue if queue >= 0 else None
            if uid >= 0:
                uids[owner] = min(uid, uids.get(owner, uid))
            found.listeners.append(
                UnixListener(
                    bound[0],
                    bound[1],
                    owner,
                    accepted,
                    waiting,
                    backlog if backlog >= 0 else None,
                    uid if uid >= 0 else None,
                )
            )
        found.connected = self._connected
        found.owners = {owner: self._owners.members(owner) for owner, _ in found.connected}
        return found
