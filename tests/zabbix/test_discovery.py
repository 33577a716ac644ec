"""Rows that come and go: what discovery makes of a real agent's documents."""

import socket
from collections.abc import Iterator, Mapping

import pytest

from .agents import Agent
from .processes import Holder, free_ports, hold
from .servers import Server
from .stage import Stage
from .watched import Watched, wait, watch

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("6.0*")]

PROCESS = {
    *("get", "sockets", "tcp.established", "tcp.close_wait", "tcp.syn_sent", "fds_max_pct"),
    *("retransmitting", "retransmitting_pct", "worst_remote"),
    *("totals.opened", "totals.failed", "totals.accepted"),
    *("totals.bytes_sent", "totals.bytes_received"),
}
LISTENER = {
    *("get", "sockets", "established", "accept_queue", "accept_queue_pct", "drops.rate"),
    "totals.accepted",
}
UDP_LISTENER = {"get", "sockets", "established", "drops.rate"}
"""What is kept of each row unless more is asked for."""


@pytest.fixture(scope="module")
def watched(server: Server, local: Agent) -> Iterator[Watched]:
    """A host with the template as it is, but asked more often."""
    watched = watch(server, "agent", agent=local.port)
    yield watched
    server.disable_host(watched.host)


def expected_keys(rows: Mapping[str, Holder]) -> set[str]:
    """Return the keys of all items that these processes and their listeners have to have."""
    keys = set()
    for row, holder in rows.items():
        keys |= {f'sockets.process.{metric}["{row}"]' for metric in PROCESS}
        for port in (holder.busy, holder.idle):
            keys |= {f'sockets.listener.{metric}["tcp/127.0.0.1:{port}"]' for metric in LISTENER}
        bound = f'["udp/127.0.0.1:{holder.bound}"]'
        keys |= {f"sockets.listener.{metric}{bound}" for metric in UDP_LISTENER}
    return keys


def keys_of(watched: Watched, rows: Mapping[str, Holder]) -> set[str]:
    """Return the keys of all items that there are of these processes and their listeners."""
    ports = {port for each in rows.values() for port in (each.busy, each.idle, each.bound)}
    ends = tuple(f':{port}"]' for port in ports)
    return {
        key for key in watched.item_keys() if key.endswith((*ends, *(f'["{row}"]' for row in rows)))
    }


def test_known_rows(watched: Watched, hostile: Mapping[str, Holder]) -> None:
    """Each process and listener has its items and no others, whatever its name is."""
    watched.wait_for_rows(expected_keys(hostile))
    assert keys_of(watched, hostile) == expected_keys(hostile)
    names = {item["name"] for item in watched.items(output=["key_", "name"]).values()}
    for row, holder in hostile.items():
        assert f"Process {row}: Sockets" in names
        assert f"Listener tcp/127.0.0.1:{holder.busy} {row}: Connections" in names


def test_all_rows(watched: Watched, hostile: Mapping[str, Holder]) -> None:
    """Discovery has made items for the rows of the documents, and for nothing else."""
    watched.wait_for_rows(expected_keys(hostile))
    documents = watched.documents()
    for kind, plural in (("process", "processes"), ("listener", "listeners")):
        seen = [{row["id"] for row in each.content[plural] if offered(row)} for each in documents]
        found = watched.rows(kind)
        assert set.intersection(*seen) <= found
        assert found <= set.union(*seen)
    assert watched.rows("upstream") == set()


def offered(row: Mapping[str, object]) -> bool:
    """Tell whether discovery should make items for a row of processes or listeners."""
    return row.get("settled") == 1 or (row.get("ephemeral") == 0 and not row["netns"])


def test_values(watched: Watched, hostile: Mapping[str, Holder]) -> None:
    """All items have their values with these names in keys and JSONPaths, and none has an error."""
    watched.wait_for_rows(expected_keys(hostile))
    watched.wait_for_truth()
    watched.wait_for_no_faults()


@pytest.mark.short_form
def test_ephemeral_ports(watched: Watched, stage: Stage) -> None:
    """A listener on a port that the kernel picks is discovered on demand."""
    key = "{$SOCKETS.LLD.LISTENER.EPHEMERAL}"
    with hold(stage, "zs-picked") as holder:
        row = f"tcp/127.0.0.1:{holder.busy}"
        wait(lambda: "zs-picked" in watched.rows("process"))
        assert row not in watched.rows("listener")
        usermacro = watched.server.api.usermacro
        created = usermacro.create(hostid=watched.host.hostid, macro=key, value="1")
        watched.reload()
        wait(lambda: row in watched.rows("listener"))
        usermacro.delete(*created["hostmacroids"])


def test_process_that_ends_and_comes_back(watched: Watched, stage: Stage) -> None:
    """Its items become 0 and stay; when it is back, they are the same ones, with its values."""
    ports = free_ports(3)
    with hold(stage, "zs'comes back", ports=ports) as holder:
        rows = {"zs%27comes back": holder}
        values = {
            'sockets.process.sockets["zs%27comes back"]': "10",
            'sockets.process.tcp.established["zs%27comes back"]': "5",
            'sockets.process.tcp.close_wait["zs%27comes back"]': "1",
            f'sockets.listener.sockets["tcp/127.0.0.1:{holder.busy}"]': "1",
            f'sockets.listener.established["tcp/127.0.0.1:{holder.busy}"]': "3",
            f'sockets.listener.accept_queue["tcp/127.0.0.1:{holder.busy}"]': "1",
            f'sockets.listener.sockets["udp/127.0.0.1:{holder.bound}"]': "1",
        }
        watched.wait_for_values(values)
        before = watched.items()
    watched.wait_for_values(dict.fromkeys(values, "0"))
    wait(lambda: lost_keys(watched) >= expected_keys(rows))
    lost = watched.items()
    assert {lost[key]["status"] for key in expected_keys(rows)} == {"0"}
    watched.wait_for_no_faults()
    with hold(stage, "zs'comes back", ports=ports):
        watched.wait_for_values(values)
        wait(lambda: lost_keys(watched).isdisjoint(expected_keys(rows)))
    after = watched.items()
    for key in expected_keys(rows):
        assert after[key]["itemid"] == before[key]["itemid"]


def lost_keys(watched: Watched) -> set[str]:
    """Return the keys of items whose rows discovery doesn't find any more."""
    items = watched.items(output=["key_"], selectItemDiscovery=["ts_delete"])
    found = {key: item["itemDiscovery"] for key, item in items.items()}
    return {key for key, discovery in found.items() if discovery and discovery["ts_delete"] != "0"}


@pytest.mark.short_form
def test_listener_that_goes(watched: Watched) -> None:
    """A port that nobody listens on any more has 0 sockets, and 1 when it is served again."""
    (port,) = free_ports(1)
    key = f'sockets.listener.sockets["tcp/127.0.0.1:{port}"]'
    with socket.create_server(("127.0.0.1", port)):
        watched.wait_for_values({key: "1"})
    watched.wait_for_values({key: "0"})
    with socket.create_server(("127.0.0.1", port)):
        watched.wait_for_values({key: "1"})
