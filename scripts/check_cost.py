"""Does the cost pass see real changes, and nothing else? Edits real code in a scratch copy.

    python scripts/check_cost.py sensitivity           # on a CPU, or a GPU with --device cuda
    python scripts/check_cost.py processes --device cuda --model dummy:large-v3

`sensitivity` copies transformers and bitsandbytes, makes one edit at a time, and shows what the
cost pass and what the wall clock of several fresh processes (`wall`) say of each. `processes` runs
the pass in fresh processes and compares them with the first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.edits import (  # noqa: E402 - of this checkout
    WHISPER,
    Edit,
    run_suite,
    scratch_copy,
    with_packages,
)

if TYPE_CHECKING:
    from whisperbench.results.records import Run

TOKENS = 16
WARMUPS = 2
ROUNDS = 5
"""Of the transcriptions that are timed, in each process."""

EDITS = {
    "one elementwise op more a layer": Edit(
        WHISPER,
        "        residual = hidden_states\n        hidden_states = self.self_attn_layer_norm(",
        "        hidden_states = hidden_states * 1.0\n"
        "        residual = hidden_states\n        hidden_states = self.self_attn_layer_norm(",
        "encoder_aten_ops",
        "aten::mul, from WhisperEncoderLayer",
    ),
    "a .to() there and back a Linear8bitLt": Edit(
        "bitsandbytes/nn/modules.py",
        "        self.state.is_training = self.training\n",
        "        self.state.is_training = self.training\n"
        "        x = x.to(torch.float64).to(x.dtype)\n",
        "decode_aten_ops",
        "aten::to a token, from Linear8bitLt",
    ),
    "one wait more a token": Edit(
        WHISPER,
        "        return BaseModelOutputWithPast",
        "        hidden_states.sum().item()\n        return BaseModelOutputWithPast",
        "decode_aten_ops",
        "+1 aten::item a token, from WhisperDecoder",
    ),
    "int8 threshold 0, not 6": Edit(
        "bitsandbytes/autograd/_functions.py",
        "    if threshold > 0.0:\n        state.threshold = threshold\n",
        "    state.threshold = threshold = 0.0\n",
        "decode_aten_ops",
        "from Linear8bitLt",
    ),
    "eager attention, not sdpa": Edit(
        WHISPER,
        "            self.config._attn_implementation, eager_attention_forward\n        )",
        '            "eager", eager_attention_forward\n        )',
        "encoder_aten_ops",
        "aten::matmul, from WhisperAttention",
    ),
}


def wall_p50s(folders: Mapping[str, Path], options: argparse.Namespace) -> dict[str, float]:
    """Time transcriptions in one fresh process for each folder; return their p50 in seconds.

    All of them import at once, which takes the longest, and then transcribe one after the other.
    """
    waiting = {
        name: subprocess.Popen(
            [
                *(sys.executable, __file__, "wall", "--device", options.device),
                *("--model", options.model, "--precision", options.precision),
            ],
            env=with_packages(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, folder in folders.items()
    }
    for process in waiting.values():
        assert process.stdout is not None
        process.stdout.readline()
    found = {}
    for name, process in waiting.items():
        said, errors = process.communicate("go\n")
        if process.returncode:
            sys.exit(f"{name}: the process that was to be timed failed\n{errors}")
        found[name] = float(said)
    return found


def transcribe_when_told(options: argparse.Namespace) -> bool:
    """Be one of those processes: import, wait, transcribe, and print the p50."""
    import bitsandbytes  # noqa: F401 - imported before the wait, as all of it
    import msgspec
    from transformers.models.whisper import modeling_whisper  # noqa: F401

    from whisperbench.asked.checkout import CLIPS_FOLDER
    from whisperbench.asked.clips import load_audio, read_manifest
    from whisperbench.asked.models import ModelSpec
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.asked.precisions import PRECISIONS
    from whisperbench.devices.choosing import open_accelerator
    from whisperbench.whisper.checkpoints import resolve_checkpoint
    from whisperbench.whisper.loading import load_model
    from whisperbench.whisper.quiet import quieten

    print("ready", flush=True)
    if not sys.stdin.readline():
        return False
    quieten()
    model = ModelSpec.parse(options.model)
    precision = PRECISIONS[options.precision]
    key = CheckpointKey(model=model, precision=precision, attention="sdpa")
    accelerator = open_accelerator(options.device)
    loaded = load_model(resolve_checkpoint(model), key, accelerator)
    clip = msgspec.structs.replace(read_manifest(CLIPS_FOLDER)["harbour"], language="en")
    transcriber = loaded.transcriber([load_audio(clip)])
    spent = []
    for _ in range(WARMUPS + ROUNDS):
        accelerator.synchronize()
        started_s = time.perf_counter()
        transcriber.transcribe(TOKENS)
        accelerator.synchronize()
        spent.append(time.perf_counter() - started_s)
    print(median(spent[WARMUPS:]))
    return True


def check_sensitivity(options: argparse.Namespace) -> bool:
    """Show what each edit changes, by cost and by wall time; whether cost saw all of them."""
    cell = ("--device", options.device, "--model", options.model, "--precision", options.precision)
    seen = True
    with tempfile.TemporaryDirectory() as scratch:
        folders: dict[str, Path] = {}
        for number, (name, edit) in enumerate({"unchanged": None, **EDITS}.items()):
            folders[name] = Path(scratch) / str(number)
            scratch_copy(folders[name], edit)
        result = Path(scratch) / "run.json"
        costs = {
            name: run_suite(folder, result, "benchmarks/test_cost.py", *cell)
            for name, folder in folders.items()
        }
        again = run_suite(folders["unchanged"], result, "benchmarks/test_cost.py", *cell)
        for name, run in {"unchanged, again": again, **costs}.items():
            seen &= _as_expected(name, costs["unchanged"], run)
        walls: dict[str, list[float]] = {name: [] for name in folders}
        for number in range(options.processes):
            for name, p50_s in wall_p50s(folders, options).items():
                walls[name].append(p50_s)
            print(f"\nwall p50 of {number + 1} processes, s:")
            base_s = median(walls["unchanged"])
            for name, found in walls.items():
                spread = f"{min(found):.4f} to {max(found):.4f}"
                change = median(found) / base_s - 1
                print(f"  {name:<40} {median(found):.4f} ({spread}), {change:+.1%}")
    return seen


def _as_expected(name: str, unchanged: Run, run: Run) -> bool:
    """Show what an edit changes; whether that is what the edit is known to do."""
    from whisperbench.judge.compare import compare
    from whisperbench.judge.comparison import Comparison
    from whisperbench.report.verdicts import as_text

    changes = compare(unchanged, run)
    changed = [change.verdict for change in changes if change.verdict.verdict != "ok"]
    print(f"\n== {name}\n{as_text(Comparison(judged=changes))}")
    edit = EDITS.get(name)
    if edit is None:
        expected = bool(changes) and not changed
    else:
        expected = any(
            change.metric == edit.metric
            and change.verdict in ("regressed", "improved")
            and edit.cause in change.sentence
            for change in changed
        )
    print("  as expected" if expected else "  NOT as expected", flush=True)
    return expected


def check_processes(options: argparse.Namespace) -> bool:
    """Run the pass in fresh processes; whether counts are equal, and GPU time within 0.5 %.

    That is of the processes' median.
    """
    from whisperbench.judge.compare import compare
    from whisperbench.judge.comparison import Comparison
    from whisperbench.report.verdicts import as_text

    same = True
    cell = ("--device", options.device, "--model", options.model, "--precision", options.precision)
    if options.processes < 2:
        sys.exit("--processes: two are the fewest that can be compared")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if options.keep is None else options.keep
        runs = [
            run_suite(None, folder / f"cost-{number}.json", "benchmarks/test_cost.py", *cell)
            for number in range(options.processes)
        ]
    for run in runs[1:]:
        changes = compare(runs[0], run)
        same &= bool(changes)
        differing = [change for change in changes if change.verdict.verdict != "ok"]
        same &= not differing
        if differing:
            print(as_text(Comparison(judged=differing)))
    for row in runs[0].measurements:
        for metric in row.metrics:
            if metric.kind != "device_time":
                continue
            found = [
                median(other.samples)
                for run in runs
                for again in run.measurements
                if again.cell == row.cell
                and (other := again.metric(metric.name)) is not None
                and other.samples
            ]
            spread = max(abs(value / median(found) - 1) for value in found)
            same &= spread <= 0.005
            found_ms = f"{min(found):.3f} to {max(found):.3f} ms"
            where = f"{row.cell.model} {row.cell.precision}"
            print(f"{where} {metric.name}: {found_ms}, {spread:.2%}")
    print(f"{options.processes} processes: {'the same' if same else 'NOT the same'}")
    return same


def main() -> None:
    """Run the part that is asked for."""
    parts: dict[str, Callable[[argparse.Namespace], bool]] = {
        "sensitivity": check_sensitivity,
        "processes": check_processes,
        "wall": transcribe_when_told,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=parts)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="dummy:tiny")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a folder for the result files of `processes`")
    options = parser.parse_args()
    if not parts[options.part](options):
        sys.exit("failed")


if __name__ == "__main__":
    main()
