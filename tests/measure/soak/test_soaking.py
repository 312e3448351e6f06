"""The soak of made-up cells: leaks are found, clean ones pass, and what went wrong is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import pytest

from tests.measure.soak.made_up import (
    CLEAN,
    LEAKING,
    ON_GPU,
    ON_HOST,
    SIZE,
    die,
    hang,
    on_gpu,
    run_out,
    stop_early,
    take,
    vague,
)
from tests.runs import make_cell
from tests.scripted import MIB, ScriptedDevice, taken
from whisperbench.asked.suite import Suite, read_suite
from whisperbench.devices.host import HostDevice
from whisperbench.errors import InvalidMeasurementError, OutOfMemoryError
from whisperbench.judge.limits import applying, judge
from whisperbench.measure.soak.soaking import Soak, measure_soak
from whisperbench.results.passes import SoakResult
from whisperbench.results.soak_course import MOST_CALLS

IDLE_MIB = 500.0
CPU, GPU = "cpu-some-cpu-2c", "nvidia-h200-sm90-140gib"


@pytest.fixture(scope="module")
def suite() -> Suite:
    """suite.toml, with its limits and its number of calls."""
    return read_suite()


def over(suite: Suite, soak: Soak, device_key: str) -> set[str]:
    """Return the metrics that are over a limit of suite.toml; each of its limits is judged."""
    cell = make_cell(device="cpu" if device_key == CPU else "cuda", tokens=8)
    verdicts = judge(cell, soak.values, applying(suite.limit, "soak", cell, device_key), {}, "fp16")
    assert verdicts
    assert {row.verdict for row in verdicts} <= {"ok", "over-limit"}
    return {row.metric for row in verdicts if row.verdict == "over-limit"}


def a_gpu(
    kept: int = 0,
    seen: Callable[[int, int], Mapping[int, int | None]] = lambda pid, held: {pid: held},
) -> ScriptedDevice:
    """Return a GPU on which a process keeps so many bytes more after each call.

    Args:
        kept: by the cell, which the driver gives blocks of 2 MiB.
        seen: makes the list of processes of the cell's id and bytes.
    """
    calls = [0]

    def held() -> int:
        return 4000 * MIB - (-calls[0] * kept // (2 * MIB)) * 2 * MIB

    def processes() -> Mapping[int, int | None]:
        if device.watched[-1] == os.getpid():
            return {}
        calls[0] += 1
        return seen(device.watched[-1], held())

    device = ScriptedDevice(
        memory=lambda: taken(IDLE_MIB + (held() / MIB if calls[0] else 0.0)), processes=processes
    )
    return device


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
@pytest.mark.parametrize("leak", ["none", "bytes", "malloc", "mmap", "torch"])
def test_leaks_on_a_host(leak: str, suite: Suite) -> None:
    """64 KiB a call are found within suite.toml's calls, whoever takes them; a clean cell passes.

    The cell takes and gives back 10 MiB of blocks in each call, and fills a cache in the first.
    """
    calls = suite.profile["cpu"].soak_calls
    soak = measure_soak(ON_HOST, HostDevice(), calls, target=partial(take, leak))
    assert over(suite, soak, CPU) == (set() if leak == "none" else {"creep_host_kib_per_call"})
    slope = soak.values["creep_malloc_kib_per_call"]
    expected = 0.0 if leak in ("none", "mmap") else 64.0
    assert abs(slope - expected) < 4.0
    assert soak.found.clock == "CPU time"
    assert soak.found.not_told is None
    assert set(soak.values) == {
        *("creep_malloc_kib_per_call", "creep_host_kib_per_call", "drift_ratio")
    }


def test_a_clean_gpu(suite: Suite) -> None:
    """Whatever is read of a GPU has a slope of its own, and each is 0 where nothing creeps."""
    calls = suite.profile["cuda"].soak_calls
    soak = measure_soak(ON_GPU, a_gpu(), calls, target=CLEAN)
    assert over(suite, soak, GPU) == set()
    levels = ("malloc", "host", "allocated", "reserved", "process", "device")
    assert soak.values == {f"creep_{level}_kib_per_call": 0.0 for level in levels} | {
        "drift_ratio": 1.0
    }
    course = soak.found.course
    assert course is not None
    assert course.held_mib["process"][0] == 4000.0
    assert course.held_mib["device"][0] == 4000.0  # over the idle level
    assert course.held_mib["host"][0] == 870.0
    assert soak.found.clock == "wall time"
    assert (soak.found.calls, soak.found.left_out) == (calls, calls // 4)


def test_a_leak_on_a_gpu(suite: Suite) -> None:
    """A tensor of 64 KiB that each call keeps is in torch's count, its cache and the device's."""
    calls = suite.profile["cuda"].soak_calls
    soak = measure_soak(ON_GPU, a_gpu(SIZE), calls, target=LEAKING)
    assert over(suite, soak, GPU) == {
        f"creep_{level}_kib_per_call" for level in ("allocated", "reserved", "device")
    }
    assert soak.values["creep_allocated_kib_per_call"] == 64.0
    # The driver gives blocks of 2 MiB, and one of them is forgiven.
    assert 48.0 < soak.values["creep_process_kib_per_call"] < 64.0


def test_a_leak_outside_torch_on_a_gpu(suite: Suite) -> None:
    """What torch does not count, such as another library's workspace, is in the device's memory."""
    calls = suite.profile["cuda"].soak_calls
    soak = measure_soak(ON_GPU, a_gpu(SIZE), calls, target=CLEAN)
    assert over(suite, soak, GPU) == {"creep_device_kib_per_call"}


def test_a_call_that_takes_ever_longer(suite: Suite) -> None:
    """Twice as long after 200 calls is over the limit, and 10 % longer is not."""
    calls = suite.profile["cuda"].soak_calls
    slow, usual = (
        measure_soak(ON_GPU, a_gpu(), calls, target=partial(on_gpu, 0, ratio))
        for ratio in (2.0, 1.1)
    )
    assert over(suite, slow, GPU) == {"drift_ratio"}
    assert over(suite, usual, GPU) == set()
    assert 1.06 < usual.values["drift_ratio"] < 1.1


def test_a_driver_that_hides_processes(suite: Suite) -> None:
    """The cell goes by an id that is not known here; the device's growth is there all the same."""
    device = a_gpu(SIZE, lambda _pid, held: {9: held})
    soak = measure_soak(ON_GPU, device, 200, target=CLEAN)
    assert "creep_process_kib_per_call" not in soak.values
    assert over(suite, soak, GPU) == {"creep_device_kib_per_call"}


@pytest.mark.parametrize(("unnamed", "others"), [(0, {9: 1}), (1, {-1: None, 9: 1})])
def test_somebody_else_on_the_device(unnamed: int, others: dict[int, int | None]) -> None:
    """Memory that another process takes would look like creep."""
    visible = a_gpu(0, lambda pid, held: {pid: held, **others})
    hidden = a_gpu(0, lambda _pid, held: {8: held, **others})
    for device in (visible, hidden):
        with pytest.raises(InvalidMeasurementError, match="on the device during the soak"):
            measure_soak(ON_GPU, device, 20, unnamed=unnamed, target=CLEAN)


def test_a_slope_that_is_too_vague_is_not_told() -> None:
    """Where malloc does not count and the resident set jumps, no slope is made up."""
    soak = measure_soak(ON_HOST, HostDevice(), 20, target=vague)
    assert set(soak.values) == {"drift_ratio"}
    assert "raise --soak-calls" in (soak.found.not_told or "")
    assert "malloc does not count here" in (soak.found.not_told or "")


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (die, InvalidMeasurementError, "ended with exit code 7 and without a word"),
        (run_out, OutOfMemoryError, "after 3 of 20 calls: out of memory on cuda:0"),
        (stop_early, InvalidMeasurementError, "says that it is through, after 10 of 20 calls"),
    ],
)
def test_what_went_wrong_is_said(
    target: Callable[..., None], kind: type[Exception], message: str
) -> None:
    """A soak that did not get through is none."""
    with pytest.raises(kind, match=rf"soak of made-up in int8: .*{message}"):
        measure_soak(ON_GPU, a_gpu(), 20, target=target)


def test_a_call_that_hangs() -> None:
    """The process is stopped, and the message says why."""
    with pytest.raises(InvalidMeasurementError, match=r"did not end within 0\.2 s"):
        measure_soak(ON_GPU, a_gpu(), 20, target=hang, timeout_s=0.2)


def test_of_many_calls_some_are_kept() -> None:
    """A file holds at most 200 of them, evenly chosen, and goes through JSON as it is."""
    soak = measure_soak(ON_GPU, a_gpu(), 450, target=LEAKING)
    course = soak.found.course
    assert course is not None
    assert len(course.call) == 150 <= MOST_CALLS
    assert {b - a for a, b in zip(course.call, course.call[1:], strict=False)} == {3}
    assert course.call[-1] == 450
    assert soak.values["creep_allocated_kib_per_call"] == 64.0
    assert soak.found.left_out == 113  # of 150 readings the first 37
    assert msgspec.json.decode(msgspec.json.encode(soak.found), type=SoakResult) == soak.found
    broken = msgspec.to_builtins(soak.found)
    broken["course"]["wall_ms"] = broken["course"]["wall_ms"][1:]
    with pytest.raises(msgspec.ValidationError, match="other calls than readings"):
        msgspec.convert(broken, SoakResult)
