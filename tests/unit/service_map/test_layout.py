"""Layout: columns from clients to servers, labels that overlap nothing, places that stay."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds import LAYOUTS

from zabbix_sockets.service_map.boxes import (
    ICON,
    Point,
    Size,
    cuts,
    element_box,
    label_box,
    overlap,
)
from zabbix_sockets.service_map.layout import WIDTH, Layout, LayoutRequest, place

LABEL = Size(80, 14)


@st.composite
def requests(draw: st.DrawFn) -> LayoutRequest:
    """Return any drawing's sizes, of up to twelve elements."""
    count = draw(st.integers(1, 12))
    keys = [f"host/{number}" for number in range(count)]
    sizes = st.builds(Size, st.integers(20, 180), st.sampled_from([14, 28]))
    pairs = st.tuples(st.sampled_from(keys), st.sampled_from(keys))
    drawn = draw(st.lists(pairs.filter(lambda pair: pair[0] != pair[1]), max_size=12))
    lines = {pair: draw(sizes) for pair in drawn if pair[::-1] not in drawn or pair < pair[::-1]}
    return LayoutRequest({key: draw(sizes) for key in keys}, lines)


def labels_of(request: LayoutRequest, layout: Layout) -> dict[tuple[str, str], tuple[float, ...]]:
    """Return the boxes of the lines' labels that are shown."""
    return {
        pair: label_box(layout.points[pair[0]], layout.points[pair[1]], size)
        for pair, size in request.lines.items()
        if pair not in layout.hidden
    }


def chain(*names: str) -> LayoutRequest:
    """Return elements of which each connects to the next."""
    lines = {pair: Size(100, 14) for pair in zip(names, names[1:])}
    return LayoutRequest(dict.fromkeys(names, LABEL), lines)


def test_from_clients_to_servers() -> None:
    """Each layer is right of the one before."""
    request = chain("host/balancer", "host/web", "host/php", "host/database")
    xs = [place(request).points[key].x for key in request.labels]
    assert xs == sorted(xs)
    assert len(set(xs)) == 4


def test_shop_needs_no_room() -> None:
    """Three web servers, two of PHP and a database fit a small screen, with all their labels."""
    web, php = [f"host/web{number}" for number in range(3)], ["host/php1", "host/php2"]
    lines = {("host/lb", each): Size(110, 14) for each in web}
    lines |= {(one, other): Size(130, 14) for one in web for other in php}
    lines |= {(each, "host/db"): Size(140, 28) for each in php}
    request = LayoutRequest({key: LABEL for pair in lines for key in pair}, lines)
    layout = place(request)
    assert not layout.hidden
    assert layout.height <= 700


@given(requests())
@settings(deadline=None, max_examples=LAYOUTS)
def test_nothing_overlaps(request: LayoutRequest) -> None:
    """No label that is shown overlaps another one, or an element; all are within the width."""
    layout = place(request)
    assert layout.points.keys() == request.labels.keys()
    labels = labels_of(request, layout)
    elements = [element_box(layout.points[key], size) for key, size in request.labels.items()]
    assert not [1 for pair in combinations(labels.values(), 2) if overlap(*pair)]  # type: ignore[arg-type]
    for label in labels.values():
        assert not [box for box in elements if overlap(label, box)]  # type: ignore[arg-type]
    for point in layout.points.values():
        assert ICON / 2 <= point.x <= WIDTH - ICON / 2
        assert ICON / 2 <= point.y < layout.height


@given(requests())
@settings(deadline=None, max_examples=LAYOUTS)
def test_icons_are_apart(request: LayoutRequest) -> None:
    """No two elements are at one place."""
    icons = [element_box(point, Size(0, 0)) for point in place(request).points.values()]
    assert not [pair for pair in combinations(icons, 2) if overlap(*pair)]


@given(requests())
@settings(deadline=None, max_examples=LAYOUTS)
def test_the_same_again(request: LayoutRequest) -> None:
    """A layout depends on nothing but the drawing, and is kept with all in its place."""
    layout = place(request)
    assert place(request) == layout
    assert place(request, layout.points) == layout


@given(requests(), st.data())
@settings(deadline=None, max_examples=LAYOUTS)
def test_what_is_there_stays(request: LayoutRequest, data: st.DataObject) -> None:
    """New elements find a place beside those that a person has put somewhere."""
    keys = sorted(request.labels)
    fixed = {
        key: Point(60 + 120 * number, 60 + data.draw(st.integers(0, 300)))
        for number, key in enumerate(keys[::2])
    }
    layout = place(request, fixed)
    assert fixed.items() <= layout.points.items()
    new = [element_box(layout.points[key], Size(0, 0)) for key in keys[1::2]]
    others = [element_box(point, Size(0, 0)) for key, point in fixed.items()]
    assert not [1 for box in new for other in others if overlap(box, other)]


def test_elements_without_lines() -> None:
    """They stand below the others, side by side."""
    request = chain("host/a", "host/b")
    alone = {f"host/alone{number}": LABEL for number in range(8)}
    points = place(LayoutRequest({**request.labels, **alone}, request.lines)).points
    lowest = max(points["host/a"].y, points["host/b"].y)
    assert all(points[key].y > lowest for key in alone)
    assert len({points[key] for key in alone}) == 8


def test_nothing_at_all() -> None:
    """An empty map has a size."""
    assert place(LayoutRequest({}, {})).height >= 400


def test_lines_keep_away() -> None:
    """A line passes behind no element and no label, where there is room beside them."""
    request = chain("host/balancer", "host/web", "host/php", "host/database")
    lines = {**request.lines, ("host/balancer", "host/database"): Size(100, 14)}
    request = request._replace(lines=lines)
    points = place(request).points
    boxes = [(key, element_box(points[key], size)) for key, size in request.labels.items()]
    for pair, size in lines.items():
        label = label_box(points[pair[0]], points[pair[1]], size)
        others = [each for each in lines if each != pair]
        assert not [each for each in others if cuts(points[each[0]], points[each[1]], label)]
        assert not [
            key
            for key, box in boxes
            if key not in pair and cuts(points[pair[0]], points[pair[1]], box)
        ]


BOX = (10.0, 10.0, 20.0, 20.0)


@pytest.mark.parametrize(
    ("one", "other", "through"),
    [
        (Point(0, 15), Point(30, 15), True),
        (Point(30, 15), Point(0, 15), True),
        (Point(0, 0), Point(30, 30), True),
        (Point(0, 30), Point(30, 0), True),
        (Point(15, 0), Point(15, 30), True),
        (Point(0, 9), Point(30, 9), False),
        (Point(0, 0), Point(9, 30), False),
        (Point(0, 0), Point(30, 9), False),
        (Point(15, 21), Point(15, 30), False),
        (Point(0, 8), Point(30, 30), True),
        (Point(0, 22), Point(30, 40), False),
        (Point(15, 15), Point(16, 16), True),
    ],
)
def test_cuts(one: Point, other: Point, *, through: bool) -> None:
    """A line passes through a box from whatever side, and not beside it."""
    assert cuts(one, other, BOX) is through
