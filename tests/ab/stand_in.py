"""A program that stands where a side's interpreter is, and plays pytest without measuring anything.

It speaks the protocol of turns, writes result files and does at any place what a test has planned:
dies, hangs, fails a benchmark. Asked for anything else than pytest, it is the real interpreter.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from whisperbench.measure.turns.messages import Channel
    from whisperbench.results.records import Measurement

ROOT = Path(__file__).parents[2]

SLEEP, HANG, KILL, CRASH, REFUSE = "sleep", "hang", "kill", "crash", "refuse"
FAIL, NO_ROOM = "fail", "no room"
"""What can become of a process, or of a benchmark."""

REASONS = {NO_ROOM: "out of memory: it takes 9 GiB"}

COUNTED, MEMORY = "benchmarks/test_cost.py::a", "benchmarks/test_memory.py::a"
TOKEN, ENCODER = "benchmarks/t.py::a", "benchmarks/t.py::b"
"""Ids of benchmarks. Those of wall time are timed in this order."""


class Plan(msgspec.Struct, kw_only=True):
    """What one side's processes do."""

    told: str = ""
    """File in which each process takes down its place and its process id."""
    ops: int | None = 100
    """That are counted; None where nothing of counts is selected."""
    kernels: int = 50
    gpu_ms: tuple[float, ...] = ()
    """GPU time of each execution of counts in turn, the last one from then on; empty on a CPU."""
    seconds: dict[str, float] = msgspec.field(default_factory=lambda: {TOKEN: 1.0, ENCODER: 1.0})
    """Of each benchmark of wall time, by its id."""
    wobble: float = 0.0
    """By which share the seconds of every other pair are more."""
    memory_mib: float = 100.0
    """That a process takes."""
    at: dict[str, str] = {}
    """What happens where: "counts", "cost", "wall 1" at the start, "wall 1 load ID", "wall 1 round
    ID", "wall 1 end", "wall 1 held" before its turn, with the number of the pair."""


def interpreter(folder: Path, plan: Plan, planted: str = "") -> Path:
    """Make a program that plays by a plan, and that alone has a module of some text."""
    folder.mkdir(parents=True, exist_ok=True)
    path, planned = folder / "python", folder / "plan.json"
    plan.told = plan.told or str(folder / "told")
    planned.write_bytes(msgspec.json.encode(plan))
    packages = ""
    if planted:
        packages = str(folder / "site-packages")
        Path(packages).mkdir()
        Path(packages, "planted.py").write_text(planted)
    path.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "-m pytest" ] && exec {sys.executable} {__file__} {planned} "$@"\n'
        f'PYTHONPATH={packages} exec {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return path


def told(python: Path) -> list[tuple[str, int]]:
    """Return the places and process ids that a side's processes have taken down so far."""
    path = python.parent / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(place, int(pid)) for place, pid in (line.rsplit(" ", 1) for line in lines)]


class _Played:
    """One process."""

    def __init__(self, plan: Plan, arguments: list[str]) -> None:
        from tests.runs import CPU_MACHINE
        from whisperbench.measure.turns.messages import PART_VARIABLE

        self.plan = plan
        self.result = Path(arguments[arguments.index("--result") + 1])
        self.part = os.environ[PART_VARIABLE]
        self.machine = CPU_MACHINE
        self.left_out = {each.removeprefix("--deselect=") for each in arguments}
        self.selected = [name for name in plan.seconds if name not in self.left_out]
        self.place = "cost" if self.part == "reach" else self.part
        self.execution = 1
        if self.result.stem.startswith("again"):
            self.execution += int(self.result.stem.split("-")[1])
            self.place = f"again {self.execution - 1}"
        if self.part == "wall":
            self.place = f"wall {int(self.result.stem.split('-')[1])}"

    def at(self, more: str = "") -> str:
        """Do what is planned at a place; return it, where it concerns the benchmark alone."""
        place = f"{self.place} {more}".strip()
        planned = self.plan.at.get(place, "")
        if planned == HANG:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with Path(self.plan.told).open("a") as file:
            file.write(f"{place} {os.getpid()}\n")
        if planned in (SLEEP, HANG):
            time.sleep(60)
        if planned == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if planned == CRASH:
            raise ImportError("libcudart.so.13: cannot open shared object file")
        if planned == REFUSE:
            print("ERROR: --precision int9: unknown", flush=True)  # noqa: T201 - as pytest does
            sys.exit(4)
        return planned

    def counts(self) -> None:
        """Play what one execution decides."""
        from tests.runs import make_cell, make_cost, make_memory
        from whisperbench.measure.reach import VARIABLE
        from whisperbench.results.reach import Entered

        planned = self.at()
        if self.plan.ops is None:
            sys.exit(5)
        if VARIABLE in os.environ:
            Path(os.environ[VARIABLE]).write_bytes(msgspec.json.encode(Entered(functions={})))
            return
        cell = make_cell("int8", device="cpu", tokens=4)
        taken = {"peak_process_mib": self.plan.memory_mib}
        counts = {"aten_ops": self.plan.ops}
        gpu_ms = None
        if self.plan.gpu_ms:
            counts["kernels"] = self.plan.kernels
            gpu_ms = self.plan.gpu_ms[min(self.execution, len(self.plan.gpu_ms)) - 1]
        rows = {
            COUNTED: make_cost(cell, counts, gpu_ms=gpu_ms),
            MEMORY: make_memory(cell, taken),
        }
        if self.part == "cost":
            del rows[MEMORY]
        if planned == FAIL:
            del rows[MEMORY]
        self._write(rows, {MEMORY: "it broke"} if planned == FAIL else {})

    def wall(self) -> None:
        """Play the benchmarks of wall time, in turns where somebody asks for that."""
        from tests.runs import make_measurement
        from whisperbench.measure.turns.messages import TURNS_VARIABLE, Channel, Collected
        from whisperbench.results.passes import LatencyResult, Turns

        self.at()
        if not self.selected:
            sys.exit(5)
        said = os.environ.get(TURNS_VARIABLE)
        channel = Channel(*map(int, said.split(","))) if said is not None else None
        if channel is not None:
            left_out = self._held(channel)
            self.selected = [name for name in self.selected if name not in left_out]
            channel.send(
                Collected(threads=1, on_host=True, warmup_rounds=1, benchmarks=tuple(self.selected))
            )
        rows, failures = {}, {}
        for name in self.selected:
            failure = self._benchmark(name, channel)
            if failure:
                failures[name] = failure
                continue
            row = make_measurement(name, samples=(self._seconds(name),) * 4)
            turns = Turns(cpus=(0, 1), reference_ms=(1.0,) * 4) if channel is not None else None
            rows[name] = msgspec.structs.replace(row, found=LatencyResult(turns=turns))
        self.at("end")
        self._write(rows, failures)

    def _seconds(self, name: str) -> float:
        even = int(self.place.split()[1]) % 2 == 0
        return self.plan.seconds[name] * (1 + self.plan.wobble * even)

    def _held(self, channel: Channel) -> tuple[str, ...]:
        """Play what happens before the turn of its pair; return what it need not measure."""
        from whisperbench.measure.turns.messages import Begin

        self.at("held")
        try:
            return channel.receive(Begin).left_out
        except EOFError:
            raise KeyboardInterrupt from None

    def _benchmark(self, name: str, channel: object) -> str:
        """Play a benchmark; return why it failed, if it did."""
        from whisperbench.measure.turns.messages import (
            Alone,
            Began,
            Channel,
            Ended,
            FromProcess,
            Ready,
            Start,
            ToProcess,
        )

        if planned := self.at(f"load {name}"):
            return REASONS.get(planned, "it did not load")
        if not isinstance(channel, Channel):
            return ""

        def ask(message: FromProcess) -> ToProcess:
            channel.send(message)
            return channel.receive(ToProcess)  # type: ignore[arg-type]  # a union of structs

        answer = ask(Began(benchmark=name))
        if isinstance(answer, Alone):
            return answer.why
        assert isinstance(answer, Start)
        for _ in range(4):
            ask(Ready())
            if planned := self.at(f"round {name}"):
                break
        ask(Ended())
        return REASONS.get(planned, "it broke") if planned else ""

    def _write(self, rows: Mapping[str, Measurement], failures: Mapping[str, str]) -> None:
        from tests.runs import make_run, make_run_file
        from whisperbench.results.records import ManifestEntry
        from whisperbench.results.run_file import write_whole

        manifest = (
            *(ManifestEntry(benchmark=name, cell=name, outcome="measured") for name in rows),
            *(
                ManifestEntry(benchmark=name, cell=name, outcome="failed", reason=reason)
                for name, reason in failures.items()
            ),
        )
        run = make_run(*rows.values(), manifest=manifest, machine=self.machine)
        content = make_run_file(run)
        for name, row in zip(rows, content["benchmarks"], strict=True):
            row["fullname"] = name
        write_whole(self.result, msgspec.json.encode(content))


def main() -> None:
    """Play by the plan that is the first argument."""
    sys.path.insert(0, str(ROOT))
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    played = _Played(plan, sys.argv[2:])
    (played.wall if played.part == "wall" else played.counts)()


if __name__ == "__main__":
    main()
