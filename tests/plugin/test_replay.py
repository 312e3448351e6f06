"""Replaying: pytest-benchmark sees just the seconds that were measured elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whisperbench.plugin.replay
import whisperbench.plugin.session
from whisperbench.asked.checkout import ROOT

SAMPLES_S = [
    [0.75, 0.25, 0.5],
    [1e-6, 3e-6],
    [86_400.0],
    [0.1, 0.2, 0.3, 0.0],
]
"""A list a benchmark, run twice over: what came before a sample must not round it."""

BENCHMARKS = f"""
import pytest
from whisperbench.plugin.replay import replay

@pytest.mark.parametrize("samples_s", {[*SAMPLES_S, *SAMPLES_S]})
def test_replayed(benchmark, samples_s):
    replay(benchmark, "a stage", samples_s)
"""

Replayed = Callable[..., "list[Any]"]


@pytest.fixture
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replayed:
    """Run benchmarks that replay, in a pytest of their own; return what it kept of each."""

    def run(*arguments: str) -> list[Any]:
        class Plugin:
            """Keeps what pytest-benchmark keeps."""

            def __init__(self) -> None:
                self.kept: list[Any] = []

            def pytest_benchmark_update_json(self, benchmarks: list[Any]) -> None:
                self.kept = list(benchmarks)

        monkeypatch.setattr(whisperbench.plugin.session, "BENCHMARKS", tmp_path.resolve())
        monkeypatch.chdir(tmp_path)
        # Where these tests run under pytest-xdist: it would switch pytest-benchmark off in there.
        monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
        path = tmp_path / "test_replayed.py"
        path.write_text(BENCHMARKS, encoding="utf-8")
        plugin = Plugin()
        code = pytest.main(
            [
                *(str(path), "--rootdir", str(tmp_path), "--import-mode", "importlib"),
                *("-q", "-p", "no:cacheprovider", "--benchmark-json=kept.json", *arguments),
            ],
            plugins=[plugin, whisperbench.plugin.replay],
        )
        assert code == 0
        return plugin.kept

    return run


def test_the_stats_are_of_the_given_samples(replayed: Replayed) -> None:
    """Every round lasts what it is said to have lasted, whatever the clock shows by then."""
    kept = replayed()
    assert len(kept) == 2 * len(SAMPLES_S)
    for benchmark, samples_s in zip(kept, [*SAMPLES_S, *SAMPLES_S], strict=True):
        assert benchmark.stats.data == samples_s  # to the last bit
        assert benchmark.stats.rounds == len(samples_s)
        assert benchmark.iterations == 1
        assert benchmark.group == "a stage"


def test_a_profile_of_a_replay_is_no_error(replayed: Replayed) -> None:
    """Under --benchmark-cprofile, which calls once more than there are rounds, stats stay."""
    kept = replayed("--benchmark-cprofile=tottime")
    assert [benchmark.stats.rounds for benchmark in kept[:4]] == [3, 2, 1, 4]


COLLECT = """
import json, sys, pytest
import whisperbench.plugin.replay

class Plugin:
    def pytest_collection_finish(self, session):
        found = {}
        for item in session.items:
            marker = item.get_closest_marker("benchmark")
            timer = marker.kwargs.get("timer") if marker else None
            clock = getattr(timer, "__self__", None)
            reported = isinstance(clock, whisperbench.plugin.replay.ReportedClock)
            found.setdefault(item.location[0], {})[item.name] = reported
        print("found:", json.dumps(found))

sys.exit(int(pytest.main([*sys.argv[1:], "--collect-only", "-q"], plugins=[Plugin()])))
"""


def test_the_benchmarks_of_the_suite_have_the_reported_clock() -> None:
    """Each of them; by the real clock one would show what a replay takes. No other test has it."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            COLLECT,
            "benchmarks/",
            "tests/plugin/test_replay.py",
            "--device",
            "cpu",
            "--all",
        ],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if "PYTEST" not in name},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("found: "))
    found: dict[str, dict[str, bool]] = json.loads(line.removeprefix("found: "))
    assert not any(found.pop("tests/plugin/test_replay.py").values())
    assert set(found) == {
        f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("test_*.py")
    }
    assert all(reported for items in found.values() for reported in items.values()), found
