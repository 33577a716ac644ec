"""The document's three lists before any bound: what a row is, and which rows stay."""

from typing import NamedTuple

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


def accept_queue_pct(accept_queue: int, backlog: int) -> float:
    """Return how full an accept queue is; the kernel refuses when it holds backlog + 1."""
    return round(100 * accept_queue / (backlog + 1), 1)
