"""Results of schema 1, read as those of today.

Schema 1 kept what a pass had found beside its figures as a dictionary of notes, and the parts,
calls, clips and transcripts of all passes in one type. All that a report shows and a comparison
uses is carried over. What is lost: notes that no pass of this suite wrote. A row that lacks what
its pass has always written is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from whisperbench.results.figure import Metric
from whisperbench.results.metric_row import Stage
from whisperbench.results.passes import (
    ClipScore,
    CostResult,
    DeviceConditions,
    Energy,
    Found,
    LatencyResult,
    MemoryResult,
    NumericsResult,
    Part,
    QualityResult,
    StageTimes,
    StartupResult,
)
from whisperbench.results.records import Cell, Measurement, Verdict
from whisperbench.results.scalars import Count, Figure, Line
from whisperbench.units import WINDOW_S

SCHEMA_1 = 1

BODIES: Mapping[str, str] = {
    "0c0618e132840bd6": "16d4033ff5196585",  # test_cost
    "d8661676bc674731": "be1c09dfbf583b35",  # test_memory
    "0737c801d3886c25": "a9412010d6709868",  # test_numerics
    "a1601b12831b41c5": "24d960bc104a14d6",  # test_quality
    "4cd2e2cefefab659": "032bc4ed250a55ee",  # test_overhead
}
"""Digests of benchmarks as schema 1 had them, and as they are for the same benchmarks today: what
was rewritten is how they hand on what they have measured."""

T = TypeVar("T")

_Note = Line | Figure | bool


class Measurement1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`extra_info.whisperbench` of one benchmark, in schema 1."""

    stage: Line
    cell: Cell
    metrics: tuple[Metric, ...]
    verdicts: tuple[Verdict, ...] = ()
    transcripts: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    calls: dict[Stage, dict[Line, Count]] = {}
    clips: tuple[ClipScore, ...] = ()
    notes: dict[Line, _Note] = {}
    body: Line = ""

    def converted(self) -> Measurement:
        """Return it as a measurement of today.

        Raises:
            ValueError: a note that its pass needs is absent, or of another type than it writes.
        """
        return Measurement(
            benchmark=self.stage,
            cell=self.cell,
            metrics=self.metrics,
            found=self._found(),
            verdicts=self.verdicts,
            body=BODIES.get(self.body, self.body),
        )

    def _found(self) -> Found:
        conditions = _taken(DeviceConditions, self.notes)
        match self.stage:
            case "memory":
                return _taken(MemoryResult, self.notes, conditions=conditions)
            case "load" | "first call":
                return _taken(StartupResult, self.notes, conditions=conditions)
            case "cost":
                # The first files of costs did not say how much was encoded.
                encoded_s = self.notes.get("encoded_s", WINDOW_S * self.cell.batch_size)
                return _taken(
                    CostResult,
                    self.notes,
                    encoded_s=encoded_s,
                    conditions=conditions,
                    encoder=self._times("encoder"),
                    decode=self._times("decode"),
                    parts=self.parts,
                    calls=self.calls,
                )
            case "quality":
                low, high = (self.notes.get(f"wer_over_reference_{end}") for end in ("low", "high"))
                return _taken(
                    QualityResult,
                    self.notes,
                    # The notes count clips, too.
                    clips=self.clips,
                    conditions=conditions,
                    transcripts=self.transcripts,
                    over_reference=None if low is None or high is None else (low, high),
                )
            case "numerics":
                return _taken(NumericsResult, self.notes, conditions=conditions)
        energy = {
            "window_s": self.notes.get("energy_window_s"),
            "calls": self.notes.get("energy_calls"),
            "attempts_not_believed": self.notes.get("energy_attempts_not_believed"),
        }
        return LatencyResult(
            conditions=conditions,
            transcripts=self.transcripts,
            energy=_taken(Energy, energy) if energy["window_s"] is not None else None,
        )

    def _times(self, stage: str) -> StageTimes:
        prefix = f"{stage}_"
        own = {
            name.removeprefix(prefix): note
            for name, note in self.notes.items()
            if name.startswith(prefix)
        }
        return _taken(StageTimes, own)


def _taken(kind: type[T], notes: Mapping[str, Any], **others: Any) -> T:
    """Make a type of what notes have of its fields, and of others."""
    names = {field.name for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
    own = {
        # A note was a float, though its field counts.
        name: int(note) if isinstance(note, float) and note.is_integer() else note
        for name, note in notes.items()
        if name in names and note is not None
    }
    return msgspec.convert(msgspec.to_builtins({**own, **others}), kind)
