"""What `provision map` makes on hosts: macros that have upstreams discovered, and items of sums.

Pure: what is there goes in, what is to be done comes out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from zabbix_sockets.provision.api import ApiObject
from zabbix_sockets.service_map.drawing import Drawing, MapLine, Pair, RowId

MACRO = "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}"
"""The user macro by which a host chooses the upstreams to discover, by a regular expression."""
_MAX_VALUE = 2048
ITEMS_PER_ROW = 16
"""The items that the templates make of an upstream by default."""
BYTES_PER_ITEM = 2600
"""What an item with its triggers takes of the server's CacheSize."""

_MARK = "Made by zabbix-sockets provision map "
_SPECIAL = re.compile(r"([\\^$.|?*+()\[\]{}])")

SUM_KEY = "sockets.map.sum["
MOST_SUMMED = 500
"""The most items that one sum is of."""
_CALCULATED, _UNSIGNED = "15", "3"


class MacroChange(NamedTuple):
    """A host's macro to create, or to update where there is a *macroid*.

    *rows* is the number of upstreams that it selects; *note* says what can't be done.
    """

    hostid: str
    macroid: str
    value: str
    rows: int
    note: str = ""

    def parameters(self, name: str) -> ApiObject:
        """Return the parameters of usermacro.create or usermacro.update for the map *name*."""
        fields = {"value": self.value, "description": _MARK + name}
        if self.macroid:
            return {"hostmacroid": self.macroid, **fields}
        return {"hostid": self.hostid, "macro": MACRO, **fields}


def macro_changes(
    rows: Iterable[RowId], present: Mapping[str, ApiObject], name: str
) -> list[MacroChange]:
    """Return the macros by which hosts discover *rows*, ids of upstreams, where they differ.

    *present* are hosts' own macros by the hosts' ids. One that a person has set stays, as does one
    of another map.
    """
    by_host: dict[str, set[str]] = {}
    for hostid, row in rows:
        by_host.setdefault(hostid, set()).add(row)
    changes = []
    for hostid, wanted in sorted(by_host.items()):
        before = present.get(hostid)
        value, count = _expression(wanted)
        lacks = "" if count == len(wanted) else f"{len(wanted) - count} of {len(wanted)} don't fit"
        if before is None:
            changes.append(MacroChange(hostid, "", value, count, lacks))
        elif before.get("description") != _MARK + name:
            changes.append(MacroChange(hostid, "", "", 0, f"{MACRO} is set already: left as it is"))
        elif before.get("value") != value:
            changes.append(MacroChange(hostid, str(before["hostmacroid"]), value, count, lacks))
    return changes


def _expression(rows: Collection[str]) -> tuple[str, int]:
    """Return a regular expression for as many of the ids as a macro has room for, and how many."""
    kept: list[str] = []
    room = _MAX_VALUE - len("^()$")
    for row in sorted(rows):
        escaped = _SPECIAL.sub(r"\\\1", row)
        if len(escaped) + 1 > room:
            break
        kept.append(escaped)
        room -= len(escaped) + 1
    return f"^({'|'.join(kept)})$", len(kept)


def sum_key(name: str, pair: Pair) -> str:
    """Return the key of the item with the sum of a line of the map *name*."""
    digest = hashlib.sha256("\n".join((name, *pair)).encode()).hexdigest()[:16]
    return f'{SUM_KEY}"{digest}"]'


class SumChanges(NamedTuple):
    """Items of sums to create and to update, ids of those to delete, and notes."""

    create: list[ApiObject]
    update: list[ApiObject]
    delete: list[str]
    notes: list[str]


def sum_changes(
    name: str,
    drawing: Drawing,
    live: Mapping[RowId, tuple[str, str]],
    hostid: str,
    present: Iterable[ApiObject],
) -> SumChanges:
    """Return the changes of the items of sums on a host that the lines of *drawing* need.

    *live* are the hosts' names and keys of upstreams' items; *present* the host's items of sums, of
    which those of other maps stay.
    """
    changes = SumChanges([], [], [], [])
    found = {str(item["key_"]): item for item in present if item["description"] == _MARK + name}
    for line in drawing.lines.values():
        formula, count = _formula(line, live)
        shown = " - ".join(drawing.elements[key].name for key in line.pair)
        if count > MOST_SUMMED:
            changes.notes.append(f"{shown}: {count} items are too many for a sum")
        if not formula or count > MOST_SUMMED:
            continue
        key = sum_key(name, line.pair)
        item = found.pop(key, None)
        if item is None:
            changes.create.append(_new_sum(name, hostid, key, formula, shown))
        elif item["params"] != formula:
            changes.update.append({"itemid": item["itemid"], "params": formula})
    changes.delete.extend(sorted(str(item["itemid"]) for item in found.values()))
    return changes


def _formula(line: MapLine, live: Mapping[RowId, tuple[str, str]]) -> tuple[str, int]:
    rows = sorted({row for part in line.parts for row in part.upstreams if row in live})
    terms = [f"last(/{live[row][0]}/{live[row][1]})" for row in rows]
    return "+".join(terms), len(terms)


def _new_sum(name: str, hostid: str, key: str, formula: str, shown: str) -> ApiObject:
    return {
        "hostid": hostid,
        "name": f"Map {name}: {shown}, connections"[:255],
        "key_": key,
        "type": _CALCULATED,
        "value_type": _UNSIGNED,
        "delay": "1m",
        "params": formula,
        "description": _MARK + name,
        "tags": [{"tag": "component", "value": "map"}],
    }
