"""What a precision costs, as a badge: a small picture in SVG that needs no service and no font."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from whisperbench.errors import InputError, printable
from whisperbench.report.candidate import Candidate
from whisperbench.report.candidates import Choice, choices_of
from whisperbench.results.records import Run

GREY, RED, BLUE = "#555", "#b3261e", "#0b5cad"
"""Of the label; of a run with a trouble; of one without. White on each is at least 4.5 to 1."""

_HEIGHT, _BASELINE, _MARGIN, _SIGN = 20, 14, 6, 6.6
"""In pixels; the last is the width of a sign, to which the text is set by `textLength`."""


@dataclass(frozen=True)
class Badge:
    """What a badge says."""

    label: str
    message: str
    colour: str


def badge_of(name: str, run: Run, precision: str = "int8", model: str | None = None) -> Badge:
    """Say what a precision costs: time and memory as multiples of the reference precision's.

    A run that is not whole, or has a figure over a limit, says so, whatever its figures are.

    Args:
        name: what to call the run in an error.
        run: what was measured.
        precision: what is held against the reference.
        model: which one, of a run of several.

    Raises:
        InputError: the run has nothing of it, or several models and none is named.
    """
    choice = _chosen(name, run, model)
    reference = choice.reference
    sizes: dict[str, dict[int, Candidate]] = {}
    for each in choice.candidates:
        sizes.setdefault(each.precision, {})[each.batch_size] = each
    batches = sizes.get(precision, {}).keys() & sizes.get(reference, {}).keys()
    if precision == reference or not batches:
        raise InputError(
            f"{name}: has not both {printable(precision)} and its reference {reference} of "
            f"{choice.model} at one batch size; measure both, or name another with --precision"
        )
    label = f"{precision} against {reference}, {choice.model} on {choice.machine.device}"
    if trouble := _trouble(run):
        return Badge(label, trouble, RED)
    batch = min(batches)
    facts = _facts(sizes[precision][batch], sizes[reference][batch])
    if not facts:
        raise InputError(f"{name}: has neither time nor memory of both {precision} and {reference}")
    return Badge(label, " · ".join(facts), BLUE)


def _chosen(name: str, run: Run, model: str | None) -> Choice:
    choices = choices_of([(name, run)])
    models = [*dict.fromkeys(choice.model for choice in choices)]
    if model is None and len(models) > 1:
        raise InputError(f"{name}: has {', '.join(models)}: name one with --model")
    if model is not None and model not in models:
        raise InputError(f"--model {printable(model)}: {name} has {', '.join(models)}")
    return next(choice for choice in choices if model in (None, choice.model))


def _trouble(run: Run) -> str:
    """Say what keeps a run from speaking for itself."""
    over = sum(
        verdict.verdict in ("over-limit", "regressed")
        for row in run.measurements
        for verdict in row.verdicts
    )
    over = max(over, sum(e.outcome in ("over-limit", "regressed") for e in run.info.manifest))
    if over:
        return f"{over} over a limit or regressed"
    return "incomplete" if run.unmeasured() else ""


def _facts(each: Candidate, base: Candidate) -> list[str]:
    facts = []
    if each.latency_s and base.latency_s:
        facts.append(f"{each.latency_s / base.latency_s:.2f} × time")
    if each.peak_mib and base.peak_mib:
        facts.append(f"{each.peak_mib / base.peak_mib:.2f} × memory")
    elif each.weight_mib and base.weight_mib:
        facts.append(f"{each.weight_mib / base.weight_mib:.2f} × weights")
    return facts


def as_svg(badge: Badge) -> str:
    """Draw a badge. It holds no script, no link and no address but its name space."""
    left, right = (2 * _MARGIN + _SIGN * len(text) for text in (badge.label, badge.message))
    whole = quoteattr(f"{badge.label}: {badge.message}")
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right:.0f}" '
            f'height="{_HEIGHT}" role="img" aria-label={whole}>',
            f"<title>{escape(f'{badge.label}: {badge.message}')}</title>",
            f'<rect width="{left:.1f}" height="{_HEIGHT}" fill="{GREY}"/>',
            f'<rect x="{left:.1f}" width="{right:.1f}" height="{_HEIGHT}" fill="{badge.colour}"/>',
            '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">',
            _text(badge.label, _MARGIN),
            _text(badge.message, left + _MARGIN),
            "</g>",
            "</svg>",
            "",
        )
    )


def _text(text: str, x: float) -> str:
    return (
        f'<text x="{x:.1f}" y="{_BASELINE}" textLength="{_SIGN * len(text):.1f}" '
        f'lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
    )
