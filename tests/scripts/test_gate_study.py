"""The study of the gate judges as the library does. No figure here was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts import gate_study
from scripts.gate_study import (
    FAMILY,
    TOLERANCE,
    bounds,
    processes_needed,
    resolved_growth,
    splits,
    verdicts,
)
from whisperbench.judge.statistics import FEWEST_HEADS, growth


@pytest.mark.parametrize(("bases", "heads"), [(5, 5), (5, 1), (3, 2), (8, 3)])
def test_the_studys_bounds_are_the_librarys(bases: int, heads: int) -> None:
    """What judges many draws at once says of each what `growth` says."""
    rng = np.random.default_rng(0)
    base, head = (np.exp(rng.normal(0, 0.02, (50, size))) for size in (bases, heads))
    found = bounds(base, head, FAMILY)
    for at in range(50):
        one = growth(base[at].tolist(), head[at].tolist(), FAMILY)
        assert one is not None
        assert found.low[at] == pytest.approx(one.low, rel=1e-9)
        assert found.at_most[at] == pytest.approx(one.at_most, rel=1e-9)
        assert found.resolves[at] == pytest.approx(one.resolves, rel=1e-9)


def test_a_growth_within_the_tolerance_is_no_regression() -> None:
    """However significant it is; twice the tolerance is one, and noise leaves it open."""
    quiet = np.array([1.0, 1.001, 1.002])
    base = np.array([quiet, quiet, [1.0, 1.3, 1.6]])
    head = base * np.array([[1.05], [1.16], [1.16]])
    flagged, unsure = verdicts(bounds(base, head, FAMILY), 3)
    assert flagged.tolist() == [False, True, False]
    assert unsure is not None
    assert unsure.tolist() == [False, False, True]


@pytest.mark.parametrize("heads", [1, 2, 3, 5])
def test_too_few_heads_are_never_flagged(heads: int) -> None:
    """What they would have been flagged for is inconclusive; what is fine remains so."""
    base = np.array([1.0, 1.001, 1.002, 0.999, 1.0])
    head = np.array([[2.0] * heads, [1.0] * heads])
    flagged, unsure = verdicts(bounds(base, head, FAMILY), heads)
    enough = heads >= FEWEST_HEADS
    assert flagged.tolist() == [enough, False]
    assert unsure is not None
    assert unsure.tolist() == [not enough, False]


def test_splits_are_disjoint_and_all_of_them() -> None:
    """Ten processes can be halved in 252 ways, if it matters which half is which."""
    base, head = splits(10, 5, 5)
    assert len({(*b, *h) for b, h in zip(base.tolist(), head.tolist(), strict=True)}) == 252
    assert all(set(b).isdisjoint(h) for b, h in zip(base.tolist(), head.tolist(), strict=True))


def test_noisier_cells_need_more_processes() -> None:
    """And a cell without noise needs the fewest that anything is flagged with."""
    needed = [processes_needed(spread, FAMILY) for spread in (0.0, 0.01, 0.03, 0.1)]
    assert needed == sorted(needed)
    assert needed[0] == FEWEST_HEADS
    assert resolved_growth(0.03, needed[2], FAMILY) <= TOLERANCE
    assert resolved_growth(0.03, needed[2] - 1, FAMILY) > TOLERANCE


def test_what_is_resolved_is_the_librarys() -> None:
    """Of processes that have just such a spread."""
    figures = np.exp(0.02 * np.array([-1.0, -1.0, 0.0, 1.0, 1.0]))
    one = growth(figures.tolist(), figures.tolist(), FAMILY)
    assert one is not None
    assert resolved_growth(0.02, 5, FAMILY) == pytest.approx(one.resolves, rel=1e-9)


@pytest.mark.parametrize(("slow", "status"), [(1.0, 0), (1.3, 1)])
def test_the_status_says_whether_there_are_false_alarms(
    slow: float, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four cells whose processes fall in two clean halves, each in others: four splits of 252."""
    rng = np.random.default_rng(0)
    halves = (range(5), range(5, 10), range(0, 10, 2), range(1, 10, 2))

    def rounds(at: int, half: range) -> list[float]:
        factor = slow if at in half else 1.0
        return [factor * float(wobble) for wobble in np.exp(rng.normal(0, 0.001, 5))]

    def series(at: int, precision: str, *two: range) -> dict[str, object]:
        generate, encoder = (rounds(at, half) for half in two)
        return {
            "model": "tiny",
            "precision": precision,
            "generate_s": generate,
            "encoder_s": encoder,
        }

    processes = [
        {"series": [series(at, "fp16", *halves[:2]), series(at, "int8", *halves[2:])]}
        for at in range(10)
    ]
    path = tmp_path / "noise.json"
    path.write_text(json.dumps({"processes": processes}), encoding="utf-8")
    monkeypatch.setattr(gate_study, "RESAMPLES", 50)
    monkeypatch.setattr("sys.argv", ["gate_study.py", str(path), "--draws", "50"])
    assert gate_study.main() == status
