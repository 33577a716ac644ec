"""Rows of the list `processes`: the sockets that each group of processes holds."""

from __future__ import annotations

from _collections_abc import Iterable, Iterator, Mapping

from zabbix_sockets.document.completeness import LACK_DROPS_OF_PROCESSES
from zabbix_sockets.document.record import (
    ABSENT_ID,
    COUNTER,
    number,
    numbers,
    part,
    percentage,
    text,
    yes_no,
)
from zabbix_sockets.document.row import (
    ALL_ROWS,
    BEHIND_ALL,
    OF_PROCESS_NAMES,
    OF_PROCESSES,
    Choice,
    NetnsLabel,
    Qualities,
    RankedRow,
    Row,
    accept_queue_pct,
    facts_of,
    has_unknown_drops,
    rank,
)
from zabbix_sockets.document.totals import ProcessTotals
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model import gaps
from zabbix_sockets.model.addresses import format_address, format_endpoint
from zabbix_sockets.model.light_typing import Optional
from zabbix_sockets.model.names import UNNAMED
from zabbix_sockets.model.snapshot import (
    INBOUND,
    NOBODY,
    OUTBOUND,
    UNKNOWN,
    Connection,
    ListenerSocket,
    Snapshot,
    UnixListener,
)
from zabbix_sockets.model.wire import OWN_NETNS, TCP_STATES, TcpState, state_name

SETTLED_AGE = 600.0
"""The age in seconds from which a process that doesn't listen is offered to discovery."""

WORST_REMOTE_FROM = 5
"""The number of stuck connections from which a row names the remote end with most of them."""

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

UNIX_PARTS = ("listen", "connected")
"""The numbers in a row's `unix`: sockets by state."""

_NO_TCP, _NO_UDP, _NO_UNIX = (
    dict.fromkeys(parts, 0) for parts in (TCP_PARTS, UDP_PARTS, UNIX_PARTS)
)


class ProcessRow(Row):
    """The sockets that the processes of one name, unit, container or user hold.

    *drops* are those of its listeners and UDP sockets that live, so the number may fall. It is
    absent if those of one listener are unknown, or sockets were not read.
    *unix* is absent with a filter, and where owners are cgroups; `(absent)` has none, as those who
    hold nothing but connected unix sockets have no row.
    """

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
    netns: str = text(macro="{#NETNS}")
    admitted: int | None = number("", macro="{#ADMITTED}", default=None)
    sockets: int = number("sockets", additive=True, zero=0)
    tcp: dict[str, int] = numbers("sockets", TCP_PARTS, additive=True, zero=0)
    udp: dict[str, int] = numbers("sockets", UDP_PARTS, additive=True, zero=0)
    unix: dict[str, int] | None = numbers("sockets", UNIX_PARTS, default=None)
    recv_queue_bytes: int = number("B", additive=True, zero=0)
    send_queue_bytes: int = number("B", additive=True, zero=0)
    accept_queue: int = number("connections", additive=True, zero=0)
    accept_queue_max_pct: float | None = percentage(zero=0, default=None)
    drops: int | None = number("packets", COUNTER, additive=True, zero=0, default=None)
    fds_max_pct: float | None = percentage(zero=0, needs=OF_PROCESSES, default=None)
    totals: ProcessTotals | None = part(ProcessTotals, default=None)
    worst_remote: str | None = text(default=None)


_STUCK = TcpState.CLOSE_WAIT, TcpState.SYN_SENT
STUCK = tuple(state_name("tcp", state) for state in _STUCK)
"""The states of connections that are stuck, by their names in a row's *tcp*: the process doesn't
close them, or the other side doesn't answer."""


def stuck(tcp: Mapping[str, int]) -> int:
    """Return the number of the connections of a row's *tcp* that are stuck."""
    return sum(tcp.get(name, 0) for name in STUCK)


_Remote = tuple[Optional[bytes], Optional[int], str]
"""The remote end of stuck connections: address, port (None where that side opened them, from any
port), name of the device that the socket is bound to."""


class _ProcessSums:
    """The sums over the sockets of one group."""

    def __init__(self) -> None:
        self.sockets = 0
        self.uid: int | None = None
        self.tcp: dict[str, int] = {}
        self.udp: dict[str, int] = {}
        self.is_unix_listening = False
        self.recv_queue = 0
        self.send_queue = 0
        self.accept_queue = 0
        self.accept_queue_pct: float | None = 0.0
        self.drops = 0
        self.has_unknown_drops = False
        self.netns: set[int] = set()
        self.remotes: dict[_Remote, int] = {}

    @property
    def is_listening(self) -> bool:
        """Whether one of the TCP or unix sockets listens."""
        return bool(self.tcp.get("listen")) or self.is_unix_listening

    def add(self, protocol: str, state: str, count: int) -> None:
        states = self.tcp if protocol == "tcp" else self.udp
        states[state] = states.get(state, 0) + count
        self.sockets += count

    def add_connection(self, connection: Connection, count: int) -> None:
        """Add equal connections; those that are stuck count for their remote end, too."""
        state = connection.state
        self.add(connection.protocol, state_name(connection.protocol, state), count)
        if state in _STUCK:
            self._add_stuck(connection, count)
        elif connection.protocol == "tcp" and state == TcpState.ESTABLISHED:
            self.tcp[connection.direction] = self.tcp.get(connection.direction, 0) + count

    def _add_stuck(self, connection: Connection, count: int) -> None:
        if connection.direction != OUTBOUND:
            remote: _Remote = connection.remote, None, ""
        else:
            remote = connection.address, connection.port, connection.device
        if remote[0] is not None:
            self.remotes[remote] = self.remotes.get(remote, 0) + count

    def add_listener(self, listener: ListenerSocket) -> None:
        self.add(listener.protocol, "listen" if listener.protocol == "tcp" else "bound", 1)
        self.has_unknown_drops |= has_unknown_drops(listener)
        self._add_accept_queue(listener.accept_queue, listener.backlog)

    def add_unix_listener(self, listener: UnixListener) -> None:
        self.is_unix_listening = True
        self._add_accept_queue(listener.accept_queue, listener.backlog)

    def _add_accept_queue(self, waiting: int | None, backlog: int | None) -> None:
        if waiting is None:
            return
        self.accept_queue += waiting
        if backlog is None or self.accept_queue_pct is None:
            self.accept_queue_pct = None
        else:
            self.accept_queue_pct = max(self.accept_queue_pct, accept_queue_pct(waiting, backlog))


def process_rows(
    snapshot: Snapshot, groups: Groups, label: NetnsLabel, choice: Choice = ALL_ROWS
) -> list[RankedRow[ProcessRow]]:
    """Return a row for each group that holds sockets.

    *label* returns the label of a network namespace by its number. Of the rows that are not of
    *choice* there is one with their sums; the one with most stuck connections is always made.
    """
    sums, qualities = _sums_of(snapshot, groups)
    facts = facts_of(snapshot, groups.grouping)
    unix = unix_sockets(snapshot, groups) if OF_PROCESSES in facts else None
    denied = {
        gap.where: gap.how_many for gap in snapshot.visibility.gaps if gap.kind == gaps.DENIED
    }
    ranks = {
        name: rank(each.uid, each.is_listening, each.sockets, name) for name, each in sums.items()
    }
    chosen = {*choice.of(ranks), max(sums, key=lambda name: stuck(sums[name].tcp), default="")}
    rows = [
        RankedRow(
            ranks[name],
            _process_row(
                snapshot,
                groups.instances[name],
                each,
                facts,
                name,
                denied.get(name, 0),
                _netns_of(each, label),
                None if unix is None else _NO_UNIX | unix.get(name, {}),
            ),
            qualities.of(name),
            groups.instances[name],
        )
        for name, each in sums.items()
        if name in chosen
    ]
    others = {name: each for name, each in sums.items() if name not in chosen}
    if not others:
        return rows
    row = _row_of_others(groups, others, facts, sum(denied.get(name, 0) for name in others))
    behind = RankedRow(BEHIND_ALL, row, sum(qualities.of(name) or 0 for name in others))
    behind.stands_for = len(others)
    behind.not_offered = sum(
        not _netns_of(each, label)
        and _is_settled(snapshot, groups.instances[name], each, by_processes=OF_PROCESSES in facts)
        for name, each in others.items()
    )
    return [*rows, behind]


def _sums_of(snapshot: Snapshot, groups: Groups) -> tuple[dict[str, _ProcessSums], Qualities[str]]:
    """Return the sums of each group, and the samples of its connections."""
    sums: dict[str, _ProcessSums] = {name: _ProcessSums() for name in groups.instances}
    qualities: Qualities[str] = Qualities(snapshot)
    for listener in snapshot.listeners:
        for name in groups.of(listener.owner):
            sums[name].add_listener(listener)
    for unix_listener in snapshot.unix.listeners if snapshot.unix else ():
        for name in groups.of(unix_listener.owner):
            sums[name].add_unix_listener(unix_listener)
    for connection, count in snapshot.connections.items():
        for name in groups.of(connection.owner):
            qualities.add(name, connection)
            sums[name].add_connection(connection, count)
    _add_requests(snapshot, groups, sums)
    _add_owners(snapshot, groups, sums)
    _add_namespaces(snapshot, groups, sums)
    # Asked once: gaps may be as many as denied processes.
    if snapshot.visibility.has_gap(*LACK_DROPS_OF_PROCESSES):
        for each in sums.values():
            each.has_unknown_drops = True
    return sums, qualities


def _row_of_others(
    groups: Groups,
    others: dict[str, _ProcessSums],
    facts: set[str],
    denied: int,
) -> ProcessRow:
    """Return a row with the sums of groups that have none, as a local user may have very many.

    *denied* further processes of their names may not be inspected. It is never in a document.
    """
    tcp, udp = dict(_NO_TCP), dict(_NO_UDP)
    for each in others.values():
        for total, part_of in ((tcp, each.tcp), (udp, each.udp)):
            for state, sockets in part_of.items():
                total[state] = total.get(state, 0) + sockets
    instances = sum(len(groups.instances[name]) for name in others)
    return ProcessRow(
        id="",
        name="",
        instances=instances if OF_PROCESSES in facts else None,
        denied_instances=denied if OF_PROCESS_NAMES in facts else None,
        settled=0,
        netns="",
        sockets=sum(each.sockets for each in others.values()),
        tcp=tcp,
        udp=udp,
        recv_queue_bytes=sum(each.recv_queue for each in others.values()),
        send_queue_bytes=sum(each.send_queue for each in others.values()),
        accept_queue=sum(each.accept_queue for each in others.values()),
        drops=sum(each.drops for each in others.values() if not each.has_unknown_drops),
    )


def unix_sockets(snapshot: Snapshot, groups: Groups) -> dict[str, dict[str, int]] | None:
    """Return the unix sockets of each group by state: also of groups that hold no others.

    None if they are not known.
    """
    if snapshot.unix is None:
        return None
    counts: dict[str, dict[str, int]] = {}
    listening = ((groups.of(each.owner), "listen", 1) for each in snapshot.unix.listeners)
    connected = (
        (groups.of_connected(owner), "connected", count)
        for (owner, _), count in snapshot.unix.connected.items()
    )
    for names, state, count in (*listening, *connected):
        for name in names:
            states = counts.setdefault(name, {})
            states[state] = states.get(state, 0) + count
    return counts


def _add_owners(snapshot: Snapshot, groups: Groups, sums: dict[str, _ProcessSums]) -> None:
    """Add to the groups what is known of owners: queues, drops, uids."""
    for (owner, _), drops in snapshot.drops.items():
        for name in groups.of(owner):
            sums[name].drops += drops
    for (owner, _), (recv, send) in snapshot.queues.items():
        for name in groups.of(owner):
            sums[name].recv_queue += recv
            sums[name].send_queue += send
    for owner, uid in snapshot.uids.items():
        for name in groups.of(owner):
            before = sums[name].uid
            sums[name].uid = uid if before is None else min(before, uid)


def _add_namespaces(snapshot: Snapshot, groups: Groups, sums: dict[str, _ProcessSums]) -> None:
    """Add to the groups the network namespaces of their sockets, if there are others."""
    if not snapshot.namespaces:
        return
    seen = {(each.owner, each.netns) for each in snapshot.connections}
    seen.update((each.owner, each.netns) for each in snapshot.listeners)
    if snapshot.unix:
        seen.update((each.owner, each.netns) for each in snapshot.unix.listeners)
    for owner, netns in seen:
        for name in groups.of(owner):
            sums[name].netns.add(netns)


def _netns_of(sums: _ProcessSums, label: NetnsLabel) -> str:
    """Return the label of a group's namespace: the own one if it has a socket there.

    Else it is the first one by name, one without a name last.
    """
    if not sums.netns or OWN_NETNS in sums.netns:
        return label(OWN_NETNS)
    return min(map(label, sums.netns), key=lambda name: (name == UNNAMED, name))


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
    netns: str,
    unix: dict[str, int] | None,
) -> ProcessRow:
    """Return the row of the group *name*, of the Snapshot's processes at *indices*.

    *denied* further processes of that name may not be inspected; *netns* is its namespace's label;
    *unix* are its unix sockets by state.
    """
    by_processes = (
        OF_PROCESSES in facts
    )  # else owners are cgroups, which have neither age nor number
    used = max(_fds_used(snapshot, indices), default=None)
    row = ProcessRow(
        id=name,
        name=name,
        instances=len(indices) if by_processes else None,
        denied_instances=denied if OF_PROCESS_NAMES in facts else None,
        settled=int(_is_settled(snapshot, indices, sums, by_processes=by_processes)),
        netns=netns,
        sockets=sums.sockets,
        tcp=_NO_TCP | sums.tcp,
        udp=_NO_UDP | sums.udp,
        unix=unix,
        recv_queue_bytes=sums.recv_queue,
        send_queue_bytes=sums.send_queue,
        accept_queue=sums.accept_queue,
        accept_queue_max_pct=sums.accept_queue_pct,
        drops=None if sums.has_unknown_drops else sums.drops,
        fds_max_pct=None if used is None else round(used, 1),
    )
    if sums.remotes and stuck(row.tcp) >= WORST_REMOTE_FROM:
        row.worst_remote = _worst_remote(sums.remotes)
    return row


def _is_settled(
    snapshot: Snapshot, indices: set[int], sums: _ProcessSums, *, by_processes: bool
) -> bool:
    """Whether a group listens, or its oldest process is older than SETTLED_AGE.

    True, too, where owners are cgroups (not *by_processes*): these have no age.
    """
    if sums.is_listening or not by_processes:
        return True
    ages = (age for index in indices if (age := snapshot.processes[index].age) is not None)
    return max(ages, default=0.0) > SETTLED_AGE


def _worst_remote(remotes: dict[_Remote, int]) -> str:
    """Return the text of the remote end with most connections; of equal ones always the same."""
    address, port, device = max(remotes, key=lambda remote: (remotes[remote], str(remote)))
    assert address is not None
    if port is None:
        return format_address(address)
    return f"tcp/{format_endpoint(address, port, device)}"


def _fds_used(snapshot: Snapshot, indices: Iterable[int]) -> Iterator[float]:
    """Yield the percentage of its descriptor limit that each process uses, where known."""
    for index in indices:
        fds, limit = snapshot.processes[index].fds, snapshot.fds_limits.get(index)
        if fds is not None and limit:
            yield 100 * fds / limit
