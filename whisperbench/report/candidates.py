"""What can be chosen between: each precision and batch size of a model, with what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from statistics import median

from msgspec.structs import replace

from whisperbench.errors import InputError
from whisperbench.judge.frontier import Contender, Noise, Placed, frontier, noise_of
from whisperbench.report.candidate import Candidate
from whisperbench.report.standing import spread
from whisperbench.results.metric_row import LEVELS, PEAK_PHASES, Level
from whisperbench.results.metrics import peak
from whisperbench.results.passes import CostResult, QualityResult
from whisperbench.results.records import Cell, Machine, Measurement, Run, name_of

Work = tuple[str, int | None]
"""A clip, and the number of tokens that is decoded of it; None at natural length."""

Place = tuple[str, str, str]
"""Device key, model and attention: what candidates have in common that are weighed together."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The candidates of a model on a device, and what they were measured on."""

    machine: Machine
    model: str
    attention: str
    reference: str
    """The precision that ratios are taken against."""
    candidates: Sequence[Candidate]
    work: Work | None
    """What all times are of; None where nothing was timed."""
    audio_s: float | None
    """Seconds of that clip."""
    held_tokens: int | None
    """Tokens of the transcriptions whose memory was watched."""


def choices_of(runs: Sequence[tuple[str, Run]]) -> list[Choice]:
    """Collect the candidates of runs; passes of one device may stand in several files.

    Args:
        runs: what to call each in an error, and the run.

    Raises:
        InputError: two of them hold one benchmark of one cell, are of other checkpoints of one
            name, or take ratios against other precisions; or none holds a candidate.
    """
    seen: dict[tuple[str, str, Cell], str] = {}
    checkpoints: dict[tuple[str, str], tuple[str, str]] = {}
    machines: dict[str, tuple[str, Run]] = {}
    found: dict[Place, list[Measurement]] = {}
    for name, run in runs:
        key = run.machine.device_key
        first, other = machines.setdefault(key, (name, run))
        if other.info.reference != run.info.reference:
            raise InputError(
                f"{name}: its ratios are against {run.info.reference}, those of {first} against "
                f"{other.info.reference}: name runs of one reference precision"
            )
        for row in run.measurements:
            cell = row.cell
            if (where := seen.setdefault((key, row.benchmark, cell), name)) != name:
                raise InputError(
                    f"{name}: has {row.benchmark} of {name_of(cell)} on {key}, and so has {where}: "
                    "leave one of the two out"
                )
            known, of = checkpoints.setdefault((key, cell.model), (cell.checkpoint, name))
            if known != cell.checkpoint:
                raise InputError(
                    f"{name}: its {cell.model} is another checkpoint than that of {of}: leave one "
                    "of the two out"
                )
            found.setdefault((key, cell.model, cell.attention), []).append(row)
    choices = [
        _choice(machines[place[0]][1], place, rows, len(runs)) for place, rows in found.items()
    ]
    kept = [choice for choice in choices if choice is not None]
    if not kept:
        raise InputError(
            f"{', '.join(name for name, _ in runs)}: nothing to choose between: no transcription "
            "was timed and no memory was watched; run pytest benchmarks/"
        )
    return kept


def _choice(run: Run, place: Place, rows: Sequence[Measurement], processes: int) -> Choice | None:
    """Make the candidates of a place; None where nothing was timed or watched."""
    timed = [row for row in rows if row.benchmark == "transcribe" and row.metric("latency_s")]
    held = [row for row in rows if row.benchmark == "memory"]
    if not timed and not held:
        return None
    work = _most_common([(row.cell.clip, row.cell.tokens) for row in timed])
    timed = [row for row in timed if (row.cell.clip, row.cell.tokens) == work]
    times = {(row.cell.precision, row.cell.batch_size): row for row in timed}
    of_reference = [batch for precision, batch in times if precision == run.info.reference]
    base = times[run.info.reference, min(of_reference)] if of_reference else None
    keys = dict.fromkeys((row.cell.precision, row.cell.batch_size) for row in (*timed, *held))
    candidates = [
        _candidate(key, rows, times.get(key), _figure(base, "latency_s"), run.info.reference)
        for key in keys
    ]
    noise = noise_of(on_host=run.machine.on_host, processes=processes)
    return Choice(
        machine=run.machine,
        model=place[1],
        attention=place[2],
        reference=run.info.reference,
        candidates=_held_against_each_other(candidates, times, rows, noise),
        work=work,
        audio_s=timed[0].cell.audio_s if timed else None,
        held_tokens=max((row.cell.tokens or 0 for row in held), default=0) or None,
    )


def _most_common(works: Sequence[Work]) -> Work | None:
    """Return what most were timed on; of equals, one with a fixed number of tokens."""
    counts = Counter(works)
    return max(counts, key=lambda work: (counts[work], work[1] is not None), default=None)


def _candidate(
    key: tuple[str, int],
    rows: Sequence[Measurement],
    timed: Measurement | None,
    base_s: float | None,
    reference: str,
) -> Candidate:
    precision, batch_size = key
    own = [row for row in rows if row.cell.precision == precision]
    at_batch = [row for row in own if row.cell.batch_size == batch_size]
    watched = [row for row in at_batch if row.benchmark == "memory"]
    # A cell that ran out of memory has figures of as far as it got, which say too little.
    held = [row for row in watched if got_through(row)]
    latency_s = _figure(timed, "latency_s")
    audio_s = timed.cell.audio_s if timed is not None else None
    increase, interval, words = _words(own, batch_size, reference)
    return Candidate(
        precision=precision,
        batch_size=batch_size,
        latency_s=latency_s,
        latency_ratio=latency_s / base_s if latency_s and base_s else None,
        processes=_processes(timed),
        audio_per_s=batch_size * audio_s / latency_s if latency_s and audio_s else None,
        weight_mib=_most(own, ("weight_mib",)),
        allocated_mib=_most(held, _peaks("allocated")),
        reserved_mib=_most(held, _peaks("reserved")),
        peak_mib=_most(held, _peaks("process")) or _most(held, _peaks("device")),
        driver_mib=_most(held, ("driver_reserved_mib",)),
        wer_increase=increase,
        wer_interval=interval,
        words=words,
        busy_share=_busy(own, batch_size),
        over_limit=_over(at_batch),
        out_of_memory=len(held) < len(watched),
    )


def _held_against_each_other(
    candidates: Sequence[Candidate],
    times: Mapping[tuple[str, int], Measurement],
    rows: Sequence[Measurement],
    noise: Noise,
) -> list[Candidate]:
    """Say of each candidate which others of its batch size beat it."""
    found: dict[tuple[str, int], Placed] = {}
    for batch_size in dict.fromkeys(each.batch_size for each in candidates):
        contenders = [
            _contender(each, times.get((each.precision, batch_size)), rows)
            for each in candidates
            if each.batch_size == batch_size
        ]
        places = frontier(contenders, noise)
        for place in places.placed if places is not None else ():
            found[place.contender.name, batch_size] = place
    return [
        replace(each, beaten_by=dict(found[key].beaten_by))
        if (key := (each.precision, each.batch_size)) in found
        else each
        for each in candidates
    ]


def _contender(
    candidate: Candidate, timed: Measurement | None, rows: Sequence[Measurement]
) -> Contender:
    heard = _heard(
        [row for row in rows if row.cell.precision == candidate.precision], candidate.batch_size
    )
    found = heard.found if heard is not None else None
    return Contender(
        name=candidate.precision,
        time_s=candidate.latency_s if candidate.latency_s is not None else nan,
        spread=_spread(timed),
        memory_mib=candidate.peak_mib if candidate.peak_mib is not None else nan,
        wer=wer if (wer := _figure(heard, "wer")) is not None else nan,
        scores=found.clips if isinstance(found, QualityResult) else (),
    )


def _spread(row: Measurement | None) -> float:
    metric = row.metric("latency_s") if row is not None else None
    return spread(metric.samples) if metric is not None and metric.samples else nan


def _peaks(level: Level) -> tuple[str, ...]:
    """Name the peaks of a level: of the whole pass, and of its phases."""
    return (peak("", level).name, *(peak(phase, level).name for phase in PEAK_PHASES))


def _figure(row: Measurement | None, name: str) -> float | None:
    metric = row.metric(name) if row is not None else None
    return median(metric.figures) if metric is not None else None


def _processes(row: Measurement | None) -> int:
    metric = row.metric("latency_s") if row is not None else None
    return len(metric.processes or (0.0,)) if metric is not None else 1


def _most(rows: Iterable[Measurement], names: Sequence[str]) -> float | None:
    """Return the highest figure: of several clips, phases, and processes of a baseline."""
    found = [max(metric.figures) for row in rows for metric in row.metrics if metric.name in names]
    return max(found, default=None)


def _words(
    rows: Sequence[Measurement], batch_size: int, reference: str
) -> tuple[float | None, tuple[float, float] | None, int | None]:
    """Return what a precision's words cost, the bounds of it, and how many words there were.

    They are those of this batch size, or where it was not heard those of the smallest.
    """
    row = _heard(rows, batch_size)
    if row is None:
        return None, None, None
    if row.cell.precision == reference:
        return 0.0, (0.0, 0.0), None
    found = row.found
    assert isinstance(found, QualityResult)  # noqa: S101 - chosen by it
    return _figure(row, "wer_over_reference"), found.over_reference, found.score.words


def _heard(rows: Sequence[Measurement], batch_size: int) -> Measurement | None:
    """Return where words were heard: at a batch size, or else at the smallest."""
    heard = {row.cell.batch_size: row for row in rows if isinstance(row.found, QualityResult)}
    return heard.get(batch_size, heard[min(heard)]) if heard else None


def _busy(rows: Sequence[Measurement], batch_size: int) -> float | None:
    for row in rows:
        if isinstance(row.found, CostResult) and row.cell.batch_size == batch_size:
            share = row.found.gpu_busy_share("decode")
            if share is not None:
                return share
    return None


def _over(rows: Iterable[Measurement]) -> tuple[str, ...]:
    over = [each.metric for row in rows for each in row.verdicts if each.verdict == "over-limit"]
    return (*dict.fromkeys(over),)


def got_through(row: Measurement) -> bool:
    """Whether a memory pass reached its last phase."""
    return any(metric.name in _LAST_PEAKS for metric in row.metrics)


_LAST_PEAKS = frozenset(peak("steady call", level).name for level in LEVELS)
