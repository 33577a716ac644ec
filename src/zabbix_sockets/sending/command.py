"""The verb `send`: one document to every destination, once or at every interval."""

import argparse
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress

from zabbix_sockets.errors import SocketsError, UsageError, printable
from zabbix_sockets.rows import JsonRow
from zabbix_sockets.sending import schedule
from zabbix_sockets.sending.agent_config import find_agent_config, read_agent_config
from zabbix_sockets.sending.contents import (
    MASTER_KEY,
    Content,
    Moment,
    SingleValues,
    WholeDocument,
)
from zabbix_sockets.sending.delivery import Delivery, Report, catching_up, drain_delay
from zabbix_sockets.sending.figures import Figures
from zabbix_sockets.sending.ledger import SYNC
from zabbix_sockets.sending.lines import Value, encode_line
from zabbix_sockets.sending.spool import FILE, FOLDER, VALUES_FILE, Spool
from zabbix_sockets.sending.systemd import notify
from zabbix_sockets.sending.transport import Outcome, Sender, push

_MOST_AT_ONCE = 30
"""Documents that waited, which a single push delivers besides its own."""

Make = Callable[[], JsonRow]


class Target:
    """Where to push, and as which host: from the options, else from the agent's file."""

    def __init__(self, options: argparse.Namespace) -> None:
        path = options.agent_config or (None if options.server else find_agent_config())
        config = read_agent_config(path) if path else None
        self.host: str = options.host or (config.hostname if config else "")
        self.destinations: tuple[str, ...] = (
            tuple(options.server) if options.server else config.destinations if config else ()
        )
        if not self.destinations:
            said = f"{config.path} has no ServerActive" if config else "no agent's configuration"
            raise UsageError(f"where to? {said}", "give --server or --agent-config")
        if not self.host:
            raise UsageError("as which host?", "give --host, its name in Zabbix")
        try:
            encode_line(Value(self.host, MASTER_KEY, 0, 0, "0"))
        except (SocketsError, UnicodeEncodeError):
            raise UsageError(f"no host is called {printable(self.host)!r}") from None
        self.sender = Sender(path, tuple(options.handed_on), options.port)


class Pusher:
    """Makes documents and delivers them."""

    def __init__(self, options: argparse.Namespace, make: Make) -> None:
        self._options = options
        self._make = make
        self._target = Target(options)
        self.spool = _open_spool(options)
        self._content = self._make_content()
        self._delivery = Delivery(self._push, self._target.destinations, self.spool)
        self._reports: list[Report] = []
        self.is_stopping: Callable[[], bool] = lambda: False

    @property
    def host(self) -> str:
        """The host's name in Zabbix."""
        return self._target.host

    @property
    def destinations(self) -> Sequence[str]:
        """Where it pushes to."""
        return self._target.destinations

    def once(self) -> list[Report]:
        """Make a document and deliver it.

        Raises:
            SocketsError: there is no document, or it could be neither sent nor kept.
        """
        document = self._make()
        state = self._delivery.state()
        if state is not None:
            collector = document["collector"]
            assert isinstance(collector, dict)
            collector["spool"] = {
                "waiting": state.waiting,
                "dropped": state.dropped,
                "oldest": state.oldest or 0,
            }
        moment = Moment.at(time.time_ns())
        packets = self._content.packets(document, moment, self._target.destinations)
        self._reports = self._settled(self._delivery.deliver(packets))
        return self._reports

    def awaits_items(self) -> bool:
        """Whether values wait for a server to make items."""
        return self._content.awaits_items()

    def retry(self) -> None:
        """Try again the values that wait for items."""
        self._settled(self._reports)

    def _settled(self, reports: Sequence[Report]) -> list[Report]:
        with self.spool.alone() if self.spool else nullcontext():
            return self._content.settle(reports, self.is_stopping)

    def drain(self, destinations: Sequence[str]) -> list[Report]:
        """Deliver the oldest document that waits for each of *destinations*."""
        return self._delivery.drain(destinations)

    def _make_content(self) -> Content:
        options = self._options
        if options.values is None:
            return WholeDocument(self.host)
        if self.spool is None:
            raise UsageError(
                "--values needs a spool: it remembers which items a server has",
                "give --spool FILE",
            )
        figures = Figures(options.values)
        if not figures.keys():
            raise UsageError(f"no key is like {' or '.join(options.values)}", "see docs/metrics.md")
        return SingleValues(self.host, figures, self.spool, self._send)

    def _send(self, destination: str, values: Sequence[Value]) -> Outcome:
        return push(self._target.sender, destination, values, self._options.send_timeout)

    def _push(self, destination: str, values: Sequence[Value]) -> Outcome:
        return self._content.judge(destination, values, self._send(destination, values))


def _open_spool(options: argparse.Namespace) -> Spool | None:
    """Return the spool; a single push can do without one, a service can't."""
    folder = os.environ.get("STATE_DIRECTORY", FOLDER).split(":")[0]
    path = options.spool or os.path.join(folder, FILE if options.values is None else VALUES_FILE)
    if not options.spool and not options.interval and not os.access(folder, os.W_OK):
        return None
    spool = Spool(path, options.spool_bytes)
    if spool.renamed:
        sys.stderr.write(f"note: {path} was damaged; it is {spool.renamed} now\n")
    return spool


def send(options: argparse.Namespace, make: Make) -> None:
    """Push once, or stay and push at every interval.

    Raises:
        SocketsError: the document was not delivered.
    """
    pusher = Pusher(options, make)
    try:
        if options.interval:
            Service(pusher, options.interval).run()
        else:
            _tell(_catch_up(pusher, pusher.once()), pusher.spool)
    finally:
        if pusher.spool:
            pusher.spool.close()


def _catch_up(pusher: Pusher, reports: list[Report]) -> list[Report]:
    """Deliver some of what waits too: a call now and then would else never come to its end."""
    totals = {report.destination: report for report in reports}
    for _ in range(_MOST_AT_ONCE):
        destinations = catching_up(reports)
        if not destinations:
            break
        time.sleep(drain_delay())
        reports = pusher.drain(destinations)
        for report in reports:
            totals[report.destination] = totals[report.destination].plus(report)
    return list(totals.values())


def _tell(reports: list[Report], spool: Spool | None) -> None:
    """Print a line for each destination; raise if one of them has not got everything."""
    for report in reports:
        (sys.stdout if report.delivered else sys.stderr).write(f"{report}\n")
    if not all(report.delivered for report in reports):
        raise SocketsError(
            "not delivered everywhere; what is waiting goes first next time"
            if spool
            else "not delivered everywhere, and lost: there is no spool (--spool FILE)"
        )


class Service:
    """Pushes at every interval until SIGTERM or SIGINT."""

    def __init__(self, pusher: Pusher, interval: float) -> None:
        self._pusher = pusher
        self._interval = interval
        self._stopping = False
        self._wake_up, self._woken = os.pipe()
        self._said: object = None
        pusher.is_stopping = self._is_stopping

    def run(self) -> None:
        """Stay; what is under way at a signal is finished or spooled."""
        for each in (self._wake_up, self._woken):
            os.set_blocking(each, False)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        own = schedule.offset(self._pusher.host, self._interval)
        first = schedule.seconds_to_first(time.time(), self._interval, own)
        start = time.monotonic() + first
        notify("READY=1", f"STATUS=first push in {first:.0f} s")
        self._wait(start)
        while not self._is_stopping():
            reports = self._push()
            tick = schedule.next_tick(start, time.monotonic(), self._interval)
            retry = time.monotonic() + SYNC
            self._drain_until(tick, catching_up(reports) if reports else self._pusher.destinations)
            while self._pusher.awaits_items() and retry < tick and not self._is_stopping():
                self._wait(retry)
                self._say(self._pusher.retry)
                retry = time.monotonic() + SYNC
            self._wait(tick)
        notify("STOPPING=1")

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _is_stopping(self) -> bool:
        return self._stopping

    def _push(self) -> list[Report]:
        """Push; return what became of it, nothing where there was no document."""
        reports: list[Report] = []
        try:
            reports = self._pusher.once()
            said = "; ".join(map(str, reports))
            kind: object = [(each.outcome.error, each.delivered, each.note) for each in reports]
        except SocketsError as error:
            said = kind = str(error)
        spool = self._pusher.spool
        if spool and spool.trouble:
            said += f"; in memory only: {spool.trouble}"
            kind = kind, spool.trouble
        notify("WATCHDOG=1", f"STATUS={said}")
        if kind != self._said:  # the log is for changes, not for how many wait
            sys.stderr.write(f"{said}\n")
            sys.stderr.flush()
            self._said = kind
        return reports

    def _drain_until(self, tick: float, destinations: Sequence[str]) -> None:
        """Deliver what waits for *destinations*, slowly, until the next push is due."""
        while destinations and not self._is_stopping():
            self._wait(min(tick, time.monotonic() + drain_delay(self._interval)))
            if self._is_stopping() or time.monotonic() >= tick:
                return
            drained: list[Report] = []
            self._say(lambda: drained.extend(self._pusher.drain(destinations)))  # noqa: B023
            destinations = catching_up(drained)
            notify("WATCHDOG=1")

    def _say(self, work: Callable[[], None]) -> None:
        """Do *work*; what goes wrong is said, and no reason to end."""
        try:
            work()
        except SocketsError as error:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()

    def _wait(self, until: float) -> None:
        """Sleep until a moment of the monotonic clock, or a signal; systemd is told meanwhile."""
        while not self._is_stopping() and (left := until - time.monotonic()) > 0:
            select.select([self._wake_up], [], [], min(left, 30.0))
            with suppress(BlockingIOError):
                os.read(self._wake_up, 4096)
            notify("WATCHDOG=1")
