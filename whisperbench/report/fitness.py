"""Whether a candidate will do: its memory, its device, its time and its words, each with why.

Each question has one of three answers. What was not measured, or was measured where it says
nothing of the place that is asked about, is `unknown`, and never a yes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from whisperbench.asked.precisions import PRECISIONS
from whisperbench.asked.suite import ATTENTION_CAPABILITY
from whisperbench.judge.limits import HEADROOM_MIB, HEADROOM_RATIO, HOST_HEADROOM_RATIO
from whisperbench.report.candidate import Candidate
from whisperbench.report.candidates import Choice
from whisperbench.report.cards import Card
from whisperbench.results.metrics import METRICS

Answer = Literal["yes", "unknown", "no"]
ORDER: tuple[Answer, ...] = ("yes", "unknown", "no")
"""The best first."""

ALIKE = 0.1
"""Times that differ by less are taken for equal: fresh processes of unchanged code differ by 2 to
20 % on a shared host (docs/statistics.md)."""


ENOUGH = 5
"""Processes whose middle is taken as it is; that of fewer may be off by `ALIKE`."""

NEAR = f"and processes differ by {100 * ALIKE:.0f} %"
"""How the reason of a time ends that is too near to what is allowed."""

DOUBT = 2.0
"""How many times what one card holds outside of torch another one may hold: its context,
libraries and driver. An H200 has 692 MiB of the first two beside fp16 and 615 of the third
(docs/memory.md); of other cards nothing is assumed but this."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What advice is asked for."""

    vram_mib: float | None = None
    """Memory that may be taken of the card that was measured; None for all of it."""
    card: Card | None = None
    """Another card than the one that was measured; None for that one."""
    max_latency_ratio: float | None = None
    """How many times the reference precision's time a call may take."""
    max_wer_increase: float | None = None
    """By how much the word error rate may exceed the reference precision's; 0.01 is a point."""


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate, and what was found of it."""

    candidate: Candidate
    answer: Answer
    """The worst answer of all questions."""
    reasons: tuple[str, ...]
    """Why it is no, or unknown: clauses. Of a yes, why there is doubt about what is not asked."""
    need_mib: float | None = None
    """What it takes of the memory, where that is known or can be told from another card."""
    beaten_by: str | None = None
    """A precision that beats it at its batch size, and will do as well as it."""


@dataclass(frozen=True)
class _Found:
    answer: Answer
    reason: str = ""
    need_mib: float | None = None


def elsewhere(choice: Choice, wanted: Wanted) -> Card | None:
    """Return the card that is asked about, where it is another one than was measured."""
    card = wanted.card
    return card if card is not None and not card.is_same(choice.machine) else None


def room_mib(choice: Choice, wanted: Wanted) -> float | None:
    """Return how much memory there is; None where that is not known.

    Of another card it is all of its memory, of which the driver keeps a part.
    """
    card = elsewhere(choice, wanted)
    if card is not None:
        return float(card.memory_mib)
    if wanted.vram_mib is not None:
        return wanted.vram_mib
    kept = max((each.driver_mib or 0.0 for each in choice.candidates), default=0.0)
    return choice.machine.memory_mib - kept if choice.machine.memory_mib else None


def weigh(choice: Choice, candidate: Candidate, wanted: Wanted) -> Weighed:
    """Answer every question of a candidate."""
    fits = _fits(choice, candidate, wanted)
    found = [
        fits,
        *_runs(choice, candidate, wanted),
        *_keeps_limits(choice, candidate, wanted),
        *_in_time(choice, candidate, wanted),
        *_in_words(candidate, wanted),
    ]
    answers = {each.answer for each in found}
    return Weighed(
        candidate=candidate,
        answer="no" if "no" in answers else "unknown" if "unknown" in answers else "yes",
        # A no is explained by what makes it one alone.
        reasons=tuple(
            each.reason
            for each in found
            if each.reason and ("no" not in answers or each.answer == "no")
        ),
        need_mib=fits.need_mib,
    )


def needed_mib(choice: Choice, need_mib: float) -> float:
    """Add what unchanged code's memory differs by between runs, as the suite's limits do."""
    ratio = HOST_HEADROOM_RATIO if choice.machine.on_host else HEADROOM_RATIO
    return need_mib * (1 + ratio) + HEADROOM_MIB


def _fits(choice: Choice, candidate: Candidate, wanted: Wanted) -> _Found:
    card = elsewhere(choice, wanted)
    if card is not None:
        return _fits_elsewhere(candidate, card)
    if candidate.out_of_memory:
        return _Found("no", "it ran out of memory where it was measured")
    room, need = room_mib(choice, wanted), candidate.peak_mib
    if wanted.vram_mib is None:
        # It ran there.
        return _Found("yes", "" if need is not None else "its memory was not measured", need)
    if need is None or room is None:
        weights = candidate.weight_mib
        if weights is not None and room is not None and weights > room:
            return _Found("no", f"its weights alone take {weights:.0f} MiB")
        return _Found("unknown", _unwatched(candidate))
    if need > room:
        return _Found("no", f"it takes {need - room:.0f} MiB too much", need)
    if needed_mib(choice, need) > room:
        reason = f"it fits by {room - need:.0f} MiB, which is less than runs differ by"
        return _Found("unknown", reason, need)
    return _Found("yes", "", need)


def _fits_elsewhere(candidate: Candidate, card: Card) -> _Found:
    """Whether it fits a card that it was not measured on: torch's part is the same there."""
    tensors = candidate.allocated_mib or candidate.weight_mib
    if tensors is not None and tensors > card.memory_mib:
        return _Found("no", f"its tensors alone take {tensors:.0f} MiB")
    reserved, outside = candidate.reserved_mib, candidate.outside_mib
    if candidate.out_of_memory:
        return _Found("unknown", "it ran out of memory where it was measured")
    if reserved is None or outside is None:
        return _Found("unknown", _unwatched(candidate))
    driver = candidate.driver_mib or 0.0
    inside = reserved * (1 + HEADROOM_RATIO) + HEADROOM_MIB
    need = reserved + outside + driver
    if inside + DOUBT * (outside + driver) <= card.memory_mib:
        return _Found("yes", "", need)
    left = card.memory_mib - reserved
    if left <= 0:
        return _Found("unknown", "it fits only if torch's cache can be smaller", need)
    reason = f"torch leaves {left:.0f} MiB for the context, libraries and driver of this card"
    return _Found("unknown", reason, need)


def _unwatched(candidate: Candidate) -> str:
    """Say what is known of memory that was not watched."""
    if candidate.weight_mib is None:
        return "its memory was not measured"
    return f"its weights take {candidate.weight_mib:.0f} MiB, and its peak was not measured"


def _runs(choice: Choice, candidate: Candidate, wanted: Wanted) -> Iterator[_Found]:
    """Whether another card can compute it at all, or would emulate it."""
    card = elsewhere(choice, wanted)
    if card is None:
        return
    precision = PRECISIONS.get(candidate.precision)
    if precision is None:
        yield _Found("unknown", f"this whisperbench knows no precision {candidate.precision}")
    elif precision.as_saved:
        yield _Found("unknown", "what the checkpoint was saved in may not run there")
    elif (why := precision.why_not(card.capability)) is not None:
        yield _Found("no", why)
    least = ATTENTION_CAPABILITY.get(choice.attention, (0, 0))
    if card.capability < least:
        yield _Found("no", f"{choice.attention} needs compute capability {least[0]}.{least[1]}")


def _keeps_limits(choice: Choice, candidate: Candidate, wanted: Wanted) -> Iterator[_Found]:
    """Whether it kept suite.toml's limits; on another card those on memory say nothing."""
    for name in candidate.over_limit:
        quality = name in METRICS and METRICS[name].kind == "quality"
        if quality or elsewhere(choice, wanted) is None:
            yield _Found("no", f"its {name} is over a limit of suite.toml")


def _in_time(choice: Choice, candidate: Candidate, wanted: Wanted) -> Iterator[_Found]:
    most, ratio = wanted.max_latency_ratio, candidate.latency_ratio
    if most is None:
        return
    card = elsewhere(choice, wanted)
    if card is not None:
        yield _Found("unknown", f"its time was not measured on the {card.title}")
    elif ratio is None:
        yield _Found("unknown", f"its time was not measured beside that of {choice.reference}")
    elif (
        ratio != 1.0
        and candidate.processes < ENOUGH
        and most / (1 + ALIKE) < ratio < most * (1 + ALIKE)
    ):
        reason = f"a call takes {ratio:.2f} times {choice.reference}'s time, {NEAR}"
        yield _Found("unknown", reason)
    elif ratio > most:
        yield _Found("no", f"a call takes {ratio:.2f} times {choice.reference}'s time")


def _in_words(candidate: Candidate, wanted: Wanted) -> Iterator[_Found]:
    most, increase = wanted.max_wer_increase, candidate.wer_increase
    if most is None:
        return
    if increase is None:
        yield _Found("unknown", "its words were not compared with the reference's")
        return
    said = f"{100 * increase:+.2f} points of word error rate"
    upper = _upper(candidate)
    if increase > most:
        yield _Found("no", f"it costs {said}")
    elif upper is None:
        yield _Found("unknown", f"{said}, of too few clips for an interval")
    elif upper > most:
        of = f", of {candidate.words} words" if candidate.words is not None else ""
        yield _Found("unknown", f"{said}{of}: up to {100 * upper:+.2f} may be hidden")


def _upper(candidate: Candidate) -> float | None:
    """Return the most that the words may cost, at 95 %; None where nothing is known.

    Where no clip differs from the reference there is no spread to draw an interval from. Then up to
    3 in as many words as were heard may still differ (the rule of three: Hanley and Lippman-Hand,
    JAMA 249, 1983).
    """
    if candidate.wer_interval is None:
        return None
    low, high = candidate.wer_interval
    if low < high or candidate.words is None:
        return high
    return high + 3 / candidate.words if candidate.words else None
