"""The order of candidates: what will do first, and of that what nothing beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from whisperbench.report.candidate import Candidate
from whisperbench.report.candidates import Choice
from whisperbench.report.fitness import ALIKE, ORDER, Wanted, Weighed, elsewhere


def ranked(choice: Choice, rows: Sequence[Weighed], wanted: Wanted) -> list[Weighed]:
    """Order candidates: by answer, then those that nothing beats, then by audio a second.

    Of those that are as quick as the quickest, but for what processes of unchanged code differ by,
    the one of the least memory comes first. On another card than was measured no time holds: there
    the reference precision comes first, because nothing shows that another is quicker, and none is
    known to beat another.
    """
    if elsewhere(choice, wanted) is not None:
        return sorted(
            sorted(rows, key=_rank),
            key=lambda row: (
                ORDER.index(row.answer),
                row.candidate.precision != choice.reference,
            ),
        )
    told = [(row, [*_winners(row, rows)]) for row in rows]
    rows = [_with_reason(row, winners) for row, winners in told]
    beaten = {_key(row.candidate) for row, winners in told if winners}
    rows = sorted(
        sorted(rows, key=_rank),
        key=lambda row: (ORDER.index(row.answer), _key(row.candidate) in beaten),
    )
    same = [
        row
        for row in rows
        if row.answer == rows[0].answer
        and _key(row.candidate) not in beaten
        and row.need_mib is not None
        and speed(row) >= speed(rows[0]) / (1 + ALIKE)
    ]
    if rows[0].need_mib is None or not same:
        return rows
    best = min(same, key=lambda row: row.need_mib or 0.0)
    return [best, *(row for row in rows if row is not best)]


def _key(candidate: Candidate) -> tuple[str, int]:
    return candidate.precision, candidate.batch_size


def _winners(row: Weighed, rows: Sequence[Weighed]) -> Iterator[str]:
    """Yield the precisions that beat a candidate and will do as well as it."""
    answers = {_key(each.candidate): ORDER.index(each.answer) for each in rows}
    for name in row.candidate.beaten_by:
        if answers.get((name, row.candidate.batch_size), len(ORDER)) <= ORDER.index(row.answer):
            yield name


def _with_reason(row: Weighed, winners: Sequence[str]) -> Weighed:
    """Say what beats it, but of a no, which is explained by what makes it one."""
    if not winners or row.answer == "no":
        return row
    better = [*row.candidate.beaten_by[winners[0]]]
    reason = f"{winners[0]} beats it in {' and '.join(better)}"
    return replace(row, reasons=(*row.reasons, reason), beaten_by=winners[0])


def speed(row: Weighed) -> float:
    """Return the seconds of audio that are transcribed in a second; 0 where it is not known."""
    return row.candidate.audio_per_s or 0.0


def _rank(row: Weighed) -> tuple[object, ...]:
    each = row.candidate
    return (
        ORDER.index(row.answer),
        -speed(row),
        row.need_mib if row.need_mib is not None else float("inf"),
        each.precision,
        each.batch_size,
    )
