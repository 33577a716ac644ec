"""Who connected: each part of the rule by itself, and what is told for the hot path."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.collector.directions import (
    FIXED_PORT,
    LISTENING_PORT,
    OUTBOUND_PORT,
    Directions,
    DirectionsByTable,
    ephemeral_flags,
)
from zabbix_sockets.collector.iterator import record_fold
from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.snapshot import (
    INBOUND,
    OUTBOUND,
    UNKNOWN,
    ListenerSocket,
    PortRange,
)
from zabbix_sockets.model.wire import Encoding
from zabbix_sockets.readers.proc import net_tables
from zabbix_sockets.readers.sock_diag import messages

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
PORTS = PortRange(32768, 60999, 28232)
WILDCARD, HERE, THERE = (socket.inet_aton(each) for each in ("0.0.0.0", "192.0.2.1", "192.0.2.2"))
PICKED, FIXED = 40000, 5432  # ports that the kernel picks, and doesn't


def of_records(family: int = AF_INET) -> Directions:
    """Return what decides for a table, by numbers of ports and packed addresses."""
    return Directions(record_fold.ENCODING, family, PORTS)


@pytest.mark.parametrize("listener", [None, WILDCARD, HERE, THERE])
def test_the_kernel_is_believed_first(listener: bytes | None) -> None:
    """What it calls inbound or outbound is, whatever listens and whatever the ports are."""
    directions = of_records()
    if listener:
        directions.add_listener(FIXED, listener)
    accepted_by = None if listener == THERE else listener
    assert directions.of(FIXED, HERE, PICKED, INBOUND) == (INBOUND, accepted_by)
    assert directions.of(PICKED, HERE, FIXED, INBOUND) == (INBOUND, None)
    assert directions.of(FIXED, HERE, PICKED, OUTBOUND) == (OUTBOUND, None)


@pytest.mark.parametrize("local_port", [FIXED, PICKED])
@pytest.mark.parametrize(
    ("listeners", "server"),
    [
        ([HERE], HERE),
        ([WILDCARD], WILDCARD),
        ([WILDCARD, HERE], HERE),
        ([HERE, WILDCARD], HERE),
        ([THERE, WILDCARD], WILDCARD),
        ([THERE], None),
    ],
)
def test_a_listener_at_the_local_end(
    listeners: list[bytes], server: bytes | None, local_port: int
) -> None:
    """The one at the local address comes before that on the wildcard, whatever the port is."""
    directions = of_records()
    for address in listeners:
        directions.add_listener(local_port, address)
    direction, found = directions.of(local_port, HERE, PICKED)
    assert found == server
    assert (direction == INBOUND) == (server is not None)
    assert directions.of(local_port + 1, HERE, FIXED) == (OUTBOUND, None)


def test_an_address_by_its_number() -> None:
    """Records of the BPF iterator may have no more of a local address than its number."""
    directions = of_records()
    directions.add_listener(FIXED, HERE, fold_address(HERE))
    assert directions.of(FIXED, fold_address(HERE), PICKED) == (INBOUND, HERE)
    assert directions.of(FIXED, fold_address(THERE), PICKED) == (UNKNOWN, None)


@pytest.mark.parametrize(
    ("local_port", "remote_port", "direction"),
    [
        (PICKED, PICKED, OUTBOUND),
        (PICKED, FIXED, OUTBOUND),
        (FIXED, FIXED, OUTBOUND),
        (FIXED, PICKED, UNKNOWN),
    ],
)
@pytest.mark.parametrize("encoding", [record_fold.ENCODING, messages.ENCODING, net_tables.ENCODING])
def test_ports_decide_without_a_listener(
    local_port: int, remote_port: int, direction: str, encoding: Encoding
) -> None:
    """Outbound, unless a fixed local port has a remote one that a client's kernel picks."""
    directions = Directions(encoding, AF_INET, PORTS)
    ports = encoding.port(local_port), encoding.port(remote_port)
    assert directions.of(ports[0], HERE, ports[1]) == (direction, None)


@given(
    st.lists(st.tuples(st.sampled_from([FIXED, PICKED]), st.sampled_from([WILDCARD, HERE, THERE]))),
    st.sampled_from([FIXED, PICKED, FIXED + 1, PICKED + 1]),
    st.sampled_from([HERE, THERE]),
    st.sampled_from([FIXED, PICKED]),
    st.integers(0, 3),
)
def test_what_the_local_port_alone_decides(
    listeners: list[tuple[int, bytes]], local_port: int, local: bytes, remote_port: int, asked: int
) -> None:
    """The hot path's two short ways say what is decided for every address and remote port.

    They do whenever they were asked for, since listeners may come after that.
    """
    directions = of_records()
    by_port = None
    for at, (port, address) in enumerate(listeners):
        if at == asked:
            by_port = directions.by_port()
        directions.add_listener(port, address, fold_address(address))
    decided = directions.of(local_port, local, remote_port)
    if local_port in directions.accepting:
        assert directions.accepting[local_port] == decided
    listened = any(port == local_port for port, _ in listeners)
    picked = local_port in (PICKED, PICKED + 1)
    expected = (LISTENING_PORT if listened else OUTBOUND_PORT) if picked else FIXED_PORT
    assert directions.by_port()[local_port] == expected
    assert by_port is None or by_port is directions.by_port()
    if expected == OUTBOUND_PORT:
        assert decided == (OUTBOUND, None)
    assert directions.ephemeral == of_records().by_port()  # no table's listeners are another's


def test_each_table_has_its_own_listeners() -> None:
    """A listener of another protocol, family or namespace accepts nothing here."""
    listener = ListenerSocket("tcp", 0, HERE, FIXED, "", 2, 0, 128)
    directions = DirectionsByTable([listener], record_fold.ENCODING, PORTS)
    assert directions.table("tcp", AF_INET, 0).of(FIXED, HERE, PICKED) == (INBOUND, HERE)
    for place in (("udp", AF_INET, 0), ("tcp", AF_INET6, 0), ("tcp", AF_INET, 7)):
        assert directions.table(*place).of(FIXED, HERE, PICKED) == (UNKNOWN, None)


def test_connected_udp() -> None:
    """It is inbound where a bound UDP socket has its local port: one that serves its clients."""
    bound = ListenerSocket("udp", 0, WILDCARD, 53, "", 2, None, None)
    table = DirectionsByTable([bound], record_fold.ENCODING, PORTS).table("udp", AF_INET, 0)
    assert table.of(53, HERE, PICKED) == (INBOUND, WILDCARD)
    assert table.of(PICKED, HERE, 53) == (OUTBOUND, None)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("low", "high"), [(32768, 60999), (0, 65535), (1, 1), (65535, 65535)])
def test_ephemeral_flags(low: int, high: int, swapped: bool) -> None:
    """Each port's token, in either byte order, tells whether the kernel may pick that port."""
    flags = ephemeral_flags(PortRange(low, high, 0), swapped)
    assert len(flags) == 65536
    token = socket.ntohs if swapped else int
    assert {port for port in range(65536) if flags[token(port)]} == set(range(low, high + 1))
