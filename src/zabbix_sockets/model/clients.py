"""Clients of listeners: which remote addresses have connections to each, and how many.

They are counted one by one, and exactly, as long as all listeners together have no more than
MAX_ADDRESSES addresses. Beyond that the listeners with most of them forget a part of theirs, and
their figures are estimates with a known error; those with few stay exact.
"""

from __future__ import annotations

from _collections_abc import Callable, Hashable, Sequence
from math import sqrt

from zabbix_sockets.model.light_typing import Generic, TypeVar

MAX_ADDRESSES = 50_000
"""The number of addresses that are kept, of all listeners together."""

End = TypeVar("End", bound=Hashable)

_LEAST = 64  # addresses of a listener of which none is forgotten

ListenerEndpoint = tuple[int, bytes, int, str]
"""Network namespace, address, port and device of a listener, as in model.snapshot.Connection."""


class Clients:
    """The clients of one listener, by their addresses, and its connections with them.

    Addresses are kept in two parts. Those whose hash ends in as many zero bits as the sample was
    halved times, at first all, are the sample: none of them is ever forgotten, so their number
    tells how many addresses there are in all (Wegman's adaptive sampling). The hash of Python has a
    secret key, so nobody can choose addresses by it. Of the others those with most connections are
    kept, which lose as many as a forgotten one had (Misra and Gries): so none is ever missing that
    has more than *most_forgotten*.

    Attributes:
        connections: the number of all connections.
        most_forgotten: the number of connections that an address may have lost at most.
    """

    __slots__ = ("_halvings", "_mask", "_others", "_sample", "connections", "most_forgotten")

    def __init__(self) -> None:
        self.connections = 0
        self.most_forgotten = 0
        self._halvings = 0
        self._mask = 0
        self._sample: dict[bytes, int] = {}
        self._others: dict[bytes, int] = {}

    def __len__(self) -> int:
        """Return the number of addresses that are kept."""
        return len(self._sample) + len(self._others)

    def add(self, address: bytes, connections: int = 1) -> None:
        """Add a number of *connections* with *address*: 4 or 16 bytes, never an IPv4-mapped one."""
        counts = self._others if hash(address) & self._mask else self._sample
        counts[address] = counts.get(address, 0) + connections
        self.connections += connections

    def merge(self, others: Clients) -> None:
        """Add the clients of another listener, which counts as the same one."""
        connections = self.connections + others.connections
        while self._halvings < others._halvings:
            self._halve()
        for counts in (others._sample, others._others):
            for address, count in counts.items():
                self.add(address, count)
        self.connections = connections
        self.most_forgotten += others.most_forgotten

    def forget(self) -> None:
        """Forget a quarter of the addresses or more, of those with fewest connections.

        The sample is halved where it is half of them, so that it never has fewer than a quarter.
        """
        if len(self._sample) >= len(self._others):
            self._halve()
        counts = sorted(self._others.values())
        lost = counts[len(counts) // 2] if counts else 0
        self.most_forgotten += lost
        self._others = {
            address: count - lost for address, count in self._others.items() if count > lost
        }

    def _halve(self) -> None:
        """Halve the sample: the other half of it becomes like all others."""
        self._halvings += 1
        self._mask = (1 << self._halvings) - 1
        mask, sample = self._mask, self._sample
        self._sample = {
            address: count for address, count in sample.items() if not hash(address) & mask
        }
        self._others |= {
            address: count for address, count in sample.items() if hash(address) & mask
        }

    @property
    def distinct(self) -> int:
        """The number of distinct addresses; an estimate once addresses were forgotten."""
        return len(self._sample) << self._halvings

    @property
    def distinct_error_pct(self) -> float:
        """The standard error of *distinct* in percent, 0 where it is exact.

        Two in three estimates are within once that error, 95 in 100 within twice.
        """
        unsampled = 1 - 1 / (1 << self._halvings)
        return 100 * sqrt(unsampled / max(1, len(self._sample)))

    def top(self) -> tuple[bytes, int] | None:
        """Return the address with most connections, and their number; None without a client.

        The number may be too low by *most_forgotten*. Of equal ones it is the least address.
        """
        counts = self._sample | self._others
        if not counts:
            return None
        most = max(counts.values())
        return min(address for address, count in counts.items() if count == most), most


def merged(parts: Sequence[Clients]) -> Clients:
    """Return the clients of several listeners that count as one, and leave *parts* as they are."""
    if len(parts) == 1:
        return parts[0]
    clients = Clients()
    for each in parts:
        clients.merge(each)
    return clients


class ClientSums(Generic[End]):
    """The clients of all listeners, which keep at most MAX_ADDRESSES addresses together.

    With so many listeners that 64 addresses of each are more than that, 64 of each are kept.

    Attributes:
        by_end: the clients by the listener's end, in the form that the caller chose (End).
    """

    def __init__(self, most: int = MAX_ADDRESSES) -> None:
        self.by_end: dict[End, Clients] = {}
        self._most = most

    def of(self, end: End) -> Clients:
        """Return the clients of a listener, none at first."""
        clients = self.by_end.get(end)
        if clients is None:
            clients = self.by_end[end] = Clients()
        return clients

    def add(self, end: End, clients: Clients) -> None:
        """Add clients of a listener that were counted elsewhere, and aren't used there any more."""
        known = self.by_end.get(end)
        if known is None:
            self.by_end[end] = clients
        else:
            known.merge(clients)

    def part(self, has: Callable[[End], bool]) -> ClientSums[End]:
        """Return the clients of those listeners for whose ends *has* is true."""
        part: ClientSums[End] = ClientSums(self._most)
        part.by_end = {end: clients for end, clients in self.by_end.items() if has(end)}
        return part

    def trim(self) -> None:
        """Forget addresses of the listeners with most of them, until there are few enough."""
        kept = sum(len(each) for each in self.by_end.values())
        while kept > self._most:
            largest = max(len(each) for each in self.by_end.values())
            if largest <= _LEAST:
                return
            for each in self.by_end.values():
                if len(each) > max(_LEAST, largest // 2):
                    each.forget()
            kept = sum(len(each) for each in self.by_end.values())
