"""All cards of this host at once: a process a card, each with a shard and cores of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from whisperbench.asked.checkout import ROOT
from whisperbench.devices.cards import Card
from whisperbench.devices.cores import own_cores, physical_cores
from whisperbench.devices.usable import cpus
from whisperbench.errors import InputError, InvalidMeasurementError, one_line
from whisperbench.record.elsewhere import last_words, rebased
from whisperbench.record.processes import LAST_WORDS_S, interrupted_by

POLL_S = 0.2
"""Between two looks at whether a process has ended."""

_TOLD = (0, 1, 3, 4)
"""Exit codes of pytest under which it has written what it measured."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one process: a card, and cores."""

    name: str
    arguments: Sequence[str]
    """Of pytest, such as its device."""
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: frozenset[int] = frozenset()
    """That the process is pinned to; none where it is not."""


def slots_of(cards: Sequence[Card], *, pinned: bool = True) -> list[Slot]:
    """Return a slot a card.

    Args:
        cards: of one model.
        pinned: whether each has cores of its own, near it.

    Raises:
        InputError: they are not of one model, so that no run could hold what they measure.
        DeviceError: there are fewer cores than cards.
    """
    names = dict.fromkeys(card.name for card in cards)
    if len(names) > 1:
        raise InputError(
            f"the cards are not of one model ({', '.join(names)}), and one run is of one: choose "
            "with CUDA_VISIBLE_DEVICES"
        )
    own: Sequence[frozenset[int]] = [frozenset[int]() for _ in cards]
    if pinned and cpus():
        own = own_cores([card.near for card in cards], physical_cores(cpus()))
    return [
        Slot(
            name=str(card),
            arguments=("--device", "cuda"),
            environment={"CUDA_VISIBLE_DEVICES": card.uuid},
            cpus=cores,
        )
        for card, cores in zip(cards, own, strict=True)
    ]


@dataclass(kw_only=True)
class _Running:
    """A shard that is measured."""

    what: str
    process: subprocess.Popen[bytes]
    result: Path
    log: Path
    started_s: float


def run_shards(
    slots: Sequence[Slot],
    arguments: Sequence[str],
    folder: Path,
    say: Callable[[str], object],
    *,
    times: Path | None = None,
) -> list[Path]:
    """Measure a run in as many shards as there are slots, all at once.

    One that fails does not end the others: what they measured can be merged with a new one of its
    own.

    Args:
        slots: where the shards run.
        arguments: of pytest; `benchmarks` is added where none of them is a path there.
        folder: for the shards' files and what each has written.
        say: told of each shard's begin and end.
        times: what balances the shards, where something does.

    Returns:
        The files of all shards.

    Raises:
        InvalidMeasurementError: a shard measured nothing; all that did are named.
        KeyboardInterrupt: Ctrl-C, or a signal that ends a job; all have ended by then.
    """
    asked = rebased(arguments, ROOT)
    balanced = ["--shard-times", str(times.resolve())] if times is not None else []
    running: list[_Running] = []
    with interrupted_by(), ExitStack() as files:
        try:
            for number, slot in enumerate(slots, start=1):
                own = ["--shard", f"{number}/{len(slots)}", *balanced]
                running.append(_start(slot, number, len(slots), [*asked, *own], folder, files))
                say(f"{running[-1].what}: {_cores(slot)}")
            failed = _wait(running, say)
        except KeyboardInterrupt:
            _end(running)
            raise
    if failed:
        raise InvalidMeasurementError(
            f"{'; '.join(failed)}. Measure what failed again, with --shard, and put all shards "
            f"together with whisperbench merge {os.path.relpath(folder)}/shard-*.json -o RUN.json"
        )
    return [each.result for each in running]


def _cores(slot: Slot) -> str:
    if not slot.cpus:
        return "begins, on any core"
    return f"begins, on CPUs {', '.join(map(str, sorted(slot.cpus)))}"


def _start(
    slot: Slot, number: int, of: int, arguments: Sequence[str], folder: Path, files: ExitStack
) -> _Running:
    result = (folder / f"shard-{number}.json").resolve()
    log = result.with_suffix(".log")
    output = files.enter_context(log.open("wb"))
    with _pinned(slot.cpus):
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments, *slot.arguments, "--result", str(result)],
            cwd=ROOT,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"} | dict(slot.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return _Running(
        what=f"shard {number} of {of} on {slot.name}",
        process=process,
        result=result,
        log=log,
        started_s=time.monotonic(),
    )


@contextmanager
def _pinned(wanted: frozenset[int]) -> Iterator[None]:
    """Let what is started meanwhile run on some CPUs alone: a child inherits its parent's."""
    if not wanted or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait(running: Sequence[_Running], say: Callable[[str], object]) -> list[str]:
    """Wait for all, and return what is wrong with those that measured nothing."""
    failed = []
    left = list(running)
    while left:
        ended = [each for each in left if each.process.poll() is not None]
        for each in ended:
            left.remove(each)
            code = each.process.returncode
            if code in _TOLD and each.result.is_file():
                took_s = time.monotonic() - each.started_s
                say(f"{each.what}: done in {took_s:.0f} s, exit code {code}")
            else:
                failed.append(f"{each.what} {_what_happened(code)}: {_said(each.log)}")
                say(f"{failed[-1]} (all of it: {os.path.relpath(each.log)})")
        if left and not ended:
            time.sleep(POLL_S)
    return failed


def _what_happened(code: int) -> str:
    if code >= 0:
        return f"exited with {code} and measured nothing"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _said(log: Path) -> str:
    return one_line(last_words(log.read_text(encoding="utf-8", errors="replace")))


def _end(running: Sequence[_Running]) -> None:
    """End all, so that they can clear up. A terminal has interrupted them already."""
    for grace_s, ending in (
        (LAST_WORDS_S / 2, signal.SIGINT),
        (LAST_WORDS_S / 2, signal.SIGKILL),
        (LAST_WORDS_S, None),
    ):
        deadline_s = time.monotonic() + grace_s
        for each in running:
            try:
                each.process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                if ending is not None:
                    each.process.send_signal(ending)
