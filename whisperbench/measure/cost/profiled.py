"""What profiled executions of a cell have counted, by the names of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whisperbench.errors import one_line
from whisperbench.measure.cost.profiling import (
    profile_once,
    require_equal,
    run_profiled,
    saw_the_gpu,
)
from whisperbench.measure.cost.trace import ProfilerError, Tally
from whisperbench.measure.threads import at_most_threads
from whisperbench.results.metric_row import Stage
from whisperbench.results.metrics import Value, made_by, of_stage
from whisperbench.results.passes import Part
from whisperbench.units import mib
from whisperbench.whisper.quiet import quiet_profiler

if TYPE_CHECKING:
    import torch

    from whisperbench.devices.accelerator import Accelerator

PROFILES = 3
HOST_PROFILES = 2
"""Profiled executions that are held against each other, after one that is not read. A GPU's
time is their median."""

CUPTI_SAID: list[str] = []
"""Why CUPTI does not work in this process. It says so once, and not for each cell."""


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """Executions under the profiler, which were the same."""

    tallies: list[Tally]
    on_gpu: bool
    """Whether the profiler saw the GPU's side."""
    counts_blocks: bool
    """Whether it counted the allocator's blocks: on a CPU, whose allocator is one of the things
    profiled."""
    missing: list[str]
    """What could not be counted, and why."""

    @property
    def middle(self) -> Tally | None:
        """The one whose GPU time is in the middle: the parts and times are its."""
        by_time = sorted(
            self.tallies, key=lambda tally: sum(each.gpu_time_us for each in tally.stages.values())
        )
        return by_time[len(by_time) // 2] if by_time else None

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the counts are made of."""
        return tuple(self.middle.rows()) if self.middle is not None else ()

    @property
    def copies_of_no_bytes(self) -> int | None:
        """Copies that the profiler names and that moved nothing."""
        return self.tallies[0].lost.total() or None if self.on_gpu else None

    def gpu_busy_ms(self, stage: Stage) -> float | None:
        """Return how long the GPU worked in a stage; None where nobody saw it."""
        middle = self.middle
        return middle.stages[stage].gpu_busy_us / 1e3 if self.on_gpu and middle else None

    def values(self, stage: Stage) -> dict[str, Value]:
        """Return what was counted of a stage, by the names of its metrics."""
        if not self.tallies:
            return {}
        counts = self.tallies[0].stages[stage].counts
        found: dict[str, Value] = {
            row.name: counts[row.count]
            for row in made_by("cost")
            if row.stage == stage
            and row.kind == "exact"
            and row.made_of is not None
            and row.made_of.kind in (_ON_GPU if self.on_gpu else _ON_HOST)
            and (row.count in counts or not row.only_if_seen)
        }
        if self.counts_blocks:
            found |= of_allocator(stage, counts["allocations"], counts["peak_bytes"])
        if self.on_gpu:
            times_ms = [tally.stages[stage].gpu_time_us / 1e3 for tally in self.tallies]
            found |= of_stage(stage, {"gpu_time_ms": times_ms})
        return found


_ON_HOST = ("op",)
_ON_GPU = (*_ON_HOST, "kernel", "memset", "copy", "sync", "graph")
"""Kinds of parts that a profile counts."""


def profiled(
    execute: Callable[[], object],
    warm_up: Callable[[], object],
    model: torch.nn.Module,
    encoder: torch.nn.Module,
    accelerator: Accelerator,
) -> Profiled:
    """Profile a few executions after one that is not read, and hold them against each other."""
    on_host = accelerator.on_host
    tallies: list[Tally] = []
    said: list[str] = []
    missing: list[str] = []
    try:
        # Some of torch's ops call as many others as there are threads.
        with at_most_threads(1), quiet_profiler() as said:
            run_profiled(warm_up, model, encoder, accelerator)
            profiles = HOST_PROFILES if on_host else PROFILES
            tallies = [profile_once(execute, model, encoder, accelerator) for _ in range(profiles)]
    except ProfilerError as error:
        missing.append(f"torch.profiler does not work here: {one_line(error)}")
    on_gpu = bool(tallies) and not on_host and saw_the_gpu(tallies)
    if tallies:
        require_equal(tallies)
    if tallies and not (on_host or on_gpu):
        CUPTI_SAID.extend(line for line in said if "CUPTI" in line.upper())
        missing.append(
            "kernels, copies, waits and GPU time: CUPTI told nothing of the GPU "
            f"({'; '.join(CUPTI_SAID[:2]) or 'and gave no reason'}). Another profiler may hold "
            "it, or the container may lack the right to it; the other counts are complete"
        )
    return Profiled(
        tallies=tallies, on_gpu=on_gpu, counts_blocks=accelerator.profiles_memory, missing=missing
    )


def of_allocator(stage: Stage, requests: int, peak_bytes: int) -> dict[str, Value]:
    """Return what a stage asked of an allocator, by the names of its metrics."""
    return of_stage(stage, {"allocations": requests, "allocated_peak_mib": mib(peak_bytes)})
