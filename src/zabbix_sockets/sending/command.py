"""The verb `send`: pushes a document to every destination, once or at every interval."""

from __future__ import annotations

import sys
import time

from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.sending.delivery import Report, catching_up, drain_delay
from zabbix_sockets.sending.options import Pushing
from zabbix_sockets.sending.pusher import MakeDocument, Pusher
from zabbix_sockets.sending.service import PushLoop
from zabbix_sockets.sending.spool import Spool
from zabbix_sockets.sending.systemd import watchdog_seconds

_MOST_AT_ONCE = 30
"""The most packets that waited which a single push delivers besides its own."""
_LONGEST_DOCUMENT = 1.5, 2.0
"""The longest that a document may take: so many times --timeout (half of one is the wait for other
calls, see command/send.py), and so many seconds besides."""


def send(options: Pushing, timeout: float, make: MakeDocument) -> None:
    """Push a document that *make* returns, once or with an interval again and again.

    *timeout*: the seconds that *make* may take.

    Raises:
        SocketsError: the document was not delivered everywhere.
        UsageError: no document can be delivered with these options and files.
    """
    pusher = Pusher(options, make)
    try:
        if pusher.spool and pusher.spool.renamed:
            said = f"{pusher.spool.path} was damaged; it is {pusher.spool.renamed} now"
            sys.stderr.write(f"note: {said}\n")
        if options.how.interval:
            _check(pusher, timeout)
            PushLoop(pusher, options.how.interval).run()
        else:
            if pusher.target.has_alternatives:
                sys.stderr.write(f"note: pushing {pusher.target}\n")
            _tell(_catch_up(pusher, pusher.deliver(pusher.make())), pusher.spool)
    finally:
        if pusher.spool:
            pusher.spool.close()


def _check(pusher: Pusher, timeout: float) -> None:
    """Raise an error, before it starts, where the service could never push. *timeout*: --timeout.

    Raises:
        UsageError: only a person can mend the cause.
        SocketsError: the cause may pass.
    """
    limit = watchdog_seconds()
    times, seconds = _LONGEST_DOCUMENT
    longest = times * timeout + seconds
    if limit is not None and limit <= longest:
        raise UsageError(
            f"WatchdogSec={limit:g} ends it while it makes a document",
            f"make it longer than {longest:g} seconds, or --timeout shorter",
        )
    pusher.check()


def _catch_up(pusher: Pusher, reports: list[Report]) -> list[Report]:
    """Deliver to each destination up to 30 of the packets that wait; return all reports, added up.

    Without it, calls now and then would never empty the spool.
    """
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
    """Print the report of each destination.

    Raises:
        SocketsError: one of them has not got everything.
    """
    for report in reports:
        (sys.stdout if report.delivered else sys.stderr).write(f"{report}\n")
    if not all(report.delivered for report in reports):
        raise SocketsError(
            "not delivered everywhere; what is waiting goes first next time"
            if spool
            else "not delivered everywhere, and lost: there is no spool (--spool FILE)"
        )
