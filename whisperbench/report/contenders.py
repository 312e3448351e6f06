"""And what should I take instead? The contenders of a model, which are beaten, and by which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan, nan

from rich.console import RenderableType
from rich.text import Text

from whisperbench.asked.precisions import PRECISIONS
from whisperbench.errors import printable
from whisperbench.judge.frontier import Contender, Frontier, Measure, Placed
from whisperbench.report.answer_rules import GPU_WAITS
from whisperbench.report.case import listed
from whisperbench.report.look import wrapped
from whisperbench.report.placing import frontier_of, winner_of
from whisperbench.report.standing import Subject, over
from whisperbench.results.records import Machine
from whisperbench.units import format_mib, format_seconds

QUESTION = "And what should I take instead?"

_WRITTEN: dict[Measure, str] = {"time": "time", "memory": "peak memory", "words": "words"}


def instead(subjects: Sequence[Subject], machine: Machine) -> Iterator[tuple[Subject, list[str]]]:
    """Yield each subject of a run with a choice, and what there is to say of it in sentences.

    Where the GPU waits for the host, what torch.compile makes of the reference is one, too.
    """
    for subject in subjects:
        found = frontier_of(subject, on_host=machine.on_host)
        told = list(sentences(subject, found)) if found is not None and found.standing else []
        told += _to_compile(subject)
        if told:
            yield subject, told


def instead_section(
    subjects: Sequence[Subject], machine: Machine, width: int
) -> list[RenderableType]:
    """Lay the answer out for a terminal; nothing where there is no choice."""
    found = list(instead(subjects, machine))
    lines: list[RenderableType] = ["", Text(QUESTION, style="bold")] if found else []
    for subject, told in found:
        lines += ["", *wrapped(f"{title_of(subject)}: {' '.join(told)}", width)]
    return lines


def _to_compile(subject: Subject) -> Iterator[str]:
    """Say how to measure the reference precision compiled, where that may help and was not done."""
    base = subject.of(subject.reference)
    compiled = f"{base.precision}-compiled"
    measured = any(each.precision == compiled for each in subject.standings)
    if base.gpu_busy < GPU_WAITS and compiled in PRECISIONS and not measured:
        yield (
            f"While it decodes in {base.precision}, the GPU works {100 * base.gpu_busy:.0f} % of "
            f"the time, and waits for the host otherwise: --precision {base.precision},{compiled} "
            "measures what torch.compile makes of that."
        )


def title_of(subject: Subject) -> str:
    """Name a subject with its clip."""
    clip = f", clip {subject.clip}" if subject.clip is not None else ""
    return printable(f"{subject.name}{clip}")


def sentences(subject: Subject, found: Frontier) -> Iterator[str]:
    """Say which contenders stand, which are beaten, and which cannot be placed."""
    if (winner := winner_of(found)) is not None:
        yield f"{_stands(subject, winner, found)} beats everything else that was measured."
    else:
        stand = [_stands(subject, each, found) for each in _by_time(found.standing)]
        yield f"Nothing beats {listed(stand)}."
    yield from _beaten(found.placed)
    for place in found.placed:
        if place.lacks:
            what = " and ".join(_WRITTEN[measure] for measure in place.lacks)
            out = " ran out of memory, and" if subject.of(place.contender.name).ran_out else ""
            yield (
                f"{place.contender.name}{out} is not placed: its {what} "
                f"{'was' if place.lacks != ('words',) and len(place.lacks) == 1 else 'were'} not "
                "measured."
            )
    if "words" not in found.measures:
        yield "Words were not measured of this model, and may decide otherwise."


def _by_time(contenders: Sequence[Contender]) -> list[Contender]:
    return sorted(contenders, key=lambda each: each.time_s)


def _stands(subject: Subject, each: Contender, found: Frontier) -> str:
    """Name a contender with what it is the best in, or what it takes."""
    base = subject.of(subject.reference)
    stand = found.standing
    best = []
    if each.time_s == min(other.time_s for other in stand):
        best.append("the quickest")
    if each.memory_mib == min(other.memory_mib for other in stand):
        best.append("the smallest")
    times = times_of(each, found, base.precision)
    ratio = (
        "" if isnan(times) or each.name == base.precision else f", {times:.2f} × {base.precision}"
    )
    facts = f"{format_seconds(each.time_s)}{ratio}, {format_mib(each.memory_mib)}"
    said = f"{' and '.join(best)}: " if best else ""
    return f"{each.name} ({said}{facts})"


def times_of(each: Contender, found: Frontier, reference: str) -> float:
    """Return how many times the reference's time a contender takes; NaN where it has none."""
    base = found.of(reference)
    return over(each.time_s, base.contender.time_s) if base is not None else nan


def _beaten(placed: Sequence[Placed]) -> Iterator[str]:
    """Yield a sentence for each contender that beats others: those that it is named for."""
    groups: dict[tuple[str, tuple[Measure, ...]], list[str]] = {}
    for place in placed:
        if place.beaten_by:
            first = next(iter(place.beaten_by))
            groups.setdefault((first, place.beaten_by[first]), []).append(place.contender.name)
    for (winner, better), losers in groups.items():
        what = listed([_WRITTEN[measure] for measure in better])
        yield f"{winner} beats {listed(losers)}: it is as good in all, and surely better in {what}."
