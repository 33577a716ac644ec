"""Low-level discovery (LLD): the document's rows as objects of macros."""

from collections.abc import Iterable

from zabbix_sockets.document.record import fields_of
from zabbix_sockets.document.row import Row


def macros_of(row: type[Row]) -> dict[str, str]:
    """Return the name of the field that each LLD macro of rows of that class is made of."""
    return {field.macro: name for name, field in fields_of(row).items() if field.macro}


def discovery(row: type[Row], rows: Iterable[Row]) -> list[dict[str, str | int]]:
    """Return the LLD object of each of *rows*, of the class *row*, in their order.

    An object has a value for each macro: labels only, no counts.
    """
    macros = macros_of(row).items()
    return [{macro: getattr(each, name) for macro, name in macros} for each in rows]
