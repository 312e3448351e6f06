"""The boundaries that ship are those that their script derives."""

from __future__ import annotations

import numpy as np
import pytest

from scripts import sequential_boundaries
from scripts.sequential_boundaries import (
    AGREE,
    ERRORS,
    MODULE,
    Table,
    derive,
    furthest,
    main,
    source,
)
from whisperbench.judge.boundaries import BY_FAMILY, LOOKS, OF_TOLERANCE, Boundaries
from whisperbench.judge.statistics import FALSE_ALARMS, MISSED

QUICK = (0, 1, 10, 256)
"""The tolerance's, and families from the least to a large one."""


def test_shipped_boundaries_are_derived_anew() -> None:
    """Other random numbers, and fewer, give the same boundaries within their error."""
    tables = derive({name: ERRORS[name] for name in QUICK}, draws=50_000, seed=7)
    assert furthest(tables) < AGREE


def test_the_module_is_what_the_script_writes() -> None:
    """Nothing in the module was written by hand: given its numbers the script writes just that."""
    shipped = {0: OF_TOLERANCE, **BY_FAMILY}
    tables = {
        name: Table(
            dict(zip(LOOKS, row.interim, strict=False)),
            dict(zip(range(LOOKS[0], LOOKS[-1] + 1), row.last, strict=True)),
        )
        for name, row in shipped.items()
    }
    assert source(tables) == MODULE.read_text(encoding="utf-8")


def test_a_boundary_that_was_touched_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check exits with 1 where the module is not what is derived."""
    monkeypatch.setattr(sequential_boundaries, "ERRORS", {1: ERRORS[1]})
    monkeypatch.setattr("sys.argv", ["sequential_boundaries.py", "--check", "--draws", "20000"])
    assert main() == 0
    row = BY_FAMILY[1]
    monkeypatch.setitem(BY_FAMILY, 1, row._replace(last=(*row.last[:-1], row.last[-1] * 0.95)))
    assert main() == 1
    assert "differ by at most 5." in capsys.readouterr().out


@pytest.mark.parametrize("largest", [3, 5, 10, 16])
@pytest.mark.parametrize(
    ("row", "error"), [(BY_FAMILY[1], FALSE_ALARMS), (OF_TOLERANCE, MISSED)], ids=["alarms", "ok"]
)
def test_whole_comparisons_err_as_often_as_they_may(
    row: Boundaries, error: float, largest: int
) -> None:
    """Simulated without any shortcut, t exceeds a boundary just so often, at any last look."""
    pairs = np.random.default_rng(3).normal(size=(200_000, largest))
    interim = zip(LOOKS, row.interim, strict=False)
    boundaries = {look: boundary for look, boundary in interim if look < largest}
    boundaries[largest] = row.last[largest - LOOKS[0]]
    crossed = np.zeros(len(pairs), dtype=bool)
    for look, boundary in boundaries.items():
        seen = pairs[:, :look]
        crossed |= seen.mean(1) > boundary * seen.std(1, ddof=1) / look**0.5
    chance = (error / len(pairs)) ** 0.5
    assert crossed.mean() == pytest.approx(error, abs=3 * chance)
