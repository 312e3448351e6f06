"""Commands on a run over several processes: run, plan and merge."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisperbench.cli.program import Command, app, look
from whisperbench.errors import ExitCode, InputError, one_line

if TYPE_CHECKING:
    from whisperbench.results.records import Run

PYTESTS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Of commands that hand on what they do not know: it is pytest's."""

TAKEN = ("--shard", "--shard-times", "--result", "--baseline")
"""Options of pytest whose part the commands play themselves."""

Times = Annotated[
    Path | None,
    typer.Option(
        "--times",
        metavar="RUN.json",
        help="A run or baseline whose times balance the shards; by default this device's baseline.",
    ),
]


@app.command(cls=Command, context_settings=PYTESTS)
def run(
    context: typer.Context,
    gpus: Annotated[
        str,
        typer.Option("--gpus", metavar="all|N", help="Measure on all cards, or on the first N."),
    ],
    result: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="RUN.json", help="Write the run to this file."),
    ] = None,
    times: Times = None,
    anywhere: Annotated[
        bool, typer.Option("--not-pinned", help="Let the processes run on any core.")
    ] = False,
) -> None:
    """Measure on all cards of this host at once, one process for each, and merge the shards.

    All other arguments are pytest's, as in: whisperbench run --gpus all -- --model dummy:large-v3
    """
    from whisperbench.asked.checkout import RESULTS, require_checkout
    from whisperbench.devices.cards import cards
    from whisperbench.scale.host import run_shards, slots_of
    from whisperbench.scale.merging import merge_files

    require_checkout("run")
    arguments = _own_arguments(context.args, (*TAKEN, "--device"))
    found = cards()
    number = len(found) if gpus == "all" else _number("--gpus", gpus, len(found))
    slots = slots_of(found[:number], pinned=not anywhere)
    folder = _folder(RESULTS)

    def say(line: str) -> None:
        typer.echo(line, err=True)

    paths = run_shards(slots, arguments, folder, say, times=times)
    path = result or folder / "run.json"
    _tell(merge_files(paths, path), path)


@app.command(cls=Command)
def merge(
    shards: Annotated[
        list[Path], typer.Argument(metavar="SHARD.json...", help="The files of all shards.")
    ],
    result: Annotated[
        Path, typer.Option("-o", "--output", metavar="RUN.json", help="Write the run to this file.")
    ],
) -> None:
    """Merge the shards of one run, which pytest benchmarks/ --shard I/N has measured."""
    from whisperbench.scale.merging import merge_files

    _tell(merge_files(shards, result), result)


@app.command(cls=Command, context_settings=PYTESTS)
def plan(
    context: typer.Context,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", metavar="N", min=1, help="How many cards the run is split over."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="TIME", help="How long the run may take, as in 90s, 15m or 1h."
        ),
    ] = None,
    times: Times = None,
) -> None:
    """Print how a run would be split, and how long that is predicted to take.

    It exits with 1 where the prediction is over the budget. All other arguments are pytest's, as
    in: whisperbench plan --gpus 4 --budget 15m -- --device cuda --model dummy:large-v3
    """
    from whisperbench.asked.checkout import require_checkout
    from whisperbench.report.split import describe_split
    from whisperbench.scale.planning import ask_work, fewest_within, lengths_s, shortest

    require_checkout("plan")
    arguments = _own_arguments(context.args, TAKEN)
    if gpus is None and budget is None:
        raise InputError("plan: say --gpus N, --budget TIME, or both")
    budget_s = None if budget is None else _seconds(budget)
    work = ask_work(arguments, times)
    if budget_s is not None and work.process_s is None:
        raise InputError(
            f"--budget {budget}: no times are known, so that none can be predicted: make a "
            "baseline of this device with whisperbench record, or name a run of such a device with "
            "--times RUN.json"
        )
    fewest = None if budget_s is None else fewest_within(work, budget_s)
    shards = gpus or fewest or shortest(work)
    for line in describe_split(work, shards):
        typer.echo(line)
    if budget_s is None:
        return
    if max(lengths_s(work, shards)) > budget_s:
        enough = (
            f"{fewest} cards would be enough"
            if fewest is not None
            else "no number of cards is enough"
        )
        typer.echo(f"over the budget of {budget}: {enough}")
        raise typer.Exit(ExitCode.REGRESSED)
    typer.echo(f"within the budget of {budget}; the fewest cards that are enough: {fewest}")


def _own_arguments(arguments: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return pytest's arguments; refuse those whose part the command plays.

    Raises:
        InputError: there is one.
    """
    for argument in arguments:
        option = argument.partition("=")[0]
        if option in taken:
            raise InputError(f"{option}: drop it, for this command says it to each process itself")
    return [argument for argument in arguments if argument != "--"]


def _number(option: str, text: str, most: int) -> int:
    from whisperbench.asked.options import whole_number

    return whole_number(option, text, 1, most)


def _seconds(text: str) -> float:
    """Read a time such as 90s, 15m or 1.5h.

    Raises:
        InputError: it is none.
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smh])", text)
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not seconds:
        raise InputError(f"--budget {text}: must be a time such as 90s, 15m or 1h")
    return seconds


def _folder(place: Path) -> Path:
    """Make a folder for shards.

    Raises:
        InputError: it cannot be made.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        place.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{stamp}-shards-", dir=place))
    except OSError as error:
        raise InputError(f"{place}: cannot be written: {one_line(error.strerror)}") from error


def _tell(run: Run, path: Path) -> None:
    """Print a merged run's summary, and exit with what it comes to."""
    from whisperbench.judge.shards import exit_code_of
    from whisperbench.report.summary import summarise

    typer.echo(summarise(run, look()))
    typer.echo(f"result: {path}")
    raise typer.Exit(exit_code_of(run))
