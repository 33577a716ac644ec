"""The map as Zabbix's API has it: what a sheet is to be, and what of that an existing map lacks.

Elements of ours are known by a URL of theirs, whose fragment has the key. What people have added
stays, and elements that are there are not moved. An update names each element and line, with its
id: what its lists leave out is deleted. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

from zabbix_sockets.provision.api import ApiObject
from zabbix_sockets.service_map.boxes import ICON, Point
from zabbix_sockets.service_map.drawing import END, GROUP, HOST, MORE, Element, Pair, pair_of
from zabbix_sockets.service_map.labels import element_label, size_below, size_of
from zabbix_sockets.service_map.layout import WIDTH, Layout, LayoutRequest, place
from zabbix_sockets.service_map.sheets import Sheet
from zabbix_sockets.service_map.state import Seen

MARK = "#zabbix-sockets:"
"""The beginning of the fragment of our URLs; the key follows, with escapes."""
_URL_NAME = "Sockets"
_HOST_TYPE, _MAP_TYPE, _IMAGE_TYPE = "0", "1", "4"
_READ_ONLY = {"permission"}
LINE_COLOR, SLOW_COLOR, FAULT_COLOR = "8A9BA8", "E97659", "E45959"
PLAIN, BOLD, DASHED = "0", "2", "4"
"""Styles of lines (drawtype)."""
_OTHER = "other/"
"""What keys of elements begin with that people have added: no key of ours does."""


class Icons(NamedTuple):
    """The ids of the images of each kind of elements."""

    host: str
    end: str
    group: str

    def of(self, element: Element) -> str:
        """Return the id of an element's image."""
        return {HOST: self.host, END: self.end, GROUP: self.group, MORE: self.group}[element.kind]


class Trigger(NamedTuple):
    """A trigger that colours a line; *is_fault*: more than slowness or shortage."""

    triggerid: str
    is_fault: bool


class SheetContent(NamedTuple):
    """What a sheet is to show.

    Attributes:
        labels: the lines' labels, by pair.
        triggers: the lines' triggers, by pair.
        submaps: the ids of maps, by the keys of elements that lead to them.
    """

    sheet: Sheet
    labels: Mapping[Pair, str]
    triggers: Mapping[Pair, Sequence[Trigger]]
    submaps: Mapping[str, str] = {}


class Wishes(NamedTuple):
    """The settings of one update of a map.

    Attributes:
        now: Unix seconds.
        keep: the seconds for which elements and lines stay that are there no more.
        relayout: all is laid out anew.
        icons: the icons of its elements.
    """

    now: int
    keep: int
    relayout: bool
    icons: Icons


class Merged(NamedTuple):
    """The map as it is to be.

    Attributes:
        parameters: of map.create or map.update.
        changes: in words; empty: there is nothing to change.
        seen: what is to be remembered, without the ids of new lines.
        hidden: the number of labels that had no room.
    """

    parameters: ApiObject
    changes: str
    seen: Seen
    hidden: int


def merge(content: SheetContent, existing: ApiObject | None, seen: Seen, wishes: Wishes) -> Merged:
    """Return the map of a sheet, merged into the *existing* one; None: there is none yet."""
    board = _Existing(existing, seen)
    elements = content.sheet.drawing.elements
    stale = [
        key
        for key in board.ours
        if key not in elements and wishes.now - seen.elements.get(key, wishes.now) <= wishes.keep
    ]
    lines = content.sheet.drawing.lines
    known = elements.keys() | set(stale)
    kept_lines = {
        pair: link
        for pair, link in board.lines.items()
        if pair not in lines
        and {*pair} <= known
        and wishes.now - seen.lines.get("\t".join(pair), wishes.now) <= wishes.keep
    }
    layout = _layout(content, board, stale, kept_lines, relayout=wishes.relayout)
    made = _Made(board, layout, wishes)
    for key, element in elements.items():
        made.add_element(element, content.submaps.get(key))
    made.keep_elements(stale)
    for pair, line in lines.items():
        shown = (line.client, line.server) not in layout.hidden
        label = content.labels.get(pair, "") if shown else ""
        made.add_line(pair, label, content.triggers.get(pair, ()))
    made.keep_lines(kept_lines)
    now = wishes.now
    remembered = Seen(
        {key: seen.elements.get(key, now) for key in stale} | dict.fromkeys(elements, now),
        {"\t".join(pair): seen.lines.get("\t".join(pair), now) for pair in kept_lines}
        | {"\t".join(pair): now for pair in lines},
        {"\t".join(pair): link["linkid"] for pair, link in kept_lines.items()},
        {},
    )
    return Merged(
        made.parameters(content.sheet.name), made.changes(), remembered, len(layout.hidden)
    )


def _layout(
    content: SheetContent,
    board: _Existing,
    stale: Sequence[str],
    kept_lines: Mapping[Pair, ApiObject],
    *,
    relayout: bool,
) -> Layout:
    drawing = content.sheet.drawing
    labels = {key: size_below(element_label(each)) for key, each in drawing.elements.items()}
    labels |= {key: size_below(board.ours[key]["label"]) for key in stale}
    lines = {
        (line.client, line.server): size_of(content.labels.get(pair, ""))
        for pair, line in drawing.lines.items()
    }
    lines |= {pair: size_of(link["label"]) for pair, link in kept_lines.items()}
    if relayout:
        return place(LayoutRequest(labels, lines))
    labels |= {key: size_below(each["label"]) for key, each in board.others.items()}
    points = {key: _point_of(each) for key, each in (board.ours | board.others).items()}
    return place(LayoutRequest(labels, lines), points)


def _point_of(element: ApiObject) -> Point:
    return Point(int(element["x"]) + ICON // 2, int(element["y"]) + ICON // 2)


class _Existing:
    """A map that is there, or none.

    Attributes:
        ours: our elements by key.
        others: elements that people have added, by a key of their own.
        lines: our lines by pair.
        foreign: all other lines.
    """

    def __init__(self, existing: ApiObject | None, seen: Seen) -> None:
        self.content = existing
        self.ours: dict[str, ApiObject] = {}
        self.others: dict[str, ApiObject] = {}
        for element in existing["selements"] if existing else ():
            key = key_of(element)
            if key and key not in self.ours:
                self.ours[key] = element
            else:
                self.others[f"{_OTHER}{element['selementid']}"] = element
        keys = {element["selementid"]: key for key, element in self.ours.items()}
        self.lines: dict[Pair, ApiObject] = {}
        self.foreign: list[ApiObject] = []
        ids = set(seen.links.values())
        links = existing["links"] if existing else ()
        for link in sorted(
            links, key=lambda each: (each["linkid"] not in ids, int(each["linkid"]))
        ):
            one, other = keys.get(link["selementid1"]), keys.get(link["selementid2"])
            pair = pair_of(one, other) if one and other else None
            if pair and pair not in self.lines and (link["linkid"] in ids or not ids):
                self.lines[pair] = link
            else:
                self.foreign.append(link)


def key_of(element: ApiObject) -> str:
    """Return the key of an element of the API; empty: people have added it."""
    for url in element.get("urls", ()):
        _, mark, key = str(url["url"]).partition(MARK)
        if mark:
            return unquote(key)
    return ""


def linked_pairs(existing: ApiObject, seen: Seen) -> dict[str, str]:
    """Return the ids of our lines on a map, by the keys of their elements with a tab between."""
    board = _Existing(existing, seen)
    return {"\t".join(pair): str(link["linkid"]) for pair, link in board.lines.items()}


class _Made:
    """The lists of elements and lines of a map, and how they differ from the existing ones."""

    def __init__(self, board: _Existing, layout: Layout, wishes: Wishes) -> None:
        self._board = board
        self._layout = layout
        self._wishes = wishes
        self._ids = {key: each["selementid"] for key, each in board.ours.items()}
        self._elements: list[ApiObject] = [_writable(each) for each in board.others.values()]
        self._links: list[ApiObject] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._kept: set[str] = set()
        numbers = [int(each) for each in self._ids.values()]
        numbers += [int(each["selementid"]) for each in board.others.values()]
        self._next = max(numbers, default=0) + 1_000_000

    def add_element(self, element: Element, submap: str | None) -> None:
        """Add an element of ours, new or as it is there with another label."""
        before = self._board.ours.get(element.key)
        wanted = _element_fields(element, submap)
        point = self._layout.points[element.key]
        place_on_map = {"x": str(point.x - ICON // 2), "y": str(point.y - ICON // 2)}
        if before is None:
            self._ids[element.key] = str(self._next)
            self._next += 1
            fields = {"selementid": self._ids[element.key], **wanted, **place_on_map}
            fields["iconid_off"] = self._wishes.icons.of(element)
            fields["urls"] = [{"name": _URL_NAME, "url": _url_of(element)}]
            self._count("elements", "added")
            self._elements.append(fields)
            return
        after = _writable(before) | wanted | (place_on_map if self._wishes.relayout else {})
        self._count("elements", "updated", only_if=after != _writable(before))
        self._kept.add(element.key)
        self._elements.append(after)

    def keep_elements(self, keys: Iterable[str]) -> None:
        """Keep elements of ours which are not drawn any more."""
        for key in keys:
            self._kept.add(key)
            self._elements.append(_writable(self._board.ours[key]))

    def add_line(self, pair: Pair, label: str, triggers: Sequence[Trigger]) -> None:
        """Add a line of ours, new or as it is there with another label or other triggers."""
        before = self._board.lines.get(pair)
        wanted: ApiObject = {
            "selementid1": self._ids[pair[0]],
            "selementid2": self._ids[pair[1]],
            "label": label,
        }
        if before is None:
            style = {"drawtype": PLAIN, "color": LINE_COLOR}
            self._links.append(wanted | style | {"linktriggers": [*map(_link_trigger, triggers)]})
            self._count("lines", "added")
            return
        wanted |= {each: before[each] for each in ("selementid1", "selementid2")}
        found = {each["triggerid"]: each for each in before["linktriggers"]}
        linked = [found.get(each.triggerid, _link_trigger(each)) for each in triggers]
        is_same = before["label"] == label and found.keys() == {each.triggerid for each in triggers}
        self._count("lines", "updated", only_if=not is_same)
        self._links.append(_writable(before) | wanted | {"linktriggers": linked})

    def keep_lines(self, lines: Mapping[Pair, ApiObject]) -> None:
        """Keep lines of ours which are not drawn any more."""
        self._links += [_writable(each) for each in lines.values()]

    def parameters(self, name: str) -> ApiObject:
        """Return the parameters of map.create or map.update."""
        ids = {each["selementid"] for each in self._elements}
        foreign = [
            _writable(each)
            for each in self._board.foreign
            if {each["selementid1"], each["selementid2"]} <= ids
        ]
        made: ApiObject = {"selements": self._elements, "links": [*self._links, *foreign]}
        existing = self._board.content
        if existing:
            height = max(int(existing["height"]), self._layout.height)
            return {"sysmapid": existing["sysmapid"], "height": str(height)} | made
        size = {"width": str(WIDTH), "height": str(self._layout.height)}
        shown = {"label_type": "0", "highlight": "1", "expandproblem": "0"}
        return {"name": name} | size | shown | made

    def changes(self) -> str:
        """Return the changes in words; empty if there are none."""
        gone = self._board.ours.keys() - self._kept
        self._counts["elements", "removed"] = len(gone)
        links = {each.get("linkid") for each in self._links}
        removed = sum(each["linkid"] not in links for each in self._board.lines.values())
        self._counts["lines", "removed"] = removed
        told = []
        for kind in ("elements", "lines"):
            counts = [(self._counts[kind, verb], verb) for verb in ("added", "updated", "removed")]
            words = ", ".join(f"{count} {verb}" for count, verb in counts if count)
            told += [f"{kind}: {words}"] if words else []
        return "; ".join(told)

    def _count(self, kind: str, verb: str, *, only_if: bool = True) -> None:
        self._counts[kind, verb] += only_if


def _writable(thing: ApiObject) -> ApiObject:
    """Return an object that the API has given without the fields that it does not take."""
    writable = {name: value for name, value in thing.items() if name not in _READ_ONLY}
    if "urls" in writable:
        writable["urls"] = [{"name": each["name"], "url": each["url"]} for each in thing["urls"]]
    return writable


def _element_fields(element: Element, submap: str | None) -> ApiObject:
    fields: ApiObject = {
        "label": element_label(element),
        "elementtype": _IMAGE_TYPE,
        "elements": [],
    }
    if submap:
        fields |= {"elementtype": _MAP_TYPE, "elements": [{"sysmapid": submap}]}
    elif element.kind == HOST:
        hosts = [{"hostid": each} for each in element.hostids]
        fields |= {"elementtype": _HOST_TYPE, "elements": hosts}
    return fields


def _url_of(element: Element) -> str:
    page = "zabbix.php?action=map.view"
    if element.kind == HOST:
        hostid = element.hostids[0]
        page = f"zabbix.php?action=latest.view&hostids%5B%5D={hostid}&filter_set=1"
    return f"{page}{MARK}{quote(element.key, safe='/:=')}"


def _link_trigger(trigger: Trigger) -> ApiObject:
    color, style = (FAULT_COLOR, BOLD) if trigger.is_fault else (SLOW_COLOR, DASHED)
    return {"triggerid": trigger.triggerid, "color": color, "drawtype": style}
