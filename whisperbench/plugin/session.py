"""The one object that a run of benchmarks is in pytest, from what was asked for to its file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whisperbench.asked.checkout import BENCHMARKS, ROOT
from whisperbench.asked.options import OPTIONS
from whisperbench.asked.plan import Plan, in_one_round, in_turns, make_plan
from whisperbench.asked.suite import Limit, Suite, read_suite
from whisperbench.devices.choosing import profile_of, resolve
from whisperbench.errors import InputError, require_plain
from whisperbench.measure.turns.messages import PART_VARIABLE, TURNS_VARIABLE
from whisperbench.plugin.options import usage_errors, value_of
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.results.records import DESELECTED, Cell, Measurement, Outcome, Run, Shard

if TYPE_CHECKING:
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.recordings import DataSet
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.devices.device import Device, DeviceFacts
    from whisperbench.measure.turns.messages import Channel
    from whisperbench.measure.turns.partner import Partner
    from whisperbench.plugin.gate import Judging
    from whisperbench.plugin.progress import Course
    from whisperbench.whisper.checkpoints import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What every benchmark of the run needs, checked before the first one starts."""

    plan: Plan
    limits: tuple[Limit, ...]
    """All of suite.toml's."""
    device: Device
    """Its readings."""
    accelerator: Accelerator
    """What executes on it."""
    facts: DeviceFacts
    device_key: str
    audio: dict[str, Audio]
    """By clip name."""
    speech: dict[str, Audio]
    """Of several durations, by name, where a benchmark asks for it."""
    data: DataSet | None
    """The clips that are heard for their words, where that is asked for and any has a text."""
    checkpoints: dict[str, Checkpoint]
    """By model name."""
    remarks: tuple[str, ...]
    """What is odd about checkpoints and audio that are usable all the same, in sentences."""
    partner: Partner | None = None
    """Whom this process takes turns with, where `whisperbench ab` has started it for that."""


@dataclass
class Fate:
    """What became of a benchmark so far."""

    cell: str
    """Its place in the matrix, as its id shows it."""
    outcome: Outcome = "skipped"
    reason: str = "did not run: the session ended before it"
    not_offered: bool = False
    """Whether its transcriber does not offer what it needs."""
    shard: int | None = None
    """The number of its shard, where the run is split."""
    setup_s: float | None = None
    """What its fixtures took; None until they were there."""
    took_s: float | None = None
    """What it took besides; None until it ran."""


@dataclass(kw_only=True)
class Session:
    """A run of benchmarks: asked for, prepared, judged, finished, in this order."""

    plan: Plan
    suite: Suite
    fates: dict[str, Fate] = field(default_factory=dict)
    """Of what was asked for, by the id of the test."""
    shard: Shard | None = None
    """Which part of the run this process measures; None for all of it."""
    split: str = ""
    """What the shard is of all, for the terminal; empty where the run is not split."""
    channel: Channel | None = None
    """To `whisperbench ab`, where this process takes turns with another one."""
    prepared: Prepared | None = None
    """None until all is ready for the first benchmark, and where nothing is measured."""
    judging: Judging | None = None
    """By the baseline, where there is one."""
    result: Path | None = None
    """Where the run is to be written; None until it is prepared."""
    heard: dict[Cell, list[bytes]] = field(default_factory=dict)
    """Lines of the file that says clip by clip what was heard; of a benchmark that is run again,
    those of the last time."""
    run: Run | None = None
    """The run as its file has it."""
    left_out: tuple[str, ...] = ()
    """Files of benchmarks that the default run leaves out."""
    running: pytest.Item | None = None
    """The benchmark that runs."""
    course: Course | None = None
    """How far the benchmarks are; None before the first."""
    references: dict[tuple[str, Cell], Measurement] = field(default_factory=dict)
    """What was measured in the reference precision, by benchmark and cell without its precision."""
    outcome: list[str] = field(default_factory=list)
    """Where the run was written, and what of it could not be, in lines."""

    def is_own(self, fate: Fate) -> bool:
        """Whether a benchmark is this process's, and not another shard's."""
        return self.shard is None or fate.shard in (None, self.shard.index)

    def unmeasured(self) -> bool:
        """Whether something of this process was neither measured nor deselected.

        What a transcriber does not offer is no fault.
        """
        return any(fate.outcome != "measured" and not fate.not_offered for fate in self._asked())

    def saw_nothing(self) -> bool:
        """Whether a whole run measured nothing, for no transcriber of it offers what is needed."""
        asked = self._asked()
        whole = self.shard is None and PART_VARIABLE not in os.environ
        return whole and bool(asked) and all(fate.not_offered for fate in asked)

    def _asked(self) -> list[Fate]:
        own = (fate for fate in self.fates.values() if self.is_own(fate))
        return [fate for fate in own if fate.reason != DESELECTED]


_SESSION = pytest.StashKey[Session]()


def session_of(config: pytest.Config) -> Session | None:
    """Return the session; None where no benchmarks are asked for."""
    return config.stash.get(_SESSION, None)


def is_benchmark(item: pytest.Item) -> bool:
    """Whether an item is one of the suite's benchmarks, not one of its own tests."""
    return item.path.resolve().is_relative_to(BENCHMARKS)


def begin(config: pytest.Config) -> Session | None:
    """Plan the run where benchmarks are asked for; refuse what would pass without measuring.

    Raises:
        pytest.UsageError: an option, suite.toml or another plugin's setting cannot be used.
    """
    if not _asks_for_benchmarks(config):
        return None
    _refuse_silent_passes(config)
    options = {row.name: config.getoption(row.flag) for row in OPTIONS}
    device = value_of(config, "device") or "auto"
    with usage_errors():
        # Libraries that are not Python's are told where checkpoints lie.
        require_plain(str(ROOT), "the checkout")
        require_plain(str(cache_folder()), f"the cache, which {CACHE_VARIABLE} moves")
        suite = read_suite()
        device = resolve(device)
        plan = make_plan(suite, device, options, profile_of(device))
        if TURNS_VARIABLE in os.environ:
            plan = in_turns(plan)
        if os.environ.get(PART_VARIABLE) == "reach":
            plan = in_one_round(plan)
    config.stash[_SESSION] = Session(plan=plan, suite=suite)
    return config.stash[_SESSION]


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


@pytest.fixture(scope="session")
def prepared(pytestconfig: pytest.Config) -> Prepared:
    """Device facts, decoded clips and checkpoint folders of the run."""
    session = session_of(pytestconfig)
    if session is None or session.prepared is None:
        raise InputError("benchmarks run by path: pytest benchmarks/, from the checkout")
    return session.prepared


@pytest.fixture(scope="session")
def plan(prepared: Prepared) -> Plan:
    """What this run measures."""
    return prepared.plan


@pytest.fixture(scope="session")
def keep_lines(pytestconfig: pytest.Config) -> Callable[[Cell, list[bytes]], None]:
    """Keep the lines that say clip by clip what was heard of a cell, for the file beside the run's.

    It takes the cell and its lines; those of the same cell before are let go.
    """

    def keep(cell: Cell, lines: list[bytes]) -> None:
        session = session_of(pytestconfig)
        if session is not None:
            session.heard[cell] = lines

    return keep
