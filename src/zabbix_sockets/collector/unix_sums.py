"""Sums over unix sockets: those that listen, what they have accepted, and what is connected.

The unix sockets of every source are added up here, and nowhere else: by the rows of netlink or of
/proc/net (tables.unix_table_fold), and by the iterator's records (iterator.unix_fold).

An accepted socket is bound to the name of its listener, and so is a connection that waits in the
accept queue. Of two listeners whose names the source can't tell apart it is not known which one has
accepted what.
"""

from _collections_abc import Hashable

from zabbix_sockets.model.light_typing import Generic, NamedTuple, Optional, TypeVar
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Snapshot, UnixListener, UnixSockets

Bound = TypeVar("Bound", bound=Hashable)
"""What a source tells of the name that a socket is bound to: equal for a listener and for all that
it has accepted, and as far as the source can tell them apart another one for another listener."""


class ListeningUnix(NamedTuple):
    """One listening unix socket as its source has it.

    Attributes:
        name: as of UnixListener.
        owner: its owner's number.
        accept_queue: the number of connections that wait in it; None where the source has rows of
            these instead (UnixSums.add_waiting).
        backlog, uid: as of UnixListener.
    """

    netns: int
    name: bytes
    owner: int
    accept_queue: Optional[int]
    backlog: Optional[int]
    uid: Optional[int]


class UnixSums(Generic[Bound]):
    """The sums of one source's unix sockets, until the Snapshot takes them over."""

    def __init__(self) -> None:
        self._listeners: list[tuple[Bound, ListeningUnix]] = []
        self._accepted: dict[tuple[int, Bound], int] = {}
        self._waiting: dict[tuple[int, Bound], int] = {}
        self._connected: dict[tuple[int, int], int] = {}

    def add_listener(self, bound: Bound, listener: ListeningUnix) -> None:
        """Add a listening socket that is bound to *bound*."""
        self._listeners.append((bound, listener))

    def add_connected(self, owner: int, netns: int, sockets: int = 1) -> None:
        """Add a number of connected *sockets*, accepted ones among them, to those of an owner."""
        key = owner, netns
        self._connected[key] = self._connected.get(key, 0) + sockets

    def add_accepted(self, netns: int, bound: Bound, sockets: int = 1) -> None:
        """Add a number of *sockets* that the listener which is bound to *bound* has accepted."""
        key = netns, bound
        self._accepted[key] = self._accepted.get(key, 0) + sockets

    def add_waiting(self, netns: int, bound: Bound) -> None:
        """Add a connection that waits in the accept queue of the listener bound to *bound*."""
        key = netns, bound
        self._waiting[key] = self._waiting.get(key, 0) + 1

    def forget(self, netns: int) -> None:
        """Take back what was added of the namespace *netns*, which is gone."""
        self._listeners = [each for each in self._listeners if each[1].netns != netns]
        for counts in (self._accepted, self._waiting):
            for key in [each for each in counts if each[0] == netns]:
                del counts[key]
        for owned in [each for each in self._connected if each[1] == netns]:
            del self._connected[owned]

    def move(self, snapshot: Snapshot, owners: Owners) -> None:
        """Move the sums to the Snapshot, the lowest uids of listeners among its uids.

        *owners* are those that the sums have the numbers of.
        """
        found = snapshot.unix = UnixSockets()
        alike: dict[tuple[int, Bound], int] = {}
        for bound, listener in self._listeners:
            key = listener.netns, bound
            alike[key] = alike.get(key, 0) + 1
        for bound, listener in self._listeners:
            netns, name, owner, queue, backlog, uid = listener
            key = netns, bound
            accepted: Optional[int] = self._accepted.get(key, 0)
            waiting: Optional[int] = self._waiting.get(key, 0)
            if alike[key] > 1:
                accepted = waiting = None
            if queue is not None:
                waiting = queue
            if uid is not None:
                snapshot.uids[owner] = min(uid, snapshot.uids.get(owner, uid))
            found.listeners.append(
                UnixListener(netns, name, owner, accepted, waiting, backlog, uid)
            )
        found.connected = self._connected
        found.owners = {owner: owners.members(owner) for owner, _ in found.connected}
