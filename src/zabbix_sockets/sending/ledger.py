"""Ledger of the groups of values for which a server has items, for `send --values`.

zabbix_sender tells the number of values that a server refused, never which. So a group of values
whose items are created together (figures.Group) is sent by itself until the number of its values
is known that are refused for want of an item; from then on it is sent with all others.

The ledger is a table in the file of the spool. If that can't be read or written, or has a table of
another version, the groups are tried anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from zabbix_sockets.sending.database import ABANDONED_SECONDS, conflicting_objects, connect

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
);
"""

FIRST_RETRY_SECONDS = 10
"""The seconds until a group that was refused is tried again the first time; each further time it
takes twice as long. A server reads its configuration anew every minute (6.0) or every ten seconds
(7.0)."""
ATTEMPTS = 10
"""The number of attempts, which take 85 minutes, before a group is given up: a proxy of 6.0 asks
for new items once an hour. Attempts count only if the server answers."""
_FORGOTTEN = 86_400
"""The seconds after which a group that was given up is tried again."""
_KEPT = 30 * 86_400
"""The seconds for which zeros are sent for a row that is gone: as long as a discovery rule of 6.0
keeps its items by default."""


_ENTRIES = """
SELECT CAST(name AS TEXT), CAST(refused AS INTEGER), CAST(size AS INTEGER), CAST(seen AS INTEGER),
    max(0, CAST(attempts AS INTEGER)), CAST(tried AS INTEGER)
FROM groups WHERE destination = ?
"""
"""The SQL query for the groups of a destination. A damaged file, in which SQLite finds nothing
wrong, may have anything in a column: so each is read as what it should be."""


class GroupState(NamedTuple):
    """The state of a group; moments are Unix seconds.

    Attributes:
        refused: the number of its values that have no item; None: not known, the server has taken
            none yet.
        size: the number of its values when that was found out.
        seen: the moment when it was last in a document.
        attempts: the number of times the server has refused all of it since it last took some.
        tried: the moment of the last of these attempts.
    """

    refused: int | None
    size: int
    seen: int
    attempts: int = 0
    tried: int = 0


class Ledger:
    """The groups of one destination, read from the file *path*; save() writes them.

    If the file can't be read, no group is known.
    """

    def __init__(self, path: str, destination: str) -> None:
        self._path = path
        self._destination = destination
        self._entries: dict[str, GroupState] = {}
        try:
            with _table(path) as database:
                rows = database.execute(_ENTRIES, (destination,)).fetchall()
        except sqlite3.Error:
            rows = []
        self._entries = {name: GroupState(*entry) for name, *entry in rows}
        self._stored = dict(self._entries)

    def known(self) -> dict[str, int]:
        """Return, by the names of the groups that have items, the number of values without one."""
        return {
            name: entry.refused
            for name, entry in self._entries.items()
            if entry.refused is not None
        }

    def is_known(self, name: str, size: int) -> bool:
        """Whether the server has items for a group of *size* values, as far as is known.

        Not if it has more values than when that was found out.
        """
        entry = self._entries.get(name)
        return entry is not None and entry.refused is not None and size <= entry.size

    def names(self) -> set[str]:
        """Return the names of the groups that the server has not refused the last time."""
        return {name for name, entry in self._entries.items() if not entry.attempts}

    def awaited(self, now: int) -> int:
        """Return the number of groups that were refused, but not given up."""
        return sum(
            bool(entry.attempts) and not self.is_given_up(name, now)
            for name, entry in self._entries.items()
        )

    def is_given_up(self, name: str, now: int) -> bool:
        """Whether a group was refused ATTEMPTS times, the last time within a day."""
        entry = self._entries.get(name)
        return (
            entry is not None and entry.attempts >= ATTEMPTS and 0 <= now - entry.tried < _FORGOTTEN
        )

    def is_due(self, name: str, now: int) -> bool:
        """Whether it is time to send a group by itself."""
        entry = self._entries.get(name)
        if entry is None or not entry.attempts or now < entry.tried:  # the clock was set back
            return True
        return now - entry.tried >= FIRST_RETRY_SECONDS << min(entry.attempts, ATTEMPTS) - 1

    def learn(self, name: str, processed: int, refused: int, now: int) -> None:
        """Keep the numbers of processed and refused values of a group sent by itself at *now*."""
        entry = self._entries.get(name)
        if processed:
            self._entries[name] = GroupState(refused, processed + refused, now)
            return
        seen, attempts = (entry.seen, entry.attempts) if entry else (now, 0)
        attempts = min(attempts, ATTEMPTS - 1) + 1
        self._entries[name] = GroupState(None, 0, seen, attempts, now)

    def forget(self, names: Iterable[str]) -> None:
        """Forget the numbers of refused values of these groups: they are to be found out anew."""
        for name in names:
            if name in self._entries:
                self._entries[name] = GroupState(None, 0, self._entries[name].seen)

    def see(self, names: Iterable[str], now: int) -> None:
        """Note that a document of *now* has these groups; delete those that none had in 30 days."""
        for name in names:
            if name in self._entries:
                self._entries[name] = self._entries[name]._replace(seen=now)
        for name in [name for name, each in self._entries.items() if now - each.seen > _KEPT]:
            del self._entries[name]

    def save(self) -> None:
        """Write the changes to the file; if that fails, they are tried to write the next time."""
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
    """Open the file with the ledger's table, and make the block one transaction there.

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
    """Delete the groups of other destinations than *destinations* that are older than a week.

    *now* is Unix seconds; moments after it, from a clock that was set back, become *now*. If the
    file can't be written, nothing is deleted.
    """
    try:
        with _table(path) as database:
            database.execute("UPDATE groups SET seen = ?1 WHERE seen > ?1", (now,))
            abandoned = database.execute(
                "SELECT destination FROM groups GROUP BY destination HAVING max(seen) <= ?",
                (now - ABANDONED_SECONDS,),
            ).fetchall()
            gone = [(each,) for (each,) in abandoned if each not in destinations]
            database.executemany("DELETE FROM groups WHERE destination = ?", gone)
    except sqlite3.Error:
        return
