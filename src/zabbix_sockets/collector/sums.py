"""What sockets add up to: listeners, connections, queues, uids, and how good connections are.

Whatever a source tells is added up here, and nowhere else: by the rows of a table (row_fold), by
the iterator's records (iterator.record_fold), and one by one where only a number of sockets is
known (iterator.unseen). What is kept grows with what is distinct, never with the sockets, and
distinct endpoints are bounded.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from zabbix_sockets.model import gaps
from zabbix_sockets.model.quality import Quality, add_to
from zabbix_sockets.model.snapshot import Connection, ListenerSocket, Snapshot

MAX_ENDPOINTS = 50_000
"""Distinct connections with a count of their own. The kernel's tables are in the order of a hash,
so what comes later is rare among the first only if it is rare at all."""

Key = TypeVar("Key", bound=tuple[int, *tuple[object, ...]])
Listener = TypeVar("Listener")


class Sums(Generic[Listener, Key]):
    """The sums of one source, in its own words, until the Snapshot takes them over.

    Equal connections have equal keys, of which the first item is the owner's number. A key is
    decoded once, however many sockets it stands for. A source that fails is left with its sums;
    what was taken over is complete.

    Args:
        without_endpoint: what a key beyond the bound counts as: the same without what may be
            distinct for each socket, or the key itself if there is no such thing in it.
        max_endpoints: how many distinct keys to count one by one.

    Attributes:
        connections: how many sockets there are of each key. A hot loop may count on by itself
            what is there already: for one more socket a call would double its cost.
        qualities: how good they are together, by the same keys; only those that were measured.
        listeners: each listening TCP and bound UDP socket.
        queues: bytes to be read and to be acknowledged, by owner and network namespace.
        uids: the lowest of each owner's sockets.
        overflowed: a key was beyond the bound.
    """

    def __init__(
        self, without_endpoint: Callable[[Key], Key], max_endpoints: int = MAX_ENDPOINTS
    ) -> None:
        self.connections: dict[Key, int] = {}
        self.qualities: dict[Key, Quality] = {}
        self.listeners: list[Listener] = []
        self.queues: dict[tuple[int, int], tuple[int, int]] = {}
        self.uids: dict[int, int] = {}
        self.overflowed = False
        self._without_endpoint = without_endpoint
        self._max_endpoints = max_endpoints

    def add(self, key: Key, uid: int, sockets: int = 1, quality: Quality = 0) -> None:
        """Count equal *sockets*; *quality* is that of all together."""
        connections, owner = self.connections, key[0]
        lowest = self.uids.get(owner)
        if lowest is None or uid < lowest:
            self.uids[owner] = uid
        known = connections.get(key)
        if known is None and len(connections) >= self._max_endpoints:
            whole, key = key, self._without_endpoint(key)
            self.overflowed |= key != whole
            known = connections.get(key)
        connections[key] = (known or 0) + sockets
        if quality:
            add_to(self.qualities, key, quality)

    def add_listener(self, owner: int, listener: Listener, uid: int, sockets: int = 1) -> None:
        """Note equal listening *sockets*, each of which stays one."""
        self.listeners += [listener] * sockets
        self.uids[owner] = min(uid, self.uids.get(owner, uid))

    def add_queues(self, owner: int, netns: int, recv: int, send: int) -> None:
        """Add bytes to the queues of an owner's sockets in a namespace."""
        place = owner, netns
        before = self.queues.get(place)
        self.queues[place] = (before[0] + recv, before[1] + send) if before else (recv, send)

    def move_listeners(
        self, snapshot: Snapshot, listener_of: Callable[[Listener], ListenerSocket]
    ) -> None:
        """Let the Snapshot have the listeners, decoded by *listener_of*."""
        snapshot.listeners += map(listener_of, self.listeners)
        self.listeners.clear()

    def move(self, snapshot: Snapshot, connection_of: Callable[[Key], Connection]) -> None:
        """Let the Snapshot have all else; *connection_of* decodes the keys."""
        for owner, uid in self.uids.items():
            snapshot.uids[owner] = min(uid, snapshot.uids.get(owner, uid))
        for place, (recv, send) in self.queues.items():
            before = snapshot.queues.get(place, (0, 0))
            snapshot.queues[place] = before[0] + recv, before[1] + send
        while self.connections:  # both at once would be the peak of a crawler's memory
            key, sockets = self.connections.popitem()
            quality = self.qualities.pop(key, 0) if self.qualities else 0
            add_connections(snapshot, connection_of(key), sockets, quality)
        if self.overflowed:
            snapshot.visibility.add_gap(gaps.ENDPOINTS)


def add_connections(
    snapshot: Snapshot, connection: Connection, sockets: int, quality: Quality = 0
) -> None:
    """Count equal connections in a Snapshot; *quality* is that of all together."""
    snapshot.connections[connection] = snapshot.connections.get(connection, 0) + sockets
    if quality:
        add_to(snapshot.qualities, connection, quality)
