"""Packets and files that are none of ours, or of another version: they hold nothing up."""

import os
import resource
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from spooling import LARGE, A, B, drained, packet

from zabbix_sockets.sending.spool import Spool, State

STRANGE = {
    "a number": b"7",
    "an object": b'{"a": 1}',
    "numbers": b"[1, 2]",
    "too few fields": b'[["h", "k", 1, 2]]',
    "fields of other types": b'[["h", "k", "1", 2, "3"]]',
    "true for a time": b'[["h", "k", true, 2, "3"]]',
    "a time that is none": b'[["h", "k", -1, 2, "3"]]',
    "no values": b"[]",
    "a NUL": b'[["h", "k", 1, 2, "a\\u0000b"]]',
    "a long key": b'[["h", "%s", 1, 2, "3"]]' % (b"k" * 3000),
    "a host that is none": b'[["-", "k", 1, 2, "3"]]',
    "a surrogate": b'[["h", "k", 1, 2, "\\ud800"]]',
}


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
def test_packet_of_another_shape(path: str, spool: Spool, content: bytes) -> None:
    """What is no packet of values that can be sent is counted, and holds up no other."""
    for clock in (1, 2, 3):
        spool.add([(A, packet(clock))])
    with closing(sqlite3.connect(path)) as database, database:
        strange = zlib.compress(content)
        database.execute("UPDATE waiting SET packet = ? WHERE clock = 2", (strange,))
    assert drained(spool, A) == [1, 3]
    assert spool.state(A) == State(0, 1, None)


def test_bomb(path: str, spool: Spool) -> None:
    """A packet that would become much longer than any is not unpacked."""
    spool.add([(A, packet(1))])
    spool.add([(A, packet(2))])
    packing = zlib.compressobj(9)
    bomb = b"".join(packing.compress(b" " * 1_000_000) for _ in range(300)) + packing.flush()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE waiting SET packet = ? WHERE clock = 1", (bomb,))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 250_000_000, hard))
    try:
        assert drained(spool, A) == [2]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert spool.state(A).dropped == 1


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE waiting (something)",
        "CREATE TABLE waiting (number, destination, clock, bytes, packet)",
        "CREATE VIEW used AS SELECT 1 AS destination",
        "CREATE TABLE by_destination (x)",
    ],
)
def test_file_of_somebody_else(path: str, made: str) -> None:
    """A database with other tables of these names is set aside as one that is damaged."""
    os.makedirs(os.path.dirname(path))
    with closing(sqlite3.connect(path)) as database:
        database.execute(made)
    spool = Spool(path, LARGE)
    assert spool.renamed
    spool.add([(A, packet(1))])
    assert drained(spool, A) == [1]
    spool.close()
    again = Spool(path, LARGE)
    assert not again.renamed
    again.close()


@pytest.mark.parametrize("strange", ["'many'", "x'00ff'", "1e300", "'7 documents'"])
def test_columns_of_another_type(path: str, strange: str) -> None:
    """A damaged file in which SQLite finds nothing wrong: what is no number counts as one."""
    first = Spool(path, LARGE)
    first.add([(A, packet(1))])
    first.tidy([A, B], 0)
    first.close()
    with closing(sqlite3.connect(path)) as database, database:
        for table, column in (("waiting", "clock"), ("waiting", "bytes")):
            database.execute(f"UPDATE {table} SET {column} = {strange}")
        database.execute(f"INSERT INTO dropped VALUES (?, {strange})", (B,))
    spool = Spool(path, 1)
    assert not spool.renamed
    assert spool.state(A).waiting == 1
    assert spool.state(B).dropped >= 0
    spool.add([(A, packet(2))])
    assert drained(spool, A) == [2]
    spool.tidy([A], 30 * 86_400)
    assert spool.state().dropped > 0
    assert not spool.trouble
    spool.close()


def test_schema_of_other_bytes(path: str) -> None:
    """A file of which SQLite's error has bytes that are no UTF-8 is set aside like others."""
    Spool(path, LARGE).close()
    whole = Path(path).read_bytes()
    Path(path).write_bytes(
        whole.replace(b"CREATE TABLE dropped", b"CREATE \xff\xfe\xffBLE dropped")
    )
    spool = Spool(path, LARGE)
    assert spool.renamed
    spool.close()
