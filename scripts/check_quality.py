"""Do the quality and numerics passes see what spoils a model? Edits real code in a scratch copy.

    python scripts/check_quality.py                          # dummy:tiny, int8, on a CPU
    python scripts/check_quality.py --model ./whisper-base   # with real weights: their words too

Prints, of each edit, the figures that changed and the limits that broke, pass by pass.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.edits import Edit, run_suite, scratch_copy  # noqa: E402 - of this checkout
from whisperbench.asked.suite import read_suite  # noqa: E402
from whisperbench.judge.compare import compare  # noqa: E402

if TYPE_CHECKING:
    from whisperbench.results.records import Run

LINEAR = "bitsandbytes/nn/modules.py"
FORWARD = "        self.state.is_training = self.training\n"

INVALID = "invalid"
"""In place of a metric: the model is not loaded as its precision says, and nothing is measured."""

EDITS = {
    "the feed-forward layers are not quantized": Edit(
        "transformers/quantizers/quantizer_bnb_8bit.py",
        "        model = replace_with_bnb_linear(",
        '        self.modules_to_not_convert.append("fc1")\n'
        "        model = replace_with_bnb_linear(",
        INVALID,
        "",
    ),
    "the weights of one layer are 1.05 of what they were": Edit(
        LINEAR,
        FORWARD,
        FORWARD
        + "        first = vars(type(self)).get('first') or []\n"
        + "        if len(first) < 6 and id(self) not in first:\n"
        + "            Linear8bitLt.first = first = [*first, id(self)]\n"
        + "        x = x * 1.05 if id(self) in first else x\n",
        "logit_error",
        "",
    ),
    "threshold 0, not 6": Edit(
        "bitsandbytes/autograd/_functions.py",
        "    if threshold > 0.0:\n        state.threshold = threshold\n",
        "    state.threshold = threshold = 0.0\n",
        "logit_error",
        "",
    ),
    "the language is not set": Edit(
        "transformers/models/whisper/generation_whisper.py",
        "    def _set_language_and_task(language, task, is_multilingual, generation_config):\n",
        "    def _set_language_and_task(language, task, is_multilingual, generation_config):\n"
        "        language = generation_config.language = None\n",
        "decode_aten_ops",
        "",
    ),
}


def check(options: argparse.Namespace) -> bool:
    """Show what each edit changes; whether all were seen, and nothing where nothing was edited."""
    cell = ("--device", options.device, "--model", options.model, "--precision", options.precision)
    files = ("benchmarks/test_quality.py", "benchmarks/test_cost.py")
    seen = True
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "run.json"

        def run(number: int, edit: Edit | None) -> Run:
            folder = Path(scratch) / str(number)
            scratch_copy(folder, edit)
            return run_suite(folder, result, *files, *cell, fails=edit is not None)

        unchanged = run(0, None)
        for number, (name, edit) in enumerate({"none": None, **EDITS}.items(), start=1):
            if name == "the language is not set" and not options.multilingual:
                continue
            head = run(number, edit)
            found = compare(unchanged, head, read_suite().tolerance)
            # A limit on what the reference has over it is left open: it is not run here.
            changed = [
                each
                for each in found
                if each.verdict.verdict != "ok" and each.verdict.absent is None
            ]
            print(f"\n== {name}", flush=True)
            if edit is not None and edit.metric == INVALID:
                refused = [line for line in head.unmeasured() if line.startswith(INVALID)]
                print("\n".join(f"  {line[:200]}" for line in refused))
                print("  as expected" if refused else "  NOT as expected", flush=True)
                seen &= bool(refused)
                continue
            for each in changed:
                if each.cell.precision == options.precision:
                    print(
                        f"  {each.verdict.verdict}: {each.benchmark}: {each.verdict.metric}: "
                        f"{each.verdict.sentence[:150]}"
                    )
            worse = {
                each.verdict.metric
                for each in changed
                if each.verdict.verdict in ("regressed", "over-limit")
            }
            as_known = not changed if edit is None else edit.metric in worse
            print("  as expected" if as_known else "  NOT as expected", flush=True)
            seen &= as_known
    return seen


def main() -> None:
    """Run it, and exit with 1 where an edit was not seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="dummy:tiny")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--multilingual", action="store_true", help="leave the language unset, too")
    if not check(parser.parse_args()):
        sys.exit("failed")


if __name__ == "__main__":
    main()
