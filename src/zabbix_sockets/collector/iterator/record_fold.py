"""Sums over the BPF iterator's records: a million records a second.

Equal sockets of one process give equal bytes, so records are counted undecoded, as they come; only
distinct ones are decoded. A record has two parts, the socket and its round-trip time and
retransmissions, which are decoded apart: busy connections differ in the latter alone. The counts
are emptied when they grow, so memory stays bounded however many endpoints there are.
"""

from __future__ import annotations

from _collections_abc import Iterable, Iterator, Mapping
from _socket import AF_INET, AF_INET6

from zabbix_sockets.collector.directions import DirectionsByTable
from zabbix_sockets.collector.iterator.record_owners import RecordOwners
from zabbix_sockets.collector.iterator.unix_fold import UnixFold
from zabbix_sockets.collector.sums import MAX_DISTINCT, MAX_ENDPOINTS, Sums
from zabbix_sockets.model.addresses import fold_address, unmapped
from zabbix_sockets.model.errors import DeadlineError
from zabbix_sockets.model.light_library import cache, count_elements, partial
from zabbix_sockets.model.quality import VALUES, Quality, add_to, sample
from zabbix_sockets.model.snapshot import (
    ACTIVE_WITHIN_CHOICES,
    INBOUND,
    OUTBOUND,
    Connection,
    DeviceName,
    ListenerSocket,
    PortRange,
    Snapshot,
)
from zabbix_sockets.model.wire import (
    OWN_NETNS,
    PROTOCOL_NAMES,
    PROTOCOL_NUMBERS,
    Encoding,
    TcpState,
)
from zabbix_sockets.readers.bpf import records

ENCODING = Encoding(
    address=lambda address: address if isinstance(address, bytes) else b"",
    port=lambda port: port,
    wildcard={AF_INET: bytes(4), AF_INET6: bytes(16)},
)
"""Ports and addresses of records are as the model has them."""
_MAX_SAMPLES = 4096  # kept to be found again
_CLOSE_WAIT = TcpState.CLOSE_WAIT
_TCP, _UDP = PROTOCOL_NUMBERS["tcp"], PROTOCOL_NUMBERS["udp"]
_KERNEL_DIRECTIONS = {records.KIND_INBOUND: INBOUND, records.KIND_OUTBOUND: OUTBOUND}
"""The kernel's own decision of a connection's direction (collector.directions), by the record's
kind."""

RecordKey = tuple[int, int, int, int, int, int, int, int, bytes, int, int]
"""The key of equal sockets, its items as in struct record: owner's number, kind, protocol,
flags & IPV6, state, local port, remote port, bound, address, namespace (OWN_NETNS: the own),
requests (KIND_LISTENER) or device (where address is the remote one; the others have it as bound).
It is no NamedTuple, since one is made for each distinct record."""

RecordListener = tuple[RecordKey, int, int, int]
"""A listener's key, accept queue and backlog (UDP: receive and send queue in bytes), and inode."""

SharedSocket = tuple[RecordKey, int, int, int, Quality]
"""A socket that may have more owners than the key's: its key, uid, receive queue, send queue, and
sample of round-trip time and retransmissions."""


class RecordFold:
    """The sums of the iterator's records.

    Args:
        netns: inode number of the caller's network namespace.
        ports: the ephemeral ports of that namespace; others are taken to have the same.
        owners: the owners, to which the processes of the records are added.
        own_only: skip the records of other namespaces.
        active_within: round-trip times and retransmissions are those of the connections that sent
            or received data in the last so many seconds, one of ACTIVE_WITHIN_CHOICES; 0: of none.

    Attributes:
        complete: every record was counted; else the time was over before an owner's name was read.
        fds_limits: the soft RLIMIT_NOFILE by the index of the process.
        inodes: the inodes of listeners and UDP sockets.
        has_requests: there are connections in SYN_RECV in the own namespace.
        requests: the listeners of other namespaces, each with the number of its connections in
            SYN_RECV.
        needs_second_pass: inbound connections may be among the outbound ones, so the records have
            to be read a second time.
        holders: the indices of the processes that hold sockets of another namespace, by its number.
        unix: the sums of the unix sockets.
    """

    def __init__(
        self,
        netns: int,
        ports: PortRange,
        owners: RecordOwners,
        *,
        own_only: bool = False,
        active_within: int = 0,
    ) -> None:
        self.owners = owners
        self.sums: Sums[RecordListener, RecordKey] = Sums(self._without_endpoint, MAX_ENDPOINTS)
        self.complete = True
        self.fds_limits: dict[int, int] = {}
        self.inodes: set[int] = set()
        self.has_requests = False
        self.requests: list[tuple[ListenerSocket, int]] = []
        self.needs_second_pass = False
        self.holders: dict[int, set[int]] = {}
        self.unix = UnixFold(netns, owners, self._add_owner, own_only=own_only)
        self._netns = netns
        self._own_only = own_only
        self._ports = ports
        self._shared: dict[int, SharedSocket] = {}
        self._drops: dict[int, tuple[RecordKey, int]] = {}  # by inode; only those with some
        self._idle_classes = sum(seconds <= active_within for seconds in ACTIVE_WITHIN_CHOICES)
        self._samples: dict[bytes, Quality] = {}

    def add(self, chunks: Iterable[memoryview | bytes]) -> None:
        """Add the records of *chunks* to the sums.

        Sockets that may have several owners follow at the end, when all of these are known. If the
        deadline passes while an owner's name has still to be read, *complete* is False then.
        """
        try:
            self._add_chunks(chunks)
        except DeadlineError:
            self.complete = False
        for inode, (key, *socket) in self._shared.items():
            self._add((self.owners.by_inode[inode], *key[1:]), inode, *socket)
        self._shared.clear()
        for inode, (key, drops) in self._drops.items():
            self.sums.add_drops(self.owners.by_inode.get(inode, key[0]), key[9], drops)

    def _add_chunks(self, chunks: Iterable[memoryview | bytes]) -> None:
        """Count equal records undecoded; add the distinct ones whenever they are many, and last.

        Raises:
            DeadlineError: as _drain().
        """
        counted: dict[tuple[bytes], int] = {}
        layout = records.RECORD if self._idle_classes else records.RECORD_WITHOUT_QUALITY
        unpack = layout.iter_unpack
        for chunk in chunks:
            count_elements(counted, unpack(chunk))
            if len(counted) > MAX_DISTINCT:
                self._drain(counted)
        self._drain(counted)

    def _sockets(self, counted: dict[tuple[bytes], int]) -> Iterator[tuple[bytes, int, Quality]]:
        """Yield each distinct socket, the number of such ones, and the sum of their samples."""
        counts: dict[bytes, int] = {}
        qualities: dict[bytes, Quality] = {}
        sample_of, length = self._samples.get, records.SOCKET.size
        for (record,), count in counted.items():
            data, figures = record[:length], record[length:]
            counts[data] = counts.get(data, 0) + count
            quality = sample_of(figures)
            if quality is None:
                quality = self._sample(figures)
            if not quality:
                continue
            if data[records.FLAGS_AT] & records.SHARED:
                qualities[data] = quality  # it is one socket, however often it comes
            else:
                add_to(qualities, data, quality * count if count > 1 else quality)
        for data, count in counts.items():
            yield data, count, qualities.get(data, 0)

    def _sample(self, figures: bytes) -> Quality:
        """Return the sample in *figures*, the second part of a record, and keep it."""
        quality = 0
        if figures:
            rtt, idle, receiver, sender, retransmitting, retransmits, lost = records.QUALITY.unpack(
                figures
            )
            if 0 < idle <= self._idle_classes:
                limited = VALUES[receiver], VALUES[sender]
                quality = sample(rtt, bool(retransmitting), retransmits, lost, limited)
        if len(self._samples) >= _MAX_SAMPLES:
            self._samples.clear()
        self._samples[figures] = quality
        return quality

    def _drain(self, counted: dict[tuple[bytes], int]) -> None:
        """Add the distinct records to the sums, and empty their counts.

        With a crawler or many forks each record is distinct.

        Raises:
            DeadlineError: the time is over, and the owner of a record has no name yet.
            ParseError: one is no record.
        """
        unpack, netns, numbers = records.SOCKET.unpack, self._netns, self.owners.numbers
        for data, count, quality in self._sockets(counted):
            (
                pid, where, cgroup, uid, kind, state, protocol, flags, local_port, remote_port,
                bound, comm, address, recv, send, inode, started, limit, requests_or_device,
            ) = unpack(data)  # fmt: skip
            if (
                not records.KIND_LISTENER <= kind <= records.KIND_UNDECIDED
                or protocol not in PROTOCOL_NAMES
            ):
                self.unix.add(data, kind, count)  # or it is no record
                continue
            if where == netns:
                where = OWN_NETNS
            elif self._own_only:
                continue
            process = pid, comm, started
            owner = numbers.get(process) or self._add_owner(process, limit, cgroup)
            if where:
                self._add_holder(where, owner)
            elif requests_or_device and kind == records.KIND_LISTENER:
                self.has_requests = True
            key = (
                owner, kind, protocol, flags & records.IPV6, state,
                local_port, remote_port, bound, address, where, requests_or_device,
            )  # fmt: skip
            if kind == records.KIND_LISTENER or protocol == _UDP:
                if flags & records.DROPS:
                    self._drops[inode] = key, recv
                    continue
                self.inodes.add(inode)
                self.needs_second_pass |= bool(flags & records.AGAIN)
            if flags & records.SHARED:
                self.owners.share(owner, inode)
                self._shared.setdefault(inode, (key, uid, recv, send, quality))
            else:
                self._add(key, inode, uid, recv, send, quality, count)
        counted.clear()

    def _add_holder(self, netns: int, owner: int) -> None:
        self.holders.setdefault(netns, set()).update(self.owners.members(owner))

    def _add_owner(self, key: tuple[int, bytes, int], limit: int, cgroup: int) -> int:
        number = self.owners.add_process(key, cgroup)
        index = len(self.owners.processes) - 1
        if limit != records.NO_LIMIT:
            self.owners.count_fds(index)
            self.fds_limits[index] = limit
        return number

    def _add(  # a socket's fields; a tuple of them would be made for each
        self,
        key: RecordKey,
        inode: int,
        uid: int,
        recv: int,
        send: int,
        quality: Quality,
        count: int = 1,
    ) -> None:
        """Add *count* equal sockets; *quality* is the sum of their samples."""
        listening = key[1] == records.KIND_LISTENER
        if (recv or send) and not (listening and key[2] == _TCP):
            self.sums.add_queues(key[0], key[9], recv * count, send * count)
        if listening:
            self.sums.add_listener(key[0], (key, recv, send, inode), uid, count)
        elif key[4] == _CLOSE_WAIT and key[1] == records.KIND_INBOUND:
            self.sums.add_with_remote(key, _without_remote(key), uid, count)
        else:
            self.sums.add(key, uid, count, quality)

    def _without_endpoint(self, key: RecordKey) -> RecordKey:
        """Return a connection's key without the items that may be distinct for each socket.

        The items stay that decide the direction once all listeners are known: the local address
        and port, and whether the kernel may have picked the remote port.
        """
        (
            owner, kind, protocol, ipv6, state, local_port, remote_port,
            bound, address, netns, device,
        ) = key  # fmt: skip
        head = owner, kind, protocol, ipv6, state, local_port
        if kind == records.KIND_INBOUND:  # a proxy that takes any address (TPROXY)
            bound = 0 if state == _CLOSE_WAIT else bound
            return *head, 0, bound, b"", netns, 0
        remote_port = self._ports.low if self._ports.has(remote_port) else 0
        if kind == records.KIND_OUTBOUND:
            bound = device = 0
        elif not ipv6:
            bound = fold_address(address[4:8])
        return *head, remote_port, bound, b"", netns, device

    def move_unix(self, snapshot: Snapshot) -> None:
        """Move the unix sockets to the Snapshot, before the owners and namespaces are moved."""
        self.unix.move(snapshot)
        assert snapshot.unix
        for listener in snapshot.unix.listeners:
            if listener.netns:
                self._add_holder(listener.netns, listener.owner)

    def move_listeners(self, snapshot: Snapshot, device_name: DeviceName) -> None:
        """Move the listening TCP and bound UDP sockets to the Snapshot."""
        listener_of = partial(_listener, device_name, self._drops)
        for each in self.sums.listeners:
            (_, _, protocol, *_, netns, requests), *_ = each
            if netns and protocol == _TCP and requests:
                self.requests.append((listener_of(each), requests))
        self.sums.move_listeners(snapshot, listener_of)

    def move(self, snapshot: Snapshot, device_name: DeviceName) -> None:
        """Move all other sums to the Snapshot, which has the listeners of all sources by then."""
        directions = DirectionsByTable(snapshot.listeners, ENCODING, self._ports)
        source_of = cache(fold_address)

        def connection_of(key: RecordKey) -> Connection:
            (
                owner, kind, number, ipv6, state, local_port, remote_port,
                bound, address, netns, device,
            ) = key  # fmt: skip
            protocol, kernel_direction = PROTOCOL_NAMES[number], _KERNEL_DIRECTIONS.get(kind)
            table = directions.table(protocol, AF_INET6 if ipv6 else AF_INET, netns)
            if kernel_direction == INBOUND and state != _CLOSE_WAIT:
                local: bytes | int = address if ipv6 else address[:4]
                device = bound
            elif address and not ipv6:
                local = bound = source_of(address[4:8])
                address = address[:4]
            else:
                local = bound
            direction, server = table.of(local_port, local, remote_port, kernel_direction)
            head = protocol, netns, owner, state, direction
            has_remote = state == _CLOSE_WAIT and direction != OUTBOUND and address
            remote = unmapped(address) if has_remote else None
            if server is not None:
                server_end = ENCODING.address(server), local_port, device_name(netns, device)
                return Connection(*head, *server_end, remote=remote)
            if direction != OUTBOUND or not address:
                return Connection(*head, remote=remote)
            endpoint = unmapped(address), remote_port, device_name(netns, device)
            ephemeral = kernel_direction == OUTBOUND or bool(table.ephemeral[local_port])
            return Connection(*head, *endpoint, source=bound, ephemeral=ephemeral)

        self.sums.move(snapshot, connection_of)


def _without_remote(key: RecordKey) -> RecordKey:
    """Return the key of an inbound connection in CLOSE_WAIT without the remote address.

    The local address stays, as its number (addresses.fold_address).
    """
    *head, bound, address, netns, device = key
    _, _, _, ipv6, *_ = key
    bound = bound if ipv6 else fold_address(address[4:8])
    return (*head, bound, b"", netns, device)  # type: ignore[return-value]  # a tuple of the same


def _listener(
    device_name: DeviceName, drops: Mapping[int, tuple[RecordKey, int]], listener: RecordListener
) -> ListenerSocket:
    """Return a listener as a ListenerSocket.

    *device_name* names its device; *drops* has by inode, last, what was dropped at a socket.
    """
    key, recv, send, inode = listener
    owner, _, number, ipv6, _, port, _, bound, address, netns, _ = key
    head = netns, address if ipv6 else address[:4], port, device_name(netns, bound), owner
    dropped = drops[inode][1] if inode in drops else 0
    if number == _UDP:
        return ListenerSocket("udp", *head, None, None, recv, dropped)
    return ListenerSocket("tcp", *head, recv, send, None, dropped)
