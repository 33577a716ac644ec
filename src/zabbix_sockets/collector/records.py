"""From the BPF iterator's records to the model: the fold of a million records a second.

Equal sockets of one process give equal bytes, so whole records are counted as they come,
unread, by a Counter; only distinct ones are ever decoded. The Counter is emptied when it
grows, so memory stays bounded however many endpoints there are.
"""

import os
import struct
from _socket import AF_INET, AF_INET6
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from zabbix_sockets.fold import MAX_ENDPOINTS, unmapped
from zabbix_sockets.model import (
    INBOUND,
    OUTBOUND,
    UNKNOWN,
    Connection,
    ListenerSocket,
    PortRange,
    Process,
    TcpState,
)
from zabbix_sockets.owners import Owners
from zabbix_sockets.readers import bpf
from zabbix_sockets.readers.bpf import Record
from zabbix_sockets.readers.process import read_name

_MAX_DISTINCT = 32768  # records in the Counter before it is emptied; 350 bytes each
_PROTOCOLS = {6: "tcp", 17: "udp"}
_LISTENING = {"tcp": TcpState.LISTEN.value, "udp": TcpState.CLOSE.value}
_WORDS = struct.Struct("=IIII")
_FOLD = (1, 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_MAPPED = bytes(10) + b"\xff\xff"
_WILDCARDS = {AF_INET: bytes(4), AF_INET6: bytes(16)}


class _End(NamedTuple):
    """What tells two counted sockets of one owner apart; see struct record."""

    kind: int
    protocol: str
    family: int
    state: int
    local_port: int
    remote_port: int
    bound: int
    address: bytes


class _Shared(NamedTuple):
    """A socket that may have several owners: kept until all records are read."""

    end: _End
    uid: int
    recv_queue: int
    send_queue: int


def fold_address(address: bytes) -> int:
    """Return the number by which the BPF program tells local IPv6 addresses apart."""
    if len(address) == 4:  # noqa: PLR2004
        address = _MAPPED + address
    folded = 0
    for word, factor in zip(_WORDS.unpack(address), _FOLD, strict=True):
        folded ^= word * factor & 0xFFFFFFFF
    return folded


class RecordFold:
    """Sums of one namespace's records, and who owns them.

    Args:
        netns: inode number of the namespace; records of others are passed over.
        uptime: seconds since boot.
        ports: the ephemeral ports of the namespace.
        proc: where procfs is mounted; names that the kernel cut are completed from there.
    """

    def __init__(self, netns: int, uptime: float, ports: PortRange, proc: str) -> None:
        self.owners = Owners()
        self.fds_limits: dict[int, int] = {}
        self.queues: dict[int, tuple[int, int]] = {}
        self.uids: dict[int, int] = {}
        self.inodes: set[int] = set()  # of listeners and UDP sockets
        self.overflowed = False
        self._netns = netns
        self._uptime = uptime
        self._ports = ports
        self._proc = proc
        self._numbers: dict[tuple[int, bytes, int], int] = {}  # pid, comm, start: owner
        self._listeners: list[tuple[int, _End, int, int]] = []
        self._shared: dict[int, _Shared] = {}
        self._counts: dict[tuple[int, _End], int] = {}

    def add(self, chunks: Iterable[bpf.Chunk]) -> None:
        """Count all records of *chunks*."""
        counter: Counter[tuple[bytes]] = Counter()
        unpack, update = bpf.WHOLE_RECORD.iter_unpack, counter.update
        for chunk in chunks:
            update(unpack(chunk))
            if len(counter) > _MAX_DISTINCT:
                self._drain(counter)
        self._drain(counter)
        for inode, socket in self._shared.items():
            self._add(self.owners.by_inode[inode], socket, 1)
        self._shared.clear()

    def _drain(self, counter: "Counter[tuple[bytes]]") -> None:
        for (data,), count in counter.items():
            record = bpf.decode_record(data)
            if record.netns == self._netns and record.protocol in _PROTOCOLS:
                self._add_record(record, count)
        counter.clear()

    def _add_record(self, record: Record, count: int) -> None:
        owner = self._owner(record)
        socket = _Shared(_end_of(record), record.uid, record.recv_queue, record.send_queue)
        if record.kind == bpf.LISTENER or record.protocol != 6:  # noqa: PLR2004
            self.inodes.add(record.inode)
        if record.flags & bpf.SHARED:
            self.owners.share(owner, record.inode)
            self._shared.setdefault(record.inode, socket)
        else:
            self._add(owner, socket, count)

    def _owner(self, record: Record) -> int:
        key = record.pid, record.comm, record.started
        number = self._numbers.get(key)
        if number is None:
            pid = str(record.pid)
            process = Process(
                record.pid,
                read_name(self._proc, pid, record.comm),
                max(0.0, self._uptime - record.started),
                _count_fds(self._proc, pid),
            )
            number = self._numbers[key] = self.owners.number(process)
            if record.fds_limit != bpf.NO_LIMIT:
                self.fds_limits[len(self.owners.processes) - 1] = record.fds_limit
        return number

    def _add(self, owner: int, socket: _Shared, count: int) -> None:
        end, uid, recv, send = socket
        self.uids[owner] = min(uid, self.uids.get(owner, uid))
        listening = end.state == _LISTENING[end.protocol]
        if listening:
            self._listeners += [(owner, end, recv, send)] * count
        if (recv or send) and not (listening and end.protocol == "tcp"):
            before = self.queues.get(owner, (0, 0))
            self.queues[owner] = before[0] + recv * count, before[1] + send * count
        if listening:
            return
        key = owner, end
        known = self._counts.get(key)
        if known is None and len(self._counts) >= MAX_ENDPOINTS:
            key = owner, self._without_endpoint(end)
            known = self._counts.get(key)
        self._counts[key] = (known or 0) + count

    def _without_endpoint(self, end: _End) -> _End:
        """Return *end* without what may be distinct for each socket.

        Enough stays to tell the direction once all listeners are known: the local end
        where the program gave one, and whether the remote port may be the kernel's choice.
        """
        self.overflowed = True
        if end.kind == bpf.INBOUND:  # a proxy that takes any address (TPROXY)
            return end._replace(address=b"")
        low, high, _ = self._ports
        remote_port = low if low <= end.remote_port <= high else 0
        bound = end.bound if end.kind == bpf.UNDECIDED else 0
        return end._replace(address=b"", bound=bound, remote_port=remote_port)

    def listeners(self, device_name: Callable[[int], str]) -> list[ListenerSocket]:
        """Return the listening TCP and bound UDP sockets."""
        return [
            ListenerSocket(
                end.protocol,
                "",
                end.address,
                end.local_port,
                device_name(end.bound),
                owner,
                recv if end.protocol == "tcp" else None,
                send if end.protocol == "tcp" else None,
            )
            for owner, end, recv, send in self._listeners
        ]

    def connections(
        self,
        into: dict[Connection, int],
        listeners: Iterable[ListenerSocket],
        device_name: Callable[[int], str],
    ) -> None:
        """Add the counts to *into*; *listeners* are all of the namespace."""
        resolver = _Resolver(listeners, self._ports, device_name)
        for (owner, end), count in self._counts.items():
            key = resolver.connection(owner, end)
            into[key] = into.get(key, 0) + count


def _end_of(record: Record) -> _End:
    family = AF_INET6 if record.flags & bpf.IPV6 else AF_INET
    local = record.kind in (bpf.LISTENER, bpf.INBOUND)
    address, bound = record.address, record.bound
    if family == AF_INET:
        if not local:
            bound = fold_address(address[4:8])
        address = address[:4]
    return _End(
        record.kind,
        _PROTOCOLS[record.protocol],
        family,
        record.state,
        record.local_port,
        record.remote_port,
        bound,
        address,
    )


def _count_fds(proc: str, pid: str) -> int | None:
    """Return how many descriptors a process has open: the size of its folder since 6.2."""
    try:
        return os.stat(f"{proc}/{pid}/fd").st_size or None
    except OSError:
        return None


class _Resolver:
    """Directions and listeners of counted sockets, once all listeners are known."""

    def __init__(
        self,
        listeners: Iterable[ListenerSocket],
        ports: PortRange,
        device_name: Callable[[int], str],
    ) -> None:
        self._ports = ports
        self._device_name = device_name
        # By protocol, family and port: addresses by themselves and by their fold.
        self._servers: dict[tuple[str, int, int], dict[bytes | int, bytes]] = {}
        for listener in listeners:
            address = listener.address
            family = AF_INET if len(address) == 4 else AF_INET6  # noqa: PLR2004
            servers = self._servers.setdefault((listener.protocol, family, listener.port), {})
            servers[address] = servers[fold_address(address)] = address

    def _server(self, end: _End, local: bytes | int) -> bytes | None:
        servers = self._servers.get((end.protocol, end.family, end.local_port), {})
        wildcard = _WILDCARDS[end.family]
        return servers.get(local) or servers.get(wildcard)

    def connection(self, owner: int, end: _End) -> Connection:
        protocol, state = end.protocol, end.state
        if end.kind == bpf.INBOUND:
            server = self._server(end, end.address)
            if server is None:  # its listener has closed
                return Connection(protocol, "", owner, state, INBOUND)
            device = self._device_name(end.bound)
            return Connection(protocol, "", owner, state, INBOUND, server, end.local_port, device)
        if end.kind == bpf.UNDECIDED:
            server = self._server(end, end.bound)
            if server is not None:
                return Connection(protocol, "", owner, state, INBOUND, server, end.local_port)
        return self._outbound(owner, end)

    def _outbound(self, owner: int, end: _End) -> Connection:
        low, high, _ = self._ports
        ephemeral = end.kind == bpf.OUTBOUND or low <= end.local_port <= high
        if not ephemeral and low <= end.remote_port <= high:
            return Connection(end.protocol, "", owner, end.state, UNKNOWN)
        if not end.address:
            return Connection(end.protocol, "", owner, end.state, OUTBOUND)
        return Connection(
            end.protocol,
            "",
            owner,
            end.state,
            OUTBOUND,
            unmapped(end.address),
            end.remote_port,
            source=end.bound.to_bytes(4),
            ephemeral=ephemeral,
        )
