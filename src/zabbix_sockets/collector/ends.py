"""The ends of counted sockets: whose connection each is, once all listeners are known."""

import struct
from _socket import AF_INET, AF_INET6
from collections.abc import Iterable

from zabbix_sockets.addresses import unmapped
from zabbix_sockets.fold import DeviceName
from zabbix_sockets.model import (
    INBOUND,
    OUTBOUND,
    UNKNOWN,
    Connection,
    ListenerSocket,
    PortRange,
)
from zabbix_sockets.readers import bpf

PROTOCOL_NAMES = {6: "tcp", 17: "udp"}
_WORDS = struct.Struct("=IIII")
_FOLD = (1, 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_MAPPED = bytes(10) + b"\xff\xff"
_WILDCARDS = {AF_INET: bytes(4), AF_INET6: bytes(16)}

End = tuple[int, int, int, int, int, int, int, bytes, int]
"""What tells two counted sockets of one owner apart, as in struct record: kind, protocol,
flags & IPV6, state, local port, remote port, bound, address, namespace (OWN_NETNS: the own).
No names: a tuple is made for each distinct record."""


def fold_address(address: bytes) -> int:
    """Return the number by which the BPF program tells local IPv6 addresses apart."""
    if len(address) == 4:  # noqa: PLR2004
        address = _MAPPED + address
    folded = 0
    for word, factor in zip(_WORDS.unpack(address), _FOLD, strict=True):
        folded ^= word * factor & 0xFFFFFFFF
    return folded


class Resolver:
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
        """Return what an owner's socket counts as."""
        kind, number, ipv6, state, local_port, _, bound, address, netns = end
        protocol, family = PROTOCOL_NAMES[number], AF_INET6 if ipv6 else AF_INET
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
