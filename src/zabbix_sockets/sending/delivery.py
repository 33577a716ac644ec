"""Delivery of packets of values to every destination, by way of the spool."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from zabbix_sockets.model.errors import SocketsError, words_of
from zabbix_sockets.sending.database import ALONE_SECONDS, HeldError
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool, State
from zabbix_sockets.sending.transport import Outcome

Packet = Sequence[Value]
"""Values that go in one call of zabbix_sender."""

Push = Callable[[str, Packet], Outcome]
"""Hands a packet to zabbix_sender for one destination, and returns the outcome."""

BATCHES_SECONDS = 60.0
"""The time of one delivery, after which its further packets wait in the spool."""
_LOOK_SECONDS = 0.1
"""Between two checks whether pushes have ended."""

DRAIN_SECONDS = 1.0
"""Between two packets that waited, on the average: a fleet that comes back is no storm."""


@dataclass
class WaitPolicy:
    """The conduct of the process while it waits for a lock, or for pushes.

    Attributes:
        beat: called several times a second as long as no push hangs (systemd.Heartbeat).
        is_stopping: whether no further push may begin.
        push_seconds: the time after which a push hangs, and *beat* is called no more.
        lock_seconds: the time to wait for another process that sends.
    """

    beat: Callable[[], None] = lambda: None
    is_stopping: Callable[[], bool] = lambda: False
    push_seconds: float = math.inf
    lock_seconds: float = ALONE_SECONDS


class Report(NamedTuple):
    """The result of a delivery for one destination.

    Attributes:
        outcome: that of the packets that were pushed.
        waiting: the number of packets in the spool for the destination; None: it can't be read.
        note: words for the log besides.
    """

    destination: str
    outcome: Outcome
    waiting: int | None
    note: str = ""

    @property
    def catches_up(self) -> bool:
        """Whether the server took the last packet, and further ones wait or may wait."""
        return self.outcome.delivered and self.waiting != 0

    @property
    def is_refused(self) -> bool:
        """Whether the server answered, and took no value."""
        return not self.outcome.error and not self.outcome.processed

    def plus(self, later: Report) -> Report:
        """Return the sum of this report and of a *later* one for the same destination."""
        outcome = later.outcome._replace(
            processed=self.outcome.processed + later.outcome.processed,
            failed=self.outcome.failed + later.outcome.failed,
        )
        notes = dict.fromkeys(filter(None, (*self.note.split("; "), later.note)))
        return later._replace(outcome=outcome, note="; ".join(notes))

    @property
    def delivered(self) -> bool:
        """Whether the server has all values, and nothing waits for it."""
        return self.outcome.delivered and not self.outcome.failed and self.waiting == 0

    def __str__(self) -> str:
        """Return the result in one line: sent, failed, why."""
        said = f"{self.destination}: sent {self.outcome.processed}, failed {self.outcome.failed}"
        if self.waiting:
            said += f", {self.waiting} waiting"
        if self.note:
            said += f", {self.note}"
        if self.outcome.error:
            return f"{said}: {self.outcome.error}"
        if self.outcome.failed:
            return (
                f"{said}: the server refused it: no such host or item there, not of type"
                " trapper, or not allowed from here or with this encryption (TLSConnect)"
            )
        return said


class Delivery:
    """Delivers packets to all destinations; those not delivered wait in the spool.

    Args:
        push: hands a packet to zabbix_sender.
        destinations: as zabbix_sender takes them.
        spool: None: what is not delivered is lost.
        wait_policy: what is done while it waits; None: the defaults of WaitPolicy.
    """

    def __init__(
        self,
        push: Push,
        destinations: Sequence[str],
        spool: Spool | None,
        wait_policy: WaitPolicy | None = None,
    ) -> None:
        self._push = push
        self._destinations = destinations
        self._spool = spool
        self._wait_policy = wait_policy or WaitPolicy()

    def state(self) -> State | None:
        """Return the state of the spool for all destinations; None without one that can be read."""
        try:
            return self._spool.state() if self._spool else None
        except SocketsError:
            return None

    def deliver(self, packets: Mapping[str, Sequence[Packet]]) -> list[Report]:
        """Push to every destination its *packets* or, where others wait, the oldest of these.

        A report for each destination is returned. A packet is in the spool before anything is
        waited for, and leaves it when the server has taken it: a kill at any moment loses nothing,
        nor does a process that sends for long.

        Raises:
            SocketsError: values could be neither sent nor kept.
        """
        if self._spool is None:
            return self._push_unkept(packets)
        own = self._keep(packets)
        try:
            with self._alone(self._spool):
                return self._push_kept(packets, own)
        except HeldError as error:
            return [self._report(each, Outcome(0, 0, str(error))) for each in self._destinations]

    def _keep(self, packets: Mapping[str, Sequence[Packet]]) -> set[int]:
        """Put packets into the spool; return their numbers there."""
        assert self._spool
        return set(
            self._spool.add(
                (each, packet) for each in self._destinations for packet in packets[each]
            )
        )

    def _alone(self, spool: Spool) -> AbstractContextManager[None]:
        return spool.alone(self._wait_policy.lock_seconds, self._wait_policy.beat)

    def _push_kept(
        self, packets: Mapping[str, Sequence[Packet]], own: Container[int]
    ) -> list[Report]:
        """Push the oldest packets for each destination.

        *packets* are in the spool already, where *own* are their numbers. Where nothing waited
        before them, all are pushed as long as the server takes them and there is time.
        """
        assert self._spool
        started = time.monotonic()
        heads = {each: self._spool.oldest(each) for each in self._destinations}
        waited = [each for each, head in heads.items() if head and head.number not in own]
        reports = {each.destination: each for each in self._push_heads(self._destinations)}
        for _ in range(max(map(len, packets.values())) - 1):
            goes_on = [each for each in reports if each not in waited and reports[each].catches_up]
            if not goes_on or self._wait_policy.is_stopping() or _is_over(started):
                break
            for report in self._push_heads(goes_on):
                reports[report.destination] = reports[report.destination].plus(report)
        refused = [each for each in waited if reports[each].is_refused]
        reports |= self._drop_stale_hosts({each: packets[each][-1] for each in refused})
        return list(reports.values())

    def drain(self, destinations: Sequence[str]) -> list[Report]:
        """Push the oldest packet that waits for each of *destinations*; return their reports.

        There is none for a destination for which none waits, and none at all while another process
        sends: that sends these, too.
        """
        if self._spool is None:
            return []
        try:
            with self._alone(self._spool):
                return self._push_heads([each for each in destinations if self._spool.oldest(each)])
        except HeldError:
            return []

    def _push_unkept(self, packets: Mapping[str, Sequence[Packet]]) -> list[Report]:
        reports = {each: Report(each, Outcome(0, 0), 0) for each in self._destinations}
        for number in range(max(map(len, packets.values()))):
            current = {
                each: packets[each][number]
                for each in self._destinations
                if number < len(packets[each]) and reports[each].outcome.delivered
            }
            for each, outcome in self._push_all(current).items():
                reports[each] = reports[each].plus(Report(each, outcome, 0))
        return list(reports.values())

    def _push_heads(self, destinations: Sequence[str]) -> list[Report]:
        """Push the oldest packet in the spool for each destination; return their reports."""
        assert self._spool
        heads = {each: self._spool.oldest(each) for each in destinations}
        outcomes = self._push_all({each: head.values for each, head in heads.items() if head})
        reports = []
        for destination, head in heads.items():
            self._wait_policy.beat()  # a file that somebody writes to may take seconds
            if head is None:
                reports.append(self._without_head(destination))
                continue
            outcome = outcomes[destination]
            if outcome.delivered:
                self._spool.remove(head.number)
            reports.append(self._report(destination, outcome))
        return reports

    def _without_head(self, destination: str) -> Report:
        """Return the report of a destination whose packet is not in the spool any more."""
        assert self._spool
        if self._spool.trouble:
            return self._report(destination, Outcome(0, 0, self._spool.trouble))
        return Report(destination, Outcome(0, 0), 0, note="another process has sent it")

    def _report(self, destination: str, outcome: Outcome) -> Report:
        """Return the report with an outcome and what is left for *destination* in the spool."""
        assert self._spool
        try:
            waiting = self._spool.state(destination).waiting
        except SocketsError as error:
            return Report(destination, outcome, None, note=str(error))
        return Report(destination, outcome, waiting)

    def _drop_stale_hosts(self, packets: Mapping[str, Packet]) -> dict[str, Report]:
        """Try to push the first packet of the present host name before those of a former one.

        *packets* are by destination, and of the host's name as it is now. The server refuses those
        for another name that wait before them, which holds up all behind; if it takes the first
        one for this name, they are dropped. A packet for this name is never overtaken: the server
        may just have come to know it. The reports are of destinations where packets were dropped.
        """
        assert self._spool
        reports = {}
        for destination, packet in packets.items():
            hosts = {value.host for value in packet}
            stale = []
            for waiting in self._spool.all(destination):
                if not hosts.isdisjoint(value.host for value in waiting.values):
                    break
                stale.append(waiting.number)
            else:
                continue
            if not stale:
                continue
            outcome = self._push_all({destination: waiting.values})[destination]
            if outcome.delivered:
                for number in stale:
                    self._spool.drop(number, destination)
                self._spool.remove(waiting.number)
                reports[destination] = self._report(destination, outcome)
        return reports

    def _push_all(self, packets: Mapping[str, Packet]) -> dict[str, Outcome]:
        return push_all(self._push, packets, self._wait_policy)


def push_all(
    push: Push, packets: Mapping[str, Packet], wait_policy: WaitPolicy
) -> dict[str, Outcome]:
    """Push to all destinations at the same time; return the outcome for each of them.

    So one that is dead delays no other; where no thread can be started, it is one after the other.
    An error of one is its outcome.
    """
    outcomes: dict[str, Outcome] = {}

    def run(destination: str) -> None:
        try:
            outcomes[destination] = push(destination, packets[destination])
        except Exception as error:  # noqa: BLE001  # no descriptor, no memory: it waits, and is said
            outcomes[destination] = Outcome(0, 0, words_of(error))

    threads = []
    for destination in packets:
        thread = threading.Thread(target=run, args=(destination,), daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            wait_policy.beat()
            run(destination)
        else:
            threads.append(thread)
    deadline = time.monotonic() + wait_policy.push_seconds
    for thread in threads:
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            if time.monotonic() < deadline:
                wait_policy.beat()
    return outcomes


def _is_over(started: float) -> bool:
    """Whether the time of a delivery that started at *started* is over (BATCHES_SECONDS)."""
    return time.monotonic() - started > BATCHES_SECONDS


def catching_up(reports: Sequence[Report]) -> list[str]:
    """Return the destinations that take packets, and for which further ones wait."""
    return [each.destination for each in reports if each.catches_up]


def drain_delay(interval: float = math.inf) -> float:
    """Return the seconds until the next packet that waited may go, a random number.

    On the average they are DRAIN_SECONDS, but at most a tenth of the *interval* between pushes:
    at a short one more packets wait.
    """
    return min(DRAIN_SECONDS, interval / 10) * random.uniform(0.5, 1.5)  # noqa: S311  # only to spread a fleet
