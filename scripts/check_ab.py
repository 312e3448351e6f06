"""What does `whisperbench ab` say of unchanged code, and of real edits? On this machine.

    python scripts/check_ab.py none gpu+1 linear host+3 host+8 -- PYTEST ARGUMENTS
    python scripts/check_ab.py --spread DIR... --save PAIRS.json
    python scripts/check_ab.py --resample docs/recordings/h200-turns.json

Each name is a comparison: the head sees an edited copy of transformers or bitsandbytes (`none`:
neither). `host+N` is real Python work that makes each forward pass of the decoder take N % longer
on the host; `gpu+1` keeps the GPU busy for 1 % of a token; `linear` is one more op in each 8-bit
layer.

The table says what `ab` exits with, which figures it finds regressed, after how many pairs and
minutes, and what pytest-benchmark's `median:5%` would have said of the processes of each pair.
`--spread` tells how far pairs of unchanged code lie apart, by stage; with the rounds divided by the
reference loop before them, too. `--resample` draws pairs of unchanged code again and again, with
replacement, lays a slowdown over them and lets the sequential test decide.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import sysconfig
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.edits import WHISPER, Edit, scratch_copy  # noqa: E402 - of this checkout
from whisperbench.judge.sequential import MOST, decide  # noqa: E402
from whisperbench.results.kinds import KINDS  # noqa: E402

FAMILY = 8
"""Figures of wall time of two cells."""

_SLOWER = """
def _slower(forward):
    import functools
    import time

    @functools.wraps(forward)
    def slower(*args, **kwargs):
        started_s = time.perf_counter()
        found = forward(*args, **kwargs)
        ended_s = time.perf_counter()
        while time.perf_counter() - ended_s < {share} * (ended_s - started_s):
            pass
        return found

    return slower


WhisperDecoder.forward = _slower(WhisperDecoder.forward)
"""


class Timed(NamedTuple):
    """A figure of a pair: the samples of both sides, and the reference loops before them."""

    cell: str
    benchmark: str
    base_s: list[float]
    head_s: list[float]
    base_loops: list[float]
    head_loops: list[float]

    @property
    def rounds(self) -> list[float]:
        """Logarithms of head over base, by round."""
        return [math.log(y / x) for x, y in zip(self.base_s, self.head_s, strict=True)]

    @property
    def loops(self) -> list[float]:
        """Likewise of the reference loop."""
        pairs = zip(self.base_loops, self.head_loops, strict=True)
        return [math.log(y / x) for x, y in pairs]

    @property
    def medians(self) -> float:
        """What a tool that compares medians sees."""
        return median(self.head_s) / median(self.base_s) - 1


def host_edit(percent: float) -> Edit:
    """Make the edit that lets the decoder compute in Python for a share of its own time more.

    The share is of the pass that it follows: the speed of a shared host's cores changes.
    """
    place = "__all__ = ["
    return Edit(WHISPER, place, f"{_SLOWER.format(share=percent / 100)}\n\n{place}", "", "")


def gpu_edit(gpu_s: float, percent: float) -> Edit:
    """Make the edit that keeps the GPU busy for a share of a token, at a clock of about 1.9 GHz."""
    cycles = round(gpu_s * percent / 100 * 1.9e9)
    place = "        return BaseModelOutputWithPast"
    line = f"        torch.cuda._sleep({cycles})"
    return Edit(WHISPER, place, f"{line}\n{place}", "", "")


LINEAR = Edit(
    "bitsandbytes/nn/modules.py",
    "        self.state.is_training = self.training\n",
    "        self.state.is_training = self.training\n        x = x * 1.0\n",
    "",
    "",
)


def interpreter(folder: Path, edit: Edit | None) -> Path:
    """Make an interpreter that finds an edited copy before the packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    inside = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    if edit is not None:
        scratch_copy(inside, edit)
    lines = [f"import site; site.addsitedir({each!r})" for each in _packages()]
    (inside / "packages.pth").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder / "bin" / "python"


def _packages() -> list[str]:
    found = [path for path in sys.path if path and Path(path).is_dir()]
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(ROOT)}
    own = str(Path(__file__).resolve().parent)
    return [path for path in found if path not in standard | {own} and "lib-dynload" not in path]


def run_ab(base: Path, head: Path, arguments: Sequence[str], extra: Sequence[str]) -> Path | None:
    """Run the comparison; return the folder of its files."""
    before = set((ROOT / "results").glob("*-ab-*"))
    program = "from whisperbench.cli import main; main()"
    done = subprocess.run(
        [
            *(sys.executable, "-c", program, "ab", *extra),
            *("--base-python", str(base), "--head-python", str(head), "--", *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    made = set((ROOT / "results").glob("*-ab-*")) - before
    print(f"exit {done.returncode}\n{done.stdout}{done.stderr}", file=sys.stderr, flush=True)
    return made.pop() if made else None


def timed(folder: Path) -> Iterator[tuple[int, Timed]]:
    """Yield the figures of all pairs of a comparison, with the number of the pair."""
    for path in sorted(folder.glob("pair-*-base.json")):
        other = path.with_name(path.name.replace("-base", "-head"))
        if not other.exists():
            continue
        base, head = ({row["fullname"]: row for row in _rows(each)} for each in (path, other))
        for name in base.keys() & head.keys():
            sides = [side[name]["extra_info"]["whisperbench"] for side in (base, head)]
            turns = [side["found"].get("turns") or {"reference_ms": []} for side in sides]
            cell = f"{sides[0]['cell']['model']} {sides[0]['cell']['precision']}"
            yield (
                int(path.name.split("-")[1]),
                Timed(
                    cell,
                    sides[0]["benchmark"],
                    *(_samples(side) for side in sides),
                    *(each["reference_ms"] for each in turns),
                ),
            )


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return rows


def _samples(side: dict[str, Any]) -> list[float]:
    found = next(metric for metric in side["metrics"] if metric["name"] == "latency_s")
    samples: list[float] = found["samples"]
    return samples


def show(name: str, folder: Path, seconds: float) -> None:
    """Print what a comparison came to."""
    verdicts = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    counts: dict[str, int] = defaultdict(int)
    for each in verdicts["verdicts"]:
        counts[f"{each.get('kind')} {each['verdict']}"] += 1
    pairs: dict[int, list[float]] = defaultdict(list)
    for number, figure in timed(folder):
        pairs[number].append(figure.medians)
    alarms = sum(any(growth > 0.05 for growth in growths) for growths in pairs.values())
    told = ", ".join(f"{times} {what}" for what, times in sorted(counts.items()))
    print(
        f"{name}: exit {verdicts['exit_code']}, {len(pairs)} pairs, {seconds / 60:.1f} min: "
        f"{told}; median:5% fails {alarms} of {len(pairs)} pairs"
    )
    for each in verdicts["verdicts"]:
        if each["verdict"] not in ("ok", "inconclusive"):
            cell = f"{each['cell']['model']} {each['cell']['precision']}"
            print(
                f"    {each['verdict']}: {each['benchmark']}, {cell}: {each['metric']}: "
                f"{each['sentence'][:150]}"
            )
    for line in [*verdicts["unmeasured"], *verdicts["undecided"]]:
        print(f"    {line[:200]}")
    sys.stdout.flush()


def spread(folders: Sequence[Path]) -> None:
    """Print how far pairs lie apart, in percent (root mean square), by stage."""
    rows: dict[tuple[str, str], list[Timed]] = defaultdict(list)
    for folder in folders:
        for _, figure in timed(folder):
            rows[figure.benchmark, figure.cell].append(figure)
    print(
        "stage, cell: pairs | base p50 ms | rms of a pair, %: in turns, over the loop, by medians"
        " | spread of the base's processes, %"
    )
    stages: dict[str, list[Timed]] = defaultdict(list)
    for (benchmark, cell), figures in sorted(rows.items()):
        _show_spread(f"{benchmark}, {cell}", figures, own=True)
        stages[benchmark] += figures
    for benchmark, figures in stages.items():
        _show_spread(benchmark, figures)


def save(folders: Sequence[Path], path: Path) -> None:
    """Write the growths of all pairs, as logarithms, by stage and cell."""
    kept: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        for _, figure in timed(folder):
            kept[figure.benchmark][figure.cell].append(round(_orders(figure.rounds), 5))
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def resample(path: Path, draws: int, seed: int) -> None:
    """Print what the sequential test says of slowdowns over recorded pairs."""
    recorded: dict[str, dict[str, list[float]]] = json.loads(path.read_text(encoding="utf-8"))
    chance = random.Random(seed)
    print(
        "stage: pairs recorded | slower by, %: regressed, ok, undecided, improved, % | mean pairs"
    )
    for stage, cells in recorded.items():
        pairs = [growth for growths in cells.values() for growth in growths]
        for percent in (0, 3, 5, 8):
            told = Counter[str]()
            used = 0
            for _ in range(draws):
                slower = math.log1p(percent / 100)
                growths = [chance.choice(pairs) + slower for _ in range(MOST)]
                found = decide(growths, family=FAMILY, tolerance=KINDS["wall"].in_turns)
                told[found.outcome] += 1
                used += found.pairs
            shares = ", ".join(
                f"{100 * told[each] / draws:.1f}"
                for each in ("regressed", "ok", "undecided", "improved")
            )
            print(f"{stage}: {len(pairs)} | +{percent}: {shares} | {used / draws:.1f}")


def _show_spread(name: str, figures: Sequence[Timed], *, own: bool = False) -> None:
    turns = [_orders(each.rounds) for each in figures]
    loops = [
        _orders([x - y for x, y in zip(each.rounds, each.loops, strict=True)])
        for each in figures
        if each.loops
    ]
    medians = [math.log1p(each.medians) for each in figures]
    p50s = [median(each.base_s) for each in figures]
    middle = fmean(map(math.log, p50s))
    between = 100 * math.sqrt(fmean((math.log(p50) - middle) ** 2 for p50 in p50s))
    print(
        f"{name}: {len(figures)} | {1e3 * median(p50s):.3g} | {_rms(turns):.2f}, "
        f"{_rms(loops):.2f}, {_rms(medians):.2f}" + (f" | {between:.1f}" if own else "")
    )


def _orders(rounds: Sequence[float]) -> float:
    return fmean([median(rounds[::2]), median(rounds[1::2])])


def _rms(logarithms: Sequence[float]) -> float:
    return 100 * math.sqrt(fmean(x * x for x in logarithms)) if logarithms else math.nan


def main() -> None:
    """Read the command line, and compare."""
    ours, theirs = sys.argv[1:], []
    if "--" in ours:
        at = ours.index("--")
        ours, theirs = ours[:at], ours[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--spread", nargs="+", type=Path)
    parser.add_argument("--save", type=Path, help="where the growths of --spread are kept")
    parser.add_argument("--resample", type=Path)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("check-ab"), help="for interpreters")
    parser.add_argument("--gpu-token-ms", type=float, default=0.4, help="of which the GPU's work")
    parser.add_argument("--ab", default="", help="options of ab, as in '--pairs 4 --budget 5'")
    options = parser.parse_args(ours)
    if options.spread:
        spread(options.spread)
        if options.save:
            save(options.spread, options.save)
        return
    if options.resample:
        resample(options.resample, options.draws, options.seed)
        return
    for number, name in enumerate(options.names):
        kind, _, percent = name.partition("+")
        edit = None
        if kind == "host":
            edit = host_edit(float(percent))
        elif kind == "gpu":
            edit = gpu_edit(options.gpu_token_ms / 1e3, float(percent))
        edit = LINEAR if name == "linear" else edit
        base = interpreter(options.work / f"{number}-base", None)
        head = interpreter(options.work / f"{number}-head", edit)
        started_s = time.monotonic()
        folder = run_ab(base.absolute(), head.absolute(), theirs, options.ab.split())
        if folder is not None and (folder / "verdicts.json").exists():
            show(name, folder, time.monotonic() - started_s)


if __name__ == "__main__":
    main()
