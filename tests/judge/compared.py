"""Made-up runs, held against each other. No figure here was measured."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from typer.testing import CliRunner, Result

from tests.runs import cost_of, make_cell, make_cost, make_measurement, make_run, make_run_file
from whisperbench.cli import app
from whisperbench.judge.compare import compare
from whisperbench.results.figure import Metric
from whisperbench.results.passes import Part
from whisperbench.results.records import Measurement, Run, Verdict


def part(name: str, count: int, module: str = "Linear8bitLt", **fields: object) -> Part:
    """Make up a part of the decoding."""
    made = Part(kind="op", name=name, op="", module=module, stage="decode", count=count)
    return msgspec.structs.replace(made, **fields)


def a_cost(ops: int = 100, parts: tuple[Part, ...] = (), **changes: object) -> Measurement:
    """Make up the cost of a cell of four tokens."""
    row = make_cost(make_cell("int8", tokens=4), {"aten_ops": ops}, gpu_ms=10.0)
    found = msgspec.structs.replace(cost_of(row), parts=parts, **changes)
    return msgspec.structs.replace(row, found=found)


def outcomes(base: Measurement, head: Measurement) -> dict[str, str]:
    """Compare two cells; the outcome of each metric."""
    return {name: verdict.verdict for name, verdict in verdicts(base, head).items()}


def verdicts(base: Measurement, head: Measurement) -> dict[str, Verdict]:
    """Compare two cells; the verdict on each metric."""
    return {each.verdict.metric: each.verdict for each in compare(make_run(base), make_run(head))}


def compared(folder: Path, base: Run, head: Run) -> Result:
    """Run `whisperbench compare` on two runs."""
    paths = [folder / "base.json", folder / "head.json"]
    for path, run in zip(paths, (base, head), strict=True):
        path.write_text(json.dumps(make_run_file(run)), encoding="utf-8")
    return CliRunner().invoke(app, ["compare", *map(str, paths)])


def a_wall(*seconds: float) -> Measurement:
    """Make up a transcription in several processes."""
    row = make_measurement()
    latency = Metric(name="latency_s", unit="s", kind="wall", better="lower", processes=seconds)
    return msgspec.structs.replace(row, metrics=(latency,))


STEADY = (1.0, 1.01, 0.99, 1.005, 0.995)


def times(factor: float, processes: int = 5) -> tuple[float, ...]:
    """Return so many steady processes that are slower by a factor."""
    return tuple(factor * seconds for seconds in STEADY[:processes])
