"""Snapshots of a command that stays: in time, in the user's turn, and each once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from zabbix_sockets.command import in_turn
from zabbix_sockets.command.in_turn import take_in_turn
from zabbix_sockets.command.lock import Lock
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError, TimedOutError


class Hanging:
    """Something that hangs until *end* is called; *calls* are the threads that did."""

    def __init__(self) -> None:
        self.calls: list[threading.Thread] = []
        self._over = threading.Event()

    def __call__(self, _: Deadline) -> str:
        """Hang, in place of taking a snapshot."""
        self.calls.append(threading.current_thread())
        self._over.wait(60)
        return "late"

    def end(self) -> None:
        """End all calls, and wait until they have."""
        self._over.set()
        for each in self.calls:
            each.join(60)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Yield what hangs as long as the test runs."""
    found = Hanging()
    yield found
    found.end()


def test_what_is_taken() -> None:
    """It is returned, or raised, and the lock is held meanwhile."""

    def take(deadline: Deadline) -> bool:
        assert 0 < deadline.remaining() <= 60
        with Lock() as other, pytest.raises(SocketsError), other.held(Deadline(0.05)):
            pass
        return True

    def fail(_: Deadline) -> None:
        raise SocketsError("no sockets")

    assert take_in_turn(60, take)
    with pytest.raises(SocketsError, match="no sockets"):
        take_in_turn(60, fail)
    assert take_in_turn(60, take)


def test_what_hangs_is_left(hanging: Hanging) -> None:
    """The next one is taken in time, as the lock is free; no more than some hang at once."""
    most = in_turn._MOST_HANGING
    for _ in range(most):
        started = time.monotonic()
        with pytest.raises(TimedOutError, match=r"^timed out after 0\.25 s: something hung$"):
            take_in_turn(0.05, hanging)
        assert time.monotonic() - started >= 0.25
    with pytest.raises(TimedOutError, match=f"^{most} snapshots before this one hang$"):
        take_in_turn(60, hanging)
    assert len(hanging.calls) == most
    hanging.end()
    assert take_in_turn(60, lambda _: "in time") == "in time"


def test_no_room_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken without one."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(in_turn._Taking, "start", refuse)
    assert take_in_turn(60, lambda _: threading.current_thread()) is threading.main_thread()
