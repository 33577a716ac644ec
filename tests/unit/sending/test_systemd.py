"""What systemd is told."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zabbix_sockets.sending.systemd import Heartbeat, notify, watchdog_seconds


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager that listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield manager


def test_notify(manager: socket.socket) -> None:
    """All states come at once; a manager that has gone is no reason to stop."""
    notify("READY=1", "STATUS=well")
    assert manager.recv(100) == b"READY=1\nSTATUS=well"
    manager.close()
    notify("READY=1")


@pytest.mark.parametrize(
    ("given", "seconds"), [("", None), ("0", None), ("x", None), ("15000000", 15)]
)
def test_watchdog(monkeypatch: pytest.MonkeyPatch, given: str, seconds: float | None) -> None:
    """WatchdogSec= comes as microseconds in the environment."""
    monkeypatch.setenv("WATCHDOG_USEC", given)
    assert watchdog_seconds() == seconds


def test_pulse(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is called, it beats as often as the watchdog wants, and not all the time."""
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    pulse = Heartbeat()
    assert pulse.seconds == 0.5
    beats = []
    end = time.monotonic() + 2
    while time.monotonic() < end:
        pulse.beat()
        try:
            assert manager.recv(100) == b"WATCHDOG=1"
        except BlockingIOError:
            time.sleep(0.01)
        else:
            beats.append(time.monotonic())
    assert 4 <= len(beats) <= 9


def test_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd it says nothing, and waits no less long."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    pulse = Heartbeat()
    pulse.beat()
    assert pulse.seconds == 30
