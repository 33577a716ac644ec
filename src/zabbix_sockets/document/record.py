"""Records, the objects of the document: a class describes all of its fields, each once.

::

    class ListenerRow(Row):
        backlog: int | None = number("connections", additive=True, zero=0, default=None)

The document builder, tables, `count`, discovery, `send --values` and the templates' generator all
use this one line. An object within a row (`totals` in a row, say) is a Record,
too: `totals: Totals | None = part(Totals, needs=..., default=None)`.
"""

from __future__ import annotations

from _collections_abc import Collection, Iterable, Mapping

from zabbix_sockets.model.light_typing import Any, TypeVar

TYPE_CHECKING = False  # as in zabbix_sockets/__init__.py
if TYPE_CHECKING:  # what it says is for mypy alone, and Python has it from 3.11 on
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_described: object) -> object:
        """Return the decorator that changes nothing."""
        return lambda record: record


TEXT, YES_NO, INTEGER, FRACTION, COUNTER, MOMENT, OBJECT = (
    *("text", "yes or no", "integer", "fraction", "counter", "moment", "object"),
)
"""Kinds of fields; COUNTER: an integer that rises, of which people want to know how fast."""

ABSENT_ID = "(absent)"
"""The id of the reserved row that ends a complete list: its zeros hold for all rows not in the
list."""


JsonObject = dict[str, Any]
"""The fields of a JSON object by name: each is a text, a number or a dict of numbers by name."""


class Field:
    """The description of one field.

    Attributes:
        kind: one of the kinds above.
        unit: the things that it counts (`sockets`, `connections`), or `%`, `B`, `s`, `ms`, `us`;
            empty for a text.
        macro: the LLD macro that discovery makes of it; empty: none.
        additive: `other` has the sum of the field in the rows that the bounds left out.
        zero: its value in the row `(absent)`; None: that row lacks the field.
        needs: a fact that must hold of the Snapshot (row.facts_of), else `(absent)` and `other`
            lack the field; empty: none.
        parts: the names of the numbers in it if it is a dict; a Record may have further ones.
        record: the class of the Record, or Records, in it; None: it has none.
        is_list: it is a list, of Records or of texts.
        optional: a Record may lack it.
    """

    unit = ""
    macro = ""
    additive = False
    zero: str | float | None = None
    needs = ""
    parts: tuple[str, ...] = ()
    record: type[Record] | None = None
    is_list = False

    def __init__(self, kind: str, default: object = ...) -> None:
        self.kind = kind
        self.optional = default is None

    def __get__(self, record: object, owner: type) -> Field | None:
        """Return this description on a class, and None on a Record that lacks the field."""
        return self if record is None else None


# The next functions are for the right side of a field in a class, as dataclasses.field() is. mypy
# takes the field's type from the annotation, so their return type is Any.


def text(*, macro: str = "", zero: str | None = None, default: object = ...) -> Any:
    """Return the description of a text; see Field for the arguments."""
    field = Field(TEXT, default)
    field.macro, field.zero = macro, zero
    return field


def yes_no(*, macro: str = "", default: object = ...) -> Any:
    """Return the description of a number that is 1 (yes) or 0 (no); see Field."""
    field = Field(YES_NO, default)
    field.macro = macro
    return field


def number(
    unit: str,
    kind: str = INTEGER,
    *,
    macro: str = "",
    additive: bool = False,
    zero: float | None = None,
    needs: str = "",
    default: object = ...,
) -> Any:
    """Return the description of a number, INTEGER or another *kind*; see Field."""
    field = Field(kind, default)
    field.unit, field.macro, field.additive = unit, macro, additive
    field.zero, field.needs = zero, needs
    return field


def percentage(*, zero: float | None = None, needs: str = "", default: object = ...) -> Any:
    """Return the description of a share in percent, a fraction that is never summed; see Field."""
    return number("%", FRACTION, zero=zero, needs=needs, default=default)


def numbers(
    unit: str,
    parts: tuple[str, ...],
    kind: str = INTEGER,
    *,
    additive: bool = False,
    zero: int | None = None,
    default: object = ...,
) -> Any:
    """Return the description of a dict of numbers by name, such as `tcp` by state; see Field."""
    field: Field = number(unit, kind, additive=additive, zero=zero, default=default)
    field.parts = parts
    return field


def part(
    record: type[Record],
    *,
    zero: int | None = None,
    needs: str = "",
    default: object = ...,
) -> Any:
    """Return the description of a Record within another one; *zero* is that of all numbers in it.

    See Field.
    """
    field: Field = number("", OBJECT, zero=zero, needs=needs, default=default)
    field.record = record
    return field


def rows(record: type[Record]) -> Any:
    """Return the description of a list of Records of the class *record*."""
    field = Field(OBJECT)
    field.record, field.is_list = record, True
    return field


def texts() -> Any:
    """Return the description of a list of texts."""
    field = Field(TEXT)
    field.is_list = True
    return field


@dataclass_transform(
    kw_only_default=True,
    field_specifiers=(text, yes_no, number, percentage, numbers, part, rows, texts),
)
class Record:
    """An object of the document: values by the names of fields.

    Its JSON has them in the order in which they are given. A field that is not given, or given as
    None, is None and not in the JSON.
    """

    def __init__(self, **values: object) -> None:
        if None in values.values():
            values = {name: value for name, value in values.items() if value is not None}
        self.__dict__ = values

    def content(self) -> dict[str, Any]:
        """Return the fields of its JSON object, by name and in their order."""
        return self.__dict__

    __hash__ = None  # type: ignore[assignment]  # its values may be lists

    def __eq__(self, other: object) -> bool:
        """Whether *other* is of the same class and has the same values."""
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        """Return the class's name and the values, for error messages of tests."""
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"


R = TypeVar("R", bound=Record)


def fields_of(record: type[Record]) -> dict[str, Field]:
    """Return the descriptions of a class's fields by name: its own first, then its bases'."""
    return {
        name: field
        for each in record.__mro__
        for name, field in vars(each).items()
        if isinstance(field, Field)
    }


def field_at(record: type[Record], path: str) -> Field:
    """Return the description of the field at a path such as `tcp.established` in a Record.

    For a number in a dict it is the dict's.

    Raises:
        KeyError: *record* has no such field.
    """
    name, _, inner = path.partition(".")
    field = fields_of(record)[name]
    if field.record and inner:
        return field_at(field.record, inner)
    if inner and inner not in field.parts:
        raise KeyError(path)
    return field


def value_at(value: object, path: Iterable[str]) -> object:
    """Return the value at a path of names below a Record or a dict; None if there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def absent_row(record: type[Record], facts: Collection[str]) -> JsonObject:
    """Return the fields of the row `(absent)` of a complete list of Records of that class.

    It lacks the fields that need a fact which is not among *facts*: no row of the list has these.
    """
    return {
        name: _zero(field.zero, field.parts, field.record)
        for name, field in fields_of(record).items()
        if field.zero is not None and field.needs in facts
    }


def _zero(zero: str | float, parts: Collection[str], record: type[Record] | None) -> object:
    """Return *zero*, or a dict that has it for each of *parts*, or for each number of *record*."""
    if record:
        parts = [name for name, field in fields_of(record).items() if field.kind != TEXT]
    return dict.fromkeys(parts, zero) if parts else zero


def sum_of(record: type[Record], rows: Iterable[Record], facts: Collection[str]) -> JsonObject:
    """Return the sums of the additive fields of *rows*, Records of that class.

    A field that a row lacks counts as 0. Fields that need a fact which is not among *facts* are
    left out.
    """
    zeros, fields = absent_row(record, facts), fields_of(record)
    sums = {name: zero for name, zero in zeros.items() if fields[name].additive}
    for row in rows:
        for name, total in sums.items():
            value = getattr(row, name)
            if isinstance(total, dict):
                for key, each in (value or {}).items():
                    total[key] = total.get(key, 0) + each
            else:
                sums[name] = total + (value or 0)
    return sums


def records_of(record: type[R], contents: Iterable[Mapping[str, Any]]) -> list[R]:
    """Return a Record of that class for each JSON object, with the fields that this has."""
    inner = {name: field for name, field in fields_of(record).items() if field.record}
    made = []
    for content in contents:
        values = dict(content)
        for name in inner.keys() & values.keys():
            field = inner[name]
            assert field.record
            if field.is_list:
                values[name] = records_of(field.record, values[name])
            else:
                (values[name],) = records_of(field.record, [values[name]])
        made.append(record(**values))
    return made
