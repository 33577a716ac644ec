"""The service of `send --interval`: pushes at every interval until a signal ends it."""

from __future__ import annotations

import gc
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from zabbix_sockets.document.document import Document
from zabbix_sockets.model.errors import SocketsError, words_of
from zabbix_sockets.sending import schedule
from zabbix_sockets.sending.delivery import Report, catching_up, drain_delay
from zabbix_sockets.sending.ledger import FIRST_RETRY_SECONDS
from zabbix_sockets.sending.pusher import Pusher
from zabbix_sockets.sending.systemd import Heartbeat, notify

FAULTS = (SocketsError, OSError, MemoryError, RuntimeError)
"""Errors that are logged and don't end the service: those of a lack of memory, too."""

_ATTEMPTS = 4
"""The most attempts at a document within an interval: another call of the same user may be busy
with one, or the host with something else."""
_LONGEST_PAUSE = 5.0
"""The most seconds between two of them, on the average."""
_AFTER_FAULT = 1.0
"""Seconds to sleep where not even waiting works: for want of memory, as a rule."""


class PushLoop:
    """Pushes at every *interval* seconds until SIGTERM or SIGINT."""

    def __init__(self, pusher: Pusher, interval: float) -> None:
        self._pusher = pusher
        self._interval = interval
        self._stopping = False
        self._wake_up, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._said: object = None
        self._heartbeat = Heartbeat()
        pusher.wait_policy.is_stopping = self._is_stopping
        pusher.wait_policy.beat = self._heartbeat.beat

    def run(self) -> None:
        """Push until a signal; what is under way then is finished or spooled."""
        gc.enable()  # a command that stays collects its garbage
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        own = schedule.offset(self._pusher.target.host, self._interval)
        first = schedule.seconds_to_first(time.time(), self._interval, own)
        start = time.monotonic() + first
        _log(f"pushing {self._pusher.target}")
        notify("READY=1", f"STATUS=first push in {first:.0f} s")
        self._wait(start)
        while not self._is_stopping():
            reports = self._push(self._next_tick(start))
            tick = self._next_tick(start)
            retry = time.monotonic() + FIRST_RETRY_SECONDS
            destinations = self._pusher.target.destinations
            self._drain_until(tick, catching_up(reports) if reports else destinations)
            while self._pusher.awaits_items() and retry < tick and not self._is_stopping():
                self._wait(retry)
                self._logged(self._pusher.retry)
                retry = time.monotonic() + FIRST_RETRY_SECONDS
            self._wait(tick)
        notify("STOPPING=1")

    def _next_tick(self, start: float) -> float:
        return schedule.next_tick(start, time.monotonic(), self._interval)

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _is_stopping(self) -> bool:
        return self._stopping

    def _push(self, tick: float) -> list[Report]:
        """Push before *tick*, a moment of the monotonic clock; return the reports of it.

        There are none where no document could be made.
        """
        reports: list[Report] = []
        try:
            document = self._made(tick)
            if document is None:
                return []
            reports = self._pusher.deliver(document)
            said = "; ".join(map(str, reports))
            kind: object = [(each.outcome.error, each.delivered, each.note) for each in reports]
        except FAULTS as error:
            said = kind = words_of(error)
        spool = self._pusher.spool
        if spool and spool.trouble:
            said += f"; in memory only: {spool.trouble}"
            kind = kind, spool.trouble
        self._tell(said, kind)
        return reports

    def _made(self, tick: float) -> Document | None:
        """Return a document, after up to four attempts before *tick*; None: a signal came first.

        Raises:
            SocketsError: all of them failed; the message has the last one's error.
        """
        attempts = 0
        while not self._is_stopping():
            attempts += 1
            self._heartbeat.beat()
            try:
                return self._pusher.make()
            except FAULTS as error:
                pause = min(_LONGEST_PAUSE, self._interval / (_ATTEMPTS + 1))
                again = time.monotonic() + pause * random.uniform(0.5, 1.5)  # noqa: S311  # to spread
                if attempts == _ATTEMPTS or again + pause > tick:
                    said = f"no document, {attempts} times: {words_of(error)}"
                    raise SocketsError(said) from None
                self._tell(f"no document: {words_of(error)}; it is tried again", words_of(error))
            self._wait(again)
        return None

    def _tell(self, said: str, kind: object) -> None:
        """Tell systemd the state *said*, and log it if its *kind* differs from the last one's."""
        notify("WATCHDOG=1", f"STATUS={said}")
        if kind != self._said:  # the log is for changes, not for how many wait
            _log(said)
            self._said = kind

    def _drain_until(self, tick: float, destinations: Sequence[str]) -> None:
        """Deliver packets that wait for *destinations*, one after the other, until *tick*."""
        while destinations and not self._is_stopping():
            self._wait(min(tick, time.monotonic() + drain_delay(self._interval)))
            if self._is_stopping() or time.monotonic() >= tick:
                return
            drained: list[Report] = []
            self._logged(lambda: drained.extend(self._pusher.drain(destinations)))  # noqa: B023
            destinations = catching_up(drained)

    def _logged(self, work: Callable[[], None]) -> None:
        """Call *work*; log an error of FAULTS."""
        self._heartbeat.beat()
        try:
            work()
        except FAULTS as error:
            _log(words_of(error))

    def _wait(self, until: float) -> None:
        """Sleep until a moment of the monotonic clock, or a signal, with heartbeats for systemd."""
        while not self._is_stopping() and (remaining := until - time.monotonic()) > 0:
            try:
                select.select([self._wake_up], [], [], min(remaining, self._heartbeat.seconds / 2))
                os.read(self._wake_up, 4096)
            except BlockingIOError:
                pass  # no signal has come
            except FAULTS:
                time.sleep(min(remaining, _AFTER_FAULT))
            self._heartbeat.beat()


def _log(line: str) -> None:
    """Write a line for people; that its reader is gone, or its disk full, is no reason to end."""
    with suppress(*FAULTS):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
