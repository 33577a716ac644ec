"""Spool of documents that could not be delivered: on disk, bounded, for each destination.

Documents are delivered oldest first, with their own clocks. Each is deleted only when the server
has taken it, so at most the one that is being sent at a kill is sent twice. sqlite keeps the file
intact through a kill -9 and a full disk. Documents for which the disk has no room wait in memory.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import quote

from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.json_reading import read_json
from zabbix_sockets.model.paths import SPOOL_FILE, SPOOL_FOLDER
from zabbix_sockets.sending.database import ABANDONED_SECONDS, TIDY_SECONDS, Database
from zabbix_sockets.sending.lines import Value, encode_line

FILE, VALUES_FILE = SPOOL_FILE, "values.sqlite"
"""The names of the files of documents and of single values, of which neither must hold up the
other."""
FOLDER = SPOOL_FOLDER
"""The folder of these files: the StateDirectory= of the unit."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    clock INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    packet BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_destination ON waiting (destination, number);
CREATE TABLE IF NOT EXISTS dropped (
    destination TEXT PRIMARY KEY,
    documents INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS used (
    destination TEXT PRIMARY KEY,
    clock INTEGER NOT NULL
);
"""
LINE_SEPARATOR = "\n"
"""The separator between a destination and the name of one of its lines: packets may wait for it in
several lines, which share its bound."""

_COUNT_DROPPED = (
    "INSERT INTO dropped VALUES (?, ?) ON CONFLICT (destination)"
    " DO UPDATE SET documents = documents + excluded.documents"
)
_STATE = (
    "SELECT count(*), min(CAST(clock AS INTEGER)), (SELECT total(CAST(documents AS INTEGER))"
    " FROM dropped) FROM waiting WHERE instr(destination, char(10)) = 0"
)
"""The SQL query for the figures of a State of all destinations."""
_OWNED = "(destination = ?1 OR destination > ?1 || char(10) AND destination < ?1 || char(11))"
"""The SQL condition for packets of a destination and all its lines."""

_BYTES = "CAST(bytes AS INTEGER)"
"""The SQL expression for the length of a packet. A damaged file, in which SQLite finds nothing
wrong, may have anything in a column of integers: so each is read as one."""
_MOST_DROPPED = 1 << 62
"""The most documents that are counted, whatever a damaged file has: SQLite's integers are below
2^63."""

_FIRST_SEEN = """
INSERT OR IGNORE INTO used
SELECT CASE instr(destination, char(10)) WHEN 0 THEN destination
    ELSE substr(destination, 1, instr(destination, char(10)) - 1) END, ?1 FROM waiting
UNION SELECT destination, ?1 FROM dropped WHERE destination <> ''
"""
"""The SQL statement by which destinations without a time of their last use get the time now."""

NOBODY = ""
"""The destination under which the dropped documents of servers that were forgotten are counted."""

_LEVEL = 6
_MAX_UNPACKED = 64_000_000
"""The bound of an unpacked document in bytes; a longer one can only be forged."""
_MOST_ROWS = 64
_MAX_IN_MEMORY = 1000
"""Documents; compressed, an ordinary host's has 3 kB."""


class Waiting(NamedTuple):
    """A document that waits: the number that identifies it in the spool, and its values."""

    number: int
    values: tuple[Value, ...]


class State(NamedTuple):
    """The state of a spool, as `collector.spool` has it.

    Attributes:
        waiting: the number of documents that wait.
        dropped: the number of documents that were dropped so far.
        oldest: the clock of the oldest that waits, in Unix seconds; None: none waits.
    """

    waiting: int
    dropped: int
    oldest: int | None


class _Packet(NamedTuple):
    number: int
    destination: str
    clock: int
    content: bytes


class Spool:
    """A file of documents that wait; several processes may use it, one at a time.

    While the file can't be read or written, documents wait in memory.

    Args:
        path: the file; it is made if it isn't there.
        max_bytes: the bound of the compressed documents of each destination.

    Attributes:
        trouble: the reason why the file could not be used the last time; empty: it could.
        renamed: the path to which a damaged file was moved; empty: there was none.
        alone: a context manager that keeps other processes from sending (Database.alone).

    Raises:
        SocketsError: the file can't be opened.
    """

    def __init__(self, path: str, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.trouble = ""
        self._memory: list[_Packet] = []
        self._numbers = count(-1, -1)  # of packets in memory, for which the disk has no number
        self._gone: set[int] = set()  # delivered, but still on a disk that is full
        self._lost: dict[str, int] = {}
        self._tidied: int | None = None
        self._database = Database(path, _SCHEMA)
        self.alone = self._database.alone
        self.renamed = self._database.renamed

    def close(self) -> None:
        """Close the file.

        Raises:
            SocketsError: documents are left in memory, and lost with it.
        """
        self._save()
        self._database.close()
        if self._memory:
            raise SocketsError(f"{len(self._memory)} documents are lost: {self.trouble}")

    def add(self, packets: Iterable[tuple[str, Sequence[Value]]]) -> list[int]:
        """Add documents, each with its destination (or a line of one), and return their numbers.

        The numbers hold until the next call: a document in memory gets another one on disk.

        Raises:
            SocketsError: a value has text that can't be encoded.
        """
        numbers = []
        for destination, values in packets:
            try:
                content = zlib.compress(to_json([tuple(each) for each in values], "strict"), _LEVEL)
            except ValueError as error:  # half of a surrogate
                raise SocketsError(f"values for {destination} can't be kept: {error}") from None
            packet = _Packet(next(self._numbers), destination, values[0].clock, content)
            self._memory.append(packet)
            numbers.append(packet.number)
        on_disk = self._save()
        for gone in self._memory[:-_MAX_IN_MEMORY]:
            self._count_lost(gone.destination)
        del self._memory[:-_MAX_IN_MEMORY]
        return [on_disk.get(number, number) for number in numbers]

    def _count_lost(self, destination: str) -> None:
        owner = destination.partition(LINE_SEPARATOR)[0]
        self._lost[owner] = self._lost.get(owner, 0) + 1

    def lines(self, destination: str) -> list[str]:
        """Return the names of the lines of a destination in which documents wait."""
        prefix = destination + LINE_SEPARATOR
        rows = self._database_rows(
            "SELECT DISTINCT destination FROM waiting"
            " WHERE destination > ?1 || char(10) AND destination < ?1 || char(11)",
            (destination,),
        )
        found = dict.fromkeys(line for (line,) in rows)
        found |= dict.fromkeys(
            each.destination for each in self._memory if each.destination.startswith(prefix)
        )
        return [line.removeprefix(prefix) for line in found]

    def oldest(self, destination: str) -> Waiting | None:
        """Return the oldest document for a destination, or None."""
        return next(self.all(destination), None)

    def all(self, destination: str) -> Iterator[Waiting]:
        """Yield all documents for a destination, the oldest first, a few at a time in memory."""
        after, most = 0, 1
        while rows := self._database_rows(
            "SELECT number, packet FROM waiting WHERE destination = ? AND number > ?"
            " ORDER BY number LIMIT ?",
            (destination, after, most),
        ):
            after, most = rows[-1][0], min(2 * most, _MOST_ROWS)
            for number, content in rows:
                if number not in self._gone:
                    yield from self._readable(number, destination, content)
        for each in [each for each in self._memory if each.destination == destination]:
            yield from self._readable(each.number, destination, each.content)

    def _readable(self, number: int, destination: str, content: bytes) -> Iterator[Waiting]:
        """Yield the document in *content*, or drop it if that is damaged."""
        try:
            values = _unpacked(content)
        except (zlib.error, ValueError, TypeError, SocketsError):
            self.drop(number, destination)
        else:
            yield Waiting(number, values)

    def remove(self, number: int) -> None:
        """Delete the document with a number, which has been delivered."""
        if number < 0:
            self._memory = [each for each in self._memory if each.number != number]
        else:
            self._gone.add(number)
            self._delete()

    def drop(self, number: int, destination: str) -> None:
        """Delete the document with a number, which can't be delivered, and count it as dropped."""
        self._count_lost(destination)
        self.remove(number)

    def state(self, destination: str | None = None) -> State:
        """Return the numbers of documents that wait for a destination, and of those dropped so far.

        None: for all destinations, also those that nobody sends to any more.

        Raises:
            SocketsError: the file can't be read now.
        """
        rows = self._rows(
            "SELECT number, CAST(clock AS INTEGER), 0 FROM waiting WHERE destination = ?1"
            " OR ?1 IS NULL AND instr(destination, char(10)) = 0"
            " UNION ALL SELECT NULL, NULL, CAST(documents AS INTEGER) FROM dropped"
            " WHERE destination = ?1 OR ?1 IS NULL",
            (destination,),
        )
        if rows is None:
            raise SocketsError(self.trouble)
        clocks = [
            clock for number, clock, _ in rows if number is not None and number not in self._gone
        ]
        clocks += [
            each.clock
            for each in self._memory
            if each.destination == destination
            or (destination is None and LINE_SEPARATOR not in each.destination)
        ]
        dropped = (
            sum(self._lost.values()) if destination is None else self._lost.get(destination, 0)
        )
        dropped += sum(documents for *_, documents in rows)
        return State(len(clocks), dropped, min(clocks, default=None))

    def tidy(self, destinations: Sequence[str], now: int) -> None:
        """Note that *destinations* are in use at *now*, and drop what waits for those long unused.

        Documents for a destination that nobody has sent to for ABANDONED_SECONDS are dropped and
        counted. It is tried once an hour at most, also after a failure; *now* is Unix seconds.
        """
        if self._tidied is not None and 0 <= now - self._tidied < TIDY_SECONDS:
            return
        self._tidied = now
        try:
            with self._database.transaction() as database:
                for each in destinations:
                    database.execute("INSERT OR REPLACE INTO used VALUES (?, ?)", (each, now))
                self._forget_others(database, now)
            self._database.shrink()
        except SocketsError as error:
            self.trouble = str(error)
        except sqlite3.Error:
            pass  # no room for it, or somebody else writes

    def _forget_others(self, database: sqlite3.Connection, now: int) -> None:
        """Drop the documents for destinations which nobody has sent to for ABANDONED_SECONDS."""
        database.execute(_FIRST_SEEN, (now,))
        # A clock that was set back makes nobody's moment one of the future for long.
        database.execute("UPDATE used SET clock = ?1 WHERE clock > ?1", (now,))
        abandoned = database.execute(
            "SELECT destination FROM used WHERE clock < ?", (now - ABANDONED_SECONDS,)
        ).fetchall()
        for (destination,) in abandoned:
            gone = database.execute(f"DELETE FROM waiting WHERE {_OWNED}", (destination,)).rowcount  # noqa: S608  # only a constant of this module is put in
            earlier = database.execute(
                "SELECT CAST(documents AS INTEGER) FROM dropped WHERE destination = ?",
                (destination,),
            ).fetchall()
            dropped = min(gone + sum(each for (each,) in earlier), _MOST_DROPPED)
            database.execute("DELETE FROM dropped WHERE destination = ?", (destination,))
            database.execute(_COUNT_DROPPED, (NOBODY, dropped))
            database.execute("DELETE FROM used WHERE destination = ?", (destination,))

    def _database_rows(self, query: str, parameters: tuple[object, ...]) -> list[Any]:
        """Return the rows of a query; none while the file can't be read."""
        return self._rows(query, parameters) or []

    def _rows(self, query: str, parameters: tuple[object, ...]) -> list[Any] | None:
        """Return the rows of a query; None if the file can't be read: see *trouble*."""
        try:
            rows = self._database.connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            self.trouble = f"spool {self.path}: {error}"
            return None
        if not (self._memory or self._gone):
            self.trouble = ""
        return rows

    def _save(self) -> dict[int, int]:
        """Write the documents in memory to disk; if that fails, they stay in memory.

        Return the numbers on disk by those in memory.
        """
        self._delete()
        numbers: dict[int, int] = {}
        if not (self._memory or self._lost):
            return numbers
        try:
            with self._database.transaction() as database:
                for number, destination, clock, content in self._memory:
                    written = database.execute(
                        "INSERT INTO waiting (destination, clock, bytes, packet)"
                        " VALUES (?, ?, ?, ?)",
                        (destination, clock, len(content), content),
                    ).lastrowid
                    assert written is not None
                    numbers[number] = written
                for destination in {
                    each.destination.partition(LINE_SEPARATOR)[0] for each in self._memory
                }:
                    self._make_room(database, destination)
                for destination, documents in self._lost.items():
                    database.execute(_COUNT_DROPPED, (destination, documents))
        except SocketsError as error:
            self.trouble = str(error)
            return {}
        self._memory.clear()
        self._lost.clear()
        self.trouble = ""
        return numbers

    def _delete(self) -> None:
        """Delete the delivered documents on disk; if that fails, it is tried again later."""
        if not self._gone:
            return
        try:
            with self._database.transaction() as database:
                numbers = [(each,) for each in self._gone]
                database.executemany("DELETE FROM waiting WHERE number = ?", numbers)
        except SocketsError as error:  # a full disk has no room to delete, either
            self.trouble = str(error)
        else:
            self._gone.clear()

    def _make_room(self, database: sqlite3.Connection, destination: str) -> None:
        """Drop and count the oldest documents of a destination until it is within its bound."""
        query = f"SELECT total({_BYTES}), count(*) FROM waiting WHERE {_OWNED}"  # noqa: S608  # only constants of this module are put in
        total, documents = database.execute(query, (destination,)).fetchone()
        gone: list[tuple[int]] = []
        rows = database.execute(
            f"SELECT number, {_BYTES} FROM waiting WHERE {_OWNED} ORDER BY number",  # noqa: S608  # likewise
            (destination,),
        )
        for number, size in rows:
            if total <= self.max_bytes or len(gone) == documents - 1:
                break
            gone.append((number,))
            total -= size
        if gone:
            database.executemany("DELETE FROM waiting WHERE number = ?", gone)
            database.execute(_COUNT_DROPPED, (destination, len(gone)))


def read_state(path: str, patience: float) -> State:
    """Return the state of the spool at *path*, of all destinations, without writing to the file.

    *patience* is the time in seconds to wait for another process that writes to it.

    Raises:
        sqlite3.Error: it can't be read, or is no spool.
    """
    address = f"file:{quote(path)}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=patience)) as database:
        waiting, oldest, dropped = database.execute(_STATE).fetchone()
    return State(waiting, int(dropped), oldest)


def _unpacked(content: bytes) -> tuple[Value, ...]:
    """Return the values of a packet, at least one, all of which zabbix_sender can take.

    Raises:
        ValueError, TypeError, zlib.error, SocketsError: it is damaged, or was not written by Spool.
    """
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(content, _MAX_UNPACKED)
    if not unpacking.eof:
        raise ValueError("damaged, or too long")
    values = tuple(Value(*each) for each in read_json(text))
    for value in values:
        if [type(field) for field in value] != [str, str, int, int, str]:
            raise TypeError("not the fields of a value")
        encode_line(value)
    if not values:
        raise ValueError("nothing to send")
    return values
