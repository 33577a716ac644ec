"""Whether a document's JSON is as the classes of its Records describe it."""

from collections.abc import Iterator
from typing import Any

from zabbix_sockets.document.document import Document
from zabbix_sockets.document.record import FRACTION, TEXT, YES_NO, Field, Record, fields_of
from zabbix_sockets.model.snapshot import LISTS


def _faults(record: type[Record], content: dict[str, Any]) -> Iterator[str]:
    """Yield what a JSON object has that its class doesn't say, or lacks and should not."""
    fields = fields_of(record)
    for name in content.keys() - fields.keys():
        yield f"{record.__name__}.{name} is not described"
    for name, field in fields.items():
        if name not in content:
            if not field.optional:
                yield f"{record.__name__}.{name} is lacking"
            continue
        yield from (f"{record.__name__}.{name}: {each}" for each in _wrong(field, content[name]))


def _wrong(field: Field, value: Any) -> Iterator[str]:
    """Yield what a value has that its description doesn't say."""
    if field.record:
        for each in value if field.is_list else [value]:
            yield from _faults(field.record, each)
    elif field.parts:
        # Of processes' sockets none is in these states, but the kernel's enum may grow.
        states = {name for name in value if name.startswith("state_")} | {"time_wait", "close"}
        yield from sorted(value.keys() - {*field.parts} - states)
    elif field.is_list:
        yield from (repr(each) for each in value if not isinstance(each, str))
    elif field.kind == TEXT:
        yield from () if isinstance(value, str) else (repr(value),)
    elif field.kind == YES_NO:
        yield from () if value in (0, 1) else (repr(value),)
    elif not isinstance(value, (int, float) if field.kind == FRACTION else int):
        yield repr(value)


def undescribed(document: dict[str, Any]) -> list[str]:
    """Return the faults of a document's JSON, but for its rows (absent)."""
    without = dict(document)
    for name in LISTS:
        without[name] = [row for row in document[name] if row["id"] != "(absent)"]
    return list(_faults(Document, without))
