"""What is kept of memory over time: few readings, and all peaks."""

from __future__ import annotations

import msgspec
import pytest

from tests.scripted import MIB
from whisperbench.measure.memory.observation import COURSE, Observation, Span, course_of
from whisperbench.measure.memory.probe import Pace, Trace
from whisperbench.results.passes import MemoryCourse, MemoryResult


def a_trace(process: list[int | None], device: list[int | None]) -> Trace:
    """Return a trace of polls a millisecond apart, from 100 s on."""
    return Trace(
        pace=Pace.choose(0.0, 0.0),
        times_s=[100 + at / 1000 for at in range(len(process))],
        process_bytes=process,
        device_bytes=device,
    )


def a_course(trace: Trace, idle_bytes: int | None = MIB) -> MemoryCourse:
    """Return the course of a trace with one phase, its first second."""
    watched = Observation(idle_bytes=idle_bytes, trace=trace)
    watched.spans = [Span(phase="load", start_s=100.0, end_s=101.0, mark=None)]
    found = course_of(watched)
    assert found is not None
    return found


def test_few_readings_are_kept_and_the_peak_is_among_them() -> None:
    """Of ten thousand polls two hundred readings stay; one poll that was high is not lost."""
    process: list[int | None] = [MIB] * 10_000
    process[4_321] = 77 * MIB
    found = a_course(a_trace(process, [None] * 10_000))
    assert len(found.at_s) == COURSE
    assert max(found.held_mib) == 77.0
    peak_s = found.at_s[found.held_mib.index(77.0)]
    assert peak_s == pytest.approx(4.321, abs=0.06)
    assert found.at_s == tuple(sorted(found.at_s))
    assert found.of == "process"
    assert found.phases[0] == msgspec.structs.replace(
        found.phases[0], name="load", start_s=0.0, end_s=1.0
    )


def test_polls_that_did_not_look_are_passed_over() -> None:
    """Most polls read the device alone: what the process held is known in between."""
    process: list[int | None] = [None, 2 * MIB, None, None, 3 * MIB, None]
    found = a_course(a_trace(process, [9 * MIB] * 6))
    assert found.held_mib == (2.0, 3.0)


def test_a_hidden_process_is_the_devices_growth() -> None:
    """Where no poll saw the process it is what the device holds over its idle level."""
    found = a_course(a_trace([None] * 3, [MIB, 4 * MIB, 3 * MIB]))
    assert found.of == "device"
    assert found.held_mib == (0.0, 3.0, 2.0)


def test_nothing_read_is_no_course() -> None:
    """Without a reading there is none; and without an idle level the device says nothing."""
    assert course_of(Observation(idle_bytes=MIB, trace=a_trace([], []))) is None
    unknown = Observation(idle_bytes=None, trace=a_trace([None], [MIB]))
    assert course_of(unknown) is None


def test_a_course_of_other_times_than_readings_is_refused() -> None:
    """A file cannot hold a reading without its time."""
    course = {"of": "process", "at_s": [1.0, 2.0], "held_mib": [1.0], "phases": []}
    result = {"judged": "x", "polls": 1, "poll_interval_ms": 1, "longest_gap_ms": 1}
    content = msgspec.json.encode({**result, "pass": "memory", "course": course})
    with pytest.raises(msgspec.ValidationError, match="other times than readings"):
        msgspec.json.decode(content, type=MemoryResult)
