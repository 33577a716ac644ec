"""The part of a Snapshot that the lists are of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_documents import json_document

from zabbix_sockets.document.document import NO_LIMITS
from zabbix_sockets.model.clients import ClientSums
from zabbix_sockets.model.snapshot import FIRST_OWNER, Namespace, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    ANY,
    NAMESPACES,
    OTHER,
    PORTS,
    UNNAMED,
    WEB,
    outbound,
    processes,
    snapshot_of,
    snapshots,
    tcp_listener,
)

A, B = FIRST_OWNER, FIRST_OWNER + 1


def test_all_is_listed() -> None:
    """Unless namespaces are selected the lists are of everything."""
    snapshot = snapshot_of(processes("a"), [tcp_listener(A, 80)])
    assert snapshot.listed() is snapshot


def test_selection() -> None:
    """Of what is selected the lists have the sockets, their holders, queues and clients."""
    snapshot = snapshot_of(
        processes("a", "b"),
        [tcp_listener(A, 80), tcp_listener(B, 81)._replace(netns=WEB)],
        {outbound(A, 80): 5, outbound(B, 80)._replace(netns=UNNAMED): 7},
    )
    snapshot.queues = {(A, OWN_NETNS): (1, 2), (B, WEB): (3, 4), (B, OTHER): (5, 6)}
    snapshot.namespaces = dict(NAMESPACES)
    snapshot.clients = ClientSums()
    for netns, address in (WEB, b"\1" * 4), (OTHER, b"\2" * 4):
        snapshot.clients.of((netns, ANY, 81, "")).add(address)
    snapshot.selected = frozenset((WEB,))
    part = snapshot.listed()
    assert part.clients
    assert list(part.clients.by_end) == [(WEB, ANY, 81, "")]
    assert part.listeners == [tcp_listener(B, 81)._replace(netns=WEB)]
    assert (part.connections, part.queues) == ({}, {(B, WEB): (3, 4)})
    assert part.owners == {B: (1,)}
    assert len(snapshot.listeners) == len(snapshot.owners) == 2
    snapshot.selected = frozenset((WEB, UNNAMED))
    assert sum(snapshot.listed().connections.values()) == 7
    snapshot.selected = frozenset()
    assert (snapshot.listed().owners, snapshot.listed().listeners) == ({}, [])


@given(snapshots(), st.sets(st.sampled_from([*NAMESPACES])))
def test_selections_add_up(snapshot: Snapshot, chosen: set[int]) -> None:
    """What is in the lists and what is left out of them are together everything."""
    everything = {OWN_NETNS, *NAMESPACES}
    parts = []
    for selected in (chosen, everything - chosen):
        snapshot.selected = frozenset(selected)
        parts.append(snapshot.listed())
        json_document(snapshot, NO_LIMITS)
    first, second = parts
    assert sorted(map(repr, first.listeners + second.listeners)) == sorted(
        map(repr, snapshot.listeners)
    )
    assert first.connections | second.connections == snapshot.connections
    assert not first.connections.keys() & second.connections.keys()
    assert first.queues | second.queues == snapshot.queues
    used = {each.owner for each in snapshot.listeners}
    used |= {each.owner for each in snapshot.connections}
    assert first.owners | second.owners == {
        owner: members for owner, members in snapshot.owners.items() if owner in used
    }


def test_ports() -> None:
    """Each namespace has its own range of ephemeral ports, or none is known of it."""
    snapshot = snapshot_of()
    snapshot.namespaces = {WEB: Namespace("web", ports=PORTS._replace(size=7)), OTHER: Namespace()}
    assert snapshot.ports_of(OWN_NETNS) == PORTS
    assert snapshot.ports_of(WEB) == PORTS._replace(size=7)
    assert snapshot.ports_of(OTHER) is None
    assert snapshot.ports_of(UNNAMED) is None


@pytest.mark.parametrize(
    ("name", "detail", "shown"),
    [
        ("web", "net:[5]", "web (net:[5])"),
        ("web", "", "web"),
        ("", "pid 7", "pid 7"),
        ("", "", ""),
    ],
)
def test_shown(name: str, detail: str, shown: str) -> None:
    """People read a namespace's name and what else is known of it."""
    assert Namespace(name, detail).shown == shown
