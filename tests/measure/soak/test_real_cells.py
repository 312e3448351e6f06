"""The soak of real cells, as its user sees it: a clean model passes, and a leak fails the run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.conftest import RunSuite
from tests.measure.soak.made_up import leaking_model
from whisperbench.measure.soak import soaking
from whisperbench.measure.soak.soaking import measure_soak
from whisperbench.results.passes import SoakResult
from whisperbench.results.run_file import read_run

SOAK = ("--precision", "fp32")


@pytest.mark.parametrize("leak", ["none", "torch"])
def test_a_leak_fails_the_run_and_a_clean_model_passes(
    run_here: RunSuite,
    quickest: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leak: str,
) -> None:
    """The verdict, the exit code and the file say it, and the file keeps the series."""
    leaking = partial(measure_soak, target=partial(leaking_model, leak))
    monkeypatch.setattr(soaking, "measure_soak", leaking)
    done = run_here(*quickest, *SOAK, path="benchmarks/test_soak.py")
    run = read_run(tmp_path / "run.json")
    assert len(run.measurements) == 1, done.stdout
    (row,) = run.measurements
    assert isinstance(row.found, SoakResult)
    assert row.found.course is not None
    assert len(row.found.course.call) == row.found.calls == 40
    assert row.cell.tokens == 8
    slopes = [row.metric(f"creep_{level}_kib_per_call") for level in ("malloc", "host")]
    if leak == "none":
        assert done.returncode == 0, done.stdout
        assert {each.verdict for each in row.verdicts} == {"ok"}
        assert all(each is not None and max(each.figures) < 16.0 for each in slopes)
        return
    assert done.returncode == 1, done.stdout
    assert all(each is not None and 56.0 < max(each.figures) < 72.0 for each in slopes)
    assert "KiB/call over its limit of 16 KiB/call" in done.stdout
    assert run.info.manifest[0].outcome == "over-limit"
