"""Low-level discovery (LLD): the document's rows as objects of macros."""

from __future__ import annotations

from _collections_abc import Iterable

from zabbix_sockets.document.record import fields_of
from zabbix_sockets.document.row import Row, is_offered


def macros_of(row: type[Row]) -> dict[str, str]:
    """Return the name of the field that each LLD macro of rows of that class is made of."""
    return {field.macro: name for name, field in fields_of(row).items() if field.macro}


def discovery(row: type[Row], rows: Iterable[Row]) -> list[dict[str, str | int]]:
    """Return the LLD object of each of *rows*, of the class *row*, in their order.

    An object has a value for each macro that the row has a field for: labels only, no counts. Rows
    that are not offered have none.
    """
    macros = macros_of(row).items()
    return [
        {macro: value for macro, name in macros if (value := getattr(each, name)) is not None}
        for each in rows
        if is_offered(each)
    ]
