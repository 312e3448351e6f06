"""What each pass has found beside its figures: a type each, which its part of a report reads."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from whisperbench.results.metric_row import Stage
from whisperbench.results.ran import Ran
from whisperbench.results.scalars import Amount, Count, Figure, Line, Positive
from whisperbench.results.soak_course import Creep, SoakCourse
from whisperbench.text.signs import Sign
from whisperbench.text.words import Score, pooled

PartKind = Literal["op", "kernel", "copy", "memset", "sync", "graph", "allocation"]
Bound = Literal["memory", "arithmetic"]
"""What the least time of a stage is spent on."""


class Part(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What a counted cost is made of: so many of one thing, in one stage."""

    kind: PartKind
    name: Line
    """Of the aten op, the kernel or the runtime call; of a copy its direction, as in htod."""
    op: Line
    """The op that it came from; empty where a module called it itself."""
    module: Line
    """Class of the innermost module that it came from."""
    stage: Stage
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


class DeviceConditions(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What the device ran at while a benchmark was timed; nothing of a CPU, which does not say."""

    others: Literal["visible", "hidden"] | None = None
    """Whether other processes on the device can be seen from here."""
    sm_clock_mhz: Amount | None = None
    """The middle one of all readings,"""
    lowest_sm_clock_mhz: Amount | None = None
    """and the lowest."""
    highest_temperature_c: Figure | None = None
    event_reasons: Line | None = None
    """Why the clocks were what they were."""
    attempts_not_believed: Line | None = None
    """What was wrong with earlier attempts at the benchmark, which was timed again."""


class Energy(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The window that energy was taken over."""

    window_s: Amount
    calls: Count
    attempts_not_believed: Line | None = None


class Compilation(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What torch.compile had done in a process by the end of a benchmark."""

    functions: Count
    """That it was given to compile; one counts again where it had to be compiled anew."""
    graphs: Count
    """That it has made of them. A function of which it made none runs as it is."""
    seconds: Amount
    """That it took. The benchmark's own figures are without them."""
    compiled_anew: tuple[Line, ...] = ()
    """Why functions were compiled anew, before anything was timed."""


class _Found(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="pass",
):
    """What all passes say."""

    conditions: DeviceConditions = DeviceConditions()
    ran: Ran | None = None
    """None in files that are older than this."""


class Turns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a process took turns with another one, round by round."""

    cpus: tuple[Count, ...]
    """Numbers of those that both were pinned to."""
    reference_ms: tuple[Amount, ...]
    """Of the reference loop before each round: the state of the host."""


class LatencyResult(_Found, frozen=True, kw_only=True, tag="latency"):
    """Of a benchmark whose rounds ran in this process."""

    transcripts: tuple[str, ...] = ()
    """One text per clip of the batch, where a transcript is made."""
    energy: Energy | None = None
    turns: Turns | None = None
    """None where it ran alone."""
    compilation: Compilation | None = None
    """None where nothing was compiled."""


class StartupResult(_Found, frozen=True, kw_only=True, tag="startup"):
    """Of a benchmark each of whose rounds was a fresh process."""

    import_s: Amount
    """The quickest import of torch and transformers, which comes before what is timed."""
    dropped_page_cache: bool
    """Whether the system was able to forget the checkpoint's files before each round."""
    compilation: Compilation | None = None
    """Of the last round; None where nothing was compiled."""


class MemoryPhase(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True
):
    """When a phase of a cell was, in seconds from the first reading on."""

    name: Line
    start_s: Amount
    end_s: Amount


MOST_READINGS, MOST_PHASES = 1000, 100
"""Readings and phases that a file may hold of a cell: they are there to be drawn."""


class MemoryCourse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cell held over time: few enough readings to draw, each the highest of its span."""

    of: Literal["process", "device"]
    """What held it: the process, or where that is hidden the device over its idle level."""
    at_s: Annotated[tuple[Amount, ...], msgspec.Meta(max_length=MOST_READINGS)]
    """From the first reading on: the end of each span."""
    held_mib: Annotated[tuple[Figure, ...], msgspec.Meta(max_length=MOST_READINGS)]
    phases: Annotated[tuple[MemoryPhase, ...], msgspec.Meta(max_length=MOST_PHASES)]

    def __post_init__(self) -> None:
        """Refuse readings without a time and times without a reading."""
        if len(self.at_s) != len(self.held_mib):
            raise ValueError("the course of memory has other times than readings")


class MemoryResult(_Found, frozen=True, kw_only=True, tag="memory"):
    """Of a cell in a fresh process, watched from outside."""

    judged: Line
    """Which figure limits are held against."""
    polls: Count
    poll_interval_ms: Amount
    longest_gap_ms: Amount
    """Between two polls."""
    process_poll_interval_ms: Amount | None = None
    poll_cost_us: Amount | None = None
    ready_s: Amount | None = None
    """From the start of the pass until the process had imported what it needs."""
    idle_device_mib: Amount | None = None
    """The device's level before the cell, which its growth is taken over."""
    course: MemoryCourse | None = None
    """None in older files, and where nothing was read."""


class StageTimes(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What a stage of a cost takes, and what it would take at least."""

    floor_ms: Amount
    """Reading each weight once or the arithmetic, at the rates that the device has reached."""
    floor_bound: Bound
    wall_ms: Amount
    """Without a profiler."""
    gpu_busy_ms: Amount | None = None
    """In which the GPU worked; None where no profiler saw it."""


class CostResult(_Found, frozen=True, kw_only=True, tag="cost"):
    """Of a cell that was counted."""

    encoded_s: Amount
    """Seconds of audio that the encoder was given."""
    encoder: StageTimes
    decode: StageTimes
    parts: tuple[Part, ...] = ()
    """What the counts are made of."""
    calls: dict[Stage, dict[Line, Count]] = {}
    """Python calls of each stage, by function."""
    not_counted: Line | None = None
    """What could not be counted here, and why."""
    copies_of_no_bytes: Count | None = None
    """Copies that the profiler names and that moved nothing."""

    def times(self, stage: Stage) -> StageTimes:
        """Return the times of a stage."""
        return self.encoder if stage == "encoder" else self.decode

    @property
    def compiles(self) -> bool:
        """Whether torch.compile compiles the decoder's step."""
        return self.ran is not None and self.ran.compiled_graphs is not None

    def gpu_busy_share(self, stage: Stage) -> float | None:
        """Return the share of a stage's time in which the GPU works; None where nobody saw it.

        Nor is it told of decoding that is compiled: the few tokens that are counted take most of
        their time in the pass over the prompt, which is not compiled. A longer transcript does not.
        """
        spent = self.times(stage)
        if spent.gpu_busy_ms is None or not spent.wall_ms or (self.compiles and stage == "decode"):
            return None
        return spent.gpu_busy_ms / spent.wall_ms


class QualityResult(_Found, frozen=True, kw_only=True, tag="quality"):
    """Of the clips that were heard for their words."""

    clips: tuple[ClipScore, ...] = ()
    transcripts: tuple[str, ...] = ()
    """What was heard of each."""
    normalizer: Line | None = None
    """What words are compared after; None in results older than that."""
    mark_edits: Count = 0
    """Wrong words that differ in combining marks alone."""
    over_reference: tuple[Figure, Figure] | None = None
    """Bounds of the error rate over the reference's: of 95 in 100 such sets of clips."""

    @property
    def score(self) -> Score:
        """The edits of all clips."""
        return pooled([clip.score for clip in self.clips])


class NumericsResult(_Found, frozen=True, kw_only=True, tag="numerics"):
    """Of tokens that were forced through a precision and through 32-bit floats."""

    worst_layer: Line | None = None
    """After which the hidden states differ most; None where layers cannot be looked into."""


class SoakResult(_Found, frozen=True, kw_only=True, tag="soak"):
    """Of a cell that was called many times in a fresh process."""

    calls: Positive
    left_out: Count
    """Of them the first, which no slope is taken of."""
    clock: Literal["CPU time", "wall time"]
    """What its drift is of."""
    creeps: tuple[Creep, ...] = ()
    """Bounds of its figures."""
    course: SoakCourse | None = None
    not_told: Line | None = None
    """What could not be read here, as whole sentences."""


Found = (
    LatencyResult
    | StartupResult
    | MemoryResult
    | CostResult
    | QualityResult
    | NumericsResult
    | SoakResult
)
"""What any pass has found: a new pass has its type among these."""
