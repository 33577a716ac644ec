"""Filters: what they name is on this host, or it is an error, not an answer of zeros."""

import os
from collections.abc import Callable, Iterator

import netns
import pytest
import zoo
from children import Child

from zabbix_sockets import Query, collect, iter_sockets
from zabbix_sockets.model.errors import SocketsError

DEVICE = "dev-of-filter"


def collected(expression: str, asked: str = "all") -> int:
    """Return how many listeners fit, as the document counts them."""
    return len(collect(Query("sock_diag", 60, netns=asked, filter=expression)).listeners)


def streamed(expression: str, asked: str = "all") -> int:
    """Return how many sockets fit, as people see them."""
    return len(list(iter_sockets(Query("sock_diag", 60, netns=asked, filter=expression))))


READS = [collected, streamed]
Read = Callable[..., int]


@pytest.fixture
def other() -> Iterator[str]:
    """Have another namespace, with a device and without a socket."""
    name = f"names{os.getpid()}"
    with netns.named(name):
        netns.ip("-n", name, "link", "add", DEVICE, "type", "veth", "peer", "name", "peer")
        yield name


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("condition", ["netns nope", "dev nope"])
def test_what_is_nowhere_is_an_error(read: Read, condition: str, other: str) -> None:
    """Of a namespace and of a device, in all namespaces and in a single one."""
    zoo.listener()
    for asked in ("all", other):
        with pytest.raises(SocketsError, match='"nope": ') as raised:
            read(f"{condition} or sport 1", asked)
        assert "^^^^" in raised.value.hint


def test_where_not_all_was_read(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device may be where nobody could look: what is known is told, as incomplete."""
    monkeypatch.setattr("zabbix_sockets.collector.tables.collection.ways_into", lambda _found: [])
    snapshot = collect(Query("sock_diag", 60, filter="dev nope"))
    numbers = [number for number, each in snapshot.namespaces.items() if each.name == other]
    assert snapshot.skipped >= set(numbers) != set()


@pytest.mark.parametrize("read", READS)
def test_device_in_a_namespace_without_a_mount(read: Read) -> None:
    """As a container's: its devices are looked for there, not by their names in the own one."""

    def work() -> object:
        netns.unshare()
        netns.ip("link", "add", DEVICE, "type", "veth", "peer", "name", "peer")
        return zoo.udp_bound(port=7003, device=DEVICE)

    with Child(work):
        assert read(f"dev {DEVICE}") == 1


@pytest.mark.parametrize("read", READS)
def test_what_is_in_one_namespace_is_enough(read: Read, other: str) -> None:
    """Also where there is no socket yet: that is an answer."""
    assert read(f"dev {DEVICE}") == 0
    assert read(f"netns {other}") == 0

    def work() -> object:
        netns.enter(netns.path_of(other))
        return zoo.udp_bound(port=7001, device="lo"), zoo.udp_bound(port=7002, device=DEVICE)

    with Child(work):
        assert read(f"dev {DEVICE}") == 1
        assert read(f"netns {other}") == 2
        assert read(f"netns {other}", "own") == 0
