"""The ends of counted sockets: whose connection each is, once all listeners are known."""

from _socket import AF_INET, AF_INET6
from collections.abc import Iterable

from zabbix_sockets.model.addresses import fold_address, unmapped
from zabbix_sockets.model.snapshot import (
    INBOUND,
    OUTBOUND,
    UNKNOWN,
    Connection,
    DeviceName,
    ListenerSocket,
    PortRange,
)
from zabbix_sockets.readers.bpf import records

PROTOCOL_NAMES = {6: "tcp", 17: "udp"}
_WILDCARDS = {AF_INET: bytes(4), AF_INET6: bytes(16)}

End = tuple[int, int, int, int, int, int, int, bytes, int, int]
"""What tells two counted sockets of one owner apart, as in struct record: kind, protocol,
flags & IPV6, state, local port, remote port, bound, address, namespace (OWN_NETNS: the own),
requests (LISTENER) or device (OUTBOUND, UNDECIDED: the others have it as bound). No names: a
tuple is made for each distinct record."""


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
        kind, number, ipv6, state, local_port, _, bound, address, netns, device = end
        protocol, family = PROTOCOL_NAMES[number], AF_INET6 if ipv6 else AF_INET
        place = netns, protocol, family, local_port
        if kind == records.INBOUND:
            server = self._server(place, address if ipv6 else address[:4])
            if server is None:  # its listener has closed
                return Connection(protocol, netns, owner, state, INBOUND)
            name = self._device_name(netns, bound)
            return Connection(protocol, netns, owner, state, INBOUND, server, local_port, name)
        if address and not ipv6:
            bound, address = fold_address(address[4:8]), address[:4]
        if kind == records.UNDECIDED:
            server = self._server(place, bound)
            if server is not None:
                name = self._device_name(netns, device)
                return Connection(protocol, netns, owner, state, INBOUND, server, local_port, name)
        return self._outbound(owner, protocol, end, address, bound)

    def _outbound(
        self, owner: int, protocol: str, end: End, address: bytes, local: int
    ) -> Connection:
        low, high, _ = self._ports
        kind, _, _, state, local_port, remote_port, _, _, netns, device = end
        ephemeral = kind == records.OUTBOUND or low <= local_port <= high
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
            self._device_name(netns, device),
            source=local,
            ephemeral=ephemeral,
        )
