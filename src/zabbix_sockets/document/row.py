"""Rows of the three lists: their common fields, their ranks, and the facts that fields need."""

from __future__ import annotations

from _collections_abc import Callable, Collection, Mapping, Sequence

from zabbix_sockets.document.completeness import lacks_clients
from zabbix_sockets.document.record import Record, number, numbers, percentage
from zabbix_sockets.grouping.grouping import Grouping
from zabbix_sockets.model.addresses import format_endpoint
from zabbix_sockets.model.light_typing import Generic, TypeVar
from zabbix_sockets.model.names import UNNAMED
from zabbix_sockets.model.quality import LIMITED_TIMES, Quality, add_to, figures_of
from zabbix_sockets.model.snapshot import (
    BY_CGROUPS,
    FIRST_USER_UID,
    Connection,
    ListenerSocket,
    Snapshot,
)
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

Key = TypeVar("Key")

OF_PROCESSES = "owners are processes, not cgroups"
OF_PROCESS_NAMES = "groups are processes of one name"
OF_ALL_SOCKETS = "no filter leaves sockets out"
OF_ROUND_TRIPS = "every connection was asked for its round-trip time"
OF_LIMITED_TIMES = "every connection was asked for the times in which it was held up"
OF_CLIENTS = "the clients of listeners were counted"
"""Facts that may hold of a Snapshot, and that fields need (Field.needs)."""


def facts_of(snapshot: Snapshot, grouping: Grouping) -> set[str]:
    """Return the facts that hold of a Snapshot, and "", which always holds.

    They are facts that fields need (Field.needs).
    """
    measured = snapshot.unmeasured is not None and not snapshot.unmeasured
    facts = {
        OF_PROCESSES: snapshot.visibility.ownership != BY_CGROUPS,
        OF_PROCESS_NAMES: grouping.is_plain,
        OF_ALL_SOCKETS: not snapshot.filter,
        OF_ROUND_TRIPS: measured,
        OF_LIMITED_TIMES: measured and not snapshot.lacks_limited_times,
        OF_CLIENTS: snapshot.clients is not None and not lacks_clients(snapshot.visibility.gaps),
    }
    return {"", *(fact for fact, holds in facts.items() if holds)}


class Row(Record):
    """A row of any list: an id, and the measured fields, round-trip times and retransmissions.

    *netns* is the label of its network namespace, empty for the own one. *admitted* is the number
    of the row among those that are discovered (document.admission), 0 of one that is not one of
    them; absent if that was not asked for.

    The measured fields are of the row's TCP connections that sent or received data lately
    (docs/document.md). They are None for UDP, without tcp_info in the query, and if a connection of
    the row couldn't be measured; *rtt_us* also if no connection counts.
    """

    SINGULAR = ""
    """The word for one row of the list in items' keys, as `process` in `sockets.process.*`."""

    id: str
    netns: str
    admitted: int | None
    measured: int | None = number(
        "connections", additive=True, zero=0, needs=OF_ROUND_TRIPS, default=None
    )
    retransmitting: int | None = number(
        "connections", additive=True, zero=0, needs=OF_ROUND_TRIPS, default=None
    )
    retransmitting_pct: float | None = percentage(zero=0.0, needs=OF_ROUND_TRIPS, default=None)
    rtt_us: dict[str, int] | None = numbers("us", ("p50", "p95", "max"), default=None)
    retransmits: int | None = number(
        "segments", additive=True, zero=0, needs=OF_ROUND_TRIPS, default=None
    )
    lost: int | None = number("segments", additive=True, zero=0, needs=OF_ROUND_TRIPS, default=None)
    receiver_limited_ms: int | None = number(
        "ms", additive=True, zero=0, needs=OF_LIMITED_TIMES, default=None
    )
    sender_buffer_limited_ms: int | None = number(
        "ms", additive=True, zero=0, needs=OF_LIMITED_TIMES, default=None
    )


R = TypeVar("R", bound=Row)


def is_settled(row: Row) -> bool:
    """Whether a row is worth discovering: False only of processes whose `settled` is 0."""
    return bool(getattr(row, "settled", True))


def is_offered(row: Row) -> bool:
    """Whether discovery has a row of the document: one that was admitted.

    Where no admission was asked for, that is each row but those of processes that are not settled.
    A process that was admitted and begins anew stays so.
    """
    return is_settled(row) if row.admitted is None else row.admitted > 0


Rank = tuple[bool, bool, int, str]
"""The rank of a row, as rank() returns it: the last item is the row's id."""

BEHIND_ALL: Rank = (True, True, 1, "")
"""The rank of what stands for many rows: higher than any that rank() returns."""

MOST_MADE = 2000
"""The most rows of a list that are made if the document has bounds. A local user may have a hundred
thousand listeners: to make as many rows would take longer than an agent waits."""


class Choice:
    """The choice of the rows that are made; of the others there are only sums, in one row.

    So no row that the document has room for is among these: there are far fewer. Of idle rows that
    are not made there is nothing.

    Args:
        most: the number of rows to make, by rising rank; None: all.
        most_idle: the number of idle rows to make, if not all: there is no room for more.
        must_stay: whether the row of an id has to be made, whatever its rank is.
    """

    def __init__(
        self,
        most: int | None = None,
        most_idle: int = 0,
        must_stay: Callable[[str], bool] = lambda _id: False,
    ) -> None:
        self._most = most
        self._most_idle = most_idle
        self._must_stay = must_stay

    def of(self, ranks: Mapping[Key, Rank]) -> Collection[Key]:
        """Return the keys of the rows to make; *ranks* has the rank of each row by its key."""
        if self._most is None or len(ranks) <= self._most:
            return ranks.keys()
        best = set(sorted(ranks, key=ranks.__getitem__)[: self._most])
        best.update(key for key, rank in ranks.items() if self._must_stay(rank[3]))
        return best

    def of_idle(self, ids: Mapping[tuple[bool, str], Sequence[str]]) -> dict[str, int]:
        """Return the ids of the idle rows to make, each with its turn.

        One process may reach thousands of remote ends one after the other. So processes take turns:
        of each the first id is chosen, then of each the second, and so on; before all those of
        users come those of the system.

        Args:
            ids: the rows' ids, by whether they are a user's, and the name of the process.
        """
        turns = [
            (is_user, turn, row_id)
            for (is_user, _), each in ids.items()
            for turn, row_id in enumerate(sorted(each))
        ]
        best = turns
        if self._most is not None and len(turns) > self._most_idle:
            turns.sort()
            best = turns[: self._most_idle]
            best += [each for each in turns[self._most_idle :] if self._must_stay(each[2])]
        return {row_id: turn for _, turn, row_id in best}


ALL_ROWS = Choice()


class RankedRow(Generic[R]):
    """A row with its rank; if there are too many, those with the lowest ranks stay.

    Attributes:
        rank: the row's rank, as rank() returns it.
        row: the row; its measured fields are set when it is known to stay.
        quality: the sum of its connections' samples (model.quality), of which these fields are
            made; None: not known, or UDP.
        members: the indices in the Snapshot of the processes that hold its sockets.
        totals: makes the row's totals, when it is known to stay; None: it has none.
        is_open: sockets of it are open; otherwise it is idle: it is there for its totals, and adds
            nothing to `other`.
        stands_for: the number of rows of which this one has the sums alone (Choice), 1 of a row of
            its own.
        not_offered: the number of these that would be discovered if they were admitted
            (admission.count_left_out).
    """

    def __init__(
        self,
        rank: Rank,
        row: R,
        quality: Quality | None = None,
        members: Collection[int] = (),
    ) -> None:
        self.rank = rank
        self.row = row
        self.quality = quality
        self.members = members
        self.totals: Callable[[], Record] | None = None
        self.is_open = True
        self.stands_for = 1
        self.not_offered = 0

    def __lt__(self, other: RankedRow[R]) -> bool:
        """Whether its rank is lower than that of *other*; no two rows have the same."""
        return self.rank < other.rank


def set_measured_fields(row: Row, quality: Quality, *, lacks_limited_times: bool) -> None:
    """Set the round-trip times and retransmissions of a row, from the sum of samples *quality*.

    *lacks_limited_times*: the kernel doesn't tell the last two fields, which stay absent.
    """
    figures = figures_of(quality)
    if lacks_limited_times:
        for name in LIMITED_TIMES:
            del figures[name]
    vars(row).update(figures)


class Qualities(Generic[Key]):
    """The sums of the samples of each row's connections, by the rows' keys."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._qualities = snapshot.qualities
        self._unmeasured = snapshot.unmeasured
        self._sums: dict[Key, Quality] = {}
        self._unknown: set[Key] = set()

    def add(self, key: Key, connection: Connection) -> None:
        """Add the samples of a Snapshot's connection to a row.

        If it is an established TCP connection of a namespace that couldn't be asked for them, the
        sum of the row is unknown.
        """
        quality = self._qualities.get(connection)
        if quality:
            add_to(self._sums, key, quality)
        elif (
            self._unmeasured
            and connection.netns in self._unmeasured
            and (connection.protocol, connection.state) == ("tcp", TcpState.ESTABLISHED)
        ):
            self._unknown.add(key)

    def of(self, key: Key) -> Quality | None:
        """Return the sum of a row's samples, 0 without any.

        None where a connection of the row couldn't be asked, or none of the host was.
        """
        if self._unmeasured is None or key in self._unknown:
            return None
        return self._sums.get(key, 0)


def rank(uid: int | None, listening: bool, sockets: int, row_id: str) -> Rank:
    """Return a row's rank, by which rows are sorted: the lowest ones stay in the document.

    Rows of system users (uids below 1000) come first, then listening ones, then those with more
    binary digits in the number of *sockets*, then by id: so the order is by things that a user
    can't choose, and that seldom change. *uid* is the lowest of the row's sockets; None: unknown,
    which ranks as a user's.
    """
    return uid is None or uid >= FIRST_USER_UID, not listening, -sockets.bit_length(), row_id


def idle_rank(uid: int, turn: int, row_id: str) -> Rank:
    """Return the rank of an idle row, among others of these, by its turn: see Choice.of_idle()."""
    return uid >= FIRST_USER_UID, True, turn, row_id


def has_unknown_drops(listener: ListenerSocket) -> bool:
    """Whether it is not known how many packets were dropped at a TCP or UDP listener."""
    return listener.drops is None


NetnsLabel = Callable[[int], str]
"""Returns the label of a network namespace in rows, by its number; empty for the own one."""


def netns_labels(snapshot: Snapshot, *, for_people: bool) -> NetnsLabel:
    """Return the function that labels network namespaces.

    Labels are names that survive recreation; with *for_people* numbers and ids are added.
    """
    labels = {OWN_NETNS: ""}
    for netns, namespace in {**snapshot.idle_namespaces, **snapshot.namespaces}.items():
        labels[netns] = (namespace.shown if for_people else namespace.name) or UNNAMED
    return lambda netns: labels.get(netns, UNNAMED)


def accept_queue_pct(accept_queue: int, backlog: int) -> float:
    """Return the percentage of an accept queue that is taken: its size is *backlog* + 1.

    It is 0 only of an empty queue, however long the backlog is.
    """
    share = round(100 * accept_queue / (backlog + 1), 1)
    return max(share, 0.1) if accept_queue else share


def end_id(protocol: str, address: bytes, port: int, device: str, netns: str) -> str:
    """Return the text of an end of connections, as ids of listeners and upstreams have it.

    *netns* is the label of its namespace, empty for the own one.
    """
    return f"{protocol}/{format_endpoint(address, port, device)}" + (f"@{netns}" if netns else "")
