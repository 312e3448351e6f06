"""The cost part of the summary, as golden text. No figure here was measured."""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import CPU_MACHINE, cost_of, make_cell, make_cost, make_run
from whisperbench.report.cost import bound_by
from whisperbench.report.rows import Row
from whisperbench.report.summary import WIDTH, details
from whisperbench.results.passes import Part
from whisperbench.results.ran import Ran
from whisperbench.results.records import Measurement

GPU = {"aten_ops": 800, "python_calls": 4000, "kernels": 600, "copies_dtoh": 8, "stream_syncs": 8}
INT8 = {
    "aten_ops": 4000,
    "other_ops": 400,
    "python_calls": 9000,
    "kernels": 2000,
    "copies_dtoh": 400,
    "copies_dtod": 4,
    "copy_bytes_dtoh": 999,
    "stream_syncs": 400,
    "device_syncs": 4,
}


def section(*rows: Measurement, cpu: bool = False) -> str:
    """Summarise a run and cut its cost part out."""
    run = make_run(*rows, machine=CPU_MACHINE) if cpu else make_run(*rows)
    text = details(run)
    assert max(map(len, text.splitlines())) <= WIDTH
    return text.partition("\n\n")[2].rpartition("\n")[0]


def test_a_gpus_table() -> None:
    """Counts a token, three times in milliseconds, and what each cell is bound by."""
    rows = [
        make_cost(make_cell("fp16", tokens=4), GPU, gpu_ms=9.0, floor_ms=6.0, wall_ms=10.0),
        make_cost(make_cell("int8", tokens=4), INT8, gpu_ms=12.0, floor_ms=3.0, wall_ms=48.0),
    ]
    assert section(*rows) == (
        """\
cost: model owner/whisper, clip harbour, batch 1, attention sdpa; 4 tokens; times in ms

 stage     precision  kernels  copies  waits  aten ops  other  calls  floor    GPU   wall
 ────────────────────────────────────────────────────────────────────────────────────────
 encoder   fp16           600       8      8       800          4000   6.00   9.00   10.0
 encoder   int8          2000     404    404      4000    400   9000   3.00   12.0   48.0

 a second  fp16            20   0.267  0.267      26.7           133  0.200  0.300  0.333
 a second  int8          66.7    13.5   13.5       133   13.3    300  0.100  0.400   1.60

 a token   fp16           150       2      2       200          1000   1.50   2.25   2.50
 a token   int8           500     101    101      1000    100   2250  0.750   3.00   12.0

Counts are exact. The encoder is given 30 s of audio, and a second is a 30th of that. A token
is all the rest of generate() divided by the number of tokens, what it does once included.
aten ops are torch's, and other ops are those of other libraries. The column calls counts
calls of Python functions.
The floor is the least time that a stage can take: to read each weight once, or to do its
arithmetic, at the rates that this device was seen to reach.
owner/whisper fp16: the encoder is bound by memory (1.7 x its floor); decoding is bound by memory
(1.7 x its floor)
owner/whisper int8: the encoder is bound by the host: the GPU works 25 % of the time (16.0 x its
floor); decoding is bound by the host: the GPU works 25 % of the time (16.0 x its floor)"""
    )


def test_what_was_not_counted_is_said() -> None:
    """A reason for a missing count is in the summary; no column of zeros is."""
    row = make_cost(make_cell("fp16", device="cpu", tokens=4), {"aten_ops": 8}, wall_ms=1.0)
    found = msgspec.structs.replace(cost_of(row), not_counted="kernels: no CUPTI")
    row = msgspec.structs.replace(row, found=found)
    text = section(row, cpu=True)
    assert "not counted: owner/whisper fp16: kernels: no CUPTI" in text
    assert "kernels  " not in text


@pytest.mark.parametrize(
    ("kernels", "gpu_ms", "floor_ms", "wall_ms", "reason"),
    [
        (50, 6.0, 5.0, 10.0, "bound by the host: the GPU works 60 % of the time (2.0 x its floor)"),
        (50, 9.0, 5.0, 10.0, "bound by memory (2.0 x its floor)"),
        (6000, 9.0, 2.0, 10.0, "bound by 6000 launches, which take 1.5 us each (5.0 x its floor)"),
        (
            50,
            9.0,
            2.0,
            10.0,
            "bound by its kernels: 67 % of the GPU's time is gemm (5.0 x its floor)",
        ),
        (0, None, 6.0, 10.0, "bound by memory (1.7 x its floor)"),
        (0, None, 1.0, 10.0, "bound by neither memory nor arithmetic (10.0 x its floor)"),
    ],
)
def test_what_a_stage_is_bound_by(
    kernels: int, gpu_ms: float | None, floor_ms: float, wall_ms: float, reason: str
) -> None:
    """Idle GPU: the host. Busy near its floor: memory or arithmetic. Far from it: the kernels."""
    row = make_cost(
        make_cell(), {"kernels": kernels}, gpu_ms=gpu_ms, floor_ms=floor_ms, wall_ms=wall_ms
    )
    found = msgspec.structs.replace(
        cost_of(row),
        parts=tuple(
            Part(
                kind="kernel",
                name=name,
                op="aten::addmm",
                module="Linear",
                stage="decode",
                count=25,
                time_us=time_us,
            )
            for name, time_us in (("gemm", 6000.0), ("relu", 1500.0))
        ),
    )
    said = bound_by(Row(row, found), "decode")
    assert said is not None
    assert said.endswith(reason)


def test_a_stage_that_was_not_timed_is_bound_by_nothing() -> None:
    """One that took no time has no reason."""
    row = make_cost(make_cell(), {}, wall_ms=0.0)
    assert bound_by(Row(row, cost_of(row)), "encoder") is None


def test_two_depths_give_the_whole() -> None:
    """What a layer costs is the difference of two depths, and all of them are base and layers."""
    rows = [
        make_cost(
            make_cell("int8", model=f"dummy:large-v3:{layers}", tokens=4),
            {"aten_ops": 100 + 40 * layers},
        )
        for layers in (2, 1)
    ]
    text = section(*rows)
    assert "dummy:large-v3 int8, encoder: 40 aten ops a layer, 1380 in all" in text
    assert "dummy:large-v3 int8, a token: 10 aten ops a layer, 345 in all" in text
    assert "a layer" not in section(rows[0])


def test_depths_of_other_cells_give_no_whole() -> None:
    """Two depths with another attention each are no pair, and a folder's name may have a colon."""
    rows = [
        make_cost(
            msgspec.structs.replace(make_cell("int8", model=model, tokens=4), attention=attention),
            {"aten_ops": ops},
        )
        for model, attention, ops in (
            ("dummy:large-v3:1", "sdpa", 100),
            ("dummy:large-v3:2", "eager", 300),
            ("whisper:v2", "sdpa", 500),
            ("whisper:2", "sdpa", 700),
        )
    ]
    assert "a layer" not in section(*rows)


def test_a_few_tokens_do_not_tell_how_busy_compiled_decoding_keeps_the_gpu() -> None:
    """Most of their time is the prompt's, which is not compiled; the encoder is told of as ever."""
    row = make_cost(make_cell(), {"kernels": 50}, gpu_ms=1.0)
    found = cost_of(row)
    assert (found.gpu_busy_share("encoder"), found.gpu_busy_share("decode")) == (0.1, 0.1)
    ran = Ran(weights={"float16": 1}, computes_in="float16", compiled_graphs=1)
    found = msgspec.structs.replace(found, ran=ran)
    assert (found.gpu_busy_share("encoder"), found.gpu_busy_share("decode")) == (0.1, None)
    text = " ".join(section(msgspec.structs.replace(row, found=found)).split())
    assert "the encoder is bound by the host" in text
    assert "decoding is bound" not in text
    assert "in a longer transcript a token takes less" in text
