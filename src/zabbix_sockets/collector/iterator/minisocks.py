"""Sums over the records of TCP sockets without a file, such as those in TIME_WAIT.

Equal sockets give equal bytes, so they are counted undecoded, as they come. They are all of
the caller's own network namespace, and nobody's.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6

from zabbix_sockets.collector.directions import DirectionsByTable
from zabbix_sockets.collector.iterator.record_fold import ENCODING
from zabbix_sockets.collector.sums import MAX_DISTINCT, MAX_ENDPOINTS, Sums
from zabbix_sockets.model.addresses import IPV4_LENGTH, unmapped
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.light_library import count_elements
from zabbix_sockets.model.snapshot import (
    NOBODY,
    OUTBOUND,
    Connection,
    DeviceName,
    Snapshot,
)
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.readers.bpf.minisocks import (
    BOTH_ENDS,
    IPV6,
    LOCAL_END,
    MINISOCK,
    MINISOCK_BYTES,
    REMOTE_END,
    REMOTE_PORT_EPHEMERAL,
)
from zabbix_sockets.readers.bpf.records import read_chunks

_UID = 0  # the uid that netlink reports of sockets in TIME_WAIT, which nearly all are
_NO_ADDRESS = bytes(16)

MinisockKey = tuple[int, int, int, int, int, int, int, int, bytes]
"""The key of equal sockets: NOBODY, and the fields of struct minisock: kind, state, flags, local
port, remote port, the local address as a number (addresses.fold_address), device, remote address.
It is no NamedTuple, since one is made for each distinct record."""


class MinisockFold:
    """The sums of the records of sockets without a file.

    Args:
        states: the mask of the states whose sockets are counted.
    """

    def __init__(self, states: int) -> None:
        self._states = states
        self._sums: Sums[None, MinisockKey] = Sums(_without_endpoint, MAX_ENDPOINTS)

    def read(self, fd: int, deadline: Deadline) -> None:
        """Add the records of the iterator *fd* to the sums, and close it.

        Raises:
            DeadlineError, OSError, ParseError: as read_chunks(); what was read by then is added.
        """
        counted: dict[tuple[bytes], int] = {}
        unpack = MINISOCK_BYTES.iter_unpack
        try:
            for chunk in read_chunks(fd, MINISOCK.size, deadline):
                count_elements(counted, unpack(chunk))
                if len(counted) > MAX_DISTINCT:
                    self._drain(counted)
        finally:
            self._drain(counted)

    def _drain(self, counted: dict[tuple[bytes], int]) -> None:
        """Add the distinct records to the sums, and empty *counted*."""
        unpack, add, states = MINISOCK.unpack, self._sums.add, self._states
        for (data,), count in counted.items():
            kind, state, *fields = unpack(data)
            if states >> state & 1:
                add((NOBODY, kind, state, *fields), _UID, count)
        counted.clear()

    def move(self, snapshot: Snapshot, device_name: DeviceName) -> None:
        """Move the sums to the Snapshot, which has the listeners of all sources by then.

        *device_name* names the devices by namespace and index.
        """
        directions = DirectionsByTable(snapshot.listeners, ENCODING, snapshot.ports)

        def connection_of(key: MinisockKey) -> Connection:
            _, kind, state, flags, local_port, remote_port, local, device, address = key
            table = directions.table("tcp", AF_INET6 if flags & IPV6 else AF_INET, OWN_NETNS)
            if kind == LOCAL_END and flags & REMOTE_PORT_EPHEMERAL:
                remote_port = snapshot.ports.low
            decided = OUTBOUND if kind == REMOTE_END else None
            direction, server = table.of(local_port, local, remote_port, decided)
            head = "tcp", OWN_NETNS, NOBODY, state, direction
            if server is not None:
                server_end = ENCODING.address(server), local_port, device_name(OWN_NETNS, device)
                return Connection(*head, *server_end)
            if direction != OUTBOUND or address == _NO_ADDRESS:
                return Connection(*head)
            packed = unmapped(address) if flags & IPV6 else address[:IPV4_LENGTH]
            endpoint = packed, remote_port, device_name(OWN_NETNS, device)
            return Connection(*head, *endpoint, source=local, ephemeral=True)

        self._sums.move(snapshot, connection_of)


def _without_endpoint(key: MinisockKey) -> MinisockKey:
    """Return a key without the items that may be distinct for each socket.

    A record with both ends keeps its local one, which decides its direction.
    """
    owner, kind, state, flags, local_port, _, local, device, _ = key
    if kind == BOTH_ENDS:
        return owner, kind, state, flags, local_port, 0, local, device, _NO_ADDRESS
    if kind == REMOTE_END:
        return owner, kind, state, flags, 0, 0, 0, 0, _NO_ADDRESS
    return key
