"""What the rows of the three lists share: their fields, and which of them stay."""

from collections.abc import Callable
from typing import Generic, TypeVar

from zabbix_sockets.document.record import Record, number, numbers, percentage
from zabbix_sockets.grouping.grouping import Grouping
from zabbix_sockets.model.names import UNNAMED
from zabbix_sockets.model.quality import LIMITED_TIMES, Quality, add_to, figures_of
from zabbix_sockets.model.snapshot import BY_CGROUPS, Connection, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

Key = TypeVar("Key")

FIRST_USER_UID = 1000

OF_PROCESSES = "owners are processes, not cgroups"
OF_PROCESS_NAMES = "groups are processes of one name"
OF_ALL_SOCKETS = "no filter leaves sockets out"
OF_ROUND_TRIPS = "every connection was asked for its round-trip time"
OF_LIMITED_TIMES = "every connection was asked for the time that a limit held it up"
"""Facts that fields need: see Field.needs and facts_of()."""


def facts_of(snapshot: Snapshot, grouping: Grouping) -> set[str]:
    """Return the facts that hold for all that is in a Snapshot, and "", which always does."""
    measured = snapshot.unmeasured is not None and not snapshot.unmeasured
    holds = {
        OF_PROCESSES: snapshot.visibility.ownership != BY_CGROUPS,
        OF_PROCESS_NAMES: grouping.is_plain,
        OF_ALL_SOCKETS: not snapshot.filter,
        OF_ROUND_TRIPS: measured,
        OF_LIMITED_TIMES: measured and not snapshot.lacks_limited_times,
    }
    return {"", *(fact for fact, it_holds in holds.items() if it_holds)}


class Row(Record):
    """What rows of all lists have: an id, round-trip times and retransmissions (all but `id`).

    These are of the row's TCP connections that count (docs/document.md says which). They are None
    for UDP, where nobody asked for them, and where a connection couldn't be asked; *rtt_us* also
    where none counts.
    """

    SINGULAR = ""
    """What one of them is called: the second part of an item's key, as in `sockets.process.*`."""

    id: str
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


class RankedRow(Generic[R]):
    """A row with its rank; when there are too many, the lowest ranks stay.

    Attributes:
        quality: the sum of its connections' samples (model/quality.py); None: not known, or UDP.
            The row gets the fields that are made of it when it is known to stay: see measure().
    """

    def __init__(
        self, rank: tuple[bool, bool, int, str], row: R, quality: Quality | None = None
    ) -> None:
        self.rank = rank
        self.row = row
        self.quality = quality

    def __lt__(self, other: "RankedRow[R]") -> bool:
        """Whether it stays rather than *other*: no two have the same rank."""
        return self.rank < other.rank


def measure(row: Row, quality: Quality, *, lacks_limited_times: bool) -> None:
    """Give a row the fields of round-trip times and retransmissions that samples say.

    *lacks_limited_times*: the kernel doesn't tell the last two of them.
    """
    figures = figures_of(quality)
    if lacks_limited_times:
        for name in LIMITED_TIMES:
            del figures[name]
    vars(row).update(figures)


class Qualities(Generic[Key]):
    """Sums of the samples of each row's connections, by what tells the rows apart."""

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


def rank(
    uid: int | None, listening: bool, sockets: int, row_id: str
) -> tuple[bool, bool, int, str]:
    """Return the key by which rows are ranked, the first to stay being the least.

    The system's uids (below 1000) first, then who listens, then by the number of binary digits of
    *sockets*, then by id: what a user can't choose, and what seldom changes. *uid* is the lowest
    of its sockets; None: unknown, as a user's.
    """
    return uid is None or uid >= FIRST_USER_UID, not listening, -sockets.bit_length(), row_id


NetnsLabel = Callable[[int], str]
"""Returns what a row shows of a network namespace; empty for the collector's own."""


def netns_labels(snapshot: Snapshot, *, for_people: bool) -> NetnsLabel:
    """Make the names of network namespaces: lasting ones, or for people all that is known."""
    labels = {OWN_NETNS: ""}
    for netns, namespace in snapshot.namespaces.items():
        labels[netns] = (namespace.shown if for_people else namespace.name) or UNNAMED
    return lambda netns: labels.get(netns, UNNAMED)


def accept_queue_pct(accept_queue: int, backlog: int) -> float:
    """Return how full an accept queue is, in percent: the kernel refuses at backlog + 1."""
    return round(100 * accept_queue / (backlog + 1), 1)
