"""Macros that have upstreams discovered, and items of sums: what differs from what is there."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.service_map.drawing import Drawing, Element, LinePart, MapLine
from zabbix_sockets.service_map.upkeep import (
    ITEMS_PER_ROW,
    MACRO,
    MOST_SUMMED,
    MacroChange,
    macro_changes,
    sum_changes,
    sum_key,
)
from zabbix_templates.generator import macros, upstreams

ROW = "php>tcp/[2001:db8::1]:5432"
OURS = "Made by zabbix-sockets provision map Shop"


def test_the_macro_is_the_templates() -> None:
    """Its name, and how many items a row has by default, are what the generator says."""
    assert str(macros.UPSTREAM_MATCHES) == MACRO
    metrics = upstreams.RULE.metrics
    assert sum(each.default for each in metrics) + 1 == ITEMS_PER_ROW


def test_new_macro() -> None:
    """It selects these ids, and nothing that is like them."""
    (change,) = macro_changes([("1", ROW), ("1", "a>tcp/10.0.0.1:80")], {}, "Shop")
    assert (change.hostid, change.rows, change.note) == ("1", 2, "")
    assert re.search(change.value, ROW)
    assert not re.search(change.value, f"x{ROW}")
    assert not re.search(change.value, "a>tcp/10x0.0.1:80")
    fields = {"hostid": "1", "macro": MACRO, "value": change.value, "description": OURS}
    assert change.parameters("Shop") == fields


def test_present_macros() -> None:
    """Ours is updated where it differs; a person's, and another map's, stays."""
    (new,) = macro_changes([("1", ROW)], {}, "Shop")
    ours = {"hostmacroid": "5", "value": new.value, "description": OURS}
    assert macro_changes([("1", ROW)], {"1": ours}, "Shop") == []
    (change,) = macro_changes([("1", "b")], {"1": ours}, "Shop")
    assert change == MacroChange("1", "5", "^(b)$", 1)
    assert change.parameters("Shop")["hostmacroid"] == "5"
    for description in ("", f"{OURS} two"):
        theirs = ours | {"description": description}
        (left,) = macro_changes([("1", "b")], {"1": theirs}, "Shop")
        assert (left.value, left.note) == ("", f"{MACRO} is set already: left as it is")


@given(st.sets(st.text(max_size=100).filter(bool), min_size=1))
def test_any_ids(ids: set[str]) -> None:
    """A macro's value has a bound, within which whole ids are, as Python's expressions have it."""
    (change,) = macro_changes([("1", each) for each in ids], {}, "Shop")
    assert len(change.value) <= 2048
    found = [each for each in ids if re.fullmatch(change.value, each)]
    assert len(found) == change.rows or not change.rows
    assert bool(change.note) == (change.rows < len(ids))


def drawing(*rows: str) -> Drawing:
    """Return two groups with a line of these rows of the host 1."""
    elements = {key: Element(key, key[-1]) for key in ("group/a", "group/b")}
    part = LinePart("php", "postgres", tuple(("1", row) for row in rows), ())
    line = MapLine("group/a", "group/b", (part,))
    return Drawing(elements, {line.pair: line})


LIVE = {("1", row): ("web", f'sockets.upstream.established["{row}"]') for row in "xy"}
FORMULA = "+".join(f'last(/web/sockets.upstream.established["{row}"])' for row in "xy")


def test_new_sum() -> None:
    """It adds the items that there are."""
    changes = sum_changes("Shop", drawing("x", "y", "undiscovered"), LIVE, "9", [])
    (item,) = changes.create
    assert (item["hostid"], item["params"], item["type"]) == ("9", FORMULA, "15")
    assert item["key_"] == sum_key("Shop", ("group/a", "group/b"))
    assert item["name"] == "Map Shop: a - b, connections"


def test_present_sums() -> None:
    """What is right stays, what differs is updated, what is drawn no more goes; others' stay."""
    (item,) = sum_changes("Shop", drawing("x", "y"), LIVE, "9", []).create
    present = item | {"itemid": "3"}
    assert not any(sum_changes("Shop", drawing("x", "y"), LIVE, "9", [present]))
    changed = sum_changes("Shop", drawing("x"), LIVE, "9", [present])
    assert [each["itemid"] for each in changed.update] == ["3"]
    assert sum_changes("Shop", drawing("z"), LIVE, "9", [present]).delete == ["3"]
    other = present | {"description": "Made by zabbix-sockets provision map Other"}
    assert not sum_changes("Shop", drawing("z"), LIVE, "9", [other]).delete


def test_sum_of_too_many() -> None:
    """That is said."""
    rows = [str(number) for number in range(MOST_SUMMED + 1)]
    live = {("1", row): ("web", row) for row in rows}
    changes = sum_changes("Shop", drawing(*rows), live, "9", [])
    assert not changes.create
    assert changes.notes == ["a - b: 501 items are too many for a sum"]
