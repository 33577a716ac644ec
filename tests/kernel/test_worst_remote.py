"""The remote end that a row names, and the totals of the host, of real sockets."""

import errno
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import zoo
from json_documents import json_document

from zabbix_sockets import Query, collect

SOURCES = ("bpf", "sock_diag", "procfs")

Read = Callable[[], dict[str, Any]]


@pytest.fixture(params=SOURCES)
def read(request: pytest.FixtureRequest, pins: str) -> Read:
    """Return what reads the document of this namespace, from each source."""
    query = Query(request.param, netns="own", timeout=30, pins=pins)
    return lambda: json_document(collect(query))


def held(document: dict[str, Any]) -> dict[str, Any]:
    """Return the row of the only process that has sockets here."""
    (row,) = (each for each in document["processes"] if each["id"] != "(absent)")
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize(
    ("bound", "to", "named"),
    [
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2", "127.0.0.1"),
        ("::", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "::1"),
    ],
)
@pytest.mark.parametrize("backlog", [64, 0])
def test_server(read: Read, bound: str, to: str, named: str, backlog: int) -> None:
    """Of what it accepted, the address of those who closed is named; their ports mean nothing."""
    server = zoo.listener(bound, backlog=backlog)
    for _ in range(5):
        client, accepted = zoo.pair(server, to)
        client.close()
        zoo.wait_state(accepted, 8)
    row = held(read())
    assert row["tcp"]["close_wait"] == 5
    assert row["worst_remote"] == named


@pytest.mark.parametrize("to", ["127.0.0.1", "::1"])
def test_client(read: Read, to: str) -> None:
    """Of what it opened, the endpoint is named that most of its closed connections went to."""
    few, many = zoo.listener(to), zoo.listener(to)
    for server in (few, many, few, many):
        client, accepted = zoo.pair(server)
        accepted.close()
        zoo.wait_state(client, 8)
    assert "worst_remote" not in held(read())
    client, accepted = zoo.pair(many)
    accepted.close()
    zoo.wait_state(client, 8)
    address = f"[{to}]" if ":" in to else to
    row = held(read())
    assert row["worst_remote"] == f"tcp/{address}:{zoo.port_of(many)}"


def test_totals(read: Read) -> None:
    """Each total is what nstat(8) prints, the sum of both families for UDP."""
    names = {
        "active_opens": ["TcpActiveOpens"],
        "passive_opens": ["TcpPassiveOpens"],
        "attempt_fails": ["TcpAttemptFails"],
        "estab_resets": ["TcpEstabResets"],
        "out_rsts": ["TcpOutRsts"],
        "syn_cookies_sent": ["TcpExtSyncookiesSent"],
        "udp_in_errors": ["UdpInErrors", "Udp6InErrors"],
        "udp_rcvbuf_errors": ["UdpRcvbufErrors", "Udp6RcvbufErrors"],
        "udp_no_ports": ["UdpNoPorts", "Udp6NoPorts"],
    }
    for family, to in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        refused = zoo.hold(socket.socket(family))
        assert refused.connect_ex((to, 1)) == errno.ECONNREFUSED
        zoo.hold(socket.socket(family, socket.SOCK_DGRAM)).sendto(b"x", (to, 1))
    totals = read()["host"]["totals"]
    printed = subprocess.run(["nstat", "-asz"], check=True, capture_output=True, text=True).stdout
    counters = {line.split()[0]: int(line.split()[1]) for line in printed.splitlines()[1:]}
    assert totals == {name: sum(counters[each] for each in these) for name, these in names.items()}
    assert totals["attempt_fails"] >= 2
    assert totals["udp_no_ports"] >= 2
