"""The host's own addresses: those of its devices, and of its named network namespaces."""

from __future__ import annotations

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.model.addresses import IPV6_LENGTH, is_loopback
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.snapshot import (
    ADDRESSES_UNKNOWN,
    BRIDGE_ADDRESS,
    HOST_ADDRESS,
    LOOPBACK_ADDRESS,
    OWN,
    OwnAddress,
    Query,
    Snapshot,
)
from zabbix_sockets.model.wire import OWN_NETNS
from zabbix_sockets.readers.proc.counters import read_device_name
from zabbix_sockets.readers.proc.net_addresses import read_addresses_of
from zabbix_sockets.readers.rtnetlink import read_addresses

_LINK_LOCAL = b"\xfe\x80"
_MOST_NAMESPACES = 100
"""The number of namespaces that are asked in a call: two files of each."""

_BRIDGES = (
    *("docker", "podman", "cni", "virbr", "lxcbr", "lxdbr", "incusbr"),
    *("kube-ipvs", "nodelocaldns"),
)
"""What the names of devices begin with whose addresses other hosts have, too: bridges of docker,
podman, CNI plug-ins, libvirt, lxc and incus, and where Kubernetes binds services' addresses."""
_NETWORK, _NETWORK_LENGTH = "br-", 15
"""A network of docker's own has a bridge br-, followed by the 12 hexadecimal digits of its id."""


def add_addresses(snapshot: Snapshot, query: Query, context: CallContext) -> None:
    """Set the Snapshot's own addresses: of the caller's namespace, then of those with a name.

    They stay unknown where netlink can't be asked, which is warned of. Addresses of 127.0.0.0/8,
    ::1 and link-local ones tell no host from another and are left out.
    """
    try:
        devices = read_addresses(context.deadline)
    except (SourceUnavailableError, ParseError, DeadlineError) as error:
        snapshot.visibility.warnings.append(f"{ADDRESSES_UNKNOWN}{error}")
        return
    found = {}
    for index, address, prefix in devices:
        if _tells(address):
            kind = _kind_of(read_device_name(index))
            found[address] = OwnAddress(address, prefix, kind, OWN_NETNS)
    others = [] if query.netns == OWN else sorted(snapshot.namespaces.items())
    named = [(number, each) for number, each in others if each.name and each.pid]
    inner = [
        OwnAddress(address, 8 * len(address), HOST_ADDRESS, number)
        for number, each in named[:_MOST_NAMESPACES]
        if not context.deadline.passed()
        for address in read_addresses_of(query.proc, each.pid)
        if _tells(address)
    ]
    snapshot.addresses = [*found.values(), *inner]


def _kind_of(device: str) -> str:
    if device == "lo":
        return LOOPBACK_ADDRESS
    is_network = device.startswith(_NETWORK) and len(device) == _NETWORK_LENGTH
    return BRIDGE_ADDRESS if is_network or device.startswith(_BRIDGES) else HOST_ADDRESS


def _tells(address: bytes) -> bool:
    """Whether an address tells this host from others: it is neither loopback nor link-local."""
    is_link_local = len(address) == IPV6_LENGTH and address.startswith(_LINK_LOCAL)
    return not is_link_local and not is_loopback(address)
