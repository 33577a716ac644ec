"""Rows of the list `upstreams`: each remote endpoint of a group, with the ephemeral ports taken."""

from __future__ import annotations

from zabbix_sockets.document.record import ABSENT_ID, number, part, percentage, text
from zabbix_sockets.document.row import (
    OF_ALL_SOCKETS,
    NetnsLabel,
    Qualities,
    RankedRow,
    Row,
    end_id,
    rank,
)
from zabbix_sockets.document.totals import UpstreamTotals
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.addresses import format_address
from zabbix_sockets.model.quality import Quality
from zabbix_sockets.model.snapshot import FIRST_USER_UID, OUTBOUND, PortRange, Snapshot
from zabbix_sockets.model.wire import TcpState


class UpstreamRow(Row):
    """The connections from the processes of one group to one remote endpoint.

    *ephemeral_pct* is absent if sockets that take ephemeral ports may not have been seen.
    """

    SINGULAR = "upstream"

    id: str = text(macro="{#ID}", zero=ABSENT_ID)
    process: str = text(macro="{#PROCESS}")
    protocol: str = text(macro="{#PROTOCOL}")
    address: str = text(macro="{#ADDRESS}")
    port: int = number("", macro="{#PORT}")
    netns: str = text(macro="{#NETNS}")
    admitted: int | None = number("", macro="{#ADMITTED}", default=None)
    established: int = number("connections", additive=True, zero=0)
    syn_sent: int = number("connections", additive=True, zero=0)
    close_wait: int = number("connections", additive=True, zero=0)
    ephemeral_pct: float | None = percentage(zero=0, needs=OF_ALL_SOCKETS, default=None)
    totals: UpstreamTotals | None = part(UpstreamTotals, default=None)


Usage = dict[tuple[str, int, int, bytes, int, str], int]
"""The number of ephemeral ports taken, by protocol, number of the network namespace, source address
(addresses.fold_address), and address, port and device of the destination."""


def ephemeral_usage(snapshot: Snapshot) -> Usage:
    """Return the number of ephemeral ports that are taken, by source and destination.

    A port from one source address to one destination is taken whichever process has the connection,
    and in TIME_WAIT, too. Sockets that are bound to another device, as in a VRF, take other ports.
    """
    usage: Usage = {}
    for connection, count in snapshot.connections.items():
        protocol, netns, _, _, direction, address, port, device, source, ephemeral, *_ = connection
        if direction == OUTBOUND and ephemeral and protocol == "tcp":
            if address is None or source is None or port is None:
                continue
            key = protocol, netns, source, address, port, device
            usage[key] = usage.get(key, 0) + count
    return usage


def ephemeral_pct(used: int, ports: PortRange) -> float:
    """Return the share of the ephemeral ports that is taken, in percent; 100 if there are none."""
    return round(100 * used / ports.size, 2) if ports.size else 100.0


_UpstreamKey = tuple[str, str, str, bytes, int, str]
"""The identity of an upstream: group, protocol, label of its namespace, address, port, device."""

_STATES = (TcpState.ESTABLISHED, TcpState.SYN_SENT, TcpState.CLOSE_WAIT)
_INDICES = {state: index for index, state in enumerate(_STATES)}
"""The index of a state's number in a list of sums, which takes half of a dict's memory."""


def upstream_rows(
    snapshot: Snapshot, groups: Groups, usage: Usage, label: NetnsLabel
) -> tuple[list[RankedRow[UpstreamRow]], RankedRow[UpstreamRow]]:
    """Return a row for each group and remote endpoint, and one for connections without endpoints.

    The latter, whose texts are empty, has the connections beyond the collector's bound on distinct
    endpoints. *label* returns the label of a network namespace by its number.
    """
    sums: dict[_UpstreamKey, list[int]] = {}  # by _INDICES
    without_endpoint = [0] * len(_STATES)
    qualities: Qualities[_UpstreamKey | None] = Qualities(snapshot)
    uids: dict[str, int] = {}
    for connection, count in snapshot.connections.items():
        state = _INDICES.get(connection.state)
        if connection.direction != OUTBOUND or state is None:
            continue
        for name in groups.of(connection.owner):
            uid = snapshot.uids.get(connection.owner, FIRST_USER_UID)
            uids[name] = min(uid, uids.get(name, uid))
            address, port = connection.address, connection.port
            if address is None or port is None:
                without_endpoint[state] += count
                qualities.add(None, connection)
                continue
            netns, device = label(connection.netns), connection.device
            key = name, connection.protocol, netns, address, port, device
            states = sums.get(key)
            if states is None:
                states = sums[key] = [0] * len(_STATES)
            states[state] += count
            qualities.add(key, connection)
    worst = _worst_pct(snapshot, usage, label)
    rows = [
        _upstream_row(key, states, worst.get(key[1:]), uids[key[0]], qualities.of(key), groups)
        for key, states in sums.items()
    ]
    established, syn_sent, close_wait = without_endpoint
    row_without_endpoint = UpstreamRow(
        id="",
        process="",
        protocol="",
        address="",
        port=0,
        netns="",
        established=established,
        syn_sent=syn_sent,
        close_wait=close_wait,
    )
    return rows, RankedRow(rank(None, False, 0, ""), row_without_endpoint, qualities.of(None))


def _worst_pct(
    snapshot: Snapshot, usage: Usage, label: NetnsLabel
) -> dict[tuple[str, str, bytes, int, str], float | None]:
    """Return the percentage of ephemeral ports taken to each endpoint, from the worst source.

    Its key is protocol, label of the namespace, address, port and device; it is None if the
    namespace's range of ports, or its sockets in TIME_WAIT, are not known.
    """
    worst: dict[tuple[str, str, bytes, int, str], float | None] = {}
    for (protocol, netns, _source, address, port, device), used in usage.items():
        key = protocol, label(netns), address, port, device
        ports = snapshot.ports_of(netns)
        before = worst.get(key, 0.0)
        if ports is None or before is None:
            worst[key] = None
        else:
            worst[key] = max(ephemeral_pct(used, ports), before)
    return worst


def _upstream_row(
    key: _UpstreamKey,
    counts: list[int],
    pct: float | None,
    uid: int,
    quality: Quality | None,
    groups: Groups,
) -> RankedRow[UpstreamRow]:
    name, protocol, netns, address, port, device = key
    established, syn_sent, close_wait = counts
    row_id = f"{name}>{end_id(protocol, address, port, device, netns)}"
    row = UpstreamRow(
        id=row_id,
        process=name,
        protocol=protocol,
        address=format_address(address),
        port=port,
        netns=netns,
        established=established,
        syn_sent=syn_sent,
        close_wait=close_wait,
        ephemeral_pct=pct,
    )
    ranked = rank(uid, False, sum(counts), row_id)
    members = groups.instances[name]
    return RankedRow(ranked, row, quality if protocol == "tcp" else None, members)
