"""Snapshots of a command that stays (`show --interval`), each in the user's turn and in time.

Each is taken in a thread, since a step of it may hang in the kernel for good: then the command goes
on without that thread. A call that ends with its answer has a child for that (supervisor); here
what was taken is compared with what came before, and so it stays in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from zabbix_sockets.collector.collect import stop_reading_command_lines
from zabbix_sockets.command.lock import Lock
from zabbix_sockets.command.supervisor import GRACE, LOOK, PATIENCE, waits_in_kernel
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import TimedOutError

_MOST_HANGING = 4
"""The number of threads that may hang at once; with as many nothing more is taken."""

T = TypeVar("T")
Take = Callable[[Deadline], T]
"""Takes a snapshot, by the deadline."""

_hanging: list[threading.Thread] = []


def take_in_turn(timeout: float, take: Take[T]) -> T:
    """Return what *take* returns within *timeout* seconds, those for the user's turn included.

    If it hangs in the kernel, no command line is read in this process any more, and it is called
    once more in the time that is left: whoever reads that of a user's process can be made to hang.

    Raises:
        BusyError: others had their turn until no time was left.
        TimedOutError: it took longer, or as many threads as may hang do so.
        SocketsError, OSError: *take* raised it.
    """
    deadline = Deadline(timeout)
    _hanging[:] = [thread for thread in _hanging if thread.is_alive()]
    if len(_hanging) >= _MOST_HANGING:
        raise TimedOutError(f"{len(_hanging)} snapshots before this one hang")
    with Lock() as lock, lock.held(deadline):
        look = monotonic() + max(0.0, deadline.remaining()) * PATIENCE
        try:
            taking = _start(take, deadline)
        except RuntimeError:  # no room for one more thread
            return take(deadline)
        if _is_stuck(taking, deadline, look):
            _hanging.append(taking)
            stop_reading_command_lines()
            taking = _start(take, deadline)
        taking.done.wait(max(0.0, deadline.remaining()) + GRACE)
        if not taking.done.is_set():
            _hanging.append(taking)
            raise TimedOutError(f"timed out after {deadline.seconds + GRACE:.3g} s: something hung")
        return taking.result()


class _Taking(threading.Thread, Generic[T]):
    """A thread that takes a snapshot; *done* is set when it has."""

    def __init__(self, take: Take[T], deadline: Deadline) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self._take = take
        self._deadline = deadline
        self._taken: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._taken.append(self._take(self._deadline))
        except BaseException as error:  # noqa: BLE001  # whatever it is, result() raises it
            self._error = error
        self.done.set()

    def result(self) -> T:
        """Return what was taken; raise what was raised instead."""
        if self._error is not None:
            raise self._error
        return self._taken[0]


def _start(take: Take[T], deadline: Deadline) -> _Taking[T]:
    taking = _Taking(take, deadline)
    taking.start()
    return taking


def _is_stuck(taking: _Taking[T], deadline: Deadline, look: float) -> bool:
    """Whether a thread hangs in the kernel; that is looked at from the moment *look* on.

    It returns as soon as that is known, the thread has done, or the deadline has passed.
    """
    while (left := deadline.remaining()) > 0:
        until_look = max(0.0, look - monotonic())
        if taking.done.wait(min(left, until_look)):
            return False
        if until_look < left:
            if waits_in_kernel(taking.native_id or 0):
                return not taking.done.is_set()
            look = monotonic() + LOOK
    return False
