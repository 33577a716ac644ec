"""`processes[]`: what each group of processes holds."""

from collections.abc import Iterable, Iterator

from zabbix_sockets.document.row import (
    ABSENT_ID,
    JsonRow,
    Qualities,
    RankedRow,
    accept_queue_pct,
    rank,
)
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Groups
from zabbix_sockets.model.gaps import DENIED
from zabbix_sockets.model.snapshot import (
    BY_CGROUPS,
    INBOUND,
    NOBODY,
    OUTBOUND,
    UNKNOWN,
    ListenerSocket,
    Snapshot,
)
from zabbix_sockets.model.wire import TCP_STATES, TcpState, state_name

SETTLED_AGE = 600.0
"""Seconds after which a process that doesn't listen is worth discovering."""

PROCESS_STATES = tuple(
    name
    for name in TCP_STATES.values()
    if name not in ("established", "time_wait", "close", "listen")
)


class _ProcessSums:
    """What the sockets of one group add up to."""

    def __init__(self) -> None:
        self.sockets = 0
        self.uid: int | None = None
        self.tcp: dict[str, int] = {}
        self.udp: dict[str, int] = {}
        self.recv_queue = 0
        self.send_queue = 0
        self.accept_queue = 0
        self.accept_queue_pct: float | None = 0.0

    def add(self, protocol: str, state: str, count: int) -> None:
        states = self.tcp if protocol == "tcp" else self.udp
        states[state] = states.get(state, 0) + count
        self.sockets += count

    def add_listener(self, listener: ListenerSocket) -> None:
        self.add(listener.protocol, "listen" if listener.protocol == "tcp" else "bound", 1)
        if listener.accept_queue is not None:
            self.accept_queue += listener.accept_queue
            if listener.backlog is None or self.accept_queue_pct is None:
                self.accept_queue_pct = None
            else:
                pct = accept_queue_pct(listener.accept_queue, listener.backlog)
                self.accept_queue_pct = max(self.accept_queue_pct, pct)


def process_rows(snapshot: Snapshot, groups: Groups) -> list[RankedRow]:
    """Return a row for each group that holds sockets."""
    sums: dict[str, _ProcessSums] = {name: _ProcessSums() for name in groups.instances}
    for listener in snapshot.listeners:
        for name in groups.of(listener.owner):
            sums[name].add_listener(listener)
    qualities: Qualities[str] = Qualities(snapshot)
    for connection, count in snapshot.connections.items():
        for name in groups.of(connection.owner):
            qualities.add(name, connection)
            state = state_name(connection.protocol, connection.state)
            sums[name].add(connection.protocol, state, count)
            if connection.protocol == "tcp" and connection.state == TcpState.ESTABLISHED:
                tcp = sums[name].tcp
                tcp[connection.direction] = tcp.get(connection.direction, 0) + count
    _add_requests(snapshot, groups, sums)
    for (owner, _), (recv, send) in snapshot.queues.items():
        for name in groups.of(owner):
            sums[name].recv_queue += recv
            sums[name].send_queue += send
    for owner, uid in snapshot.uids.items():
        for name in groups.of(owner):
            before = sums[name].uid
            sums[name].uid = uid if before is None else min(before, uid)
    denied = {gap.where: gap.how_many for gap in snapshot.visibility.gaps if gap.kind == DENIED}
    return [
        _process_row(snapshot, groups, name, each, denied.get(name, 0))._replace(
            quality=qualities.of(name)
        )
        for name, each in sums.items()
    ]


def _add_requests(snapshot: Snapshot, groups: Groups, sums: dict[str, _ProcessSums]) -> None:
    """Add the connections being opened (SYN_RECV) to the state of those who listen.

    These have neither descriptor nor inode, and are nobody's sockets yet. They belong to a
    listener: that of the device that they came by, if there is one. Where several groups listen
    they are each one's.
    """
    requests = {
        connection: count
        for connection, count in snapshot.connections.items()
        if connection.state == TcpState.SYN_RECV
        and (connection.owner, connection.direction) == (NOBODY, INBOUND)
    }
    if not requests:
        return
    listening: dict[tuple[object, ...], set[int]] = {}
    for listener in snapshot.listeners:
        if listener.protocol == "tcp":
            listening.setdefault(listener[1:5], set()).add(listener.owner)
    for connection, count in requests.items():
        place = connection.netns, connection.address, connection.port
        owners = listening.get((*place, connection.device)) or listening.get((*place, ""), set())
        for name in groups.of_all(owners):
            tcp = sums[name].tcp
            tcp["syn_recv"] = tcp.get("syn_recv", 0) + count


def _process_row(
    snapshot: Snapshot, groups: Groups, name: str, sums: _ProcessSums, denied: int
) -> RankedRow:
    instances = [snapshot.processes[index] for index in groups.instances[name]]
    listening = bool(sums.tcp.get("listen"))
    by_cgroups = snapshot.visibility.ownership == BY_CGROUPS  # these last, but aren't counted
    ages = [process.age for process in instances if process.age is not None]
    row: JsonRow = {"id": name, "name": name}
    if not by_cgroups:
        row["instances"] = len(instances)
    if groups.grouping is GROUPINGS[DEFAULT_GROUPING]:  # with rules names are others
        row["denied_instances"] = denied
    row |= {
        "settled": int(listening or by_cgroups or max(ages, default=0.0) > SETTLED_AGE),
        "sockets": sums.sockets,
        "tcp": _tcp_fields(sums.tcp),
        "udp": {"bound": 0, "connected": 0} | sums.udp,
        "recv_queue_bytes": sums.recv_queue,
        "send_queue_bytes": sums.send_queue,
        "accept_queue": sums.accept_queue,
    }
    if sums.accept_queue_pct is not None:
        row["accept_queue_max_pct"] = sums.accept_queue_pct
    used = list(_fds_used(snapshot, groups.instances[name]))
    if used:
        row["fds_max_pct"] = round(max(used), 1)
    return RankedRow(rank(sums.uid, listening, sums.sockets, name), row)


def _fds_used(snapshot: Snapshot, indices: Iterable[int]) -> Iterator[float]:
    """Yield the percentage of its descriptor limit that each process uses, where known."""
    for index in indices:
        fds, limit = snapshot.processes[index].fds, snapshot.fds_limits.get(index)
        if fds is not None and limit:
            yield 100 * fds / limit


def _tcp_fields(states: dict[str, int]) -> dict[str, int]:
    fields = dict.fromkeys(
        ("listen", "established", INBOUND, OUTBOUND, UNKNOWN, *PROCESS_STATES), 0
    )
    return fields | states


def absent_process() -> JsonRow:
    """Return the row that stands for every process that is not in a complete list."""
    return {
        "id": ABSENT_ID,
        "name": ABSENT_ID,
        "instances": 0,
        "denied_instances": 0,
        "sockets": 0,
        "tcp": _tcp_fields({}),
        "udp": {"bound": 0, "connected": 0},
        "recv_queue_bytes": 0,
        "send_queue_bytes": 0,
        "accept_queue": 0,
        "accept_queue_max_pct": 0,
        "fds_max_pct": 0,
    }
