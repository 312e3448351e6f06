"""Where the labels of points stand, so that none lies on another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

LETTER = 7.5
"""Pixels that a letter of a label takes, about."""

LINE = 15.0
"""And its height."""

GAP = 9.0
"""Pixels between a point and its label."""


class Spot(NamedTuple):
    """Where a label stands: how it is aligned, and how far its anchor is from the point."""

    align: str
    baseline: str
    dx: float
    dy: float


SPOTS = (
    Spot("left", "middle", GAP, 0),
    Spot("right", "middle", -GAP, 0),
    Spot("center", "bottom", 0, -GAP),
    Spot("center", "top", 0, GAP),
    Spot("left", "bottom", GAP, -GAP),
    Spot("left", "top", GAP, GAP),
    Spot("right", "bottom", -GAP, -GAP),
    Spot("right", "top", -GAP, GAP),
)
"""In the order in which they are tried."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def placed(
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    width: float,
    height: float,
    *,
    others: Sequence[Box] = (),
) -> list[Spot]:
    """Choose a spot for each label: the first that is free and within the picture.

    Args:
        points: pixels from the left and from the top.
        names: what stands there.
        width: of the picture, in pixels.
        height: likewise.
        others: what else no label should lie on: left, top, right and bottom.
    """
    taken: list[Box] = [*((x - 6, y - 6, x + 6, y + 6) for x, y in points), *others]
    found = []
    for point, name in zip(points, names, strict=True):
        boxes = [(spot, _box(point, name, spot)) for spot in SPOTS]
        inside = [
            (spot, box)
            for spot, box in boxes
            if box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
        ]
        spot, box = min(inside or boxes, key=lambda each: sum(_meet(each[1], one) for one in taken))
        taken.append(box)
        found.append(spot)
    return found


def _box(point: tuple[float, float], name: str, spot: Spot) -> Box:
    wide = LETTER * len(name)
    x, y = point[0] + spot.dx, point[1] + spot.dy
    left = x - {"left": 0.0, "right": wide, "center": wide / 2}[spot.align]
    top = y - {"top": 0.0, "bottom": LINE, "middle": LINE / 2}[spot.baseline]
    return left, top, left + wide, top + LINE


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
