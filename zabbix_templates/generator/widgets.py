"""Widgets of dashboards as the versions have them, laid out on a page.

6.0 has 24 columns, 7.0 has 72; both have rows of 70 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple

from .model import Graph, Object, Rule, Template
from .naming import graph_name, item_key

OLD = "6.0"

GOOD, WARN, BAD = "BAE37D", "FFD54F", "FF465C"
_NEUTRAL = "768D99"

_COLUMNS = {OLD: 1, "7.0": 3}
"""How many columns make one of 24."""

_OLD_NAMES = {
    "item": "ITEM",
    "graph": "GRAPH_CLASSIC",
    "graphprototype": "GRAPH_PROTOTYPE",
    "itemhistory": "PLAIN_TEXT",
}

_DEFAULTS = (("x", "0"), ("y", "0"), ("height", "2"))
"""What an export leaves out."""

_LAST_KNOWN = 3
"""How graphs of 7.0 go on where a value was not stored because it had not changed."""
_MAXIMUM = 4
"""What they draw where a pixel stands for many values."""


class Place(NamedTuple):
    """Where a widget is, in 24 columns."""

    x: int
    y: int
    width: int
    height: int


class Level(NamedTuple):
    """A value from which on a colour is shown; 7.0 only."""

    value: str
    color: str


class Tile(NamedTuple):
    """The last value of an item of the host, large."""

    key: str
    title: str
    decimals: int = 0
    arrows: tuple[str, str] | None = None
    """Colours of the arrows where the value has risen and where it has fallen."""
    levels: tuple[Level, ...] = ()


RISES_ARE_BAD = (BAD, "3CA20D")
NEITHER_IS_BAD = (_NEUTRAL, _NEUTRAL)


class Page:
    """A page that is being laid out."""

    def __init__(self, template: Template, version: str, name: str, number: int) -> None:
        self._template = template
        self._host = template.way.name
        self.version = version
        self._number = number
        self._name = name
        self._widgets: list[Object] = []
        self._references = count()

    def tiles(self, *tiles: Tile) -> None:
        """Show six values in the first row."""
        for number, tile in enumerate(tiles):
            self._tile(tile, Place(4 * number, 0, 4, 2))

    def _tile(self, tile: Tile, place: Place) -> None:
        fields = [
            self._reference_to("ITEM", "itemid", self._item(tile.key)),
            string("description", tile.title),
            integer("desc_size", 18),
            integer("value_size", 40),
            integer("decimal_places", tile.decimals),
        ]
        shown = [1, 2]  # description and value; the time says nothing here
        if tile.arrows:
            shown.append(4)
            colors = (*tile.arrows, _NEUTRAL)
            names = ("up_color", "down_color", "updown_color")
            fields += map(string, names, colors)
        if self.version == OLD:
            fields.append(integer("adv_conf", 1))
            fields += [integer("show", each) for each in shown]
        else:
            fields += [integer(f"show.{number}", each) for number, each in enumerate(shown)]
            fields += thresholds(tile.levels)
        self._widget("item", "", place, fields)

    def graph(self, graph: Graph, place: Place, legend_columns: int = 1, name: str = "") -> None:
        """Show a graph of the host: in 7.0 as that version draws them."""
        title = name or graph.name
        if self.version == OLD:
            where: Object = {"host": self._host, "name": graph.name}
            field = self._reference_to("GRAPH", "graphid", where)
            self._widget("graph", title, place, [field])
            return
        fields = _legend(-(-len(graph.lines) // legend_columns), legend_columns)
        sets = dict.fromkeys((line.right_axis, line.peaks) for line in graph.lines)
        for number, (right, peaks) in enumerate(sets):
            data = f"ds.{number}"
            fields += [integer(f"{data}.dataset_type", 0), *_drawn(data, peaks)]
            if right:
                fields += [integer(f"{data}.axisy", 1), string("righty_min", "0")]
            lines = [
                each for each in graph.lines if (each.right_axis, each.peaks) == (right, peaks)
            ]
            for order, line in enumerate(lines):
                item = self._item(line.key)
                fields.append(_object("ITEM", f"{data}.itemids.{order}", item))
                fields.append(string(f"{data}.color.{order}", line.color))
        if graph.percent:
            fields.append(string("lefty_max", "100"))
        self._widget("svggraph", title, place, [*fields, string("lefty_min", "0")])

    def problems(self, place: Place) -> None:
        """Show the host's open problems, the worst first (7.0)."""
        open_only, worst_first = 3, 1
        fields = [integer("show", open_only), integer("sort_triggers", worst_first)]
        self._widget("problems", "Problems", place, fields)

    def graphs(
        self, rule: Rule, graph: Graph, place: Place, columns: int, rows: int, *fields: Object
    ) -> None:
        """Show a graph for each discovered row, page by page."""
        where: Object = {"host": self._host, "name": graph_name(graph, rule)}
        self._widget(
            "graphprototype",
            f"{rule.kind.capitalize()}: {graph.name}",
            place,
            [
                self._reference_to("GRAPH_PROTOTYPE", "graphid", where),
                integer("columns", columns),
                integer("rows", rows),
                *fields,
            ],
        )

    def text(self, key: str, name: str, place: Place) -> None:
        """Show the last value of a text."""
        fields = [integer("show_lines", 1)]
        if self.version == OLD:
            fields.append(self._reference_to("ITEM", "itemids", self._item(key)))
            fields.append(integer("style", 1))  # without a column for the item's name
        else:
            fields += [
                string("columns.0.name", name),
                _object("ITEM", "columns.0.itemid", self._item(key)),
                integer("columns.0.monospace_font", 1),
                integer("layout", 1),  # without a column for the item's name
                integer("show_timestamp", 1),
                integer("show_column_header", 0),
            ]
        self._widget("itemhistory", name, place, fields)

    def made(self) -> Object:
        """Return the page."""
        widgets = sorted(self._widgets, key=_WIDGET_ORDER[self.version])
        return {"name": self._name, "widgets": widgets}

    def _widget(self, kind: str, name: str, place: Place, fields: Sequence[Object]) -> None:
        scale = _COLUMNS[self.version]
        made: Object = {"type": kind if self.version != OLD else _OLD_NAMES[kind]}
        if name:
            made["name"] = name
        made |= {"x": str(place.x * scale), "y": str(place.y)}
        made |= {"width": str(place.width * scale), "height": str(place.height)}
        if kind == "item":
            made["hide_header"] = "YES"  # its description says the same
        made = {field: value for field, value in made.items() if (field, value) not in _DEFAULTS}
        listed = list(fields)
        if self.version != OLD and kind != "item":
            listed.append(string("reference", self._reference()))  # for widgets that listen to it
        made["fields"] = sorted(listed, key=_FIELD_ORDER[self.version])
        self._widgets.append(made)

    def _reference(self) -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        return f"SKT{letters[self._number]}{letters[next(self._references)]}"

    def _item(self, key: str) -> Object:
        return {"host": self._host, "key": item_key(key, None)}

    def _reference_to(self, kind: str, name: str, where: Object) -> Object:
        return _object(kind, name if self.version == OLD else f"{name}.0", where)


def _drawn(name: str, peaks: bool) -> list[Object]:
    """Return how the lines of a set of data are drawn: without the area below them."""
    fields = [
        integer(f"{name}.missingdatafunc", _LAST_KNOWN),
        integer(f"{name}.fill", 0),
        integer(f"{name}.transparency", 2),
    ]
    return [*fields, *[integer(f"{name}.approximation", _MAXIMUM)] * peaks]


def _legend(lines: int, columns: int) -> list[Object]:
    fields = [integer("legend_lines", lines)] if lines > 1 else []
    return [*fields, integer("legend_columns", columns)]


def _object(kind: str, name: str, value: Object) -> Object:
    return {"type": kind, "name": name, "value": value}


def string(name: str, value: str) -> Object:
    """Return a field that holds a text."""
    return {"type": "STRING", "name": name, "value": value}


def integer(name: str, value: int) -> Object:
    """Return a field that holds a number."""
    return {"type": "INTEGER", "name": name, "value": str(value)}


def thresholds(levels: Sequence[Level]) -> list[Object]:
    """Return the fields that say from which value on a colour is shown (7.0)."""
    return [
        string(f"thresholds.{number}.{field}", value)
        for number, level in enumerate(levels)
        for field, value in zip(("threshold", "color"), level)
    ]


def _number(widget: Object, field: str) -> int:
    return int(str(widget.get(field, "0")))


# The order of exports: names without regard to case, types by their numbers.
_FIELD_TYPES = ("INTEGER", "STRING", "ITEM", "GRAPH", "GRAPH_PROTOTYPE")
_FIELD_ORDER: dict[str, Callable[[Object], Any]] = {
    OLD: lambda field: (
        _FIELD_TYPES.index(str(field["type"])),
        str(field["name"]),
        str(field["value"]),
    ),
    "7.0": lambda field: str(field["name"]).upper(),
}
_WIDGET_ORDER: dict[str, Callable[[Object], Any]] = {
    OLD: lambda widget: (str(widget.get("name", "")).lower(), _number(widget, "x")),
    "7.0": lambda widget: (_number(widget, "x"), _number(widget, "y")),
}
