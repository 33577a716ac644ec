"""The service: what goes wrong is said, tried again where that helps, and no reason to end."""

import errno
import gc
import io
import os
import select
import sys
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from json_documents import JsonDocument

from zabbix_sockets.model.errors import BusyError, SocketsError
from zabbix_sockets.sending.delivery import Report, WaitPolicy
from zabbix_sockets.sending.pusher import Pusher
from zabbix_sockets.sending.service import PushLoop
from zabbix_sockets.sending.transport import Outcome

BUSY = BusyError("another snapshot of this user did not end within 1.25 s")


class FakePusher:
    """Makes a document or raises what comes next; a real one forks, which needs a real reason."""

    spool = None
    target = SimpleNamespace(host="a", destinations=())

    def __init__(self, *faults: Exception) -> None:
        self.wait_policy = WaitPolicy()
        self.faults = list(faults)
        self.tried: list[float] = []
        self.delivered = 0
        self.fault: Exception | None = None

    def make(self) -> JsonDocument:
        """Make one, or not."""
        self.tried.append(time.monotonic())
        if self.faults:
            raise self.faults.pop(0)
        return {}

    def deliver(self, _document: JsonDocument) -> list[Report]:
        """Deliver it, or not."""
        if self.fault:
            raise self.fault
        self.delivered += 1
        return [Report("a", Outcome(1, 0), 0)]

    def drain(self, _destinations: Sequence[str]) -> list[Report]:
        """Fail."""
        assert self.fault
        raise self.fault


def push(pusher: FakePusher, interval: float = 1.0) -> list[Report]:
    """Push once, as at a moment of the interval."""
    service = PushLoop(cast(Pusher, pusher), interval)
    return service._push(time.monotonic() + interval)


def test_document_is_tried_again(capfd: pytest.CaptureFixture[str]) -> None:
    """One that could not be made, as another call was at it, is made within the interval."""
    pusher = FakePusher(BUSY, BUSY)
    assert [str(each) for each in push(pusher)] == ["a: sent 1, failed 0"]
    assert len(pusher.tried) == 3
    assert capfd.readouterr().err.splitlines() == [
        f"no document: {BUSY}; it is tried again",
        "a: sent 1, failed 0",
    ]


def test_tries_end(capfd: pytest.CaptureFixture[str]) -> None:
    """After some there is none, which is said; they are spread, and over before the next."""
    pusher = FakePusher(*[BUSY] * 10)
    started = time.monotonic()
    assert push(pusher) == []
    assert 3 <= len(pusher.tried) <= 4
    assert pusher.tried[-1] - pusher.tried[0] > 0.15
    assert pusher.tried[-1] < started + 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == f"no document, {len(pusher.tried)} times: {BUSY}"


@pytest.mark.parametrize(
    "fault",
    [
        OSError(24, "Too many open files"),
        MemoryError(),
        RuntimeError("no thread"),
        SocketsError("x"),
    ],
)
def test_no_fault_ends_it(fault: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever is missing while it makes, delivers or drains is said."""
    pusher = FakePusher(fault)
    assert len(push(pusher)) == 1
    pusher.fault = fault
    assert push(pusher) == []
    service = PushLoop(cast(Pusher, pusher), 0.1)
    service._drain_until(time.monotonic() + 1, ["a"])
    said = capfd.readouterr().err
    assert said.count(str(fault)) >= 3
    assert pusher.delivered == 1


def test_stopped_while_it_tries() -> None:
    """A signal ends the tries, too."""
    pusher = FakePusher(*[BUSY] * 10)
    service = PushLoop(cast(Pusher, pusher), 1.0)
    service._stop(15, None)
    assert service._push(time.monotonic() + 1) == []
    assert not pusher.tried


def test_garbage_is_collected() -> None:
    """As long as the service stays: a call that ends soon looks for none."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            gc.disable()
            service = PushLoop(cast(Pusher, FakePusher()), 1.0)
            service._stop(15, None)
            service.run()
            status = 0 if gc.isenabled() else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


class Full(io.StringIO):
    """A log on a disk without space."""

    def write(self, _text: str) -> int:
        """Fail."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_log_that_cannot_be_written_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents are pushed, and tried again, though nobody can be told of it."""
    pusher = FakePusher(BUSY)
    monkeypatch.setattr(sys, "stderr", Full())
    assert [str(each) for each in push(pusher)] == ["a: sent 1, failed 0"]
    assert len(pusher.tried) == 2


@pytest.mark.parametrize("fault", [OSError(errno.ENOMEM, "no memory"), MemoryError()])
def test_wait_that_fails_is_no_reason_to_end(
    monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    """It still waits until the moment that is due, and does not spin meanwhile."""
    service = PushLoop(cast(Pusher, FakePusher()), 1.0)
    tried: list[object] = []

    def select_fails(*_: object) -> None:
        tried.append(None)
        raise fault

    monkeypatch.setattr(select, "select", select_fails)
    until = time.monotonic() + 0.1
    service._wait(until)
    assert time.monotonic() >= until
    assert len(tried) < 5
