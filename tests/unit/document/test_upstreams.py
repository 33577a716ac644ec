"""upstreams[]: whom each group connects to, and the ephemeral ports it takes."""

import pytest
from json_documents import JsonDocument

from zabbix_sockets.document.row import NetnsLabel, netns_labels
from zabbix_sockets.document.upstreams import ephemeral_pct, ephemeral_usage, upstream_rows
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Groups
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    NOBODY,
    OUTBOUND,
    UNKNOWN,
    UNOWNED,
    Connection,
    PortRange,
    Snapshot,
)
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    NAMESPACES,
    PORTS,
    REMOTE,
    SOURCE,
    WEB,
    inbound,
    outbound,
    processes,
    snapshot_of,
)

A, B = FIRST_OWNER, FIRST_OWNER + 1
KEY = ("tcp", OWN_NETNS, SOURCE, REMOTE, 5432, "")
OTHER_SOURCE = 0x0A000001
LINK_LOCAL = b"\xfe\x80" + bytes(13) + b"\1"


def labels(snapshot: Snapshot) -> NetnsLabel:
    """Return the names of namespaces that ids have."""
    return netns_labels(snapshot, for_people=False)


def rows_of(snapshot: Snapshot) -> dict[str, JsonDocument]:
    """Return the rows by their ids."""
    groups = Groups(snapshot, GROUPINGS[DEFAULT_GROUPING])
    rows, _ = upstream_rows(snapshot, groups, ephemeral_usage(snapshot), labels(snapshot))
    assert len({each.row.id for each in rows}) == len(rows)
    return {each.row.id: vars(each.row) for each in rows}


@pytest.mark.parametrize(
    ("address", "netns", "protocol", "row_id", "shown"),
    [
        (REMOTE, OWN_NETNS, "tcp", "nginx>tcp/192.0.2.5:5432", "192.0.2.5"),
        (REMOTE, OWN_NETNS, "udp", "nginx>udp/192.0.2.5:5432", "192.0.2.5"),
        (bytes(15) + b"\1", OWN_NETNS, "tcp", "nginx>tcp/[::1]:5432", "::1"),
        (REMOTE, WEB, "tcp", "nginx>tcp/192.0.2.5:5432@web", "192.0.2.5"),
    ],
)
def test_id(address: bytes, netns: int, protocol: str, row_id: str, shown: str) -> None:
    """The id names who connects and to what."""
    connection = outbound(A, 5432, address, protocol=protocol)._replace(netns=netns)
    snapshot = snapshot_of(processes("nginx"), (), {connection: 2})
    snapshot.namespaces = NAMESPACES
    row = rows_of(snapshot)[row_id]
    assert (row["process"], row["protocol"], row["port"]) == ("nginx", protocol, 5432)
    assert (row["address"], row["netns"], row["established"]) == (
        *(shown, "web" if netns else "", 2),
    )


@pytest.mark.parametrize(
    ("address", "endpoint"), [(LINK_LOCAL, "[fe80::1{}]:80"), (REMOTE, "192.0.2.5{}:80")]
)
def test_device(address: bytes, endpoint: str) -> None:
    """The same address by way of another device is another upstream, with ports of its own."""
    over = {name: outbound(A, 80, address)._replace(device=name) for name in ("", "eth0", "red")}
    counts = {"": 1, "eth0": 2, "red": 4}
    connections = {over[name]: count for name, count in counts.items()}
    connections[over["red"]._replace(owner=NOBODY, state=TcpState.TIME_WAIT)] = 8
    rows = rows_of(snapshot_of(processes("a"), (), connections))
    for name, count in counts.items():
        row = rows[f"a>tcp/{endpoint.format(f'%{name}' if name else '')}"]
        assert row["established"] == count
        assert "%" not in str(row["address"])
        taken = count + 8 * (name == "red")
        assert row["ephemeral_pct"] == ephemeral_pct(taken, PORTS)


def test_states() -> None:
    """Established, syn_sent and close_wait are counted; all else makes no upstream."""
    states = {
        TcpState.ESTABLISHED: 3,
        TcpState.SYN_SENT: 2,
        TcpState.CLOSE_WAIT: 1,
        TcpState.FIN_WAIT2: 50,
        TcpState.TIME_WAIT: 60,
    }
    connections = {outbound(A, 80, state=state): count for state, count in states.items()}
    connections[outbound(A, 81, state=TcpState.LAST_ACK)] = 9
    connections[inbound(A, 82)] = 9
    connections[Connection("tcp", OWN_NETNS, A, 1, UNKNOWN)] = 9
    rows = rows_of(snapshot_of(processes("a"), (), connections))
    assert list(rows) == ["a>tcp/192.0.2.5:80"]
    row = rows["a>tcp/192.0.2.5:80"]
    assert (row["established"], row["syn_sent"], row["close_wait"]) == (3, 2, 1)


def test_sockets_of_nobody_are_no_upstream() -> None:
    """A connection whose owner is not known belongs to nobody's row."""
    connections = {outbound(NOBODY, 80): 3, outbound(UNOWNED, 80): 4}
    assert rows_of(snapshot_of(processes("a"), (), connections)) == {}


def test_source_addresses_are_one_upstream() -> None:
    """The local address and port make no other upstream."""
    other = outbound(A, 80)._replace(source=OTHER_SOURCE, ephemeral=False)
    rows = rows_of(snapshot_of(processes("a"), (), {outbound(A, 80): 3, other: 4}))
    assert rows["a>tcp/192.0.2.5:80"]["established"] == 7


def test_shared_connection_is_each_groups() -> None:
    """A connection that two groups hold is an upstream of both."""
    snapshot = snapshot_of(processes("a", "b", "b"))
    snapshot.owners[9] = (0, 1, 2)
    snapshot.connections = {outbound(9, 80): 3}
    rows = rows_of(snapshot)
    assert rows["a>tcp/192.0.2.5:80"]["established"] == 3
    assert rows["b>tcp/192.0.2.5:80"]["established"] == 3


def test_endpoints_beyond_the_bound_are_summed() -> None:
    """What the fold counted without an endpoint is in a row of its own, by state."""
    connections = {
        Connection("tcp", OWN_NETNS, A, 1, OUTBOUND): 5,
        Connection("tcp", OWN_NETNS, A, 2, OUTBOUND): 6,
        Connection("tcp", OWN_NETNS, NOBODY, 1, OUTBOUND): 100,
        outbound(A, 80): 1,
    }
    snapshot = snapshot_of(processes("a"), (), connections)
    groups = Groups(snapshot, GROUPINGS[DEFAULT_GROUPING])
    rows, together = upstream_rows(snapshot, groups, ephemeral_usage(snapshot), labels(snapshot))
    assert len(rows) == 1
    row = together.row
    assert (row.established, row.syn_sent, row.close_wait) == (5, 6, 0)


def test_ephemeral_ports_of_all_processes() -> None:
    """A port is taken by whatever process and state; by one source and destination."""
    connections = {
        outbound(A, 5432): 3,
        outbound(B, 5432): 4,
        outbound(NOBODY, 5432, state=TcpState.TIME_WAIT): 5,
        outbound(A, 5432)._replace(ephemeral=False): 100,
        outbound(A, 5432, protocol="udp"): 100,
        outbound(A, 5432)._replace(source=OTHER_SOURCE): 7,
        inbound(A, 5432): 100,
    }
    snapshot = snapshot_of(processes("a", "b"), (), connections)
    usage = ephemeral_usage(snapshot)
    assert usage == {KEY: 12, (*KEY[:2], OTHER_SOURCE, *KEY[3:]): 7}
    rows = rows_of(snapshot)
    for name in ("a", "b"):
        assert rows[f"{name}>tcp/192.0.2.5:5432"]["ephemeral_pct"] == ephemeral_pct(12, PORTS)


def test_ephemeral_pct_is_absent_where_no_port_was_picked() -> None:
    """A connection from a port of its own choice takes no ephemeral one."""
    connections = {outbound(A, 5432)._replace(ephemeral=False): 1}
    (row,) = rows_of(snapshot_of(processes("a"), (), connections)).values()
    assert "ephemeral_pct" not in row


@pytest.mark.parametrize(
    ("used", "size", "pct"), [(0, 28232, 0.0), (14116, 28232, 50.0), (1, 3, 33.33), (0, 0, 100.0)]
)
def test_ephemeral_pct(used: int, size: int, pct: float) -> None:
    """A share of the ports that may be picked; without any, all are taken."""
    assert ephemeral_pct(used, PortRange(1, 2, size)) == pct


def test_rank() -> None:
    """The system's processes come first, whatever number of connections a user's makes."""
    snapshot = snapshot_of(processes("user", "root"))
    snapshot.uids = {A: 1000, B: 33}
    snapshot.connections = {outbound(A, 80): 90_000, outbound(B, 81): 1, outbound(B, 82): 40}
    groups = Groups(snapshot, GROUPINGS[DEFAULT_GROUPING])
    rows, _ = upstream_rows(snapshot, groups, {}, labels(snapshot))
    assert [each.row.port for each in sorted(rows)] == [82, 81, 80]
