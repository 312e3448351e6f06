"""What does a call make the machine do? Kernels, copies, waits, ops and calls, counted exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from whisperbench.asked.plan import Plan
    from whisperbench.measure.cost.counting import Cost
    from whisperbench.plugin.recording import Recorder
    from whisperbench.plugin.timing import Timing
    from whisperbench.whisper.transcriber import Transcriber


def test_cost(
    count_cost: Callable[[], Cost],
    transcriber: Transcriber,
    plan: Plan,
    timing: Timing,
    record: Recorder,
) -> None:
    """Count what encoding a window and decoding a few tokens takes.

    Two stages: the encoder, and the rest of `generate()`, on features that are on the device
    already. The counts are of warmed executions under torch's profiler that did the same to the
    last one. Nothing here is a latency: pytest-benchmark's table shows what the pass itself took,
    once.
    """
    cost = timing.once("cost (seconds that the pass took)", count_cost)
    record(
        "cost",
        record.cell_of(transcriber, plan.profile.cost_tokens),
        cost.values,
        timing.in_conditions(cost.found),
        conditions=cost.conditions,
    )
