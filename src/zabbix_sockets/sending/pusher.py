"""Pusher: makes documents and delivers them, by the options of `send`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from zabbix_sockets.document.document import Document, read_document
from zabbix_sockets.document.head import SpoolFigures
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.sending import transport
from zabbix_sockets.sending.contents import Content, SingleValues, ValueTime, WholeDocument
from zabbix_sockets.sending.database import ALONE_SECONDS, HeldError, is_trap_for_root
from zabbix_sockets.sending.delivery import Delivery, Report, WaitPolicy, push_all
from zabbix_sockets.sending.figures import Figures
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.options import Manner, Pushing
from zabbix_sockets.sending.spool import FILE, FOLDER, VALUES_FILE, Spool
from zabbix_sockets.sending.target import Target
from zabbix_sockets.sending.transport import GRACE, Outcome

MakeDocument = Callable[[], str]
"""Makes a new document, and returns its JSON."""

_SLACK_SECONDS = 10.0
"""The time that a push may take beyond its timeout and GRACE, to read the output."""


class Pusher:
    """Makes documents and delivers them to all destinations.

    Args:
        options: those of `send`.
        make: makes a document.

    Attributes:
        target: destinations and host.
        spool: where packets wait that were not delivered; None: there is none.
        wait_policy: what is done while deliveries wait.

    Raises:
        UsageError: the options don't say enough, or contradict each other.
        SocketsError: the spool can't be opened.
    """

    def __init__(self, options: Pushing, make: MakeDocument) -> None:
        self._how = how = options.how
        self._make = make
        self.target = Target(options.to)
        self.spool = _open_spool(how)
        self.wait_policy = WaitPolicy(
            push_seconds=how.send_timeout + GRACE + _SLACK_SECONDS,
            lock_seconds=min(ALONE_SECONDS, how.interval or ALONE_SECONDS),
        )
        self._content = self._make_content()
        destinations = self.target.destinations
        self._delivery = Delivery(self._push, destinations, self.spool, self.wait_policy)
        self._reports: list[Report] = []

    def check(self) -> None:
        """Raise an error unless zabbix_sender can read its configuration and its keys.

        Raises:
            SocketsError: it can't be started.
            UsageError: it isn't there, or can't read them.
        """
        transport.check(self.target.sender, self.target.destinations[0])

    def make(self) -> Document:
        """Return a new document, with the spool's state in it if there is a spool.

        Raises:
            SocketsError: it can't be made.
        """
        document = read_document(self._make())
        if self.spool:
            self.spool.tidy(self.target.destinations, int(time.time()))
        state = self._delivery.state()
        if state is not None:
            document.collector.spool = SpoolFigures(
                waiting=state.waiting, dropped=state.dropped, oldest=state.oldest or 0
            )
        return document

    def deliver(self, document: Document) -> list[Report]:
        """Deliver a document that was made just now; return a report for each destination.

        Raises:
            SocketsError: it could be neither sent nor put into the spool.
        """
        moment = ValueTime.at(time.time_ns())
        packets = self._content.packets(document, moment, self.target.destinations)
        self._reports = self._finish(self._delivery.deliver(packets))
        return self._reports

    def awaits_items(self) -> bool:
        """Whether values wait until the server has created the items for them."""
        return self._content.awaits_items()

    def retry(self) -> None:
        """Send the values that wait for items once more."""
        self._finish(self._reports)

    def drain(self, destinations: Sequence[str]) -> list[Report]:
        """Deliver the oldest packet that waits for each of *destinations*; return their reports."""
        return self._delivery.drain(destinations)

    def _finish(self, reports: list[Report]) -> list[Report]:
        """Let the content do what is left after a push; return the reports of all.

        They are *reports* where another process holds the spool.
        """
        policy, spool = self.wait_policy, self.spool
        try:
            with spool.alone(policy.lock_seconds, policy.beat) if spool else nullcontext():
                return self._content.finish(reports, policy.is_stopping)
        except HeldError:
            return reports  # the leftover waits in the spool for the next time

    def _make_content(self) -> Content:
        values, host = self._how.values, self.target.host
        if values is None:
            return WholeDocument(host)
        if self.spool is None:
            raise UsageError(
                "--values needs a spool: it remembers which items a server has",
                "give --spool FILE",
            )
        figures = Figures(values)
        if not figures.keys():
            raise UsageError(f"no key is like {' or '.join(values)}", "see docs/metrics.md")
        return SingleValues(host, figures, self.spool, self._send_with_beats)

    def _send(self, destination: str, values: Sequence[Value]) -> Outcome:
        return transport.push(self.target.sender, destination, values, self._how.send_timeout)

    def _send_with_beats(self, destination: str, values: Sequence[Value]) -> Outcome:
        """Send *values* in a thread, with heartbeats meanwhile; an error is the outcome."""
        return push_all(self._send, {destination: values}, self.wait_policy)[destination]

    def _push(self, destination: str, values: Sequence[Value]) -> Outcome:
        return self._content.judge(destination, values, self._send(destination, values))


def _open_spool(how: Manner) -> Spool | None:
    """Return the spool; None for a single push whose user may not write into its folder.

    So is root's, where the folder is the service's (is_trap_for_root).

    Raises:
        SocketsError: it can't be opened.
    """
    folder = os.environ.get("STATE_DIRECTORY", FOLDER).split(":")[0]
    path = how.spool or os.path.join(folder, FILE if how.values is None else VALUES_FILE)
    may_do_without = not how.spool and not how.interval
    if may_do_without and (not os.access(folder, os.W_OK) or is_trap_for_root(folder)):
        return None
    return Spool(path, how.spool_bytes)
