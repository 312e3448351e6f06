"""A profiler's trace, read: what ran in each stage, and under which op and module.

The format is that of Chrome's trace viewer, as `torch.profiler.profile.export_chrome_trace` writes
it. What the host did nests by time on its thread; what the GPU did belongs to the runtime call of
the same correlation id, and so to the op and module that made the call, whenever it ran.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from whisperbench.errors import InvalidMeasurementError, one_line
from whisperbench.measure.cost.kernel_names import short_name
from whisperbench.results.metric_row import COPY_DIRECTIONS, STAGES
from whisperbench.results.passes import Part, PartKind

STAGE = "whisperbench stage "
"""Begins the name of an annotation that a stage runs in. The innermost one counts."""

MODULE = "whisperbench module "
"""Begins the name of an annotation that a module's forward pass runs in; its class follows."""

MAX_BYTES = 2**28
"""A longer trace is refused rather than read: reading takes several times its size. That of three
tokens of large-v3 in int8 takes 43 MiB."""


class ProfilerError(Exception):
    """torch's profiler does not work here, or what it wrote is too long to be read."""


SYNCHRONISATIONS = {
    "cudaStreamSynchronize": "stream_syncs",
    "cudaDeviceSynchronize": "device_syncs",
    "cudaEventSynchronize": "event_syncs",
}
"""Runtime calls that wait for the GPU, and what they are counted as. Of the driver's calls the
profiler keeps the launches alone."""

_CAPTURE_BEGINS = "cudaStreamBeginCapture"
_CAPTURE_ENDS = ("cudaStreamEndCapture", "cudaGraphInstantiate", "cudaGraphLaunch")
"""Between them what a thread launches is kept in a graph, and does nothing yet."""

GRAPHS = {"cudaGraphLaunch": "graph_launches", _CAPTURE_BEGINS: "graph_captures"}
"""How runtime calls begin that launch a captured graph, or capture one, and what they count as. A
graph's kernels, copies and memsets have the correlation id of its launch."""

KERNEL_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchCooperativeKernel")
_LAUNCHES = (*KERNEL_LAUNCHES, "cudaMemcpy", "cudaMemset", "cudaGraphLaunch")
"""How calls begin that give the GPU something to do."""


class _Args(msgspec.Struct, frozen=True, gc=False):
    correlation: int | None = None
    moved_bytes: int = msgspec.field(default=0, name="bytes")
    allocated_bytes: int = msgspec.field(default=0, name="Bytes")
    device_type: int = msgspec.field(default=-1, name="Device Type")


class _Event(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    cat: str = ""
    ts: float = 0.0
    dur: float = 0.0
    tid: int | str = 0
    args: _Args = _Args()


class _File(msgspec.Struct, frozen=True):
    events: list[_Event] = msgspec.field(name="traceEvents")


@dataclass(kw_only=True)
class StageTally:
    """What one stage did."""

    counts: Counter[str] = field(default_factory=Counter)
    """By metric name. A name that is absent was not seen."""
    gpu_time_us: float = 0.0
    """Summed over its kernels."""
    gpu_busy_us: float = 0.0
    """Summed over its kernels, copies and memsets."""
    parts: dict[_PartKey, list[float]] = field(default_factory=dict)
    """Count and microseconds by kind, name, op and module."""

    def add(self, part: _PartKey, time_us: float = 0.0) -> None:
        """Count one more of a part."""
        row = self.parts.setdefault(part, [0.0, 0.0])
        row[0] += 1
        row[1] += time_us


_PartKey = tuple[PartKind, str, str, str]


@dataclass(kw_only=True)
class Tally:
    """What a trace holds, stage by stage."""

    stages: dict[str, StageTally] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    """Work for the GPU that the profiler has no record of, by the call that launched it."""

    def rows(self) -> Iterator[Part]:
        """Yield its parts, the most frequent of each stage first."""
        for stage in STAGES:
            tally = self.stages.get(stage, StageTally())
            for (kind, name, op, module), (count, time_us) in sorted(
                tally.parts.items(), key=lambda item: (-item[1][0], item[0])
            ):
                yield Part(
                    kind=kind,
                    name=name,
                    op=op,
                    module=module,
                    stage=stage,
                    count=int(count),
                    time_us=round(time_us, 3),
                )


@dataclass(frozen=True)
class _Place:
    """Where on the host something was called from."""

    end: float
    stage: str
    module: str
    op: str


def read_trace(path: Path, device_type: int) -> Tally:
    """Read a trace.

    Args:
        path: what `export_chrome_trace` wrote.
        device_type: torch's number of the type of device whose allocations are counted.

    Raises:
        ProfilerError: it is too long to be read.
        InvalidMeasurementError: it is not such a trace.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ProfilerError(
            f"its profile takes {size / 2**20:.0f} MiB, over {MAX_BYTES // 2**20}: lower "
            "cost_tokens in benchmarks/suite.toml"
        )
    try:
        events = msgspec.json.decode(path.read_bytes(), type=_File).events
    except msgspec.DecodeError as error:
        raise InvalidMeasurementError(
            f"this torch's profile cannot be read: {one_line(error)}"
        ) from error
    return tally(events, device_type)


def tally(events: Iterable[_Event], device_type: int) -> Tally:
    """Count what a trace's events say.

    Args:
        events: in any order.
        device_type: torch's number of the kind of device whose allocations count.
    """
    on_host: dict[int | str, list[_Event]] = {}
    on_gpu: list[_Event] = []
    stages: list[_Event] = []
    for event in events:
        if event.cat in ("kernel", "gpu_memcpy", "gpu_memset"):
            on_gpu.append(event)
        elif event.cat == "user_annotation" and event.name.startswith(STAGE):
            stages.append(event)
        elif event.cat in _HOST_CATEGORIES:
            on_host.setdefault(event.tid, []).append(event)
    found = Tally(stages={stage.name.removeprefix(STAGE): StageTally() for stage in stages})
    outermost = max(stages, key=lambda stage: stage.dur).name.removeprefix(STAGE) if stages else ""
    # A GPU's work whose call has no record belongs to the whole, for nothing else runs meanwhile.
    unknown = _Place(end=0.0, stage=outermost, module="", op="")
    places: dict[int, _Place] = {}
    launches: dict[int, str] = {}
    held = 0
    starts: dict[str, int] = {}
    for thread in on_host.values():
        captures = False
        for event, place in _nested([*stages, *thread]):
            if event.args.correlation is not None:
                places[event.args.correlation] = place
            if not place.stage:
                continue
            stage = found.stages[place.stage]
            if event.cat == "cpu_op":
                _count_op(stage, event.name, place)
            elif event.cat in ("cuda_runtime", "cuda_driver"):
                captures = event.name.startswith(_CAPTURE_BEGINS) or (
                    captures and not event.name.startswith(_CAPTURE_ENDS)
                )
                correlation = event.args.correlation
                launch = event.name.startswith(_LAUNCHES) and not captures
                if launch and correlation is not None:
                    launches[correlation] = event.name
                _count_call(stage, event.name, place)
            elif event.name == "[memory]" and event.args.device_type == device_type:
                start = starts.setdefault(place.stage, held)
                held += event.args.allocated_bytes
                if event.args.allocated_bytes > 0:
                    stage.counts["allocations"] += 1
                    stage.add(("allocation", "", place.op, place.module))
                peak = max(stage.counts["peak_bytes"], held - start)
                stage.counts["peak_bytes"] = peak
    for event in on_gpu:
        correlation = event.args.correlation
        place = unknown if correlation is None else places.get(correlation, unknown)
        if place.stage:  # not of before or after the stages
            launches.pop(correlation or 0, None)
            _count_on_gpu(found.stages[place.stage], event, place)
    found.lost.update(launches.values())
    return found


_ANNOTATING = "profiler::"
"""Begins the names of the ops that our own annotations are made with."""

_HOST_CATEGORIES = ("cpu_op", "user_annotation", "cuda_runtime", "cuda_driver", "cpu_instant_event")


def _nested(events: Iterable[_Event]) -> Iterator[tuple[_Event, _Place]]:
    """Go through a thread's events in time; yield each with the place that it was called from."""
    outside = _Place(end=float("inf"), stage="", module="", op="")
    stack = [outside]
    for event in sorted(events, key=lambda event: (event.ts, -event.dur)):
        while stack[-1].end <= event.ts and len(stack) > 1:
            stack.pop()
        place = stack[-1]
        yield event, place
        if event.cat == "cpu_instant_event":
            continue
        stage, module, op = place.stage, place.module, place.op
        if event.cat == "cpu_op" and not event.name.startswith(_ANNOTATING):
            op = event.name
        elif event.name.startswith(STAGE):
            stage = event.name.removeprefix(STAGE)
        elif event.name.startswith(MODULE):
            module = event.name.removeprefix(MODULE)
        stack.append(_Place(end=event.ts + event.dur, stage=stage, module=module, op=op))


def _count_op(stage: StageTally, name: str, place: _Place) -> None:
    if name.startswith(_ANNOTATING):
        return
    library = name.partition("::")[0]
    stage.counts["aten_ops" if library == "aten" else "other_ops"] += 1
    stage.add(("op", name, place.op, place.module))


def _count_call(stage: StageTally, name: str, place: _Place) -> None:
    if name in SYNCHRONISATIONS:
        stage.counts[SYNCHRONISATIONS[name]] += 1
        stage.add(("sync", name, place.op, place.module))
    elif name.startswith(tuple(GRAPHS)):
        for count in GRAPHS.values():
            stage.counts[count] += name.startswith(_BEGINS[count])  # 0 of the other is a count, too
        stage.add(("graph", name, place.op, place.module))


_BEGINS = {count: begins for begins, count in GRAPHS.items()}


def _count_on_gpu(stage: StageTally, event: _Event, place: _Place) -> None:
    stage.gpu_busy_us += event.dur
    if event.cat == "kernel":
        stage.counts["kernels"] += 1
        stage.gpu_time_us += event.dur
        stage.add(("kernel", short_name(event.name), place.op, place.module), event.dur)
    elif event.cat == "gpu_memcpy":
        # As in "Memcpy HtoD (Pageable -> Device)".
        direction = event.name.removeprefix("Memcpy ").partition(" ")[0].lower()
        if direction not in COPY_DIRECTIONS:
            direction = "other"
        stage.counts[f"copies_{direction}"] += 1
        stage.counts[f"copy_bytes_{direction}"] += event.args.moved_bytes
        stage.add(("copy", direction, place.op, place.module), event.dur)
    else:
        stage.counts["memsets"] += 1
        stage.add(("memset", "", place.op, place.module), event.dur)
