"""Where a figure that wobbles changes its level."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pytest

from whisperbench.errors import InputError
from whisperbench.judge.change_points import (
    FALSE_CHANGES,
    ChangePoint,
    believed,
    change_points,
)


def room(level: float) -> float:
    """Allow 8 %."""
    return 0.08 * abs(level)


def noisy(*levels: tuple[int, float], spread: float = 0.02, seed: int = 3) -> list[float]:
    """Draw recordings: so many of each level."""
    steady = np.concatenate([np.full(count, level) for count, level in levels])
    noise = np.random.default_rng(seed).normal(0, spread, len(steady))
    return [float(figure) for figure in steady * np.exp(noise)]


def places(figures: Sequence[float]) -> list[int]:
    """Return where a figure changes."""
    return [point.at for point in change_points(figures, room=room)]


def test_a_step_is_found_at_its_place() -> None:
    """The levels on both sides are the geometric means, and chance divides them seldom."""
    figures = noisy((10, 1.0), (10, 1.2))
    (point,) = change_points(figures, room=room)
    assert point.at == 10
    assert point.old == pytest.approx(np.exp(np.mean(np.log(figures[:10]))))
    assert point.new == pytest.approx(np.exp(np.mean(np.log(figures[10:]))))
    assert point.p < 0.001


def test_several_steps_are_found() -> None:
    """What goes up, stays and goes down again are two changes."""
    assert places(noisy((12, 1.0), (9, 1.3), (9, 1.0))) == [12, 21]


@pytest.mark.parametrize(
    "figures",
    [
        [],
        [1.0],
        [1.0, 2.0, 3.0],
        [1.0] * 20,
        noisy((10, 1.0), (10, 1.05)),  # within the tolerance
        noisy((8, 1.0), (1, 1.5), (11, 1.0)),  # one bad recording
        noisy((19, 1.0), (1, 1.5)),  # the newest alone may be one
        noisy((2, 1.0), (2, 1.5)),  # four have 24 orders
        noisy((20, 1.0), spread=0.2),
    ],
)
def test_what_is_no_change(figures: list[float]) -> None:
    """Few recordings, small steps, single recordings and noise are told of as no change."""
    assert change_points(figures, room=room) == []


def test_no_recording_decides_alone() -> None:
    """Twenty seeds, the newest recording is 50 % slower: none tells of a change."""
    assert not any(places(noisy((19, 1.0), (1, 1.5), seed=seed)) for seed in range(20))


def test_the_unit_does_not_matter() -> None:
    """Seconds and milliseconds change at the same places, by the same shares."""
    figures = noisy((8, 1.0), (8, 1.3))
    (of_seconds,) = change_points(figures, room=room)
    (of_ms,) = change_points([1000 * figure for figure in figures], room=room)
    assert (of_seconds.at, of_seconds.p) == (of_ms.at, of_ms.p)
    assert of_ms.new == pytest.approx(1000 * of_seconds.new)


def test_a_figure_may_be_zero_or_less() -> None:
    """Growth of memory has no logarithm where a neighbour ended, and is judged as it is."""
    noise = np.random.default_rng(5).normal(0, 2.0, 20)
    figures = [float(value) for value in np.repeat([-3.0, 60.0], 10) + noise]
    (point,) = change_points(figures, room=lambda level: 0.02 * abs(level) + 8.0, ratio=False)
    assert point.at == 10
    assert point.old == pytest.approx(np.mean(figures[:10]))


def test_the_same_recordings_are_told_alike() -> None:
    """The orders are drawn with a seed: a report written again says the same."""
    figures = noisy((10, 1.0), (4, 1.15), spread=0.04)
    assert change_points(figures, room=room) == change_points(figures, room=room)


def test_noise_is_seldom_a_change() -> None:
    """Of unchanged histories of ten figures hardly more than the promised share is told to be."""
    random = np.random.default_rng(11)
    alarms = 0
    for _ in range(60):
        rows = np.exp(random.normal(0, 0.1, (10, 16)))
        found = [change_points(list(row), room=room) for row in rows]
        alarms += any(believed(found))
    assert alarms / 60 <= FALSE_CHANGES + 0.05


def point(p: float) -> ChangePoint:
    """Make up a change of a probability."""
    return ChangePoint(at=2, old=1.0, new=2.0, p=p)


def test_of_many_figures_a_single_one_must_stand_out() -> None:
    """A share that is enough for one figure is not for one of twenty, but for twenty at once."""
    alone = [[point(0.04)], *([] for _ in range(19))]
    assert not any(believed(alone))
    assert any(believed([[point(0.04)]]))
    assert all(believed([[point(0.04)] for _ in range(20)]))
    assert any(believed([[point(0.0024)], *([] for _ in range(19))]))
    assert believed([]) == []


def test_without_ruptures_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra, and only where something would be looked for."""
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(InputError, match=r"pip install -e '.\[report\]'"):
        change_points(noisy((5, 1.0), (5, 2.0)), room=room)
    assert change_points([1.0, 2.0], room=room) == []
