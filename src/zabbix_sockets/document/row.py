"""The document's three lists before any bound: what a row is, and which rows stay."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from zabbix_sockets.model.names import UNNAMED
from zabbix_sockets.model.quality import Quality, add_to
from zabbix_sockets.model.snapshot import Connection, Snapshot
from zabbix_sockets.model.wire import OWN_NETNS, TcpState

Key = TypeVar("Key")

JsonRow = dict[str, object]
"""A row as it stands in the document."""

ABSENT_ID = "(absent)"
"""Id of the row that stands for every row that is not in a complete list."""

FIRST_USER_UID = 1000


class RankedRow(NamedTuple):
    """A row with its rank; when there are too many, the lowest ranks stay.

    *quality*: how good its connections are, see quality.py; None: not known, or UDP.
    """

    rank: tuple[bool, bool, int, str]
    row: JsonRow
    quality: Quality | None = None


class Qualities(Generic[Key]):
    """How good the connections of each row are, by what tells the rows apart."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._qualities = snapshot.qualities
        self._unmeasured = snapshot.unmeasured
        self._sums: dict[Key, Quality] = {}
        self._unknown: set[Key] = set()

    def add(self, key: Key, connection: Connection) -> None:
        """Add a connection to a row."""
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
        """Return how good a row's connections are; None where that is not known of each."""
        if self._unmeasured is None or key in self._unknown:
            return None
        return self._sums.get(key, 0)


def rank(
    uid: int | None, listening: bool, sockets: int, row_id: str
) -> tuple[bool, bool, int, str]:
    """Return what decides which rows stay: what a user can't choose and what seldom changes.

    The system's uids first, then who listens, the number of binary digits of the sockets,
    and the id.
    """
    return uid is None or uid >= FIRST_USER_UID, not listening, -sockets.bit_length(), row_id


NetnsLabel = Callable[[int], str]
"""Returns what a row shows of a network namespace; empty for the collector's own."""


def netns_labels(snapshot: Snapshot, *, for_people: bool) -> NetnsLabel:
    """Return what names namespaces: by names that last, or for people by all that is known."""
    labels = {OWN_NETNS: ""}
    for number, namespace in snapshot.namespaces.items():
        labels[number] = (namespace.shown if for_people else namespace.name) or UNNAMED
    return lambda number: labels.get(number, UNNAMED)


def accept_queue_pct(accept_queue: int, backlog: int) -> float:
    """Return how full an accept queue is; the kernel refuses when it holds backlog + 1."""
    return round(100 * accept_queue / (backlog + 1), 1)
