"""The direction of a connection: inbound, outbound or unknown. These rules alone decide it.

Directions.of() applies them to one connection. Hot loops can't afford a call for each socket; where
the local port alone decides, they look the decision up by the port (by_port() and accepting).

The first of these that holds decides:

1. The kernel's own decision, which only records of the BPF iterator have: an accepted socket has
   inherited a backlog from its listener, so its connection is inbound, even if the listener has
   closed since. A socket whose local port connect(2) chose is outbound. (set_tcp() of
   record.bpf.h; what has no backlog and bound its port itself is left to the rules below.)
2. A listening TCP socket, or a UDP socket that is bound and not connected, has the connection's
   local port, and its local address or the wildcard one: it is inbound. The listener is one of
   the same table: network namespace, protocol and family. (An IPv4 connection to a listener on ::
   is a row of the IPv6 table, with a mapped address.)
3. The local port is one that the kernel picks (ip_local_port_range), or the remote port is none
   of these: it is outbound.
4. A local port that no kernel picks, and a remote one that it might: probably the connection of a
   listener that has closed. It is unknown, and never an upstream.

No rule is needed where a listener's own figures tell of connections: those that wait in its accept
queue, or are in SYN_RECV, are inbound. Of those that the kernel merely counts the direction is
unknown (both: iterator.unseen). The totals are counted in the kernel, where what rules 1 and 2
leave open is outbound (remember() of totals.bpf.c). Unix sockets have no ports: the names of
listeners decide (single_unix, unix_sums).
"""

from __future__ import annotations

from _collections_abc import Iterable

from zabbix_sockets.model.addresses import family_of, fold_address
from zabbix_sockets.model.light_library import cache
from zabbix_sockets.model.light_typing import Optional
from zabbix_sockets.model.snapshot import (
    INBOUND,
    OUTBOUND,
    UNKNOWN,
    ListenerSocket,
    PortRange,
)
from zabbix_sockets.model.wire import AddressToken, Encoding

Direction = tuple[str, Optional[AddressToken]]
"""A direction (INBOUND, OUTBOUND or UNKNOWN) and, for an inbound connection, the address of the
listener that accepted it; None where that listener has closed, and for the other directions."""

_INBOUND, _OUTBOUND, _UNKNOWN = (INBOUND, None), (OUTBOUND, None), (UNKNOWN, None)

FIXED_PORT, OUTBOUND_PORT, LISTENING_PORT = range(3)
"""What a local port alone tells of a connection's direction (Directions.by_port()). FIXED_PORT: the
kernel doesn't pick it, so listeners and the remote port decide. OUTBOUND_PORT: the kernel picks it,
and no socket listens on it, so the connection is outbound. LISTENING_PORT: the kernel picks it, and
a socket listens on it, so the local address decides. The first two are ephemeral_flags()'."""


@cache
def ephemeral_flags(ports: PortRange, swapped: bool) -> bytes:
    """Return 65536 bytes: 1 at the index of each ephemeral port's token, 0 elsewhere.

    *ports* is the range from which the kernel picks ports; *swapped* says that tokens are the
    ports' numbers with their two bytes swapped.
    """
    flags = bytes(ports.low) + b"\1" * (ports.high - ports.low + 1) + bytes(65535 - ports.high)
    if not swapped:
        return flags
    in_network_order = bytearray(65536)
    for high in range(256):
        in_network_order[high::256] = flags[high * 256 : high * 256 + 256]
    return bytes(in_network_order)


class Directions:
    """The decisions for the connections of one table, by its listeners, which come first.

    Ports and addresses are tokens of the table's encoding.

    Args:
        encoding: the encoding of the tokens.
        family: AF_INET or AF_INET6, that of the table.
        ports: the range from which the kernel picks ports in the table's namespace.

    Attributes:
        ephemeral: 1 at the index of each port's token if the kernel picks that port, else 0.
        accepting: the decision for each connection with a local port of which the kernel has
            decided nothing, by the port's token; only of ports whose listeners are all on the
            wildcard address.
    """

    def __init__(self, encoding: Encoding, family: int, ports: PortRange) -> None:
        self._wildcard = encoding.wildcard[family]
        self.ephemeral = ephemeral_flags(ports, encoding.port(1) != 1)
        self._by_port: bytearray | None = None
        self.accepting: dict[int, Direction] = {}
        self._listening: dict[int, dict[AddressToken | int, AddressToken]] = {}

    def add_listener(self, port: int, address: AddressToken, number: int | None = None) -> None:
        """Add a listener on *address* and *port*.

        *number* is its address in the form that records have of local addresses
        (addresses.fold_address); None where the source has no such form.
        """
        if address != self._wildcard:
            self.accepting.pop(port, None)
        elif port not in self._listening:
            self.accepting[port] = INBOUND, self._wildcard
        if self._by_port and self._by_port[port] == OUTBOUND_PORT:
            self._by_port[port] = LISTENING_PORT
        addresses = self._listening.setdefault(port, {})
        addresses[address] = address
        if number is not None:
            addresses[number] = address

    def by_port(self) -> bytearray:
        """Return FIXED_PORT, OUTBOUND_PORT or LISTENING_PORT at the index of each port's token.

        Listeners that are added later change it in place. It takes 64 KB, so it is made for those
        alone who ask for it.
        """
        if self._by_port is None:
            self._by_port = bytearray(self.ephemeral)
            for port in self._listening:
                if self._by_port[port] == OUTBOUND_PORT:
                    self._by_port[port] = LISTENING_PORT
        return self._by_port

    def accepted_by(self, local_port: int, local: AddressToken | int) -> AddressToken | None:
        """Return the address of the listener at a local endpoint; None: there is none.

        *local* is the local address, or its number (addresses.fold_address) where the source has
        no more. This is rule 2 alone: a connection whose local port connect(2) chose may have such
        a local endpoint, too.
        """
        addresses = self._listening.get(local_port)
        if not addresses:
            return None
        return addresses.get(local) or addresses.get(self._wildcard)

    def of(
        self,
        local_port: int,
        local: AddressToken | int,
        remote_port: int,
        kernel_direction: str | None = None,
    ) -> Direction:
        """Return a connection's direction, and the address of the listener that accepted it.

        *local* is as in accepted_by(). *kernel_direction* is the kernel's own decision, INBOUND or
        OUTBOUND; None if it has none.
        """
        if kernel_direction == OUTBOUND:
            return _OUTBOUND
        server = self.accepted_by(local_port, local)
        if server is not None:
            return INBOUND, server
        if kernel_direction == INBOUND:
            return _INBOUND
        if self.ephemeral[local_port] or not self.ephemeral[remote_port]:
            return _OUTBOUND
        return _UNKNOWN


class DirectionsByTable:
    """The decisions for the connections of all tables, once all listeners are known.

    Ports are numbers and addresses are packed, as in the model.

    Args:
        listeners: the listeners of all network namespaces.
        encoding: an encoding whose tokens are the numbers of ports and packed addresses.
        ports: the range from which the kernel picks ports in the caller's own namespace; other
            namespaces are taken to have the same.
    """

    def __init__(
        self, listeners: Iterable[ListenerSocket], encoding: Encoding, ports: PortRange
    ) -> None:
        self._encoding = encoding
        self._ports = ports
        self._tables: dict[tuple[str, int, int], Directions] = {}
        for each in listeners:
            directions = self.table(each.protocol, family_of(each.address), each.netns)
            directions.add_listener(each.port, each.address, fold_address(each.address))

    def table(self, protocol: str, family: int, netns: int) -> Directions:
        """Return the Directions of one table, by its protocol, address family and namespace."""
        key = protocol, family, netns
        directions = self._tables.get(key)
        if directions is None:
            directions = self._tables[key] = Directions(self._encoding, family, self._ports)
        return directions
