"""The registry of metrics: one row each, and all that there is to say of it.

A pass gives values by these names, and nothing else about them. A new metric is a row here, beside
the place that measures it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS, Kind
from whisperbench.results.metric_row import (
    CONDITIONS,
    COPY_DIRECTIONS,
    LEVELS,
    PEAK_PHASES,
    STAGES,
    Level,
    MadeOf,
    MetricRow,
    Pass,
    PeakPhase,
    Stage,
)

Value = float | Sequence[float] | None
"""Of a metric: one figure, or the samples that its median is taken of; None where a transcriber
does not offer it, and it is left out."""


def _rows() -> Iterator[MetricRow]:
    """Yield all metrics, in the order of their columns."""
    yield MetricRow(
        name="weight_mib",
        unit="MiB",
        kind="exact",
        made_by=("latency", "memory", "numerics"),
        can_be_zero=False,
        headings={"latency": "MiB", "memory": "weights"},
    )
    yield from _of_time()
    yield from _of_memory()
    for stage in STAGES:
        yield from _of_cost(stage)
    yield from _of_words()


def _of_time() -> Iterator[MetricRow]:
    yield MetricRow(name="latency_s", unit="s", kind="wall", made_by=("latency", "startup"))
    for name, unit, heading in (
        ("tokens_per_s", "1/s", "tok/s"),
        ("rtfx", "s/s", "RTFx"),
        ("rtfx_fixed_tokens", "s/s", "RTFx*"),
    ):
        yield MetricRow(
            name=name,
            unit=unit,
            kind="wall",
            made_by=("latency",),
            better="higher",
            derived=True,
            headings={"latency": heading},
        )
    timed: tuple[Pass, ...] = ("latency", "startup")
    yield _timed("energy_j_per_audio_s", "J/s", timed[:1], "J/s")
    yield _timed("compile_s", "s", timed, "compile s")
    yield MetricRow(name="overhead_ratio", unit="1", kind="wall", made_by=("latency",))


def _timed(name: str, unit: str, made_by: tuple[Pass, ...], heading: str) -> MetricRow:
    return MetricRow(
        name=name, unit=unit, kind="wall", made_by=made_by, headings={"latency": heading}
    )


_SHOWN_PEAKS: Mapping[tuple[PeakPhase, Level], str] = {
    ("load", "process"): "process",
    ("load", "device"): "device",
    ("first call", "process"): "process",
    ("steady call", "allocated"): "tensors",
    ("steady call", "reserved"): "torch",
    ("steady call", "process"): "process",
    ("steady call", "device"): "device",
}
"""Peaks that have a column; all of them are judged."""


def _of_memory() -> Iterator[MetricRow]:
    yield _memory("context_mib", "context")
    phases: tuple[PeakPhase, ...] = ("", *PEAK_PHASES)
    for phase in phases:
        of_phase = f"{phase.replace(' ', '_')}_" if phase else ""
        for level in LEVELS:
            yield MetricRow(
                name=f"{of_phase}peak_{level}_mib",
                unit="MiB",
                kind="memory",
                made_by=("memory",),
                can_be_zero=False,
                headings=_heading("memory", _SHOWN_PEAKS.get((phase, level))),
                phase=phase,
                level=level,
            )
    yield _memory("driver_reserved_mib", "driver")


def _memory(name: str, heading: str) -> MetricRow:
    return MetricRow(
        name=name, unit="MiB", kind="memory", made_by=("memory",), headings={"memory": heading}
    )


def _heading(made_by: Pass, heading: str | None) -> Mapping[Pass, str]:
    return {made_by: heading} if heading is not None else {}


_PROGRAM = ("device", "instruction set")
"""What decides which code a stack runs: on another GPU model, or on a CPU of another instruction
set, its counts are another program's."""


def _of_cost(stage: Stage) -> Iterator[MetricRow]:
    def count(
        name: str,
        heading: str | None = None,
        made_of: MadeOf | None = None,
        *,
        unit: str = "1",
        kind: Kind = "exact",
        can_be_zero: bool = True,
        only_if_seen: bool = False,
        conditions: tuple[str, ...] = _PROGRAM,
    ) -> MetricRow:
        return MetricRow(
            name=f"{stage}_{name}",
            count=name,
            only_if_seen=only_if_seen,
            unit=unit,
            kind=kind,
            made_by=("cost",),
            can_be_zero=can_be_zero,
            headings=_heading("cost", heading),
            made_of=made_of,
            stage=stage,
            conditions=conditions,
        )

    yield count("kernels", "kernels", MadeOf(kind="kernel"))
    yield count("memsets", None, MadeOf(kind="memset"))
    for direction in COPY_DIRECTIONS:
        of_them = MadeOf(kind="copy", name=direction)
        rare = direction not in ("htod", "dtoh", "dtod")
        yield count(f"copies_{direction}", "copies", of_them, only_if_seen=rare)
        yield count(f"copy_bytes_{direction}", None, of_them, unit="B", only_if_seen=rare)
    for of in ("stream", "device", "event"):
        waits = MadeOf(kind="sync", prefix=f"cuda{of.capitalize()}")
        yield count(f"{of}_syncs", "waits", waits)
    # Only what torch.compile has captured is launched as a graph.
    launches = MadeOf(kind="graph", prefix="cudaGraphLaunch")
    yield count("graph_launches", "graphs", launches, only_if_seen=True)
    captures = MadeOf(kind="graph", prefix="cudaStreamBeginCapture")
    yield count("graph_captures", None, captures, only_if_seen=True)
    yield count("aten_ops", "aten ops", MadeOf(kind="op", prefix="aten::"), can_be_zero=False)
    yield count("other_ops", "other", MadeOf(kind="op", without="aten::"))
    yield count("allocations", "allocs", MadeOf(kind="allocation"), can_be_zero=False)
    yield count(
        "python_calls",
        "calls",
        MadeOf(kind="call"),
        can_be_zero=False,
        conditions=(*_PROGRAM, "python"),
    )
    yield count("allocated_peak_mib", unit="MiB", can_be_zero=False)
    # Least work follows from shapes alone.
    for name, unit in (("weight_mib_read", "MiB"), ("gflop", "GFLOP")):
        yield count(name, unit=unit, can_be_zero=False, conditions=())
    by_time = MadeOf(kind="kernel", by_time=True)
    yield count("gpu_time_ms", "GPU", by_time, unit="ms", kind="device_time")


def _of_words() -> Iterator[MetricRow]:
    heard: tuple[Pass, ...] = ("quality",)
    yield _quality("wer", ("latency", "quality"), "WER")
    yield _quality("cer", heard, "CER")
    yield _quality("wer_over_reference", heard, "over", derived=True, digits="+.2%")
    for name, sign in (
        ("empty_clips", "empty"),
        ("looping_clips", "loops"),
        ("length_off_clips", "length off"),
        ("talking_silences", "talks in silence"),
    ):
        yield _quality(name, heard, "odd", sign=sign, digits=".0f")
    numerics: tuple[Pass, ...] = ("numerics",)
    yield _quality("logit_error", numerics, "logit error", can_be_zero=False)
    yield _quality("top1_agreement", numerics, "top-1", better="higher", digits=".1%")
    yield _quality("worst_layer_error", numerics, "worst layer's error", can_be_zero=False)


def _quality(
    name: str,
    made_by: tuple[Pass, ...],
    heading: str,
    *,
    better: Literal["lower", "higher"] = "lower",
    derived: bool = False,
    can_be_zero: bool = True,
    sign: str = "",
    digits: str = ".2%",
) -> MetricRow:
    return MetricRow(
        name=name,
        unit="1",
        kind="quality",
        made_by=made_by,
        better=better,
        derived=derived,
        can_be_zero=can_be_zero,
        headings={made_by[-1]: heading},
        digits=digits,
        # Of languages other than English the normalizer is told.
        conditions=("normalizer",),
        sign=sign,
    )


METRICS: Mapping[str, MetricRow] = {row.name: row for row in _rows()}
"""Every metric of a result file, by its name."""


def made_by(name: Pass) -> list[MetricRow]:
    """Return the metrics of a pass, in the order of their columns."""
    return [row for row in METRICS.values() if name in row.made_by]


def of_stage(stage: Stage, counts: Mapping[str, Value]) -> dict[str, Value]:
    """Return values of a stage's costs by the names of their metrics.

    Args:
        stage: of the cost.
        counts: by their names within the stage.

    Raises:
        KeyError: there is no such count.
    """
    names = {row.count: row.name for row in METRICS.values() if row.stage == stage}
    return {names[count]: value for count, value in counts.items()}


def peak(phase: PeakPhase, level: Level) -> MetricRow:
    """Return the metric of a peak."""
    return next(row for row in METRICS.values() if row.level == level and row.phase == phase)


def figures(
    values: Mapping[str, Value], conditions: Mapping[str, str] | None = None
) -> tuple[Metric, ...]:
    """Make the metrics of a benchmark from values by name.

    Args:
        values: a figure each, or the samples of one.
        conditions: that all of them were measured in; each metric keeps those that it depends on.

    Raises:
        ValueError: a name has no row, a condition is none, or a figure is none.
    """
    if strange := (conditions or {}).keys() - set(CONDITIONS):
        raise ValueError(f"no metric depends on {', '.join(sorted(strange))}")
    return tuple(
        _figure(name, value, conditions or {})
        for name, value in values.items()
        if value is not None
    )


def _figure(name: str, value: float | Sequence[float], conditions: Mapping[str, str]) -> Metric:
    row = METRICS.get(name)
    if row is None:
        raise ValueError(f"{name}: METRICS in results/metrics.py has no such metric; add its row")
    own = {each: conditions[each] for each in row.conditions if each in conditions}
    return Metric(
        name=name,
        unit=row.unit,
        kind=row.kind,
        better=row.better,
        derived=row.derived,
        value=float(value) if isinstance(value, int | float) else None,
        samples=None if isinstance(value, int | float) else tuple(map(float, value)),
        conditions=own,
    )


def can_be_zero(metric: Metric) -> bool:
    """Whether 0 of a metric can be what was measured; of one without a row its kind says it."""
    row = METRICS.get(metric.name)
    return row.can_be_zero if row is not None else not KINDS[metric.kind].positive
