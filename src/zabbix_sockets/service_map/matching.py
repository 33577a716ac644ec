"""Matching of remote ends with hosts: whom each process of each host talks to. Pure."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from zabbix_sockets.model.snapshot import BRIDGE_ADDRESS, HOST_ADDRESS, LOOPBACK_ADDRESS
from zabbix_sockets.service_map.told import (
    NOTHING,
    Told,
    ToldEnd,
    ToldListener,
    ToldUpstream,
    plain_address,
)

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # what listeners are compared with


class MapHost(NamedTuple):
    """A host of the server.

    Attributes:
        name: the technical name; *shown* is the visible one.
        groups: the names of its host groups.
        told: what it tells of itself.
        interfaces: addresses of its interfaces.
        inventory: addresses of its inventory.
        resolved: addresses that DNS names of its interfaces have.
        dns: these names.
    """

    hostid: str
    name: str
    shown: str
    groups: tuple[str, ...] = ()
    told: Told = NOTHING
    interfaces: tuple[str, ...] = ()
    inventory: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()


class Claim(IntEnum):
    """How sure an address is a host's: the surest claim on it wins."""

    OWN = 0
    NAMESPACE = 1
    INTERFACE = 2
    INVENTORY = 3
    RESOLVED = 4
    LOOPBACK = 5


class Flow(NamedTuple):
    """The connections of one process of a host to one remote end.

    Attributes:
        client: the id of the host.
        upstream: the upstream's row.
        server: the id of the host that has the end; empty: none of the known ones.
        listener: the listener's row on that host, by which it is known who answers; None: no
            listener of the host is known to.
    """

    client: str
    upstream: ToldUpstream
    server: str
    listener: ToldListener | None

    @property
    def is_inside(self) -> bool:
        """Whether it doesn't leave the host."""
        return self.client == self.server


def flows(hosts: Iterable[MapHost]) -> Iterator[Flow]:
    """Yield a flow for each upstream of each host, in their order.

    A remote end is the client's own where it is loopback, an address of the client, or in a network
    of one of its bridges. Else it is that host's which has the surest claim on the address; where
    several have it, that one's which listens at the port. It stays nobody's if these are several,
    too, or none.
    """
    known = {host.hostid: host for host in hosts}
    index = _Index(known)
    for host in known.values():
        inside = _Inside(host.told)
        for upstream in host.told.upstreams:
            end = upstream.end
            server = host.hostid if inside.has(end.address) else index.host_of(end)
            listener = index.listener_of(server, end) if server else None
            yield Flow(host.hostid, upstream, server, listener)


def is_loopback(address: str) -> bool:
    """Whether an address is one of loopback."""
    return ipaddress.ip_address(address).is_loopback


class _Inside:
    """The addresses that lead back to the host that uses them."""

    def __init__(self, told: Told) -> None:
        self._addresses = {each.address for each in told.addresses}
        self._networks = [
            ipaddress.ip_network(f"{each.address}/{each.prefix}", strict=False)
            for each in told.addresses
            if each.kind == BRIDGE_ADDRESS and _is_prefix(each.address, each.prefix)
        ]

    def has(self, address: str) -> bool:
        """Whether an address is one of the host, of loopback or in a network of its bridges."""
        return address in self._addresses or is_loopback(address) or self.is_bridged(address)

    def is_bridged(self, address: str) -> bool:
        """Whether an address is in a network of a bridge, which other hosts may have as well."""
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._networks)


def _is_prefix(address: str, prefix: int | None) -> bool:
    return prefix is not None and prefix <= ipaddress.ip_address(address).max_prefixlen


class _Index:
    """Who has an address, and who listens there."""

    def __init__(self, hosts: Mapping[str, MapHost]) -> None:
        self._claims: dict[str, dict[Claim, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._listeners: dict[tuple[str, str, int], list[ToldListener]] = defaultdict(list)
        self._namespaces: dict[tuple[str, str], str] = {}
        for host in hosts.values():
            for address, claim in dict.fromkeys(_claims_of(host)):
                self._claims[address][claim].append(host.hostid)
            for listener in host.told.listeners:
                end = listener.end
                self._listeners[host.hostid, end.protocol, end.port].append(listener)
            for own in host.told.addresses:
                self._namespaces[host.hostid, own.address] = own.netns

    def host_of(self, end: ToldEnd) -> str:
        """Return the id of the host that has an end; empty if none has, or several may."""
        claims = self._claims.get(end.address)
        if not claims:
            return ""
        candidates = claims[min(claims)]
        if len(candidates) > 1:
            candidates = [each for each in candidates if self.listener_of(each, end)]
        return candidates[0] if len(candidates) == 1 else ""

    def listener_of(self, hostid: str, end: ToldEnd) -> ToldListener | None:
        """Return the listener that answers at an end on a host: at its address, or at all.

        Loopback is that of the client's own namespace.
        """
        netns = end.netns if is_loopback(end.address) else ""
        netns = self._namespaces.get((hostid, end.address), netns)
        found = [
            each
            for each in self._listeners.get((hostid, end.protocol, end.port), ())
            if each.end.netns == netns and each.end.address in (end.address, *_WILDCARDS)
        ]
        return min(found, key=lambda each: (each.end.address in _WILDCARDS, each.row), default=None)


def _claims_of(host: MapHost) -> Iterator[tuple[str, Claim]]:
    """Yield the addresses by which others reach a host, each with how sure it is."""
    inside = _Inside(host.told)
    for own in host.told.addresses:
        if own.netns:
            if not inside.is_bridged(own.address):
                yield own.address, Claim.NAMESPACE
        elif own.kind == HOST_ADDRESS:
            yield own.address, Claim.OWN
        elif own.kind == LOOPBACK_ADDRESS:
            yield own.address, Claim.LOOPBACK
    for addresses, claim in (
        (host.interfaces, Claim.INTERFACE),
        (host.inventory, Claim.INVENTORY),
        (host.resolved, Claim.RESOLVED),
    ):
        for text in addresses:
            address = plain_address(text)
            if address and not _is_nowhere(address):
                yield address, claim


def _is_nowhere(address: str) -> bool:
    """Whether an address leads to no host in particular: each has 127.0.0.1."""
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local
