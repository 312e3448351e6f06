"""What would each rule have said of recorded noise, and of slowdowns laid over it?

    python scripts/gate_study.py NOISE.json
    python scripts/gate_study.py NOISE.json --markdown     # the tables of docs/statistics.md

NOISE.json holds processes of unchanged code, each with the rounds of the same cells. For every
rule, processes of the file are held against others of it: as they are (A/A), and with the head's
rounds multiplied by a slowdown. "5 v 1" has five processes in the base and one in the head; it is
judged twice, by the rule as it is, which never finds one head process slower, and as if it could.
Each other rule is applied as its tool does it, to one process a side:

- pytest-benchmark's `--benchmark-compare-fail`: the ratio of a statistic of the rounds.
- asv's `compare`: Mann-Whitney U of the rounds at p < 0.002, two-sided, by the normal approximation
  that asv takes of over 20 rounds, and a ratio of the medians above 1.1. (asv runs two processes a
  benchmark and pools their rounds; with one the rule itself is the same.)
- Criterion's: the 95 % interval of the ratio of means, less 1, lies above its noise threshold of
  1 %; a percentile bootstrap of the rounds, each process resampled independently. Its t-test at 5 %
  comes before that, and is left out: such an interval implies it, but for rounding.

Exits with 1 where ours, with five processes against five, flags anything in over 1 % of A/A suites.

Over 300 lines, because a script that is run by hand, maybe on another machine, is one file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, permutations
from math import expm1, sqrt
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, stdtrit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from whisperbench.judge.statistics import FALSE_ALARMS, FEWEST_HEADS, MISSED, growth  # noqa: E402

Array: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]

TOLERANCE = 0.08
SLOWDOWNS = (0, 1, 2, 3, 5, 8, 10)
"""In percent; 0 is A/A."""

SPREADS = (0.5, 1, 1.5, 2, 3, 5)
"""Between processes, in percent, that are simulated."""
SIMULATED = (0, 3, 5, 8, 10)
SIDES = (5, 8)
FAMILY = 8

FOUND = 95
"""How much of a growth of just the tolerance should be flagged, in percent."""
REACHES = (3, 5, 8, 12, 20)
"""Processes a side for which it is sought how far apart they may lie for that."""
WILD = 0.1
"""A spread at which all of these resolve more than the tolerance only."""

OURS = "whisperbench, 5 v 5"
RESAMPLES = 4000
ASV_P, ASV_RATIO = 0.002, 1.1
CRITERION_NOISE = 0.01


class Noise(NamedTuple):
    """Rounds of unchanged code, by cell, process and round."""

    cells: tuple[str, ...]
    rounds: Array

    @property
    def p50(self) -> Array:
        """The median round, by cell and process."""
        return np.asarray(np.median(self.rounds, axis=2))


class Bounds(NamedTuple):
    """As `whisperbench.judge.statistics.Growth`, of many draws at once."""

    low: Array
    at_most: Array
    resolves: Array


class Verdicts(NamedTuple):
    """What a rule says, by cell and draw. Only ours has an answer besides yes and no."""

    flagged: Flags
    unsure: Flags | None


Rule: TypeAlias = Callable[[float], Verdicts]
"""A rule on a recording: what it says where the head is slower by a factor."""


def read(path: Path) -> Noise:
    """Read a recording."""
    cells: dict[str, list[list[float]]] = {}
    for process in json.loads(path.read_text(encoding="utf-8"))["processes"]:
        for series in process["series"]:
            for stage in ("generate", "encoder"):
                cell = f"{series['model']} {series['precision']} {stage}"
                cells.setdefault(cell, []).append(series[f"{stage}_s"])
    return Noise(tuple(cells), np.array(list(cells.values()), dtype=np.float64))


def bounds(base: Array, head: Array, family: int) -> Bounds:
    """Do what `growth` does, over the last axis of arrays."""
    sizes = base.shape[-1], head.shape[-1]
    freedom = sum(sizes) - 2
    before, after = np.log(base), np.log(head)
    difference = after.mean(-1) - before.mean(-1)
    squares = before.var(-1) * sizes[0] + after.var(-1) * sizes[1]
    error = np.sqrt(squares / freedom * (1 / sizes[0] + 1 / sizes[1]))
    everywhere, alone = quantile(freedom, FALSE_ALARMS / family), quantile(freedom, MISSED)
    return Bounds(
        low=np.expm1(difference - everywhere * error),
        at_most=np.expm1(difference + alone * error),
        resolves=np.expm1((everywhere + alone) * error),
    )


def quantile(freedom: int, tail: float) -> float:
    """Return the quantile of Student's t that a share `tail` lies above."""
    return float(stdtrit(freedom, 1 - tail))


def check_bounds(rng: np.random.Generator) -> None:
    """Hold `bounds` against the library's own, which it stands for.

    Raises:
        AssertionError: they differ.
    """
    for bases, heads in ((5, 5), (5, 1), (8, 8), (3, 2)):
        base, head = (np.exp(rng.normal(0, 0.03, size)) for size in (bases, heads))
        ours, one = bounds(base, head, FAMILY), growth(base.tolist(), head.tolist(), FAMILY)
        assert one is not None
        assert np.allclose(ours, (one.low, one.at_most, one.resolves), rtol=1e-9)


def verdicts(found: Bounds, heads: int, fewest: int = FEWEST_HEADS) -> Verdicts:
    """Judge as `Gate` of whisperbench.judge.compare does, but that `improved` counts as ok here.

    It always is within the tolerance, too. Shown to be within comes first, then shown to be slower,
    by no fewer head processes than are asked for.
    """
    fine = found.at_most <= TOLERANCE
    flagged = ~fine & (found.low > 0) & (heads >= fewest)
    return Verdicts(flagged, ~fine & ~flagged)


def splits(processes: int, bases: int, heads: int) -> tuple[Indices, Indices]:
    """Return all ways to choose a base and a head from processes, as two tables of indices."""
    chosen = [
        (base, head)
        for head in combinations(range(processes), heads)
        for base in combinations(sorted(set(range(processes)) - set(head)), bases)
    ]
    return np.array([base for base, _ in chosen]), np.array([head for _, head in chosen])


def pairs(noise: Noise) -> tuple[Indices, Indices]:
    """Return all ordered pairs of processes: their bases, and their heads."""
    both = np.array(list(permutations(range(noise.rounds.shape[1]), 2)))
    return both[:, 0], both[:, 1]


def ours(noise: Noise, bases: int, heads: int, fewest: int = FEWEST_HEADS) -> Rule:
    """Return our rule, with so many processes a side, and as many needed in the head."""
    base, head = splits(noise.rounds.shape[1], bases, heads)
    p50, family = noise.p50, len(noise.cells)

    def judge(factor: float) -> Verdicts:
        return verdicts(bounds(p50[:, base], p50[:, head] * factor, family), heads, fewest)

    return judge


def compare_fail(noise: Noise, statistic: str, percent: int) -> Rule:
    """Return pytest-benchmark's rule: `median:5%` and the like."""
    rounds = noise.rounds
    value = {"median": noise.p50, "mean": rounds.mean(2), "min": rounds.min(2)}[statistic]
    base, head = pairs(noise)
    ratio = value[:, head] / value[:, base]
    return lambda factor: Verdicts(ratio * factor * 100 - 100 > percent, None)


def asv(noise: Noise) -> Rule:
    """Return asv's rule."""
    base, head = pairs(noise)
    before, rounds = noise.rounds[:, base, :, None], noise.rounds.shape[2]
    # U itself needs every pair of rounds; p falls with its distance from the middle.
    middle, deviation = rounds**2 / 2, sqrt(rounds**2 * (2 * rounds + 1) / 12)

    def judge(factor: float) -> Verdicts:
        after = noise.rounds[:, head, None, :] * factor
        u = (after > before).sum((2, 3)) + (after == before).sum((2, 3)) / 2
        p = erfc(abs(u - middle) / deviation / sqrt(2))
        ratio = noise.p50[:, head] * factor / noise.p50[:, base]
        return Verdicts((p < ASV_P) & (ratio > ASV_RATIO), None)

    return judge


def criterion(noise: Noise, rng: np.random.Generator) -> Rule:
    """Return Criterion's rule."""
    *which, rounds = noise.rounds.shape
    drawn = rng.integers(rounds, size=(*which, RESAMPLES * rounds))
    resampled = np.take_along_axis(noise.rounds, drawn, axis=2)
    means = resampled.reshape(*which, RESAMPLES, rounds).mean(-1)
    base, head = pairs(noise)
    low = np.percentile(means[:, head] / means[:, base], 2.5, axis=-1)
    return lambda factor: Verdicts(low * factor - 1 > CRITERION_NOISE, None)


def rules(noise: Noise, rng: np.random.Generator) -> dict[str, Rule]:
    """Return all rules; ours first."""
    statistics = (("median", 5), ("median", 10), ("mean", 5), ("min", 5))
    return {
        OURS: ours(noise, 5, 5),
        "whisperbench, 5 v 3": ours(noise, 5, 3),
        "whisperbench, 5 v 1": ours(noise, 5, 1),
        "the same, were one head enough": ours(noise, 5, 1, fewest=1),
        **{
            f"pytest-benchmark, {name}:{share}%": compare_fail(noise, name, share)
            for name, share in statistics
        },
        "asv compare": asv(noise),
        "Criterion": criterion(noise, rng),
    }


def percent(flags: Flags | np.bool_) -> float:
    """Return how many flags are set, in percent."""
    return 100 * float(np.mean(flags))


def alarms(said: Verdicts) -> float:
    """Return in how many draws any cell is flagged, in percent."""
    return percent(said.flagged.any(axis=0))


def entry(flagged: Flags, unsure: Flags | None) -> str:
    """Write what a rule said of some draws: flagged, and inconclusive where there is such."""
    text = f"{percent(flagged):.1f}"
    return text if unsure is None else f"{text} / {percent(unsure):.0f}"


def slowdown_headings() -> list[str]:
    """Return the headings of a column for each slowdown."""
    return ["unchanged" if slower == 0 else f"+{slower} %" for slower in SLOWDOWNS]


Said: TypeAlias = dict[str, list[Verdicts]]
"""By rule, and in the order of the slowdowns."""


def by_rule(noise: Noise, said: Said) -> list[list[str]]:
    """Return the table of all cells together, and of the decoding alone at A/A."""
    decoding = [cell.endswith("generate") for cell in noise.cells]
    rows = [["rule", "suites", "`generate` only", *slowdown_headings()]]
    for rule, all_ in said.items():
        shares = alarms(all_[0]), percent(all_[0].flagged[decoding])
        rows.append([rule, *(f"{share:.1f}" for share in shares), *(entry(*v) for v in all_)])
    return rows


def by_cell(noise: Noise, said: Said) -> list[list[str]]:
    """Return the table cell by cell."""
    rows = [["rule", "cell", *slowdown_headings()]]
    for rule, all_ in said.items():
        for at, cell in enumerate(noise.cells):
            chosen = [(v.flagged[at], None if v.unsure is None else v.unsure[at]) for v in all_]
            rows.append([rule, cell, *(entry(*one) for one in chosen)])
    return rows


def spreads(
    noise: Noise, said: list[Verdicts], draws: int, rng: np.random.Generator
) -> list[list[str]]:
    """Return the table of the cells' noise, of what that lets be seen, and of what ours said."""
    shown = [slowdown_headings().index(f"+{slower} %") for slower in (8, 10)]
    rows = [["cell", "spread, %", "5 a side resolve, %", "a side for 8 %", "these flag +8 %"]]
    rows[0] += ["5 a side: unchanged", *(slowdown_headings()[at] for at in shown)]
    family, p50 = len(noise.cells), noise.p50
    base, head = splits(p50.shape[1], 5, 5)
    resolved = np.median(bounds(p50[:, base], p50[:, head], family).resolves, axis=1)
    for at, cell in enumerate(noise.cells):
        spread = float(np.log(p50[at]).std(ddof=1))
        needed = processes_needed(spread, family)
        flagged = power(rng.normal(0, spread, (2, draws, needed)), family)
        entries = [entry(v.flagged[at], None if v.unsure is None else v.unsure[at]) for v in said]
        shares = f"{100 * spread:.1f}", f"{100 * resolved[at]:.1f}", str(needed), f"{flagged:.1f}"
        rows.append([cell, *shares, entries[0], *(entries[column] for column in shown)])
    return rows


def power(noisy: Array, family: int, grown: float | Array = TOLERANCE) -> float:
    """Return how much of a growth is flagged in groups of such logarithms, in percent."""
    base, head = np.exp(noisy)
    found = bounds(base, head * (1 + grown), family)
    return percent(verdicts(found, noisy.shape[-1]).flagged)


def processes_needed(spread: float, family: int) -> int:
    """Return how many processes a side resolve the tolerance, at a spread of the logarithms."""
    a_side = FEWEST_HEADS
    while resolved_growth(spread, a_side, family) > TOLERANCE:
        a_side += 1
    return a_side


def resolved_growth(spread: float, a_side: int, family: int) -> float:
    """Return `Growth.resolves` of processes whose logarithms have just this spread."""
    freedom = 2 * a_side - 2
    sum_ = quantile(freedom, FALSE_ALARMS / family) + quantile(freedom, MISSED)
    return expm1(sum_ * spread * sqrt(2 / a_side))


def reaches(draws: int, rng: np.random.Generator) -> list[list[str]]:
    """Return the table of the largest spread at which enough of the tolerance is flagged.

    And of how much is flagged of what is resolved: by the spread that there is, and as one
    comparison of unchanged code says it of the next, which knows the spread by its processes.
    """
    rows = [
        ["a side", "largest spread, %", "of the true `resolves`, %", "of one printed before, %"]
    ]
    for a_side in REACHES:
        unit = rng.normal(0, 1, (2, draws, a_side))
        low, high = 0.002, 0.1
        while high - low > 1e-4:
            middle = (low + high) / 2
            enough = power(unit * middle, FAMILY) >= FOUND
            low, high = (middle, high) if enough else (low, middle)
        true = resolved_growth(WILD, a_side, FAMILY)
        base, head = np.exp(rng.normal(0, WILD, unit.shape))
        said = bounds(base, head, FAMILY).resolves[:, None]
        there = [power(unit * WILD, FAMILY, grown) for grown in (np.array(true), said)]
        rows.append([str(a_side), f"{100 * low:.1f}", *(f"{share:.0f}" for share in there)])
    return rows


def simulation(draws: int, rng: np.random.Generator) -> list[list[str]]:
    """Return the table of normal logarithms: flagged, inconclusive, ok."""
    rows = [["a side", "spread, %", *("unchanged" if s == 0 else f"+{s} %" for s in SIMULATED)]]
    for a_side in SIDES:
        for spread in SPREADS:
            base, head = np.exp(rng.normal(0, spread / 100, (2, draws, a_side)))
            outcomes = []
            for slower in SIMULATED:
                found = bounds(base, head * (1 + slower / 100), FAMILY)
                flagged, unsure = verdicts(found, a_side)
                assert unsure is not None
                shares = percent(flagged), percent(unsure), percent(~flagged & ~unsure)
                outcomes.append(" / ".join(f"{share:.1f}" for share in shares))
            rows.append([str(a_side), f"{spread:g}", *outcomes])
    return rows


def shapes(draws: int, rng: np.random.Generator) -> list[list[str]]:
    """Return the table of false alarms where the logarithms are not normal, were any head enough.

    Of all that is significant, within the tolerance or not: then the spread is no matter, for t
    does not change with the scale.
    """
    size = draws, FAMILY, 10

    def slow_ones(share: float) -> Array:
        return np.asarray(rng.normal(0, 1, size) + 8 * (rng.random(size) < share))

    drawn = {
        "normal": rng.normal(0, 1, size),
        "Student's t, 3 degrees of freedom": rng.standard_t(3, size),
        "normal, but 1 process in 10 slower by 8 spreads": slow_ones(0.1),
        "normal, but 1 process in 4 slower by 8 spreads": slow_ones(0.25),
    }
    rows = [["logarithms of p50", *(f"5 v {heads}" for heads in (5, 3, 2, 1))]]
    for shape, logarithms in drawn.items():
        figures = np.exp(logarithms / 100)
        groups = [(figures[..., :5], figures[..., 5 : 5 + heads]) for heads in (5, 3, 2, 1)]
        found = [percent((bounds(*group, FAMILY).low > 0).any(axis=1)) for group in groups]
        rows.append([shape, *(f"{share:.1f}" for share in found)])
    return rows


def show(title: str, rows: Sequence[Sequence[str]], markdown: bool) -> None:
    """Print a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n{title}\n")
    for at, row in enumerate(rows):
        print(line(row, widths, markdown))
        if at == 0 and markdown:
            print("|" + "|".join(" --- " if i == 0 else " ---: " for i in range(len(row))) + "|")


def line(row: Iterable[str], widths: Sequence[int], markdown: bool) -> str:
    """Write one row."""
    if markdown:
        return f"| {' | '.join(row)} |"
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("noise", type=Path, help="a recording of unchanged processes")
    parser.add_argument("--draws", type=int, default=20_000, help="of each simulation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    check_bounds(rng)
    noise = read(options.noise)
    factors = [1 + slower / 100 for slower in SLOWDOWNS]
    said = {name: [rule(factor) for factor in factors] for name, rule in rules(noise, rng).items()}
    # Each its own, lest a change of one table change the others.
    by_cells, simulated, reached, shaped = rng.spawn(4)
    draws, of = options.draws, f"family of {FAMILY}"
    reach = (
        f"Simulated, {of}: the largest spread with {FOUND} % of +8 % flagged; flagged of `resolves`"
    )
    tables = {
        "Flagged (of ours: / inconclusive), % of the draws, all cells": by_rule(noise, said),
        "The same, by cell": by_cell(noise, said),
        "The cells": spreads(noise, said[OURS], draws, by_cells),
        f"Simulated, {of}: flagged / inconclusive / ok, %": simulation(draws, simulated),
        reach: reaches(draws, reached),
        f"Simulated unchanged suites, {of}, any significant, %": shapes(draws, shaped),
    }
    for title, rows in tables.items():
        show(title, rows, options.markdown)
    return int(alarms(said[OURS][0]) > 100 * FALSE_ALARMS)


if __name__ == "__main__":
    sys.exit(main())
