"""Which of pytest-benchmark's tables stand before the suite's report."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from whisperbench.plugin.terminal import hush_tables

OURS = "benchmarks/test_token.py::test_token[x]"


@dataclass
class Stand:
    """As much of pytest's config as is asked: pytest-benchmark's session, and its options."""

    verbosity: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    timed: tuple[str, ...] = (OURS,)

    def __post_init__(self) -> None:
        """Make up the session."""
        rows = [SimpleNamespace(fullname=name) for name in self.timed]
        self.session = SimpleNamespace(benchmarks=rows, quiet=False)
        self.pluginmanager = SimpleNamespace(get_plugin=lambda _name: self.session)

    def get_verbosity(self) -> int:
        """Return how often -v was given."""
        return self.verbosity

    def getoption(self, name: str, default: object = None) -> object:
        """Return an option."""
        return self.options.get(name, default)


@pytest.mark.parametrize(
    ("config", "quiet"),
    [
        (Stand(), True),
        (Stand(verbosity=-1), True),
        (Stand(verbosity=1), False),
        (Stand(options={"benchmark_compare": "0001"}), False),
        (Stand(options={"benchmark_histogram": "here"}), False),
        (Stand(options={"benchmark_cprofile": "tottime"}), False),
        (Stand(options={"benchmark_verbose": True}), False),
        (Stand(timed=(OURS, "tests/test_mine.py::test_mine")), False),
    ],
)
def test_tables_of_our_own_benchmarks_are_left_out(config: Stand, quiet: bool) -> None:
    """Unless -v or an option asks for them, or another benchmark than ours is in them."""
    hush_tables(cast("pytest.Config", config), {OURS})
    assert config.session.quiet is quiet
