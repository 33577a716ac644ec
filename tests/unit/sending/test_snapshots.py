"""Documents made in a child: what it says, and what becomes of a child that can't."""

import errno
import os
import time

import pytest

from zabbix_sockets.errors import SocketsError
from zabbix_sockets.sending.snapshots import take


def test_document() -> None:
    """What the child made is what the parent gets."""
    parent = os.getpid()
    assert take(lambda: {"own": os.getpid() != parent}, 10) == {"own": True}


def fail() -> object:
    """Raise what a collector may raise."""
    raise SocketsError("no source can be read")


def stop() -> object:
    """Be a fault of our own."""
    raise ZeroDivisionError


@pytest.mark.parametrize(("make", "said"), [(fail, "no source"), (stop, "ZeroDivisionError")])
def test_error(make: object, said: str) -> None:
    """An error of the child is the parent's."""
    assert callable(make)
    with pytest.raises(SocketsError, match=said):
        take(make, 10)


def test_child_that_hangs() -> None:
    """It is killed a moment after the timeout."""
    with pytest.raises(SocketsError, match=r"no document within 0\.1 s"):
        take(lambda: time.sleep(60), 0.1)


def test_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for a process nothing is left open, and it is no end."""

    def fork() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", fork)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(SocketsError, match="no process"):
        take(dict, 10)
    assert os.listdir("/proc/self/fd") == before
