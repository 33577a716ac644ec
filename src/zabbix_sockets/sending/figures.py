"""The document as single values: discovery, the host's figures, and a group for each row.

Keys and fields are those of the templates, in figures.json, which their generator writes.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from zabbix_sockets.document.discovery import discovery
from zabbix_sockets.document.document import ROWS, Document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.document.record import value_at
from zabbix_sockets.document.row import is_offered
from zabbix_sockets.model.json_reading import read_json

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "figures.json")
HOST = ""
"""The name of the group of the figures that belong to no row: discovery, the host, the
collector."""

_KINDS = {row.SINGULAR: kind for kind, row in ROWS.items()}
"""The names of the lists by the second part of their keys."""


class Group(NamedTuple):
    """The values for the items of one row, or of the host, which a server creates together.

    Attributes:
        name: the list and the id of the row, such as `processes nginx`; HOST for the host's.
        values: key and text of each.
    """

    name: str
    values: tuple[tuple[str, str], ...]


class Figures:
    """The figures of a document that are sent as values of their own.

    Args:
        wanted: patterns (fnmatch) of their keys without the parameter; empty: all figures.
    """

    def __init__(self, wanted: Sequence[str] = ()) -> None:
        with open(FILE, "rb") as file:
            described = read_json(file.read())
        self._paths: dict[str, dict[str, list[str]]] = {
            kind: {
                key: path.split(".")
                for key, path in paths.items()
                if not wanted or any(fnmatch.fnmatchcase(key, each) for each in wanted)
            }
            for kind, paths in described.items()
        }

    def keys(self) -> list[str]:
        """Return all keys that may be sent, without the rows' parameter."""
        return [key for paths in self._paths.values() for key in paths]

    def groups(self, document: Document) -> Iterator[Group]:
        """Yield the host's group, in which discovery is first, then one for each discovered row."""
        offered = {
            kind: [row for row in document.rows_of(kind) if is_offered(row)]
            for kind, paths in self._paths.items()
            if kind and paths
        }
        discovered = [
            (f"sockets.{kind}.discovery", to_json(discovery(ROWS[kind], rows)).decode())
            for kind, rows in offered.items()
        ]
        yield Group(HOST, (*discovered, *self._values(HOST, document, "")))
        for kind, rows in offered.items():
            for row in rows:
                values = self._values(kind, row, row.id)
                if values:
                    yield Group(f"{kind} {row.id}", values)

    def zeros(self, document: Document, name: str) -> Group | None:
        """Return the group *name* with the values of a row that is in no list any more.

        None if the list is not complete, so that the row may be missing for another reason.
        """
        kind, _, row_id = name.partition(" ")
        values = self._values(kind, document.absent.get(kind, {}), row_id)
        return Group(name, values) if values else None

    def _values(self, kind: str, fields: object, row_id: str) -> tuple[tuple[str, str], ...]:
        suffix = "[" + _quoted(row_id) + "]" if kind else ""
        texts = ((key, _text(value_at(fields, path))) for key, path in self._paths[kind].items())
        return tuple((key + suffix, text) for key, text in texts if text is not None)


def _text(value: object) -> str | None:
    """Return a value as text, a list as a line for each item; None for None."""
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return None if value is None else str(value)


def _quoted(parameter: str) -> str:
    """Return a key's parameter in quotes, as Zabbix expands "{#ID}" in a prototype's key."""
    escaped = parameter.replace('"', '\\"')
    return f'"{escaped}"'


def group_of(key: str) -> str:
    """Return the name of the group that the figure with a key belongs to."""
    head, quote, parameter = key.partition('["')
    if not quote:
        return HOST
    row_id = parameter[:-2].replace('\\"', '"')
    return f"{_KINDS[head.split('.')[1]]} {row_id}"
