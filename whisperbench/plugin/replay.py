"""How pytest-benchmark gets seconds that were measured elsewhere.

A latency is measured by the suite, because rounds that telemetry spoilt must be taken again, and a
start-up in another process. pytest-benchmark then goes through the believed rounds by a clock that
moves by just what each of them took: statistics, tables, JSON and comparison stay its own. Its
options for a timer, a profiler and garbage collection have nothing to act on here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from whisperbench.plugin.session import is_benchmark


class ReportedClock:
    """A clock that stands still, but for the seconds that are reported to it.

    It begins at zero in every round, so that what it shows at the end is what was reported, to
    the last bit.
    """

    def __init__(self) -> None:
        self._now_s = 0.0

    def now(self) -> float:
        """Return the seconds reported so far."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Add what something took."""
        self._now_s += seconds

    def begin(self) -> None:
        """Go back to zero."""
        self._now_s = 0.0


_REPORTED = ReportedClock()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let pytest-benchmark read the reported clock in every benchmark of the suite."""
    if is_benchmark(item):
        item.add_marker(pytest.mark.benchmark(timer=_REPORTED.now))


def replay(benchmark: Any, group: str, samples_s: Sequence[float]) -> None:
    """Give pytest-benchmark a benchmark's rounds.

    Args:
        benchmark: its fixture.
        group: groups the benchmarks of its table.
        samples_s: the seconds of each round.
    """
    rounds = iter(samples_s)
    benchmark.group = group
    benchmark.pedantic(
        lambda: _REPORTED.advance(next(rounds, 0.0)),  # --benchmark-cprofile calls once more
        setup=_REPORTED.begin,
        rounds=len(samples_s),
        iterations=1,
    )
