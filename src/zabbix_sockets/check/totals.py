"""The totals that the kernel counts: whether they are, since when, and what had no room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime

from zabbix_sockets.check.line import Line, degraded, ok, unknown
from zabbix_sockets.check.system import System
from zabbix_sockets.check.units import load_command
from zabbix_sockets.model.errors import DeadlineError, ParseError
from zabbix_sockets.readers.bpf.records import COUNT_SOCKETS, are_totals_pinned, pin_path
from zabbix_sockets.readers.bpf.totals import TotalsReader

TOTALS = "totals"
_SHARE = 0.3  # of the time that remains


def check_totals(system: System) -> Iterator[Line]:
    """Yield the line of the totals; none where not even the iterators are pinned."""
    folder = system.at(system.pins)
    if not os.path.exists(pin_path(folder, COUNT_SOCKETS)):
        return
    if not are_totals_pinned(folder):
        said = "connections a second, failures and bytes are not counted: `load` said why, or had"
        yield ok(TOTALS, f"{said} --no-totals")
        return
    reader = TotalsReader(folder, -1, lambda _, index: str(index), system.deadline.part(_SHARE))
    try:
        found = reader.read()
    except (OSError, DeadlineError, ParseError) as error:
        yield unknown(TOTALS, f"they can't be read: {error}", "sudo zabbix-sockets check")
        return
    since = datetime.fromtimestamp(found.since).astimezone().isoformat(" ")
    said = f"counted since {since}: {found.keys} processes and listeners"
    said += f", {found.missed} connections unknown when they ended"
    if found.overflow:
        no_room = f"{said}; {found.overflow} times there was no room for a further one"
        yield degraded(TOTALS, no_room, load_command(system).replace("restart", "reload"))
        return
    yield ok(TOTALS, said)
