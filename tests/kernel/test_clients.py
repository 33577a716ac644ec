"""Who comes to listeners: the sources agree with each other and with ss(8), whatever is open."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from typing import Any

import netns
import pytest
import ss
import zoo
from children import Child
from json_documents import json_document
from traffic_zoo import sysctl

from zabbix_sockets import Query, collect
from zabbix_sockets.model.snapshot import INBOUND

SOURCES = ("bpf", "sock_diag", "procfs")
PLACES = [("127.0.0.1", 7701), ("0.0.0.0", 7702), ("::", 7703), ("0.0.0.0", 50_071)]
"""Of the last one connect(2) might have taken the port."""


def come(server: socket.socket, address: str, times: int, *, accepted: bool = True) -> None:
    """Let so many connections come from *address*, one of 127.0.0.0/8."""
    for _ in range(times):
        client = zoo.hold(socket.socket())
        client.bind((address, 0))
        client.connect(("127.0.0.1", zoo.port_of(server)))
        if accepted:
            zoo.hold(server.accept()[0])


def crowds() -> None:
    """Open listeners, with clients in many states."""
    sysctl("ip_local_reserved_ports", "50071-50072")  # no client gets a listener's port
    for place in PLACES:
        server = zoo.listener(*place, backlog=64)
        for last in range(1, 6):
            come(server, f"127.0.0.{last}", last)
        client, accepted = zoo.pair(server, "127.0.0.1")
        client.shutdown(socket.SHUT_WR)
        zoo.wait_state(accepted, 8)  # CLOSE_WAIT
        come(server, "127.0.0.5", 2, accepted=False)
    zoo.pair(zoo.listener("::1", 7704))
    without_backlog = zoo.listener("127.0.0.1", 50_072, backlog=0)
    come(without_backlog, "127.0.0.9", 1)
    bound = zoo.hold(socket.socket())
    bound.bind(("127.0.0.1", 7705))  # outbound, from a port of its own
    bound.connect(("127.0.0.1", 7701))


def by_ss() -> dict[int, Counter[str]]:
    """Return the established connections by local port and remote address, as ss counts them."""
    lines = [each for each in ss.read_ss() if each.protocol == "tcp"]
    found = {each.local[1]: Counter[str]() for each in lines if each.state == "listen"}
    for each in lines:
        if each.state == "established" and each.local[1] in found:
            found[each.local[1]][each.remote[0].removeprefix("::ffff:")] += 1
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_as_ss(pins: str, source: str) -> None:
    """Accepted or not, over IPv4 and IPv6, of whatever listener."""
    crowds()
    snapshot = collect(Query(source, 30, pins=pins, netns="own", clients=True))
    shown = by_ss()
    assert shown[7702] == Counter({f"127.0.0.{last}": last for last in range(1, 5)}) | Counter(
        {"127.0.0.5": 7}
    )
    rows = {row.get("port"): row for row in json_document(snapshot)["listeners"]}
    for port, counts in shown.items():
        ((least, most),) = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:1]
        total = sum(counts.values())
        assert rows[port]["established"] == total
        assert rows[port]["clients"] == {
            "distinct": len(counts),
            "distinct_error_pct": 0.0,
            "top_address": least,
            "top_connections": most,
            "top_error": 0,
            "top_pct": round(100 * most / total, 1),
        }


@pytest.mark.parametrize("source", SOURCES)
def test_each_connection_counts(pins: str, source: str) -> None:
    """The clients of each listener have as many connections as it has established ones."""
    crowds()
    snapshot = collect(Query(source, 30, pins=pins, netns="own", clients=True))
    established = Counter[tuple[object, ...]]()
    for each, count in snapshot.connections.items():
        if (each.protocol, each.state, each.direction) == ("tcp", 1, INBOUND):
            established[each.netns, each.address, each.port, each.device] += count
    assert snapshot.clients
    assert {end: each.connections for end, each in snapshot.clients.by_end.items()} == established


@pytest.mark.parametrize("source", SOURCES)
def test_inherited_connections_count_once(pins: str, source: str) -> None:
    """A connection that a parent and its child have is one, as is one of many threads."""
    server = zoo.listener("127.0.0.1", 7706)
    come(server, "127.0.0.3", 3)
    with Child(lambda: None):
        snapshot = collect(Query(source, 30, pins=pins, netns="own", clients=True))
    (row,) = [row for row in json_document(snapshot)["listeners"] if row.get("port") == 7706]
    assert (row["clients"]["distinct"], row["clients"]["top_connections"]) == (1, 3)


@pytest.mark.parametrize("source", SOURCES)
def test_in_another_namespace(pins: str, source: str) -> None:
    """From every source; the iterator doesn't see there who waits to be accepted."""
    name = f"zs{os.getpid()}-clients"

    def elsewhere() -> object:
        netns.enter(netns.path_of(name))
        server = zoo.listener("127.0.0.1", 7707)
        come(server, "127.0.0.2", 2)
        come(server, "127.0.0.4", 1)
        come(server, "127.0.0.6", 4, accepted=False)
        return server

    with netns.named(name), Child(elsewhere):
        document = json_document(collect(Query(source, 30, pins=pins, clients=True)))
    (row,) = [row for row in document["listeners"] if row.get("port") == 7707]
    found = row["clients"]["distinct"], row["clients"]["top_address"]
    assert found == ((2, "127.0.0.2") if source == "bpf" else (3, "127.0.0.6"))


@pytest.mark.parametrize("source", SOURCES)
def test_nobody_asked(pins: str, source: str) -> None:
    """Without the option no row has them, not even as zeros."""
    crowds()
    document = json_document(collect(Query(source, 30, pins=pins, netns="own")))
    assert not [row for row in document["listeners"] if "clients" in row]


def test_filter(pins: str) -> None:
    """Only the connections that fit the filter count."""
    crowds()
    query = Query(None, 30, pins=pins, netns="own", clients=True)
    snapshot = collect(query._replace(filter="sport = :7702 and not dst 127.0.0.5"))
    (row,) = [row for row in json_document(snapshot)["listeners"] if row.get("port") == 7702]
    assert (row["clients"]["distinct"], row["clients"]["top_address"]) == (4, "127.0.0.4")


def show(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what `show clients` says."""
    patient = ["show", "clients", "--timeout", "60"]
    command = [sys.executable, "-m", "zabbix_sockets", *patient, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("source", SOURCES)
def test_show(source: str) -> None:
    """Each address with its connections in all states, most first."""
    crowds()
    rows: list[dict[str, Any]] = json.loads(
        show("tcp/0.0.0.0:7702", "--json", "--source", source).stdout
    )
    assert [(row["address"], row["connections"]) for row in rows] == [
        ("127.0.0.5", 7),
        ("127.0.0.4", 4),
        ("127.0.0.3", 3),
        ("127.0.0.1", 2),
        ("127.0.0.2", 2),
    ]
    assert {row["listener"] for row in rows} == {"tcp/0.0.0.0:7702"}
    assert rows[3]["states"] == {"close_wait": 1, "established": 1}
    if source == "procfs":
        assert not [row for row in rows if "rtt_us" in row or "bytes_sent" in row]
    else:
        assert all(row["rtt_us"]["p50"] > 0 for row in rows)


def test_show_all() -> None:
    """Without a listener all are there, and each row says whose client it is."""
    crowds()
    lines = show().stdout.splitlines()
    assert lines[0].split()[:3] == ["LISTENER", "CLIENT", "CONNS"]
    listeners = {line.split()[0] for line in lines[1:]}
    assert {f"tcp/{address}:{port}" for address, port in PLACES if address != "::"} < listeners
    assert {"tcp/[::]:7703", "tcp/[::1]:7704", "tcp/127.0.0.1:50072"} < listeners


def test_bytes_per_second() -> None:
    """Those that connections carried in between, all of new ones among them."""
    server = zoo.listener("127.0.0.1", 7708)
    client, accepted = zoo.pair(server)
    command = [sys.executable, "-m", "zabbix_sockets", "show", "clients", "7708", "--json"]
    options = ["--interval", "0.5", "--count", "3", "--timeout", "30"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        assert process.stdout
        first = json.loads(process.stdout.readline())
        accepted.sendall(bytes(50_000))
        zoo.pair(server)[1].sendall(bytes(10_000))
        second = json.loads(process.stdout.readline())
        zoo.release()
        third = json.loads(process.stdout.readline())
        assert process.wait(30) == 0
    del client
    assert [row["connections"] for row in first["clients"]] == [1]
    (row,) = second["clients"]
    assert row["rates"]["sent_bytes_per_s"] * second["seconds"] == pytest.approx(60_000, 0.01)
    assert row["rates"]["received_bytes_per_s"] == 0
    assert [row["change"] for row in third["clients"]] == ["gone"]


@pytest.mark.parametrize(
    ("listener", "status", "message"),
    [
        ("tcp/192.0.2.1:80", 1, "no listener 'tcp/192.0.2.1:80'"),
        ("tcp/0.0.0.0:80@nowhere", 1, "no listener 'tcp/0.0.0.0:80@nowhere'"),
        ("7777", 1, "nobody listens on TCP port 7777"),
        ("udp/0.0.0.0:53", 2, "only of TCP"),
        ("0", 2, "is no listener's id, and no port"),
        ("65536", 2, "is no listener's id, and no port"),
        ("99999999999999999999", 2, "is no listener's id, and no port"),
        ("٤٤٣", 2, "is no listener's id, and no port"),
        ("nginx", 2, "is no listener's id, and no port"),
        ("tcp/", 2, "is no listener's id, and no port"),
        ("\x1b[31m; rm -rf /\n", 2, r"\x1b[31m; rm -rf /\n"),
    ],
)
def test_what_is_no_listener(listener: str, status: int, message: str) -> None:
    """It is said what is wrong, without what could harm a terminal."""
    zoo.listener("127.0.0.1", 7709)
    answer = show("--", listener)
    assert answer.returncode == status
    assert message in answer.stderr
    assert "\x1b" not in answer.stderr
    assert answer.stdout == ""
