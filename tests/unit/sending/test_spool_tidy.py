"""What the spool keeps for servers that nobody sends to any more, and how large its file stays."""

import os
import sqlite3
from contextlib import closing

import pytest
from spooling import LARGE, A, B, drained, packet

from zabbix_sockets.sending.database import ABANDONED_SECONDS
from zabbix_sockets.sending.spool import Spool, State

NOW = 1_700_000_000


def test_servers_that_are_gone(path: str, spool: Spool) -> None:
    """What waits for them counts, is kept for a week, and is counted when it is dropped."""
    spool.add([(A, packet(1))])
    spool.add([(B, packet(2))])
    spool.add([(f"{B}\nrow", packet(3))])
    spool.tidy([A, B], NOW)
    later = NOW + ABANDONED_SECONDS
    spool.tidy([A], later - 1)
    assert spool.state() == State(2, 0, 1)
    spool.tidy([A], later)  # within the hour: once is enough
    assert spool.state() == State(2, 0, 1)
    with closing(Spool(path, LARGE)) as again:
        assert drained(again, f"{B}\nrow") == [3]
    spool.add([(f"{B}\nrow", packet(4))])
    spool.tidy([A], later + 3600)
    assert spool.state() == State(1, 2, 1)
    assert spool.state(B) == State(0, 0, None)
    assert not spool.lines(B)
    assert drained(spool, A) == [1]


def test_a_server_that_comes_back(spool: Spool) -> None:
    """In time it gets what waited for it."""
    spool.add([(B, packet(2))])
    spool.tidy([A], NOW)  # it is not known since when: it is as if it were today
    spool.tidy([A], NOW + ABANDONED_SECONDS - 10)
    spool.tidy([A, B], NOW + ABANDONED_SECONDS + 3600)
    spool.tidy([A], NOW + 2 * ABANDONED_SECONDS)
    assert drained(spool, B) == [2]


def test_clock_of_the_future(spool: Spool) -> None:
    """A clock that was wrong once keeps nothing for ever."""
    spool.add([(B, packet(2))])
    spool.tidy([A, B], NOW + 100 * ABANDONED_SECONDS)
    spool.tidy([A], NOW)
    spool.tidy([A], NOW + ABANDONED_SECONDS + 1)
    assert spool.state() == State(0, 1, None)


def test_dropped_of_servers_that_are_gone(path: str) -> None:
    """Their sum never becomes less."""
    spool = Spool(path, 2000)
    for clock in range(20):
        spool.add([(B, packet(clock, os.urandom(400).hex()))])
    dropped = spool.state(B).dropped
    assert dropped > 10
    spool.tidy([A, B], NOW)
    spool.tidy([A], NOW + ABANDONED_SECONDS + 1)
    assert spool.state() == State(0, 20, None)
    spool.close()


def test_shrinks(path: str, spool: Spool) -> None:
    """After an outage the file gives back what it took."""
    for clock in range(300):
        spool.add([(A, packet(clock, os.urandom(5000).hex()))])
    large = os.path.getsize(path)
    spool.tidy([A], NOW)
    assert os.path.getsize(path) == large
    for clock in range(295):
        head = spool.oldest(A)
        assert head
        assert head.values[0].clock == clock
        spool.remove(head.number)
    spool.tidy([A], NOW + 3600)
    assert os.path.getsize(path) < large / 10
    assert drained(spool, A) == [295, 296, 297, 298, 299]


def test_no_room_to_tidy(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is put off, and nothing is lost."""
    spool.add([(B, packet(2))])

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(spool, "_forget_others", fail)
        spool.tidy([A], NOW)
        assert "disk is full" in spool.trouble
    spool.tidy([A], NOW + 3600)
    assert drained(spool, B) == [2]
