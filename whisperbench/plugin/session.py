"""Which benchmarks are collected, in which order, and what is made ready before the first."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whisperbench.asked.checkout import BENCHMARKS, ROOT
from whisperbench.asked.clips import Audio, Clip, load_audio
from whisperbench.asked.plan import CheckpointKey, Plan, make_plan, only
from whisperbench.asked.recordings import DataSet, check_clips
from whisperbench.asked.suite import Ceiling, Limit, Tolerance, read_suite
from whisperbench.devices.choosing import (
    key_of,
    open_accelerator,
    open_device,
    profile_of,
    resolve,
)
from whisperbench.devices.device import Device, DeviceFacts
from whisperbench.errors import (
    DeviceError,
    InputError,
    WhisperbenchError,
    printable,
    require_plain,
)
from whisperbench.output import legible
from whisperbench.paths import expanded
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.results.records import Cell

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.whisper.checkpoints import Checkpoint

NATURAL = "natural"

UNASKED = "unasked"
"""Parameter of a benchmark that can say nothing of any checkpoint."""

_OPTIONS = (
    "model",
    "precision",
    "clip",
    "data",
    "batch-size",
    "attention",
    "tokens",
    "rounds",
    "language",
)

_CELL = ("loaded_model", "fresh_checkpoint", "decoding", "audio", "batch_size")
"""Parameters of a benchmark that say which cell it measures."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What every benchmark of the run needs, checked before the first one starts."""

    plan: Plan
    ceilings: tuple[Ceiling, ...]
    """All of suite.toml's."""
    limits: tuple[Limit, ...]
    """Likewise."""
    device: Device
    """Its readings."""
    accelerator: Accelerator
    """What executes on it."""
    facts: DeviceFacts
    device_key: str
    audio: dict[str, Audio]
    """By clip name."""
    data: DataSet | None
    """The clips that are heard for their words, where that is asked for and any has a text."""
    checkpoints: dict[str, Checkpoint]
    """By model name."""
    remarks: tuple[str, ...]
    """What is odd about checkpoints and audio that are usable all the same, in sentences."""


PLAN = pytest.StashKey[Plan]()
LIMITS = pytest.StashKey[tuple[Limit, ...]]()
CEILINGS = pytest.StashKey[tuple[Ceiling, ...]]()
TOLERANCES = pytest.StashKey[Sequence[Tolerance]]()
PREPARED = pytest.StashKey[Prepared]()
HEARD = pytest.StashKey[dict[Cell, list[bytes]]]()
"""Lines of the file that says clip by clip what was heard; of a benchmark that is run again, those
of the last time."""


@contextmanager
def usage_errors() -> Iterator[None]:
    """Let pytest print an error of ours as one line, and exit with its usage code 4."""
    try:
        yield
    except WhisperbenchError as error:
        raise pytest.UsageError(printable(error)) from None


def value_of(config: pytest.Config, name: str) -> str | None:
    """Return the value of an option of ours that takes one; None where it was not given."""
    with usage_errors():
        return only(f"--{name}", config.getoption(f"--{name}"))


def path_from(config: pytest.Config, text: str) -> Path:
    """Read a path of the command line, from where the command was given."""
    return config.invocation_params.dir / expanded(text)


def is_benchmark(item: pytest.Item) -> bool:
    """Whether an item is one of the suite's benchmarks, not one of its own tests."""
    return item.path.resolve().is_relative_to(BENCHMARKS)


def uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Let output through to the terminal."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture is not None else nullcontext()


def announcer(config: pytest.Config) -> Callable[[str], None]:
    """Return a function that writes a line to the terminal, whatever pytest captures."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")

    def announce(line: str) -> None:
        if reporter is not None:
            with uncaptured(config):
                reporter.ensure_newline()
                reporter.write_line(legible(line))
                reporter.flush()

    return announce


def show_progress(config: pytest.Config, what: str) -> Callable[[Sequence[Clip]], Iterator[Clip]]:
    """Return a function that passes clips on, with a progress bar where a terminal shows it."""

    def passed_on(clips: Sequence[Clip]) -> Iterator[Clip]:
        from rich.console import Console
        from rich.progress import track

        with uncaptured(config):
            console = Console()
        if not console.is_terminal:
            yield from clips
            return
        with uncaptured(config):
            yield from track(clips, what, console=console, transient=True)

    return passed_on


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Plan the run where benchmarks are asked for; refuse what would pass without measuring."""
    config = session.config
    if not _asks_for_benchmarks(config):
        return
    _refuse_silent_passes(config)
    options = {name: config.getoption(f"--{name}") for name in _OPTIONS}
    device = value_of(config, "device") or "auto"
    with usage_errors():
        # Libraries that are not Python's are told where checkpoints lie.
        require_plain(str(ROOT), "the checkout")
        require_plain(str(cache_folder()), f"the cache, which {CACHE_VARIABLE} moves")
        suite = read_suite()
        device = resolve(device)
        config.stash[PLAN] = make_plan(suite, device, options, profile_of(device))
    config.stash[CEILINGS] = suite.ceiling
    config.stash[LIMITS] = suite.limit
    config.stash[TOLERANCES] = suite.tolerance


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what the run will measure."""
    plan = config.stash.get(PLAN, None)
    if plan is None:
        return None
    timed = ", ".join(key_id for key_id in plan.checkpoints if key_id in plan.timed)
    line = f"whisperbench: on {plan.device}: {timed}; clips {', '.join(plan.clips)}"
    if plan.listening == plan.timed:
        return line
    listening = ", ".join(key_id for key_id in plan.checkpoints if key_id in plan.listening)
    return f"{line}; for words {listening}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Span the plan's matrix: checkpoint and decoding, clip, batch size.

    Parameters are plain names, so that result files hold no object and no path.
    """
    plan = metafunc.config.stash.get(PLAN, None)
    if plan is None or not is_benchmark(metafunc.definition):
        return
    names = metafunc.fixturenames
    for fixture in ("loaded_model", "fresh_checkpoint"):
        if fixture not in names:
            continue
        asked = [key_id for key_id, key in plan.checkpoints.items() if _is_asked(names, plan, key)]
        if "decoding" in names:
            fixed = f"fixed{plan.profile.tokens}"
            pairs = [
                (key_id, decoding)
                for key_id in asked
                for decoding in (
                    (NATURAL, fixed) if plan.checkpoints[key_id].model.trained else (fixed,)
                )
            ]
            metafunc.parametrize((fixture, "decoding"), pairs, indirect=[fixture], scope="session")
        else:
            chosen = asked or [UNASKED]
            metafunc.parametrize(fixture, chosen, indirect=True, scope="session")
    if "audio" in names:
        metafunc.parametrize("audio", list(plan.clips), indirect=True, scope="session")
    if "batch_size" in names:
        sizes = plan.profile.batch_sizes
        metafunc.parametrize("batch_size", sizes, ids=[f"b{size}" for size in sizes])


def _is_asked(fixturenames: Sequence[str], plan: Plan, key: CheckpointKey) -> bool:
    """Whether a benchmark can say something of a checkpoint.

    Random weights hear nothing, nor can be said how well where no text is written down; 32-bit
    floats do not differ from themselves, nor can weights that were saved quantized be had in them;
    and what is there for its words alone is not timed.
    """
    if "quality_of_cell" in fixturenames:
        return key.id in plan.listening and key.model.trained and bool(plan.heard)
    if "numerics_of_cell" in fixturenames:
        return key.precision.name != "fp32" and not key.precision.as_saved
    return key.id in plan.timed


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Leave out a benchmark that can say nothing of any checkpoint of the plan."""
    made = yield
    return [item for item in made if not _is_unasked(item)] if isinstance(made, list) else made


def _params(item: pytest.Item | pytest.Collector) -> dict[str, object]:
    """Return the parameters of a test; none of what has none."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec is not None else {}


def _checkpoint_of(item: pytest.Item) -> str:
    """Return the id of the checkpoint that an item is about; empty where it is about none."""
    params = _params(item)
    return str(params.get("fresh_checkpoint") or params.get("loaded_model") or "")


def _is_unasked(item: pytest.Item | pytest.Collector) -> bool:
    return _params(item).get("loaded_model") == UNASKED


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the benchmarks so that no checkpoint is loaded twice.

    Fresh processes come first, while no model is resident beside them; of these memory comes
    before all, while this process has no context on the device, and there the precisions that
    others are compared with.
    """
    plan = config.stash.get(PLAN, None)
    if plan is None:
        return
    bases = {ceiling.of for ceiling in config.stash[CEILINGS]}
    place = {key_id: position for position, key_id in enumerate(plan.checkpoints)}

    def rank(item: pytest.Item) -> tuple[bool, bool, bool, int]:
        params = _params(item)
        fixtures = getattr(item, "fixturenames", ())
        key_id = _checkpoint_of(item)
        key = plan.checkpoints.get(key_id)
        return (
            "fresh_checkpoint" not in params,
            "memory_of_cell" not in fixtures,
            "memory_of_cell" in fixtures and key is not None and key.precision.name not in bases,
            place.get(key_id, -1),
        )

    items.sort(key=rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Make everything ready before the first benchmark, so that a fault costs no measuring time."""
    config = session.config
    plan = config.stash.get(PLAN, None)
    wanted = any(is_benchmark(item) for item in session.items)
    if plan is None or not wanted or config.option.collectonly or session.testsfailed:
        return
    _require_cells_once(session.items)
    from whisperbench.whisper.checkpoints import require_measurable, resolve_checkpoint

    announce = announcer(config)
    with usage_errors():
        device = open_device(plan.device)
        facts = device.facts()
        _require_runnable(plan, facts)
        audio = {name: load_audio(clip) for name, clip in plan.clips.items()}
        data = None
        hears = any("data_set" in getattr(item, "fixturenames", ()) for item in session.items)
        if config.getoption("--data") and not hears:
            raise pytest.UsageError(
                "--data: no benchmark here hears it: pytest benchmarks/test_quality.py, with a "
                "trained --model"
            )
        if hears:
            data = check_clips(plan.heard_name, plan.heard, show_progress(config, "reading clips"))
        # Of what is deselected, a checkpoint that is not there spoils nothing.
        used = {_checkpoint_of(item) for item in session.items}
        models = dict.fromkeys(
            key.model for key_id, key in plan.checkpoints.items() if key_id in used
        )
        # A download shows its own progress.
        with uncaptured(config):
            checkpoints = {
                model.name: resolve_checkpoint(
                    model, announce, allow_unused=config.getoption("--allow-unused")
                )
                for model in models
            }
        for name, checkpoint in checkpoints.items():
            require_plain(str(checkpoint.folder), f"--model {name}")
        for key_id in plan.checkpoints.keys() & used:
            key = plan.checkpoints[key_id]
            require_measurable(checkpoints[key.model.name], key.precision, facts)
        _require_known_languages(plan, checkpoints)
    remarks = [
        *(remark for checkpoint in checkpoints.values() for remark in checkpoint.remarks),
        *(remark for clip in audio.values() for remark in clip.remarks),
        *(data.remarks if data is not None else ()),
    ]
    for remark in dict.fromkeys(remarks):
        announce(remark)
    config.stash[PREPARED] = Prepared(
        plan=plan,
        ceilings=config.stash[CEILINGS],
        limits=config.stash[LIMITS],
        device=device,
        accelerator=open_accelerator(plan.device),
        facts=facts,
        device_key=key_of(facts),
        audio=audio,
        data=data,
        checkpoints=checkpoints,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _require_known_languages(plan: Plan, checkpoints: Mapping[str, Checkpoint]) -> None:
    """Refuse clips in a language that a model does not know, before any is loaded."""
    from whisperbench.whisper.languages import require_languages

    for key_id, key in plan.checkpoints.items():
        checkpoint = checkpoints.get(key.model.name)
        if checkpoint is None or checkpoint.blueprint is None:
            continue
        clips = dict(plan.clips) if key_id in plan.timed else {}
        if key_id in plan.listening and key.model.trained:
            clips |= {clip.name: clip for clip in plan.heard}
        known = checkpoint.blueprint.tokens.known_languages
        require_languages(key.model.name, known, list(clips.values()))


def _require_cells_once(items: Sequence[pytest.Item]) -> None:
    """Refuse to measure a cell twice: no two figures of one run answer the same question.

    pytest-repeat and its kin multiply tests by a parameter of their own, and a path that is given
    twice brings its tests twice.
    """
    cells = Counter(_cell_of(item) for item in items if is_benchmark(item))
    for (path, function, cell), times in cells.items():
        if times > 1:
            raise pytest.UsageError(
                f"{path.name}::{function}[{cell}] would be measured {times} times in one run: drop "
                "--count, --flake-finder, --keep-duplicates, or what else repeats tests (look at "
                "addopts too); to measure again, start another run"
            )


def _cell_of(item: pytest.Item) -> tuple[Path, str, str]:
    """Return a benchmark's file, its function, and its cell, whatever else it is told apart by."""
    params = _params(item)
    cell = "-".join(str(params[name]) for name in _CELL if name in params)
    return item.path.resolve(), str(getattr(item, "originalname", item.name)), cell


def _asks_for_benchmarks(config: pytest.Config) -> bool:
    """Whether a path on the command line is the benchmarks, lies in them or holds them."""
    here = config.invocation_params.dir
    paths = [(here / str(arg).partition("::")[0]).resolve() for arg in config.args]
    return any(path.is_relative_to(BENCHMARKS) or BENCHMARKS.is_relative_to(path) for path in paths)


def _refuse_silent_passes(config: pytest.Config) -> None:
    """Refuse settings under which pytest-benchmark runs everything and measures nothing."""
    if config.option.collectonly:
        return
    if not config.pluginmanager.has_plugin("benchmark"):
        raise pytest.UsageError("pytest-benchmark is switched off: drop -p no:benchmark")
    if config.getoption("dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ:
        raise pytest.UsageError(
            "pytest-benchmark switches itself off under pytest-xdist: drop -n, or unset "
            "PYTEST_XDIST_WORKER"
        )
    if config.getoption("forked", False):
        raise pytest.UsageError(
            "pytest-forked throws away what was measured in its processes: drop --forked"
        )
    for option in ("disable", "skip"):
        forced = option == "disable" and config.getoption("benchmark_enable")
        if config.getoption(f"benchmark_{option}") and not forced:
            raise pytest.UsageError(
                f"--benchmark-{option} is set (look at addopts too): nothing would be measured"
            )


def _require_runnable(plan: Plan, facts: DeviceFacts) -> None:
    """Refuse what the device cannot run: an error with the reason, never a skip."""
    from whisperbench.whisper.loading import require_attention

    for key in plan.checkpoints.values():
        reason = key.precision.why_not(facts.compute_capability)
        if reason is not None:
            raise DeviceError(
                f"--precision {key.precision.name} on {facts.name}: {reason}; name others with "
                "--precision"
            )
        require_attention(key, facts.compute_capability)


@pytest.fixture(scope="session")
def prepared(pytestconfig: pytest.Config) -> Prepared:
    """Device facts, decoded clips and checkpoint folders of the run."""
    if PREPARED not in pytestconfig.stash:
        raise InputError("benchmarks run by path: pytest benchmarks/, from the checkout")
    return pytestconfig.stash[PREPARED]


@pytest.fixture(scope="session")
def plan(prepared: Prepared) -> Plan:
    """What this run measures."""
    return prepared.plan


def fixed_tokens(decoding: str) -> int | None:
    """Read a `decoding` parameter: a token count, or None for natural length."""
    return None if decoding == NATURAL else int(decoding.removeprefix("fixed"))
