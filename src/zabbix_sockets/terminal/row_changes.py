"""Changes of the document's rows (`show processes --interval`, listeners, upstreams).

What comes and goes between two snapshots is seen by the totals alone (docs/totals.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from zabbix_sockets.document.document import ROWS, Document
from zabbix_sockets.document.record import JsonObject, Record, value_at
from zabbix_sockets.document.row import Row
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.monitor import GONE, NEW, Moment, RenderedTable
from zabbix_sockets.terminal.tables import Lately, in_order, omitted_columns, render

_RATES = {
    "attempts": "attempts_per_s",
    "opened": "opened_per_s",
    "failed": "failed_per_s",
    "abandoned": "abandoned_per_s",
    "accepted": "accepted_per_s",
    "closed": "closed_per_s",
    "resets": "resets_per_s",
    "bytes_sent": "sent_bytes_per_s",
    "bytes_received": "received_bytes_per_s",
    "retransmitted": "retransmits_per_s",
}
"""Names of rates, by the total whose change per second each is."""

UNCOUNTED = (
    "connections that come and go between two looks, failures and bytes are not seen: nothing"
    " counts them here (docs/totals.md)"
)
"""The note where there are no totals."""

Before = Optional[Moment[Document]]


class AskedTable(NamedTuple):
    """The table that is asked for: a list, how its rows are grouped, and the column they go by."""

    kind: str
    grouping: str
    sort: str


class RowChanges:
    """The rows of a list at a moment, and what has changed since the one before (None: none was).

    Those that are gone come once more, as they were.
    """

    def __init__(self, choice: AskedTable, before: Before, now: Moment[Document]) -> None:
        self.names = ROWS[choice.kind].SINGULAR, choice.kind
        self._choice = choice
        earlier = {row.id: row for row in before.seen.rows_of(choice.kind)} if before else {}
        rows = list(now.seen.rows_of(choice.kind))
        changes: dict[str, str] = {}
        rates: dict[str, Mapping[str, float]] = {}
        is_counted = _since(now) is not None
        is_comparable = before is not None and _since(before) == _since(now)
        for row in rows:
            former = earlier.pop(row.id, None)
            if former is None and before:
                changes[row.id] = NEW
            elif former and before and is_counted and is_comparable:
                rates[row.id] = rates_of(former, row, now.at - before.at)
        changes |= dict.fromkeys(earlier, GONE)
        self._absent = [now.seen.absent[choice.kind]] if choice.kind in now.seen.absent else []
        self._lately = Lately(changes, rates if is_counted else None)
        self._rows = in_order(choice.kind, [*rows, *earlier.values()], choice.sort, self._lately)

    def counts(self) -> tuple[int, int, int]:
        """Return the number of rows that there are, of new ones, and of those that are gone."""
        changes = list(self._lately.changes.values())
        gone = changes.count(GONE)
        return len(self._rows) - gone, changes.count(NEW), gone

    def json_rows(self) -> list[JsonObject]:
        """Return the rows by id; those that are not new have `rates`, as far as they are counted.

        A complete list ends with the row `(absent)`.
        """
        changes, rates = self._lately
        rows = []
        for row in sorted(self._rows, key=lambda row: row.id):
            content = dict(row.content())
            if row.id in changes:
                content["change"] = changes[row.id]
            if rates and rates.get(row.id):
                content["rates"] = rates[row.id]
            rows.append(content)
        return rows + self._absent

    def table(self, style: Style, most: int | None) -> RenderedTable:
        """Return a table of at most so many rows, the first ones; None: of all."""
        kind, grouping, _ = self._choice
        shown = self._rows if most is None else self._rows[:most]
        text = render(kind, shown, style, grouping, self._lately)
        omitted = omitted_columns(kind, shown, style, self._lately)
        return RenderedTable(text, omitted, len(self._rows) - len(shown))


def _since(moment: Moment[Document]) -> object:
    """Return when the counting began; None: nothing counts."""
    return value_at(moment.seen, ("collector", "totals", "since"))


def rates_of(before: Row, now: Row, seconds: float) -> dict[str, float]:
    """Return the changes of a row's totals per second, by the names of _RATES.

    There are the means of what ended meanwhile, too: `handshake_us` of the connections that were
    opened, and `lifetime_ms` of those to an upstream that were closed. A row of which a total is
    less than before, as it was pushed out and began again, has none.
    """
    first, last = value_at(before, ("totals",)), value_at(now, ("totals",))
    if not isinstance(first, Record) or not isinstance(last, Record) or seconds <= 0:
        return {}
    former = first.content()
    more = {name: value - former[name] for name, value in last.content().items()}
    if min(more.values()) < 0:
        return {}
    rates = {
        name: round(more[total] / seconds, 3) for total, name in _RATES.items() if total in more
    }
    if more.get("opened"):
        rates["handshake_us"] = round(more["handshake_us"] / more["opened"])
    if more["closed"] and "accepted" not in more:
        rates["lifetime_ms"] = round(more["lifetime_ms"] / more["closed"])
    return rates
