"""Labels of a map: names that no macro is expanded in, and figures that a server keeps up to date.

Zabbix expands in a line's label `{?last(/host/key)}`, one function of one item, whenever somebody
looks; so a sum of several is written as `1 + 2`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zabbix_sockets.service_map.boxes import Size
from zabbix_sockets.service_map.drawing import END, HOST, Element, LinePart, MapLine, RowId

MAX_LABEL = 2048
"""The longest label that Zabbix takes, in characters."""
MOST_PARTS = 3
_MOST_LIVE = 3
_MAX_NAME, _MAX_PROCESS = 30, 16
_MAX_INSIDE = 4
_CHARACTER, _LINE = 5.6, 12
"""Mean width of a character and height of a line on the page, in pixels, as browsers measure it."""
_FRAME = 12
"""Pixels that a label's frame takes of its width and its height."""
_FIGURE, _PROBLEMS = "0000", "10 problems"
_LIVE = re.compile(r"\{\?.*?\)\}")

ARROW = "\N{RIGHTWARDS ARROW}"


class LabelFigures(NamedTuple):
    """The figures that labels may have.

    Attributes:
        live: for upstreams' rows with an item the host's technical name and the item's key.
        counted: connections of other rows, by the host's last list of the ten that matter most.
        sums: items with the sums of lines: the host's technical name and the key, by pair.
        moment: the time of the drawing, in words.
    """

    live: Mapping[RowId, tuple[str, str]]
    counted: Mapping[RowId, int]
    sums: Mapping[tuple[str, str], tuple[str, str]]
    moment: str


def safe_text(text: str, most: int = _MAX_NAME) -> str:
    """Return a name for a label: in one line, of so many characters, without a macro.

    Each macro begins with a brace: it has a space behind it here.
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if len(line) > most:
        line = line[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return line.replace("{", "{ ")


def element_label(element: Element) -> str:
    """Return the label of an element: its name, and what its processes connect to inside."""
    lines = [safe_text(element.name)]
    lines += [safe_text(each) for each in element.inside[:_MAX_INSIDE]]
    if len(element.inside) > _MAX_INSIDE:
        lines.append(f"+ {len(element.inside) - _MAX_INSIDE} more")
    return "\n".join(lines)


def line_label(line: MapLine, figures: LabelFigures) -> str:
    """Return the label of a line between hosts, or between a host and an end: its processes.

    Each has its own figure, as far as there is one: live, else that of the drawing, which is dated.
    """
    shown = [_part_label(part, figures) for part in line.parts[:MOST_PARTS]]
    lines = [text for text, _ in shown]
    if len(line.parts) > MOST_PARTS:
        lines.append(f"+ {len(line.parts) - MOST_PARTS} more")
    if any(dated for _, dated in shown):
        lines.append(figures.moment)
    while len("\n".join(lines)) > MAX_LABEL:
        del lines[0]
    return "\n".join(lines)


def _part_label(part: LinePart, figures: LabelFigures) -> tuple[str, bool]:
    """Return a part's text, and whether a figure of it is that of the drawing."""
    name = f"{safe_text(part.client, _MAX_PROCESS)} {ARROW} {safe_text(part.server, _MAX_PROCESS)}"
    live = [figures.live[row] for row in part.upstreams if row in figures.live]
    if len(live) == len(part.upstreams) <= _MOST_LIVE:
        figure = " + ".join(f"{{?last(/{host}/{key})}}" for host, key in live)
        return f"{name}: {figure}", False
    if all(row in figures.counted for row in part.upstreams):
        return f"{name}: {sum(figures.counted[row] for row in part.upstreams)}", True
    count = len(part.upstreams)
    return (f"{name} ({count})" if count > 1 else name), False


def sum_label(line: MapLine, figures: LabelFigures) -> str:
    """Return the label of a line between groups: connections, else the number of upstreams."""
    item = figures.sums.get(line.pair)
    if item:
        return f"{{?last(/{item[0]}/{item[1]})}} connections"
    upstreams = len({row for part in line.parts for row in part.upstreams})
    return f"{upstreams} upstream{'s' * (upstreams != 1)}\n{figures.moment}"


def is_between_hosts(pair: Sequence[str]) -> bool:
    """Whether a line's elements are hosts, or hosts and single ends."""
    return all(key.partition("/")[0] in (HOST, END) for key in pair)


def size_of(label: str) -> Size:
    """Return the room that a line's label takes on the page, live figures with four digits."""
    if not label:
        return Size(0, 0)
    width, height = _text_size(_LIVE.sub(_FIGURE, label))
    return Size(width + _FRAME, height + _FRAME)


def size_below(label: str) -> Size:
    """Return the room of an element's label, below which Zabbix says whether it has problems."""
    return _text_size(f"{label}\n{_PROBLEMS}")


def _text_size(text: str) -> Size:
    lines = text.split("\n")
    return Size(round(_CHARACTER * max(map(len, lines))), _LINE * len(lines))
