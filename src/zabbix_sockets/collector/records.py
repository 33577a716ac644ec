"""From the BPF iterator's records to the model: the fold of a million records a second.

Equal sockets of one process give equal bytes, so whole records are counted as they come,
unread, by a Counter; only distinct ones are ever decoded. The Counter is emptied when it
grows, so memory stays bounded however many endpoints there are.
"""

import os
import struct
from _socket import AF_INET, AF_INET6
from collections import Counter
from collections.abc import Iterable

from zabbix_sockets.errors import ParseError
from zabbix_sockets.fold import MAX_ENDPOINTS, DeviceName, unmapped
from zabbix_sockets.model import (
    INBOUND,
    OUTBOUND,
    OWN_NETNS,
    UNKNOWN,
    Connection,
    ListenerSocket,
    PortRange,
    Process,
)
from zabbix_sockets.owners import Owners
from zabbix_sockets.readers import bpf
from zabbix_sockets.readers.process import read_name

_MAX_DISTINCT = 16384  # records in the Counter before it is emptied
_TCP, _UDP = 6, 17
_PROTOCOLS = {_TCP: "tcp", _UDP: "udp"}
_WORDS = struct.Struct("=IIII")
_FOLD = (1, 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_MAPPED = bytes(10) + b"\xff\xff"
_WILDCARDS = {AF_INET: bytes(4), AF_INET6: bytes(16)}


End = tuple[int, int, int, int, int, int, int, bytes, int]
"""What tells two counted sockets of one owner apart, as in struct record: kind, protocol,
flags & IPV6, state, local port, remote port, bound, address, namespace (OWN_NETNS: the own).
No names: a tuple is made for each distinct record."""

Shared = tuple[End, int, int, int]
"""A socket that may have several owners: its end, uid, receive and send queue."""


def fold_address(address: bytes) -> int:
    """Return the number by which the BPF program tells local IPv6 addresses apart."""
    if len(address) == 4:  # noqa: PLR2004
        address = _MAPPED + address
    folded = 0
    for word, factor in zip(_WORDS.unpack(address), _FOLD, strict=True):
        folded ^= word * factor & 0xFFFFFFFF
    return folded


class RecordFold:
    """Sums of records, and who owns them.

    Args:
        netns: inode number of the caller's network namespace.
        uptime: seconds since boot.
        ports: the ephemeral ports of that namespace; others are taken to have the same.
        proc: where procfs is mounted; names that the kernel cut are completed from there.
        own_only: pass over the records of other namespaces.

    Attributes:
        holders: other namespaces: the processes that hold their sockets, as indices.
    """

    def __init__(
        self, netns: int, uptime: float, ports: PortRange, proc: str, *, own_only: bool = False
    ) -> None:
        self.owners = Owners()
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
        self._numbers: dict[tuple[int, bytes, int], int] = {}  # pid, comm, start: owner
        self._listeners: list[tuple[int, End, int, int]] = []
        self._shared: dict[int, Shared] = {}
        self._counts: dict[tuple[int, End], int] = {}

    def add(self, chunks: Iterable[bpf.Chunk]) -> None:
        """Count all records of *chunks*."""
        counter: Counter[tuple[bytes, bytes]] = Counter()
        unpack, update = bpf.RECORD.iter_unpack, counter.update
        for chunk in chunks:
            update(unpack(chunk))
            if len(counter) > _MAX_DISTINCT:
                self._drain(counter)
        self._drain(counter)
        for inode, socket in self._shared.items():
            self._add(self.owners.by_inode[inode], socket, 1)
        self._shared.clear()

    def _drain(self, counter: "Counter[tuple[bytes, bytes]]") -> None:
        """Take over the distinct records; with a crawler or many forks that is each one."""
        unpack, netns, numbers = bpf.SOCKET.unpack, self._netns, self._numbers
        for (data, _), count in counter.items():
            (
                pid, where, cgroup, uid, kind, state, protocol, flags, local_port, remote_port,
                bound, comm, address, recv, send, inode, started, limit, requests,
            ) = unpack(data)  # fmt: skip
            if not bpf.LISTENER <= kind <= bpf.UNDECIDED or protocol not in _PROTOCOLS:
                raise ParseError("BPF record", data)
            if where == netns:
                where = OWN_NETNS
            elif self._own_only:
                continue
            process = pid, comm, started
            owner = numbers.get(process) or self._add_owner(process, limit, cgroup)
            if where:
                self._add_holder(where, owner)
            elif requests:
                self.has_requests = True
            end = (
                kind, protocol, flags & bpf.IPV6, state,
                local_port, remote_port, bound, address, where,
            )  # fmt: skip
            if kind == bpf.LISTENER or protocol == _UDP:
                self.inodes.add(inode)
                self.mistaken |= bool(flags & bpf.AGAIN)
            if flags & bpf.SHARED:
                self.owners.share(owner, inode)
                self._shared.setdefault(inode, (end, uid, recv, send))
            else:
                self._add(owner, (end, uid, recv, send), count)
        counter.clear()

    def _add_holder(self, netns: int, owner: int) -> None:
        self.holders.setdefault(netns, set()).update(self.owners.members(owner))

    def _add_owner(self, key: tuple[int, bytes, int], limit: int, cgroup: int) -> int:
        pid, comm, started = key
        process = Process(
            pid,
            read_name(self._proc, str(pid), comm.split(b"\0", 1)[0]),
            max(0.0, self._uptime - started),
            count_fds(self._proc, pid),
            cgroup,
        )
        number = self._numbers[key] = self.owners.number(process)
        if limit != bpf.NO_LIMIT:
            self.fds_limits[len(self.owners.processes) - 1] = limit
        return number

    def _add(self, owner: int, socket: Shared, count: int) -> None:
        end, uid, recv, send = socket
        known_uid = self.uids.get(owner)
        if known_uid is None or uid < known_uid:
            self.uids[owner] = uid
        listening = end[0] == bpf.LISTENER
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

    def _without_endpoint(self, end: End) -> End:
        """Return *end* without what may be distinct for each socket.

        Enough stays to tell the direction once all listeners are known: the local end
        where the program gave one, and whether the remote port may be the kernel's choice.
        """
        self.overflowed = True
        kind, protocol, family, state, local_port, remote_port, bound, address, netns = end
        if kind == bpf.INBOUND:  # a proxy that takes any address (TPROXY)
            return kind, protocol, family, state, local_port, 0, bound, b"", netns
        low, high, _ = self._ports
        remote_port = low if low <= remote_port <= high else 0
        if kind == bpf.OUTBOUND:
            bound = 0
        elif not family:
            bound = fold_address(address[4:8])
        return kind, protocol, family, state, local_port, remote_port, bound, b"", netns

    def listeners(self, device_name: DeviceName) -> list[ListenerSocket]:
        """Return the listening TCP and bound UDP sockets."""
        found = []
        for owner, end, recv, send in self._listeners:
            _, protocol, family, _, port, _, bound, address, netns = end
            tcp = protocol == _TCP
            found.append(
                ListenerSocket(
                    _PROTOCOLS[protocol],
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

    def connections(
        self,
        into: dict[Connection, int],
        listeners: Iterable[ListenerSocket],
        device_name: DeviceName,
    ) -> None:
        """Move the counts to *into*; *listeners* are all that there are."""
        resolver = _Resolver(listeners, self._ports, device_name)
        while self._counts:  # both at once would be the peak of a crawler's memory
            (owner, end), count = self._counts.popitem()
            key = resolver.connection(owner, end)
            into[key] = into.get(key, 0) + count


def count_fds(proc: str, pid: int) -> int | None:
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
        device_name: DeviceName,
    ) -> None:
        self._ports = ports
        self._device_name = device_name
        # By namespace, protocol, family and port: addresses by themselves and by their fold.
        self._servers: dict[tuple[int, str, int, int], dict[bytes | int, bytes]] = {}
        for listener in listeners:
            address = listener.address
            family = AF_INET if len(address) == 4 else AF_INET6  # noqa: PLR2004
            place = listener.netns, listener.protocol, family, listener.port
            servers = self._servers.setdefault(place, {})
            servers[address] = servers[fold_address(address)] = address

    def _server(self, place: tuple[int, str, int, int], local: bytes | int) -> bytes | None:
        servers = self._servers.get(place, {})
        return servers.get(local) or servers.get(_WILDCARDS[place[2]])

    def connection(self, owner: int, end: End) -> Connection:
        kind, number, ipv6, state, local_port, _, bound, address, netns = end
        protocol, family = _PROTOCOLS[number], AF_INET6 if ipv6 else AF_INET
        place = netns, protocol, family, local_port
        if kind == bpf.INBOUND:
            server = self._server(place, address if ipv6 else address[:4])
            if server is None:  # its listener has closed
                return Connection(protocol, netns, owner, state, INBOUND)
            device = self._device_name(netns, bound)
            return Connection(protocol, netns, owner, state, INBOUND, server, local_port, device)
        if address and not ipv6:
            bound, address = fold_address(address[4:8]), address[:4]
        if kind == bpf.UNDECIDED:
            server = self._server(place, bound)
            if server is not None:
                return Connection(protocol, netns, owner, state, INBOUND, server, local_port)
        return self._outbound(owner, protocol, end, address, bound)

    def _outbound(
        self, owner: int, protocol: str, end: End, address: bytes, local: int
    ) -> Connection:
        low, high, _ = self._ports
        kind, _, _, state, local_port, remote_port, _, _, netns = end
        ephemeral = kind == bpf.OUTBOUND or low <= local_port <= high
        if not ephemeral and low <= remote_port <= high:
            return Connection(protocol, netns, owner, state, UNKNOWN)
        if not address:
            return Connection(protocol, netns, owner, state, OUTBOUND)
        return Connection(
            protocol,
            netns,
            owner,
            state,
            OUTBOUND,
            unmapped(address),
            remote_port,
            source=local.to_bytes(4),
            ephemeral=ephemeral,
        )
