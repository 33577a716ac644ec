"""Totals of TCP connections, which the kernel counts as they happen; docs/totals.md defines each.

They rise from the moment when the counting programs were loaded.
"""

import struct

from zabbix_sockets.model.light_typing import Literal, NamedTuple, Optional

RECENT = 600 * 10**9
"""The nanoseconds for which a row stays after the last change of its totals."""

MOST_KEYS = 16_383
"""The number of processes and listeners that there is room for: less than MAX_KEYS of totals.bpf.c,
as 0 is nobody's."""

Endpoint = tuple[bytes, int]
"""A packed address and a port."""


COUNTERS = (
    *("attempts", "opened", "failed", "abandoned", "accepted", "closed", "resets"),
    *("bytes_sent", "bytes_received", "retransmitted", "handshake_ns", "lifetime_ns"),
)
"""The names of the totals of one process, listener or upstream, in the kernel's order.
`handshake_ns` is the sum over `opened`, `lifetime_ns` over the outbound ones of `closed`."""

_COUNTERS = struct.Struct(f"={len(COUNTERS)}Q")
_BYTE_ORDER: Literal["little", "big"] = "little" if struct.pack("=H", 1)[0] else "big"

_ALL = (1 << 8 * _COUNTERS.size) - 1

PackedCounters = int
"""Totals as one number, of which each has 64 bits: the sum of two has the sums of each. There are
thousands of them, for which few rows are."""


def packed_counters(data: bytes) -> PackedCounters:
    """Return the totals of the kernel's 64-bit numbers, which are in the order of COUNTERS."""
    return int.from_bytes(data, _BYTE_ORDER)


def counters_of(packed: PackedCounters) -> tuple[int, ...]:
    """Return the totals that were packed, or added up since, in the order of COUNTERS.

    What is too much for 64 bits begins anew, as it does in the kernel: *lifetime_ns* may, of
    hundreds of years.
    """
    data = (packed & _ALL).to_bytes(_COUNTERS.size, _BYTE_ORDER)
    return _COUNTERS.unpack(data)


class ProcessCounters(NamedTuple):
    """The totals of all processes, living or not, of one name, user and cgroup.

    *comm* is the main thread's name as the kernel has it, b"" for all threads of the kernel, of
    which *is_kernel* tells. *cgroup* is the id of the cgroup v2 directory, *netns* the lowest of
    their namespaces' numbers, as in Snapshot. *changed* is when one of the counters changed last,
    apart from bytes of open connections and *accepted*: nanoseconds of CLOCK_MONOTONIC.
    """

    comm: bytes
    is_kernel: bool
    uid: int
    cgroup: int
    netns: int
    counters: PackedCounters
    changed: int


class ServerCounters(NamedTuple):
    """The totals of a listener, or of the connections of some processes to one remote end.

    *process* is the index of those processes among ProcessCounters: for a listener those that
    listened last; None: unknown. *device* is the safe name of the device that the sockets are bound
    to; empty: none. *netns* is as in Snapshot, *changed* as of ProcessCounters.
    """

    process: Optional[int]
    netns: int
    address: bytes
    port: int
    device: str
    counters: PackedCounters
    changed: int


class Totals(NamedTuple):
    """The totals of the namespaces and endpoints that were asked for, or of all.

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
    processes: list[ProcessCounters]
    listeners: list[ServerCounters]
    upstreams: list[ServerCounters]

    @property
    def is_full(self) -> bool:
        """Whether there may be processes and listeners that have no totals, for want of room."""
        return self.keys >= MOST_KEYS

    @property
    def figures(self) -> dict[str, int]:
        """The figures of the counting itself, by their names."""
        names = "since", "keys", "overflow", "missed"
        return {name: getattr(self, name) for name in names}
