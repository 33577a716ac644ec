"""Changes between two snapshots of the clients of listeners (`show clients --interval`)."""

from __future__ import annotations

from collections.abc import Mapping

from zabbix_sockets.document.record import JsonObject
from zabbix_sockets.terminal.clients import (
    Client,
    ClientKey,
    ClientRow,
    client_json,
    client_rows,
    clients_in_order,
    omitted_client_columns,
    render_clients,
)
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.monitor import GONE, NEW, Moment, RenderedTable, count_changes

ByKey = Mapping[ClientKey, Client]


class ClientChanges:
    """The clients of a moment, and what has changed since the one before (None: there was none).

    Those that are gone come once more, as they were.

    Args:
        sort: the column that rows go by; empty: most connections first.
        with_listener: tables say whose clients they are.
    """

    names = "client", "clients"

    def __init__(
        self, sort: str, with_listener: bool, before: Moment[ByKey] | None, now: Moment[ByKey]
    ) -> None:
        self._with_listener = with_listener
        earlier = before.seen if before else {}
        gone = {key: client for key, client in earlier.items() if key not in now.seen}
        rows = client_rows({**now.seen, **gone})
        if before:
            rows = {key: _compared(row, key, before, now) for key, row in rows.items()}
        self._rows = clients_in_order(rows.values(), sort)

    def counts(self) -> tuple[int, int, int]:
        """Return the number of clients that there are, of new ones, and of those that are gone."""
        return count_changes([row.change for row in self._rows])

    def json_rows(self) -> list[JsonObject]:
        """Return the objects of the rows, in their order, as `show clients --json` has them."""
        return [client_json(row) for row in self._rows]

    def table(self, style: Style, most: int | None) -> RenderedTable:
        """Return a table of at most so many rows, the first ones; None: of all."""
        shown = self._rows if most is None else self._rows[:most]
        omitted = omitted_client_columns(shown, style, with_listener=self._with_listener)
        text = render_clients(shown, style, with_listener=self._with_listener)
        return RenderedTable(text, omitted, len(self._rows) - len(shown))


def _compared(
    row: ClientRow, key: ClientKey, before: Moment[ByKey], now: Moment[ByKey]
) -> ClientRow:
    """Return the row of the client *key* with what has changed."""
    if key not in now.seen:
        return row._replace(change=GONE)
    rates = now.seen[key].rates_since(before.seen.get(key), now.at - before.at)
    return row._replace(change=None if key in before.seen else NEW, rates=rates or None)
