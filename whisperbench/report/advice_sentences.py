"""Advice in sentences: what to take, and what the other candidates save and cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whisperbench.report.candidates import Choice
from whisperbench.report.case import listed
from whisperbench.report.fitness import (
    ALIKE,
    Wanted,
    Weighed,
    elsewhere,
    needed_mib,
    room_mib,
)
from whisperbench.report.ranking import speed
from whisperbench.units import format_figure, format_seconds


def sentences_of(choice: Choice, rows: Sequence[Weighed], wanted: Wanted) -> Iterator[str]:
    """Say what to take and why, one fact a sentence."""
    best = rows[0]
    card = elsewhere(choice, wanted)
    where = an(card.title if card is not None else choice.machine.device)
    if wanted.vram_mib is not None:
        where = f"{gib(wanted.vram_mib)} of memory of {where}"
    if best.answer == "no":
        yield f"Nothing that was measured will do on {where}."
        known = [row for row in rows if row.need_mib is not None]
        if known:
            least = min(known, key=lambda row: row.need_mib or 0.0)
            amount = gib(least.need_mib or 0.0)
            yield f"The least memory is taken by {named(least)}, {amount}: {_whys(least)}."
        return
    if best.answer == "unknown":
        yield (
            f"It is not known whether anything that was measured will do on {where}. "
            f"{named(best)} comes nearest: {_whys(best)}."
        )
    else:
        yield _take(best, rows, choice, wanted)
    yield from _room(best, choice, wanted)
    yield from _one_call(best, rows, choice, wanted)
    yield from _prices(best, rows, choice)
    yield from _beaten(best, rows)
    yield from _threshold(best, rows, choice, wanted)


def _take(best: Weighed, rows: Sequence[Weighed], choice: Choice, wanted: Wanted) -> str:
    card = elsewhere(choice, wanted)
    does = "meets every condition" if _has_conditions(wanted) else "fits"
    if card is not None and best.candidate.precision == choice.reference:
        return (
            f"Take {named(best)}: it {does}, so {an(card.title)} needs no fewer bits. "
            f"Whether another precision is quicker there is not known."
        )
    if card is not None:
        return f"Take {named(best)}: it {does}. Its time on {an(card.title)} is not known."
    if best.candidate.audio_per_s is None:
        return f"Take {named(best)}: it {does}. Its time was not measured."
    amount = f"{format_figure(best.candidate.audio_per_s)} s of audio in a second"
    good = [row for row in rows if row.answer == "yes"]
    quickest = max(good, key=speed)
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


def _one_call(
    best: Weighed, rows: Sequence[Weighed], choice: Choice, wanted: Wanted
) -> Iterator[str]:
    """Say what answers one call the soonest, where that is another than transcribes the most."""
    timed = [
        (row.candidate.latency_s, row)
        for row in rows
        if row.answer == best.answer
        and row.candidate.latency_s is not None
        and not row.beaten_by
        # On another card only the batch size can be told from, and not the precision.
        and (elsewhere(choice, wanted) is None or row.candidate.precision == choice.reference)
    ]
    own_s = best.candidate.latency_s
    if not timed or own_s is None:
        return
    most_s = min(seconds for seconds, _ in timed) * (1 + ALIKE)
    if own_s <= most_s:
        return
    as_soon = [each for each in timed if each[0] <= most_s]
    seconds, soonest = min(as_soon, key=lambda each: (each[1].need_mib or 0.0, each[0]))
    yield (
        f"Where a single call must be answered soon, take {named(soonest)}: a call took "
        f"{format_seconds(seconds)} against {format_seconds(own_s)} on the "
        f"{choice.machine.device}."
    )


def _prices(best: Weighed, rows: Sequence[Weighed], choice: Choice) -> Iterator[str]:
    """Say what each precision of fewer bits saves and costs against the one that is advised."""
    for row in rows:
        each, base = row.candidate, best.candidate
        if each.precision == base.precision or each.batch_size != base.batch_size:
            continue
        if row.answer == "no" or row.beaten_by or not _is_smaller(row, best):
            continue
        facts = [*_saved(row, best)]
        if each.latency_s and base.latency_s:
            times = each.latency_s / base.latency_s
            facts.append(f"a call took {times:.2f} times as long on the {choice.machine.device}")
        if each.busy_share is not None and each.busy_share < 1 / 2:
            facts.append(f"the GPU worked in {100 * each.busy_share:.0f} % of its decoding there")
        if facts:
            yield f"{each.precision} in place of {base.precision}: {'; '.join(facts)}."


def _is_smaller(row: Weighed, best: Weighed) -> bool:
    """Whether it takes less memory, or where that is not known has fewer bytes of weights."""
    known = [(row.need_mib, best.need_mib), (row.candidate.weight_mib, best.candidate.weight_mib)]
    own, other = next((pair for pair in known if None not in pair), (None, None))
    return own is not None and other is not None and own < other


def _beaten(best: Weighed, rows: Sequence[Weighed]) -> Iterator[str]:
    """Say which are beaten at the batch size of what is advised, and by what."""
    losers: dict[str, list[str]] = {}
    for row in rows:
        if row.beaten_by and row.candidate.batch_size == best.candidate.batch_size:
            losers.setdefault(row.beaten_by, []).append(row.candidate.precision)
    for winner, names in losers.items():
        yield (
            f"{winner} beats {listed(names)}: it is as good in time, memory and words as far as "
            "they were measured, and surely better in one of them."
        )


def _saved(row: Weighed, best: Weighed) -> Iterator[str]:
    """Say what it takes less: of memory in all, or where that is not known of weights."""
    for what, own, other in (
        ("it takes", row.need_mib, best.need_mib),
        ("its weights take", row.candidate.weight_mib, best.candidate.weight_mib),
    ):
        if own is not None and other:
            less = other - own
            share = 100 * abs(less) / other
            yield f"{what} {gib(abs(less))} {'less' if less >= 0 else 'more'} ({share:.0f} %)"
            return


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
        f"With less than {about}{gib(least)} of memory, {named(best)} may not fit. The next "
        f"choice is {named(following)}, for which {about}"
        f"{gib(needed_mib(choice, following.need_mib))} is enough."
    )
