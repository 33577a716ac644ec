"""Labels: names of which nothing is expanded, bounded, with figures that are live or dated."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.service_map.drawing import Element, LinePart, MapLine
from zabbix_sockets.service_map.labels import (
    MAX_LABEL,
    LabelFigures,
    element_label,
    line_label,
    safe_text,
    size_of,
    sum_label,
)

ROW = "php>tcp/10.0.0.3:5432"
KEY = f'sockets.upstream.established["{ROW}"]'
LIVE = f"{{?last(/web 1/{KEY})}}"
FIGURES = LabelFigures(
    {("1", ROW): ("web 1", KEY)}, {("1", "a"): 7, ("1", "b"): 5}, {}, "as of 3 Dec 2026, 10:00"
)


def line(*parts: LinePart) -> MapLine:
    """Return a line with these parts."""
    return MapLine("host/1", "host/2", parts)


def part(*rows: str, client: str = "php", server: str = "postgres") -> LinePart:
    """Return a part of these rows of the host 1."""
    return LinePart(client, server, tuple(("1", row) for row in rows), ())


def test_live_figure() -> None:
    """It is one function of one item, which the server expands whenever somebody looks."""
    assert line_label(line(part(ROW)), FIGURES) == f"php → postgres: {LIVE}"


def test_figure_of_the_drawing() -> None:
    """Without an item it is the sum as of the drawing, and dated."""
    label = line_label(line(part("a", "b")), FIGURES)
    assert label == "php → postgres: 12\nas of 3 Dec 2026, 10:00"


def test_no_figure() -> None:
    """What nobody knows is not made up: several ends are counted."""
    assert line_label(line(part("x")), FIGURES) == "php → postgres"
    assert line_label(line(part("x", "a")), FIGURES) == "php → postgres (2)"


def test_three_processes() -> None:
    """The rest is a number."""
    parts = [part(str(number), client=f"p{number}") for number in range(7)]
    assert line_label(line(*parts), FIGURES).splitlines() == [
        *("p0 → postgres", "p1 → postgres", "p2 → postgres", "+ 4 more"),
    ]


def test_sums() -> None:
    """Between groups it is an item's, where there is one, else how many upstreams there were."""
    found = line(part("a", "b"), part(ROW))
    assert sum_label(found, FIGURES) == "3 upstreams\nas of 3 Dec 2026, 10:00"
    sums = {found.pair: ("sums", 'sockets.map.sum["1"]')}
    label = sum_label(found, FIGURES._replace(sums=sums))
    assert label == '{?last(/sums/sockets.map.sum["1"])} connections'


def test_inside() -> None:
    """An element tells some of what is inside."""
    inside = tuple(f"p{number} → redis" for number in range(6))
    lines = element_label(Element("host/1", "web", ("1",), inside)).splitlines()
    assert lines == ["web", *inside[:4], "+ 2 more"]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("{?last(/other/key)}", "{ ?last(/other/key)}"),
        ("{HOST.IP}{{$X}}", "{ HOST.IP}{ { $X}}"),
        ("two\nlines\x1b[1m", "two lines [1m"),
        ("x" * 40, "x" * 29 + "…"),
        ("", ""),
    ],
)
def test_hostile_names(text: str, safe: str) -> None:
    """No macro begins in a name, and it has one line."""
    assert safe_text(text) == safe


NAMES = st.text(max_size=200) | st.sampled_from(["{?last(/a/b)}", "{HOST.NAME}", "{$X}", "\n{?"])


@given(NAMES, st.lists(st.tuples(NAMES, NAMES, st.sampled_from([ROW, "a", "x"])), max_size=9))
def test_any_names(name: str, parts: list[tuple[str, str, str]]) -> None:
    """The only macros are ours, and the label is short enough."""
    made = [part(row, client=client, server=server) for client, server, row in parts]
    for label in (element_label(Element("end/1", name)), line_label(line(*made), FIGURES)):
        assert len(label) <= MAX_LABEL
        assert not re.search(r"\{[^ ]", label.replace(LIVE, ""))


def test_size() -> None:
    """A live figure takes the room of a number, not of its expression."""
    assert size_of(f"php → postgres: {LIVE}") == size_of("php → postgres: 1234")
    assert size_of("a").height < size_of("a\nbb").height < 2 * size_of("a").height
    assert size_of("").width == 0
