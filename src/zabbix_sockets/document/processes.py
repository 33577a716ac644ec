"""Rows of the list `processes`: the sockets that each group of processes holds."""

from collections.abc import Iterable, Iterator

from zabbix_sockets.document.record import (
    ABSENT_ID,
    number,
    numbers,
    percentage,
    text,
    yes_no,
)
from zabbix_sockets.document.row import (
    OF_PROCESS_NAMES,
    OF_PROCESSES,
    Qualities,
    RankedRow,
    Row,
    accept_queue_pct,
    facts_of,
    rank,
)
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.gaps import DENIED
from zabbix_sockets.model.snapshot import (
    INBOUND,
    NOBODY,
    OUTBOUND,
    UNKNOWN,
    ListenerSocket,
    Snapshot,
)
from zabbix_sockets.model.wire import TCP_STATES, TcpState, state_name

SETTLED_AGE = 600.0
"""The age in seconds from which a process that doesn't listen is offered to discovery."""

TCP_PARTS = (
    *("listen", "established", INBOUND, OUTBOUND, UNKNOWN),
    *(
        name
        for name in TCP_STATES.values()
        if name not in ("established", "time_wait", "close", "listen")
    ),
)
"""The numbers in a row's `tcp`: sockets by state, and established ones by direction."""

UDP_PARTS = ("bound", "connected")
"""The numbers in a row's `udp`: sockets by state."""

_NO_TCP, _NO_UDP = dict.fromkeys(TCP_PARTS, 0), dict.fromkeys(UDP_PARTS, 0)


class ProcessRow(Row):
    """The sockets that the processes of one name, unit, container or user hold."""

    SINGULAR = "process"

    id: str = text(macro="{#ID}", zero=ABSENT_ID)
    name: str = text(macro="{#PROCESS}", zero=ABSENT_ID)
    instances: int | None = number(
        "processes", additive=True, zero=0, needs=OF_PROCESSES, default=None
    )
    denied_instances: int | None = number(
        "processes", additive=True, zero=0, needs=OF_PROCESS_NAMES, default=None
    )
    settled: int = yes_no(macro="{#SETTLED}")
    sockets: int = number("sockets", additive=True, zero=0)
    tcp: dict[str, int] = numbers("sockets", TCP_PARTS, additive=True, zero=0)
    udp: dict[str, int] = numbers("sockets", UDP_PARTS, additive=True, zero=0)
    recv_queue_bytes: int = number("B", additive=True, zero=0)
    send_queue_bytes: int = number("B", additive=True, zero=0)
    accept_queue: int = number("connections", additive=True, zero=0)
    accept_queue_max_pct: float | None = percentage(zero=0, default=None)
    fds_max_pct: float | None = percentage(zero=0, needs=OF_PROCESSES, default=None)


class _ProcessSums:
    """The sums over the sockets of one group."""

    def __init__(self) -> None:
        self.sockets = 0
        self.uid: int | None = None
        self.tcp: dict[str, int] = {}
        self.udp: dict[str, int] = {}
        self.recv_queue = 0
        self.send_queue = 0
        self.accept_queue = 0
        self.accept_queue_pct: float | None = 0.0

    @property
    def is_listening(self) -> bool:
        """Whether one of the TCP sockets listens."""
        return bool(self.tcp.get("listen"))

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


def process_rows(snapshot: Snapshot, groups: Groups) -> list[RankedRow[ProcessRow]]:
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
    facts = facts_of(snapshot, groups.grouping)
    denied = {gap.where: gap.how_many for gap in snapshot.visibility.gaps if gap.kind == DENIED}
    return [
        RankedRow(
            rank(each.uid, each.is_listening, each.sockets, name),
            _process_row(snapshot, groups.instances[name], each, facts, name, denied.get(name, 0)),
            qualities.of(name),
        )
        for name, each in sums.items()
    ]


def _add_requests(snapshot: Snapshot, groups: Groups, sums: dict[str, _ProcessSums]) -> None:
    """Add the connections being opened (SYN_RECV) to the groups whose listeners they came to.

    They have neither descriptor nor inode yet, and so no owner. The listener that is bound to the
    device that they came by goes before one that is bound to none. If several groups listen there,
    they are counted in each.
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
        endpoint = connection.netns, connection.address, connection.port
        owners = listening.get((*endpoint, connection.device)) or listening.get(
            (*endpoint, ""), set()
        )
        for name in groups.of_all(owners):
            tcp = sums[name].tcp
            tcp["syn_recv"] = tcp.get("syn_recv", 0) + count


def _process_row(
    snapshot: Snapshot,
    indices: set[int],
    sums: _ProcessSums,
    facts: set[str],
    name: str,
    denied: int,
) -> ProcessRow:
    """Return the row of the group *name*, of the Snapshot's processes at *indices*.

    *denied* further processes of that name may not be inspected.
    """
    by_processes = (
        OF_PROCESSES in facts
    )  # else owners are cgroups, which have neither age nor number
    ages = [age for index in indices if (age := snapshot.processes[index].age) is not None]
    is_old = max(ages, default=0.0) > SETTLED_AGE
    used = max(_fds_used(snapshot, indices), default=None)
    return ProcessRow(
        id=name,
        name=name,
        instances=len(indices) if by_processes else None,
        denied_instances=denied if OF_PROCESS_NAMES in facts else None,
        settled=int(sums.is_listening or not by_processes or is_old),
        sockets=sums.sockets,
        tcp=_NO_TCP | sums.tcp,
        udp=_NO_UDP | sums.udp,
        recv_queue_bytes=sums.recv_queue,
        send_queue_bytes=sums.send_queue,
        accept_queue=sums.accept_queue,
        accept_queue_max_pct=sums.accept_queue_pct,
        fds_max_pct=None if used is None else round(used, 1),
    )


def _fds_used(snapshot: Snapshot, indices: Iterable[int]) -> Iterator[float]:
    """Yield the percentage of its descriptor limit that each process uses, where known."""
    for index in indices:
        fds, limit = snapshot.processes[index].fds, snapshot.fds_limits.get(index)
        if fds is not None and limit:
            yield 100 * fds / limit
