"""What one call knows of its own time."""

import errno

import pytest

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline


def shared() -> CallContext:
    """Return a call's."""
    return CallContext("/proc", Deadline(600))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_shortage(number: int) -> None:
    """A shortage counts for the call in whose time it was, and for none that began later."""
    call = shared()
    shortage.note(OSError(number, ""))
    assert call.is_short
    assert not shared().is_short


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, ""), FileNotFoundError(), ValueError("no number")]
)
def test_facts_are_no_shortage(error: Exception) -> None:
    """What is closed, gone or means nothing says nothing of this process."""
    call = shared()
    shortage.note(error)
    assert not call.is_short


def test_once() -> None:
    """What is made for a call is made when it is first asked for, and once."""
    made: list[CallContext] = []

    def make(call: CallContext) -> list[CallContext]:
        made.append(call)
        return made

    call = shared()
    assert call.once(make) is call.once(make)
    assert made == [call]
