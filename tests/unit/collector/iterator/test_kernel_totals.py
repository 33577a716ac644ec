"""What a Snapshot asks of the totals: endpoints that are open, namespaces where nothing is."""

from __future__ import annotations

from zabbix_sockets.collector.iterator.kernel_totals import endpoints, idle_namespaces
from zabbix_sockets.model.snapshot import FIRST_OWNER, Namespace, Process, Snapshot
from zabbix_sockets.model.totals import RECENT, ProcessCounters, ServerCounters, Totals
from zabbix_sockets.model.wire import OWN_NETNS

from ...snapshots import (  # noqa: TID252  # a test folder is no package
    inbound,
    outbound,
    snapshot_of,
    tcp_listener,
)

LOCAL = bytes((127, 0, 0, 1))
NOW = 10 * RECENT


def counted(processes: list[tuple[int, int, int]], upstreams: list[tuple[int, int]]) -> Snapshot:
    """Return a Snapshot in which something is open in the own namespace, and in the namespace 2.

    Args:
        processes: of what was counted, the namespace, the cgroup, and the time of the last change.
        upstreams: of upstreams, the number of the process and the namespace.
    """
    snapshot = snapshot_of([Process(7, "web")], [tcp_listener(FIRST_OWNER, 80)])
    snapshot.namespaces = {2: Namespace("web")}
    totals = [
        ProcessCounters(b"web", False, 0, cgroup, netns, 0, changed)
        for netns, cgroup, changed in processes
    ]
    servers = [ServerCounters(at, netns, LOCAL, 80, "", 0, NOW) for at, netns in upstreams]
    snapshot.totals = Totals(*(1_600_000_000, NOW, 1, 0, 0), totals, [], servers)
    return snapshot


def test_endpoints() -> None:
    """They are those of listeners, and of outbound connections."""
    snapshot = snapshot_of([Process(7, "web")], [tcp_listener(FIRST_OWNER, 80)])
    snapshot.connections = {outbound(FIRST_OWNER, 443): 3, inbound(FIRST_OWNER, 80): 2}
    listeners, upstreams = endpoints(snapshot)
    assert {port for _, port in listeners} == {80}
    assert {port for _, port in upstreams} == {443}


def test_idle_namespaces() -> None:
    """Those of upstreams, with their processes' cgroups; else of processes that changed lately."""
    old = NOW - RECENT
    processes = [(OWN_NETNS, 10, NOW), (2, 11, NOW), (3, 12, NOW), (4, 13, old), (5, 14, old)]
    snapshot = counted([*processes, (6, 15, NOW)], [(1, 2), (3, 4), (1, 3)])
    assert idle_namespaces(snapshot) == {3: {11}, 4: {13}, 6: {15}}
    snapshot.totals = None
    assert not idle_namespaces(snapshot)
