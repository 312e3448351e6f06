"""The training's curves as an SVG: written by hand, so that no plotting library is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

Point = tuple[float, float]

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 34, 36
_COLOURS = ("#1f6fb4", "#c2571a", "#3a8a3a")
_TICKS = 5


def curve(log: Sequence[Mapping[str, float]]) -> str:
    """Draw the losses and the held-out word error rate over the steps, on logarithmic scales."""
    losses = {
        label: [(line["step"], line[name]) for line in log if name in line]
        for name, label in (("said", "decoder's loss"), ("aligned", "alignment's loss"))
    }
    rates = [(line["step"], 100 * line["heldout_wer"]) for line in log if "heldout_wer" in line]
    panels = [
        _panel("Loss per token", losses),
        _panel(
            "Word error rate of 64 held-out utterances, % (0 stands on the lower edge)",
            {"greedy": rates},
        ),
    ]
    body = "".join(
        f'<g transform="translate(0 {_HEIGHT * at})">{panel}</g>' for at, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT * len(panels)}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
    )


def _panel(title: str, series: Mapping[str, Sequence[Point]]) -> str:
    points = [point for line in series.values() for point in line]
    parts = [f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>']
    if not points:
        return parts[0]
    last = max(step for step, _ in points)
    # A logarithm has no zero: what is zero stands on the lower edge.
    values = [value for _, value in points if value > 0] or [1.0]
    low, high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05

    def place(step: float, value: float) -> Point:
        share = (math.log10(max(value, 10**low)) - low) / (high - low)
        wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + wide * step / last, _TOP + tall * (1 - share)

    for tick in range(_TICKS + 1):
        value = 10 ** (low + (high - low) * tick / _TICKS)
        step = last * tick / _TICKS
        _, y = place(0, value)
        x, _ = place(step, value)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
            f'<text x="{x:.1f}" y="{_HEIGHT - 16}" text-anchor="middle">{step:.0f}</text>'
        )
    for at, (label, line) in enumerate(series.items()):
        colour = _COLOURS[at]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{_WIDTH - _RIGHT}" y="{_TOP + 14 * at + 4}" text-anchor="end" '
            f'fill="{colour}">{escape(label)}</text>'
        )
    return "".join(parts)
