"""The states of each listener's connections: from every source as ss(8) counts them by port."""

from __future__ import annotations

import os
import socket
from collections import Counter

import netns
import pytest
import ss
import zoo
from children import Child
from json_documents import json_document

from zabbix_sockets import Query, collect

SOURCES = ("bpf", "sock_diag", "procfs")
NAMES = {
    "established": "established",
    "syn_recv": "syn_recv",
    "close_wait": "close_wait",
    "fin_wait1": "fin_wait",
    "fin_wait2": "fin_wait",
    "closing": "fin_wait",
    "last_ack": "last_ack",
    "time_wait": "time_wait",
}
"""The fields in which the states of ss count."""
PLACES = [("127.0.0.1", 7601), ("0.0.0.0", 7602), ("::1", 7603), ("::", 7604), ("0.0.0.0", 50_062)]


def in_all_states(address: str, port: int) -> socket.socket:
    """Return a listener with connections in each state, with a file and without one."""
    server = zoo.listener(address, port)
    zoo.pair(server)
    _, accepted = zoo.pair(server)
    accepted.shutdown(socket.SHUT_WR)  # FIN_WAIT2, and CLOSE_WAIT at the client
    _, accepted = zoo.pair(server)
    accepted.close()  # FIN_WAIT2 that nobody has
    _, accepted = zoo.pair(server)
    zoo.fill(accepted)
    accepted.shutdown(socket.SHUT_WR)  # FIN_WAIT1
    client, accepted = zoo.pair(server)
    zoo.fill(accepted)
    client.shutdown(socket.SHUT_WR)
    accepted.shutdown(socket.SHUT_WR)  # LAST_ACK or CLOSING
    client, accepted = zoo.pair(server)
    zoo.fill(accepted)
    client.shutdown(socket.SHUT_WR)
    zoo.wait_state(accepted, 8)
    accepted.close()  # LAST_ACK that nobody has
    client, accepted = zoo.pair(server)
    client.close()
    zoo.wait_state(accepted, 8)
    for _ in range(3):
        client, accepted = zoo.pair(server)
        accepted.close()
        client.close()  # TIME_WAIT here
    client, accepted = zoo.pair(server)
    client.close()
    accepted.close()  # and there
    zoo.connect(server).close()  # CLOSE_WAIT, not yet accepted
    server.setsockopt(socket.IPPROTO_TCP, zoo.TCP_DEFER_ACCEPT, 60)
    zoo.connect(server)
    return server


def counts(row: dict[str, object]) -> Counter[str]:
    """Return the counts of a row that are not 0."""
    fields = set(NAMES.values())
    return +Counter({name: row[name] for name in fields if name in row})


@pytest.mark.parametrize("source", SOURCES)
def test_as_ss(pins: str, source: str) -> None:
    """Accepted or not, with a process or without one, over IPv4 and IPv6."""
    for each in PLACES:
        in_all_states(*each)
    for _ in range(20):
        lines = ss.read_ss()
        document = json_document(collect(Query(source, 30, pins=pins, netns="own")))
        if ss.read_ss() == lines:
            break
    rows = {row.get("port"): row for row in document["listeners"]}
    for _, port in PLACES:
        shown = Counter(
            NAMES[each.state]
            for each in lines
            if each.protocol == "tcp" and each.local[1] == port and each.state in NAMES
        )
        assert set(shown) == set(NAMES.values())
        assert counts(rows[port]) == shown


@pytest.mark.parametrize("source", SOURCES)
def test_in_another_namespace(pins: str, source: str) -> None:
    """The iterator doesn't see there what no process has: these fields are absent."""
    name = f"zs{os.getpid()}-states"

    def elsewhere() -> object:
        netns.enter(netns.path_of(name))
        return in_all_states("127.0.0.1", 7605)

    with netns.named(name), Child(elsewhere):
        document = json_document(collect(Query(source, 30, pins=pins)))
    (row,) = [each for each in document["listeners"] if each.get("port") == 7605]
    absent = set(NAMES.values()) - row.keys()
    assert absent == ({"fin_wait", "last_ack", "time_wait"} if source == "bpf" else set())
    assert row["close_wait"] >= 1
    assert row["syn_recv"] == 1
