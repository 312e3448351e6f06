"""Which benchmarks are collected, each for which cells, and in which order they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whisperbench.plugin.needs import (
    BOTH_LENGTHS,
    DURATIONS,
    EARLY_ANSWER,
    FRESH_PROCESS,
    IDLE_DEVICE,
    OTHER_PRECISION,
    WORDS,
    needs_of,
)
from whisperbench.plugin.parts import part
from whisperbench.plugin.session import is_benchmark, session_of

if TYPE_CHECKING:
    from whisperbench.asked.plan import CheckpointKey, Plan

NATURAL = "natural"

UNASKED = "unasked"
"""Parameter of a benchmark that can say nothing of any checkpoint."""

_CELL = ("loaded_model", "fresh_checkpoint", "decoding", "audio", "batch_size")
"""Parameters of a benchmark that say which cell it measures."""


def fixed_tokens(decoding: str) -> int | None:
    """Read a `decoding` parameter: a token count, or None for natural length."""
    return None if decoding == NATURAL else int(decoding.removeprefix("fixed"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Span the plan's matrix: checkpoint and decoding, clip, batch size.

    Parameters are plain names, so that result files hold no object and no path.
    """
    session = session_of(metafunc.config)
    if session is None or not is_benchmark(metafunc.definition):
        return
    plan, names = session.plan, metafunc.fixturenames
    needs = needs_of(metafunc.definition)
    checkpoint, other = "loaded_model", "fresh_checkpoint"
    if FRESH_PROCESS in needs:
        checkpoint, other = other, checkpoint
    if other in names or checkpoint not in names:
        raise pytest.Collector.CollectError(
            f'{metafunc.definition.name}: @pytest.mark.needs("{FRESH_PROCESS}") is for benchmarks '
            "that take fresh_checkpoint, and for those alone; the others take loaded_model"
        )
    if (BOTH_LENGTHS in needs) != ("decoding" in names):
        raise pytest.Collector.CollectError(
            f'{metafunc.definition.name}: @pytest.mark.needs("{BOTH_LENGTHS}") is for benchmarks '
            "that take decoding, and for those alone"
        )
    if IDLE_DEVICE in needs and FRESH_PROCESS not in needs:
        raise pytest.Collector.CollectError(
            f'{metafunc.definition.name}: "{IDLE_DEVICE}" is what "{FRESH_PROCESS}" can need alone'
        )
    asked = [key_id for key_id, key in plan.checkpoints.items() if _is_asked(needs, plan, key)]
    if BOTH_LENGTHS in needs:
        pairs = [
            (key_id, decoding)
            for key_id in asked
            for decoding in _decodings(plan, plan.checkpoints[key_id])
        ]
        argument = (checkpoint, "decoding")
        metafunc.parametrize(argument, pairs, indirect=[checkpoint], scope="session")
    else:
        metafunc.parametrize(checkpoint, asked or [UNASKED], indirect=True, scope="session")
    if "audio" in names:
        clips = plan.speech if DURATIONS in needs else plan.clips
        metafunc.parametrize("audio", list(clips), indirect=True, scope="session")
    if "batch_size" in names:
        sizes = plan.profile.batch_sizes
        metafunc.parametrize("batch_size", sizes, ids=[f"b{size}" for size in sizes])


def _decodings(plan: Plan, key: CheckpointKey) -> tuple[str, ...]:
    """Return the lengths that a checkpoint decodes: random weights have no natural one."""
    fixed = f"fixed{plan.profile.tokens}"
    return (NATURAL, fixed) if key.model.trained else (fixed,)


def _is_asked(needs: frozenset[str], plan: Plan, key: CheckpointKey) -> bool:
    """Whether a benchmark can say something of a checkpoint.

    Random weights hear nothing, nor can be said how well where no text is written down; 32-bit
    floats do not differ from themselves, nor can weights that were saved quantized be had in them;
    a profile may name no durations; and what is there for its words alone is not timed.
    """
    if OTHER_PRECISION in needs and (key.precision.name == "fp32" or key.precision.as_saved):
        return False
    if DURATIONS in needs and not plan.speech:
        return False
    if WORDS in needs:
        return key.id in plan.listening and key.model.trained and bool(plan.heard)
    return OTHER_PRECISION in needs or key.id in plan.timed


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Leave out a benchmark that can say nothing of any checkpoint of the plan."""
    made = yield
    if not isinstance(made, list):
        return made
    return [item for item in made if not _is_unasked(item)]


def _is_unasked(item: pytest.Item | pytest.Collector) -> bool:
    """Whether an item is a benchmark of no checkpoint. Parameters of tests may not be compared."""
    return any(value is UNASKED for value in params_of(item).values())


def params_of(item: pytest.Item | pytest.Collector) -> dict[str, object]:
    """Return the parameters of a test; none of what has none."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec is not None else {}


def checkpoint_of(item: pytest.Item) -> str:
    """Return the id of the checkpoint that an item is about; empty where it is about none."""
    params = params_of(item)
    return str(params.get("fresh_checkpoint") or params.get("loaded_model") or "")


def checkpoints_needing(need: str, items: Iterable[pytest.Item]) -> set[str]:
    """Return the ids of the checkpoints of the benchmarks that declare a need."""
    return {checkpoint_of(item) for item in items if is_benchmark(item) and need in needs_of(item)}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the benchmarks so that what is asked first is answered first."""
    session = session_of(config)
    if session is not None:
        put_in_order(session.plan, items, load_once=part() == "wall")


def put_in_order(
    plan: Plan,
    items: list[pytest.Item],
    *,
    one_process: bool = False,
    load_once: bool = False,
) -> None:
    """Order benchmarks: what is asked first is answered first.

    Memory comes before all others, because it needs a device that this process has no context on;
    then the transcription in each precision; then the rest, by checkpoint, words last; and at the
    end start-up, which takes longest for what it says.

    Args:
        plan: the run's.
        items: are sorted in place.
        one_process: whether the device lets one process at a time have a context, as in the compute
            mode "exclusive process". No process gives its context back while it lives, so start-up
            must then come before this one has any.
        load_once: whether nobody waits for an early answer, so that each checkpoint is loaded once.
    """
    place = {key_id: position for position, key_id in enumerate(plan.checkpoints)}

    def rank(item: pytest.Item) -> tuple[int, int, bool]:
        needs = needs_of(item) if is_benchmark(item) else frozenset()
        if IDLE_DEVICE in needs:
            phase = 0
        elif FRESH_PROCESS in needs:
            phase = 1 if one_process else 4
        else:
            early = EARLY_ANSWER in needs and not load_once
            phase = 2 if early or not is_benchmark(item) else 3
        words = not needs.isdisjoint({WORDS, OTHER_PRECISION})
        return phase, place.get(checkpoint_of(item), -1), words

    items.sort(key=rank)


def block_of(item: pytest.Item) -> list[pytest.Item]:
    """Return a benchmark and those that follow it, up to where another checkpoint is loaded."""
    items = item.session.items
    rest = items[items.index(item) :]
    own = checkpoint_of(item)
    return list(takewhile(lambda each: checkpoint_of(each) == own, rest))


def require_cells_once(items: Sequence[pytest.Item]) -> None:
    """Refuse to measure a cell twice: no two figures of one run answer the same question.

    pytest-repeat and its kin multiply tests by a parameter of their own, and a path that is given
    twice brings its tests twice.

    Raises:
        pytest.UsageError: one would be.
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
    params = params_of(item)
    cell = "-".join(str(params[name]) for name in _CELL if name in params)
    return item.path.resolve(), str(getattr(item, "originalname", item.name)), cell
