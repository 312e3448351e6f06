"""Executions under torch's profiler: marked by stage and module, and held against each other."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.cost.encoder_hooks import around_encoder
from whisperbench.measure.cost.trace import (
    KERNEL_LAUNCHES,
    MODULE,
    STAGE,
    ProfilerError,
    StageTally,
    Tally,
    read_trace,
)
from whisperbench.results.metric_row import STAGES
from whisperbench.whisper.compiling import not_compiled

if TYPE_CHECKING:
    import torch

    from whisperbench.devices.accelerator import Accelerator


def profile_once(
    execute: Callable[[], object],
    model: torch.nn.Module,
    encoder: torch.nn.Module,
    accelerator: Accelerator,
) -> Tally:
    """Profile an execution, with its stages and the model's modules marked.

    Raises:
        ProfilerError: the profiler itself failed, or its profile is too long to be read. What the
            execution raises comes as it is.
    """
    profiler = run_profiled(execute, model, encoder, accelerator)
    with _as_profilers(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return read_trace(path, accelerator.profiler_device_type)


def run_profiled(
    execute: Callable[[], object],
    model: torch.nn.Module,
    encoder: torch.nn.Module,
    accelerator: Accelerator,
) -> torch.profiler.profile:
    """Execute under the profiler. Its first time in a process warms it up, and what it hooks into.

    Raises:
        ProfilerError: as `profile_once`.
    """
    from torch.profiler import profile, record_function

    activities = accelerator.profiler_activities()
    with _as_profilers():
        profiler = profile(activities=activities, profile_memory=accelerator.profiles_memory)
        profiler.start()
    try:
        with _marked(model, encoder), record_function(f"{STAGE}decode"):
            execute()
        accelerator.synchronize()  # outside of the stage: the wait is ours
    except BaseException:
        with suppress(RuntimeError):  # what the execution raised must come through
            profiler.stop()
        raise
    with _as_profilers():
        profiler.stop()
    return profiler


@contextmanager
def _as_profilers() -> Iterator[None]:
    """Tell the profiler's own faults from those of what it profiles, full disk and RAM included."""
    try:
        yield
    except (RuntimeError, AssertionError, OSError, MemoryError) as error:
        raise ProfilerError(str(error) or type(error).__name__) from error


@contextmanager
def _marked(model: torch.nn.Module, encoder: torch.nn.Module) -> Iterator[None]:
    """Annotate the encoder as a stage, and every module's forward pass by its class."""
    from torch.profiler import record_function

    open_ranges: list[Any] = []

    def enter(name: str) -> None:
        opened: Any = record_function(name)
        opened.__enter__()
        open_ranges.append(opened)

    def leave(*_: Any) -> None:
        open_ranges.pop().__exit__(None, None, None)

    def enter_module(module: torch.nn.Module, _: Any) -> None:
        enter(MODULE + type(module).__name__)

    # torch.compile does not call a module's hooks from what it has compiled, and would compile
    # those of the module that it was given. For hooks of all modules torch 2.11 compiles anew.
    before, after = not_compiled(enter_module), not_compiled(leave)
    hooks = [
        hook
        for module in model.modules()
        for hook in (
            module.register_forward_pre_hook(before),
            module.register_forward_hook(after),
        )
    ]
    try:
        with around_encoder(encoder, lambda: enter(f"{STAGE}encoder"), leave):
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for opened in reversed(open_ranges):
            with suppress(Exception):
                opened.__exit__(None, None, None)


def saw_the_gpu(tallies: list[Tally]) -> bool:
    """Say whether CUPTI told of the GPU at all.

    Raises:
        InvalidMeasurementError: it told of a part of what was launched.
    """
    if not any(stage.counts["kernels"] for tally in tallies for stage in tally.stages.values()):
        return False
    lost = max((tally.lost for tally in tallies), key=Counter.total)
    # A copy of no bytes has no record, in each execution alike.
    alike = all(tally.lost == lost for tally in tallies)
    if not alike or any(name.startswith(KERNEL_LAUNCHES) for name in lost):
        names = ", ".join(f"{count} by {name}" for name, count in sorted(lost.items()))
        raise InvalidMeasurementError(
            f"the profile lacks GPU work that was launched ({names}): CUPTI ran out of buffers; "
            "lower cost_tokens in benchmarks/suite.toml"
        )
    return True


def require_equal(tallies: list[Tally]) -> None:
    """Refuse executions that did not do the same, in number or in kind.

    Raises:
        InvalidMeasurementError: with the stage, and what differed most.
    """
    for tally in tallies:
        if set(tally.stages) != set(STAGES):
            raise InvalidMeasurementError(
                f"the profile holds the stages {', '.join(tally.stages) or 'none'} and not "
                f"{', '.join(STAGES)}: this torch does not record annotations"
            )
    first = tallies[0]
    for other in tallies[1:]:
        for stage in STAGES:
            one, two = first.stages[stage], other.stages[stage]
            kinds = [_by_kind(one), _by_kind(two)]
            if one.counts == two.counts and kinds[0] == kinds[1]:
                continue
            names = sorted(one.counts.keys() | two.counts.keys())
            differing = [
                *(
                    f"{name} {one.counts[name]} and {two.counts[name]}"
                    for name in names
                    if one.counts[name] != two.counts[name]
                ),
                *differences(*kinds),
            ]
            raise InvalidMeasurementError(
                f"two executions of the {stage} stage did not cost the same: {'; '.join(differing)}"
            )


def _by_kind(tally: StageTally) -> Counter[str]:
    """Count a stage's parts, wherever they came from: a clock may put one just beside its op."""
    found: Counter[str] = Counter()
    for (kind, name, *_), (count, _) in tally.parts.items():
        found[f"{kind} {name}".rstrip()] += int(count)
    return found


def differences(one: Counter[str], two: Counter[str]) -> list[str]:
    """Name the three things whose counts differ most."""
    changes = {name: two[name] - one[name] for name in one | two if two[name] != one[name]}
    most = sorted(changes.items(), key=lambda item: (-abs(item[1]), item[0]))[:3]
    return [f"{change:+} {name}" for name, change in most]
