"""Own addresses: what of a host's devices tells it from others."""

import os

import pytest

from zabbix_sockets.collector import own_addresses
from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.own_addresses import add_addresses
from zabbix_sockets.model.addresses import format_address, parse_address
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.snapshot import OWN, Namespace, Query, Snapshot
from zabbix_sockets.readers.rtnetlink import DeviceAddress

from ..snapshots import WEB, snapshot_of  # noqa: TID252  # a test folder is no package

DEVICES = {
    1: ("lo", "127.0.0.1", "::1", "198.51.100.1"),
    2: ("eth0", "192.0.2.1", "fe80::1", "2001:db8::1"),
    3: ("docker0", "172.17.0.1"),
    4: ("br-0123456789ab", "172.18.0.1"),
    5: ("br-lan", "192.0.2.9"),
    6: ("virbr0", "192.168.122.1"),
}


def _addresses(_deadline: Deadline) -> list[DeviceAddress]:
    return [
        (index, parse_address(each), 24)
        for index, (_, *addresses) in DEVICES.items()
        for each in addresses
    ]


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells of DEVICES."""
    monkeypatch.setattr(own_addresses, "read_addresses", _addresses)
    monkeypatch.setattr(own_addresses, "read_device_name", lambda index: DEVICES[index][0])


def found(snapshot: Snapshot, query: Query) -> dict[str, tuple[str, int]]:
    """Return kind and namespace by address."""
    add_addresses(snapshot, query, CallContext(query.proc, Deadline(query.timeout)))
    assert snapshot.addresses is not None
    return {format_address(each.address): (each.kind, each.netns) for each in snapshot.addresses}


def test_kinds() -> None:
    """Bridges of containers and what lo has besides are marked; loopback and link-local are not."""
    assert found(snapshot_of(), Query(netns=OWN)) == {
        "198.51.100.1": ("loopback", 0),
        "192.0.2.1": ("", 0),
        "2001:db8::1": ("", 0),
        "172.17.0.1": ("bridge", 0),
        "172.18.0.1": ("bridge", 0),
        "192.0.2.9": ("", 0),
        "192.168.122.1": ("bridge", 0),
    }


def test_named_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of those with a name and a process are read, of others not."""
    asked = []

    def read(_proc: str, pid: int) -> list[bytes]:
        asked.append(pid)
        return [parse_address("127.0.0.1"), parse_address("10.9.0.1")]

    monkeypatch.setattr(own_addresses, "read_addresses_of", read)
    snapshot = snapshot_of()
    snapshot.namespaces = {
        WEB: Namespace("web", pid=os.getpid()),
        WEB + 1: Namespace("", pid=os.getpid()),
        WEB + 2: Namespace("gone"),
    }
    assert found(snapshot, Query())["10.9.0.1"] == ("", WEB)
    assert asked == [os.getpid()]


def test_netlink_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is warned of, and nothing is told."""

    def refuse(_deadline: Deadline) -> None:
        raise SourceUnavailableError("Operation not permitted")

    monkeypatch.setattr(own_addresses, "read_addresses", refuse)
    snapshot = snapshot_of()
    add_addresses(snapshot, Query(), CallContext("/proc", Deadline(1)))
    assert snapshot.addresses is None
    assert snapshot.visibility.warnings == ["own addresses are not known: Operation not permitted"]
