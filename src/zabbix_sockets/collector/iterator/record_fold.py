"""From the BPF iterator's records to the model: the fold of a million records a second.

Equal sockets of one process give equal bytes, so whole records are counted as they come,
unread, by a Counter; only distinct ones are ever decoded, and of these what socket it is and how
good its connection is apart: busy connections differ in the latter alone. The Counter is emptied
when it grows, so memory stays bounded however many endpoints there are.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from zabbix_sockets.collector.directions import PROTOCOL_NAMES, End, Resolver
from zabbix_sockets.collector.tables.row_fold import MAX_ENDPOINTS
from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.quality import VALUES, Quality, add_to, sample
from zabbix_sockets.model.snapshot import (
    ACTIVE_WITHIN,
    INBOUND,
    NOBODY,
    Connection,
    DeviceName,
    ListenerSocket,
    PortRange,
    Process,
)
from zabbix_sockets.model.wire import OWN_NETNS, TcpState
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.process import is_hidden, read_name

_MAX_DISTINCT = 16384  # records in the Counter before it is emptied
_MAX_SAMPLES = 4096  # kept to be found again
_TCP, _UDP = 6, 17

Shared = tuple[End, int, int, int, Quality]
"""A socket that may have several owners: its end, uid, receive and send queue; how good it is.
Or all that are equal but for the last one, of which this is the sum."""


class RecordFold:
    """Sums of records, and who owns them.

    Args:
        netns: inode number of the caller's network namespace.
        uptime: seconds since boot.
        ports: the ephemeral ports of that namespace; others are taken to have the same.
        proc: where procfs is mounted; names that comm doesn't tell are looked up there.
        programs: tells what processes execute where procfs doesn't.
        own_only: pass over the records of other namespaces.
        active_within: how good connections are counts those that sent or received data in as
            many seconds, one of ACTIVE_WITHIN; 0: none.
        deadline: the moment from which no process is asked for its name any more.

    Attributes:
        complete: every record was counted: the names of all owners could be had in time.
        holders: other namespaces: the processes that hold their sockets, as indices.
    """

    def __init__(
        self,
        netns: int,
        uptime: float,
        ports: PortRange,
        proc: str,
        programs: records.Programs,
        *,
        deadline: Deadline,
        own_only: bool = False,
        active_within: int = 0,
    ) -> None:
        self.owners = Owners()
        self.complete = True
        self.fds_limits: dict[int, int] = {}
        self.queues: dict[tuple[int, int], tuple[int, int]] = {}
        self.uids: dict[int, int] = {}
        self.inodes: set[int] = set()  # of listeners and UDP sockets
        self.overflowed = False
        self.has_requests = False  # connections in SYN_RECV, which have no descriptor
        self.mistaken = False  # inbound connections may be among the outbound: read again
        self.holders: dict[int, set[int]] = {}
        self._netns = netns
        self._own_only = own_only
        self._uptime = uptime
        self._ports = ports
        self._proc = proc
        self._programs = programs
        self._deadline = deadline
        self._numbers: dict[tuple[int, bytes, int], int] = {}  # pid, comm, start: owner
        self._listeners: list[tuple[int, End, int, int]] = []
        self._shared: dict[int, Shared] = {}
        self._counts: dict[tuple[int, End], int] = {}
        self._qualities: dict[tuple[int, End], Quality] = {}
        self._idle_classes = sum(seconds <= active_within for seconds in ACTIVE_WITHIN)
        self._samples: dict[bytes, Quality] = {}

    def add(self, chunks: Iterable[records.Chunk]) -> None:
        """Count all records of *chunks*, or those that come before the deadline."""
        try:
            self._add_chunks(chunks)
        except DeadlineError:
            self.complete = False
        for inode, socket in self._shared.items():
            self._add(self.owners.by_inode[inode], socket, 1)
        self._shared.clear()

    def _add_chunks(self, chunks: Iterable[records.Chunk]) -> None:
        counter: Counter[tuple[bytes, bytes]] = Counter()
        layout = records.RECORD if self._idle_classes else records.RECORD_WITHOUT_QUALITY
        unpack, update = layout.iter_unpack, counter.update
        for chunk in chunks:
            update(unpack(chunk))
            if len(counter) > _MAX_DISTINCT:
                self._drain(counter)
        self._drain(counter)

    def _sockets(
        self, counter: "Counter[tuple[bytes, bytes]]"
    ) -> Iterator[tuple[bytes, int, Quality]]:
        """Yield each distinct socket with its number, and how good all of them are together."""
        counts: dict[bytes, int] = {}
        qualities: dict[bytes, Quality] = {}
        sample_of = self._samples.get
        for (data, end), count in counter.items():
            counts[data] = counts.get(data, 0) + count
            quality = sample_of(end)
            if quality is None:
                quality = self._sample(end)
            if not quality:
                continue
            if data[records.FLAGS_AT] & records.SHARED:
                qualities[data] = quality  # it is one socket, however often it comes
            else:
                add_to(qualities, data, quality * count if count > 1 else quality)
        for data, count in counts.items():
            yield data, count, qualities.get(data, 0)

    def _sample(self, end: bytes) -> Quality:
        """Return what the end of a record tells of a socket, and keep it."""
        quality = 0
        if end:
            rtt, idle, receiver, sender, retransmitting, retransmits, lost = records.QUALITY.unpack(
                end
            )
            if 0 < idle <= self._idle_classes:
                limited = VALUES[receiver], VALUES[sender]
                quality = sample(rtt, bool(retransmitting), retransmits, lost, limited)
        if len(self._samples) >= _MAX_SAMPLES:
            self._samples.clear()
        self._samples[end] = quality
        return quality

    def _drain(self, counter: "Counter[tuple[bytes, bytes]]") -> None:
        """Take over the distinct records; with a crawler or many forks that is each one.

        Raises:
            DeadlineError: the time is over, and the owner of a record has no name yet.
        """
        unpack, netns, numbers = records.SOCKET.unpack, self._netns, self._numbers
        for data, count, quality in self._sockets(counter):
            (
                pid, where, cgroup, uid, kind, state, protocol, flags, local_port, remote_port,
                bound, comm, address, recv, send, inode, started, limit, requests_or_device,
            ) = unpack(data)  # fmt: skip
            if not records.LISTENER <= kind <= records.UNDECIDED or protocol not in PROTOCOL_NAMES:
                raise ParseError("BPF record", data)
            if where == netns:
                where = OWN_NETNS
            elif self._own_only:
                continue
            process = pid, comm, started
            owner = numbers.get(process) or self._add_owner(process, limit, cgroup)
            if where:
                self._add_holder(where, owner)
            elif requests_or_device and kind == records.LISTENER:
                self.has_requests = True
            end = (
                kind, protocol, flags & records.IPV6, state,
                local_port, remote_port, bound, address, where, requests_or_device,
            )  # fmt: skip
            if kind == records.LISTENER or protocol == _UDP:
                self.inodes.add(inode)
                self.mistaken |= bool(flags & records.AGAIN)
            if flags & records.SHARED:
                self.owners.share(owner, inode)
                self._shared.setdefault(inode, (end, uid, recv, send, quality))
            else:
                self._add(owner, (end, uid, recv, send, quality), count)
        counter.clear()

    def _add_holder(self, netns: int, owner: int) -> None:
        self.holders.setdefault(netns, set()).update(self.owners.members(owner))

    def _add_owner(self, key: tuple[int, bytes, int], limit: int, cgroup: int) -> int:
        self._deadline.check()  # a user may have thousands of processes with long names
        pid, comm, started = key
        executable = partial(self._programs.executable, pid, started)
        called = read_name(self._proc, str(pid), comm.split(b"\0", 1)[0], executable)
        if not called.certain and is_hidden(self._proc, pid):
            self.owners.uncertain.add(len(self.owners.processes))
        process = Process(
            pid,
            called.name,
            max(0.0, self._uptime - started),
            count_fds(self._proc, pid),
            cgroup,
        )
        number = self._numbers[key] = self.owners.number(process)
        if limit != records.NO_LIMIT:
            self.fds_limits[len(self.owners.processes) - 1] = limit
        return number

    def _add(self, owner: int, socket: Shared, count: int) -> None:
        end, uid, recv, send, quality = socket
        known_uid = self.uids.get(owner)
        if known_uid is None or uid < known_uid:
            self.uids[owner] = uid
        listening = end[0] == records.LISTENER
        if (recv or send) and not (listening and end[1] == _TCP):
            place = owner, end[8]
            before = self.queues.get(place, (0, 0))
            self.queues[place] = before[0] + recv * count, before[1] + send * count
        if listening:
            self._listeners += [(owner, end, recv, send)] * count
            return
        key = owner, end
        known = self._counts.get(key)
        if known is None and len(self._counts) >= MAX_ENDPOINTS:
            key = owner, self._without_endpoint(end)
            known = self._counts.get(key)
        self._counts[key] = (known or 0) + count
        if quality:
            add_to(self._qualities, key, quality)

    def _without_endpoint(self, end: End) -> End:
        """Return *end* without what may be distinct for each socket.

        Enough stays to tell the direction once all listeners are known: the local end
        where the program gave one, and whether the remote port may be the kernel's choice.
        """
        self.overflowed = True
        kind, protocol, family, state, local_port, remote_port, bound, address, netns, device = end
        if kind == records.INBOUND:  # a proxy that takes any address (TPROXY)
            return kind, protocol, family, state, local_port, 0, bound, b"", netns, 0
        low, high, _ = self._ports
        remote_port = low if low <= remote_port <= high else 0
        if kind == records.OUTBOUND:
            bound = device = 0
        elif not family:
            bound = fold_address(address[4:8])
        return kind, protocol, family, state, local_port, remote_port, bound, b"", netns, device

    def listeners(self, device_name: DeviceName) -> list[ListenerSocket]:
        """Return the listening TCP and bound UDP sockets."""
        found = []
        for owner, end, recv, send in self._listeners:
            _, protocol, family, _, port, _, bound, address, netns, _ = end
            tcp = protocol == _TCP
            found.append(
                ListenerSocket(
                    PROTOCOL_NAMES[protocol],
                    netns,
                    address if family else address[:4],
                    port,
                    device_name(netns, bound),
                    owner,
                    recv if tcp else None,
                    send if tcp else None,
                )
            )
        return found

    def requests(self, device_name: DeviceName) -> Iterator[tuple[Connection, int]]:
        """Yield what connections in SYN_RECV count as, in other namespaces than the own.

        Their listeners tell how many; those of the own one netlink tells, one by one.
        """
        for _, end, _, _ in self._listeners:
            _, protocol, family, _, port, _, bound, address, netns, requests = end
            if netns and protocol == _TCP and requests:
                server = address if family else address[:4]
                device = device_name(netns, bound)
                state = TcpState.SYN_RECV.value
                key = Connection("tcp", netns, NOBODY, state, INBOUND, server, port, device)
                yield key, requests

    def connections(
        self,
        into: dict[Connection, int],
        qualities: dict[Connection, Quality],
        listeners: Iterable[ListenerSocket],
        device_name: DeviceName,
    ) -> None:
        """Move the counts to *into*; *listeners* are all that there are."""
        resolver = Resolver(listeners, self._ports, device_name)
        while self._counts:  # both at once would be the peak of a crawler's memory
            counted, count = self._counts.popitem()
            key = resolver.connection(*counted)
            into[key] = into.get(key, 0) + count
            quality = self._qualities.pop(counted, 0)
            if quality:
                add_to(qualities, key, quality)


def count_fds(proc: str, pid: int) -> int | None:
    """Return how many descriptors a process has open: the size of its folder since 6.2."""
    try:
        return os.stat(f"{proc}/{pid}/fd").st_size or None
    except OSError:
        return None
