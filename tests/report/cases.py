"""Made-up runs whose answers differ. The figures are like those of an H200, and not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.runs import (
    CPU_MACHINE,
    cost_of,
    make_cell,
    make_cost,
    make_measurement,
    make_memory,
    make_run,
    make_soak,
)
from whisperbench.results.figure import Metric
from whisperbench.results.passes import ClipScore, QualityResult
from whisperbench.results.records import ManifestEntry, Measurement, Run, Verdict

FIGURES = {
    "fp32": (0.792, 5888.0, 7330.0),
    "fp16": (0.862, 2944.0, 3964.0),
    "int8": (6.19, 1547.0, 2650.0),
    "int8-t0": (2.72, 1547.0, 2650.0),
    "nf4": (1.17, 932.0, 1952.0),
    "fp16-compiled": (0.21, 2944.0, 4020.0),
    "ao-int8wo-compiled": (0.62, 1560.0, 2700.0),
}
"""Seconds of a transcription, MiB of weights, MiB of the peak."""

WAITS = {
    "fp16": {"aten_ops": 4752, "python_calls": 19128, "stream_syncs": 27, "device_syncs": 0},
    "int8": {"aten_ops": 27000, "python_calls": 93000, "stream_syncs": 1722, "device_syncs": 0},
}
"""Counts of decoding three tokens."""


def timed(
    precision: str,
    seconds: float | None = None,
    *,
    spread: float = 0.005,
    mib: float | None = None,
    benchmark: str = "transcribe",
    model: str = "owner/whisper",
    clip: str = "harbour",
    batch_size: int = 1,
) -> Measurement:
    """Make up a timed benchmark of a precision."""
    middle, weights, _ = FIGURES[precision]
    middle = seconds or middle
    samples = tuple(middle * (1 + spread * step) for step in (-2, -1, 0, 1, 2))
    values: dict[str, Any] = {"weight_mib": mib or weights}
    if benchmark == "transcribe":
        values["rtfx_fixed_tokens"] = 26.4 / middle
    return make_measurement(
        benchmark,
        precision,
        samples,
        model=model,
        clip=clip,
        batch_size=batch_size,
        tokens=64 if benchmark == "transcribe" else None,
        **values,
    )


def held(precision: str, peak: float | None = None, limit: float | None = 4096.0) -> Measurement:
    """Make up what a precision holds of memory, against a limit."""
    _, weights, usual = FIGURES[precision]
    most = peak or usual
    judged = Verdict(
        verdict="over-limit" if limit is not None and most > limit else "ok",
        metric="peak_process_mib",
        unit="MiB",
        sentence=f"peak_process_mib is {most} MiB of at most {limit} MiB",
        head=most,
        limit=limit,
    )
    return make_memory(
        make_cell(precision),
        {"weight_mib": weights, "peak_process_mib": most},
        verdicts=(judged,) if limit is not None else (),
    )


def soaked(precision: str, slope: float = 0.5, drift: float = 1.02) -> Measurement:
    """Make up a soak, with a limit of 16 KiB a call on its memory and of 1.5 times on its time."""
    judged = (
        ("creep_allocated_kib_per_call", slope, 16.0, "KiB/call"),
        ("drift_ratio", drift, 1.5, "1"),
    )
    verdicts = tuple(
        Verdict(
            verdict="over-limit" if head > limit else "ok",
            metric=metric,
            unit=unit,
            sentence=f"{metric} is {head} of at most {limit}",
            head=head,
            limit=limit,
        )
        for metric, head, limit, unit in judged
    )
    figures = {"host": 0.25, "allocated": slope, "drift": drift}
    return make_soak(make_cell(precision, tokens=8), figures, verdicts=verdicts)


def ran_out(precision: str) -> Measurement:
    """Make up a memory pass that ran out of memory before it had a figure."""
    return make_memory(make_cell(precision), {})


def counted(
    precision: str, gpu_ms: float | None, wall_ms: float, calls: int | None = None
) -> Measurement:
    """Make up what three tokens cost."""
    cell = make_cell(precision, tokens=3)
    counts = WAITS.get(precision, WAITS["fp16"])
    if calls is not None:
        counts = counts | {"python_calls": calls}
    if gpu_ms is None:
        counts = {name: count for name, count in counts.items() if "syncs" not in name}
    return make_cost(cell, counts, gpu_ms=gpu_ms, wall_ms=wall_ms)


def heard(
    precision: str,
    *texts: str,
    wrong: Sequence[int] = (0, 0),
    growth: tuple[float, float] | None = None,
    over: bool = False,
    model: str = "owner/whisper",
) -> Measurement:
    """Make up what was heard of two clips of 50 words."""
    clips = tuple(
        ClipScore(
            name=name,
            words=50,
            word_edits=edits,
            characters=250,
            character_edits=edits,
            tokens=60,
            signs=(),
        )
        for name, edits in zip(("yes", "harbour"), wrong, strict=True)
    )
    verdict = Verdict(
        verdict="over-limit",
        metric="wer_over_reference",
        unit="1",
        sentence="wer_over_reference is 0.04 of at most 0.02",
    )
    cell = make_cell(precision, model=model, clip="clips", tokens=None)
    return Measurement(
        benchmark="quality",
        cell=cell,
        metrics=(
            Metric(name="wer", unit="1", kind="quality", better="lower", value=sum(wrong) / 100),
        ),
        found=QualityResult(
            clips=clips,
            transcripts=texts or ("It is so.", "The harbour was quiet."),
            over_reference=growth,
        ),
        verdicts=(verdict,) if over else (),
    )


def asked(*outcomes: tuple[str, str, str]) -> tuple[ManifestEntry, ...]:
    """Make up a manifest: benchmark, precision and outcome of each entry."""
    return tuple(
        msgspec.convert(
            {
                "benchmark": f"benchmarks/test_{name}.py::test_{name}[{cell}]",
                "cell": cell,
                "outcome": outcome,
                "reason": "" if outcome == "measured" else "the kernel is missing",
            },
            ManifestEntry,
        )
        for name, precision, outcome in outcomes
        for cell in (f"owner/whisper-{precision}-harbour-b1",)
    )


def gpu() -> Run:
    """All passes of fp16, int8 and int8 without the outlier path."""
    return make_run(
        *(timed(name) for name in ("fp16", "int8", "int8-t0")),
        *(held(name) for name in ("fp16", "int8", "int8-t0")),
        counted("fp16", gpu_ms=6.6, wall_ms=36.0),
        counted("int8", gpu_ms=17.0, wall_ms=240.0),
        heard("fp16"),
        heard("int8"),
        heard("int8-t0"),
    )


def cpu() -> Run:
    """A CPU's default: one model is timed, another one is heard."""
    return make_run(
        timed("fp16", 0.666),
        timed("int8", 1.11),
        held("fp16", 649.0),
        held("int8", 737.0),
        counted("fp16", gpu_ms=None, wall_ms=50.0),
        counted("int8", gpu_ms=None, wall_ms=110.0),
        heard("fp16", model="nano"),
        heard("int8", model="nano"),
        heard("nf4", "It is so.", "The harbor was quiet.", wrong=(0, 1), model="nano"),
        machine=CPU_MACHINE,
    )


def two_models() -> Run:
    """Two models, the second of which at two batch sizes."""
    return make_run(
        timed("fp16"),
        timed("int8"),
        *(timed(name, took, batch_size=size, model="owner/small") for name, took, size in SMALL),
    )


SMALL = (("fp16", 0.2, 1), ("int8", 0.9, 1), ("fp16", 0.5, 8), ("int8", 1.4, 8))


def with_busy_gpu() -> Run:
    """A GPU that does not wait: the kernels themselves take longer."""
    rows = [counted("fp16", gpu_ms=30.0, wall_ms=33.0), counted("int8", gpu_ms=80.0, wall_ms=85.0)]
    assert cost_of(rows[0]).decode.gpu_busy_ms == 30.0
    return make_run(timed("fp16", 1.0), timed("int8", 2.4), *rows)


CASES: dict[str, Callable[[], Run]] = {
    "gpu": gpu,
    "cpu": cpu,
    "nf4 is the better way to save": lambda: make_run(
        *(timed(name) for name in ("fp16", "int8", "nf4")),
        *(held(name) for name in ("fp16", "int8", "nf4")),
    ),
    "one precision": lambda: make_run(timed("fp16"), held("fp16"), heard("fp16")),
    "no reference": lambda: make_run(timed("int8"), held("int8")),
    "nf4 alone": lambda: make_run(timed("fp16"), timed("nf4"), held("fp16"), held("nf4")),
    "int8 is faster": lambda: make_run(
        timed("fp16", 1.0),
        timed("int8", 0.8),
        held("fp16"),
        held("int8"),
        counted("fp16", gpu_ms=30.0, wall_ms=33.0),
        counted("int8", gpu_ms=20.0, wall_ms=25.0),
    ),
    "peaks are equal": lambda: make_run(
        timed("fp16"), timed("int8"), held("fp16", 740.0), held("int8", 740.0)
    ),
    "int8 is as fast": lambda: make_run(
        timed("fp16", 1.0), timed("int8", 1.03), heard("fp16"), heard("int8")
    ),
    "wide spreads hide the difference": lambda: make_run(
        timed("fp16", 1.0, spread=0.1), timed("int8", 1.15, spread=0.1)
    ),
    "words are worse": lambda: make_run(
        timed("fp16"),
        timed("int8"),
        held("fp16"),
        held("int8"),
        heard("fp16", wrong=(1, 1)),
        heard("int8", "It so.", "The harbour quiet.", wrong=(4, 5), growth=(0.02, 0.11)),
    ),
    "words are over the limit": lambda: make_run(
        timed("fp16"),
        timed("int8"),
        heard("fp16", wrong=(1, 1)),
        heard("int8", "It so.", "The harbour.", wrong=(4, 5), growth=(0.02, 0.11), over=True),
    ),
    "words differ by chance": lambda: make_run(
        timed("fp16"),
        timed("int8"),
        heard("fp16", wrong=(1, 1)),
        heard("int8", "It is.", "The harbour was quiet.", wrong=(2, 1), growth=(-0.01, 0.03)),
    ),
    "words differ and are as many": lambda: make_run(
        timed("fp16"),
        timed("int8"),
        heard("fp16", wrong=(1, 1)),
        heard("int8", "It is.", "The harbour was quiet.", wrong=(2, 0), growth=(-0.01, 0.03)),
    ),
    "the reference is over its ceiling": lambda: make_run(
        timed("fp16"), timed("int8"), held("fp16", limit=3000.0), held("int8", limit=3000.0)
    ),
    "int8 is over its ceiling": lambda: make_run(
        timed("fp16"), timed("int8"), held("fp16"), held("int8", limit=2048.0)
    ),
    "both are over their ceiling": lambda: make_run(
        timed("fp16"), timed("int8"), held("fp16", limit=2048.0), held("int8", limit=2048.0)
    ),
    "the reference ran out of memory": lambda: make_run(
        ran_out("fp16"), held("int8"), timed("int8")
    ),
    "int8 ran out of memory": lambda: make_run(held("fp16"), ran_out("int8"), timed("fp16")),
    "no cost pass": lambda: make_run(timed("fp16"), timed("int8"), held("fp16"), held("int8")),
    "no limits": lambda: make_run(
        timed("fp16"), timed("int8"), held("fp16", limit=None), held("int8", limit=None)
    ),
    "a busy gpu": with_busy_gpu,
    "tokens alone": lambda: make_run(
        timed("fp16", 0.012, benchmark="token"), timed("int8", 0.08, benchmark="token")
    ),
    "tokens are as fast": lambda: make_run(
        timed("fp16", 0.012, benchmark="token"), timed("int8", 0.012, benchmark="token")
    ),
    "int8 saves nothing": lambda: make_run(timed("fp16", 1.0), timed("int8", 2.0, mib=2944.0)),
    "int8 is faster and needs more": lambda: make_run(
        timed("fp16", 1.0), timed("int8", 0.5), held("fp16", 650.0), held("int8", 740.0)
    ),
    "the host is slow": lambda: make_run(
        timed("fp16", 1.0),
        timed("nf4", 2.0),
        counted("fp16", gpu_ms=10.0, wall_ms=30.0),
        counted("nf4", gpu_ms=12.0, wall_ms=60.0, calls=60000),
    ),
    "words without bounds": lambda: make_run(
        timed("fp16"),
        timed("int8"),
        heard("fp16", wrong=(2, 1)),
        heard("int8", "It is.", "The harbour was quiet.", wrong=(1, 1)),
    ),
    "words alone": lambda: make_run(heard("fp16"), heard("int8")),
    "failed cells": lambda: make_run(
        timed("fp16"),
        timed("int8"),
        manifest=asked(
            ("transcribe", "fp16", "measured"),
            ("transcribe", "int8", "measured"),
            ("memory", "int8", "failed"),
            ("cost", "int8", "invalid"),
        ),
    ),
    "int8 failed altogether": lambda: make_run(
        timed("fp16"),
        manifest=asked(("transcribe", "fp16", "measured"), ("transcribe", "int8", "failed")),
    ),
    "int8 creeps": lambda: make_run(
        timed("fp16"), timed("int8"), soaked("fp16"), soaked("int8", 64.25)
    ),
    "the reference creeps": lambda: make_run(
        timed("fp16"), timed("int8"), soaked("fp16", 20.0), soaked("int8")
    ),
    "both creep and drift": lambda: make_run(
        timed("fp16"), timed("int8"), soaked("fp16", 20.0), soaked("int8", 64.25, 2.5)
    ),
    "the reference drifts": lambda: make_run(
        timed("fp16"), timed("int8"), soaked("fp16", drift=1.75), soaked("int8")
    ),
    "nothing creeps": lambda: make_run(
        timed("fp16"), timed("int8"), soaked("fp16"), soaked("int8")
    ),
    "one contender beats all": lambda: make_run(
        *(timed(name) for name in ("fp16", "int8", "fp16-compiled")),
        held("fp16"),
        held("int8", 4000.0),
        held("fp16-compiled", 3970.0),
        *(heard(name) for name in ("fp16", "int8", "fp16-compiled")),
    ),
    "compiled fp16 is the quickest": lambda: make_run(
        *(timed(name) for name in ("fp16", "int8", "nf4", "fp16-compiled")),
        *(held(name) for name in ("fp16", "int8", "nf4", "fp16-compiled")),
        *(heard(name) for name in ("fp16", "int8", "fp16-compiled")),
        heard("nf4", "It so.", "The harbour.", wrong=(2, 1), growth=(-0.01, 0.03)),
    ),
    "compiled fp16 is the quickest and nothing is smaller": lambda: make_run(
        *(timed(name) for name in ("fp16", "int8", "fp16-compiled")),
        held("fp16"),
        held("int8", 3990.0),
        held("fp16-compiled", 4090.0),
    ),
    "memory without the time": lambda: make_run(
        *(timed(name) for name in ("fp16", "int8", "nf4", "ao-int8wo-compiled")),
        *(held(name) for name in ("fp16", "int8", "nf4", "ao-int8wo-compiled")),
    ),
    "the quickest ran out of memory": lambda: make_run(
        *(timed(name) for name in ("fp16", "int8", "nf4")),
        ran_out("fp16"),
        held("int8"),
        held("nf4"),
    ),
    "two models": two_models,
    "nothing": make_run,
}
"""Situations, by what is special about them."""
