"""Made-up runs for tests of reading and reporting. No figure in them was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whisperbench.results.figure import Metric
from whisperbench.results.metric_row import STAGES
from whisperbench.results.metrics import figures as make_figures
from whisperbench.results.passes import (
    CostResult,
    LatencyResult,
    MemoryResult,
    SoakResult,
    StageTimes,
    StartupResult,
)
from whisperbench.results.records import (
    Cell,
    Machine,
    ManifestEntry,
    Measurement,
    Run,
    RunInfo,
    Verdict,
)
from whisperbench.results.schema import SCHEMA
from whisperbench.results.soak_course import Creep, SoakCourse

MACHINE = Machine(
    device_key="nvidia-h200-sm90-140gib",
    device="NVIDIA H200",
    device_kind="cuda",
    memory_mib=143771,
    cpu="Some CPU",
    cpu_cores=16,
    os="Linux 6.1",
    python="3.12.3",
    versions={"torch": "2.11.0", "transformers": "5.17.0", "bitsandbytes": "0.50.2"},
    threads=16,
    driver="580.1",
    cuda="13.0",
)

CPU_MACHINE = msgspec.structs.replace(
    MACHINE,
    device_key="cpu-some-cpu-2c",
    device="Some CPU",
    device_kind="cpu",
    memory_mib=16000,
    cpu_cores=2,
    threads=2,
    driver=None,
    cuda=None,
)


def make_measurement(
    benchmark: str = "transcribe",
    precision: str = "fp16",
    samples: tuple[float, ...] = (1.0, 1.0, 1.1, 1.0, 0.9),
    *,
    model: str = "owner/whisper",
    clip: str = "harbour",
    batch_size: int = 1,
    attention: str = "sdpa",
    tokens: int | None = 64,
    transcripts: tuple[str, ...] = (),
    **values: float,
) -> Measurement:
    """Make up a measurement; `values` are further metrics by name."""
    cell = make_cell(
        precision,
        model=model,
        clip=clip,
        batch_size=batch_size,
        attention=attention,
        tokens=tokens,
    )
    latency = Metric(name="latency_s", unit="s", kind="wall", better="lower", samples=samples)
    others = (
        Metric(name=name, unit="1", kind="wall", better="lower", value=value)
        for name, value in values.items()
    )
    timed = LatencyResult(transcripts=transcripts)
    fresh = StartupResult(import_s=2.5, dropped_page_cache=True)
    return Measurement(
        benchmark=benchmark,
        cell=cell,
        metrics=(latency, *others),
        found=fresh if benchmark in ("load", "first call") else timed,
    )


def make_cell(
    precision: str = "fp16",
    *,
    model: str = "owner/whisper",
    device: str = "cuda",
    clip: str = "harbour",
    batch_size: int = 1,
    attention: str = "sdpa",
    tokens: int | None = 64,
) -> Cell:
    """Make up a cell."""
    return Cell(
        model=model,
        checkpoint="abc",
        precision=precision,
        dtype="float16",
        device=device,
        attention=attention,
        clip=clip,
        clip_sha256="def",
        audio_s=26.4,
        language="en",
        batch_size=batch_size,
        tokens=tokens,
    )


def make_memory(
    cell: Cell,
    figures: Mapping[str, float],
    *,
    verdicts: tuple[Verdict, ...] = (),
    judged: str = "process (NVML)",
    longest_gap_ms: float = 12.5,
) -> Measurement:
    """Make up what a memory pass of a cell found."""
    return Measurement(
        benchmark="memory",
        cell=cell,
        metrics=tuple(
            Metric(name=name, unit="MiB", kind="memory", better="lower", value=value)
            for name, value in figures.items()
        ),
        verdicts=verdicts,
        found=MemoryResult(
            judged=judged, polls=3000, poll_interval_ms=1.0, longest_gap_ms=longest_gap_ms
        ),
    )


def make_soak(
    cell: Cell,
    figures: Mapping[str, float],
    *,
    verdicts: tuple[Verdict, ...] = (),
    calls: int = 40,
    not_told: str | None = None,
) -> Measurement:
    """Make up what a soak of a cell found; each figure by the name that its column has."""
    names = {
        name: "drift_ratio" if name == "drift" else f"creep_{name}_kib_per_call" for name in figures
    }
    numbers = tuple(range(1, calls + 1))
    held = {
        name: tuple(100.0 + max(0, at - 4) * slope / 1024 for at in numbers)
        for name, slope in figures.items()
        if name != "drift"
    }
    course = {
        "call": numbers,
        "wall_ms": [250.0 for _ in numbers],
        "cpu_ms": [200.0 for _ in numbers],
        "held_mib": held,
    }
    return Measurement(
        benchmark="soak",
        cell=cell,
        metrics=make_figures({names[name]: value for name, value in figures.items()}),
        verdicts=verdicts,
        found=SoakResult(
            calls=calls,
            left_out=calls // 4,
            clock="CPU time" if cell.device == "cpu" else "wall time",
            creeps=tuple(
                Creep(metric=names[name], value=value, low=value - 0.5, high=value + 0.25)
                for name, value in figures.items()
            ),
            course=msgspec.convert(course, SoakCourse),
            not_told=not_told,
        ),
    )


def make_run(
    *measurements: Measurement,
    manifest: tuple[ManifestEntry, ...] = (),
    machine: Machine = MACHINE,
) -> Run:
    """Put measurements into a run, each measured unless a manifest says otherwise."""
    entries = manifest or tuple(
        ManifestEntry(benchmark=f"test[{index}]", cell=str(index), outcome="measured")
        for index in range(len(measurements))
    )
    info = RunInfo(schema=SCHEMA, reference="fp16", manifest=entries)
    return Run(machine=machine, info=info, measurements=measurements)


def make_run_file(run: Run | None = None) -> dict[str, Any]:
    """Write a run, or a made-up one, as the content of its file, as far as reading it needs."""
    if run is None:
        run = make_run(make_measurement())
    return {
        "machine_info": {"whisperbench": msgspec.to_builtins(run.machine)},
        "whisperbench": msgspec.to_builtins(run.info),
        "benchmarks": [
            {"extra_info": {"whisperbench": msgspec.to_builtins(row)}} for row in run.measurements
        ],
    }


def make_cost(
    cell: Cell,
    counts: Mapping[str, float],
    *,
    gpu_ms: float | None = None,
    floor_ms: float = 1.0,
    wall_ms: float = 10.0,
) -> Measurement:
    """Make up what a cost pass of a cell counted, the same in both stages."""
    metrics = []
    for stage in STAGES:
        metrics += [
            Metric(name=f"{stage}_{name}", unit="1", kind="exact", better="lower", value=value)
            for name, value in counts.items()
        ]
        if gpu_ms is not None:
            metrics.append(
                Metric(
                    name=f"{stage}_gpu_time_ms",
                    unit="ms",
                    kind="device_time",
                    better="lower",
                    samples=(gpu_ms, gpu_ms * 1.001, gpu_ms * 0.999),
                )
            )
    times = StageTimes(floor_ms=floor_ms, floor_bound="memory", wall_ms=wall_ms, gpu_busy_ms=gpu_ms)
    return Measurement(
        benchmark="cost",
        cell=cell,
        metrics=tuple(metrics),
        found=CostResult(encoded_s=30.0, encoder=times, decode=times),
    )


def cost_of(row: Measurement) -> CostResult:
    """Return what a cost pass has found."""
    assert isinstance(row.found, CostResult)
    return row.found
