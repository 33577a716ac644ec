"""What a server is known to have items for, with `send --values`: in the file of the spool.

zabbix_sender tells how many values a server refused, never which. So a group of values whose
items come into being together (see figures) is sent by itself, until it is known how many of
it are refused because there are no such items; from then on it goes with all others.

What is in the file can be found out again: where it can't be read or written, or where another
version has made the table, the server is asked anew.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from zabbix_sockets.sending.database import conflicting_objects, connect

_SCHEMA = """
CREATE TABLE IF NOT EXISTS groups (
    destination TEXT NOT NULL,
    name TEXT NOT NULL,
    refused INTEGER,
    size INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    tried INTEGER NOT NULL,
    PRIMARY KEY (destination, name)
) STRICT;
"""

SYNC = 10
"""Seconds until a group that was refused is tried again, at first; then twice as long each time.
A server reads its configuration anew every minute (6.0) or every ten seconds (7.0)."""
ATTEMPTS = 10
"""Within these, 85 minutes, items have to come into being: a proxy of 6.0 asks for them once an
hour. They are counted while the server answers: an outage is no reason to give up."""
_FORGOTTEN = 86_400
"""Seconds after which a group that had no items is tried again."""
_KEPT = 30 * 86_400
"""Seconds for which zeros are sent for a row that has gone: as long as servers keep its items."""
_ABANDONED = 7 * 86_400
"""Seconds after which a destination is forgotten that nobody sends to any more."""


class Entry(NamedTuple):
    """What is known of a group; moments are Unix seconds."""

    refused: int | None
    """Of its values, how many have no item; None until the server took some of it."""
    size: int
    """How many values it had then."""
    seen: int
    """When it was last in a document."""
    attempts: int = 0
    """How often the server has refused all of it since it last took some."""
    tried: int = 0


class Ledger:
    """The groups of one destination; kept in a file, so that each call need not ask anew."""

    def __init__(self, path: str, destination: str) -> None:
        self._path = path
        self._destination = destination
        self._entries: dict[str, Entry] = {}
        try:
            with _table(path) as database:
                rows = database.execute(
                    "SELECT name, refused, size, seen, attempts, tried FROM groups"
                    " WHERE destination = ?",
                    (destination,),
                ).fetchall()
        except sqlite3.Error:
            rows = []
        self._entries = {name: Entry(*entry) for name, *entry in rows}
        self._stored = dict(self._entries)

    def known(self) -> dict[str, int]:
        """Return the groups that have items, and how many values of each have none."""
        return {
            name: entry.refused
            for name, entry in self._entries.items()
            if entry.refused is not None
        }

    def is_known(self, name: str, size: int) -> bool:
        """Whether a group of *size* values has items, and it is known how many have none."""
        entry = self._entries.get(name)
        return entry is not None and entry.refused is not None and size <= entry.size

    def names(self) -> set[str]:
        """Return all groups that have or may have items."""
        return {name for name, entry in self._entries.items() if not entry.attempts}

    def awaited(self, now: int) -> int:
        """Return how many groups wait for items that may still come into being."""
        return sum(
            bool(entry.attempts) and not self.is_given_up(name, now)
            for name, entry in self._entries.items()
        )

    def is_given_up(self, name: str, now: int) -> bool:
        """Whether it was tried often enough, and there were no items."""
        entry = self._entries.get(name)
        return (
            entry is not None and entry.attempts >= ATTEMPTS and 0 <= now - entry.tried < _FORGOTTEN
        )

    def is_due(self, name: str, now: int) -> bool:
        """Whether to try a group by itself."""
        entry = self._entries.get(name)
        if entry is None or not entry.attempts or now < entry.tried:  # the clock was set back
            return True
        return now - entry.tried >= SYNC << min(entry.attempts, ATTEMPTS) - 1

    def learn(self, name: str, processed: int, refused: int, now: int) -> None:
        """Note what became of a group by itself: *refused* of its values have no item."""
        entry = self._entries.get(name)
        if processed:
            self._entries[name] = Entry(refused, processed + refused, now)
            return
        seen, attempts = (entry.seen, entry.attempts) if entry else (now, 0)
        attempts = min(attempts, ATTEMPTS - 1) + 1
        self._entries[name] = Entry(None, 0, seen, attempts, now)

    def forget(self, names: Iterable[str]) -> None:
        """Know no more of these groups than that they may have items."""
        for name in names:
            if name in self._entries:
                self._entries[name] = Entry(None, 0, self._entries[name].seen)

    def see(self, names: Iterable[str], now: int) -> None:
        """Note that these are in a document; drop those that were long ago."""
        for name in names:
            if name in self._entries:
                self._entries[name] = self._entries[name]._replace(seen=now)
        for name in [name for name, each in self._entries.items() if now - each.seen > _KEPT]:
            del self._entries[name]

    def save(self) -> None:
        """Write what has changed, if that can be."""
        gone = [(self._destination, name) for name in self._stored.keys() - self._entries.keys()]
        new = [
            (self._destination, name, *entry)
            for name, entry in self._entries.items()
            if self._stored.get(name) != entry
        ]
        try:
            with _table(self._path) as database:
                database.executemany("DELETE FROM groups WHERE destination = ? AND name = ?", gone)
                database.executemany(
                    "INSERT OR REPLACE INTO groups VALUES (?, ?, ?, ?, ?, ?, ?)", new
                )
        except sqlite3.Error:
            return
        self._stored = dict(self._entries)


@contextmanager
def _table(path: str) -> Iterator[sqlite3.Connection]:
    """Open the file with the ledger's table in it, and do all of something there, or nothing.

    Raises:
        sqlite3.Error: the file can't be read or written.
    """
    with closing(connect(path)) as database:
        for name, kind in conflicting_objects(_SCHEMA, database).items():
            database.execute(f"DROP {kind} {name}")  # of another version, or somebody else's
        database.executescript(_SCHEMA)
        database.execute("BEGIN")
        with database:
            yield database


def forget_abandoned(path: str, destinations: Collection[str], now: int) -> None:
    """Forget what is known of others than *destinations*, if it is of before the last week.

    *now* is Unix seconds. A clock that was set back makes no moment one of the future for long.
    What fails is for the next time.
    """
    try:
        with _table(path) as database:
            database.execute("UPDATE groups SET seen = ?1 WHERE seen > ?1", (now,))
            abandoned = database.execute(
                "SELECT destination FROM groups GROUP BY destination HAVING max(seen) <= ?",
                (now - _ABANDONED,),
            ).fetchall()
            gone = [(each,) for (each,) in abandoned if each not in destinations]
            database.executemany("DELETE FROM groups WHERE destination = ?", gone)
    except sqlite3.Error:
        return
