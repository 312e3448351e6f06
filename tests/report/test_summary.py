"""The details of a summary, as golden text."""

from __future__ import annotations

import math

import msgspec
import pytest

from tests.runs import make_measurement, make_run
from whisperbench.report.standing import spread
from whisperbench.report.summary import WIDTH, details
from whisperbench.results.passes import DeviceConditions, LatencyResult
from whisperbench.results.records import ManifestEntry

GOLDEN = """\
NVIDIA H200, driver 580.1, CUDA 13.0 (nvidia-h200-sm90-140gib)
Python 3.12.3, torch 2.11.0, transformers 5.17.0, bitsandbytes 0.50.2

model owner/whisper, clip harbour, batch 1, attention sdpa

 benchmark    tokens  precision      p50  spread  × fp16   RTFx  tok/s   MiB  × fp16
 ───────────────────────────────────────────────────────────────────────────────────
 transcribe       64  fp16        1.00 s  ±0.0 %    1.00  26.4*   64.0  2944    1.00
 transcribe       64  int8        5.20 s  ±1.0 %    5.20  5.08*   12.3  1547    0.53

 transcribe  natural  fp16        500 ms  ±0.0 %    1.00   52.8

 encoder              fp16       9.00 ms            1.00

p50 is the median of one process's rounds; spread is half their interquartile range.
Other processes differ by more. Each round of load and of first call is a fresh process.
RTFx is seconds of audio transcribed in a second, at the transcript's natural length.
RTFx* is taken with the fixed token count, as random weights have no natural length.
owner/whisper fp16, harbour: The harbour was quiet before sunrise. Three fishing boats waited bes...
5 benchmarks asked for: 4 measured, 1 deselected"""


def test_golden() -> None:
    """Rows of a cell stand together, transcription first; empty is what does not apply."""
    run = make_run(
        make_measurement("encoder", samples=(0.009, 0.009), tokens=None),
        make_measurement(
            samples=(1.0,) * 5, rtfx_fixed_tokens=26.4, tokens_per_s=64, weight_mib=2944
        ),
        make_measurement(
            samples=(0.5,) * 3,
            tokens=None,
            rtfx=52.8,
            transcripts=(
                "The harbour was quiet before sunrise. Three fishing boats waited beside the wall",
            ),
        ),
        make_measurement(
            precision="int8",
            samples=(5.2, 5.148, 5.252, 5.148, 5.252),
            rtfx_fixed_tokens=5.08,
            tokens_per_s=12.3,
            weight_mib=1547,
        ),
        manifest=(
            *(
                ManifestEntry(benchmark=f"test[{index}]", cell=str(index), outcome="measured")
                for index in range(4)
            ),
            ManifestEntry(benchmark="x", cell="x", outcome="skipped", reason="deselected"),
        ),
    )
    assert details(run) == GOLDEN


def test_what_was_not_measured_is_named() -> None:
    """A failure or a skip stands in the summary with its reason; so does a run of nothing."""
    entry = ManifestEntry(
        benchmark="benchmarks/test_a.py::test_a[x]",
        cell="x",
        outcome="failed",
        reason="out of memory",
    )
    text = details(make_run(manifest=(entry,)))
    assert "failed: benchmarks/test_a.py::test_a[x]: out of memory" in text
    assert "1 benchmark asked for: 1 failed" in text


def test_the_widest_table_fits() -> None:
    """Whatever varies, and however long the names, every line fits and no name is broken."""
    rows = [
        make_measurement(
            precision=precision,
            model=f"openai/whisper-large-v3-turbo@{model}",
            clip=clip,
            batch_size=batch_size,
            attention=attention,
            tokens=None,
            samples=(12.34,) * 3,
            rtfx=151.2,
            tokens_per_s=1234.0,
            weight_mib=5888.0,
            transcripts=("word " * 80,),
        )
        for precision in ("fp16", "int8-t0")
        for model in ("06f233fe", "16f233fe")
        for clip in ("harbour", "a-recording-of-a-meeting")
        for batch_size in (1, 64)
        for attention in ("sdpa", "flash_attention_2")
    ]
    lines = details(make_run(*rows)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert all("\x1b" not in line for line in lines)
    assert not any("…" in line for line in lines), "something was cut off"
    titles = [line for line in lines if line.startswith("model ")]
    assert len(titles) == 2 * 2 * 2 * 2
    names = "model openai/whisper-large-v3-turbo@06f233fe, clip a-recording-of-a-meeting, batch"
    assert sum(line.startswith(names) for line in titles) == 2 * 2
    assert sum("int8-t0" in line and "12.3 s" in line for line in lines) == len(titles)


def test_a_missing_reference_is_said() -> None:
    """Where the reference precision was not measured, the empty ratios are explained."""
    text = details(make_run(make_measurement(precision="int8")))
    assert "The columns × fp16 are empty because fp16 was not timed." in text


def test_zeros_do_not_divide() -> None:
    """A file with zero seconds in it is shown, not a traceback."""
    run = make_run(
        make_measurement(samples=(0.0, 0.0, 0.0), weight_mib=0.0),
        make_measurement(precision="int8", samples=(0.0, 0.0, 0.0), weight_mib=0.0),
    )
    assert "0.00 us" in details(run)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ((1.0,), math.nan),
        ((1.0, 2.0), math.nan),
        ((1.0, 1.0, 1.0), 0.0),
        ((8.0, 9.0, 10.0, 11.0, 12.0), 0.1),
    ],
)
def test_spread(samples: tuple[float, ...], expected: float) -> None:
    """The spread is half the interquartile range over the median; two rounds have none."""
    assert spread(samples) == pytest.approx(expected, nan_ok=True)


def test_energy_has_a_column_where_it_was_measured() -> None:
    """Joules per second of audio stand in a column of their own, and only where there are any."""
    assert "J/s" not in details(make_run(make_measurement()))
    text = details(make_run(make_measurement(energy_j_per_audio_s=6.5)))
    row = next(line for line in text.splitlines() if line.startswith(" transcribe"))
    assert row.endswith("6.50")
    assert "J/s is the energy in joules of a second of audio" in text


def test_attempts_that_were_not_believed_are_named() -> None:
    """A benchmark that was timed again says so, and why."""
    told = "attempt 1, p50 2.00 s: the GPU was slowed down"
    conditions = DeviceConditions(attempts_not_believed=told)
    row = msgspec.structs.replace(make_measurement(), found=LatencyResult(conditions=conditions))
    text = details(make_run(row))
    cell = "transcribe, owner/whisper fp16, harbour, 64 tokens"
    told = told.replace("was slowed", "was\nslowed")  # at the end of a line
    assert f"timed again: {cell}: {told}\n" in text
