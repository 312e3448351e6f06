"""Which precision and batch size to take, by what was measured, and what that cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from whisperbench.errors import ExitCode, InputError
from whisperbench.report.candidates import Choice, choices_of
from whisperbench.report.fitness import (
    Answer,
    Wanted,
    Weighed,
    elsewhere,
    needed_mib,
    room_mib,
    weigh,
)
from whisperbench.report.unmeasured import not_carried, to_measure
from whisperbench.results.records import Run, unusual
from whisperbench.units import format_figure, format_seconds

_ORDER: tuple[Answer, ...] = ("yes", "unknown", "no")

ALIKE = 0.1
"""Times that differ by less are taken for equal: fresh processes of unchanged code differ by 2 to
20 % on a shared host (docs/statistics.md)."""

FEWER_BITS = ("int8", "int8-t0", "nf4")
"""Precisions whose price is named beside what is advised."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What to take of a model on a device."""

    model: str
    attention: str
    reference: str
    measured_on: str
    """The device key of the runs."""
    measured_device: str
    asked_about: str
    """The card that is asked about: its title, or the device that was measured."""
    elsewhere: bool
    """Whether that is another one."""
    room_mib: float | None
    """Memory that there is to take."""
    clip: str | None
    """What all times are of;"""
    tokens: int | None
    """and the tokens decoded of it, None at natural length."""
    rows: tuple[Weighed, ...]
    """The best first: those that will do, then those that may, then those that will not."""
    sentences: tuple[str, ...]
    """What to take, and what the others cost."""
    not_known: tuple[str, ...]
    """What the figures cannot say."""
    to_measure: tuple[str, ...]
    """What would tell more, with the command."""

    @property
    def answer(self) -> Answer:
        """Whether anything will do."""
        return self.rows[0].answer


def advise(runs: Sequence[tuple[str, Run]], wanted: Wanted) -> list[Advice]:
    """Weigh what was measured, for each model, attention and device.

    Args:
        runs: what to call each in an error, and the run.
        wanted: what is asked for.

    Raises:
        InputError: as `choices_of`, or a run of a host is to speak for a card.
    """
    for name, run in runs:
        if wanted.card is not None and run.machine.on_host:
            raise InputError(
                f"{name}: was measured on a CPU, of which neither memory nor time carries over to "
                f"a {wanted.card.title}: give a run of a GPU"
            )
    lacking: dict[str, list[str]] = {}
    for name, run in runs:
        lines = [f"{name}: {line}" for line in run.unmeasured()]
        lacking.setdefault(run.machine.device_key, []).extend(lines)
    return [
        _advice(choice, wanted, lacking[choice.machine.device_key]) for choice in choices_of(runs)
    ]


def exit_code_of(found: Sequence[Advice]) -> ExitCode:
    """Return 0 where something will do of every model, 1 where nothing will, else 3."""
    answers = {each.answer for each in found}
    if "no" in answers:
        return ExitCode.REGRESSED
    return ExitCode.INCONCLUSIVE if "unknown" in answers else ExitCode.OK


def _advice(choice: Choice, wanted: Wanted, lacking: Sequence[str]) -> Advice:
    card = elsewhere(choice, wanted)
    rows = ranked(choice, [weigh(choice, each, wanted) for each in choice.candidates], wanted)
    return Advice(
        model=choice.model,
        attention=choice.attention,
        reference=choice.reference,
        measured_on=choice.machine.device_key,
        measured_device=choice.machine.device,
        asked_about=card.title if card is not None else choice.machine.device,
        elsewhere=card is not None,
        room_mib=room_mib(choice, wanted),
        clip=choice.work[0] if choice.work else None,
        tokens=choice.work[1] if choice.work else None,
        rows=tuple(rows),
        sentences=(*_sentences(choice, rows, wanted),),
        not_known=(*not_carried(choice, rows, wanted), *lacking),
        to_measure=(*to_measure(choice, rows, wanted),),
    )


def ranked(choice: Choice, rows: Sequence[Weighed], wanted: Wanted) -> list[Weighed]:
    """Order candidates: by answer, then by the audio that is transcribed in a second.

    Of those that are as quick as the quickest, but for what processes of unchanged code differ by,
    the one of the least memory comes first. On another card than was measured no time holds: there
    the reference precision comes first, because nothing shows that another is quicker.
    """
    rows = sorted(rows, key=_rank)
    if elsewhere(choice, wanted) is not None:
        return sorted(
            rows,
            key=lambda row: (
                _ORDER.index(row.answer),
                row.candidate.precision != choice.reference,
            ),
        )
    same = [
        row
        for row in rows
        if row.answer == rows[0].answer
        and row.need_mib is not None
        and _speed(row) >= _speed(rows[0]) / (1 + ALIKE)
    ]
    if rows[0].need_mib is None or not same:
        return rows
    best = min(same, key=lambda row: row.need_mib or 0.0)
    return [best, *(row for row in rows if row is not best)]


def _speed(row: Weighed) -> float:
    return row.candidate.audio_per_s or 0.0


def _rank(row: Weighed) -> tuple[object, ...]:
    each = row.candidate
    return (
        _ORDER.index(row.answer),
        -_speed(row),
        row.need_mib if row.need_mib is not None else float("inf"),
        each.precision,
        each.batch_size,
    )


def _sentences(choice: Choice, rows: Sequence[Weighed], wanted: Wanted) -> Iterator[str]:
    """Say what to take and why, one fact a sentence."""
    best = rows[0]
    card = elsewhere(choice, wanted)
    where = an(card.title if card is not None else choice.machine.device)
    if best.answer == "no":
        yield f"Nothing that was measured will do on {where}: {named(best)}: {_whys(best)}."
        return
    if best.answer == "unknown":
        yield (
            f"It is not known whether anything that was measured will do on {where}. "
            f"{named(best)} comes nearest: {_whys(best)}."
        )
    else:
        yield _take(best, rows, choice, wanted)
    yield from _room(best, choice, wanted)
    yield from _one_call(best, rows, choice)
    yield from _prices(best, rows, choice)
    yield from _threshold(best, rows, choice, wanted)


def _take(best: Weighed, rows: Sequence[Weighed], choice: Choice, wanted: Wanted) -> str:
    card = elsewhere(choice, wanted)
    does = "meets every condition" if _has_conditions(wanted) else "fits"
    if card is not None and best.candidate.precision == choice.reference:
        return (
            f"Take {named(best)}: it {does}, so that nothing forces fewer bits upon "
            f"{an(card.title)}. Whether another precision is quicker there is not known."
        )
    if card is not None:
        return f"Take {named(best)}: it {does}. Its time on {an(card.title)} is not known."
    if best.candidate.audio_per_s is None:
        return f"Take {named(best)}: it {does}. Its time was not measured."
    amount = f"{format_figure(best.candidate.audio_per_s)} s of audio in a second"
    good = [row for row in rows if row.answer == "yes"]
    quickest = max(good, key=_speed)
    if quickest is not best:
        return (
            f"Take {named(best)}: it {does}, and transcribes {amount}. {named(quickest)} is as "
            f"quick within {100 * ALIKE:.0f} % and takes more memory."
        )
    only = (
        "nothing else that was measured does"
        if len(good) == 1
        else ("of all that do, it is the quickest")
    )
    return f"Take {named(best)}: it {does}, and {only}. It transcribes {amount}."


def _has_conditions(wanted: Wanted) -> bool:
    return wanted.max_latency_ratio is not None or wanted.max_wer_increase is not None


def named(row: Weighed) -> str:
    """Name a candidate within its model."""
    return f"{row.candidate.precision} at batch size {row.candidate.batch_size}"


def _whys(row: Weighed) -> str:
    return "; ".join(row.reasons)


def an(name: str) -> str:
    """Write a device's name with its article.

    >>> an("NVIDIA T4"), an("Some CPU")
    ('an NVIDIA T4', 'a Some CPU')
    """
    return f"an {name}" if name.startswith(("NVIDIA", *"AEIO")) else f"a {name}"


def gib(mib: float) -> str:
    """Write an amount of memory in GiB.

    >>> gib(3964)
    '3.87 GiB'
    """
    return f"{format_figure(mib / 1024)} GiB"


def _room(best: Weighed, choice: Choice, wanted: Wanted) -> Iterator[str]:
    """Say how much of the memory it takes."""
    room = room_mib(choice, wanted)
    if best.need_mib is None or room is None:
        return
    about = "about " if elsewhere(choice, wanted) is not None else ""
    share = 100 * best.need_mib / room
    yield f"It takes {about}{gib(best.need_mib)} of {gib(room)}, {share:.0f} %."


def _one_call(best: Weighed, rows: Sequence[Weighed], choice: Choice) -> Iterator[str]:
    """Say what answers one call the soonest, where that is another batch size."""
    timed = [row for row in rows if row.answer == best.answer and row.candidate.latency_s]
    if not timed or best.candidate.latency_s is None:
        return
    soonest = min(timed, key=lambda row: row.candidate.latency_s or 0.0)
    least_s = soonest.candidate.latency_s
    if soonest is not best and least_s is not None:
        yield (
            f"Where a single call must be answered soon, take {named(soonest)}: a call took "
            f"{format_seconds(least_s)} against {format_seconds(best.candidate.latency_s)} on the "
            f"{choice.machine.device}."
        )


def _prices(best: Weighed, rows: Sequence[Weighed], choice: Choice) -> Iterator[str]:
    """Say what each precision of fewer bits saves and costs against the one that is advised."""
    for row in rows:
        each, base = row.candidate, best.candidate
        if each.precision not in FEWER_BITS or each.batch_size != base.batch_size:
            continue
        if each.precision == base.precision or row.answer == "no":
            continue
        if _is_worse(row, best):
            continue
        facts = [*_saved(row, best)]
        if each.latency_s and base.latency_s:
            times = each.latency_s / base.latency_s
            facts.append(f"a call took {times:.2f} times as long on the {choice.machine.device}")
        if each.busy_share is not None and each.busy_share < 1 / 2:
            facts.append(f"the GPU worked in {100 * each.busy_share:.0f} % of its decoding there")
        if facts:
            yield f"{each.precision} in place of {base.precision}: {'; '.join(facts)}."


def _is_worse(row: Weighed, best: Weighed) -> bool:
    """Whether it takes both more memory and more time."""
    more_memory = row.need_mib is not None and (best.need_mib or 0.0) <= row.need_mib
    return more_memory and _speed(row) <= _speed(best)


def _saved(row: Weighed, best: Weighed) -> Iterator[str]:
    if row.need_mib is not None and best.need_mib is not None:
        less = best.need_mib - row.need_mib
        share = 100 * abs(less) / best.need_mib
        yield f"it takes {gib(abs(less))} {'less' if less >= 0 else 'more'} ({share:.0f} %)"


def _threshold(
    best: Weighed, rows: Sequence[Weighed], choice: Choice, wanted: Wanted
) -> Iterator[str]:
    """Say below how much memory another precision is needed, and which is next."""
    if best.need_mib is None:
        return
    smaller = [
        row
        for row in rows
        if row.answer != "no" and row.need_mib is not None and row.need_mib < best.need_mib
    ]
    least = needed_mib(choice, best.need_mib)
    if not smaller:
        return
    following = smaller[0]
    assert following.need_mib is not None  # noqa: S101 - it is one of those that have it
    about = "about " if elsewhere(choice, wanted) is not None else ""
    yield (
        f"With less than {about}{gib(least)} of memory, {named(best)} is not sure to fit. The next "
        f"choice is {named(following)}, for which {about}"
        f"{gib(needed_mib(choice, following.need_mib))} is enough."
    )


def heading(advice: Advice) -> str:
    """Write what an advice is on, in a line."""
    name = f"{advice.model}{unusual(1, advice.attention)}"
    if advice.elsewhere:
        return f"{name} on {an(advice.asked_about)}, by what {an(advice.measured_device)} measured"
    return f"{name} on {advice.measured_device} ({advice.measured_on})"
