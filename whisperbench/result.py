"""The result types: what a run's JSON file adds to pytest-benchmark's, and reading it back.

The measuring half writes these and the judging half reads them; they know nothing of either.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.kinds import Kind

SCHEMA = 1
"""Version of the format. History: 1 (whisperbench 0.1.0), the first."""

DESELECTED = "deselected"
"""Why a benchmark did not run that -k or -m took away."""

Place = tuple[str, str, int, str]
"""Model, clip, batch size and attention."""

COST_STAGES = ("encoder", "decode")
"""Stages of a cost: the encoder, and all the rest of `generate()`."""

PartKind = Literal["op", "kernel", "copy", "memset", "sync"]
Outcome = Literal["measured", "over-limit", "regressed", "invalid", "skipped", "failed"]
"""What became of a benchmark. `over-limit` was measured and stands in the file with its figures,
as far as it got, and so does what `regressed` against a baseline, or could not be held against it;
`invalid` was measured too, but is not to be believed, and has no figures."""

Judgement = Literal[
    "ok",
    "improved",
    "regressed",
    "over-limit",
    "inconclusive",
    "not-comparable",
    "invalid",
    "new",
    "missing",
]


class Metric(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure of a cell: a value, the samples it was taken from, or one of each process."""

    name: str
    """With its unit at the end, as in `latency_s`, unless it is a plain ratio or a count."""
    unit: str
    kind: Kind
    """How noisy it is, and so which rule judges it."""
    better: Literal["lower", "higher"]
    value: float | None = None
    samples: tuple[float, ...] | None = None
    """Of each round; the figure is their median."""
    processes: tuple[float, ...] | None = None
    """In a baseline of several processes: the figure of each."""
    derived: bool = False
    """Whether it is another figure of the cell, divided by something: that one is judged."""
    conditions: dict[str, str] = {}
    """What must be equal, beside the cell, before it is compared: the device, or Python's minor
    version. A figure without any is the program's own and compares everywhere."""

    def __post_init__(self) -> None:
        """Refuse a metric that says nothing, says it twice, or is not finite."""
        said = [part for part in (self.value, self.samples, self.processes) if part is not None]
        if len(said) != 1 or said == [()]:
            raise ValueError(f"metric {self.name}: needs a value or samples, and not both")
        if not all(math.isfinite(figure) for figure in self.samples or self.figures):
            raise ValueError(f"metric {self.name}: holds a figure that is not finite")

    @property
    def figures(self) -> tuple[float, ...]:
        """The figure of each process, which is the median of its samples where it has any."""
        if self.processes is not None:
            return self.processes
        return (median(self.samples) if self.samples else self.value or 0.0,)


class Part(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a counted cost is made of: so many of one thing, in one stage."""

    kind: PartKind
    name: str
    """Of the aten op, the kernel or the runtime call; of a copy its direction, as in htod."""
    op: str
    """The op that it came from; empty where a module called it itself."""
    module: str
    """Class of the innermost module that it came from."""
    stage: str
    count: int
    time_us: float = 0.0
    """On the GPU, all of them together."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What was run, in full: two benchmarks of equal cells may be compared."""

    model: str
    checkpoint: str
    """What tells this checkpoint from another of the same name: a commit, recipe or digest."""
    precision: str
    dtype: str
    """dtype of what is not quantized, activations included."""
    device: str
    attention: str
    clip: str
    clip_sha256: str
    audio_s: float
    language: str
    batch_size: int
    tokens: int | None
    """Tokens of the fixed-length decode; None at natural length and where nothing is decoded."""

    @property
    def place(self) -> Place:
        """What it has in common with the cells that stand in one table with it."""
        return self.model, self.clip, self.batch_size, self.attention


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided of one metric, by a ceiling or a baseline, and why."""

    verdict: Judgement
    metric: str
    """The one that was judged, which is not always the one that a ceiling names."""
    unit: str
    sentence: str
    """What a person can act on."""
    base: float | None = None
    """In the baseline; of several processes, their middle."""
    head: float | None = None
    """In the run that is judged. None where there was nothing to judge."""
    interval: tuple[float, float] | None = None
    """Bounds of the growth, as shares of the base, where the rule is statistical."""
    limit: float | None = None
    """The most that it may be."""
    absent: str | None = None
    """Of a missing one, the precision that it needs and that was not measured in this run."""

    @property
    def change(self) -> float | None:
        """Growth as a share of the base; None where there is none to take it of."""
        if self.base is None or self.head is None or not self.base:
            return None
        return self.head / self.base - 1


class Judged(NamedTuple):
    """A verdict, and what it is on."""

    stage: str
    cell: Cell
    verdict: Verdict


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """`extra_info.whisperbench` of one benchmark."""

    stage: str
    """What was measured: transcribe, front end, encoder, token, load, first call or memory."""
    cell: Cell
    metrics: tuple[Metric, ...]
    verdicts: tuple[Verdict, ...] = ()
    """By the ceilings that apply; none of them: none applies."""
    transcripts: tuple[str, ...] = ()
    """One text per clip of the batch, where a transcript is made."""
    parts: tuple[Part, ...] = ()
    """What a cost is made of."""
    notes: dict[str, str | float | bool] = {}
    """Conditions that explain a figure but are not judged."""
    body: str = ""
    """Digest of the benchmark's code: what another body measured is another thing."""

    def metric(self, name: str) -> Metric | None:
        """Find a metric by name."""
        return next((metric for metric in self.metrics if metric.name == name), None)


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one benchmark that the run was asked for."""

    benchmark: str
    cell: str
    """Its place in the matrix, as the benchmark's id shows it."""
    outcome: Outcome
    reason: str = ""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`whisperbench` at the top level of a run."""

    schema: int
    reference: str
    """The precision that ratios are taken against."""
    manifest: tuple[ManifestEntry, ...]
    processes: int = 1
    """How many runs a baseline is made of."""

    def unmeasured(self) -> list[str]:
        """Name what was asked for and not measured, with the reasons; deselection is none."""
        return [
            f"{entry.outcome}: {entry.benchmark}: {entry.reason}"
            for entry in self.manifest
            if entry.outcome != "measured" and entry.reason != DESELECTED
        ]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """`machine_info.whisperbench`: what was measured on. No host, user or path in it."""

    device_key: str
    """A slug of what must be equal before two runs are compared."""
    device: str
    device_kind: str
    memory_mib: int
    """Of the GPU, or the host's for a CPU run."""
    cpu: str
    cpu_cores: int
    os: str
    python: str
    versions: dict[str, str]
    threads: int
    """torch's intra-op threads."""
    gpu_uuid: str | None = None
    compute_capability: str | None = None
    driver: str | None = None
    cuda: str | None = None
    power_limit_w: float | None = None
    compute_mode: str | None = None
    mig: bool | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run file, read."""

    machine: Machine
    info: RunInfo
    measurements: tuple[Measurement, ...]


class _Extra(msgspec.Struct):
    whisperbench: Measurement


class _Benchmark(msgspec.Struct):
    extra_info: _Extra


class _MachineInfo(msgspec.Struct):
    whisperbench: Machine


class _SchemaOnly(msgspec.Struct):
    schema: int


class _Version(msgspec.Struct):
    whisperbench: _SchemaOnly


class _RunFile(msgspec.Struct):
    machine_info: _MachineInfo
    whisperbench: RunInfo
    benchmarks: list[_Benchmark]


def read_run(path: Path) -> Run:
    """Read a run file.

    Raises:
        InputError: it cannot be read, is not a whisperbench run, or has an unknown schema.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {one_line(error.strerror)}") from error
    return decode_run(data, str(path))


def decode_run(data: bytes, name: str) -> Run:
    """Read what a run file holds.

    Args:
        data: of the whole file.
        name: what to call it in an error.

    Raises:
        InputError: as `read_run`.
    """
    try:
        # The version first: a file of another one may differ in everything else.
        schema = msgspec.json.decode(data, type=_Version).whisperbench.schema
        if schema != SCHEMA:
            raise InputError(
                f"{name}: is of result schema {schema}; this whisperbench reads {SCHEMA}: "
                "use the version that wrote it, or measure again"
            )
        file = msgspec.json.decode(data, type=_RunFile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{name}: not a whisperbench run: {one_line(error)}") from error
    return Run(
        machine=file.machine_info.whisperbench,
        info=file.whisperbench,
        measurements=tuple(row.extra_info.whisperbench for row in file.benchmarks),
    )


def require_writable(path: Path) -> None:
    """Check that a file can be made where it is to be, and make its folder.

    Raises:
        InputError: it cannot, or there is a folder in its place.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error.strerror)}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error.strerror)}") from error
