"""Low-level discovery: the document's rows as objects of LLD macros."""

from collections.abc import Iterable

from zabbix_sockets.document.record import fields_of
from zabbix_sockets.document.row import Row


def macros_of(row: type[Row]) -> dict[str, str]:
    """Return the LLD macros of such rows, and the field that each is made of."""
    return {field.macro: name for name, field in fields_of(row).items() if field.macro}


def discovery(row: type[Row], rows: Iterable[Row]) -> list[dict[str, str | int]]:
    """Make the LLD objects of rows of that class, in their order: labels only, no counts."""
    macros = macros_of(row).items()
    return [{macro: getattr(each, name) for macro, name in macros} for each in rows]
