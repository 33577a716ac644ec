"""What is known of a server's items: kept in the spool's file, in a table of the ledger's own."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from spooling import LARGE, A, B, drained, packet

from zabbix_sockets.sending.ledger import Ledger, forget_abandoned
from zabbix_sockets.sending.spool import Spool, State

NOW = 1_700_000_000
WEEK = 7 * 86_400

EARLIER = """
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    clock INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    packet BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_destination ON waiting (destination, number);
CREATE TABLE IF NOT EXISTS dropped (
    destination TEXT PRIMARY KEY,
    documents INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS used (
    destination TEXT PRIMARY KEY,
    clock INTEGER NOT NULL
) STRICT;
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
"""All tables as 0.1.0 made them, from one place."""


def learn(path: str, destination: str, clock: int = NOW) -> None:
    """Note that a destination has the items of one row."""
    ledger = Ledger(path, destination)
    ledger.learn("row", 3, 1, clock)
    ledger.save()


def test_kept(path: str, spool: Spool) -> None:
    """Another process knows what was learnt, of each destination its own."""
    learn(path, A)
    assert Ledger(path, A).known() == {"row": 1}
    assert not Ledger(path, B).known()
    spool.add([(A, packet(1))])
    assert drained(spool, A) == [1]


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 37), reason="its tables are STRICT")
def test_file_of_an_earlier_version(path: str) -> None:
    """What waits there is sent, and what is known there is known."""
    Path(path).parent.mkdir()
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(EARLIER)
        database.execute("INSERT INTO groups VALUES (?, 'row', 1, 4, ?, 0, 0)", (A, NOW))
        database.execute("INSERT INTO dropped VALUES (?, 7)", (A,))
    assert Ledger(path, A).known() == {"row": 1}
    spool = Spool(path, LARGE)
    assert not spool.renamed
    assert spool.state(A) == State(0, 7, None)
    learn(path, B)
    assert Ledger(path, B).known() == {"row": 1}
    spool.close()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE groups (destination TEXT, name TEXT)",
        "CREATE VIEW groups AS SELECT 1 AS destination",
    ],
)
def test_table_of_another_version(path: str, spool: Spool, made: str) -> None:
    """The ledger makes its own anew; the spool's are nothing to it."""
    spool.add([(A, packet(1))])
    with closing(sqlite3.connect(path)) as database:
        database.execute(made)
    assert not Ledger(path, A).names()
    learn(path, A)
    assert Ledger(path, A).known() == {"row": 1}
    assert drained(spool, A) == [1]
    again = Spool(path, LARGE)
    assert not again.renamed
    again.close()


def test_file_that_is_none(tmp_path: Path) -> None:
    """Nothing is known, and nothing goes wrong."""
    path = tmp_path / "file"
    path.write_bytes(b"no database at all" * 100)
    learn(str(path), A)
    assert not Ledger(str(path), A).names()
    forget_abandoned(str(path), (), NOW)
    assert path.read_bytes() == b"no database at all" * 100


@pytest.mark.usefixtures("spool")
def test_destinations_that_are_gone(path: str) -> None:
    """They are forgotten a week after they were last sent to; others never are."""
    learn(path, A)
    learn(path, B)
    forget_abandoned(path, [A], NOW + WEEK - 1)
    assert Ledger(path, B).names() == {"row"}
    forget_abandoned(path, [A], NOW + WEEK)
    assert not Ledger(path, B).names()
    assert Ledger(path, A).names() == {"row"}


@pytest.mark.usefixtures("spool")
def test_clock_of_the_future(path: str) -> None:
    """A clock that was wrong once keeps nothing for ever."""
    learn(path, B, NOW + 100 * WEEK)
    forget_abandoned(path, [A], NOW)
    assert Ledger(path, B).names() == {"row"}
    forget_abandoned(path, [A], NOW + WEEK)
    assert not Ledger(path, B).names()


@pytest.mark.parametrize("strange", ["'many'", "x'00ff'", "1e300", "-5"])
@pytest.mark.usefixtures("spool")
def test_columns_of_another_type(path: str, strange: str) -> None:
    """A damaged file in which SQLite finds nothing wrong: what is no number counts as one."""
    learn(path, A)
    with closing(sqlite3.connect(path)) as database, database:
        for column in ("refused", "size", "seen", "attempts", "tried"):
            database.execute(f"UPDATE groups SET {column} = {strange}")
    found = Ledger(path, A)
    assert found.known().keys() == {"row"}
    assert found.awaited(NOW) in (0, 1)
    found.is_due("row", NOW)
    found.see(["row"], NOW)
    found.learn("row", 0, 1, NOW)
    found.save()
    assert Ledger(path, A).awaited(NOW) in (0, 1)
