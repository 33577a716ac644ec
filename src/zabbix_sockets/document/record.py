"""Records, which the document is made of: a class says all of its fields, each once.

::

    class ListenerRow(Row):
        backlog: int | None = number("connections", additive=True, zero=0, default=None)

That line is what the document builder, tables, `count`, discovery, `send --values` and the
templates' generator know of a field. An object within a row (`totals` in a row, say) is a Record,
too: `totals: Totals | None = part(Totals, needs=..., default=None)`.
"""

from _json import encode_basestring, make_encoder
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar, dataclass_transform

TEXT, YES_NO, INTEGER, FRACTION, COUNTER, MOMENT, OBJECT = (
    *("text", "yes or no", "integer", "fraction", "counter", "moment", "object"),
)
"""Kinds of fields; COUNTER: an integer that only rises until the next boot."""

ABSENT_ID = "(absent)"
"""Id of the row that stands for every row that is not in a complete list."""


Figures = dict[str, Any]
"""Fields by name: each a text, a number or a dict of numbers."""


class Field:
    """What is known of one field.

    Attributes:
        kind: one of the kinds above.
        unit: what it counts (`sockets`, `connections`), or `%`, `B`, `s`, `ms`, `us`; a text has
            none.
        macro: the LLD macro that discovery makes of it; empty: none.
        additive: what the document's bounds left out is summed in `other`.
        zero: what the row `(absent)` holds; None: that row lacks the field.
        needs: a fact that must hold for the Snapshot, see row.facts_of(); else the field isn't in
            `(absent)` and `other`. Empty: it needs none.
        parts: names of the numbers in it, where it is a dict of them; there may be more of them.
        record: the class of what is in it, where it is a Record.
        is_list: it is a list of `record`, or of texts.
        optional: it may be lacking: `default=None` says so to mypy, too.
    """

    unit = ""
    macro = ""
    additive = False
    zero: str | float | None = None
    needs = ""
    parts: tuple[str, ...] = ()
    record: "type[Record] | None" = None
    is_list = False

    def __init__(self, kind: str, default: object = ...) -> None:
        self.kind = kind
        self.optional = default is None

    def __get__(self, record: object, owner: type) -> "Field | None":
        """Be the description on a class, and None on a Record that lacks the field."""
        return self if record is None else None


# These are what a class gives for a field, as dataclasses.field() is. mypy takes the field's type
# from the annotation, so what they return is Any.


def text(*, macro: str = "", zero: str | None = None, default: object = ...) -> Any:
    """Describe a text."""
    field = Field(TEXT, default)
    field.macro, field.zero = macro, zero
    return field


def yes_no(*, macro: str = "", default: object = ...) -> Any:
    """Describe what is 1 or 0."""
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
    """Describe a number."""
    field = Field(kind, default)
    field.unit, field.macro, field.additive = unit, macro, additive
    field.zero, field.needs = zero, needs
    return field


def percentage(*, zero: float | None = None, needs: str = "", default: object = ...) -> Any:
    """Describe a share in percent, which can't be summed."""
    return number("%", FRACTION, zero=zero, needs=needs, default=default)


def numbers(
    unit: str,
    parts: tuple[str, ...],
    kind: str = INTEGER,
    *,
    additive: bool = False,
    zero: int | None = None,
    needs: str = "",
    default: object = ...,
) -> Any:
    """Describe a dict of numbers by name: `tcp`, by state."""
    field: Field = number(unit, kind, additive=additive, zero=zero, needs=needs, default=default)
    field.parts = parts
    return field


def part(
    record: "type[Record]",
    *,
    additive: bool = False,
    zero: int | None = None,
    needs: str = "",
    default: object = ...,
) -> Any:
    """Describe a Record within another one; *additive* and *zero* go for all numbers in it."""
    field: Field = number("", OBJECT, additive=additive, zero=zero, needs=needs, default=default)
    field.record = record
    return field


def rows(record: "type[Record]") -> Any:
    """Describe a list of Records."""
    field = Field(OBJECT)
    field.record, field.is_list = record, True
    return field


def texts() -> Any:
    """Describe a list of texts."""
    field = Field(TEXT)
    field.is_list = True
    return field


@dataclass_transform(
    kw_only_default=True,
    field_specifiers=(text, yes_no, number, percentage, numbers, part, rows, texts),
)
class Record:
    """Values by the names of fields, in the order in which the JSON has them.

    To make a class of it takes 2 microseconds for each field, where a NamedTuple, which every call
    of an agent would have to pay for, takes 25. A field that is not given, or given as None, reads
    as None and is not in the JSON.
    """

    def __init__(self, **values: object) -> None:
        if None in values.values():
            values = {name: value for name, value in values.items() if value is not None}
        self.__dict__ = values

    def content(self) -> dict[str, Any]:
        """Give the fields of its JSON object, by name and in order."""
        return self.__dict__

    __hash__ = None  # type: ignore[assignment]  # its values may be lists

    def __eq__(self, other: object) -> bool:
        """Whether *other* has the same values."""
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        """Return its class and values."""
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"


R = TypeVar("R", bound=Record)


def fields_of(record: type[Record]) -> dict[str, Field]:
    """Describe a class's fields by name: its own first, then those that it shares with others."""
    return {
        name: field
        for each in record.__mro__
        for name, field in vars(each).items()
        if isinstance(field, Field)
    }


def field_at(record: type[Record], path: str) -> Field:
    """Describe the field at a path such as `tcp.established` below a Record of that class.

    Raises:
        KeyError: there is none.
    """
    name, _, inner = path.partition(".")
    field = fields_of(record)[name]
    if field.record and inner:
        return field_at(field.record, inner)
    if inner and inner not in field.parts:
        raise KeyError(path)
    return field


def value_at(value: object, path: Iterable[str]) -> object:
    """Follow a path of names below a Record or a dict: the value there, or None without one."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def absent_row(record: type[Record], facts: Collection[str]) -> Figures:
    """Make the row that stands for every row of that class which is not in a complete list.

    It lacks what no row of the list has: the fields that need a fact which is not among *facts*.
    """
    return {
        name: _zero(field.zero, field.parts, field.record)
        for name, field in fields_of(record).items()
        if field.zero is not None and field.needs in facts
    }


def _zero(zero: str | float, parts: Collection[str], record: type[Record] | None) -> object:
    """Make the zero of a field, or an object with that of each part of it."""
    names = fields_of(record) if record else parts
    return dict.fromkeys(names, zero) if names else zero


def sum_of(record: type[Record], rows: Iterable[Record], facts: Collection[str]) -> Figures:
    """Add up the additive fields of rows of that class; a field that a row lacks counts as 0.

    *facts* are as for absent_row(): of no rows the sums are 0.
    """
    zeros, fields = absent_row(record, facts), fields_of(record)
    sums = {name: zero for name, zero in zeros.items() if fields[name].additive}
    for row in rows:
        for name, total in sums.items():
            value = getattr(row, name)
            if isinstance(total, dict):
                for key, each in _parts_of(value).items():
                    total[key] = total.get(key, 0) + each
            else:
                sums[name] = total + (value or 0)
    return sums


def _parts_of(value: Record | dict[str, int] | None) -> dict[str, int]:
    """Return the numbers of an object by name."""
    return value.content() if isinstance(value, Record) else value or {}


def _content(value: object) -> dict[str, Any]:
    if isinstance(value, Record):
        return value.content()
    raise TypeError(f"{type(value).__name__} is no part of a document")


# The encoder in C beneath the standard library's json (Modules/_json.c): importing json itself
# takes 2 ms, and orjson, which writes the same, imports some thirty modules in 15 ms. Its
# arguments: no look-out for circles, what a Record is written as, texts as they are, no indent,
# what separates, no sorting, no keys left out, and no NaN.
_encode = make_encoder(None, _content, encode_basestring, None, ":", ",", False, False, False)


def to_json(value: object) -> bytes:
    """Encode Records, and lists and objects of them, in one line without its end.

    A path may have bytes that are no UTF-8, which Python has as lone surrogates: "?" is for each.
    """
    return "".join(_encode(value, 0)).encode(errors="replace")


def records_of(record: type[R], contents: Iterable[Mapping[str, Any]]) -> list[R]:
    """Make Records of that class of their JSON objects; what these lack the Records lack."""
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
