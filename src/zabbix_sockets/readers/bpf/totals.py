"""Reader and record layouts of the totals, which totals.bpf.c counts in the kernel.

Who may open the pinned iterators reads them, without a capability. They are read one after another,
and each total as it is at that moment.
"""

import os
import struct
from _collections_abc import Collection, Iterator, Sequence
from _socket import AF_INET, AF_INET6
from time import monotonic_ns

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.light_typing import Any, Optional, Union
from zabbix_sockets.model.snapshot import DeviceName
from zabbix_sockets.model.totals import (
    COUNTERS,
    RECENT,
    Endpoint,
    ProcessCounters,
    ServerCounters,
    Totals,
    counters_of,
    packed_counters,
)
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.readers.bpf.records import (
    COUNT_SOCKETS,
    TOTAL_PROCESSES,
    pin_path,
    read_chunks,
)

COUNT_STATES, COUNT_ENDS = "count_states", "count_ends"
TRACEPOINTS = (COUNT_ENDS, COUNT_STATES)
"""The programs that count, by their functions' names; their pins are called so, too. The one that
sees ends comes first, as only what is counted at its beginning has one to be seen."""
TOTAL_LISTENERS, TOTAL_UPSTREAMS = "total_listeners", "total_upstreams"
MAPS = {
    TOTAL_PROCESSES: "processes",
    TOTAL_LISTENERS: "listeners",
    TOTAL_UPSTREAMS: "upstreams",
}
"""The iterators over totals, each with the map that it visits."""
PROGRAMS = (*TRACEPOINTS, *MAPS, COUNT_SOCKETS)
"""The programs of totals.bpf.c."""
WITHOUT_EXCHANGE = "totals_without_exchange"
"""The object of the same programs for kernels that have no atomic exchange (exchange.bpf.h)."""
PINS = (*TRACEPOINTS, *MAPS)
"""Those that are pinned beside the iterators of records.PROGRAMS."""

_SUMS = f"{8 * len(COUNTERS)}sQ"  # struct sums but for the namespace
_PROCESS = struct.Struct(f"=I4xQIIII16s{_SUMS}8x")  # struct process_total
_SERVER = struct.Struct(f"=III16sHHI4x{_SUMS}Q")  # struct server_total
_END = struct.Struct(f"=12x18s{_SERVER.size - 30}x")
"""The address and the port alone in a server_total: so parts of thousands are read."""
_QUADS = _SERVER.size // 8
_CHANGED = _QUADS - 2
"""The place of the time of the last change in a server_total, among its _QUADS 64-bit numbers."""
_PORT = struct.Struct("=H")
_ADDRESS_SIZES = {AF_INET: 4, AF_INET6: 16}
_TRIES = 3

_Chunk = Union[memoryview, bytes]
"""Records, one behind the other."""


class _Figures:
    """The figures in an iterator's last record; *based* changes when the programs are loaded."""

    __slots__ = "based", "keys", "missed", "overflow"

    def __init__(self, sums: bytes) -> None:
        """Read them in the places of the first counters, where set_figures() writes them."""
        figures = counters_of(packed_counters(sums))
        self.keys, self.overflow, self.missed, self.based = figures[:4]


class TotalsReader:
    """The reader of the totals of which the iterators are pinned.

    Args:
        directory: the folder of the pins.
        netns: the inode number of the caller's network namespace.
        device_name: returns the safe name of a network device by its namespace and index.
        deadline: the moment after which nothing is read.
        wanted: the network namespaces whose totals are read, as in Snapshot; None: all.
        listeners: the endpoints of the listeners that are read; None: of all.
        upstreams: the endpoints of the upstreams that are read, besides each endpoint of which
            something changed within RECENT; None: all. A host may have thousands of others.
    """

    def __init__(
        self,
        directory: str,
        netns: int,
        device_name: DeviceName,
        deadline: Deadline,
        wanted: Optional[Collection[int]] = None,
        listeners: Optional[Collection[Endpoint]] = None,
        upstreams: Optional[Collection[Endpoint]] = None,
    ) -> None:
        self._directory = directory
        self._netns = netns
        self._device_name = device_name
        self._deadline = deadline
        self._wanted = wanted
        self._endpoints = {TOTAL_LISTENERS: listeners, TOTAL_UPSTREAMS: upstreams}

    def read(self) -> Totals:
        """Return the totals.

        Raises:
            OSError: this process may not read them, or they were unloaded meanwhile.
            DeadlineError: the time is over.
            ParseError: a record is not as totals.bpf.c writes it, or the totals were loaded anew
                again and again.
        """
        for _ in range(_TRIES):
            since = int(os.stat(pin_path(self._directory, TOTAL_PROCESSES)).st_mtime)
            processes, indices, figures = self._read_processes()
            listeners, of_listeners = self._read_servers(TOTAL_LISTENERS, indices)
            upstreams, of_upstreams = self._read_servers(TOTAL_UPSTREAMS, indices)
            if figures.based == of_listeners.based == of_upstreams.based:  # else loaded meanwhile
                found = processes, listeners, upstreams
                of_counting = figures.keys, figures.overflow, figures.missed
                return Totals(since, monotonic_ns(), *of_counting, *found)
        raise ParseError("BPF totals", "they were loaded anew while they were read")

    def _read_processes(self) -> tuple[list[ProcessCounters], dict[int, int], _Figures]:
        """Return the totals of processes, their indices by the kernel's ids, and all's figures.

        The kernel counts those of each namespace for themselves.
        """
        found: dict[tuple[bytes, int, int, int], tuple[int, int, int, int]] = {}
        indices, figures = {}, None
        for chunk in self._chunks(TOTAL_PROCESSES, _PROCESS.size):
            for id_, cgroup, where, uid, is_kernel, _, comm, sums, when in _PROCESS.iter_unpack(
                chunk
            ):
                if not id_:
                    figures = _Figures(sums)
                    continue
                if id_ in indices:
                    continue  # while keys come, one may be visited twice
                netns = OWN_NETNS if where == self._netns else where
                if self._wanted is not None and netns not in self._wanted:
                    continue
                key = comm, is_kernel, uid, cgroup
                known = found.get(key)
                counters = packed_counters(sums)
                if known is None:
                    index = indices[id_] = len(found)
                    found[key] = index, netns, counters, when
                else:
                    index, lowest, counted, last = known
                    indices[id_] = index
                    found[key] = index, min(lowest, netns), counted + counters, max(last, when)
        if figures is None:
            raise ParseError("BPF totals", "the last record is missing")
        processes = [
            ProcessCounters(comm.split(b"\0", 1)[0], bool(is_kernel), uid, cgroup, *found_of[1:])
            for (comm, is_kernel, uid, cgroup), found_of in found.items()
        ]
        return processes, indices, figures

    def _read_servers(
        self, program: str, indices: dict[int, int]
    ) -> tuple[list[ServerCounters], _Figures]:
        """Return the totals of listeners or upstreams, and the figures of all.

        *indices* are those of processes by the kernel's ids for them. The number of a namespace
        that is gone is used again: what was counted of upstreams in that one is left out.
        """
        chunks = list(self._chunks(program, _SERVER.size))
        figures = _last_figures(chunks)
        found = {}  # by what tells one from another: while keys come, one may be visited twice
        for record in self._chosen(program, chunks):
            _, where, device, address, port, family, process, sums, when, cookie = record
            if not port:
                continue
            size = _ADDRESS_SIZES.get(family)
            if size is None:
                raise ParseError("BPF totals", repr(record).encode())
            netns = OWN_NETNS if where == self._netns else where
            if self._wanted is None or netns in self._wanted:
                name = self._device_name(netns, device) if device else ""
                end = indices.get(process), netns, address[:size], port, name
                found[record[1:7]] = cookie, ServerCounters(*end, packed_counters(sums), when)
        if program == TOTAL_UPSTREAMS:
            return _of_last_namespaces(found.values()), figures
        return [each for _, each in found.values()], figures

    def _chosen(self, program: str, chunks: Sequence[_Chunk]) -> Iterator[tuple[Any, ...]]:
        """Yield the records, as _SERVER has them, of the endpoints that are read."""
        endpoints = self._endpoints[program]
        if endpoints is None:
            for chunk in chunks:
                yield from _SERVER.iter_unpack(chunk)
            return
        chosen = {address.ljust(16, b"\0") + _PORT.pack(port) for address, port in endpoints}
        ends = [[end for (end,) in _END.iter_unpack(chunk)] for chunk in chunks]
        if program == TOTAL_UPSTREAMS:
            since = monotonic_ns() - RECENT
            for chunk, each_end in zip(chunks, ends):
                times = memoryview(chunk).cast("Q")[_CHANGED::_QUADS]
                chosen.update(end for end, when in zip(each_end, times) if when > since)
        for chunk, each_end in zip(chunks, ends):
            for at, end in enumerate(each_end):
                if end in chosen:
                    yield _SERVER.unpack_from(chunk, at * _SERVER.size)

    def _chunks(self, program: str, size: int) -> Iterator[_Chunk]:
        """Yield the records of one of MAPS, many at a time; for errors see read()."""
        fd = os.open(pin_path(self._directory, program), os.O_RDONLY | os.O_CLOEXEC)
        return read_chunks(fd, size, self._deadline)


def _of_last_namespaces(found: Collection[tuple[int, ServerCounters]]) -> list[ServerCounters]:
    """Return the upstreams without those of namespaces that are gone, but for the number.

    *found* has each with its namespace's cookie, which is never used again. Of one number that is
    there in which something changed last.
    """
    last: dict[int, tuple[int, int]] = {}
    for cookie, each in found:
        if each.netns != OWN_NETNS:
            last[each.netns] = max(last.get(each.netns, (0, 0)), (each.changed, cookie))
    return [
        each for cookie, each in found if each.netns == OWN_NETNS or cookie == last[each.netns][1]
    ]


def _last_figures(chunks: Sequence[_Chunk]) -> _Figures:
    """Return the head of all totals, which is the last record of listeners or upstreams.

    Raises:
        ParseError: there is no such record.
    """
    if chunks:
        *_, port, _, _, sums, _, _ = _SERVER.unpack_from(chunks[-1], len(chunks[-1]) - _SERVER.size)
        if not port:
            return _Figures(sums)
    raise ParseError("BPF totals", "the last record is missing")
