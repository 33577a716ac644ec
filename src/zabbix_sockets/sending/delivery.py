"""From a packet of values to every destination, by way of the spool where that is needed."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from zabbix_sockets.errors import SocketsError
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool, State, Waiting
from zabbix_sockets.sending.transport import Outcome

Push = Callable[[str, Sequence[Value]], Outcome]
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

    def deliver(self, packets: Mapping[str, Sequence[Value]]) -> list[Report]:
        """Push to every destination its packet at once, or the oldest that waits there.

        Behind documents that wait, a packet waits too.

        Raises:
            SocketsError: values could be neither sent nor kept.
        """
        with self._spool.alone() if self._spool else nullcontext():
            heads: dict[str, Waiting | None] = {}
            for destination in self._destinations:
                heads[destination] = self._queue(destination, packets[destination])
            outcomes = self._push_all(
                {each: head.values if head else packets[each] for each, head in heads.items()}
            )
            return [
                self._settle(
                    destination,
                    heads[destination],
                    packets[destination],
                    outcomes[destination],
                )
                for destination in self._destinations
            ]

    def drain(self, destinations: Sequence[str]) -> list[Report]:
        """Push the oldest document that waits, for each of *destinations* that has one."""
        if self._spool is None:
            return []
        with self._spool.alone():
            heads = {each: self._spool.oldest(each) for each in destinations}
            waiting = {each: head for each, head in heads.items() if head}
            outcomes = self._push_all({each: head.values for each, head in waiting.items()})
            return [
                self._settle(destination, head, head.values, outcomes[destination])
                for destination, head in waiting.items()
            ]

    def _queue(self, destination: str, values: Sequence[Value]) -> Waiting | None:
        """Return what has to go first: with documents that wait, *values* go behind them."""
        if self._spool is None:
            return None
        head = self._spool.oldest(destination)
        if head:
            self._spool.add(destination, values)
        return head

    def _settle(
        self,
        destination: str,
        head: Waiting | None,
        values: Sequence[Value],
        outcome: Outcome,
    ) -> Report:
        if self._spool is None:
            return Report(destination, outcome, 0)
        if outcome.delivered and head:
            self._spool.remove(head.number)
        elif not outcome.delivered and not head:
            self._spool.add(destination, values)
        return Report(destination, outcome, self._spool.state(destination).waiting, head is None)

    def _push_all(self, packets: dict[str, Sequence[Value]]) -> dict[str, Outcome]:
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
    return [each.destination for each in reports if each.outcome.delivered and each.waiting]


def drain_delay() -> float:
    """Return the seconds until the next document that waited may go."""
    return DRAIN_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311  # only to spread a fleet
