"""What does a cold start cost? Load and first call, each round in a fresh process."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from whisperbench.plugin.replay import replay

if TYPE_CHECKING:
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import Plan
    from whisperbench.measure.latency.startup_rounds import Startup
    from whisperbench.plugin.recording import Recorder
    from whisperbench.results.metrics import Value

pytestmark = pytest.mark.wall


@pytest.mark.needs("a fresh process")
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
    in the result.
    """
    samples_s = [sample.load_s for sample in startup_of_cell.samples()]
    replay(benchmark, "load", samples_s)
    _record(record, "load", startup_of_cell, audio, batch_size, plan, samples_s)


@pytest.mark.needs("a fresh process")
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
    device modules, workspaces, tuning, and what torch.compile compiles, whose seconds are a figure
    of their own as well. Its output is checked after it, not before.
    """
    samples = startup_of_cell.samples()
    samples_s = [sample.first_call_s for sample in samples]
    replay(benchmark, "first call", samples_s)
    compile_s = [each.compilation.seconds for each in samples if each.compilation is not None]
    more: dict[str, Value] = {"compile_s": compile_s} if compile_s else {}
    _record(record, "first call", startup_of_cell, audio, batch_size, plan, samples_s, more)


def _record(
    record: Recorder,
    benchmark: str,
    startup: Startup,
    audio: Audio,
    batch_size: int,
    plan: Plan,
    samples_s: list[float],
    more: Mapping[str, Value] = MappingProxyType({}),
) -> None:
    cell = record.cell(startup.key, audio, batch_size, plan.profile.tokens)
    record(benchmark, cell, {"latency_s": samples_s, **more}, startup.result())
