"""Contents of a push: the document as one value, or its figures as values of their own."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from zabbix_sockets.document.document import Document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.sending.database import TIDY_SECONDS
from zabbix_sockets.sending.delivery import Packet, Push, Report
from zabbix_sockets.sending.figures import HOST, Figures, Group, group_of
from zabbix_sockets.sending.ledger import Ledger, forget_abandoned
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import LINE_SEPARATOR, Spool
from zabbix_sockets.sending.transport import BATCH, Outcome

MASTER_KEY = "sockets.get"
"""The key of the trapper template's master item."""

ASKING_SECONDS = 10.0
"""The seconds for which a push may send groups one by one, for all destinations together."""


class ValueTime(NamedTuple):
    """The moment of a document, in Unix seconds and nanoseconds, for all its values."""

    clock: int
    ns: int

    @classmethod
    def at(cls, nanoseconds: int) -> "ValueTime":
        """Return the moment of a time in nanoseconds since 1970."""
        return cls(*divmod(nanoseconds, 10**9))


class Content(Protocol):
    """The content of pushes: it makes packets of a document, and judges the outcomes."""

    def packets(
        self, document: Document, moment: ValueTime, destinations: Iterable[str]
    ) -> dict[str, list[Packet]]:
        """Return for each destination the packets to push, in their order."""

    def judge(self, destination: str, values: Packet, outcome: Outcome) -> Outcome:
        """Return *outcome*, in which values that the server has no items for have not failed."""

    def finish(self, reports: Sequence[Report], is_stopping: Callable[[], bool]) -> list[Report]:
        """Push the remaining values after a push, and return the reports of both together.

        It ends early if *is_stopping* returns True.
        """

    def awaits_items(self) -> bool:
        """Whether values wait for a server to create their items."""


class WholeDocument:
    """The document as one value, for the master item of the trapper template."""

    def __init__(self, host: str) -> None:
        self._host = host

    def packets(
        self, document: Document, moment: ValueTime, destinations: Iterable[str]
    ) -> dict[str, list[Packet]]:
        """Return for each destination the one packet with the document."""
        value = Value(self._host, MASTER_KEY, *moment, to_json(document).decode())
        return {each: [[value]] for each in destinations}

    def judge(self, _destination: str, _values: Packet, outcome: Outcome) -> Outcome:
        """Return the outcome unchanged."""
        return outcome

    def finish(self, reports: Sequence[Report], _is_stopping: Callable[[], bool]) -> list[Report]:
        """Return the reports unchanged: nothing remains to be pushed."""
        return list(reports)

    def awaits_items(self) -> bool:
        """Return False: the template has its master item."""
        return False


class SingleValues:
    """A value for each figure; groups for which the server has no items yet wait until it has.

    In the spool such a group has a line of its own for each destination.

    Args:
        host: the host's name in Zabbix.
        figures: the figures to send.
        spool: the spool in which groups wait.
        push: hands a packet to zabbix_sender.
    """

    def __init__(self, host: str, figures: Figures, spool: Spool, push: Push) -> None:
        self._host = host
        self._figures = figures
        self._spool = spool
        self._push = push
        self._ledgers: dict[str, Ledger] = {}
        self._tidied: int | None = None

    def packets(
        self, document: Document, moment: ValueTime, destinations: Iterable[str]
    ) -> dict[str, list[Packet]]:
        """Return for each destination the host's group, and the groups that it has items for.

        All other groups are added to the spool.
        """
        groups = {each.name: each for each in self._figures.groups(document)}
        packets: dict[str, list[Packet]] = {}
        destinations = tuple(destinations)
        self._tidy(destinations, moment.clock)
        for destination in destinations:
            ledger = self._ledger(destination)
            ledger.see(groups, moment.clock)
            gone = (self._figures.zeros(document, name) for name in ledger.names() - groups.keys())
            groups_of_rows = groups | {each.name: each for each in gone if each}
            host = groups_of_rows.pop(HOST)
            known, unknown = [], []
            waiting = set(self._spool.lines(destination))  # a later document must not overtake
            for group in groups_of_rows.values():
                if group.name not in waiting and ledger.is_known(group.name, len(group.values)):
                    known.append(group)
                elif not ledger.is_given_up(group.name, moment.clock):
                    unknown.append(group)
            packets[destination] = [
                self._values(batch, moment) for batch in ([host], *_batches(known))
            ]
            self._spool.add(
                (_line(destination, each.name), self._values([each], moment)) for each in unknown
            )
        return packets

    def judge(self, destination: str, values: Packet, outcome: Outcome) -> Outcome:
        """Return the outcome without the failures of values that are known to have no item.

        In the host's group these are the values that are refused the first time it is sent.
        """
        if outcome.error or not outcome.processed:
            return outcome
        ledger = self._ledger(destination)
        names = {group_of(value.key) for value in values}
        if names == {HOST} and not ledger.is_known(HOST, len(values)):
            ledger.learn(HOST, outcome.processed, outcome.failed, values[0].clock)
        known = ledger.known()
        failed = max(0, outcome.failed - sum(known.get(name, 0) for name in names))
        if failed:
            ledger.forget(names)
        return outcome._replace(failed=failed, final=True)

    def finish(self, reports: Sequence[Report], is_stopping: Callable[[], bool]) -> list[Report]:
        """Send the groups that wait, each by itself, since the server may have their items by now.

        Nothing is sent to a server that has not answered the push before.
        """
        deadline = time.monotonic() + ASKING_SECONDS
        finished = []
        for report in reports:
            ledger, sent = self._ledger(report.destination), 0
            if report.outcome.delivered:
                for outcome in self._send_waiting(report.destination):
                    sent += outcome.processed
                    if time.monotonic() > deadline or is_stopping():
                        break
            ledger.save()
            waiting = ledger.awaited(int(time.time()))
            outcome = report.outcome._replace(processed=report.outcome.processed + sent)
            notes = [f"{waiting} rows wait for items"] if waiting else []
            note = "; ".join([*notes, report.note] if report.note else notes)
            finished.append(report._replace(outcome=outcome, note=note))
        return finished

    def awaits_items(self) -> bool:
        """Whether a group waits for a server to create its items."""
        now = int(time.time())
        return any(ledger.awaited(now) for ledger in self._ledgers.values())

    def _send_waiting(self, destination: str) -> Iterator[Outcome]:
        """Send the groups that are due, each by itself, until the server doesn't answer.

        The outcome of each is yielded.
        """
        ledger = self._ledger(destination)
        for name in self._spool.lines(destination):
            now = int(time.time())
            if not ledger.is_due(name, now):
                continue
            for waiting in self._spool.all(_line(destination, name)):
                outcome = self._push(destination, waiting.values)
                if outcome.error:
                    return
                ledger.learn(name, outcome.processed, outcome.failed, now)
                if outcome.processed:
                    self._spool.remove(waiting.number)
                elif ledger.is_given_up(name, now):
                    self._forget(_line(destination, name))
                yield outcome  # from here it may not go on
                if not outcome.processed:
                    break

    def _tidy(self, destinations: Collection[str], now: int) -> None:
        """Forget destinations that nobody sends to any more, once an hour at most."""
        if self._tidied is None or not 0 <= now - self._tidied < TIDY_SECONDS:
            self._tidied = now
            forget_abandoned(self._spool.path, destinations, now)

    def _forget(self, line: str) -> None:
        for waiting in self._spool.all(line):
            self._spool.remove(waiting.number)

    def _ledger(self, destination: str) -> Ledger:
        if destination not in self._ledgers:
            self._ledgers[destination] = Ledger(self._spool.path, destination)
        return self._ledgers[destination]

    def _values(self, groups: Iterable[Group], moment: ValueTime) -> list[Value]:
        return [
            Value(self._host, key, *moment, text) for group in groups for key, text in group.values
        ]


def _batches(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Yield the groups in lists, each with as many values as go in one connection (BATCH)."""
    batch: list[Group] = []
    size = 0
    for group in groups:
        if batch and size + len(group.values) > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(group)
        size += len(group.values)
    if batch:
        yield batch


def _line(destination: str, name: str) -> str:
    """Return the spool's line for a group of a destination."""
    return f"{destination}{LINE_SEPARATOR}{name}"
