"""Derive the boundaries of the sequential test, and write whisperbench/judge/boundaries.py.

    python scripts/sequential_boundaries.py            # writes the module, in a few minutes
    python scripts/sequential_boundaries.py --check    # derives anew, and compares the module

Pairs are normal, so that Student's t of the first n of them depends on nothing that is unknown,
their spread included. Each look spends a part of the error (Lan and DeMets, *Discrete sequential
boundaries for clinical trials*, Biometrika 70, 1983): the boundary of a look is what t exceeds
there, having exceeded no earlier boundary, with just the probability that the look may spend.

Such probabilities are as small as one in 40 million, and plain simulation would see none. So it is
conditional: t of the look itself is drawn from the tail that is at stake, of which Student's
distribution gives the probability, and the pairs are drawn given that t. (Their deviations from
their mean have a direction that is uniform on a sphere, whatever t is.) What is left to count is
whether an earlier look would have stopped, which is no rare event.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from whisperbench.judge.statistics import FALSE_ALARMS, MISSED  # noqa: E402

Array: TypeAlias = NDArray[np.float64]
Row: TypeAlias = dict[int, float]
"""Boundaries by pairs."""

MODULE = ROOT / "whisperbench" / "judge" / "boundaries.py"

SPENT_ON_ALARMS = {
    3: 0.002,
    4: 0.01,
    5: 0.015,
    6: 0.12,
    7: 0.2,
    8: 0.3,
    10: 0.5,
    12: 0.7,
    16: 1.0,
}
"""By pairs, how much of the error is spent by each look. With three to five pairs it is next to
nothing: only the extreme is to be believed there, for there it matters most whether pairs are
normal (docs/statistics.md)."""
SPENT_ON_MISSED = {
    3: 0.01,
    4: 0.08,
    5: 0.22,
    6: 0.38,
    7: 0.5,
    8: 0.6,
    10: 0.75,
    12: 0.86,
    16: 1.0,
}
"""Likewise for `ok`, which is to come early: nearly all code is unchanged, and each pair takes the
better part of a minute."""
LOOKS = tuple(SPENT_ON_ALARMS)

FAMILIES = (
    *(1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256),
    *(512, 1024, 2048, 4096),
)
DIGITS = 4
AGREE = 0.01
"""By how much two derivations may differ by chance, as a share of a boundary."""


class Error(NamedTuple):
    """How often a rule may err."""

    whole: float
    """One-sided, over all looks together."""
    spent: Row
    """How much of it is spent by each look, as a share."""


class Table(NamedTuple):
    """Boundaries of one error."""

    interim: Row
    """Of a look that others follow."""
    last: Row
    """Of the last look, by how many pairs that has."""


class Deviations:
    """Deviations of pairs from their own mean: of length 1, in a direction that is uniform."""

    def __init__(self, pairs: int, draws: int, rng: np.random.Generator) -> None:
        deviations = rng.normal(size=(draws, pairs))
        deviations -= deviations.mean(axis=1, keepdims=True)
        deviations /= np.linalg.norm(deviations, axis=1, keepdims=True)
        self.pairs = pairs
        self.strata = (np.arange(draws) + rng.random(draws)) / draws
        """Numbers that are uniform on 0..1 and ascend: one in each of as many equal parts."""
        self.of_looks = {
            look: (
                deviations[:, :look].mean(axis=1),
                deviations[:, :look].std(axis=1, ddof=1) / math.sqrt(look),
            )
            for look in LOOKS
            if look < pairs
        }
        """Mean and its standard error at each earlier look."""

    def boundary(self, earlier: Row, before: float, by_now: float) -> float:
        """Return the boundary of a look that may spend what is left of an error.

        t lies above its quantile of `by_now` wherever a look up to this one may stop at all: the
        boundary is no less than that, for what earlier looks spent is at most counted twice.

        Args:
            earlier: boundaries of the looks before it.
            before: what these spend together: a probability.
            by_now: what is spent with this look, likewise.
        """
        freedom = self.pairs - 1
        tails = by_now * self.strata
        means = -stdtrit(freedom, tails) / math.sqrt(self.pairs * freedom)
        going_on = np.ones(len(tails), dtype=bool)
        for look, boundary in earlier.items():
            mean, error = self.of_looks[look]
            going_on &= means + mean <= boundary * error
        reached = tails[going_on]
        counted = round(len(tails) * (by_now - before) / by_now)
        return rounded_up(-float(stdtrit(freedom, reached[min(counted, len(reached)) - 1])))


def rounded_up(boundary: float) -> float:
    """Return a boundary with few digits, and never less than it was."""
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(boundary)))
    return math.ceil(boundary * scale) / scale


def derive(errors: dict[int, Error], draws: int, seed: int) -> dict[int, Table]:
    """Return the boundaries of each error, by its name.

    Args:
        errors: how often rules may err, by a name.
        draws: simulated comparisons for each boundary.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    tables = {name: Table({}, {}) for name in errors}
    for pairs in range(LOOKS[0], LOOKS[-1] + 1):
        deviations = Deviations(pairs, draws, rng)
        for name, (whole, spent) in errors.items():
            interim, last = tables[name]
            before = whole * max((spent[look] for look in interim), default=0.0)
            last[pairs] = deviations.boundary(interim, before, whole)
            if pairs in LOOKS[:-1]:
                by_now = whole * spent[pairs]
                interim[pairs] = deviations.boundary(interim, before, by_now)
    return tables


OF_TOLERANCE = 0
"""Name of the error of `ok`; the others are named by their family."""
ERRORS = {
    OF_TOLERANCE: Error(MISSED, SPENT_ON_MISSED),
    **{family: Error(FALSE_ALARMS / family, SPENT_ON_ALARMS) for family in FAMILIES},
}


def source(tables: dict[int, Table]) -> str:
    """Return the module's text."""
    families = "".join(f"    {name}: {_row(tables[name])},\n" for name in FAMILIES)
    return f'''"""Boundaries of Student's t at the looks of a sequential test.

Written by scripts/sequential_boundaries.py, which says how they are derived. Do not edit.
"""

from __future__ import annotations

from typing import NamedTuple

LOOKS = {LOOKS}
"""Pairs after which there is a look."""


class Boundaries(NamedTuple):
    """What t has to exceed at each look, so that together they err no more often than they may."""

    interim: tuple[float, ...]
    """At each of `LOOKS` but the last."""
    last: tuple[float, ...]
    """At the last look, where that is after {LOOKS[0]}, {LOOKS[0] + 1}, ... {LOOKS[-1]} pairs."""


# fmt: off
OF_TOLERANCE = {_row(tables[OF_TOLERANCE])}
"""For an error of {MISSED:.1%}, one-sided."""

BY_FAMILY = {{
{families}}}
"""For an error of {FALSE_ALARMS:.0%}, one-sided, over so many figures."""
# fmt: on
'''


def _row(table: Table) -> str:
    interim, last = (
        [f"{boundary:.{DIGITS}g}" for boundary in row.values()]
        for row in (table.interim, table.last)
    )
    half = len(last) // 2
    lines = (", ".join(interim), ", ".join(last[:half]), ", ".join(last[half:]))
    return f"Boundaries(\n        ({lines[0]}),\n        ({lines[1]},\n         {lines[2]}))"


def furthest(tables: dict[int, Table]) -> float:
    """Return by how much the shipped boundaries differ from others at most, as a share."""
    from whisperbench.judge.boundaries import BY_FAMILY, OF_TOLERANCE

    shipped = {0: OF_TOLERANCE, **BY_FAMILY}
    return max(
        abs(ours / theirs - 1)
        for name, table in tables.items()
        for row, other in zip(table, shipped[name], strict=True)
        for ours, theirs in zip(row.values(), other, strict=True)
    )


def main() -> int:
    """Write the module, or check it; return 1 where it is not what is derived."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--draws", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    tables = derive(ERRORS, asked.draws, asked.seed)
    if asked.check:
        difference = furthest(tables)
        print(f"boundaries differ by at most {difference:.2%} of what is derived anew")
        return int(difference > AGREE)
    MODULE.write_text(source(tables), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
