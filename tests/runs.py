"""Made-up runs for tests of reading and reporting. No figure in them was measured."""

from __future__ import annotations

from typing import Any

import msgspec

from whisperbench.result import (
    SCHEMA,
    Cell,
    Machine,
    ManifestEntry,
    Measurement,
    Metric,
    Run,
    RunInfo,
)

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


def make_measurement(
    stage: str = "transcribe",
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
    cell = Cell(
        model=model,
        checkpoint="abc",
        precision=precision,
        dtype="float16",
        device="cuda",
        attention=attention,
        clip=clip,
        clip_sha256="def",
        audio_s=26.4,
        language="en",
        batch_size=batch_size,
        tokens=tokens,
    )
    latency = Metric(name="latency_s", unit="s", kind="wall", better="lower", samples=samples)
    others = (
        Metric(name=name, unit="1", kind="wall", better="lower", value=value)
        for name, value in values.items()
    )
    return Measurement(stage=stage, cell=cell, metrics=(latency, *others), transcripts=transcripts)


def make_run(*measurements: Measurement, manifest: tuple[ManifestEntry, ...] = ()) -> Run:
    """Put measurements into a run, each measured unless a manifest says otherwise."""
    entries = manifest or tuple(
        ManifestEntry(benchmark=f"test[{index}]", cell=str(index), outcome="measured")
        for index in range(len(measurements))
    )
    info = RunInfo(schema=SCHEMA, reference="fp16", manifest=entries)
    return Run(machine=MACHINE, info=info, measurements=measurements)


def make_run_file() -> dict[str, Any]:
    """Make up the content of a run's file, as far as reading it needs."""
    run = make_run(make_measurement())
    return {
        "machine_info": {"whisperbench": msgspec.to_builtins(run.machine)},
        "whisperbench": msgspec.to_builtins(run.info),
        "benchmarks": [
            {"extra_info": {"whisperbench": msgspec.to_builtins(row)}} for row in run.measurements
        ],
    }
