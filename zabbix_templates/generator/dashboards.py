"""Dashboards for a screen of 1920x1080, as each version allows.

6.0 has 24 columns, 7.0 has 72; both have rows of 70 pixels, of which about 12 are seen at once.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from .listeners import RULE as LISTENERS
from .model import Rule, Template
from .naming import graph_name, item_key
from .processes import RULE as PROCESSES
from .uuids import uuid_of

Object = dict[str, object]

_COLUMNS = {"6.0": 1, "7.0": 3}
"""How many columns make one of 24."""

_REFERENCED = ("graph", "graphprototype", "itemhistory", "honeycomb")
"""Widgets of 7.0 that others can listen to have to have a name for that."""


_DEFAULTS = (("x", "0"), ("y", "0"), ("height", "2"))
"""What an export leaves out."""


class _Page:
    """A page that is being laid out, in 24 columns."""

    def __init__(self, template: Template, version: str, name: str, number: int) -> None:
        self._host = template.way.name
        self._version = version
        self._number = number
        self._name = name
        self._widgets: list[Object] = []
        self._references = count()

    def widget(
        self, kind: str, name: str, place: tuple[int, int, int, int], *fields: Object
    ) -> None:
        """Put a widget at *place*: column, row, width, height."""
        x, y, width, height = place
        scale = _COLUMNS[self._version]
        made: Object = {"type": kind if self._version != "6.0" else _OLD_NAMES[kind]}
        if name:
            made["name"] = name
        made |= {"x": str(x * scale), "y": str(y)}
        made |= {"width": str(width * scale), "height": str(height)}
        if kind == "item":
            made["hide_header"] = "YES"  # its description says the same
        made = {field: value for field, value in made.items() if (field, value) not in _DEFAULTS}
        listed = list(fields)
        if self._version != "6.0" and kind in _REFERENCED:
            listed.append(_string("reference", self._reference()))
        made["fields"] = sorted(listed, key=_FIELD_ORDER[self._version])
        self._widgets.append(made)

    def _reference(self) -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        return f"SKT{letters[self._number]}{letters[next(self._references)]}"

    def item(
        self, key: str, title: str, place: tuple[int, int, int, int], decimals: int = 0
    ) -> None:
        """Show the last value of an item of the host, large."""
        fields = [
            self._reference_to("ITEM", "itemid", {"host": self._host, "key": item_key(key, None)}),
            _string("description", title),
        ]
        if self._version == "6.0":
            fields.append(_integer("adv_conf", 1))
        shown = (1, 2, 4)  # description, value, change; the time says nothing here
        for number, each in enumerate(shown):
            name = "show" if self._version == "6.0" else f"show.{number}"
            fields.append(_integer(name, each))
        fields += [_integer("desc_size", 18), _integer("value_size", 40)]
        fields.append(_integer("decimal_places", decimals))
        self.widget("item", "", place, *fields)

    def honeycomb(
        self,
        name: str,
        place: tuple[int, int, int, int],
        items: str,
        label: str,
        *fields: Object,
    ) -> None:
        """Show a cell for each item that fits a pattern; *label* captures its name (7.0)."""
        self.widget(
            "honeycomb",
            name,
            place,
            _string("items.0", items),
            _string("primary_label", f'{{{{ITEM.NAME}}.regsub("{label}", \\1)}}'),
            _integer("secondary_label_decimal_places", 0),
            *fields,
        )

    def graph(self, name: str, place: tuple[int, int, int, int]) -> None:
        """Show a graph of the host."""
        where: Object = {"host": self._host, "name": name}
        self.widget("graph", name, place, self._reference_to("GRAPH", "graphid", where))

    def graphs(self, rule: Rule, place: tuple[int, int, int, int], columns: int, rows: int) -> None:
        """Show a graph for each discovered row, page by page."""
        (graph,) = rule.graphs
        where: Object = {"host": self._host, "name": graph_name(graph, rule)}
        self.widget(
            "graphprototype",
            f"{rule.kind.capitalize()}: {graph.name}",
            place,
            self._reference_to("GRAPH_PROTOTYPE", "graphid", where),
            _integer("columns", columns),
            _integer("rows", rows),
        )

    def text(self, key: str, name: str, place: tuple[int, int, int, int]) -> None:
        """Show the last value of a text."""
        where: Object = {"host": self._host, "key": item_key(key, None)}
        if self._version == "6.0":
            fields = [self._reference_to("ITEM", "itemids", where), _integer("show_lines", 1)]
            self.widget("itemhistory", name, place, *fields)
            return
        self.widget(
            "itemhistory",
            name,
            place,
            _string("columns.0.name", name),
            _object("ITEM", "columns.0.itemid", where),
            _integer("columns.0.monospace_font", 1),
            _integer("show_lines", 1),
        )

    def _reference_to(self, kind: str, name: str, where: Object) -> Object:
        return _object(kind, name if self._version == "6.0" else f"{name}.0", where)

    def made(self) -> Object:
        """Return the page."""
        widgets = sorted(self._widgets, key=_WIDGET_ORDER[self._version])
        return {"name": self._name, "widgets": widgets}


_OLD_NAMES = {
    "item": "ITEM",
    "graph": "GRAPH_CLASSIC",
    "graphprototype": "GRAPH_PROTOTYPE",
    "itemhistory": "PLAIN_TEXT",
}


def _object(kind: str, name: str, value: Object) -> Object:
    return {"type": kind, "name": name, "value": value}


def _string(name: str, value: str) -> Object:
    return {"type": "STRING", "name": name, "value": value}


def _integer(name: str, value: int) -> Object:
    return {"type": "INTEGER", "name": name, "value": str(value)}


def _number(widget: Object, field: str) -> int:
    return int(str(widget.get(field, "0")))


# The order of exports: names without regard to case, types by their numbers.
_FIELD_TYPES = ("INTEGER", "STRING", "ITEM", "GRAPH", "GRAPH_PROTOTYPE")
_FIELD_ORDER: dict[str, Callable[[Object], Any]] = {
    "6.0": lambda field: (
        _FIELD_TYPES.index(str(field["type"])),
        str(field["name"]),
        str(field["value"]),
    ),
    "7.0": lambda field: str(field["name"]).upper(),
}
_WIDGET_ORDER: dict[str, Callable[[Object], Any]] = {
    "6.0": lambda widget: (str(widget.get("name", "")), _number(widget, "x")),
    "7.0": lambda widget: (_number(widget, "x"), _number(widget, "y")),
}


def _thresholds(*levels: tuple[str, str]) -> list[Object]:
    return [
        _string(f"thresholds.{number}.{field}", value)
        for number, level in enumerate(levels)
        for field, value in zip(("threshold", "color"), level, strict=True)
    ]


def dashboard(template: Template, version: str) -> Object:
    """Return the template's dashboard: overview, listeners, collector."""
    pages = [
        make(_Page(template, version, name, number), version)
        for number, (name, make) in enumerate(
            (("Overview", _overview), ("Listeners", _listeners), ("Collector", _collector))
        )
    ]
    return {
        "uuid": uuid_of(template.way.name, "dashboard", "Sockets"),
        "name": "Sockets",
        "pages": pages,
    }


def _overview(page: _Page, version: str) -> Object:
    for number, (key, title, decimals) in enumerate(
        (
            ("tcp.established", "TCP established", 0),
            ("tcp.listen", "TCP listening", 0),
            ("tcp.close_wait", "TCP CLOSE_WAIT", 0),
            ("tcp.listen_overflows.rate", "Refused per second", 2),
            ("ephemeral.worst_pct", "Ephemeral ports, worst", 1),
            ("tcp.memory", "TCP memory", 1),
        )
    ):
        page.item(key, title, (4 * number, 0, 4, 2), decimals)
    page.graph("TCP states", (0, 2, 12, 5))
    if version == "6.0":
        page.text("processes.top", "Sockets, established, CLOSE_WAIT by process", (12, 2, 12, 5))
    else:
        page.honeycomb(
            "Established connections by process",
            (12, 2, 12, 5),
            f"{PROCESSES.title.partition(' ')[0]} *: TCP ESTABLISHED",
            "^Process (.*): TCP ESTABLISHED$",
        )
    page.graphs(PROCESSES, (0, 7, 24, 5), 3, 1)
    return page.made()


def _listeners(page: _Page, version: str) -> Object:
    if version == "6.0":
        page.graph("TCP trouble", (0, 0, 24, 4))
    else:
        page.graph("TCP trouble", (0, 0, 12, 4))
        page.honeycomb(
            "Accept queues used",
            (12, 0, 12, 4),
            f"{LISTENERS.title.partition(' ')[0]} *: Accept queue used",
            "^Listener [^ ]*:([0-9]+.*): Accept queue used$",
            *_thresholds(("0", "BAE37D"), ("70", "FFD54F"), ("95", "FF465C")),
        )
    page.graphs(LISTENERS, (0, 4, 24, 8), 3, 2)
    return page.made()


def _collector(page: _Page, version: str) -> Object:
    del version  # the same in all
    for number, (key, title, decimals) in enumerate(
        (
            ("collector.source", "Source", 0),
            ("collector.seconds", "Time", 1),
            ("complete", "Complete", 0),
            ("collector.degraded", "Degraded", 0),
            ("collector.unowned", "Without owner", 0),
            ("collector.denied", "Processes denied", 0),
        )
    ):
        page.item(key, title, (4 * number, 0, 4, 2), decimals)
    page.graph("Collector time and sockets", (0, 2, 12, 5))
    page.graph("Collector blind spots", (12, 2, 12, 5))
    page.text("collector.warnings", "Warnings", (0, 7, 12, 4))
    page.text("collector.reason", "Why no better source", (12, 7, 12, 4))
    return page.made()
