"""Which precision and batch size to take, by what was measured, and what that cannot tell."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whisperbench.errors import ExitCode, InputError
from whisperbench.report.advice_sentences import an, sentences_of
from whisperbench.report.candidates import Choice, choices_of
from whisperbench.report.fitness import (
    Answer,
    Wanted,
    Weighed,
    elsewhere,
    room_mib,
    weigh,
)
from whisperbench.report.ranking import ranked
from whisperbench.report.unmeasured import not_carried, to_measure
from whisperbench.results.records import Run, unusual


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
                f"{an(wanted.card.title)}: give a run of a GPU"
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
        sentences=(*sentences_of(choice, rows, wanted),),
        not_known=(*not_carried(choice, rows, wanted), *lacking),
        to_measure=(*to_measure(choice, rows, wanted),),
    )


def heading(advice: Advice) -> str:
    """Write what an advice is on, in a line."""
    name = f"{advice.model}{unusual(1, advice.attention)}"
    if advice.elsewhere:
        return f"{name} on {an(advice.asked_about)}, by what {an(advice.measured_device)} measured"
    return f"{name} on {advice.measured_device} ({advice.measured_on})"
