"""What a run found of each precision, joined over its passes: what answers and tables are made of.

A figure that was not measured is NaN, so that no comparison with it holds and no sum hides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan, nan
from statistics import median, quantiles

from whisperbench.report.asked_for import AskedFor, lost, over_limit, worst
from whisperbench.report.what_ran import in_words
from whisperbench.results.passes import (
    ClipScore,
    CostResult,
    MemoryResult,
    NumericsResult,
    QualityResult,
)
from whisperbench.results.records import ManifestEntry, Measurement, Run, unusual

_TIMED = (
    "transcribe",
    "memory",
    "cost",
    "front end",
    "encoder",
    "token",
    "load",
    "first call",
    "soak",
)
"""Benchmarks that are of one clip, and so have a place of their own."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What was found of one precision of a model. NaN is what was not measured."""

    precision: str
    measured: bool = False
    """Whether anything was."""
    latency_s: float = nan
    """p50 of a transcription: with the fixed token count, where that was measured."""
    spread: float = nan
    """Half the interquartile range of its rounds, as a share of the p50."""
    tokens: float = nan
    """The fixed token count of that transcription."""
    natural_s: float = nan
    """p50 of a transcription at its natural length;"""
    natural_spread: float = nan
    """and the spread of its rounds."""
    token_s: float = nan
    """p50 of one decoded token."""
    rtfx: float = nan
    """Seconds of audio per second; at natural length, where that was measured."""
    rtfx_fixed: bool = False
    """Whether it is of the fixed token count."""
    weight_mib: float = nan
    peak_mib: float = nan
    """The most that the process held, or where that is hidden the device's growth."""
    limit_mib: float = nan
    """The lowest of suite.toml's limits on a peak of memory."""
    over_memory: bool = False
    """Whether a peak is over its limit."""
    ran_out: bool = False
    """Whether it ran out of memory, and so has no peak."""
    waits: float = nan
    """How often the host waits for the GPU, for each token;"""
    ops: float = nan
    """how many aten ops;"""
    calls: float = nan
    """calls of Python functions;"""
    gpu_ms: float = nan
    """and milliseconds of the GPU's kernels."""
    gpu_busy: float = nan
    """Share of the time of decoding in which the GPU works."""
    wer: float = nan
    word_edits: float = nan
    words: float = nan
    clips: float = nan
    texts: tuple[str, ...] = ()
    """What was heard of each clip."""
    scores: tuple[ClipScore, ...] = ()
    """How each clip was heard."""
    wer_growth: tuple[float, float] = (nan, nan)
    """Bounds of the error rate over the reference's."""
    over_words: bool = False
    """Whether it is over a limit on words."""
    verdict: str = "none"
    """The worst verdict of a limit or outcome of a benchmark; "none" where no limit applies."""
    creep_kib: float = nan
    """What memory grows by with each call of a soak, the most that is over a limit."""
    drift: float = nan
    """How many times as long a call takes at the end of a soak, where that is over a limit."""
    ran: str = ""
    """What ran, in a few words; empty where no pass says it."""
    lost: int = 0
    """How many of its benchmarks were asked for and not measured."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model on one clip at one batch size, and what was found of each precision."""

    model: str
    clip: str | None
    """None where the model was heard for its words alone."""
    batch_size: int
    attention: str
    reference: str
    standings: tuple[Standing, ...] = field(default=())
    """The reference first, where it was measured."""

    @property
    def name(self) -> str:
        """The model, with a batch of several and an unusual attention."""
        return f"{self.model}{unusual(self.batch_size, self.attention)}"

    def of(self, precision: str) -> Standing:
        """Return what was found of a precision: nothing, where it was not measured."""
        found = (each for each in self.standings if each.precision == precision)
        return next(found, Standing(precision=precision))


def subjects_of(run: Run) -> list[Subject]:
    """Join a run's measurements: a subject for each model, clip, batch size and attention.

    What was heard for its words joins the subjects of its model, batch size and attention; a model
    that was heard alone is a subject of its own.
    """
    timed = dict.fromkeys(
        (row.cell.model, row.cell.batch_size, row.cell.attention, row.cell.clip)
        for row in run.measurements
        if row.benchmark in _TIMED
    )
    heard = dict.fromkeys(
        (row.cell.model, row.cell.batch_size, row.cell.attention)
        for row in run.measurements
        if isinstance(row.found, QualityResult)
    )
    places: list[tuple[str, int, str, str | None]] = [*timed]
    places += [(*place, None) for place in heard if place not in {each[:3] for each in timed}]
    models = list(dict.fromkeys(place[0] for place in places))
    places.sort(key=lambda place: models.index(place[0]))
    own: dict[tuple[str, str], list[Measurement]] = {}
    for row in run.measurements:
        own.setdefault((row.cell.model, row.cell.attention), []).append(row)
    asked = AskedFor(run)
    return [
        _subject(
            [*_rows_of(own.get((place[0], place[2]), ()), place[1], place[3])],
            *place,
            entries=asked.of(place[0], place[2], place[1], place[3]),
            reference=run.info.reference,
        )
        for place in places
    ]


def _rows_of(
    rows: Iterable[Measurement], batch_size: int, clip: str | None
) -> Iterator[Measurement]:
    """Yield the rows of a model that say something of a batch size and a clip."""
    for row in rows:
        alone = isinstance(row.found, NumericsResult)
        heard = alone or isinstance(row.found, QualityResult)
        if (alone or row.cell.batch_size == batch_size) and (heard or row.cell.clip == clip):
            yield row


def _subject(
    rows: Sequence[Measurement],
    model: str,
    batch_size: int,
    attention: str,
    clip: str | None,
    *,
    entries: Mapping[str, Sequence[ManifestEntry]],
    reference: str,
) -> Subject:
    precisions = dict.fromkeys(row.cell.precision for row in rows)
    precisions |= dict.fromkeys(entries)  # what failed altogether has a line too
    order = sorted(precisions, key=lambda name: name != reference)
    return Subject(
        model=model,
        clip=clip,
        batch_size=batch_size,
        attention=attention,
        reference=reference,
        standings=tuple(
            _standing(
                name, [row for row in rows if row.cell.precision == name], entries.get(name, [])
            )
            for name in order
        ),
    )


def _standing(
    precision: str, rows: Sequence[Measurement], entries: Sequence[ManifestEntry]
) -> Standing:
    transcribed = [row for row in rows if row.benchmark == "transcribe"]
    fixed = [row for row in transcribed if row.cell.tokens is not None]
    natural = [row for row in transcribed if row.cell.tokens is None]
    timed = (fixed or natural)[:1]
    rtfx = _first(natural, "rtfx")
    peaks = [row for row in rows if isinstance(row.found, MemoryResult)]
    limits = [
        verdict
        for row in peaks
        for verdict in row.verdicts
        if "peak" in verdict.metric and verdict.limit is not None
    ]
    words = [row for row in rows if isinstance(row.found, QualityResult)]
    told = [verdict for row in rows for verdict in row.verdicts]
    found = Standing(
        precision=precision,
        measured=bool(rows),
        latency_s=_first(timed, "latency_s"),
        spread=_spread(timed),
        natural_s=_first(natural[:1], "latency_s"),
        natural_spread=_spread(natural[:1]),
        tokens=float(fixed[0].cell.tokens or nan) if fixed else nan,
        token_s=_first([row for row in rows if row.benchmark == "token"], "latency_s"),
        rtfx=_first(fixed, "rtfx_fixed_tokens") if isnan(rtfx) else rtfx,
        rtfx_fixed=isnan(rtfx),
        weight_mib=_first([row for row in rows if row.benchmark in _TIMED], "weight_mib"),
        peak_mib=_most(peaks, "peak_process_mib", "peak_device_mib"),
        limit_mib=min((each.limit for each in limits if each.limit is not None), default=nan),
        over_memory=any(each.verdict == "over-limit" for each in limits),
        ran_out=any(not any(each.kind == "memory" for each in row.metrics) for row in peaks),
        wer=_first(words, "wer"),
        over_words=any(
            each.verdict == "over-limit" and each.metric.startswith(("wer", "cer")) for each in told
        ),
        verdict=worst(told, entries),
        creep_kib=over_limit(told, "creep_"),
        drift=over_limit(told, "drift_"),
        ran=in_words([row.found.ran for row in rows if row.found.ran is not None]),
        lost=lost(entries),
    )
    return _with_words(_with_cost(found, rows), words)


def _with_cost(found: Standing, rows: Iterable[Measurement]) -> Standing:
    """Add what decoding takes for each token, as the cost pass counted it."""
    for row in rows:
        if isinstance(row.found, CostResult) and row.cell.tokens:
            busy = row.found.gpu_busy_share("decode")
            syncs = [_figure(row, f"decode_{kind}_syncs") for kind in ("stream", "device", "event")]
            known = [count for count in syncs if not isnan(count)]
            return replace(
                found,
                ops=_figure(row, "decode_aten_ops") / row.cell.tokens,
                calls=_figure(row, "decode_python_calls") / row.cell.tokens,
                gpu_ms=_figure(row, "decode_gpu_time_ms") / row.cell.tokens,
                waits=sum(known) / row.cell.tokens if known else nan,
                gpu_busy=nan if busy is None else busy,
            )
    return found


def _with_words(found: Standing, rows: Iterable[Measurement]) -> Standing:
    """Add what was heard."""
    for row in rows:
        if isinstance(row.found, QualityResult):
            score = row.found.score
            return replace(
                found,
                word_edits=float(score.word_edits),
                words=float(score.words) or nan,
                clips=float(len(row.found.clips)) or nan,
                texts=row.found.transcripts,
                scores=row.found.clips,
                wer_growth=row.found.over_reference or (nan, nan),
            )
    return found


def over(value: float, base: float) -> float:
    """Divide; NaN where there is nothing to divide by."""
    return value / base if base else nan


def spread(samples: Sequence[float]) -> float:
    """Return half the interquartile range over the median; NaN for fewer than 3 samples."""
    if len(samples) < 3:
        return nan
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return over((high - low) / 2, middle)


def _spread(rows: Iterable[Measurement]) -> float:
    """Return the spread of the rounds of the first that has any."""
    latencies = (row.metric("latency_s") for row in rows)
    return next((spread(each.samples) for each in latencies if each and each.samples), nan)


def _figure(row: Measurement, name: str) -> float:
    metric = row.metric(name)
    return nan if metric is None else median(metric.figures)


def _first(rows: Iterable[Measurement], name: str) -> float:
    return next((found for row in rows if not isnan(found := _figure(row, name))), nan)


def _most(rows: Sequence[Measurement], *names: str) -> float:
    """Return the highest figure of the first of these metrics that was measured."""
    for name in names:
        found = [max(metric.figures) for row in rows if (metric := row.metric(name)) is not None]
        if found:
            return max(found)
    return nan
