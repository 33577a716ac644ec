"""Geometry of a map: places, sizes and boxes in pixels, from the left and from above. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

ICON = 48
"""Width and height of an element's icon in pixels."""
_SPACE = 4
"""Pixels between two boxes that don't touch."""


class Point(NamedTuple):
    """The middle of an element's icon, in pixels from the left and from above."""

    x: int
    y: int


class Size(NamedTuple):
    """Width and height of a label in pixels."""

    width: int
    height: int


Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge."""


def element_box(point: Point, label: Size) -> Box:
    """Return the box of an icon with its label below."""
    half = max(ICON, label.width) / 2
    return point.x - half, point.y - ICON / 2, point.x + half, point.y + ICON / 2 + label.height


def label_box(one: Point, other: Point, label: Size) -> Box:
    """Return the box of a line's label, in the middle between its ends."""
    x, y = (one.x + other.x) / 2, (one.y + other.y) / 2
    return x - label.width / 2, y - label.height / 2, x + label.width / 2, y + label.height / 2


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes overlap."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def cuts(one: Point, other: Point, box: Box) -> bool:
    """Whether the line between two points passes through a box."""
    left, upper, right, lower = box
    near, far = (one, other) if one.x <= other.x else (other, one)
    if near.x >= right or far.x <= left:
        return False
    if near.x == far.x:
        return min(near.y, far.y) < lower and max(near.y, far.y) > upper
    slope = (far.y - near.y) / (far.x - near.x)
    begin = near.y + slope * (max(left, near.x) - near.x)
    end = near.y + slope * (min(right, far.x) - near.x)
    return min(begin, end) < lower and max(begin, end) > upper


def beside(box: Box, others: Iterable[Box]) -> list[Box]:
    """Return those of *others* that a box overlaps if it is moved up or down."""
    left, right = box[0] - _SPACE, box[2] + _SPACE
    return [each for each in others if left < each[2] and each[0] < right]


def overlaps(box: Box, others: Iterable[Box]) -> int:
    """Return how many of *others* overlap a box, or have nearly no space to it."""
    left, upper, right, lower = box
    left, upper, right, lower = left - _SPACE, upper - _SPACE, right + _SPACE, lower + _SPACE
    return sum(
        upper < other[3] and other[1] < lower and left < other[2] and other[0] < right
        for other in others
    )
