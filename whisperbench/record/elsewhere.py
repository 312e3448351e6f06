"""A run of the suite in another interpreter: a side of a comparison, or a step of a bisection."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from whisperbench.asked.checkout import BENCHMARKS, ROOT
from whisperbench.errors import InvalidMeasurementError, one_line
from whisperbench.record.processes import run_child
from whisperbench.record.runs import RECORDER, alone_or_part
from whisperbench.results.records import Run
from whisperbench.results.run_file import read_run

_TOLD = (0, 1, 3, 4)
"""Exit codes of a run that ended by itself and may have written a file: passed, a benchmark failed,
and the suite's own for inconclusive and invalid. A run of pytest that was misused writes none."""

_NOT_HANDED_ON = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP")
"""What would let an interpreter find other packages or another suite."""


def run_suite(
    python: Path,
    suite: Path,
    arguments: Sequence[str],
    result: Path,
    *,
    own: Sequence[Path] = (),
    name: str,
) -> Run:
    """Run a suite's benchmarks in another interpreter, and return what was measured.

    The run has the suite as its working folder, so that the suite's own whisperbench measures, and
    holds the lock of recordings for as long as it lives. Who holds that lock already, with
    `runs.alone`, keeps it between runs.

    Args:
        python: the interpreter.
        suite: the checkout whose benchmarks are run.
        arguments: of pytest; `benchmarks` is added where none of them is a path there. Relative
            paths in them are those of this process.
        result: where the run's file goes.
        own: folders of the side's own code, which the run finds behind the suite's.
        name: of the side, for sentences, such as "transformers==5.17.0".

    Returns:
        The run, also where benchmarks of it failed: its manifest says which.

    Raises:
        InvalidMeasurementError: the run crashed, or measured nothing.
        InputError: another recording or run is under way, or the run's file cannot be read.
        KeyboardInterrupt: Ctrl-C, or a signal that ends a job; the run has ended by then.
    """
    asked = rebased(arguments, suite)
    result = result.resolve()
    result.unlink(missing_ok=True)
    with alone_or_part() as lock:
        try:
            code, output = run_child(
                [str(python), "-m", "pytest", *asked, "--result", str(result)],
                environment=suite_environment(own),
                folder=suite,
                lock=lock,
            )
        except OSError as error:
            raise InvalidMeasurementError(
                f"{name}: {python} cannot be started: {one_line(error.strerror)}"
            ) from error
    if code not in _TOLD or not result.is_file():
        raise InvalidMeasurementError(f"{name}: {_what_happened(code)}: {last_words(output)}")
    return read_run(result)


def suite_environment(own: Sequence[Path]) -> dict[str, str]:
    """Return the environment variables of a run in another interpreter.

    Args:
        own: folders that it finds packages in, beside the suite and the interpreter's own.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    more = {RECORDER: str(os.getpid()), "PYTHONIOENCODING": "utf-8"}
    if own:
        more["PYTHONPATH"] = os.pathsep.join(str(each.resolve()) for each in own)
    return kept | more


def rebased(arguments: Sequence[str], suite: Path) -> list[str]:
    """Make arguments of pytest mean in a suite's folder what they mean in the current one.

    A path of the running checkout becomes the suite's, and another one that exists here absolute;
    whether an option's value or part of a list makes no difference. Without a path in the suite,
    `benchmarks` comes first.

    >>> rebased(["-q", "benchmarks/test_cost.py"], ROOT)
    ['-q', 'benchmarks/test_cost.py']
    >>> rebased(["-q"], ROOT)
    ['benchmarks', '-q']
    """
    found = []
    named = False
    for argument in arguments:
        option, equals, value = ("", "", argument)
        if argument.startswith("-"):
            option, equals, value = argument.partition("=")
        values = [_rebased(each, suite) for each in value.split(",")]
        named = named or (not option and _in_benchmarks(values[0], suite))
        found.append(option + equals + ",".join(values))
    return found if named else ["benchmarks", *found]


def _rebased(value: str, suite: Path) -> str:
    path, colons, test = value.partition("::")
    looks_like_one = os.sep in path or Path(path).suffix
    try:
        here = Path(path).resolve()
        if not path or not here.exists():
            return value
        if here.is_relative_to(BENCHMARKS):
            return str(here.relative_to(ROOT)) + colons + test
        if not looks_like_one or (suite / path).exists():
            return value
    except (OSError, ValueError):  # too long for a path, or it holds a zero
        return value
    return str(here) + colons + test


def _in_benchmarks(value: str, suite: Path) -> bool:
    try:
        path = (suite / value.partition("::")[0]).resolve()
        return path.exists() and path.is_relative_to((suite / "benchmarks").resolve())
    except (OSError, ValueError):
        return False


def _what_happened(code: int) -> str:
    if code < 0:
        try:
            return f"the run was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"the run was ended by signal {-code}"
    return f"the run exited with {code} and measured nothing"


def last_words(output: str) -> str:
    """Find the line of pytest's output that says most: its last error, or else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip("=_ \t")]
    telling = [
        line
        for line in lines
        if line.startswith(("ERROR: ", "E  ", "whisperbench: "))
        or "Error: " in line
        or ": error: " in line  # how argparse ends its usage
    ]
    # What pytest writes of a crash of its own may end in advice, which says less.
    crash = [line for line in lines if line.startswith("INTERNALERROR> ")]
    return one_line((telling or crash or lines or ["it said nothing"])[-1])
