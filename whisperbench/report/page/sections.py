"""The sections of a page, in the order in which a reader needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from whisperbench.errors import printable
from whisperbench.judge.comparison import Comparison
from whisperbench.report.answer import paragraphs, title
from whisperbench.report.charts.all import FEW, Pictured
from whisperbench.report.charts.changes import in_order
from whisperbench.report.charts.changes import table_of as changes_of
from whisperbench.report.charts.render import Picture
from whisperbench.report.charts.standings import table_of, title_of
from whisperbench.report.contenders import QUESTION, instead
from whisperbench.report.page.environment import described, environment
from whisperbench.report.page.section import Captioned, Illustrated, Page, Section
from whisperbench.report.page.verdict import verdict_of
from whisperbench.report.standing import Subject
from whisperbench.report.verdicts import NEXT, tally

_ILLUSTRATED = (
    ("rounds", "Every round of every process"),
    ("durations", "Short and long audio"),
    ("memory", "Memory over time"),
    ("soak", "Memory over many calls"),
    ("kernels", "What the GPU's time goes into"),
    ("times", "Floor, GPU and wall"),
    ("pairs", "Pairs in turns"),
)
"""Sections that hold pictures alone: what their charts' names begin with, and their titles."""


def page_of(about: Pictured, pictures: Mapping[str, Picture], more: Sequence[Section] = ()) -> Page:
    """Make a page of all that is known.

    Args:
        about: what was measured.
        pictures: of its charts, by name.
        more: sections to stand before the environment, such as the history.
    """
    run = about.run
    status, headline, missing = verdict_of(run, about.compared)
    subjects = about.subjects
    models = list(dict.fromkeys(subject.model for subject in subjects))
    named = ", ".join(models[:2]) + (f" and {len(models) - 2} more" if len(models) > 2 else "")
    return Page(
        title=printable(f"{named or 'A run'} on {run.machine.device}"),
        subtitle=described(run.machine),
        status=status,
        headline=printable(headline),
        sections=(
            missing,
            _costs(about, subjects, pictures),
            *([_changes(about.compared, pictures)] if about.compared is not None else []),
            *_illustrated(pictures),
            *more,
            environment(run, about.base),
        ),
    )


def _named(
    pictures: Mapping[str, Picture], kind: str, *, with_table: bool = True
) -> tuple[Illustrated, ...]:
    """Return the pictures of a kind: of its name, or of its name and a number."""
    return tuple(
        Illustrated(picture=picture, with_table=with_table)
        for name, picture in pictures.items()
        if name == kind or name.removeprefix(f"{kind}-").isdigit()
    )


def _costs(
    about: Pictured, subjects: Sequence[Subject], pictures: Mapping[str, Picture]
) -> Section:
    """Say what 8-bit costs, in sentences, in a picture and in a table a subject."""
    run = about.run
    answers = [f"{name}: {text}" for name, text in paragraphs(run, subjects)]
    choices = [
        f"{title_of(subject)}: {' '.join(told)}" for subject, told in instead(subjects, run.machine)
    ]
    return Section(
        id="cost",
        title=printable(title(run, subjects)) if answers else "Time against memory",
        paragraphs=tuple(map(printable, [*answers, *([QUESTION] if choices else []), *choices])),
        pictures=_named(pictures, "time-memory", with_table=False),
        tables=tuple(_standings(subjects, on_host=run.machine.on_host)),
    )


def _standings(subjects: Sequence[Subject], *, on_host: bool) -> Iterator[Captioned]:
    """Yield a table a subject; of many one for the first, and one for all."""
    for subject in subjects if len(subjects) <= FEW else subjects[:1]:
        yield Captioned(caption=title_of(subject), table=table_of([subject], on_host=on_host))
    if len(subjects) > FEW:
        yield Captioned(
            caption="All models, batch sizes and clips",
            table=table_of(subjects, on_host=on_host),
            folded=True,
        )


def _changes(compared: Comparison, pictures: Mapping[str, Picture]) -> Section:
    """Say what changed, the worst first, with causes and intervals, and what else did."""
    drawn = _named(pictures, "changes", with_table=False)
    order = in_order(compared.judged)
    verdicts = {each.verdict.verdict for each in order}
    steps = [f"{name}: {step}." for name, step in NEXT.items() if name in verdicts]
    unchanged = not order and not compared.circumstances
    return Section(
        id="changes",
        title="What changed",
        paragraphs=(
            f"{tally(compared.judged)}.",
            *(("Every figure is what it was.",) if unchanged and compared.judged else ()),
        ),
        lines=tuple(map(printable, [*steps, *compared.circumstances])),
        pictures=drawn,
        tables=(Captioned(caption="What changed, and why", table=changes_of(order)),)
        if order
        else (),
    )


def _illustrated(pictures: Mapping[str, Picture]) -> Iterator[Section]:
    for kind, heading in _ILLUSTRATED:
        yield Section(id=kind, title=heading, pictures=_named(pictures, kind))
