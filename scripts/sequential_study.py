"""How often does the sequential test err, and what does it find in how many pairs? By simulation.

    python scripts/sequential_study.py                 # some minutes
    python scripts/sequential_study.py --markdown      # the tables of docs/statistics.md

Pairs are drawn, and judged as whisperbench.judge.sequential judges them. (A test holds the two
against each other.) Suites have ten figures that do not depend on each other, which is the worst
case: figures of the same processes do, and then fewer suites have an alarm. Beside it stand a test
at 16 pairs alone, and one after every pair, by Student's quantile, until something is significant.

Exits with 1 where pairs of a shape in `SYMMETRIC` raise a false alarm in over 1 % of the suites, by
more than chance would.

Over 300 lines, because a script that is run by hand, maybe on another machine, is one file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from math import log1p
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from whisperbench.judge.boundaries import BY_FAMILY, LOOKS, OF_TOLERANCE, Boundaries  # noqa: E402
from whisperbench.judge.sequential import FEWEST, MOST, looks  # noqa: E402
from whisperbench.judge.statistics import FALSE_ALARMS, MISSED  # noqa: E402
from whisperbench.results.kinds import KINDS  # noqa: E402

Array: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Draw: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], Array]

FAMILY = 10
TOLERANCE = KINDS["wall"].in_turns
SPREADS = (0.5, 1, 1.5, 2, 2.5, 3, 4, 5)
"""Of the logarithms of pairs: standard deviations in percent."""
SOME = (1, 2.5, 4)
GROWTHS = (0, 1, 2, 3, 5, 8)
"""In percent; 0 is unchanged code."""
FOUND = (0, 3, 5, 8)
TOLERANCES = (3, 4, 5, 6, 8)
LAST = (4, 5, 6, 8, 12, 16)
"""Pairs of the last look, as `--pairs` may ask."""
CHUNK = 5_000
"""Suites that are held in memory at once."""

REGRESSED, IMPROVED, OK, UNDECIDED = range(4)


class Outcomes(NamedTuple):
    """What became of many figures."""

    outcome: NDArray[np.intp]
    pairs: NDArray[np.intp]

    def share(self, outcome: int) -> float:
        """Return how many came to an outcome, in percent."""
        return percent(self.outcome == outcome)


class Looked(NamedTuple):
    """Mean of the logarithms and its standard error, by look and figure."""

    pairs: tuple[int, ...]
    mean: Array
    error: Array


def normal(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Draw pairs that are normal."""
    return rng.normal(size=size)


def heavy(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Draw Student's t with 3 degrees of freedom."""
    return np.asarray(rng.standard_t(3, size))


def head_off(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Draw pairs of which one in ten is off by 8 spreads, always slower in the head."""
    return rng.normal(size=size) + 8 * (rng.random(size) < 0.1)


def off(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Draw pairs of which one in ten is off by 8 spreads, either way."""
    return np.asarray(head_off(rng, size) * rng.choice((-1, 1), size))


def layouts(apart: int) -> Draw:
    """Return what draws processes half of which are slower by so many spreads."""

    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
        base, head = (rng.random(size) < 0.5 for _ in range(2))
        return np.asarray(rng.normal(size=size) + apart * (head.astype(float) - base))

    return draw


def dependent(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Draw pairs that follow the one before them, with a correlation of 0.3."""
    pairs = rng.normal(size=size)
    for at in range(1, size[-1]):
        pairs[..., at] = 0.3 * pairs[..., at - 1] + (1 - 0.3**2) ** 0.5 * pairs[..., at]
    return pairs


SYMMETRIC: dict[str, Draw] = {
    "normal": normal,
    "Student's t, 3 degrees of freedom": heavy,
    "normal, but 1 pair in 10 off by 8 spreads": off,
}
OTHERS: dict[str, Draw] = {
    "the same, always slower in the head": head_off,
    "half of the processes slower by 2 spreads": layouts(2),
    "half of the processes slower by 8 spreads": layouts(8),
    "uniform": lambda rng, size: rng.random(size) - 0.5,
    "normal, each correlated with the one before (0.3)": dependent,
}


def looked(pairs: Array, at: Sequence[int]) -> Looked:
    """Return what each look sees of pairs, which are the last axis."""
    means = [pairs[..., :look].mean(-1) for look in at]
    errors = [pairs[..., :look].std(-1, ddof=1) / look**0.5 for look in at]
    return Looked(tuple(at), np.array(means), np.array(errors))


def boundary_of(row: Boundaries, at: Sequence[int]) -> Array:
    """Return the boundaries of looks, the last of which is the last."""
    interim = [row.interim[LOOKS.index(look)] for look in at[:-1]]
    return np.array([*interim, row.last[at[-1] - FEWEST]])


def judge(
    seen: Looked, grown: float, spread: float, tolerance: float, *, alarm_first: bool = False
) -> Outcomes:
    """Do what `decide` does, of many figures of the family at once.

    Args:
        seen: pairs with a spread of 1, as their looks see them; one axis of figures.
        grown: growth that is laid over them, as a share.
        spread: standard deviation that they get.
        tolerance: as a share.
        alarm_first: whether `regressed` comes before `ok`, other than in the library.
    """
    mean, error = log1p(grown) + spread * seen.mean, spread * seen.error
    everywhere, alone = (
        boundary_of(row, seen.pairs)[:, None] for row in (BY_FAMILY[FAMILY], OF_TOLERANCE)
    )
    fine = mean + alone * error <= log1p(tolerance)
    fine[:-1] &= mean[:-1] >= -log1p(tolerance)
    rules = [(REGRESSED, mean > everywhere * error), (OK, fine)]
    if alarm_first:
        rules.reverse()
    outcomes = np.full(mean.shape, UNDECIDED)
    for outcome, holds in (*rules, (IMPROVED, mean < -everywhere * error)):
        outcomes[holds] = outcome
    decided = outcomes != UNDECIDED
    at = np.where(decided.any(0), decided.argmax(0), len(seen.pairs) - 1)
    found = np.take_along_axis(outcomes, at[None], axis=0)[0]
    return Outcomes(found, np.array(seen.pairs)[at])


def percent(flags: Flags | np.bool_) -> float:
    """Return how many flags are set, in percent."""
    return 100 * float(np.mean(flags))


def quantiles(at: Sequence[int], error: float) -> Array:
    """Return Student's quantiles at looks, as if each were the only one."""
    return np.array([-stdtrit(look - 1, error) for look in at])


def crossing(seen: Looked, boundaries: Array) -> Flags:
    """Return which figures exceed the boundary of any look."""
    shape = (-1,) + (1,) * (seen.mean.ndim - 1)
    return np.asarray((seen.mean > boundaries.reshape(shape) * seen.error).any(0))


def alarms(draw: Draw, suites: int, rng: np.random.Generator) -> list[float]:
    """Return how often each rule errs on pairs of a shape, in percent.

    Of all that is significantly above 0, within the tolerance or not: then their spread is no
    matter, for t does not change with the scale. The last is how often a growth of just the
    tolerance is shown to be within it, which is the mirror image; that one is by figure.
    """
    every, share = range(FEWEST, MOST + 1), FALSE_ALARMS / FAMILY
    errors = []
    for _ in range(0, suites, CHUNK):
        pairs = draw(rng, (CHUNK, FAMILY, MOST))
        ours, one_look, all_looks = (looked(pairs, at) for at in (LOOKS, (MOST,), every))
        by_suite = [
            crossing(ours, boundary_of(BY_FAMILY[FAMILY], LOOKS)),
            crossing(one_look, quantiles((MOST,), share)),
            crossing(all_looks, quantiles(every, share)),
            crossing(all_looks, quantiles(every, 0.05)),
        ]
        mirrored = ours._replace(mean=-ours.mean)
        passed = crossing(mirrored, boundary_of(OF_TOLERANCE, LOOKS))
        errors.append([*(percent(flags.any(1)) for flags in by_suite), percent(passed)])
    return [float(error) for error in np.mean(errors, axis=0)]


def false_alarms(suites: int, rng: np.random.Generator) -> tuple[list[list[str]], bool]:
    """Return the table of false alarms, and whether ours are as rare as they should be."""
    rows = [["pairs", "in turns", "16 pairs", "every pair, 0.1 %", "every pair, 5 %", "`ok`"]]
    rare = True
    for shape, draw in (SYMMETRIC | OTHERS).items():
        errors = alarms(draw, suites, rng)
        chance = 3 * (FALSE_ALARMS / suites) ** 0.5
        rare &= shape not in SYMMETRIC or errors[0] <= 100 * (FALSE_ALARMS + chance)
        rows.append([shape, *(f"{error:.2f}" for error in errors)])
    return rows, rare


def figures(drawn: Array, shape: str) -> Iterator[list[str]]:
    """Yield a row a spread: flagged, undecided, ok, and the pairs that it took."""
    seen = looked(drawn, LOOKS)
    for spread in SPREADS if shape == "normal" else SOME:
        entries = []
        for growth in GROWTHS:
            found = judge(seen, growth / 100, spread / 100, TOLERANCE)
            shares = "/".join(f"{found.share(of):.1f}" for of in (REGRESSED, UNDECIDED))
            entries.append(f"{shares}, {found.pairs.mean():.1f}")
        yield [shape, f"{spread:g}", *entries]


def outcomes(paths: int, rng: np.random.Generator) -> list[list[str]]:
    """Return the table of single figures."""
    rows = [["pairs", "spread, %", *map(heading, GROWTHS)]]
    for shape, draw in SYMMETRIC.items():
        rows += figures(draw(rng, (paths, MOST)), shape)
    return rows


def heading(growth: int) -> str:
    """Return the heading of a growth."""
    return f"+{growth} %" if growth else "unchanged"


def suites(paths: int, rng: np.random.Generator) -> list[list[str]]:
    """Return the table of whole suites of unchanged code: when is all of it decided?"""
    rows = [["spread, %", "pairs of a figure", "of a suite", "of 9 in 10 suites", "all `ok`, %"]]
    for spread in SPREADS:
        figures, together, fine = [], [], []
        for _ in range(0, paths, CHUNK):
            seen = looked(normal(rng, (CHUNK * FAMILY, MOST)), LOOKS)
            found = judge(seen, 0, spread / 100, TOLERANCE)
            figures.append(found.pairs.mean())
            together.append(found.pairs.reshape(-1, FAMILY).max(1))
            fine.append((found.outcome == OK).reshape(-1, FAMILY).all(1))
        pairs = np.concatenate(together)
        most = np.quantile(pairs, 0.9, method="inverted_cdf")
        means = f"{np.mean(figures):.1f}", f"{pairs.mean():.1f}", f"{most:.0f}"
        rows.append([f"{spread:g}", *means, f"{percent(np.concatenate(fine)):.1f}"])
    return rows


def falls(seen: Looked) -> list[list[str]]:
    """Return the table of improvements: improved, ok, and the pairs that it took."""
    rows = [["spread, %", *(f"-{fall} %" for fall in GROWTHS[1:])]]
    for spread in SOME:
        found = [judge(seen, -fall / 100, spread / 100, TOLERANCE) for fall in GROWTHS[1:]]
        rows.append([f"{spread:g}", *(entry(each, IMPROVED) for each in found)])
    return rows


def tolerances(seen: Looked) -> list[list[str]]:
    """Return the table of tolerances: what is found, and in how many pairs unchanged code is ok."""
    rows = [["tolerance, %", "spread, %", "unchanged: ok, pairs", "+5 %", "+8 %"]]
    for tolerance in TOLERANCES:
        for spread in SOME:
            cases = [judge(seen, g / 100, spread / 100, tolerance / 100) for g in (0, 5, 8)]
            fine = f"{cases[0].share(OK):.1f}, {cases[0].pairs.mean():.1f}"
            found = (f"{case.share(REGRESSED):.1f}" for case in cases[1:])
            rows.append([str(tolerance), f"{spread:g}", fine, *found])
    return rows


def last_looks(drawn: Array) -> list[list[str]]:
    """Return the table of last looks, and of one look at 16 pairs: what is found at 2.5 %."""
    rows = [["last look", *map(heading, FOUND)]]
    for last in LAST:
        seen = looked(drawn, looks(last))
        found = [judge(seen, growth / 100, 0.025, TOLERANCE) for growth in FOUND]
        rows.append([str(last), *map(entry, found)])
    return [*rows, ["16, and no other look", *map(entry, one_look(drawn))]]


def entry(found: Outcomes, shown: int = REGRESSED) -> str:
    """Write how much came to an outcome, how much is ok, and the pairs that it took."""
    shares = f"{found.share(shown):.1f}/{found.share(OK):.1f}"
    return f"{shares}, {found.pairs.mean():.1f}"


def one_look(drawn: Array) -> Iterator[Outcomes]:
    """Yield what a test at 16 pairs alone says of each growth."""
    seen = looked(drawn, (MOST,))
    everywhere, alone = (quantiles((MOST,), error)[0] for error in (FALSE_ALARMS / FAMILY, MISSED))
    for growth in FOUND:
        mean, error = log1p(growth / 100) + 0.025 * seen.mean[0], 0.025 * seen.error[0]
        outcomes = np.where(mean > everywhere * error, REGRESSED, UNDECIDED)
        outcomes[mean + alone * error <= log1p(TOLERANCE)] = OK
        yield Outcomes(outcomes, np.full(len(outcomes), MOST))


def orders(seen: Looked) -> list[list[str]]:
    """Return the table of what is flagged if `regressed` came before `ok`."""
    rows = [["spread, %", *(f"+{growth} %" for growth in GROWTHS[1:])]]
    for spread in (0.1, 0.5, 1, 2.5):
        entries = []
        for growth in GROWTHS[1:]:
            both = [
                judge(seen, growth / 100, spread / 100, TOLERANCE, alarm_first=first)
                for first in (False, True)
            ]
            entries.append(" / ".join(f"{found.share(REGRESSED):.1f}" for found in both))
        rows.append([f"{spread:g}", *entries])
    return rows


def show(title: str, rows: Sequence[Sequence[str]], markdown: bool) -> None:
    """Print a table."""
    widths = [0 if markdown else max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n{title}\n")
    for at, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells))
        if at == 0 and markdown:
            print("| --- |" + " ---: |" * (len(row) - 1))


def main() -> int:
    """Print the tables; return 1 where false alarms are not rare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--suites", type=int, default=400_000, help="for the first table")
    parser.add_argument("--paths", type=int, default=100_000, help="for the others")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    alarming, rare = false_alarms(asked.suites, rng)
    drawn = normal(rng, (asked.paths, MOST))
    seen = looked(drawn, LOOKS)
    for title, rows in (
        (f"Errors, % of suites of {FAMILY} figures; of `ok`, % of figures", alarming),
        ("Single figures: regressed/undecided in %, pairs", outcomes(asked.paths, rng)),
        ("Pairs until suites of unchanged code are decided", suites(asked.paths, rng)),
        ("Falls: improved/ok in %, pairs", falls(seen)),
        ("Tolerances: how much is ok, or regressed, in %", tolerances(seen)),
        ("Last looks, spread 2.5 %: regressed/ok in %, pairs", last_looks(drawn)),
        ("Regressed, in %: `ok` first, as it is / `regressed` first", orders(seen)),
    ):
        show(title, rows, asked.markdown)
    return int(not rare)


if __name__ == "__main__":
    sys.exit(main())
