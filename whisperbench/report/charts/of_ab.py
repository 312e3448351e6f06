"""What the charts of a comparison in turns are made of: pure, the files that it left in."""

from __future__ import annotations

from whisperbench.asked.suite import Suite
from whisperbench.judge.comparison import Comparison
from whisperbench.judge.left import SIDES, Left
from whisperbench.report.charts.all import Pictured
from whisperbench.report.charts.rounds import Process


def pictured(left: Left, suite: Suite | None, compared: Comparison | None = None) -> Pictured:
    """Gather what is drawn of a comparison in turns.

    Args:
        left: what it left.
        suite: whose tolerances hold; None where there is none.
        compared: the verdicts, where they are known; by default worked out of the files.

    Raises:
        InputError: a run measured a cell twice, or there are too many figures.
    """
    tried = left.tried(suite)
    processes = [
        Process(side=side, name=f"pair {number}", run=file.run)
        for number, pair in enumerate(left.pairs, start=1)
        for side, file in zip(SIDES, pair, strict=True)
    ]
    return Pictured(
        run=left.run(1),
        base=left.run(0),
        compared=compared if compared is not None else left.judged(suite, tried),
        processes=processes,
        courses=tried.pairs.courses(),
    )
