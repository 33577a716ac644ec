"""A database file that several processes use, and that outlives damage: sqlite in a folder."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from zabbix_sockets.errors import SocketsError

_ALONE_SECONDS = 30.0
_BUSY_SECONDS = 5.0


class Database:
    """A file, made with its tables where there is none.

    Attributes:
        renamed: where a file has gone that was no database any more; empty: nowhere.

    Raises:
        SocketsError: it can't be opened.
    """

    def __init__(self, path: str, schema: str) -> None:
        self.path = path
        self.renamed = ""
        self._schema = schema
        self._lock = self._open_lock()
        self.connection = self._open()

    def close(self) -> None:
        """Close it."""
        self.connection.close()
        os.close(self._lock)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from sending what this one sends.

        Raises:
            SocketsError: another one has it for too long.
        """
        deadline = time.monotonic() + _ALONE_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SocketsError(f"spool {self.path}: another process uses it") from None
                time.sleep(0.05)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _open_lock(self) -> int:
        with suppress(OSError):  # opening says it better
            os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
        try:
            return os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SocketsError(f"spool {self.path}: {error.strerror}") from None

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            raise SocketsError(f"spool {self.path}: {error}") from None
        except sqlite3.DatabaseError:
            pass  # it is no database any more
        with self.alone():  # of two that find it so one sets it aside
            try:
                return self._connect()
            except sqlite3.Error:
                return self._begin_anew()

    def _begin_anew(self) -> sqlite3.Connection:
        """Set the file aside, for a person to look at, and make another one."""
        self.renamed = f"{self.path}.corrupt-{time.time():.0f}"
        try:
            os.replace(self.path, self.renamed)
            with suppress(FileNotFoundError):
                os.unlink(self.path + "-journal")
            return self._connect()
        except (OSError, sqlite3.Error) as error:
            raise SocketsError(f"spool {self.path}: {error}") from None

    def _connect(self) -> sqlite3.Connection:
        mask = os.umask(0o077)
        os.umask(mask | 0o027)  # never wider than the unit's own
        try:
            database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        finally:
            os.umask(mask)
        try:
            database.executescript(self._schema)
            (check,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if check != "ok":
                raise sqlite3.DatabaseError(check)
        except sqlite3.Error:
            database.close()
            raise
        return database

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of something, or nothing.

        Raises:
            SocketsError: the disk is full, somebody else holds the file, and the like.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise SocketsError(f"spool {self.path}: {error}") from None
        finally:
            if self.connection.in_transaction:
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
