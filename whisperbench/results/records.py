"""The result types: what a run's JSON file adds to pytest-benchmark's.

The measuring half writes these and the judging half reads them; they know nothing of either.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec

from whisperbench.results.figure import Metric
from whisperbench.results.kinds import Kind
from whisperbench.results.metric_row import Stage
from whisperbench.results.passes import Found
from whisperbench.results.scalars import Amount, Count, DeviceName, Figure, Line, Positive
from whisperbench.units import counted

DESELECTED = "deselected"
"""Why a benchmark did not run that -k or -m took away."""

CLIPS = "clips"
"""What a quality pass calls its clips together, where they are no recordings with a name."""

Place = tuple[str, str, int, str]
"""Model, clip, batch size and attention."""

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


def executions(cell: Cell, stage: Stage) -> int:
    """Return how often a cost's stage is executed: decoding once for each token."""
    return (cell.tokens or 1) if stage == "decode" else 1


def unusual(batch_size: int, attention: str) -> str:
    """Write a batch of several and an attention other than sdpa, each behind a space."""
    batch = f" b{batch_size}" if batch_size != 1 else ""
    return f"{batch} {attention}" if attention != "sdpa" else batch


def name_of(cell: Cell, *, with_clip: bool = False) -> str:
    """Name a cell in a sentence; a batch of one and sdpa, which are usual, are left out.

    Args:
        cell: what is named.
        with_clip: whether the clip and a fixed token count are said too, so that the name tells it
            from all other cells of a benchmark.
    """
    name = f"{cell.model} {cell.precision}{unusual(cell.batch_size, cell.attention)}"
    if not with_clip:
        return name
    tokens = f", {cell.tokens} tokens" if cell.tokens is not None else ""
    return f"{name}, {cell.clip}{tokens}"


class Verdict(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What was decided of one metric, by a limit or a baseline, and why."""

    verdict: Judgement
    metric: Line
    """The one that was judged, which is not always the one that a limit names."""
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
    kind: Kind | None = None
    """Of the metric; None of what a limit has judged."""
    unseen: Amount | None = None
    """Of an inconclusive one, about the growth, as a share of the base, that may be hidden: more
    would have shown. None where any may be hidden, as far as the rule tells."""
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

    benchmark: str
    cell: Cell
    verdict: Verdict


class Measurement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`extra_info.whisperbench` of one benchmark."""

    benchmark: Line
    """What was measured: transcribe, front end, encoder, token, load, first call, memory, cost,
    quality or numerics."""
    cell: Cell
    metrics: tuple[Metric, ...]
    found: Found
    """What the pass has found beside its figures."""
    verdicts: tuple[Verdict, ...] = ()
    """By the limits that apply to it."""
    body: Line = ""
    """Digest of the benchmark's code: what another body measured is another thing."""

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
    shard: Positive | None = None
    """In a file of a shard: the number of the shard that it belongs to."""
    setup_s: Amount | None = None
    """Seconds that its fixtures took, such as loading the checkpoint;"""
    took_s: Amount | None = None
    """and seconds that it took besides. None where it did not run, and in older files."""
    not_offered: bool = False
    """Whether its transcriber does not offer what it needs, which the reason names: it could not
    be measured, and nothing has failed. A baseline that has its figures misses them."""

    @property
    def deselected(self) -> bool:
        """Whether -k or -m took it away."""
        return self.outcome == "skipped" and self.reason == DESELECTED


class Shard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a run a process has measured, and what the other parts must have in common."""

    index: Positive
    """From 1 on."""
    of: Positive
    """How many shards the run is split into."""
    times: Line
    """Digest of the times that balanced the split; empty where every cell counted alike."""
    settings: dict[Line, Line]
    """What the run was asked for, as a profile of suite.toml with the options put in."""

    def __str__(self) -> str:
        return f"shard {self.index} of {self.of}"


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
    shard: Shard | None = None
    """None of a run that is whole."""
    process_s: Amount | None = None
    """Seconds from the start of the run's process to its file; None in older files."""

    def is_elsewhere(self, entry: ManifestEntry) -> bool:
        """Whether a benchmark belongs to another shard than this file's."""
        return self.shard is not None and entry.shard not in (None, self.shard.index)

    def not_offered(self) -> list[str]:
        """Name what transcribers do not offer, and so was not measured, without having failed."""
        return [f"{each.benchmark}: {each.reason}" for each in self.manifest if each.not_offered]

    def unmeasured(self) -> list[str]:
        """Name what was asked for and not measured, with the reasons; deselection is none.

        Nor is what a transcriber does not offer. A shard is no whole run: what belongs to the
        others was not measured, which is one line.
        """
        elsewhere = sum(map(self.is_elsewhere, self.manifest))
        found = [
            f"{entry.outcome}: {entry.benchmark}: {entry.reason}"
            for entry in self.manifest
            if entry.outcome not in ("measured", "regressed", "not-comparable")
            and not entry.deselected
            and not entry.not_offered
            and not self.is_elsewhere(entry)
        ]
        if elsewhere:
            found.append(
                f"{self.shard} alone: {counted(elsewhere, 'benchmark')} of other shards are not in "
                "this file; whisperbench merge puts the shards together"
            )
        return found


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
    """Of a run that was merged of shards on several GPUs: all of them, with commas."""
    compute_capability: Line | None = None
    driver: Line | None = None
    cuda: Line | None = None
    power_limit_w: Amount | None = None
    compute_mode: Line | None = None
    mig: bool | None = None

    is_host: bool | None = None
    """Whether the device is the host itself; None in files that are older than this."""

    @property
    def on_host(self) -> bool:
        """Whether the device is the host itself: of old files, one without identity or driver."""
        known_by = (self.driver, self.gpu_uuid, self.compute_capability)
        return self.is_host if self.is_host is not None else not any(known_by)


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
