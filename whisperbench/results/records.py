"""The result types: what a run's JSON file adds to pytest-benchmark's.

The measuring half writes these and the judging half reads them; they know nothing of either.
"""

from __future__ import annotations

import math
from statistics import median
from typing import Annotated, Literal, NamedTuple

import msgspec

from whisperbench.errors import UNPRINTABLE
from whisperbench.results.kinds import Kind
from whisperbench.text.words import Score, Sign
from whisperbench.units import counted

DESELECTED = "deselected"
"""Why a benchmark did not run that -k or -m took away."""

Place = tuple[str, str, int, str]
"""Model, clip, batch size and attention."""

COST_STAGES = ("encoder", "decode")
"""Stages of a cost: the encoder, and all the rest of `generate()`."""

LINE = rf"^[^{UNPRINTABLE}]*\Z"
Line = Annotated[str, msgspec.Meta(pattern=LINE)]
"""Text that can be printed as it is."""
DeviceName = Annotated[str, msgspec.Meta(pattern=r"^(cpu|cuda)\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""No larger than what every reader of JSON holds exactly."""
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
Figure = Annotated[float, msgspec.Meta(ge=-1e18, le=1e18)]
"""Bounded, so that sums and products of them stay finite."""

PartKind = Literal["op", "kernel", "copy", "memset", "sync", "allocation"]
Outcome = Literal[
    "measured", "over-limit", "regressed", "not-comparable", "invalid", "skipped", "failed"
]
"""What became of a benchmark. `over-limit` was measured and stands in the file with its figures,
as far as it got, and so do what `regressed` against a baseline and what is `not-comparable` with
it; `invalid` was measured too, but is not to be believed, and has no figures."""

WITH_FIGURES: tuple[Outcome, ...] = ("measured", "over-limit", "regressed", "not-comparable")
"""Outcomes of which the figures stand in the file."""

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


class Metric(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One figure of a cell: a value, the samples it was taken from, or one of each process."""

    name: Line
    """With its unit at the end, as in `latency_s`, unless it is a plain ratio or a count."""
    unit: Line
    kind: Kind
    """How noisy it is, and so which rule judges it."""
    better: Literal["lower", "higher"]
    value: Figure | None = None
    samples: tuple[Figure, ...] | None = None
    """Of each round; the figure is their median."""
    processes: tuple[Figure, ...] | None = None
    """In a baseline of several processes: the figure of each."""
    derived: bool = False
    """Whether it is another figure of the cell, divided by something: that one is judged."""
    conditions: dict[Line, Line] = {}
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


class Part(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What a counted cost is made of: so many of one thing, in one stage."""

    kind: PartKind
    name: Line
    """Of the aten op, the kernel or the runtime call; of a copy its direction, as in htod."""
    op: Line
    """The op that it came from; empty where a module called it itself."""
    module: Line
    """Class of the innermost module that it came from."""
    stage: Line
    count: Count
    time_us: Amount = 0.0
    """On the GPU, all of them together."""


class ClipScore(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True
):
    """How one clip was heard: edits that make its transcript the reference, and what is odd."""

    name: Line
    words: Count
    """Of the reference."""
    word_edits: Count
    characters: Count
    character_edits: Count
    tokens: Count
    """Of the transcript."""
    signs: tuple[Sign, ...]

    @property
    def score(self) -> Score:
        """The edits alone."""
        return Score(
            words=self.words,
            word_edits=self.word_edits,
            characters=self.characters,
            character_edits=self.character_edits,
        )


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was run, in full: two benchmarks of equal cells may be compared."""

    model: Line
    checkpoint: Line
    """What tells this checkpoint from another of the same name: a commit, recipe or digest."""
    precision: Line
    dtype: Line
    """dtype of what is not quantized, activations included."""
    device: DeviceName
    attention: Line
    clip: Line
    clip_sha256: Line
    audio_s: Annotated[float, msgspec.Meta(gt=0, le=1e18)]
    language: Line
    batch_size: Positive
    tokens: Positive | None
    """Tokens of the fixed-length decode; None at natural length and where nothing is decoded."""

    @property
    def place(self) -> Place:
        """What it has in common with the cells that stand in one table with it."""
        return self.model, self.clip, self.batch_size, self.attention


def name_of(cell: Cell, *, with_clip: bool = False) -> str:
    """Name a cell in a sentence; a batch of one and sdpa, which are usual, are left out.

    Args:
        cell: what is named.
        with_clip: whether the clip and a fixed token count are said too, so that the name tells it
            from all other cells of a benchmark.
    """
    batch = f" b{cell.batch_size}" if cell.batch_size != 1 else ""
    attention = f" {cell.attention}" if cell.attention != "sdpa" else ""
    name = f"{cell.model} {cell.precision}{batch}{attention}"
    if not with_clip:
        return name
    tokens = f", {cell.tokens} tokens" if cell.tokens is not None else ""
    return f"{name}, {cell.clip}{tokens}"


class Verdict(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What was decided of one metric, by a ceiling or a baseline, and why."""

    verdict: Judgement
    metric: Line
    """The one that was judged, which is not always the one that a ceiling names."""
    unit: Line
    sentence: Line
    """What a person can act on."""
    base: Figure | None = None
    """In the baseline; of several processes, their middle."""
    head: Figure | None = None
    """In the run that is judged. None where there was nothing to judge."""
    interval: tuple[Figure, Figure] | None = None
    """Bounds of the growth, as shares of the base, where the rule is statistical."""
    limit: Figure | None = None
    """The most that it may be."""
    absent: Line | None = None
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


class Measurement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`extra_info.whisperbench` of one benchmark."""

    stage: Line
    """What was measured: transcribe, front end, encoder, token, load, first call or memory."""
    cell: Cell
    metrics: tuple[Metric, ...]
    verdicts: tuple[Verdict, ...] = ()
    """By the ceilings that apply; none of them: none applies."""
    transcripts: tuple[str, ...] = ()
    """One text per clip of the batch, where a transcript is made."""
    parts: tuple[Part, ...] = ()
    """What a cost is made of."""
    calls: dict[Line, dict[Line, Count]] = {}
    """Python calls of each stage, by function."""
    clips: tuple[ClipScore, ...] = ()
    """Of a quality pass: each clip's score; `transcripts` has what was heard of it."""
    notes: dict[Line, Line | Figure | bool] = {}
    """Conditions that explain a figure but are not judged."""
    body: Line = ""
    """Digest of the benchmark's code: what another body measured is another thing."""

    def number(self, note: str) -> float:
        """Return a note that is a number; 0 where there is none."""
        found = self.notes.get(note)
        return float(found) if isinstance(found, int | float) else 0.0

    def metric(self, name: str) -> Metric | None:
        """Find a metric by name."""
        return next((metric for metric in self.metrics if metric.name == name), None)


class ManifestEntry(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What became of one benchmark that the run was asked for."""

    benchmark: Line
    cell: Line
    """Its place in the matrix, as the benchmark's id shows it."""
    outcome: Outcome
    reason: Line = ""

    @property
    def deselected(self) -> bool:
        """Whether -k or -m took it away."""
        return self.outcome == "skipped" and self.reason == DESELECTED


class RunInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`whisperbench` at the top level of a run."""

    schema: Count
    reference: Line
    """The precision that ratios are taken against."""
    manifest: tuple[ManifestEntry, ...]
    processes: Positive = 1
    """How many runs a baseline is made of."""
    remarks: tuple[Line, ...] = ()
    """What was odd about checkpoints and audio, in sentences; they were usable all the same."""

    def unmeasured(self) -> list[str]:
        """Name what was asked for and not measured, with the reasons; deselection is none."""
        return [
            f"{entry.outcome}: {entry.benchmark}: {entry.reason}"
            for entry in self.manifest
            if entry.outcome not in ("measured", "regressed", "not-comparable")
            and not entry.deselected
        ]


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`machine_info.whisperbench`: what was measured on. No host, user or path in it."""

    device_key: Line
    """A slug of what must be equal before two runs are compared."""
    device: Line
    device_kind: DeviceName
    memory_mib: Count
    """Of the GPU; for a CPU run what the process may use of the host's."""
    cpu: Line
    cpu_cores: Positive | Annotated[float, msgspec.Meta(gt=0, le=2**53)]
    """As many as the process may use: a container can have a part of one."""
    os: Line
    python: Line
    versions: dict[Line, Line]
    threads: Positive
    """torch's intra-op threads."""
    gpu_uuid: Line | None = None
    compute_capability: Line | None = None
    driver: Line | None = None
    cuda: Line | None = None
    power_limit_w: Amount | None = None
    compute_mode: Line | None = None
    mig: bool | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run file, read."""

    machine: Machine
    info: RunInfo
    measurements: tuple[Measurement, ...]

    def unmeasured(self) -> list[str]:
        """Name what was asked for and is not there, with the reasons; deselection is none."""
        entries = sum(entry.outcome in WITH_FIGURES for entry in self.info.manifest)
        found = self.info.unmeasured()
        if entries != len(self.measurements):
            measured = counted(entries, "benchmark")
            found.append(f"{measured} measured, and {len(self.measurements)} in the file")
        return found
