"""Commands on baselines: record, and baseline list, show and promote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisperbench.cli.program import Command, app
from whisperbench.errors import ExitCode, InputError, WhisperbenchError

if TYPE_CHECKING:
    from whisperbench.results.records import Run


@app.command(
    cls=Command,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def record(
    context: typer.Context,
    runs: Annotated[
        int, typer.Option("--runs", min=1, help="Fresh processes that it is made of.")
    ] = 5,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What to call it.")
    ] = "default",
    force: Annotated[bool, typer.Option("--force", help="Replace a better one.")] = False,
) -> None:
    """Run the suite several times, and keep it as this device's baseline.

    What else is given is pytest's, as in: whisperbench record --runs 3 benchmarks/test_cost.py
    """
    from whisperbench.asked.checkout import RESULTS, require_checkout
    from whisperbench.record import baselines as baseline
    from whisperbench.record import runs as recording
    from whisperbench.results.run_file import require_writable

    require_checkout("record")
    require_writable(baseline.FOLDER / ".probe")
    baseline.path_of("device", name)
    paths = recording.record(runs, context.args, RESULTS, typer.echo)
    try:
        _keep(paths, name, force)
    except WhisperbenchError:
        typer.echo(f"the runs are kept: {' '.join(os.path.relpath(path) for path in paths)}")
        raise


baselines = typer.Typer(help="The baselines that were recorded.", no_args_is_help=True)
app.add_typer(baselines, name="baseline")


@baselines.command("list", cls=Command)
def list_baselines(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BASELINE...]", help="Their files; by default all of the suite."),
    ] = None,
) -> None:
    """Print what there is, a line each."""
    from whisperbench.asked.checkout import require_checkout
    from whisperbench.record import baselines as baseline
    from whisperbench.results.run_file import read_run

    if not files:
        require_checkout("baseline list", ", or name files")
        if not baseline.known():
            typer.echo("none yet: whisperbench record")
    broken = False
    for path in files or baseline.known():
        try:
            run = read_run(path)
        except InputError as error:
            typer.echo(str(error), err=True)
            broken = True
            continue
        typer.echo(
            f"{path if files else path.relative_to(baseline.FOLDER)}: {_size(run)}, "
            f"{run.machine.device}"
        )
    if broken:
        raise typer.Exit(ExitCode.USAGE)


@baselines.command("show", cls=Command)
def show_baseline(
    path: Annotated[Path, typer.Argument(metavar="BASELINE", help="Its file.")],
) -> None:
    """Print a baseline's figures, and how far its processes lie apart."""
    from whisperbench.report.summary import summarise
    from whisperbench.report.verdicts import spreads
    from whisperbench.results.run_file import read_run

    run = read_run(path)
    typer.echo(summarise(run))
    for line in spreads(run):
        typer.echo(line)


@baselines.command(cls=Command)
def promote(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN.json...", help="Runs of one machine.")],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What to call it.")
    ] = "default",
    force: Annotated[bool, typer.Option("--force", help="Replace a better one.")] = False,
) -> None:
    """Keep runs that were measured already as their device's baseline."""
    from whisperbench.asked.checkout import require_checkout

    require_checkout("baseline promote")
    _keep(runs, name, force)


def _keep(runs: list[Path], name: str, force: bool) -> None:
    from whisperbench.asked.suite import read_suite
    from whisperbench.record.baselines import keep
    from whisperbench.report.verdicts import as_text

    path, made = keep(
        runs,
        name,
        read_suite(),
        force=force,
        tell=lambda found: typer.echo(as_text(found, every_change=True)),
    )
    typer.echo(f"baseline: {os.path.relpath(path)}: {_size(made)}")


def _size(run: Run) -> str:
    from whisperbench.units import counted

    benchmarks = counted(len(run.measurements), "benchmark")
    return f"{benchmarks}, {counted(run.info.processes, 'process')}"
