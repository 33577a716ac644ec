"""Upstreams of real sockets: which are one, and how many ephemeral ports they take."""

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zoo
from children import Child
from json_documents import json_document
from netns import ip

from zabbix_sockets import Query, collect
from zabbix_sockets.document.upstreams import ephemeral_usage
from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.snapshot import Snapshot

SOURCES = ("bpf", "sock_diag", "procfs")
BIND_ADDRESS_NO_PORT = 24  # ip(7): connect(2) chooses the port, for one destination
IPV4 = Path("/proc/sys/net/ipv4")

Read = Callable[[], Snapshot]


@pytest.fixture(params=SOURCES)
def read(request: pytest.FixtureRequest, pins: str) -> Read:
    """Return what reads this namespace, from each source."""
    return lambda: collect(Query(request.param, netns="own", timeout=30, pins=pins))


def fold_of(address: str) -> int:
    """Return the number of a source address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return fold_address(socket.inet_pton(family, address))


def connect(
    server: socket.socket, to: str, source: str = "", device: str = ""
) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection from a source address, a device, or none of them."""
    client = zoo.hold(socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET))
    if device:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if source:
        client.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
    client.connect((to, zoo.port_of(server)))
    return client, zoo.hold(server.accept()[0])


def close(ends: tuple[socket.socket, socket.socket]) -> None:
    """Leave the client's end in TIME_WAIT."""
    for each in ends:
        each.close()


def test_held_and_waiting_ports_add_up(read: Read) -> None:
    """Ports in ESTABLISHED and TIME_WAIT, of whatever socket and process, are one sum.

    An IPv6 socket to an IPv4-mapped address takes the IPv4 ports; another source has its own.
    """
    dual = zoo.listener("::", port=7201, backlog=64)
    ways = {
        "127.0.0.1": [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", ""), (zoo.MAPPED, zoo.MAPPED)],
        "127.0.0.2": [("127.0.0.1", "127.0.0.2"), (zoo.MAPPED, "::ffff:127.0.0.2")],
        "::1": [("::1", "::1"), ("::1", "")],
    }

    def hold_and_close() -> object:
        held = []
        for each in ways.values():
            for to, source in each:
                held += [connect(dual, to, source) for _ in range(2)]
                close(connect(dual, to, source))
        return held

    hold_and_close()
    with Child(hold_and_close), Child(hold_and_close, b"another"):
        usage = ephemeral_usage(read())
    to_server = {key[2:]: used for key, used in usage.items() if key[4] == 7201}
    assert to_server == {
        (fold_of("127.0.0.1"), socket.inet_aton("127.0.0.1"), 7201, ""): 3 * 3 * 3,
        (fold_of("127.0.0.2"), socket.inet_aton("127.0.0.1"), 7201, ""): 3 * 2 * 3,
        (fold_of("::1"), socket.inet_pton(socket.AF_INET6, "::1"), 7201, ""): 3 * 2 * 3,
    }


def test_all_ports_taken_are_all(read: Read) -> None:
    """When connect(2) finds no port any more, 100 % are taken."""
    server = zoo.listener(port=7202, backlog=64)
    (IPV4 / "tcp_tw_reuse").write_text("0")
    (IPV4 / "ip_local_port_range").write_text("40000 40019")
    ends = [connect(server, "127.0.0.1") for _ in range(20)]
    for each in ends[:12]:
        close(each)
    with pytest.raises(OSError, match="Cannot assign") as refused:
        connect(server, "127.0.0.1")
    assert refused.value.errno == errno.EADDRNOTAVAIL
    document: dict[str, Any] = json_document(read())
    ephemeral = document["host"]["ephemeral"]
    assert (ephemeral["worst_used"], ephemeral["worst_pct"]) == (20, 100.0)
    assert ephemeral["worst_endpoint"] == "tcp/127.0.0.1:7202"
    (row,) = [row for row in document["upstreams"] if row.get("port") == 7202]
    assert (row["established"], row["ephemeral_pct"]) == (8, 100.0)


def upstreams(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Return the rows by what their ids say of the remote end."""
    document: dict[str, Any] = json_document(snapshot)
    rows = [row for row in document["upstreams"] if row["id"] != "(absent)"]
    return {row["id"].partition(">")[2]: row for row in rows}


def test_link_local_peers_of_two_links(read: Read) -> None:
    """The same link-local address on two links is two upstreams; procfs can't tell."""
    ip("-6", "address", "add", "fe80::1/64", "dev", "veth1", "nodad")
    server = zoo.listener("::", port=7203)
    for device, count in {"veth0": 1, "veth1": 2}.items():
        to = ("fe80::1", 7203, 0, socket.if_nametoindex(device))
        for _ in range(count + 1):
            client = zoo.hold(socket.socket(socket.AF_INET6))
            client.connect(to)
            accepted = zoo.hold(server.accept()[0])
        close((client, accepted))
        udp = zoo.hold(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        udp.connect(to)
    snapshot = read()
    rows = upstreams(snapshot)
    taken = {key[5]: used for key, used in ephemeral_usage(snapshot).items()}
    if snapshot.visibility.source == "procfs":
        assert rows["tcp/[fe80::1]:7203"]["established"] == 3
        assert rows["udp/[fe80::1]:7203"]["established"] == 2
        assert taken == {"": 5}
        return
    assert {name: row["established"] for name, row in rows.items()} == {
        "tcp/[fe80::1%veth0]:7203": 1,
        "tcp/[fe80::1%veth1]:7203": 2,
        "udp/[fe80::1%veth0]:7203": 1,
        "udp/[fe80::1%veth1]:7203": 1,
    }
    assert rows["tcp/[fe80::1%veth1]:7203"]["address"] == "fe80::1"
    assert taken == {"veth0": 2, "veth1": 3}


def test_socket_bound_to_a_plain_device(read: Read) -> None:
    """SO_BINDTODEVICE makes another upstream, as it makes another listener: so do VRFs."""
    server = zoo.listener("192.0.2.1", 7205)
    connect(server, "192.0.2.1")
    for source in ("", "192.0.2.1"):
        connect(server, "192.0.2.1", source, "veth0")
    close(connect(server, "192.0.2.1", device="veth0"))
    snapshot = read()
    rows = {name: row["established"] for name, row in upstreams(snapshot).items()}
    taken = {key[5]: used for key, used in ephemeral_usage(snapshot).items()}
    if snapshot.visibility.source == "procfs":
        assert (rows, taken) == ({"tcp/192.0.2.1:7205": 3}, {"": 4})
    else:
        assert rows == {"tcp/192.0.2.1:7205": 1, "tcp/192.0.2.1%veth0:7205": 2}
        assert taken == {"": 1, "veth0": 3}
