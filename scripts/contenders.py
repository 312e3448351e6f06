"""Measure every precision and runtime that runs here, and write the table of contenders.

    python scripts/contenders.py                               # nano, and prints its table
    python scripts/contenders.py --model nano --model DIR/tiny.en --write docs/contenders.md
    python scripts/contenders.py --model dummy:large-v3        # on a GPU, in some minutes a row

Each model is one run of `pytest benchmarks/` over the benchmarks of memory, time and words, whose
file stays in results/contenders. What cannot run here is named with its reason. torchao is taken
from the folder that WHISPERBENCH_TORCHAO names, where it is not installed. Between the marks that
begin and end the tables, --write replaces what a document says.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from whisperbench.asked.models import ModelSpec
from whisperbench.asked.precisions import PRECISIONS, Precision
from whisperbench.devices.choosing import open_device, resolve
from whisperbench.errors import DeviceError
from whisperbench.report.contenders_text import as_markdown, contenders_of
from whisperbench.report.durations import LEGEND, cells, durations_of, headings, sentences
from whisperbench.results.records import Run
from whisperbench.results.run_file import read_run

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "contenders"
FILES = ("test_memory.py", "test_transcribe.py", "test_quality.py")
"""What a contender is measured by."""
DURATIONS = "test_durations.py"
COST = "test_cost.py"
BEGIN, END = "<!-- contenders: begin -->", "<!-- contenders: end -->"
TORCHAO = "WHISPERBENCH_TORCHAO"


def runnable(device: str) -> tuple[list[Precision], dict[str, str]]:
    """Return the rows that run on a device, and of the others the reason."""
    from whisperbench.whisper.backend_choice import require_installed

    capability = open_device(device).facts().compute_capability
    rows, reasons = [], {}
    for row in PRECISIONS.values():
        if row.as_saved:
            continue
        why = row.why_not(capability)
        try:
            require_installed(row)
        except DeviceError as error:
            why = why or str(error).partition(": ")[2]
        if why is None:
            rows.append(row)
        else:
            reasons[row.name] = why
    return rows, reasons


def measure(
    model: str, precisions: Sequence[str], files: Sequence[str], more: Sequence[str]
) -> tuple[Run, str]:
    """Measure a model; return its run, and how the process ended.

    Raises:
        SystemExit: it has left no file.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = RESULTS / f"{ModelSpec.parse(model).name.replace('/', '-').replace(':', '-')}.json"
    result.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-q", *(f"benchmarks/{name}" for name in files)),
        *("--model", model, "--precision", ",".join(precisions), "--result", str(result), *more),
    ]
    print("+", " ".join(command), flush=True)
    ended = subprocess.run(command, cwd=ROOT, env=environment(os.environ), check=False)
    if not result.is_file():
        sys.exit(f"{model}: pytest ended with {ended.returncode} and left no file")
    run = read_run(result)
    return run, "; ".join(run.unmeasured())


def environment(known: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the runs: with torchao on the path where it lies elsewhere."""
    paths = [str(ROOT), known.get(TORCHAO, ""), known.get("PYTHONPATH", "")]
    return {**known, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def written(runs: Sequence[tuple[str, Run, str]], reasons: Mapping[str, str]) -> str:
    """Write the tables of some models, and what is missing of them.

    Args:
        runs: of each the model, its run, and what of it was not measured.
        reasons: why a row does not run here, by its name.
    """
    parts = []
    for model, run, missing in runs:
        parts.append(as_markdown(contenders_of([(model, run)])))
        if missing:
            parts.append(f"Not measured of {run.measurements[0].cell.model}: {missing}.")
        for found in durations_of(run):
            names = headings(found)
            rule = ["---" if name == "precision" else "---:" for name in names]
            rows = [names, rule, *(cells(found, row) for row in found.rows)]
            table = "\n".join(f"| {' | '.join(row).replace('*', chr(92) + '*')} |" for row in rows)
            parts += [f"#### {found.name}: speech of several durations", table]
            parts += [" ".join(sentences(found)), LEGEND.replace("*", r"\*")]
    if reasons:
        parts.append("These rows do not run on the machine that measured:")
        parts.append("\n".join(f"- {name}: {why}." for name, why in reasons.items()))
    return "\n\n".join(parts)


def replaced(document: str, tables: str) -> str:
    """Put tables between a document's marks.

    Raises:
        SystemExit: it has not both marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"the document lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", help="as --model of pytest; by default nano")
    parser.add_argument("--precision", help="rows with commas; by default all that run here")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--durations", action="store_true", help="time 1, 5, 27 and 90 s, too")
    parser.add_argument("--cost", action="store_true", help="profile, too, which shows attention")
    parser.add_argument("--write", type=Path, help="a document with marks to write between")
    asked, more = parser.parse_known_args()
    if folder := os.environ.get(TORCHAO):
        sys.path.append(folder)
    device = resolve(asked.device)
    rows, reasons = runnable(device)
    names = asked.precision.split(",") if asked.precision else [row.name for row in rows]
    files = [*FILES, *([DURATIONS] if asked.durations else []), *([COST] if asked.cost else [])]
    runs = []
    for model in asked.model or ["nano"]:
        run, missing = measure(model, names, files, ["--device", device, *more])
        runs.append((model, run, missing))
    tables = written(runs, {} if asked.precision else reasons)
    print(tables)
    if asked.write is not None:
        text = asked.write.read_text(encoding="utf-8")
        asked.write.write_text(replaced(text, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
