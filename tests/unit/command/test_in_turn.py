"""Snapshots of a command that stays: in time, in the user's turn, and each by itself."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from zabbix_sockets.command.in_turn import take_in_turn
from zabbix_sockets.command.lock import Lock
from zabbix_sockets.document.document import Document
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import BusyError, SocketsError, TimedOutError

FOR_EVER = "(a+)+$", "a" * 50 + "b"
"""A pattern, and a text on which it is at work for years."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a place for the lock that nobody else has."""
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", (str(tmp_path),))


def test_what_is_taken() -> None:
    """It is returned, whatever it is, and the lock is held meanwhile."""

    def take(deadline: Deadline) -> tuple[int, str]:
        assert 0 < deadline.remaining() <= 60
        with Lock() as other:
            try:
                with other.held(Deadline(0.05)):
                    return os.getpid(), "free"
            except BusyError:
                return os.getpid(), "held"

    pid, lock = take_in_turn(60, take)
    assert pid != os.getpid()
    assert lock == "held"


def test_an_error_is_raised() -> None:
    """It is told of as one of this package, and the next one can be taken."""

    def fail(_: Deadline) -> Document:
        raise SocketsError("no sockets", "look elsewhere")

    with pytest.raises(SocketsError, match="no sockets") as caught:
        take_in_turn(60, fail)
    assert caught.value.hint == "look elsewhere"
    assert take_in_turn(60, lambda _: "next") == "next"


@pytest.mark.parametrize(
    "hang", [lambda _: time.sleep(60), lambda _: re.match(*FOR_EVER)], ids=["waits", "works"]
)
def test_what_hangs_is_given_up(hang: object) -> None:
    """Also where it lets nothing else in its process run; the next one is taken."""
    started = time.monotonic()
    with pytest.raises(TimedOutError, match="something hung"):
        take_in_turn(0.1, hang)  # type: ignore[arg-type]  # either of them
    assert time.monotonic() - started < 30
    assert take_in_turn(60, lambda _: "in time") == "in time"
