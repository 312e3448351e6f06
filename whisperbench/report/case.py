"""The figures that an answer is made of: a quantized precision of a model against the reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import TypedDict

from whisperbench.judge.frontier import is_quicker, is_smaller, noise_of
from whisperbench.report.placing import contender_of, frontier_of, winner_of, work_of
from whisperbench.report.standing import Standing, Subject, over
from whisperbench.results.records import Machine
from whisperbench.units import counted

QUANTIZED = ("int8", "int8-t0", "nf4")
"""Precisions that an answer can be about: the first of them that was measured. Where none was, it
is about the first other one whose name says fewer bits."""

NOBODY = Standing(precision="")
"""Where no precision is what is asked for."""

_FEWER_BITS = ("int8", "int4", "nf4", "fp8", "fp4")

ALIKE = 0.05
"""Two times are alike that differ by less than this share, or by less than their spreads add up
to: fresh processes of one host differ by 5 % and more (docs/statistics.md)."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the sentences of a model are made of. What was not measured is NaN, or empty."""

    base: Standing
    """Of the reference precision."""
    this: Standing
    """Of the quantized precision that the answer is about; without a name where there is none."""
    t0: Standing
    measured: str
    """The precisions, in words."""
    work: str
    """What a transcription was of."""
    room: str
    """What memory there is."""
    unchanged: str
    """Precisions that wrote the reference's text, in words."""
    differing: str
    """Other precisions than this one that did not, and what they got wrong, in words."""
    further: str
    """Further cells of the model, in words."""
    lost: str
    """Benchmarks of the two precisions that were not measured, in words."""
    contenders: int = 0
    """How many precisions were placed among each other; 0 where there is no choice."""
    winner: Standing = NOBODY
    """Of three or more contenders the one that beats all others; without a name where none does."""
    saver: Standing = NOBODY
    """The one that takes the least memory of those that no other beats, that are as quick as the
    reference, and that take less memory than it."""
    quickest: Standing = NOBODY
    """The quickest of those that no other beats, where it is quicker than the reference."""
    smaller: Standing = NOBODY
    """The smallest of those that no other beats, where it is smaller than the reference."""
    better: Standing = NOBODY
    """The first that beats the precision that the answer is about."""

    @property
    def times(self) -> float:
        """How many times the reference's time a transcription takes."""
        return _times(self.this, self.base)

    @property
    def token_times(self) -> float:
        """The same of one decoded token."""
        return over(self.this.token_s, self.base.token_s)

    @property
    def t0_times(self) -> float:
        """The same of a transcription with threshold 0."""
        return _times(self.t0, self.base) if self.this is not self.t0 else nan

    @property
    def others(self) -> float:
        """How many contenders there are beside one."""
        return float(self.contenders - 1)

    @property
    def winner_times(self) -> float:
        """The same of the contender that beats all others."""
        return _times(self.winner, self.base)

    @property
    def saver_times(self) -> float:
        """The same of the one that saves memory and costs no time."""
        return _times(self.saver, self.base)

    @property
    def saver_saved(self) -> float:
        """MiB at the peak that it saves."""
        return self.base.peak_mib - self.saver.peak_mib

    @property
    def quickest_times(self) -> float:
        """The same of the quickest contender."""
        return _times(self.quickest, self.base)

    @property
    def smaller_times(self) -> float:
        """The same of the smallest one."""
        return _times(self.smaller, self.base)

    @property
    def _ratio(self) -> float:
        return self.token_times if isnan(self.times) else self.times

    @property
    def slower(self) -> bool:
        """Whether it takes longer than the reference, by more than rounds differ."""
        return self._ratio > 1 + self._noise

    @property
    def faster(self) -> bool:
        """Whether it takes less time than the reference, by more than rounds differ."""
        return self._ratio < 1 - self._noise

    @property
    def no_slower(self) -> bool:
        """Whether it was timed, and does not take longer."""
        return not isnan(self._ratio) and not self.slower

    @property
    def _noise(self) -> float:
        spreads = [each for each in (self.this.spread, self.base.spread) if not isnan(each)]
        return max(ALIKE, sum(spreads))

    @property
    def saved_weights(self) -> float:
        """MiB."""
        return self.base.weight_mib - self.this.weight_mib

    @property
    def saved_weights_share(self) -> float:
        """Of the reference's."""
        return over(self.saved_weights, self.base.weight_mib)

    @property
    def saved_peak(self) -> float:
        """MiB."""
        return self.base.peak_mib - self.this.peak_mib

    @property
    def saved_peak_share(self) -> float:
        """Of the reference's."""
        return over(self.saved_peak, self.base.peak_mib)

    @property
    def added_peak(self) -> float:
        """MiB."""
        return -self.saved_peak

    @property
    def added_peak_share(self) -> float:
        """Of the reference's."""
        return -self.saved_peak_share

    @property
    def same_texts(self) -> bool:
        """Whether every clip was heard alike, to the letter."""
        return bool(self.this.texts) and self.this.texts == self.base.texts

    @property
    def growth_low(self) -> float:
        """Lower bound of the growth of the error rate."""
        return self.this.wer_growth[0]

    @property
    def growth_high(self) -> float:
        """Upper bound of the same."""
        return self.this.wer_growth[1]

    @property
    def worse_words(self) -> bool:
        """Whether it is shown to hear worse, or hears worse than a limit allows."""
        return self.this.over_words or self.growth_low > 0


def case_of(subject: Subject, machine: Machine, further: int) -> Case:
    """Put a subject's precisions beside each other.

    Args:
        subject: the model, and what was found of it.
        machine: what it was measured on.
        further: how many further subjects there are of the model.
    """
    base = subject.of(subject.reference)
    known = [each for each in _quantized(subject) if each.measured or each.lost]
    best = sorted(known, key=lambda each: not each.measured)
    this = best[0] if best else Standing(precision="")
    others = [each for each in subject.standings if each.precision != subject.reference]
    alike = [each for each in others if each.texts and each.texts == base.texts]
    differing = [each for each in others if each.words > 0 and each not in (this, *alike)]
    lost = this.lost + base.lost
    which = " and ".join(each.precision for each in (base, this) if each.lost)
    tokens = "" if isnan(this.tokens) else f"{this.tokens:.0f} tokens of "
    clip = f"the clip {subject.clip}"
    return Case(
        base=base,
        this=this,
        t0=subject.of("int8-t0"),
        measured=listed([each.precision for each in subject.standings if each.measured]),
        work=f"for {tokens}{clip}" if tokens else f"for all of {clip}",
        room="memory" if machine.on_host else "the card",
        unchanged=listed([each.precision for each in alike]),
        differing=listed([f"{each.precision} got {each.word_edits:.0f}" for each in differing]),
        further=counted(further, "further setting") if further else "",
        lost=f"{counted(lost, 'benchmark')} of {which} {'was' if lost == 1 else 'were'}"
        if lost
        else "",
        **_choice(subject, base, this, on_host=machine.on_host),
    )


def _quantized(subject: Subject) -> Iterable[Standing]:
    """Yield the quantized precisions, those first that an answer is about first."""
    yield from map(subject.of, QUANTIZED)
    for each in subject.standings:
        # People's own code is called as in package.module:factory, whatever it computes in.
        fewer = ":" not in each.precision and any(bits in each.precision for bits in _FEWER_BITS)
        if fewer and each.precision not in (*QUANTIZED, subject.reference):
            yield each


class _Chosen(TypedDict, total=False):
    contenders: int
    winner: Standing
    saver: Standing
    quickest: Standing
    smaller: Standing
    better: Standing


def _choice(subject: Subject, base: Standing, this: Standing, *, on_host: bool) -> _Chosen:
    """Find what may be taken in place of the reference and of what the answer is about."""
    found = frontier_of(subject, on_host=on_host)
    work = work_of([each for each in subject.standings if each.measured])
    if found is None or work is None:
        return {}
    chosen: _Chosen = {"contenders": len(found.placed)}
    stand = [subject.of(each.name) for each in found.standing]
    # What hears worse, or is over a limit, is no advice.
    sound = [
        each
        for each in stand
        if not (each.over_memory or each.over_words or each.wer_growth[0] > 0) and each is not base
    ]
    if (winner := winner_of(found)) is not None and subject.of(winner.name) in sound:
        chosen["winner"] = subject.of(winner.name)
    noise = noise_of(on_host=on_host)
    smaller = [each for each in sound if is_smaller(each.peak_mib, base.peak_mib, noise)]
    reference = contender_of(base, work)

    def time_s(each: Standing) -> float:
        return contender_of(each, work).time_s

    as_quick = [each for each in smaller if time_s(each) <= (1 + noise.time) * reference.time_s]
    quicker = [each for each in sound if is_quicker(contender_of(each, work), reference, noise)]
    if as_quick:
        chosen["saver"] = min(as_quick, key=lambda each: each.peak_mib)
    if quicker:
        chosen["quickest"] = min(quicker, key=time_s)
    if smaller:
        chosen["smaller"] = min(smaller, key=lambda each: each.peak_mib)
    place = found.of(this.precision)
    beating = [each for each in sound if place is not None and each.precision in place.beaten_by]
    if beating:
        chosen["better"] = beating[0]
    return chosen


def listed(names: Sequence[str]) -> str:
    """Write a list in words.

    >>> listed([]), listed(["int8"]), listed(["bf16", "int8", "nf4"])
    ('', 'int8', 'bf16, int8 and nf4')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _times(this: Standing, base: Standing) -> float:
    """Divide two times of one work; NaN where they are of other numbers of tokens."""
    of_one_work = this.tokens == base.tokens or (isnan(this.tokens) and isnan(base.tokens))
    return over(this.latency_s, base.latency_s) if of_one_work else nan
