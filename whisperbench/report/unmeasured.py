"""What figures cannot say of the place that advice is asked for, and what to measure for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from whisperbench.asked.models import DUMMY_PREFIX
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.report.candidate import Candidate
from whisperbench.report.candidates import Choice
from whisperbench.report.cards import Card
from whisperbench.report.fitness import (
    DOUBT,
    ENOUGH,
    NEAR,
    Wanted,
    Weighed,
    elsewhere,
    needed_mib,
    room_mib,
)

_OFFERED = ("fp16", "int8", "int8-t0", "nf4")
"""Precisions that advice would weigh if they were measured."""

_NEXT_BATCHES = (1, 4, 16)
"""Batch sizes to measure where one alone was."""


def not_carried(choice: Choice, rows: Sequence[Weighed], wanted: Wanted) -> Iterator[str]:
    """Yield what the figures do not say, a sentence or two each."""
    card = elsewhere(choice, wanted)
    device = choice.machine.device
    if card is not None:
        yield (
            "The weights carry over, because they are the same bytes on every card. So do the "
            "peaks of torch's allocator, because its tensors have the same shapes. Kernels that "
            "another card chooses may need other workspaces."
        )
        outside = _most(rows, "outside_mib")
        driver = _most(rows, "driver_mib")
        if outside is not None:
            beside = f" and {driver:.0f} MiB of the driver" if driver else ""
            yield (
                "The CUDA context and libraries do not carry over. They took up to "
                f"{outside:.0f} MiB{beside} on the {device}. The table takes the same for the "
                f"{card.title}, and answers yes only where {DOUBT:g} times that fits as well."
            )
        runs, not_there = _split(rows, card)
        cannot = f" It does not: {', '.join(not_there)}." if not_there else ""
        capability = ".".join(map(str, card.capability))
        can = ", ".join(runs) or "none of these"
        yield f"By its compute capability of {capability} it runs: {can}.{cannot}"
        yield (
            f"No time carries over. The {card.title} has other rates of arithmetic and memory, "
            f"other kernels and another host: times and their ratios are those of the {device}."
        )
    if wanted.vram_mib is not None:
        yield (
            f"The memory is taken to be that of the {device} that was measured. Of another device, "
            "ask with --card, or measure there."
        )
    if choice.held_tokens is not None:
        yield (
            f"Memory was watched over {choice.held_tokens} tokens. A longer transcript holds a "
            "larger cache of keys and values."
        )
    if choice.model.startswith(DUMMY_PREFIX):
        yield (
            "The weights of a dummy are random: its memory and time are of a real size, and it "
            "says nothing of words."
        )
    if choice.work is not None:
        yield "Times are of one machine's processes; others differ by 2 to 20 % on a shared host."


def to_measure(choice: Choice, rows: Sequence[Weighed], wanted: Wanted) -> Iterator[str]:
    """Yield what would tell more, each with the command that measures it."""
    card = elsewhere(choice, wanted)
    candidates = [row.candidate for row in rows]
    batches = sorted({each.batch_size for each in candidates})
    usable = [row.candidate.precision for row in rows if row.answer != "no"]
    precisions = [*dict.fromkeys((choice.reference, *usable))]
    if card is not None:
        command = _command(choice, "", precisions, batches)
        yield f"Time, and what the context takes, on the {card.title} itself: {command}"
    hopeful = [row.candidate for row in rows if row.answer != "no"]
    unwatched = [each for each in hopeful if each.peak_mib is None and not each.out_of_memory]
    if unwatched:
        yield f"Memory: {_of(choice, 'benchmarks/test_memory.py', unwatched)}"
    untimed = [each for each in hopeful if each.latency_ratio is None]
    if untimed:
        command = _of(choice, "benchmarks/test_transcribe.py", untimed, also=choice.reference)
        yield f"Time beside that of {choice.reference}: {command}"
    near = [row for row in rows if any(reason.endswith(NEAR) for reason in row.reasons)]
    if near:
        of = [row.candidate for row in near]
        options = _of(choice, "", of, also=choice.reference).removeprefix("pytest benchmarks/ ")
        yield (
            f"Time in {ENOUGH} processes: whisperbench record --name advice --runs {ENOUGH} -- "
            f"{options}"
        )
    yield from _words(choice, candidates, precisions)
    others = [
        name
        for name in _OFFERED
        if name not in {each.precision for each in candidates}
        and (card is None or PRECISIONS[name].why_not(card.capability) is None)
        and (name != "fp16" or not choice.machine.on_host)
    ]
    if others:
        command = _command(choice, "", (choice.reference, *others), batches)
        yield f"Precisions that were not measured: {command}"
    yield from _batches(choice, rows, wanted, batches)


def _words(
    choice: Choice, candidates: Sequence[Candidate], precisions: Sequence[str]
) -> Iterator[str]:
    others = [each for each in candidates if each.precision != choice.reference]
    if any(each.wer_increase is not None for each in others):
        yield (
            "Words of more recordings, which narrow what may be hidden: "
            f"{_command(choice, 'benchmarks/test_quality.py', precisions, ())} --data FOLDER"
        )
        return
    trained = not choice.model.startswith(DUMMY_PREFIX)
    model = None if trained else "MODEL"
    command = _command(choice, "benchmarks/test_quality.py", precisions, (), model)
    of = "" if trained else " of the trained model that is deployed"
    yield f"Words{of}, on recordings of your own: {command} --data FOLDER"


def _batches(
    choice: Choice, rows: Sequence[Weighed], wanted: Wanted, batches: Sequence[int]
) -> Iterator[str]:
    """Propose batch sizes: some where there is one, and larger ones as far as memory goes."""
    best = rows[0]
    if best.answer == "no":
        return
    precision = best.candidate.precision
    if len(batches) == 1:
        sizes = sorted({*batches, *_NEXT_BATCHES})
        yield f"Other batch sizes: {_command(choice, '', (precision,), sizes)}"
        return
    held = {
        row.candidate.batch_size: row.need_mib
        for row in rows
        if row.candidate.precision == precision and row.need_mib is not None
    }
    room = room_mib(choice, wanted)
    if len(held) < 2 or room is None or max(held) != batches[-1]:
        return
    least, most = min(held), max(held)
    each_mib = (held[most] - held[least]) / (most - least)
    if each_mib <= 0 or needed_mib(choice, held[most] + each_mib * most) > room:
        return
    larger = 2 * most
    yield (
        f"Larger batches: {precision} took {each_mib:.0f} MiB more for each clip of a batch, by "
        f"which one of {larger} would take about {(held[most] + each_mib * most) / 1024:.1f} GiB: "
        f"{_command(choice, '', (precision,), (larger,))}"
    )


def _split(rows: Sequence[Weighed], card: Card) -> tuple[list[str], list[str]]:
    """Return the precisions that a card runs, and those that it does not or only emulates."""
    runs: list[str] = []
    not_there: list[str] = []
    for name in dict.fromkeys(row.candidate.precision for row in rows):
        if name in PRECISIONS:
            refused = PRECISIONS[name].why_not(card.capability) is not None
            (not_there if refused else runs).append(name)
    return runs, not_there


def _most(rows: Sequence[Weighed], name: str) -> float | None:
    found = [getattr(row.candidate, name) for row in rows]
    return max((each for each in found if each is not None), default=None)


def _of(choice: Choice, file: str, of: Sequence[Candidate], also: str = "") -> str:
    precisions = [*filter(None, [also]), *(each.precision for each in of)]
    return _command(choice, file, precisions, sorted({each.batch_size for each in of}))


def _command(
    choice: Choice,
    file: str,
    precisions: Sequence[str],
    batches: Sequence[int],
    model: str | None = None,
) -> str:
    """Write the command that measures cells, quoted for a shell."""
    named = shlex.quote(choice.model) if model is None else model
    parts = ["pytest", file or "benchmarks/", "--model", named]
    parts += ["--precision", shlex.quote(",".join(dict.fromkeys(precisions)))]
    if batches and [*batches] != [1]:
        parts += ["--batch-size", ",".join(map(str, batches))]
    if choice.attention != "sdpa":
        parts += ["--attention", shlex.quote(choice.attention)]
    return " ".join(parts)
