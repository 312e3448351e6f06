"""What was found of each precision, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan

from whisperbench.errors import printable
from whisperbench.report.charts.chart import Table
from whisperbench.report.placing import beaten_by, frontier_of
from whisperbench.report.standing import Standing, Subject, over
from whisperbench.units import format_figure, format_mib, format_seconds

_Text = Callable[[Subject, Standing], str]

_RATIO = "times the reference"
_LAST = "verdict"


def title_of(subject: Subject) -> str:
    """Name a subject with its clip."""
    clip = subject.clip if subject.clip is not None else "heard for its words"
    return printable(f"{subject.name}, {clip}")


def table_of(subjects: Sequence[Subject], *, on_host: bool) -> Table:
    """Return what was found of each precision, without columns that are empty.

    Of several subjects each row begins with the subject's name.

    Args:
        subjects: a model on a clip at a batch size each.
        on_host: whether they were measured on the host itself.
    """
    found = [(subject, each) for subject in subjects for each in subject.standings]
    named: dict[str, _Text] = (
        {"model, batch size and clip": lambda subject, _: title_of(subject)}
        if len(subjects) > 1
        else {}
    )
    beaten: _Text = lambda subject, each: printable(  # noqa: E731 - a column as the others are
        beaten_by(frontier_of(subject, on_host=on_host), each.precision)
    )
    columns = {
        **named,
        **{heading: text for heading, text in _COLUMNS.items() if heading != _LAST},
        "beaten by": beaten,
        _LAST: _COLUMNS[_LAST],
    }
    if len({subject.reference for subject in subjects}) == 1:
        columns = {
            f"× {printable(subjects[0].reference)}" if heading == _RATIO else heading: text
            for heading, text in columns.items()
        }
    kept = {
        heading: text for heading, text in columns.items() if any(text(*each) for each in found)
    }
    rows = tuple(tuple(text(*each) for text in kept.values()) for each in found)
    return Table(headings=tuple(kept), rows=rows)


def _text(value: float, written: Callable[[float], str]) -> str:
    return "" if isnan(value) else written(value)


def times_of(each: Standing, base: Standing) -> str:
    """Write how many times the reference's time a precision takes, of as many tokens."""
    alike = each.tokens == base.tokens or (isnan(each.tokens) and isnan(base.tokens))
    return (
        _text(over(each.latency_s, base.latency_s), lambda times: f"{times:.2f}") if alike else ""
    )


def _verdict(each: Standing) -> str:
    if each.lost and each.measured:
        return f"{each.lost} missing"
    verdict = "over limit" if each.ran_out else each.verdict
    return verdict if verdict != "none" else "no limit" if each.measured else ""


_COLUMNS: dict[str, _Text] = {
    "precision": lambda _, each: printable(each.precision),
    "time (p50)": lambda _, each: _text(each.latency_s, format_seconds),
    "spread": lambda _, each: _text(each.spread, lambda share: f"±{100 * share:.1f} %"),
    _RATIO: lambda subject, each: times_of(each, subject.of(subject.reference)),
    "RTFx": lambda _, each: _text(each.rtfx, format_figure),
    "weights": lambda _, each: _text(each.weight_mib, format_mib),
    "peak memory": lambda _, each: (
        "out of memory" if each.ran_out else _text(each.peak_mib, format_mib)
    ),
    "limit": lambda _, each: _text(each.limit_mib, format_mib),
    "WER": lambda _, each: _text(each.wer, lambda rate: f"{100 * rate:.2f} %"),
    "GPU busy": lambda _, each: _text(each.gpu_busy, lambda share: f"{100 * share:.0f} %"),
    _LAST: lambda _, each: _verdict(each),
}
"""The columns, by their headings."""
