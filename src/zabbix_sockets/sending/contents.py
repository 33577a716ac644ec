"""What a push is made of: the document as one value, or its figures as values of their own."""

import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import orjson

from zabbix_sockets.rows import JsonRow
from zabbix_sockets.sending.delivery import Push, Report
from zabbix_sockets.sending.figures import HOST, Figures, Group
from zabbix_sockets.sending.ledger import Ledger
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import LINE, Spool
from zabbix_sockets.sending.transport import Outcome

MASTER_KEY = "sockets.get"
"""Key of the trapper template's master item."""

ASKING_SECONDS = 10.0
"""How long a push may try groups one by one, for each destination."""


class Moment(NamedTuple):
    """When a document was made: all values of it carry the same time."""

    clock: int
    ns: int

    @classmethod
    def at(cls, nanoseconds: int) -> "Moment":
        """Return the moment of a time in nanoseconds since 1970."""
        return cls(*divmod(nanoseconds, 10**9))


class Content(Protocol):
    """Makes packets of a document, and has a say in what became of them."""

    def packets(
        self, document: JsonRow, moment: Moment, destinations: Iterable[str]
    ) -> dict[str, list[Value]]:
        """Return what goes to each destination."""

    def judge(self, destination: str, outcome: Outcome) -> Outcome:
        """Return what an outcome means."""

    def settle(self, report: Report) -> Report:
        """Do what is left to do after a push."""

    def awaits_items(self) -> bool:
        """Whether something waits for a server to make items."""

    def retry(self, destinations: Iterable[str]) -> None:
        """Try again what waits for items, if it is time."""


class WholeDocument:
    """One value: the master item of the trapper template."""

    def __init__(self, host: str) -> None:
        self._host = host

    def packets(
        self, document: JsonRow, moment: Moment, destinations: Iterable[str]
    ) -> dict[str, list[Value]]:
        """Return the same for each destination."""
        value = Value(self._host, MASTER_KEY, *moment, orjson.dumps(document).decode())
        return {each: [value] for each in destinations}

    def judge(self, _destination: str, outcome: Outcome) -> Outcome:
        """Return it as it is."""
        return outcome

    def settle(self, report: Report) -> Report:
        """Return it as it is."""
        return report

    def awaits_items(self) -> bool:
        """Return no: the template has its master item."""
        return False

    def retry(self, destinations: Iterable[str]) -> None:
        """Do nothing."""


class SingleValues:
    """A value for each figure; for whom the server has no items yet, they wait until it has.

    In the spool a group that waits for its items has a line of its own, for each destination.
    """

    def __init__(self, host: str, figures: Figures, spool: Spool, push: Push) -> None:
        self._host = host
        self._figures = figures
        self._spool = spool
        self._push = push
        self._ledgers: dict[str, Ledger] = {}
        self._lone: dict[str, list[str]] = {}
        self._without_item: dict[str, int] = {}
        self._moment = Moment(0, 0)

    def packets(
        self, document: JsonRow, moment: Moment, destinations: Iterable[str]
    ) -> dict[str, list[Value]]:
        """Return the groups that each destination has items for, as far as that is known."""
        self._moment = moment
        groups = {each.name: each for each in self._figures.groups(document)}
        packets = {}
        for destination in destinations:
            ledger = self._ledger(destination)
            ledger.see(groups, moment.clock)
            gone = (self._figures.zeros(document, name) for name in ledger.names() - groups.keys())
            zeros = {each.name: each for each in gone if each}
            together = {HOST, *ledger.known()}
            every = groups | zeros
            packets[destination] = [
                value for name in every if name in together for value in self._values(every[name])
            ]
            lone = [
                each
                for name, each in every.items()
                if name not in together and not ledger.is_given_up(name, moment.clock)
            ]
            self._lone[destination] = [each.name for each in lone]
            self._spool.add_all(
                {_line(destination, each.name): self._values(each) for each in lone}
            )
        return packets

    def judge(self, destination: str, outcome: Outcome) -> Outcome:
        """Leave out of the failed those that are known to have no item."""
        if outcome.error or not outcome.processed:
            return outcome
        known = self._ledger(destination).known()
        expected = sum(known.values()) if HOST in known else outcome.failed
        self._without_item[destination] = min(expected, outcome.failed)
        failed = outcome.failed - self._without_item[destination]
        return outcome._replace(failed=failed, settled=True)

    def settle(self, report: Report) -> Report:
        """Send by themselves the groups that the server may have items for by now."""
        destination, outcome = report.destination, report.outcome
        ledger, now = self._ledger(destination), self._moment.clock
        lone = self._lone.pop(destination, [])
        if outcome.delivered and report.live:
            if outcome.failed:
                ledger.doubt()
            elif HOST not in ledger.known():
                ledger.learn(HOST, outcome.processed, self._without_item[destination], now)
        sent = self._ask(destination, [*lone, *ledger.awaited(now)]) if outcome.delivered else 0
        ledger.save()
        waiting = len(ledger.awaited(now))
        return report._replace(
            outcome=outcome._replace(processed=outcome.processed + sent),
            note=f"{waiting} rows wait for items" if waiting else "",
        )

    def retry(self, destinations: Iterable[str]) -> None:
        """Try again those that wait for their items, if it is time."""
        for destination in destinations:
            ledger = self._ledger(destination)
            self._ask(destination, ledger.awaited(int(time.time())))
            ledger.save()

    def awaits_items(self) -> bool:
        """Whether a group waits for a server to make its items."""
        now = int(time.time())
        return any(ledger.awaited(now) for ledger in self._ledgers.values())

    def _ask(self, destination: str, names: Iterable[str]) -> int:
        """Send groups by themselves, as far as the time goes; return how many values went."""
        ledger, sent = self._ledger(destination), 0
        deadline = time.monotonic() + ASKING_SECONDS
        for name in dict.fromkeys(names):
            now = int(time.time())
            if not ledger.is_due(name, now):
                continue
            waiting = self._spool.all(_line(destination, name))
            if not waiting:
                ledger.forget(name)
                continue
            if time.monotonic() > deadline:
                break
            outcome = self._push(destination, [value for each in waiting for value in each.values])
            if outcome.error:
                break
            sent += outcome.processed
            ledger.learn(name, outcome.processed, -(-outcome.failed // len(waiting)), now)
            if outcome.processed or ledger.is_given_up(name, now):
                for each in waiting:
                    self._spool.remove(each.number)
        return sent

    def _ledger(self, destination: str) -> Ledger:
        if destination not in self._ledgers:
            self._ledgers[destination] = Ledger(self._spool.path, destination)
        return self._ledgers[destination]

    def _values(self, group: Group) -> list[Value]:
        return [Value(self._host, key, *self._moment, text) for key, text in group.values]


def _line(destination: str, name: str) -> str:
    """Return what a group's values wait under: no destination has a line feed in it."""
    return f"{destination}{LINE}{name}"
