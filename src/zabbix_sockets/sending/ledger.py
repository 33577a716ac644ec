"""What a server is known to have items for, with `send --values`: in the file of the spool.

zabbix_sender tells how many values a server refused, never which. So a group of values whose
items come into being together (see figures) is sent by itself, until it is known how many of
it are refused because there are no such items; from then on it goes with all others.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

from zabbix_sockets.errors import SocketsError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS groups (
    destination TEXT NOT NULL,
    name TEXT NOT NULL,
    refused INTEGER,
    seen INTEGER NOT NULL,
    awaited INTEGER,
    tried INTEGER NOT NULL,
    PRIMARY KEY (destination, name)
) STRICT
"""

SYNC = 10
"""Seconds until a group that was refused is tried again, at first; then twice as long each time.
A server reads its configuration anew every minute (6.0) or every ten seconds (7.0)."""
PATIENCE = 4000
"""Seconds in which items have to come into being: a proxy of 6.0 asks for them once an hour."""
_FORGOTTEN = 86_400
"""Seconds after which a group that had no items is tried again."""
_KEPT = 30 * 86_400
"""Seconds for which zeros are sent for a row that has gone: as long as servers keep its items."""


class Entry(NamedTuple):
    """What is known of a group; moments are Unix seconds."""

    refused: int | None
    """Of its values, how many have no item; None until the server took some of it."""
    seen: int
    """When it was last in a document."""
    awaited: int | None = None
    """Since when it is known to have no item at all."""
    tried: int = 0


class Ledger:
    """The groups of one destination; kept in a file, so that each call need not ask anew."""

    def __init__(self, path: str, destination: str) -> None:
        self._path = path
        self._destination = destination
        try:
            with closing(sqlite3.connect(path)) as database:
                database.execute(_SCHEMA)
                rows = database.execute(
                    "SELECT name, refused, seen, awaited, tried FROM groups WHERE destination = ?",
                    (destination,),
                ).fetchall()
        except sqlite3.Error as error:
            raise SocketsError(f"spool {path}: {error}") from None
        self._entries = {name: Entry(*entry) for name, *entry in rows}
        self._stored = dict(self._entries)

    def known(self) -> dict[str, int]:
        """Return the groups that have items, and how many values of each have none."""
        return {
            name: entry.refused
            for name, entry in self._entries.items()
            if entry.refused is not None
        }

    def names(self) -> set[str]:
        """Return all groups that have or may have items."""
        return {name for name, entry in self._entries.items() if entry.awaited is None}

    def awaited(self, now: int) -> list[str]:
        """Return the groups whose items may still come into being."""
        return [
            name
            for name, entry in self._entries.items()
            if entry.awaited is not None and not self.is_given_up(name, now)
        ]

    def is_given_up(self, name: str, now: int) -> bool:
        """Whether it was tried when there had been time enough, and there were no items."""
        entry = self._entries.get(name)
        if entry is None or entry.awaited is None:
            return False
        return entry.tried - entry.awaited >= PATIENCE and now - entry.awaited < _FORGOTTEN

    def is_due(self, name: str, now: int) -> bool:
        """Whether to try a group by itself."""
        entry = self._entries.get(name)
        if entry is None or entry.awaited is None or now < entry.tried:  # the clock was set back
            return True
        waited = entry.tried - entry.awaited
        return now - entry.tried >= max(SYNC, waited) or now - entry.awaited >= PATIENCE

    def learn(self, name: str, processed: int, refused: int, now: int) -> None:
        """Note what became of a group by itself: *refused* of its values have no item."""
        entry = self._entries.get(name)
        if processed:
            self._entries[name] = Entry(refused, now)
            return
        since = entry.awaited if entry and entry.awaited is not None else now
        if not 0 <= now - since < _FORGOTTEN:
            since = now
        self._entries[name] = Entry(None, entry.seen if entry else now, since, now)

    def forget(self, name: str) -> None:
        """Know no more of a group."""
        self._entries.pop(name, None)

    def see(self, names: Iterable[str], now: int) -> None:
        """Note that these are in a document; forget those that were long ago."""
        for name in names:
            if name in self._entries:
                self._entries[name] = self._entries[name]._replace(seen=now)
        for name in [name for name, each in self._entries.items() if now - each.seen > _KEPT]:
            del self._entries[name]

    def doubt(self) -> None:
        """Find out anew which have items."""
        for name, entry in self._entries.items():
            if entry.refused is not None:
                self._entries[name] = Entry(None, entry.seen)

    def save(self) -> None:
        """Write what has changed; a file that can't be written only means to ask again."""
        gone = [(self._destination, name) for name in self._stored.keys() - self._entries.keys()]
        new = [
            (self._destination, name, *entry)
            for name, entry in self._entries.items()
            if self._stored.get(name) != entry
        ]
        try:
            with closing(sqlite3.connect(self._path)) as database, database:
                database.executemany("DELETE FROM groups WHERE destination = ? AND name = ?", gone)
                database.executemany("INSERT OR REPLACE INTO groups VALUES (?, ?, ?, ?, ?, ?)", new)
        except sqlite3.Error:
            return
        self._stored = dict(self._entries)
