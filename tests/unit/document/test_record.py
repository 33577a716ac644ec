"""Records: what a class says of its fields, and what is made of that alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.document.record import (
    Field,
    Record,
    absent_row,
    field_at,
    fields_of,
    number,
    numbers,
    part,
    percentage,
    records_of,
    rows,
    sum_of,
    text,
    value_at,
    yes_no,
)


class Totals(Record):
    """Counters of a row."""

    opened: int = number("connections")
    bytes_sent: int = number("B")


class Shared(Record):
    """What several kinds of rows have."""

    lost: int | None = number("segments", additive=True, zero=0, needs="tcp_info", default=None)


class Thing(Shared):
    """A row with a field of each kind."""

    id: str = text(macro="{#ID}", zero="(absent)")
    busy: int = yes_no(macro="{#BUSY}")
    sockets: int = number("sockets", additive=True, zero=0)
    tcp: dict[str, int] = numbers("sockets", ("listen", "closing"), additive=True, zero=0)
    used_pct: float | None = percentage(zero=0.0, default=None)
    totals: Totals | None = part(Totals, zero=0, needs="totals", default=None)


class Things(Record):
    """A list of rows, and one that stands alone."""

    things: list[Thing] = rows(Thing)
    worst: Thing | None = part(Thing, default=None)


def thing(**values: Any) -> Thing:
    """Return a row, with *values* beside those that every row has."""
    usual: dict[str, Any] = {"id": "a", "busy": 1, "sockets": 3, "tcp": {"listen": 1}}
    return Thing(**usual | values)


def test_values_are_attributes() -> None:
    """What is not there reads as None; what is None is not in the JSON, but 0 and "" are."""
    row = thing(id="", sockets=0, used_pct=None)
    assert (row.id, row.sockets, row.used_pct, row.totals) == ("", 0, None, None)
    assert to_json(row) == b'{"id":"","busy":1,"sockets":0,"tcp":{"listen":1}}'
    row.used_pct = 1.5
    assert to_json(row).endswith(b'"used_pct":1.5}')


def test_order_of_the_json() -> None:
    """It is that in which values are given, whatever the class says."""
    assert list(json.loads(to_json(Thing(tcp={}, sockets=1, busy=0, id="a")))) == [
        *("tcp", "sockets", "busy", "id")
    ]


def test_equality() -> None:
    """Records of one class with the same values are equal, and say them."""
    assert thing() == thing()
    assert thing() != thing(sockets=4)
    assert Totals(opened=1, bytes_sent=2) != {"opened": 1, "bytes_sent": 2}
    assert repr(Totals(opened=1, bytes_sent=2)) == "Totals(opened=1, bytes_sent=2)"


def test_fields() -> None:
    """A class has its own fields first, then those that it shares."""
    fields = fields_of(Thing)
    assert list(fields) == ["id", "busy", "sockets", "tcp", "used_pct", "totals", "lost"]
    assert all(isinstance(field, Field) for field in fields.values())
    assert [name for name, field in fields.items() if field.optional] == [
        *("used_pct", "totals", "lost")
    ]


def test_field_at() -> None:
    """A path leads to parts of objects too, and nowhere else."""
    assert field_at(Thing, "used_pct").unit == "%"
    assert field_at(Thing, "tcp.closing").unit == "sockets"
    assert field_at(Thing, "totals.bytes_sent").unit == "B"
    for path in ("nothing", "tcp.nothing", "totals.nothing", "sockets.listen"):
        with pytest.raises(KeyError):
            field_at(Thing, path)


def test_value_at() -> None:
    """A path leads to values of Records and of dicts; where there is nothing it is None."""
    row = thing(totals=Totals(opened=7, bytes_sent=0))
    assert value_at(row, ["totals", "opened"]) == 7
    assert value_at(row, ["tcp", "listen"]) == 1
    assert value_at({"tcp": {"listen": 2}}, ["tcp", "listen"]) == 2
    assert value_at(row, ["tcp", "nothing"]) is None
    assert value_at(thing(), ["totals", "opened"]) is None


def test_absent_row() -> None:
    """It has what the description says, each part of an object, and no field without its fact."""
    zeros = {
        "id": "(absent)",
        "sockets": 0,
        "tcp": {"listen": 0, "closing": 0},
        "used_pct": 0.0,
    }
    assert absent_row(Thing, {""}) == zeros
    assert absent_row(Thing, {"", "tcp_info"}) == zeros | {"lost": 0}
    totals = {"totals": {"opened": 0, "bytes_sent": 0}}
    assert absent_row(Thing, {"", "totals"}) == zeros | totals
    assert absent_row(Thing, {""})["tcp"] is not absent_row(Thing, {""})["tcp"]


def test_sums() -> None:
    """Additive fields are summed, states that nobody named too; what a row lacks counts as 0."""
    listed = [
        thing(lost=2, totals=Totals(opened=1, bytes_sent=10)),
        thing(tcp={"listen": 5, "state_13": 1}, used_pct=50.0),
    ]
    assert sum_of(Thing, listed, {"", "tcp_info", "totals"}) == {
        "sockets": 6,
        "tcp": {"listen": 6, "closing": 0, "state_13": 1},
        "lost": 2,
    }
    assert sum_of(Thing, [], {""}) == {"sockets": 0, "tcp": {"listen": 0, "closing": 0}}


def test_json_is_read_again() -> None:
    """What is read is what was written, Records in Records too."""
    worst = thing(totals=Totals(opened=1, bytes_sent=2))
    made = Things(things=[thing(), thing(lost=0)], worst=worst)
    (again,) = records_of(Things, [json.loads(to_json(made))])
    assert again == made
    assert isinstance(again.worst, Thing)
    assert isinstance(again.worst.totals, Totals)
    assert records_of(Things, [{"things": []}]) == [Things(things=[])]


def test_what_is_no_record() -> None:
    """Nothing else is encoded by chance."""
    assert to_json([{"a": thing()}]).startswith(b'[{"a":{"id":"a"')
    with pytest.raises(TypeError, match="no part of a document"):
        to_json(object())
