"""The sheets of a drawing: one map, or one of groups of hosts with a submap for each. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from zabbix_sockets.service_map.drawing import (
    END,
    GROUP,
    HOST,
    MORE,
    Drawing,
    Element,
    folded,
)
from zabbix_sockets.service_map.matching import MapHost

MOST_ELEMENTS = 60
"""The most elements of a map: its page doesn't scale."""
_MOST_AROUND = 20
"""Of these the most that stand around a group's own hosts."""
_MAX_NAME = 128
"""The longest name of a map, in characters."""
_DIGITS = 8
_NO_GROUP = "(no group)"


class Sheet(NamedTuple):
    """One map.

    Attributes:
        name: the map's.
        drawing: what is on it.
        submaps: the names of other sheets by the keys of elements that lead to them; those lead on
            to no further ones.
    """

    name: str
    drawing: Drawing
    submaps: Mapping[str, str] = {}


def sheets(
    name: str, drawing: Drawing, hosts: Sequence[MapHost], groups: Sequence[str], *, by_group: bool
) -> list[Sheet]:
    """Return the sheets of a drawing: those that others lead to come first, *name* is the last.

    With *by_group*, and where there are too many elements for one sheet, it has groups of hosts: a
    host is in the first of *groups* that it is in, else in the first by name. A group of too many
    hosts has several sheets.
    """
    if not by_group and len(drawing.elements) <= MOST_ELEMENTS:
        return [Sheet(name, drawing)]
    group_of = {f"{HOST}/{each.hostid}": _group_of(each, groups) for each in hosts}
    parts = _parts_of(drawing, group_of)
    part_of = {key: part for part, keys in parts.items() for key in keys}
    made = [
        Sheet(_sheet_name(name, part), _with_surroundings(drawing, keys, part_of))
        for part, keys in parts.items()
    ]
    top = folded(drawing, lambda key: _as_part(drawing, key, part_of))
    top = _bounded(top, (), MOST_ELEMENTS)
    submaps = {
        f"{GROUP}/{part}": _sheet_name(name, part)
        for part in parts
        if f"{GROUP}/{part}" in top.elements
    }
    return [*made, Sheet(name, top, submaps)]


def _sheet_name(name: str, part: str) -> str:
    """Return the name of the map of a part, which has a digest in it where it would be too long."""
    whole = f"{name} / {part}"
    if len(whole) <= _MAX_NAME:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGITS]
    return f"{whole[: _MAX_NAME - _DIGITS - 1]}~{digest}"


def _group_of(host: MapHost, groups: Sequence[str]) -> str:
    return next(
        (each for each in groups if each in host.groups), min(host.groups, default=_NO_GROUP)
    )


def _parts_of(drawing: Drawing, group_of: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the keys of hosts by group; of a large one "Name, 1 of 3" and so on."""
    members: dict[str, list[str]] = {}
    for key, element in sorted(drawing.elements.items(), key=lambda each: (each[1].name, each[0])):
        if element.kind == HOST:
            members.setdefault(group_of[key], []).append(key)
    parts = {}
    most = MOST_ELEMENTS - _MOST_AROUND
    for group, keys in sorted(members.items()):
        count = -(-len(keys) // most)
        size = -(-len(keys) // count)
        for number in range(count):
            title = group if count == 1 else f"{group}, {number + 1} of {count}"
            parts[title] = keys[number * size : (number + 1) * size]
    return parts


def _as_part(drawing: Drawing, key: str, part_of: Mapping[str, str]) -> Element:
    if key not in part_of:
        return drawing.elements[key]
    return Element(f"{GROUP}/{part_of[key]}", part_of[key])


def _with_surroundings(
    drawing: Drawing, keys: Sequence[str], part_of: Mapping[str, str]
) -> Drawing:
    """Return the drawing of these hosts, and around them the groups and ends they talk to."""
    own = set(keys)
    touched = own | {each for pair in drawing.lines if own & {*pair} for each in pair}
    around = folded(
        drawing.of(touched),
        lambda key: drawing.elements[key] if key in own else _as_part(drawing, key, part_of),
    )
    lines = {pair: line for pair, line in around.lines.items() if own & {*pair}}
    return _bounded(Drawing(around.elements, lines), keys, MOST_ELEMENTS)


def _bounded(drawing: Drawing, kept: Sequence[str], most: int) -> Drawing:
    """Return the drawing with at most so many elements: *kept*, and those with most lines.

    The others become one element.
    """
    if len(drawing.elements) <= most:
        return drawing
    lines = Counter(key for pair in drawing.lines for key in pair)
    others = sorted(drawing.elements.keys() - {*kept}, key=lambda key: (-lines[key], key))
    left_out = {*others[most - len(kept) - 1 :]}
    more = Element(f"{MORE}/", _named(drawing, left_out))
    return folded(drawing, lambda key: more if key in left_out else drawing.elements[key])


def _named(drawing: Drawing, keys: set[str]) -> str:
    counts = Counter(drawing.elements[key].kind for key in keys)
    return " and ".join(_counted(counts))


def _counted(counts: Mapping[str, int]) -> Iterator[str]:
    for kind, word in ((GROUP, "groups"), (HOST, "hosts"), (END, "ends")):
        if counts.get(kind):
            yield f"{counts[kind]} more {word}"
