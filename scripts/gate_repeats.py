"""Does the gate find anything in unchanged code, and all of a growth? On processes of your own.

    python scripts/gate_repeats.py BASELINE.json
    python scripts/gate_repeats.py RUN.json RUN.json RUN.json ...

Each process of a baseline, or of runs that could be one, is held against others of it, by one, two
and so on: as it is, and with every figure grown by --percent. The processes must be of unchanged
code, so that whatever is flagged of them as they are is a false alarm.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from whisperbench.asked.suite import read_suite  # noqa: E402
from whisperbench.errors import WhisperbenchError  # noqa: E402
from whisperbench.judge.compare import compare  # noqa: E402
from whisperbench.record.baselines import merge  # noqa: E402 - of this checkout
from whisperbench.results.figure import Metric  # noqa: E402
from whisperbench.results.kinds import KINDS  # noqa: E402
from whisperbench.results.metrics import METRICS  # noqa: E402
from whisperbench.results.records import Run  # noqa: E402
from whisperbench.results.run_file import read_run  # noqa: E402
from whisperbench.results.schema import decode_run  # noqa: E402

BASES = (1, 2, 3, 4)
"""Processes that one is held against."""

ENOUGH = 4
"""Processes from which a base must let nothing pass."""

Counts: TypeAlias = dict[str, Counter[str]]
"""How often each kind had each verdict."""


def chosen(run: Run, processes: Sequence[int], grown: float = 0.0) -> Run:
    """Return the run as if it were of these processes, each figure grown by a share."""

    def of(metric: Metric) -> Metric:
        figures = tuple(metric.figures[at] * (1 + grown) for at in processes)
        return msgspec.structs.replace(metric, value=None, samples=None, processes=figures)

    rows = tuple(
        msgspec.structs.replace(row, metrics=tuple(map(of, row.metrics)), verdicts=())
        for row in run.measurements
    )
    info = msgspec.structs.replace(run.info, processes=len(processes))
    return msgspec.structs.replace(run, info=info, measurements=rows)


def choices(count: int, base: int) -> list[tuple[tuple[int, ...], int]]:
    """Return what can be held against what: so many processes, and another one."""
    return [
        (others, head)
        for head in range(count)
        for others in combinations([at for at in range(count) if at != head], base)
    ]


def verdicts(run: Run, pairs: Sequence[tuple[tuple[int, ...], int]], grown: float) -> Counts:
    """Judge each pair."""
    counts: Counts = {}
    tolerances = read_suite().tolerance
    for base, head in pairs:
        for each in compare(chosen(run, base), chosen(run, [head], grown), tolerances):
            verdict = each.verdict
            if verdict.metric in METRICS and (verdict.base or not grown):  # 0 does not grow
                counts.setdefault(METRICS[verdict.metric].kind, Counter())[verdict.verdict] += 1
    return counts


def check(run: Run, percent: float) -> bool:
    """Print the table; whether no kind that one process decides raised an alarm or missed one."""
    fine = True
    print(
        f"{run.machine.device_key}: {len(run.measurements)} benchmarks, "
        f"{run.info.processes} processes\n"
    )
    titles = ("kind", "processes", "figures", "as they are", f"each {percent:g} % more")
    rows = [titles]
    for base in BASES:
        pairs = choices(run.info.processes, base)
        unchanged = verdicts(run, pairs, 0.0)
        grown = verdicts(run, pairs, percent / 100)
        for kind, rule in KINDS.items():
            if kind not in unchanged:
                continue
            found, more = unchanged[kind], grown.get(kind, Counter())
            rows.append((kind, f"{base} v 1", str(found.total()), tell(found), tell(more)))
            if not rule.statistical:
                fine &= set(found) <= {"ok", "improved"}
            if kind in ("exact", "device_time") and base >= ENOUGH:
                fine &= set(more) <= {"regressed"}
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        print(line.rstrip())
    return fine


def tell(found: Counter[str]) -> str:
    """Write counts as text."""
    return ", ".join(f"{count} {verdict}" for verdict, count in found.most_common()) or "none"


def main() -> None:
    """Run it, and exit with 1 on a false alarm, or a growth that several processes let pass."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="a baseline, or runs of one machine")
    parser.add_argument("--percent", type=float, default=1.0, help="the growth, in percent")
    options = parser.parse_args()
    try:
        if len(options.files) == 1:
            run = read_run(options.files[0])
        else:
            run = decode_run(merge(options.files), "the runs")
    except WhisperbenchError as error:
        sys.exit(str(error))
    if run.info.processes < 2:
        sys.exit(f"{options.files[0]}: is of one process: nothing to hold it against")
    if not check(run, options.percent):
        sys.exit("failed")


if __name__ == "__main__":
    main()
