"""Sums over sockets: listeners, connections, queues, uids, round-trip times and retransmissions.

The TCP and UDP sockets of every source are added up here, and nowhere else: by the rows of a table
(row_fold), by the iterator's records (iterator.record_fold), and one by one where only a number of
sockets is known (iterator.unseen). The sums grow with the distinct connections, never with the
number of sockets, and distinct endpoints are bounded.
"""

from _collections_abc import Callable

from zabbix_sockets.model import gaps
from zabbix_sockets.model.light_typing import Any, Generic, TypeVar
from zabbix_sockets.model.quality import Quality, add_to
from zabbix_sockets.model.snapshot import Connection, ListenerSocket, Snapshot

MAX_ENDPOINTS = 50_000
"""The number of distinct connections that are counted one by one; those that come later are counted
without their endpoints. The kernel's tables are in the order of a hash, so a connection that is
frequent in a table is among its first rows, too."""

MAX_DISTINCT = 16_384
"""The number of distinct records, rows or ends that are counted before they become sums."""

MAX_REMOTES = 500
"""The number of distinct keys with a remote address (add_with_remote) of each owner."""

Key = TypeVar("Key", bound=tuple[Any, ...])
Listener = TypeVar("Listener")


class Sums(Generic[Listener, Key]):
    """The sums of one source, in its own words, until the Snapshot takes them over.

    Equal connections have equal keys, of which the first item is the owner's number. A key is
    decoded once, however many sockets it stands for. The sums are apart from the Snapshot so that a
    source that fails leaves nothing there. A table that was not read to its end is no such failure:
    its sums are moved as far as they go, with a gap.

    Args:
        without_endpoint: returns the key under which a connection beyond the bound is counted: its
            own without the items that may be distinct for each socket, or its own key if there are
            no such items in it.
        max_endpoints: the number of distinct keys that are counted one by one in these sums; the
            sums of another table, or of sockets without a file, have a bound of their own.

    Attributes:
        connections: the number of sockets of each key. A hot loop may increment the number of a key
            that is there already by itself: a call for each socket would double its cost.
        qualities: the sum of the samples of round-trip times and retransmissions (model.quality) of
            each key; only keys with samples.
        listeners: the listening TCP and bound UDP sockets, each once.
        queues: the receive and the send queue in bytes, by owner and network namespace.
        drops: the packets dropped at listeners and UDP sockets, by owner and network namespace.
        uids: the lowest uid of each owner's sockets.
        overflowed: there were more than *max_endpoints* keys.
    """

    def __init__(
        self, without_endpoint: Callable[[Key], Key], max_endpoints: int = MAX_ENDPOINTS
    ) -> None:
        self.connections: dict[Key, int] = {}
        self.qualities: dict[Key, Quality] = {}
        self.listeners: list[Listener] = []
        self.queues: dict[tuple[int, int], tuple[int, int]] = {}
        self.drops: dict[tuple[int, int], int] = {}
        self.uids: dict[int, int] = {}
        self.overflowed = False
        self._without_endpoint = without_endpoint
        self._max_endpoints = max_endpoints
        self._remotes: dict[int, int] = {}

    def add(self, key: Key, uid: int, sockets: int = 1, quality: Quality = 0) -> None:
        """Add a number of equal *sockets* under one key, or without an endpoint beyond the bound.

        *uid* is their user's; *quality* is the sum of the samples of all of them, 0 for none.
        """
        connections = self.connections
        owner: int = key[0]
        lowest = self.uids.get(owner)
        if lowest is None or uid < lowest:
            self.uids[owner] = uid
        known = connections.get(key)
        if known is None and len(connections) >= self._max_endpoints:
            full_key, key = key, self._without_endpoint(key)
            self.overflowed |= key != full_key
            known = connections.get(key)
        connections[key] = (known or 0) + sockets
        if quality:
            add_to(self.qualities, key, quality)

    def add_with_remote(self, key: Key, without_remote: Key, uid: int, sockets: int = 1) -> None:
        """Add a number of equal *sockets* under *key*, which has their remote address.

        Only the first MAX_REMOTES such keys of an owner are counted one by one, so that those who
        connect take no room from endpoints; the sockets of others are added under *without_remote*.
        """
        owner: int = key[0]
        if key not in self.connections:
            remotes = self._remotes.get(owner, 0)
            if remotes < MAX_REMOTES and len(self.connections) < self._max_endpoints:
                self._remotes[owner] = remotes + 1
            else:
                key = without_remote
        self.add(key, uid, sockets)

    def add_listener(self, owner: int, listener: Listener, uid: int, sockets: int = 1) -> None:
        """Add a number of equal listening *sockets*, each of which is listed by itself."""
        self.listeners += [listener] * sockets
        self.uids[owner] = min(uid, self.uids.get(owner, uid))

    def add_queues(self, owner: int, netns: int, recv: int, send: int) -> None:
        """Add the bytes of a receive and a send queue to those of an owner in a namespace."""
        key = owner, netns
        before = self.queues.get(key)
        self.queues[key] = (before[0] + recv, before[1] + send) if before else (recv, send)

    def add_drops(self, owner: int, netns: int, drops: int) -> None:
        """Add the packets dropped at a listener or UDP socket to those of its owner."""
        key = owner, netns
        self.drops[key] = self.drops.get(key, 0) + drops

    def move_listeners(
        self, snapshot: Snapshot, listener_of: Callable[[Listener], ListenerSocket]
    ) -> None:
        """Move the listeners to the Snapshot, each decoded by *listener_of*."""
        self.listeners.reverse()
        while self.listeners:  # both at once would be the peak of very many listeners' memory
            snapshot.listeners.append(listener_of(self.listeners.pop()))

    def move(self, snapshot: Snapshot, connection_of: Callable[[Key], Connection]) -> None:
        """Move all sums but the listeners to the Snapshot.

        *connection_of* decodes a key. If there were more keys than the bound, the Snapshot gets
        a gap of the kind ENDPOINTS.
        """
        for owner, uid in self.uids.items():
            snapshot.uids[owner] = min(uid, snapshot.uids.get(owner, uid))
        for queue_key, (recv, send) in self.queues.items():
            before = snapshot.queues.get(queue_key, (0, 0))
            snapshot.queues[queue_key] = before[0] + recv, before[1] + send
        for drops_key, drops in self.drops.items():
            snapshot.drops[drops_key] = snapshot.drops.get(drops_key, 0) + drops
        while self.connections:  # both at once would be the peak of a crawler's memory
            key, sockets = self.connections.popitem()
            quality = self.qualities.pop(key, 0) if self.qualities else 0
            add_connections(snapshot, connection_of(key), sockets, quality)
        if self.overflowed:
            snapshot.visibility.add_gap(gaps.ENDPOINTS)


def add_connections(
    snapshot: Snapshot, connection: Connection, sockets: int, quality: Quality = 0
) -> None:
    """Add a number of equal *sockets* to a Snapshot's connections.

    *quality* is the sum of the samples of all of them, 0 for none.
    """
    snapshot.connections[connection] = snapshot.connections.get(connection, 0) + sockets
    if quality:
        add_to(snapshot.qualities, connection, quality)
