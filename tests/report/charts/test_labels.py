"""Labels of points: where they stand."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from whisperbench.report.charts.labels import LETTER, LINE, Spot, placed

SIZE = (480.0, 260.0)

POINTS = st.lists(
    st.tuples(st.integers(40, 440), st.integers(40, 220)), min_size=1, max_size=4, unique=True
)


def box_of(point: tuple[float, float], name: str, spot: Spot) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a label."""
    wide = LETTER * len(name)
    left = point[0] + spot.dx - {"left": 0.0, "center": wide / 2, "right": wide}[spot.align]
    top = point[1] + spot.dy - {"top": 0.0, "middle": LINE / 2, "bottom": LINE}[spot.baseline]
    return left, top, left + wide, top + LINE


@given(POINTS)
@settings(max_examples=60, deadline=None)
def test_labels_of_few_points_do_not_meet(points: list[tuple[float, float]]) -> None:
    """With a few points, and short names, there is room for each, and it is found."""
    names = ["int8"] * len(points)
    spots = placed(points, names, *SIZE)
    boxes = [box_of(*each) for each in zip(points, names, spots, strict=True)]
    for one, other in combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_a_label_stays_within_the_picture() -> None:
    """At the right edge it stands to the left of its point."""
    (spot,) = placed([(470.0, 100.0)], ["int8, 7.2 ×"], *SIZE)
    assert spot.align == "right"
