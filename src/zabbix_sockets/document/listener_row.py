"""A row of the list `listeners`, and what is told alike of all that listen: TCP, UDP and unix."""

from __future__ import annotations

from _collections_abc import Collection, Iterable

from zabbix_sockets.document.record import (
    ABSENT_ID,
    COUNTER,
    Record,
    number,
    part,
    percentage,
    text,
    yes_no,
)
from zabbix_sockets.document.row import (
    BEHIND_ALL,
    OF_CLIENTS,
    OF_PROCESSES,
    RankedRow,
    Row,
    accept_queue_pct,
)
from zabbix_sockets.document.totals import ListenerTotals
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.light_typing import Any
from zabbix_sockets.model.quality import Quality
from zabbix_sockets.model.snapshot import ListenerSocket, Snapshot, UnitEndpoint, UnixListener

_MAX_LABELS = 3


class ListenerClients(Record):
    """The remote addresses that have connections, in ESTABLISHED, with a listener.

    Beyond a bound (model.clients) *distinct* is an estimate, with a standard error in percent, and
    *top_connections* is too low by *top_error* at most; the errors are 0 where they are exact.
    *top_address* has most connections, and *top_pct* percent of all; it is absent without any.
    """

    distinct: int = number("addresses")
    distinct_error_pct: float = percentage()
    top_address: str | None = text(default=None)
    top_connections: int = number("connections")
    top_error: int = number("connections")
    top_pct: float = percentage()


class ListenerRow(Row):
    """The sockets that listen (TCP, unix) or are bound (UDP) at one address, and their connections.

    *established* is absent if the namespace was not read to its end. The other states are those of
    TCP connections to the listener, whether or not a process has them; *fin_wait* is FIN_WAIT1,
    FIN_WAIT2 and CLOSING. They are absent where *established* is; *fin_wait*, *last_ack* and
    *time_wait* also in other namespaces, if the source doesn't see there what no process has.
    *accept_queue*, *backlog* and *accept_queue_pct* are of TCP and unix sockets; the latter two are
    absent if one socket's backlog is unknown. Unix sockets have no *port*; *established* and
    *accept_queue* are absent where the source can't tell which of two of a name they belong to.
    *recv_queue_bytes* is of UDP. *drops*, of TCP and UDP, are those of the sockets that live: what
    was dropped at one is forgotten when it closes, so the number may fall; it is absent if one
    socket's are unknown, or the namespace was not read to its end.
    *container* is absent if none is known to answer, or more than one. *socket_unit* is there while
    systemd holds a socket for one. *unit* is the systemd unit of its processes, told only of what
    is new (Admission.apply); it is absent if they have none, or several. *clients* is of TCP, and
    absent where *established* is, and where nobody asked for it.
    """

    SINGULAR = "listener"

    id: str = text(macro="{#ID}", zero=ABSENT_ID)
    protocol: str = text(macro="{#PROTOCOL}")
    address: str = text(macro="{#ADDRESS}")
    port: int | None = number("", macro="{#PORT}", default=None)
    device: str = text()
    netns: str = text(macro="{#NETNS}")
    container: str | None = text(default=None)
    socket_unit: str | None = text(default=None)
    unit: str | None = text(default=None)
    ephemeral: int = yes_no(macro="{#EPHEMERAL}")
    process: str = text(macro="{#PROCESS}")
    admitted: int | None = number("", macro="{#ADMITTED}", default=None)
    processes: int | None = number(
        "processes", additive=True, zero=0, needs=OF_PROCESSES, default=None
    )
    sockets: int = number("sockets", additive=True, zero=0)
    established: int | None = number("connections", additive=True, zero=0, default=None)
    syn_recv: int | None = number("connections", additive=True, zero=0, default=None)
    close_wait: int | None = number("connections", additive=True, zero=0, default=None)
    fin_wait: int | None = number("connections", additive=True, zero=0, default=None)
    last_ack: int | None = number("connections", additive=True, zero=0, default=None)
    time_wait: int | None = number("connections", additive=True, zero=0, default=None)
    accept_queue: int | None = number("connections", additive=True, zero=0, default=None)
    backlog: int | None = number("connections", additive=True, zero=0, default=None)
    accept_queue_pct: float | None = percentage(zero=0, default=None)
    recv_queue_bytes: int | None = number("B", additive=True, zero=0, default=None)
    drops: int | None = number("packets", COUNTER, additive=True, zero=0, default=None)
    totals: ListenerTotals | None = part(ListenerTotals, default=None)
    clients: ListenerClients | None = part(ListenerClients, zero=0, needs=OF_CLIENTS, default=None)


class Others:
    """The sums of listeners that have no row of their own, as a local user may have very many.

    Attributes:
        quality: the sum of their connections' samples.
    """

    def __init__(self) -> None:
        self.quality: Quality = 0
        self._figures: dict[str, int] = {}
        self._rows = 0
        self._not_offered = 0

    def add(self, *, is_offered: bool, **figures: int | None) -> None:
        """Add a listener by its additive fields; one that is None is not known.

        *is_offered*: by default the templates would discover it, if it was admitted.
        """
        self._rows += 1
        self._not_offered += is_offered
        for name, value in figures.items():
            self._figures[name] = self._figures.get(name, 0) + (value or 0)

    def row(self) -> list[RankedRow[ListenerRow]]:
        """Return the row that stands for them, if there are any: it is never in a document."""
        if not self._rows:
            return []
        labels = dict.fromkeys(("id", "protocol", "address", "device", "netns", "process"), "")
        figures: dict[str, Any] = {**labels, "ephemeral": 0, "sockets": 0, **self._figures}
        made = ListenerRow(**figures)
        found = RankedRow(BEHIND_ALL, made, self.quality)
        found.stands_for, found.not_offered = self._rows, self._not_offered
        return [found]


def members_of(snapshot: Snapshot, owners: Collection[int]) -> set[int]:
    """Return the indices of the processes that are members of these owners (Snapshot.owners)."""
    return {index for owner in owners for index in snapshot.owners.get(owner, ())}


def socket_unit(
    snapshot: Snapshot, netns: str, members: Collection[int], end: UnitEndpoint
) -> str | None:
    """Return the socket unit for which systemd holds a socket at *end*.

    It is pid 1 if it is one of *members*, the indices of processes; None: it isn't, *netns* is not
    the label of the own namespace, or the unit isn't known.
    """
    if netns or not any(snapshot.processes[index].pid == 1 for index in members):
        return None
    return snapshot.socket_units.get(end)


def sum_of_known(counts: Iterable[int | None]) -> int | None:
    """Return the sum; None if one of *counts* is."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def names_label(groups: Groups, owners: set[int]) -> str:
    """Return the names of the groups that have *owners*, at most _MAX_LABELS of them."""
    names = groups.of_all(owners)
    return ",".join(names[:_MAX_LABELS]) + (",..." if len(names) > _MAX_LABELS else "")


def accept_queue(
    sockets: Collection[ListenerSocket | UnixListener],
) -> tuple[int | None, int | None, float | None]:
    """Return the sums of accept queues and of backlogs, and the highest percentage of one socket.

    The first is None if one queue is unknown, the others also if the backlog of one is.
    """
    backlogs, worst = 0, 0.0
    waiting = sum_of_known(each.accept_queue for each in sockets)
    for each in sockets:
        if each.backlog is None or each.accept_queue is None:
            return waiting, None, None
        backlogs += each.backlog
        worst = max(worst, accept_queue_pct(each.accept_queue, each.backlog))
    return waiting, backlogs, worst
