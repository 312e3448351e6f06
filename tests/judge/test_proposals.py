"""Limits that are proposed from a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.judge.made_up_limits import (
    GPU_FIGURES,
    INT8,
)
from tests.runs import (
    CPU_MACHINE,
    make_cell,
    make_measurement,
    make_memory,
    make_run,
)
from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.asked.suite import Limit, Suite, read_suite
from whisperbench.judge.limits import (
    applying,
    as_toml,
    figures_of,
    judge,
    propose,
)
from whisperbench.results.records import Cell, Run, Verdict


def measured_run() -> Run:
    """Make up a run of two precisions on a GPU, memory and latency."""
    return make_run(
        make_measurement(weight_mib=2944.0, peak_process_mib=9999.0),
        make_memory(make_cell("fp16"), {"weight_mib": 2944.0, "peak_process_mib": 3900.25}),
        make_memory(make_cell("int8", batch_size=4), GPU_FIGURES),
    )


def test_a_proposal_a_memory_measurement() -> None:
    """Every cell of the stage `memory` has a row of its own, and no other stage has."""
    assert propose(measured_run()) == [
        Limit(
            models=("owner/whisper",),
            precisions=("fp16",),
            devices=("nvidia-h200-sm90-140gib",),
            batch_sizes=(1,),
            metric="peak_process_mib",
            max=3987.0,  # 3900.25 * 1.02 + 8 = 3986.255
            reason="3900 MiB were measured; 2 % + 8 MiB may be added",
        ),
        Limit(
            models=("owner/whisper",),
            precisions=("int8",),
            devices=("nvidia-h200-sm90-140gib",),
            batch_sizes=(4,),
            metric="peak_process_mib",
            max=2589.0,  # 2530 * 1.02 + 8 = 2588.6
            reason="2530 MiB were measured; 2 % + 8 MiB may be added",
        ),
    ]


def test_a_hidden_process_is_proposed_by_the_device() -> None:
    """The first of the process's and the device's figure that there is gets the limit."""
    (row,) = propose(make_run(make_memory(INT8, {"weight_mib": 1.0, "peak_device_mib": 100.0})))
    assert (row.metric, row.max) == ("peak_device_mib", 110.0)


def test_a_cpus_limit_has_the_headroom_that_a_cpu_needs() -> None:
    """Resident memory differs by more between runs than a GPU's memory does."""
    cell = msgspec.structs.replace(INT8, device="cpu")
    measured = make_memory(cell, {"weight_mib": 1.0, "peak_process_mib": 600.0})
    (row,) = propose(make_run(measured, machine=CPU_MACHINE))
    assert row.max == 758.0  # 600 * 1.25 + 8
    assert row.reason == "600 MiB were measured; 25 % + 8 MiB may be added"


def test_nothing_is_proposed_of_a_cell_over_its_limit() -> None:
    """A regression is no reason for a higher limit."""
    over = Verdict(
        verdict="over-limit", metric="x", head=2.0, limit=1.0, unit="MiB", sentence="it is over"
    )
    row = make_memory(INT8, {"weight_mib": 1.0, "peak_process_mib": 600.0})
    assert propose(make_run(row))
    assert propose(make_run(msgspec.structs.replace(row, verdicts=(over,)))) == []


def test_nothing_is_proposed_of_nothing() -> None:
    """Neither a latency nor a pass without a peak is grounds for a limit."""
    assert propose(make_run(make_measurement(peak_process_mib=1.0))) == []
    assert propose(make_run(make_memory(INT8, {"weight_mib": 1.0}))) == []


def test_nothing_is_proposed_of_a_cell_that_ran_out() -> None:
    """How far a cell got that did not get through is no measure of what it takes."""
    cut_short = {name: value for name, value in GPU_FIGURES.items() if name != "weight_mib"}
    assert propose(make_run(make_memory(INT8, cut_short))) == []


def reread(rows: Sequence[Limit], tmp_path: Path) -> Suite:
    """Append rows to the committed suite.toml, without its own, and read that."""
    text = SUITE_FILE.read_text(encoding="utf-8").partition("[[limit]]")[0]
    path = tmp_path / "suite.toml"
    path.write_text(text + "\n\n".join(map(as_toml, rows)) + "\n", encoding="utf-8")
    return read_suite(path)


def kept(run: Run, suite: Suite) -> list[str]:
    """Judge a run by a suite's limits; return the verdicts."""
    verdicts: list[str] = []
    for row in run.measurements:
        if row.benchmark == "memory":
            limits = applying(suite.limit, "memory", row.cell, run.machine.device_key)
            judged = judge(row.cell, figures_of(row), limits, {}, "fp16")
            verdicts += [verdict.verdict for verdict in judged] or ["none"]
    return verdicts


def test_proposals_can_be_pasted(tmp_path: Path) -> None:
    """What is written is TOML that reads back as it was, and that the run keeps."""
    run = measured_run()
    rows = propose(run)
    suite = reread(rows, tmp_path)
    assert list(suite.limit) == rows
    assert kept(run, suite) == ["ok", "ok"]


@pytest.mark.parametrize(
    "other", [make_cell("int8", clip="mountain"), make_cell("int8", attention="eager")]
)
def test_cells_that_a_limit_cannot_tell_apart_share_one(tmp_path: Path, other: Cell) -> None:
    """A run of several clips or attentions keeps what is proposed from it, too."""
    run = make_run(
        make_memory(INT8, {"weight_mib": 1.0, "peak_process_mib": 1000.0}),
        make_memory(other, {"weight_mib": 1.0, "peak_process_mib": 1500.0}),
    )
    assert set(kept(run, reread(propose(run), tmp_path))) == {"ok"}


@pytest.mark.parametrize(
    "model", ["whisper[ft]", "what?", "whi*", 'say "whisper"', "back\\slash", "größer-日本"]
)
def test_a_proposal_is_for_the_model_of_that_very_name(tmp_path: Path, model: str) -> None:
    """The name of a folder may hold what is special in a pattern or in TOML."""
    run = make_run(make_memory(make_cell("int8", model=model), GPU_FIGURES))
    suite = reread(propose(run), tmp_path)
    assert kept(run, suite) == ["ok"]
    other = make_run(make_memory(make_cell("int8", model="whisper"), GPU_FIGURES))
    assert kept(other, suite) == ["none"]


def test_a_proposed_limit_is_a_whole_number_of_mib() -> None:
    """Limits are rounded up, so that rounding never takes of the headroom."""
    for measured in (0.1, 50.0, 99.999, 100.0, 100.001, 123456.7):
        (row,) = propose(
            make_run(make_memory(INT8, {"weight_mib": 1.0, "peak_process_mib": measured}))
        )
        assert row.max is not None
        assert row.max == math.floor(row.max)
        assert 0.0 <= row.max - (measured * 1.02 + 8.0) < 1.0
