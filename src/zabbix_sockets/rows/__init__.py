"""The document's three lists before any bound: what a row is, and which rows stay."""

from collections.abc import Callable
from typing import NamedTuple

from zabbix_sockets.model import OWN_NETNS, Snapshot
from zabbix_sockets.names import UNNAMED

JsonRow = dict[str, object]
"""A row as it stands in the document."""

ABSENT_ID = "(absent)"
"""Id of the row that stands for every row that is not in a complete list."""

FIRST_USER_UID = 1000


class RankedRow(NamedTuple):
    """A row with its rank; when there are too many, the lowest ranks stay."""

    rank: tuple[bool, bool, int, str]
    row: JsonRow


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
