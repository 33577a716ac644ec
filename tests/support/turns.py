"""Calls' turns, taken by tests as monitors take them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from zabbix_sockets.command.lock import Lock, Turn
from zabbix_sockets.model.deadline import Deadline


@contextmanager
def one_at_a_time(deadline: Deadline, question: Sequence[str] = ()) -> Iterator[Turn]:
    """Open this user's lock, and hold it or get another call's answer; see Lock.held()."""
    with Lock() as lock, lock.held(deadline, question) as turn:
        yield turn
