"""From a packet of values to every destination, by way of the spool where that is needed."""

import math
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from zabbix_sockets.errors import SocketsError
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool, State
from zabbix_sockets.sending.transport import Outcome

Packet = Sequence[Value]
"""Values that go in one call."""

Push = Callable[[str, Packet], Outcome]
"""Hands values to zabbix_sender for one destination."""

DRAIN_SECONDS = 1.0
"""Between two documents that waited, on the average: a fleet that comes back is no storm."""


class Report(NamedTuple):
    """What has become of one packet at one destination."""

    destination: str
    outcome: Outcome
    waiting: int
    """Documents in the spool for it, this one among them if it is there."""
    live: bool = True
    """The outcome is of this packet, and not of one that had waited."""
    note: str = ""

    @property
    def catches_up(self) -> bool:
        """Whether the server takes packets, and more wait."""
        return self.outcome.delivered and bool(self.waiting)

    @property
    def is_refused(self) -> bool:
        """Whether the server answered, and took none of it."""
        return not self.outcome.error and not self.outcome.processed

    def plus(self, later: "Report") -> "Report":
        """Return this with what was reported after it."""
        outcome = later.outcome._replace(
            processed=self.outcome.processed + later.outcome.processed,
            failed=self.outcome.failed + later.outcome.failed,
        )
        return later._replace(outcome=outcome, live=self.live, note=self.note)

    @property
    def delivered(self) -> bool:
        """Whether the server has it, and all before it."""
        return self.outcome.delivered and not self.outcome.failed and not self.waiting

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
    """Delivers packets; what is not delivered waits in the spool, if there is one."""

    def __init__(self, push: Push, destinations: Sequence[str], spool: Spool | None) -> None:
        self._push = push
        self._destinations = destinations
        self._spool = spool

    def state(self) -> State | None:
        """Return what waits for all destinations together; None without a spool."""
        if self._spool is None:
            return None
        states = [self._spool.state(each) for each in self._destinations]
        oldest = [state.oldest for state in states if state.oldest is not None]
        return State(
            sum(state.waiting for state in states),
            sum(state.dropped for state in states),
            min(oldest, default=None),
        )

    def deliver(self, packets: Mapping[str, Sequence[Packet]]) -> list[Report]:
        """Push to every destination its packets, or the oldest that waits there.

        A packet goes to the spool first and leaves it when the server has taken it: a kill at
        any moment loses nothing.

        Raises:
            SocketsError: values could be neither sent nor kept.
        """
        if self._spool is None:
            return self._push_unkept(packets)
        with self._spool.alone():
            waited = {each for each in self._destinations if self._spool.oldest(each)}
            self._spool.add_all(
                (each, packet) for each in self._destinations for packet in packets[each]
            )
            live = set(self._destinations) - waited
            reports = {each.destination: each for each in self._push_heads(self._destinations)}
            for _ in range(max(map(len, packets.values())) - 1):
                goes_on = [each for each in live if reports[each].catches_up]
                for report in self._push_heads(goes_on):
                    reports[report.destination] = reports[report.destination].plus(report)
            refused = [each for each in waited if reports[each].is_refused]
            reports |= self._get_past({each: packets[each][-1] for each in refused})
            return [each._replace(live=each.destination in live) for each in reports.values()]

    def drain(self, destinations: Sequence[str]) -> list[Report]:
        """Push the oldest document that waits, for each of *destinations* that has one."""
        if self._spool is None:
            return []
        with self._spool.alone():
            return self._push_heads([each for each in destinations if self._spool.oldest(each)])

    def _push_unkept(self, packets: Mapping[str, Sequence[Packet]]) -> list[Report]:
        reports = {each: Report(each, Outcome(0, 0), 0) for each in self._destinations}
        for number in range(max(map(len, packets.values()))):
            wanted = {
                each: packets[each][number]
                for each in self._destinations
                if number < len(packets[each]) and reports[each].outcome.delivered
            }
            for each, outcome in self._push_all(wanted).items():
                reports[each] = reports[each].plus(Report(each, outcome, 0))
        return list(reports.values())

    def _push_heads(self, destinations: Sequence[str]) -> list[Report]:
        """Push what has waited longest."""
        assert self._spool
        heads = {each: self._spool.oldest(each) for each in destinations}
        outcomes = self._push_all({each: head.values for each, head in heads.items() if head})
        reports = []
        for destination, head in heads.items():
            unread = Outcome(0, 0, self._spool.trouble or "the spool can't be read")
            outcome = outcomes.get(destination, unread)
            if outcome.delivered and head:
                self._spool.remove(head.number)
            left = self._spool.state(destination).waiting
            reports.append(Report(destination, outcome, left))
        return reports

    def _get_past(self, packets: Mapping[str, Packet]) -> dict[str, Report]:
        """Drop what waits for a host of another name than *packets*, once these are taken.

        What waits for the same host is never overtaken: the server may just have come to know it.
        """
        assert self._spool
        reports = {}
        for destination, packet in packets.items():
            hosts = {value.host for value in packet}
            waiting = self._spool.all(destination)
            stale = list(
                takewhile(lambda each: hosts.isdisjoint(v.host for v in each.values), waiting)  # noqa: B023
            )
            if not stale or len(stale) == len(waiting):
                continue
            first = waiting[len(stale)]
            outcome = self._push_all({destination: first.values})[destination]
            if outcome.delivered:
                for each in stale:
                    self._spool.drop(each.number, destination)
                self._spool.remove(first.number)
                left = self._spool.state(destination).waiting
                reports[destination] = Report(destination, outcome, left)
        return reports

    def _push_all(self, packets: Mapping[str, Sequence[Value]]) -> dict[str, Outcome]:
        """Push to all destinations at the same time: one that is dead delays no other."""
        outcomes: dict[str, Outcome] = {}

        def run(destination: str) -> None:
            try:
                outcomes[destination] = self._push(destination, packets[destination])
            except SocketsError as error:
                outcomes[destination] = Outcome(0, 0, str(error))

        threads = [threading.Thread(target=run, args=(each,)) for each in packets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes


def catching_up(reports: Sequence[Report]) -> list[str]:
    """Return the destinations that take documents, and for which more wait."""
    return [each.destination for each in reports if each.catches_up]


def drain_delay(interval: float = math.inf) -> float:
    """Return the seconds until the next document that waited may go.

    Who pushes at a short *interval* has as many more that wait.
    """
    return min(DRAIN_SECONDS, interval / 10) * random.uniform(0.5, 1.5)  # noqa: S311  # only to spread a fleet
