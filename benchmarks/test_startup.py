"""What does a cold start cost? Load and first call, each round in a fresh process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fixtures.measure import latency
from fixtures.startup import REPORTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixtures.measure import Recorder
    from fixtures.startup import Startup
    from whisperbench.clips import Audio
    from whisperbench.plan import Plan
    from whisperbench.startup import StartupSample


@pytest.mark.benchmark(timer=REPORTED.now)
def test_load(
    startup_of_cell: Startup,
    audio: Audio,
    batch_size: int,
    plan: Plan,
    benchmark: Any,
    record: Recorder,
) -> None:
    """Time loading from disk in a fresh process.

    Timed region, in that process: from the checkpoint's files, which the system was asked to
    forget, to a model on the device, quantized where it is to be. Imports come before it and are
    in the notes.
    """
    samples = _run(benchmark, "load", startup_of_cell, plan, lambda sample: sample.load_s)
    _record(record, "load", startup_of_cell, audio, batch_size, plan, benchmark, samples)


@pytest.mark.benchmark(timer=REPORTED.now)
def test_first_call(
    startup_of_cell: Startup,
    audio: Audio,
    batch_size: int,
    plan: Plan,
    benchmark: Any,
    record: Recorder,
) -> None:
    """Time the first transcription of a fresh process, with the fixed token count.

    Timed region, in that process: what test_transcribe times, plus all that a first call brings:
    device modules, workspaces, tuning. Its output is checked after it, not before.
    """
    samples = _run(
        benchmark, "first call", startup_of_cell, plan, lambda sample: sample.first_call_s
    )
    _record(record, "first call", startup_of_cell, audio, batch_size, plan, benchmark, samples)


def _run(
    benchmark: Any,
    stage: str,
    startup: Startup,
    plan: Plan,
    seconds: Callable[[StartupSample], float],
) -> list[StartupSample]:
    """Let each round be one fresh process, which says itself how long it took."""
    rounds = iter(range(plan.profile.startup_rounds))

    def one() -> None:
        REPORTED.advance(seconds(startup.sample(next(rounds))))

    benchmark.group = stage
    benchmark.pedantic(one, rounds=plan.profile.startup_rounds, iterations=1)
    return startup.samples


def _record(
    record: Recorder,
    stage: str,
    startup: Startup,
    audio: Audio,
    batch_size: int,
    plan: Plan,
    benchmark: Any,
    samples: list[StartupSample],
) -> None:
    record(
        stage,
        key=startup.key,
        audio=audio,
        batch_size=batch_size,
        tokens=plan.profile.tokens,
        metrics=[latency(benchmark.stats.stats.data)],
        notes={
            "import_s": min(sample.import_s for sample in samples),
            "dropped_page_cache": all(sample.dropped_page_cache for sample in samples),
        },
    )
