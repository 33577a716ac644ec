"""Makes documents and delivers them, as the options of `send` say."""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from zabbix_sockets.document.document import Document, read_document
from zabbix_sockets.document.head import Spool as SpoolFields
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.sending import transport
from zabbix_sockets.sending.contents import Content, Moment, SingleValues, WholeDocument
from zabbix_sockets.sending.database import ALONE_SECONDS, HeldError
from zabbix_sockets.sending.delivery import Attendance, Delivery, Report, push_all
from zabbix_sockets.sending.figures import Figures
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import FILE, FOLDER, VALUES_FILE, Spool
from zabbix_sockets.sending.target import Target
from zabbix_sockets.sending.transport import GRACE, Outcome

Make = Callable[[], str]
"""Makes a document, and returns its JSON."""

_SLACK_SECONDS = 10.0
"""What a push may take beyond its timeout and the grace that zabbix_sender has: its last words."""


class Pusher:
    """Makes documents and delivers them."""

    def __init__(self, options: argparse.Namespace, make: Make) -> None:
        self._options = options
        self._make = make
        self.target = Target(options)
        self.spool = _open_spool(options)
        self.attendance = Attendance(
            push_seconds=options.send_timeout + GRACE + _SLACK_SECONDS,
            lock_seconds=min(ALONE_SECONDS, options.interval or ALONE_SECONDS),
        )
        self._content = self._make_content()
        destinations = self.target.destinations
        self._delivery = Delivery(self._push, destinations, self.spool, self.attendance)
        self._reports: list[Report] = []

    def check(self) -> None:
        """See whether zabbix_sender is there, and can use its configuration and its keys.

        Raises:
            SocketsError: it can't be started.
            UsageError: it can't be used so.
        """
        transport.check(self.target.sender, self.target.destinations[0])

    def make(self) -> Document:
        """Make a document.

        Raises:
            SocketsError: there is none.
        """
        document = read_document(self._make())
        if self.spool:
            self.spool.tidy(self.target.destinations, int(time.time()))
        state = self._delivery.state()
        if state is not None:
            document.collector.spool = SpoolFields(
                waiting=state.waiting, dropped=state.dropped, oldest=state.oldest or 0
            )
        return document

    def deliver(self, document: Document) -> list[Report]:
        """Deliver a document that was made just now.

        Raises:
            SocketsError: it could be neither sent nor kept.
        """
        moment = Moment.at(time.time_ns())
        packets = self._content.packets(document, moment, self.target.destinations)
        self._reports = self._settled(self._delivery.deliver(packets))
        return self._reports

    def awaits_items(self) -> bool:
        """Whether values wait for a server to make items."""
        return self._content.awaits_items()

    def retry(self) -> None:
        """Try again the values that wait for items."""
        self._settled(self._reports)

    def drain(self, destinations: Sequence[str]) -> list[Report]:
        """Deliver the oldest document that waits for each of *destinations*."""
        return self._delivery.drain(destinations)

    def _settled(self, reports: list[Report]) -> list[Report]:
        wait = self.attendance
        try:
            with self.spool.alone(wait.lock_seconds, wait.beat) if self.spool else nullcontext():
                return self._content.settle(reports, wait.is_stopping)
        except HeldError:
            return reports  # what is left to do waits in the spool for the next time

    def _make_content(self) -> Content:
        options, host = self._options, self.target.host
        if options.values is None:
            return WholeDocument(host)
        if self.spool is None:
            raise UsageError(
                "--values needs a spool: it remembers which items a server has",
                "give --spool FILE",
            )
        figures = Figures(options.values)
        if not figures.keys():
            raise UsageError(f"no key is like {' or '.join(options.values)}", "see docs/metrics.md")
        return SingleValues(host, figures, self.spool, self._send_attended)

    def _send(self, destination: str, values: Sequence[Value]) -> Outcome:
        return transport.push(self.target.sender, destination, values, self._options.send_timeout)

    def _send_attended(self, destination: str, values: Sequence[Value]) -> Outcome:
        return push_all(self._send, {destination: values}, self.attendance)[destination]

    def _push(self, destination: str, values: Sequence[Value]) -> Outcome:
        return self._content.judge(destination, values, self._send(destination, values))


def _open_spool(options: argparse.Namespace) -> Spool | None:
    """Return the spool; a single push can do without one, a service can't."""
    folder = os.environ.get("STATE_DIRECTORY", FOLDER).split(":")[0]
    path = options.spool or os.path.join(folder, FILE if options.values is None else VALUES_FILE)
    if not options.spool and not options.interval and not os.access(folder, os.W_OK):
        return None
    return Spool(path, options.spool_bytes)
