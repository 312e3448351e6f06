"""How often is a change told of a history that has none, and how often one that it has?

    python scripts/history_study.py                 # some minutes
    python scripts/history_study.py --markdown      # the tables of docs/statistics.md

Histories are drawn, and judged by whisperbench.judge.change_points with the tolerance of wall time.
Each has twenty figures. Exits with 1 where an unchanged history whose recordings do not depend on
each other is told to have changed more often than `FALSE_CHANGES`, by more than chance would.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from whisperbench.judge.change_points import FALSE_CHANGES, believed, change_points  # noqa: E402
from whisperbench.results.kinds import KINDS  # noqa: E402

Array: TypeAlias = NDArray[np.float64]
Draw: TypeAlias = Callable[[np.random.Generator, int, int], Array]

FIGURES = 20
TOLERANCE = KINDS["wall"].share
LENGTHS = (6, 10, 20, 40)
GROWTHS = (5, 10, 15, 20, 30)
"""In percent."""


def normal(spread: float) -> Draw:
    """Draw recordings that do not depend on each other: logarithms, a row a figure."""
    return lambda random, figures, size: random.normal(0, spread, (figures, size))


def heavy(random: np.random.Generator, figures: int, size: int) -> Array:
    """Draw recordings with some far from the others: Student's t of 3, standard deviation 5 %."""
    drawn: Array = 0.05 * random.standard_t(3, (figures, size)) / np.sqrt(3)
    return drawn


def slow(random: np.random.Generator, figures: int, size: int) -> Array:
    """Draw recordings of which one in ten is slow by 30 % in all figures."""
    return random.normal(0, 0.02, (figures, size)) + 0.26 * (random.random((1, size)) < 0.1)


def of_a_day(random: np.random.Generator, figures: int, size: int) -> Array:
    """Draw recordings whose figures have most of their noise in common."""
    return random.normal(0, 0.05, (1, size)) + random.normal(0, 0.02, (figures, size))


def drifting(random: np.random.Generator, figures: int, size: int) -> Array:
    """Draw recordings that depend on the one before: half of its noise, 5 % in all."""
    rows = random.normal(0, 0.05, (figures, size))
    for place in range(1, size):
        rows[:, place] = 0.5 * rows[:, place - 1] + np.sqrt(0.75) * rows[:, place]
    return rows


SHAPES: dict[str, Draw] = {
    "normal, 2 %": normal(0.02),
    "normal, 5 %": normal(0.05),
    "normal, 10 %": normal(0.10),
    "normal, 20 %": normal(0.20),
    "heavy tails, 5 %": heavy,
    "one recording in ten is slow by 30 %": slow,
    "all figures share 5 % of a recording": of_a_day,
    "each recording has half of the last one's noise, 5 %": drifting,
}
DEPENDENT = ("each recording has half of the last one's noise, 5 %",)
"""Shapes for which nothing is claimed: recordings of them cannot be put in another order."""


def told(logarithms: Array) -> list[list[int]]:
    """Return the places of the changes that are told of each figure of a history."""
    found = [
        change_points(list(np.exp(row)), room=lambda level: TOLERANCE * level) for row in logarithms
    ]
    return [[point.at for point in points] for points in believed(found)]


def false_alarms(draw: Draw, size: int, histories: int, seed: int) -> float:
    """Return the share of unchanged histories of which a change is told."""
    random = np.random.default_rng(seed)
    return float(np.mean([any(told(draw(random, FIGURES, size))) for _ in range(histories)]))


def found(
    draw: Draw, growth: float, at: int, changed: int, histories: int, seed: int, size: int = 20
) -> float:
    """Return the share of figures that changed at a place and are told to, give or take one."""
    random = np.random.default_rng(seed)
    hits = 0
    for _ in range(histories):
        rows = draw(random, FIGURES, size)
        rows[:changed, at:] += np.log1p(growth)
        hits += sum(any(abs(place - at) <= 1 for place in each) for each in told(rows)[:changed])
    return hits / (changed * histories)


def table(heads: Sequence[str], rows: Iterator[Sequence[str]], markdown: bool) -> None:
    """Print a table."""
    if markdown:
        print(f"| {' | '.join(heads)} |")
        print(f"| --- |{' ---: |' * (len(heads) - 1)}")
    else:
        print("; ".join(heads))
    for row in rows:
        print(f"| {' | '.join(row)} |" if markdown else "; ".join(row), flush=True)
    print()


def main() -> int:
    """Draw, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    worst = 0.0

    def unchanged() -> Iterator[Sequence[str]]:
        nonlocal worst
        for name, draw in SHAPES.items():
            shares = [false_alarms(draw, size, given.histories, given.seed) for size in LENGTHS]
            if name not in DEPENDENT:
                worst = max(worst, *shares)
            yield [name, *(f"{100 * share:.1f}" for share in shares)]

    def power() -> Iterator[Sequence[str]]:
        for name in ("normal, 2 %", "normal, 5 %"):
            for at, where in ((10, "ten"), (17, "three"), (18, "two")):
                for changed, which in ((1, "one figure"), (FIGURES, "all figures")):
                    shares = [
                        found(
                            SHAPES[name],
                            growth / 100,
                            at,
                            changed,
                            max(1, given.histories // (5 if changed == 1 else 50)),
                            given.seed,
                        )
                        for growth in GROWTHS
                    ]
                    yield [
                        f"{name}; {which}, the last {where}",
                        *(f"{100 * share:.0f}" for share in shares),
                    ]

    heads = ("recordings", *(f"{size} of them" for size in LENGTHS))
    table(heads, unchanged(), given.markdown)
    table(("what changed", *(f"+{growth} %" for growth in GROWTHS)), power(), given.markdown)
    chance = 3 * np.sqrt(FALSE_CHANGES * (1 - FALSE_CHANGES) / given.histories)
    return int(worst > FALSE_CHANGES + chance)


if __name__ == "__main__":
    sys.exit(main())
