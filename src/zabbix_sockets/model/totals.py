"""Totals of TCP connections, which the kernel counts as they happen; docs/totals.md defines each.

They rise from the moment when the counting programs were loaded.
"""

# NamedTuple's annotations are evaluated: typing compiles each that is a text.
from typing import NamedTuple, Optional


class Counters(NamedTuple):
    """The totals of one process, listener or upstream.

    *handshake_ns* is the sum over *opened*, *lifetime_ns* over the outbound ones of *closed*.
    *changed* is when one of them changed last, apart from bytes of open connections and *accepted*:
    nanoseconds of CLOCK_MONOTONIC.
    """

    attempts: int
    opened: int
    failed: int
    abandoned: int
    accepted: int
    closed: int
    resets: int
    bytes_sent: int
    bytes_received: int
    retransmitted: int
    handshake_ns: int
    lifetime_ns: int
    changed: int


class ProcessTotals(NamedTuple):
    """The totals of all processes, living or not, of one name, user, cgroup and namespace.

    *comm* is the main thread's name as the kernel has it, b"" for all threads of the kernel, of
    which *is_kernel* tells. *netns* is as in Snapshot, *cgroup* the id of the cgroup v2 directory.
    """

    comm: bytes
    is_kernel: bool
    uid: int
    cgroup: int
    netns: int
    counters: Counters


class ServerTotals(NamedTuple):
    """The totals of a listener, or of the connections of some processes to one remote end.

    *process* is the index of those processes among ProcessTotals: for a listener those that
    listened last; None: unknown. *device* is the safe name of the device that the sockets are bound
    to; empty: none. *netns* is as in Snapshot.
    """

    process: Optional[int]
    netns: int
    address: bytes
    port: int
    device: str
    counters: Counters


class Totals(NamedTuple):
    """All totals.

    Attributes:
        since: Unix seconds when the counting began.
        read_at: nanoseconds of CLOCK_MONOTONIC when they were read.
        keys: the number of processes and listeners that have totals.
        overflow: how often there was no room for a further one, or for a connection's memory.
        missed: the number of connections of which nothing was known when they ended.
    """

    since: int
    read_at: int
    keys: int
    overflow: int
    missed: int
    processes: list[ProcessTotals]
    listeners: list[ServerTotals]
    upstreams: list[ServerTotals]

    @property
    def figures(self) -> dict[str, int]:
        """The figures of the counting itself, by their names."""
        names = "since", "keys", "overflow", "missed"
        return {name: getattr(self, name) for name in names}
