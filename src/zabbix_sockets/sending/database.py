"""The sqlite file of the spool and the ledger, which several processes use at the same time.

The spool and the ledger each make, check and clear their own tables alone. A damaged file is moved
away and replaced.
"""

import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from zabbix_sockets.model.errors import SocketsError

ALONE_SECONDS = 30.0
"""The seconds that a process waits by default for another one that sends from the same file."""
ABANDONED_SECONDS = 7 * 86_400
"""The seconds after which a destination that nobody sends to is forgotten: it may come back into
the configuration."""
TIDY_SECONDS = 3600
"""The seconds between two looks for such destinations."""
_BUSY_SECONDS = 5.0
_WORTH_BYTES = 1_000_000
"""The free bytes in a file from which it is worth to shrink it."""


_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class HeldError(SocketsError):
    """Another process has been sending from the same file for too long."""


def _nothing() -> None:
    """Do nothing while somebody waits."""


def is_trap_for_root(folder: str) -> bool:
    """Whether this process is root's, and others than root may put files into *folder*.

    SQLite follows links, and does what it finds in a journal: it writes to the files, and removes
    those, that are named there. So root would lend its hands to the service's user, whose the
    folder of the unit is. In a folder such as /tmp the kernel sees to others' links (proc(5),
    fs.protected_symlinks).
    """
    try:
        found = os.stat(folder or ".")
    except OSError:
        return False  # it isn't there, and made anew
    is_open = found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX
    return os.geteuid() == 0 and bool(found.st_uid or is_open)


def connect(path: str) -> sqlite3.Connection:
    """Return a connection to a file; a missing one is made, readable by its group at most.

    Each statement is a transaction of its own, unless one has been started. Statements wait up to
    5 seconds for other processes.

    Raises:
        sqlite3.Error: it can't be opened.
    """
    mask = os.umask(0o077)
    os.umask(mask | 0o027)  # never wider than the unit's own
    try:
        return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    finally:
        os.umask(mask)


def conflicting_objects(schema: str, database: sqlite3.Connection) -> dict[str, str]:
    """Return the objects in *database* that have the name of an object of *schema*, but differ.

    By name, the type of each: `table`, `index`, `view` or `trigger`. *schema* is the SQL statements
    that make the tables and indices of this version. Tables that 0.1.0 made differ in being STRICT,
    for which SQLite 3.37 is needed, and are as good.

    Raises:
        sqlite3.Error: it can't be read, or is no database.
    """
    query = "SELECT name, type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(schema)
        wanted = {name: sql for name, _, sql in model.execute(query)}
    try:
        found = database.execute(query).fetchall()
    except UnicodeDecodeError as error:  # the words of SQLite's own error are damaged, too
        raise sqlite3.DatabaseError(str(error)) from None
    return {
        name: kind
        for name, kind, sql in found
        if name in wanted and wanted[name] != sql.removesuffix(" STRICT")
    }


class Database:
    """A database file with the tables of *schema*, made if it isn't there.

    A file that is no database, or has different tables of these names, is renamed and replaced.

    Attributes:
        path: the file.
        connection: the connection to it.
        renamed: the path to which such a file was renamed; empty: there was none.

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
        """Close the connection and the lock."""
        self.connection.close()
        os.close(self._lock)

    @contextmanager
    def alone(
        self, seconds: float = ALONE_SECONDS, meanwhile: Callable[[], None] = _nothing
    ) -> Iterator[None]:
        """Hold the lock that keeps other processes from sending, for the time of the block.

        Writing doesn't need it: for that sqlite has a lock of its own. While another process holds
        it, *meanwhile* is called again and again.

        Raises:
            HeldError: another one held it for all these *seconds*.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise HeldError(f"spool {self.path}: another process uses it") from None
                meanwhile()
                time.sleep(0.05)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _open_lock(self) -> int:
        folder = os.path.dirname(self.path)
        with suppress(OSError):  # opening says it better
            os.makedirs(folder, mode=0o750, exist_ok=True)
        if is_trap_for_root(folder):
            raise SocketsError(
                f"spool {self.path}: its folder is another user's, and this is root",
                "name a file in one of root's: --spool FILE",
            )
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(f"{self.path}.lock", flags, 0o640)
        except OSError as error:
            raise SocketsError(f"spool {self.path}: {error.strerror}") from None

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            raise SocketsError(f"spool {self.path}: {error}") from None
        except sqlite3.DatabaseError:
            pass  # it is no database any more, or one of somebody else's
        with self.alone():  # of two that find it so one sets it aside
            try:
                return self._connect()
            except sqlite3.Error:
                return self._begin_anew()

    def _begin_anew(self) -> sqlite3.Connection:
        """Rename the file, for a person to look at, and make another one."""
        self.renamed = f"{self.path}.corrupt-{time.time():.0f}"
        try:
            os.replace(self.path, self.renamed)
            with suppress(FileNotFoundError):
                os.unlink(self.path + "-journal")
            return self._connect()
        except (OSError, sqlite3.Error) as error:
            raise SocketsError(f"spool {self.path}: {error}") from None

    def _connect(self) -> sqlite3.Connection:
        database = connect(self.path)
        try:
            strange = conflicting_objects(self._schema, database)
            if strange:
                raise sqlite3.DatabaseError(f"another {', '.join(strange)}")
            database.executescript(self._schema)
            (check,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if check != "ok":
                raise sqlite3.DatabaseError(check)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def shrink(self) -> None:
        """Shrink the file if at least half of it, and a megabyte, is free, as after an outage.

        Raises:
            sqlite3.Error: there is no room for the copies that this takes, or another process
                writes.
        """
        pages, free, size = (
            self.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if free * size >= _WORTH_BYTES and free >= pages / 2:
            self.connection.execute("VACUUM")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make the statements of the block one transaction, which is undone if it raises.

        Raises:
            SocketsError: a statement failed: the disk is full, or another process holds the file.
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
