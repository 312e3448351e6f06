"""torch.compile in this process: what it has compiled, made to begin from nothing, and its end.

What is compiled belongs to the process and not to a model, so one model at a time is compiled for.
The names are torch's own of 2.6 to 2.13; where a release lacks one, it is refused in one line.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from whisperbench.errors import DeviceError, InvalidMeasurementError, one_line
from whisperbench.results.passes import Compilation

if TYPE_CHECKING:
    from whisperbench.asked.precisions import Precision


MOST_SHAPES = 64
"""Batch sizes that one model is compiled for."""


class Compiled(NamedTuple):
    """What torch.compile has done since it began from nothing."""

    frames: int = 0
    """Python functions that it was given to compile, again where they had to be compiled anew.

    Among them may be one that the garbage collector called within a compiled call."""
    failed: int = 0
    """That it could not compile, and gave up on."""
    graphs: int = 0
    """That it has made of them. None of a function that it could not compile, which then runs as
    it is."""
    seconds: float = 0.0
    """That it took, with what it does in the first calls of a program that it has built: kernels
    are tuned, and CUDA graphs are captured."""
    reasons: tuple[str, ...] = ()
    """Why functions were compiled anew, in its own words."""


def require_compiler(precision: Precision, *, on_host: bool) -> None:
    """Refuse a compiled precision where torch.compile lacks what it builds kernels with.

    Args:
        precision: may be one that is not compiled.
        on_host: whether the device is the host itself, whose kernels are C++. Those of a GPU are
            Triton's, which builds the C code that launches them.

    Raises:
        DeviceError: the compiler, Triton or Python's C headers are absent.
    """
    if not precision.compiled:
        return
    what = f"--precision {precision.name}: torch.compile needs"
    if not on_host and find_spec("triton") is None:
        raise DeviceError(f"{what} the package triton, which is not installed; install it")
    compilers = _compilers(on_host=on_host)
    if not any(map(shutil.which, compilers)):
        raise DeviceError(
            f"{what} a C{'++' * on_host} compiler, and there is no {' or '.join(compilers)}; "
            f"install one, or name it by {'CXX' if on_host else 'CC'}"
        )
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not headers.is_file():
        raise DeviceError(
            f"{what} Python's C headers, and {headers} is absent; install python"
            f"{'.'.join(platform.python_version_tuple()[:2])}-dev or the like"
        )


def _compilers(*, on_host: bool) -> tuple[str, ...]:
    """Return the compilers that torch or Triton looks for."""
    if named := os.environ.get("CXX" if on_host else "CC"):
        return (shlex.split(named)[0],)  # it may have options of its own behind it
    if on_host:
        return ("clang++",) if sys.platform == "darwin" else ("g++",)
    return ("clang", "gcc")


def seen() -> Compiled:
    """Return what was compiled; nothing where torch.compile was never used."""
    utils = sys.modules.get("torch._dynamo.utils")
    if utils is None:
        return Compiled()
    metrics = utils.get_compilation_metrics()
    return Compiled(
        frames=utils.counters["frames"]["total"],
        failed=utils.counters["frames"]["total"] - utils.counters["frames"]["ok"],
        graphs=utils.counters["stats"]["unique_graphs"],
        seconds=sum(map(_seconds_of, metrics)),
        reasons=tuple(
            one_line(reason)
            for each in metrics
            if (reason := getattr(each, "recompile_reason", None))
        ),
    )


_IN_FIRST_CALLS = ("runtime_triton_autotune_time_us", "runtime_cudagraphify_time_us")


def _seconds_of(event: Any) -> float:
    """Return what an event of torch's record took.

    The event of a function that was compiled has the time of all of it, tuning included. One of a
    first call has what was done in that call.
    """
    if getattr(event, "is_runtime", False):
        return 1e-6 * sum(getattr(event, name, None) or 0.0 for name in _IN_FIRST_CALLS)
    return getattr(event, "entire_frame_compile_time_s", None) or 0.0


def compiled_so_far() -> Compilation | None:
    """Return what was compiled as a result has it; None where nothing was."""
    now = seen()
    if not now.frames:
        return None
    return Compilation(
        functions=now.frames,
        graphs=now.graphs,
        seconds=now.seconds,
        compiled_anew=tuple(dict.fromkeys(now.reasons)),
    )


COMPILED_WARM_UPS = 2
"""Calls of what is compiled before it is steady: it is compiled and run once as it is, then
captured as CUDA graphs, and launched as such from then on."""


def compile_for_threads(call: Callable[[], object]) -> None:
    """Call what is compiled until it is steady, for as many threads as torch has now.

    torch.compile has a program for each number of threads of the host.
    """
    for _ in range(COMPILED_WARM_UPS):
        call()


@contextmanager
def nothing_compiled(what: str) -> Iterator[None]:
    """Refuse a block within which torch.compile has compiled.

    Args:
        what: the block, as the subject of a sentence.

    Raises:
        InvalidMeasurementError: it has, so that the block did not measure a steady state.
    """
    before = seen()
    try:
        yield
    except InvalidMeasurementError as error:
        # Of two executions of which one compiles, what they did differs, too.
        if (more := _more_than(before)) is not None:
            raise InvalidMeasurementError(f"{what}: {more}") from error
        raise
    if (more := _more_than(before)) is not None:
        raise InvalidMeasurementError(f"{what}: {more}")


def _more_than(before: Compiled) -> str | None:
    """Say what was compiled since then, and why; None where nothing was."""
    after = seen()
    more = after.graphs - before.graphs + after.failed - before.failed
    if not more:
        return None
    new = after.reasons[len(before.reasons) :]
    return (
        f"torch.compile compiled {more} more of its functions, which a steady state does not: "
        f"{'; '.join(dict.fromkeys(new)) or 'torch.compile gives no reason'}"
    )


@contextmanager
def as_written() -> Iterator[None]:
    """Run what is compiled as it was written, where torch.compile is in use."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


def not_compiled(function: Any) -> Any:
    """Return a function that torch.compile leaves alone; itself where that is not in use."""
    if "torch._dynamo" not in sys.modules:
        return function
    import torch

    disable: Any = torch.compiler.disable  # which torch has no types for
    return disable(function)


class FromNothing:
    """torch.compile with nothing compiled and nothing cached, as in the first process of a machine.

    Its cache on the disk would make the second process of a machine another one than the first, so
    each model has an empty one. What a library changes of the compiler's settings while this holds,
    as torchao does, is taken back with it.
    """

    def __init__(self) -> None:
        import torch
        from torch._dynamo import config as dynamo
        from torch._dynamo import utils
        from torch._inductor import config
        from torch._inductor import utils as inductor

        self._kept = ExitStack()
        for forget in (
            torch.compiler.reset,
            utils.counters.clear,
            utils.clear_compilation_metrics,
        ):
            forget()
            self._kept.callback(forget)
        # A shape makes three events: it is compiled, tuned and captured. By default 64 are kept.
        utils.set_compilation_metrics_limit(3 * MOST_SHAPES)
        self._kept.callback(
            utils.set_compilation_metrics_limit, utils.DEFAULT_COMPILATION_METRICS_LIMIT
        )
        # By default the ninth batch size of a model would run as it is written, without a word.
        self._kept.enter_context(dynamo.patch(recompile_limit=MOST_SHAPES))
        fresh = getattr(inductor, "fresh_cache", None) or inductor.fresh_inductor_cache
        self._kept.enter_context(fresh())
        self._kept.callback(config.load_config, config.save_config())
        self._kept.callback(
            torch.set_float32_matmul_precision, torch.get_float32_matmul_precision()
        )

    def end(self) -> None:
        """Let go of all that was compiled, in memory and on the disk."""
        self._kept.close()
