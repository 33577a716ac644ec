"""How Zabbix stores a field: what the document's own description of it says to that."""

from collections.abc import Iterable
from dataclasses import replace

from zabbix_sockets.document.document import ROWS
from zabbix_sockets.document.record import (
    COUNTER,
    FRACTION,
    TEXT,
    YES_NO,
    Field,
    Record,
    field_at,
)

from .model import Kind, Metric

_UNITS = {"%": "%", "B": "B", "s": "s", "ms": "s", "us": "s"}
"""Zabbix's units by those of fields: it shows no others with a prefix, and needs none of counts."""
_MULTIPLIERS = {"us": "0.000001", "ms": "0.001"}
"""What makes a base unit of a field's."""
_LEFT_OUT = "other."
_ROWS, _GREATEST = "[*].", ".max()"
"""In the path of the greatest figure of a list's rows: around the field."""


def described(record: type[Record], metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """Complete metrics of a Record: their units, how they are stored, whether as a rate.

    What is stored as a text of several lines, or is calculated, says so itself.

    Raises:
        KeyError: a path leads to no field.
        ValueError: a field is in no sum of what was left out.
    """
    return tuple(
        metric if metric.formula else _stored(metric, _field_of(record, metric.path))
        for metric in metrics
    )


def _field_of(record: type[Record], path: str) -> Field:
    kind, of_rows, inner = path.partition(_ROWS)
    if of_rows:
        return field_at(ROWS[kind], inner.removesuffix(_GREATEST))
    if not path.startswith(_LEFT_OUT):
        return field_at(record, path)
    kind, _, inner = path.removeprefix(_LEFT_OUT).partition(".")
    field = field_at(ROWS[kind], inner)
    if not field.additive:
        raise ValueError(f"{inner} of {kind} can't be summed")
    return field


def _stored(metric: Metric, field: Field) -> Metric:
    multiplier = _MULTIPLIERS.get(field.unit, "")
    kind = Kind.UNSIGNED
    if field.kind in (FRACTION, COUNTER) or multiplier:
        kind = Kind.FLOAT
    if field.kind == TEXT:
        kind = Kind.CHAR
    return replace(
        metric,
        units=_UNITS.get(field.unit, ""),
        kind=Kind.TEXT if metric.kind is Kind.TEXT else kind,
        multiplier=multiplier,
        rate=field.kind == COUNTER,
        yes_no=field.kind == YES_NO,
    )
