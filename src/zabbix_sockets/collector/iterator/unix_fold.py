"""Sums over the BPF iterator's records of unix sockets.

Connected ones are counted by their owners and, undecoded, by the name that they are bound to: an
accepted socket has the very name of its listener, an object of the kernel, which tells it also from
one that another listener of an equal name has accepted. (The kernel may give the address of a name
that is gone to a new one during the pass: of two listeners with one it is not known then which has
accepted what.) The names themselves come with listeners alone.
"""

from __future__ import annotations

from _collections_abc import Callable

from zabbix_sockets.collector.iterator.record_owners import ProcessKey, RecordOwners
from zabbix_sockets.collector.unix_sums import ListeningUnix, UnixSums
from zabbix_sockets.model.errors import DeadlineError, ParseError
from zabbix_sockets.model.snapshot import Snapshot
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.readers.bpf import records

_Listener = tuple[int, int, int, int, int, int, int]
"""Owner's number, namespace, number of the name, accept queue, backlog, uid, inode."""

_Place = tuple[int, int]
"""Namespace, and number of the name (0: bound to none)."""

AddOwner = Callable[[ProcessKey, int, int], int]
"""Adds a process by its key, its limit of descriptors and its cgroup; returns its number."""


class UnixFold:
    """The sums of the iterator's records of unix sockets.

    Args:
        netns: inode number of the caller's network namespace.
        owners: the owners, to which the processes of the records are added.
        add_owner: adds a process that holds a listening socket.
        own_only: skip the records of other namespaces.

    Attributes:
        complete: the owners of all are known; else the time was over before their names were read.
    """

    def __init__(
        self, netns: int, owners: RecordOwners, add_owner: AddOwner, *, own_only: bool
    ) -> None:
        self.complete = True
        self._netns = netns
        self._owners = owners
        self._add_owner = add_owner
        self._own_only = own_only
        self._names: dict[tuple[int, int], tuple[int, bytes]] = {}  # length and bytes of each part
        self._listeners: dict[int, _Listener] = {}  # by inode
        self._connected: dict[tuple[ProcessKey, int, _Place], int] = {}  # with the cgroup
        self._shared: dict[int, tuple[_Place, list[tuple[ProcessKey, int]]]] = {}  # by inode

    def add(self, data: bytes, kind: int, count: int) -> None:
        """Add *count* equal records, the part SOCKET of which is *data*.

        Raises:
            DeadlineError: the time is over, and the owner of a listener has no name yet.
            ParseError: *kind* is none of unix sockets.
        """
        if kind == records.KIND_UNIX_NAME:
            part, length, name, piece = records.UNIX_NAME.unpack(data)
            self._names[name, part] = length, piece
            return
        if kind not in (records.KIND_UNIX_LISTENER, records.KIND_UNIX_CONNECTED):
            raise ParseError("BPF record", data)
        (
            pid, where, cgroup, uid, _, _, flags, comm, name,
            queue, backlog, inode, started, limit,
        ) = records.UNIX_SOCKET.unpack(data)  # fmt: skip
        if where == self._netns:
            where = OWN_NETNS
        elif self._own_only:
            return
        process = pid, comm, started
        if kind == records.KIND_UNIX_LISTENER:
            owner = self._owners.numbers.get(process) or self._add_owner(process, limit, cgroup)
            self._owners.share(owner, inode)
            self._listeners[inode] = owner, where, name, queue, backlog, uid, inode
        elif flags & records.SHARED:
            self._shared.setdefault(inode, ((where, name), []))[1].append((process, cgroup))
        else:
            key = process, cgroup, (where, name)
            self._connected[key] = self._connected.get(key, 0) + count

    def move(self, snapshot: Snapshot) -> None:
        """Move the sums to the Snapshot, when the records of all sockets have been added.

        Only now the processes that hold nothing but connected sockets become owners, so that there
        is time for all others.
        """
        sums: UnixSums[int] = UnixSums()
        try:
            self._add_connected(sums)
        except DeadlineError:
            self.complete = False
        names = self._whole_names()
        for owner, netns, number, queue, backlog, uid, inode in self._listeners.values():
            if number in names:  # else it was being closed
                held_by = self._owners.by_inode.get(inode, owner)
                listener = ListeningUnix(netns, names[number], held_by, queue, backlog, uid)
                sums.add_listener(number, listener)
        sums.move(snapshot, self._owners)

    def _add_connected(self, sums: UnixSums[int]) -> None:
        """Add the connected sockets to *sums*.

        Raises:
            DeadlineError: the time was over before all owners had names; those that listeners have
                accepted were all added.
        """
        for place, _ in self._shared.values():
            sums.add_accepted(*place)
        for (_, _, place), count in self._connected.items():
            sums.add_accepted(*place, count)
        numbers: dict[ProcessKey, int] = {}

        def number_of(process: ProcessKey, cgroup: int) -> int:
            number = numbers.get(process)
            if number is None:
                number = self._owners.numbers.get(process) or self._owners.add_unlisted(
                    process, cgroup=cgroup
                )
                numbers[process] = number
            return number

        for (process, cgroup, (netns, _)), count in self._connected.items():
            sums.add_connected(number_of(process, cgroup), netns, count)
        for inode, ((netns, _), holders) in self._shared.items():
            for process, cgroup in holders:
                self._owners.share(number_of(process, cgroup), inode)
            sums.add_connected(self._owners.by_inode[inode], netns)

    def _whole_names(self) -> dict[int, bytes]:
        """Return the names by their numbers: paths, and abstract names behind a NUL."""
        names = {}
        for (number, part), (length, piece) in self._names.items():
            if part == 0:
                _, behind = self._names.get((number, 1), (length, b""))
                name = (piece + behind)[:length]
                names[number] = name if name[:1] == b"\0" else name.partition(b"\0")[0]
        return names
