"""What is not believed of a trace: too few polls, long gaps, a probe that died."""

from __future__ import annotations

import pytest

from tests.scripted import MIB
from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.memory import plausibility
from whisperbench.measure.memory.observation import Observation, Span
from whisperbench.measure.memory.plausibility import require_believable
from whisperbench.measure.memory.probe import Pace, Trace
from whisperbench.measure.memory.watched import Mark, Phase


def a_trace(polls: int, *, held: int | None = MIB, used: int | None = 9 * MIB) -> Trace:
    """Return a trace of polls at 0 s, 1 s, 2 s and so on."""
    return Trace(
        pace=Pace.choose(0.0, 0.0),
        times_s=[float(second) for second in range(polls)],
        device_bytes=[used] * polls,
        process_bytes=[held] * polls,
        listed=True,
    )


def a_span(phase: Phase, start_s: float, end_s: float) -> Span:
    """Return a phase that came to its end."""
    mark = Mark(phase=phase, at_s=end_s, levels=None)
    return Span(phase=phase, start_s=start_s, end_s=end_s, mark=mark)


@pytest.mark.parametrize(("end_s", "polls"), [(2.5, 0), (3.0, 1), (4.5, 2)])
def test_a_phase_of_too_few_polls(end_s: float, polls: int) -> None:
    """A phase that was over before three polls has not been watched."""
    watched = Observation(idle_bytes=MIB, trace=a_trace(9))
    watched.spans = [a_span("start", 0.0, 2.2), a_span("load", 2.2, end_s)]
    wanted = f"x, phase 'load': lasted only {polls} polls of the probe, fewer than 3"
    with pytest.raises(InvalidMeasurementError, match=wanted):
        require_believable("x", watched)


def test_a_phase_of_enough_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three polls are enough."""
    monkeypatch.setattr(plausibility, "MAX_GAP_S", 1.0)
    watched = Observation(idle_bytes=MIB, trace=a_trace(9))
    watched.spans = [a_span("start", 0.0, 2.2), a_span("load", 2.2, 5.0)]
    require_believable("x", watched)


def test_a_probe_that_was_held_up_has_not_watched() -> None:
    """A long time without a poll, in a phase whose peaks count, could have hidden a peak."""
    watched = Observation(idle_bytes=MIB, trace=a_trace(9))
    watched.spans = [a_span("start", 0.0, 2.2), a_span("load", 2.2, 5.0)]
    with pytest.raises(InvalidMeasurementError, match="did not get to look for 1000 ms"):
        require_believable("x", watched)


@pytest.mark.parametrize("times_s", [(0.0, 0.001, 0.002), (1.498, 1.499, 1.5), (0.4, 0.5, 0.6)])
def test_a_phase_that_was_hardly_watched_is_refused(times_s: tuple[float, ...]) -> None:
    """Time without a poll counts from the phase's beginning, and to its end."""
    trace = a_trace(0)
    trace.times_s = [*times_s, 1.51, 1.52, 1.53]
    trace.device_bytes = [2 * MIB] * 6
    trace.process_bytes = [MIB] * 6
    trace.listed = True
    watched = Observation(idle_bytes=MIB, trace=trace)
    mark = Mark(phase="load", at_s=1.505, levels=None)
    watched.spans = [Span(phase="load", start_s=0.0, end_s=1.53, mark=mark)]
    with pytest.raises(InvalidMeasurementError, match="did not get to look for"):
        require_believable("x", watched)


def test_a_probe_that_fails_at_the_very_end() -> None:
    """A failure that nobody waited for any more makes the pass invalid all the same."""
    watched = Observation(idle_bytes=MIB, trace=a_trace(9))
    watched.spans = [a_span("start", 0.0, 5.0)]
    watched.trace.failure = "GPU is lost"
    with pytest.raises(InvalidMeasurementError, match=r"x: the probe died.*: GPU is lost"):
        require_believable("x", watched)
