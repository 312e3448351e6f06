"""The gate on unchanged processes: five of them, recorded on an H200."""

from __future__ import annotations

import msgspec
import pytest

from scripts import gate_repeats
from scripts.gate_repeats import check
from whisperbench.asked.checkout import ROOT
from whisperbench.results.figure import Metric
from whisperbench.results.records import Run
from whisperbench.results.run_file import read_run


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The cost pass of two models in five precisions, and only the widest base held against."""
    monkeypatch.setattr(gate_repeats, "BASES", (4,))
    return read_run(ROOT / "docs" / "recordings" / "h200-cost.json")


def test_unchanged_processes_raise_no_alarm(
    recorded: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what an H200 did in five processes nothing is flagged, and all of one percent more is."""
    assert check(recorded, percent=1.0)
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("device_time 4 v 1 100 100 ok 100 regressed")


def test_less_growth_than_noise_hides_passes(recorded: Run) -> None:
    """A growth of a tenth of a percent is not seen, and the check says so by failing."""
    assert not check(recorded, percent=0.1)


def test_a_process_that_differs_is_an_alarm(recorded: Run) -> None:
    """One process with one more op is found, whichever side it is on."""

    def changed(metric: Metric) -> Metric:
        if metric.name != "decode_aten_ops":
            return metric
        first, *others = metric.figures
        return msgspec.structs.replace(metric, processes=(first + 1, *others))

    first, *others = recorded.measurements
    metrics = tuple(map(changed, first.metrics))
    rows = (msgspec.structs.replace(first, metrics=metrics), *others)
    assert not check(msgspec.structs.replace(recorded, measurements=rows), percent=1.0)
