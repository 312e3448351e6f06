"""What does each release of transformers and bitsandbytes cost Whisper? Measured, and written down.

    python scripts/releases.py measure   # a run a release, a minute each; goes on where it ended
    python scripts/releases.py write     # docs/recordings/releases.json, tables of docs/releases.md

Each release is installed over the packages of the interpreter that runs this (versions/layers.py),
and `pytest benchmarks/test_cost.py` run in it. A release that cannot be installed or run is kept
with the reason. To try such a one again, remove its .skipped file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.releases_page import (  # noqa: E402 - of this checkout
    COLUMNS,
    PRECISIONS,
    Counts,
    page_with,
)

if TYPE_CHECKING:
    from whisperbench.results.records import Measurement, Run

RANGES = {"transformers": ("5.0.0", "5.23.0"), "bitsandbytes": ("0.48.0", "0.50.2")}
"""The first and the last release of each package that is measured."""

CELL = ("benchmarks/test_cost.py", "--model", "dummy:tiny", "--device", "cpu")
FOLDER = ROOT / "results" / "releases"
RECORDING = ROOT / "docs" / "recordings" / "releases.json"
PAGE = ROOT / "docs" / "releases.md"


def measure(folder: Path) -> None:
    """Measure what is not measured yet, in the order of `_all`."""
    from whisperbench.bisect.measuring import SKIPPED
    from whisperbench.record.elsewhere import run_suite
    from whisperbench.versions.layers import layered
    from whisperbench.versions.releases import requirement_of

    python = Path(sys.executable)
    folder.mkdir(parents=True, exist_ok=True)
    for package, release in _all(python):
        result = folder / f"{package}-{release}.json"
        skipped = result.with_suffix(".skipped")
        if result.exists() or skipped.exists():
            continue
        name, started_s = f"{package} {release}", time.monotonic()
        cells = (*CELL, "--precision", ",".join(PRECISIONS[package]))
        try:
            environment = layered(python, [requirement_of(package, release)], print, name=name)
            run_suite(environment.python, ROOT, cells, result, name=name)
        except SKIPPED as error:
            skipped.write_text(f"{error}\n", encoding="utf-8")
            print(f"skipped: {error}", flush=True)
        print(f"{name}: {time.monotonic() - started_s:.0f} s", flush=True)


def _all(python: Path) -> list[tuple[str, Version]]:
    """Return all releases of all packages.

    The ends come first, then the last release of each minor version, then what is left, so that
    what is measured by any time says most.
    """
    from whisperbench.versions.releases import releases_of

    ranked: list[tuple[int, int, str, Version]] = []
    for package, ends in RANGES.items():
        first, last = map(Version, ends)
        found = [each for each in releases_of(python, package) if first <= each <= last]
        of_minor = {each.release[:2]: each for each in found}.values()
        for each in found:
            rank = 0 if each in (first, last) else 1 if each in of_minor else 2
            ranked.append((rank, len(found), package, each))
    return [(package, release) for _, _, package, release in sorted(ranked)]


def record(folder: Path) -> dict[str, Any]:
    """Put together what the page says: counts by release, and what each change is made of."""
    from whisperbench.results.run_file import read_run

    found: dict[str, Any] = {}
    known = _all(Path(sys.executable))
    for package in RANGES:
        runs: dict[Version, Run] = {}
        skipped: dict[str, str] = {}
        for path in sorted(folder.glob(f"{package}-*")):
            release = path.stem.removeprefix(f"{package}-")
            if path.suffix == ".skipped":
                skipped[release] = path.read_text(encoding="utf-8").strip()
                continue
            run = read_run(path)
            if missing := run.unmeasured():
                skipped[release] = missing[0]
                continue
            runs[Version(release)] = run
        order = sorted(runs)
        found[package] = {
            "releases": {str(each): _counts(runs[each]) for each in order},
            "skipped": dict(sorted(skipped.items(), key=lambda item: Version(item[0]))),
            "not measured": [
                str(each)
                for name, each in sorted(known, key=lambda pair: pair[1])
                if name == package and each not in runs and str(each) not in skipped
            ],
            "changes": [
                {"from": str(one), "to": str(two), "causes": causes}
                for one, two in pairwise(order)
                if (causes := _causes(runs[one], runs[two]))
            ],
        }
        machine = runs[order[-1]].machine
        around = {each: machine.versions[each] for each in ("torch", *RANGES, "accelerate")}
        del around[package]
        conditions = _conditions(runs[order[-1]])
        on = {"python": machine.python, "machine": machine.cpu}
        found[package]["over"] = on | {"instruction set": conditions["instruction set"]} | around
    return found


def _conditions(run: Run) -> Mapping[str, str]:
    metric = run.measurements[0].metric("decode_python_calls")
    assert metric is not None
    return metric.conditions


def _counts(run: Run) -> Counts:
    return {row.cell.precision: _counts_of(row) for row in run.measurements}


def _counts_of(row: Measurement) -> dict[str, float]:
    from whisperbench.results.passes import CostResult

    assert isinstance(row.found, CostResult)
    found: dict[str, float] = {}
    for column in COLUMNS:
        stage, _, count = column.partition("_")
        tokens = (row.cell.tokens or 1) if stage == "decode" else 1
        if count == "bitsandbytes_ops":
            ops = [each for each in row.found.parts if each.kind == "op" and each.stage == stage]
            whole = float(sum(op.count for op in ops if op.name.startswith("bitsandbytes::")))
        else:
            metric = row.metric(column)
            assert metric is not None
            whole = metric.figures[0]
        found[column] = whole / tokens
    return found


def _causes(one: Run, two: Run) -> dict[str, list[str]]:
    """Name by column what a change is made of; of the two precisions, the first that changed."""
    from whisperbench.judge.causes import causes_of

    found: dict[str, list[str]] = {}
    before, after = ({row.cell.precision: row for row in run.measurements} for run in (one, two))
    for column in COLUMNS:
        # bitsandbytes' ops are among those that are not torch's.
        metric = column.replace("bitsandbytes_ops", "other_ops")
        for precision in sorted(before.keys() & after.keys()):
            base, head = before[precision], after[precision]
            if _counts_of(base)[column] != _counts_of(head)[column]:
                causes = causes_of(base, head, metric)
                found.setdefault(column, [*causes, *_largest(base, head, column, causes)])
    return found


def _largest(base: Measurement, head: Measurement, column: str, named: list[str]) -> list[str]:
    """Name the Python function whose calls changed most, where what is new is named before it."""
    stage, _, count = column.partition("_")
    if count != "python_calls":
        return []
    before, after = (_calls(row, stage) for row in (base, head))
    changes = {name: after.get(name, 0) - before.get(name, 0) for name in before | after}
    name = max(changes, key=lambda each: (abs(changes[each]), each))
    tokens = (head.cell.tokens or 1) if stage == "decode" else 1
    cause = f"{changes[name] / tokens:+.4g} {name}{' a token' if tokens > 1 else ''}"
    return [] if cause in named else [cause]


def _calls(row: Measurement, stage: str) -> dict[str, int]:
    found: Any = row.found
    return dict(found.calls[stage])


def write(folder: Path) -> None:
    """Write the recording, and the tables of the page."""
    found = record(folder)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    RECORDING.write_text(f"{text}\n", encoding="utf-8")
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("measure", "write"))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the runs")
    given = parser.parse_args()
    {"measure": measure, "write": write}[given.what](given.folder)
