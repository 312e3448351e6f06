"""Which exit codes do comparisons of recorded processes come to, of unchanged and of slower code?

    python scripts/check_exit_codes.py NOISE.json [--step 7]

NOISE.json is a recording as scripts/gate_study.py takes it: processes of unchanged code, each with
the rounds of the same cells. All choices of so many of them as the base and so many others as the
head are compared by the suite's rules, the head's times multiplied by a slowdown, each beside a
count that did not change. A row says how many left with which code by [gate] of suite.toml, in how
many the line on undecided wall time names figures that look worse, and how many would leave with
which code if wall time were required.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec

from tests.runs import make_measurement, make_run
from whisperbench.asked.suite import Suite, read_suite
from whisperbench.judge.comparison import hold_against, suspected
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS
from whisperbench.results.records import Run

SIZES = ((5, 5), (5, 3), (3, 3), (5, 1))
SLOWDOWNS = (0.0, 0.05, 0.08, 0.2)
COUNT = Metric(name="weight_mib", unit="MiB", kind="exact", better="lower", value=1.0)
STAGES = {"transcribe": "generate_s", "encoder": "encoder_s"}

Process = Sequence[dict[str, Any]]
"""The cells of a process, each with model, precision and its rounds."""


def merged(processes: Sequence[Process], slowdown: float = 0.0) -> Run:
    """Make the run of several processes; a figure is the median of a process's rounds."""
    rows = []
    for cells in zip(*processes, strict=True):
        assert len({(cell["model"], cell["precision"]) for cell in cells}) == 1
        for stage, key in STAGES.items():
            seconds = tuple((1 + slowdown) * median(cell[key]) for cell in cells)
            latency = Metric(
                name="latency_s", unit="s", kind="wall", better="lower", processes=seconds
            )
            row = make_measurement(stage, cells[0]["precision"], model=cells[0]["model"])
            rows.append(msgspec.structs.replace(row, metrics=(latency, COUNT)))
    made = make_run(*rows)
    info = msgspec.structs.replace(made.info, processes=len(processes))
    return msgspec.structs.replace(made, info=info)


def splits(
    processes: Sequence[Process], base: int, head: int
) -> Iterator[tuple[list[Process], ...]]:
    """Yield all choices of so many processes as the base and so many others as the head."""
    everyone = range(len(processes))
    for chosen in combinations(everyone, base):
        for others in combinations([each for each in everyone if each not in chosen], head):
            yield [processes[each] for each in chosen], [processes[each] for each in others]


def main() -> None:
    """Compare all of them, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("noise", type=Path)
    parser.add_argument("--step", type=int, default=1, help="take each so many-th choice only")
    options = parser.parse_args()
    # In which order a process took its cells differs.
    recording: list[Process] = [
        sorted(process["series"], key=lambda cell: (cell["model"], cell["precision"]))
        for process in json.loads(options.noise.read_text(encoding="utf-8"))["processes"]
    ]
    suite = read_suite()
    strict = msgspec.structs.replace(
        suite, gate=msgspec.structs.replace(suite.gate, require=tuple(KINDS), report=())
    )
    titles = ("comparisons", "0", "1", "3", "looks worse", "were it required: 0", "1", "3")
    print(f"| base v head | slower by | {' | '.join(titles)} |")
    print(f"| --- |{' ---: |' * 9}")
    for base, head in SIZES:
        chosen = list(splits(recording, base, head))[:: options.step]
        for slowdown in SLOWDOWNS:
            found, required = (outcomes(chosen, slowdown, each) for each in (suite, strict))
            counts = [found[key] for key in (0, 1, 3, "worse")]
            counts += [required[key] for key in (0, 1, 3)]
            shares = [f"{100 * count / len(chosen):.1f} %" for count in counts]
            print(
                f"| {base} v {head} | {100 * slowdown:.0f} % | {len(chosen)} | "
                f"{' | '.join(shares)} |",
                flush=True,
            )


def outcomes(
    chosen: Sequence[tuple[list[Process], ...]], slowdown: float, suite: Suite
) -> Counter[int | str]:
    """Count the exit codes of comparisons, and as "worse" those in which some figures look so."""
    counts: Counter[int | str] = Counter()
    for base, head in chosen:
        found = hold_against(merged(base), merged(head, slowdown), suite)
        counts[int(found.exit_code)] += 1
        counts["worse"] += bool(suspected(found.judged))
    return counts


if __name__ == "__main__":
    main()
