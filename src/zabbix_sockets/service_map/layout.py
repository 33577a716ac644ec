"""Layout of a map: columns from clients to servers, in which no two labels overlap. Pure.

igraph ranks the elements and orders those of a column so that few lines cross (layout_sugiyama, by
the method of Sugiyama, Tagawa and Toda, 1981). A line's label stands in its middle: so elements are
moved up and down until the middles are far enough from each other, and from elements.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

import igraph

from zabbix_sockets.service_map.boxes import (
    ICON,
    Box,
    Point,
    Size,
    beside,
    cuts,
    element_box,
    label_box,
    overlap,
    overlaps,
)
from zabbix_sockets.service_map.drawing import Pair

WIDTH = 1100
"""The width of a map in pixels: what a page has room for on a screen of 1,366."""
_MARGIN_X, _MARGIN_Y = 80, 50
_MOST_COLUMNS = 6
_SLOT = 100
"""The height of an element with its label, and of the space below it."""
_STEP = 10
_SWEEPS, _STRETCHES, _STRETCH = 6, 10, 1.1
_SMALL, _FEW, _MANY, _TRIES = 24, 40, 60, 6
"""Of so few lines places are looked for from several beginnings, of more than many not as well.
What lines pass behind counts in the end: of small maps in several of the places found, else in one.
"""
_MOST_SEARCHED = 120
"""Of so many lines no place is looked for: those labels are left out that don't fit."""
_HEAVY, _LIGHT, _SLIGHT = 10_000, 1_000, 1
"""What it costs that two elements overlap, that a label overlaps something, and that a line passes
behind an element that it doesn't lead to, or behind another line's label."""
_COLUMNS_BELOW = 6
"""The number of elements beside each other that have no line."""


class LayoutRequest(NamedTuple):
    """What is to be placed.

    Attributes:
        labels: the sizes of elements' labels, by key.
        lines: the sizes of lines' labels, by client and server.
    """

    labels: Mapping[str, Size]
    lines: Mapping[Pair, Size]


class Layout(NamedTuple):
    """Where all is.

    Attributes:
        points: of each element, by key.
        hidden: the lines whose labels have no room, by client and server.
    """

    points: Mapping[str, Point]
    hidden: frozenset[Pair]

    @property
    def height(self) -> int:
        """The height of the map in pixels."""
        lowest = max((point.y for point in self.points.values()), default=0)
        return max(400, lowest + _SLOT)


def place(request: LayoutRequest, fixed: Mapping[str, Point] | None = None) -> Layout:
    """Return a layout in which no two labels overlap.

    Elements that are *fixed* stay where they are; others are put beside those they have lines with.
    """
    kept = {key: fixed[key] for key in request.labels if fixed and key in fixed}
    if not kept:
        return _without_overlaps(request, _settled(request, _columns(request)))
    board = _Board(request, kept, with_lines=len(request.lines) <= _MANY)
    for key in _by_neighbours(request, kept):
        board.points[key] = board.free_place(key)
    return _without_overlaps(request, board.points)


def _columns(request: LayoutRequest) -> dict[str, Point]:
    """Return places in columns from clients to servers; elements without a line stand below."""
    talking = sorted({key for pair in request.lines for key in pair})
    points: dict[str, Point] = {}
    columns = _ordered(talking, _ranked(talking, sorted(request.lines)), sorted(request.lines))
    most = max(map(len, columns), default=0)
    gap = min(260, (WIDTH - 2 * _MARGIN_X) // max(1, len(columns) - 1))
    left = (WIDTH - gap * max(0, len(columns) - 1)) // 2
    for number, column in enumerate(columns):
        above = _MARGIN_Y + (most - len(column)) * _SLOT // 2
        for place_in, key in enumerate(column):
            points[key] = Point(left + number * gap, above + place_in * _SLOT)
    below = _MARGIN_Y + most * _SLOT
    gap = (WIDTH - 2 * _MARGIN_X) // (_COLUMNS_BELOW - 1)
    for number, key in enumerate(sorted(request.labels.keys() - points.keys())):
        row, column_below = divmod(number, _COLUMNS_BELOW)
        points[key] = Point(_MARGIN_X + column_below * gap, below + row * _SLOT)
    return points


def _ranked(keys: Sequence[str], lines: Sequence[Pair]) -> dict[str, int]:
    """Return the column of each key, by igraph's layers, of which there may be more."""
    if not keys:
        return {}
    layers = {key: round(y) for key, (_, y) in zip(keys, _sugiyama(keys, lines))}
    used = sorted(set(layers.values()))
    last = max(1, len(used) - 1)
    columns = min(last, _MOST_COLUMNS - 1)
    return {key: round(used.index(layer) * columns / last) for key, layer in layers.items()}


def _ordered(
    keys: Sequence[str], column_of: Mapping[str, int], lines: Iterable[Pair]
) -> list[list[str]]:
    """Return the columns, each in an order by which few lines cross."""
    forward = [
        pair if column_of[pair[0]] < column_of[pair[1]] else pair[::-1]
        for pair in lines
        if column_of[pair[0]] != column_of[pair[1]]
    ]
    columns: dict[int, list[tuple[float, str]]] = defaultdict(list)
    if keys:
        layers = [column_of[key] for key in keys]
        for key, (x, _) in zip(keys, _sugiyama(keys, forward, layers)):
            columns[column_of[key]].append((x, key))
    return [[key for _, key in sorted(columns[number])] for number in sorted(columns)]


def _sugiyama(
    keys: Sequence[str], lines: Iterable[Sequence[str]], layers: list[int] | None = None
) -> list[tuple[float, float]]:
    numbers = {key: number for number, key in enumerate(keys)}
    edges = [(numbers[pair[0]], numbers[pair[1]]) for pair in lines]
    graph = igraph.Graph(n=len(keys), edges=edges, directed=True)
    found: list[tuple[float, float]] = graph.layout_sugiyama(layers=layers).coords[: len(keys)]
    return found


def _settled(request: LayoutRequest, points: dict[str, Point]) -> dict[str, Point]:
    """Return the points, moved up or down until nothing overlaps, and as little apart as may be.

    What is found depends on where the search begins: so several beginnings are tried.
    """
    if len(request.lines) > _MOST_SEARCHED:
        return points
    tries = _TRIES if len(request.lines) <= _FEW else 1
    found: list[tuple[float, dict[str, Point]]] = []
    for stretch in range(0, _STRETCHES, 1 if len(request.lines) <= _MANY else 4):
        for number in range(tries):
            begin = _apart(points, _STRETCH**stretch, number)
            board = _Board(request, begin, with_lines=False)
            found.append((board.settle(), board.points))
        if min(cost for cost, _ in found) < _LIGHT:
            break
    found.sort(key=lambda each: each[0])
    if len(request.lines) > _MANY:
        return found[0][1]
    boards = [
        _Board(request, each) for _, each in found[: _TRIES if len(request.lines) <= _SMALL else 1]
    ]
    return min((board.settle(), number, board.points) for number, board in enumerate(boards))[2]


def _apart(points: Mapping[str, Point], factor: float, number: int) -> dict[str, Point]:
    """Return points that are *factor* as far from each other, and another way with each *number*.

    The ways are the same each time, as Random(number) gives the same numbers.
    """
    rng = Random(number)  # noqa: S311  # it chooses places
    moved = {}
    for key, (x, y) in sorted(points.items()):
        shift = rng.randint(-_SLOT // 2, _SLOT // 2) if number else 0
        steps = round(((y - _MARGIN_Y) * factor + shift) / _STEP)
        moved[key] = Point(x, _MARGIN_Y + max(0, steps) * _STEP)
    return moved


def _by_neighbours(request: LayoutRequest, kept: Mapping[str, Point]) -> Iterator[str]:
    """Yield the keys that have no place yet: those first that have lines with placed ones."""
    placed, waiting = set(kept), sorted(request.labels.keys() - kept.keys())
    while waiting:
        touched = {key for pair in request.lines if placed & {*pair} for key in pair}
        key = next((each for each in waiting if each in touched), waiting[0])
        waiting.remove(key)
        placed.add(key)
        yield key


class _Board:
    """Points of elements, how many boxes overlap there, and how many lines pass behind elements.

    Args:
        request: what is to be placed.
        points: where elements are; of others the lines count for nothing.
        with_lines: what lines pass behind counts as well.
    """

    def __init__(
        self, request: LayoutRequest, points: Mapping[str, Point], *, with_lines: bool = True
    ) -> None:
        self.points = dict(points)
        self._with_lines = with_lines
        self._request = request
        self._lines_of: dict[str, list[Pair]] = defaultdict(list)
        for pair in request.lines:
            for key in pair:
                self._lines_of[key].append(pair)

    def settle(self) -> float:
        """Move elements up and down until nothing overlaps; return what it still costs."""
        total = math.inf
        for _ in range(_SWEEPS):
            costs = {key: self._column(key, at.x).cost(at.y) for key, at in self.points.items()}
            before, total = total, sum(costs.values())
            if not total or total >= before:
                break
            for key in sorted(costs, key=lambda each: (-costs[each], each)):
                if costs[key]:
                    self.points[key] = self._better(key)
        return total

    def _better(self, key: str) -> Point:
        now = self.points[key]
        column = self._column(key, now.x)
        best, least = now.y, column.cost(now.y)
        for dy in sorted(range(-_SLOT, _SLOT + 1, _STEP), key=abs):
            if least and now.y + dy >= _MARGIN_Y - ICON / 2:
                cost = column.cost(now.y + dy)
                if cost < least:
                    best, least = now.y + dy, cost
        return Point(now.x, best)

    def free_place(self, key: str) -> Point:
        """Return the place for a new element, near those that it has lines with."""
        near = [
            self.points[each]
            for pair in self._lines_of[key]
            for each in pair
            if each != key and each in self.points
        ]
        lowest = max(point.y for point in self.points.values())
        wanted = Point(
            sum(point.x for point in near) // len(near) if near else _MARGIN_X,
            sum(point.y for point in near) // len(near) if near else lowest + _SLOT,
        )
        costs = {
            Point(x, y): column.cost(y)
            for x in range(_MARGIN_X, WIDTH - _MARGIN_X + 1, 47)
            for column in (self._column(key, x),)
            for y in range(_MARGIN_Y, lowest + 2 * _SLOT, 30)
        }
        return min(costs, key=lambda point: (costs[point], math.dist(point, wanted), point))

    def _column(self, key: str, x: int) -> _Column:
        points, sizes = self.points, self._request.lines
        others = {each: point for each, point in points.items() if each != key}
        boxes = [element_box(point, self._request.labels[each]) for each, point in others.items()]
        drawn = [
            (others[one], others[other], size)
            for (one, other), size in sizes.items()
            if one in others and other in others
        ]
        ends = [
            (points[end], sizes[pair])
            for pair in self._lines_of[key]
            for end in pair
            if end != key and end in points
        ]
        column = _Column(x, self._request.labels[key], boxes, drawn, ends)
        if self._with_lines:
            column.add_lines(boxes, drawn)
        return column


class _Column:
    """The places of one element at the same distance from the left.

    Whatever is too far to the left or right of it, of its lines, and of their labels is left out of
    each comparison.

    Args:
        x: the distance.
        label: the size of the element's label.
        boxes: those of the other elements.
        drawn: the other lines: their ends, and the sizes of their labels.
        ends: the other ends of the element's lines, and the sizes of their labels.
    """

    def __init__(
        self,
        x: int,
        label: Size,
        boxes: Sequence[Box],
        drawn: Sequence[tuple[Point, Point, Size]],
        ends: Sequence[tuple[Point, Size]],
    ) -> None:
        self._x, self._label, self._ends = x, label, ends
        labels = [label_box(*each) for each in drawn if each[2].width]
        own = element_box(Point(x, 0), label)
        self._boxes, self._labels = beside(own, boxes), beside(own, labels)
        moved = [label_box(Point(x, 0), end, size) for end, size in ends]
        self._near = [beside(each, [*boxes, *labels]) for each in moved]
        self._between: list[list[Box]] = [[] for _ in ends]
        self._behind: list[tuple[Point, Point]] = []
        self._behind_labels: list[list[tuple[Point, Point]]] = [[] for _ in ends]

    def add_lines(self, boxes: Sequence[Box], drawn: Sequence[tuple[Point, Point, Size]]) -> None:
        """Count in cost() from now on, too, which lines pass behind an element or a label."""
        x, ends = self._x, self._ends
        obstacles = [*boxes, *(label_box(*each) for each in drawn if each[2].width)]
        self._between = [
            [
                box
                for box in beside((min(x, end.x), 0, max(x, end.x), 0), obstacles)
                if not overlap(box, element_box(end, Size(0, 0)))
            ]
            for end, _ in ends
        ]
        lines = [(one, other) for one, other, _ in drawn]
        self._behind = _behind(element_box(Point(x, 0), self._label), lines)
        self._behind_labels = [
            _behind(label_box(Point(x, 0), end, size), lines) for end, size in ends
        ]

    def cost(self, y: int) -> int:
        """Return the cost of the place *y* pixels from above: of what is overlapped and cut."""
        point = Point(self._x, y)
        own = element_box(point, self._label)
        cost = _HEAVY * overlaps(own, self._boxes) + _LIGHT * overlaps(own, self._labels)
        cost += _SLIGHT * sum(cuts(one, other, own) for one, other in self._behind)
        moved: list[Box] = [own]
        for (end, size), near, between, behind in zip(
            self._ends, self._near, self._between, self._behind_labels
        ):
            cost += _SLIGHT * sum(cuts(point, end, box) for box in between)
            if size.width:
                box = label_box(point, end, size)
                cost += _LIGHT * (overlaps(box, near) + overlaps(box, moved))
                cost += _SLIGHT * sum(cuts(one, other, box) for one, other in behind)
                moved.append(box)
        return cost


def _behind(box: Box, lines: Iterable[tuple[Point, Point]]) -> list[tuple[Point, Point]]:
    """Return those of *lines* that may pass behind a box if it is moved up or down."""
    return [
        (one, other)
        for one, other in lines
        if min(one.x, other.x) < box[2] and box[0] < max(one.x, other.x)
    ]


def _without_overlaps(request: LayoutRequest, points: Mapping[str, Point]) -> Layout:
    """Return the layout at these points, where labels that would overlap others are hidden."""
    taken = [element_box(points[key], size) for key, size in request.labels.items()]
    hidden = set()
    for pair, size in sorted(request.lines.items()):
        if size.width:
            box = label_box(points[pair[0]], points[pair[1]], size)
            if any(overlap(box, other) for other in taken):
                hidden.add(pair)
            else:
                taken.append(box)
    return Layout(points, frozenset(hidden))
