"""Commands on baselines: record, and baseline list, show and promote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisperbench.cli.program import Command, app, look
from whisperbench.errors import ExitCode, InputError, WhisperbenchError

if TYPE_CHECKING:
    from whisperbench.results.records import Run


_SHARED = "Make a baseline for all CPUs of this instruction set. It can hold counts alone."


@app.command(
    cls=Command,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def record(
    context: typer.Context,
    runs: Annotated[
        int, typer.Option("--runs", min=1, help="How many fresh processes to measure.")
    ] = 5,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The name of the baseline.")
    ] = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Replace a baseline even if it is better.")
    ] = False,
    shared: Annotated[bool, typer.Option("--shared", help=_SHARED)] = False,
) -> None:
    """Run the suite several times, and keep it as this device's baseline.

    All other arguments are pytest's, as in: whisperbench record --runs 3 benchmarks/test_cost.py
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
        _keep(paths, name, force, shared)
    except WhisperbenchError:
        typer.echo(recording.kept(paths))
        raise


baselines = typer.Typer(help="List, show, make and compare baselines.", no_args_is_help=True)
app.add_typer(baselines, name="baseline")


@baselines.command("list", cls=Command)
def list_baselines(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[BASELINE...]", help="Files of baselines; by default all of the suite."
        ),
    ] = None,
) -> None:
    """Print a line for each baseline."""
    from whisperbench.asked.checkout import require_checkout
    from whisperbench.record import baselines as baseline
    from whisperbench.results.run_file import read_run

    if not files:
        require_checkout("baseline list", ", or name files")
        if not baseline.known():
            typer.echo("there is no baseline yet: whisperbench record makes one")
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
    path: Annotated[Path, typer.Argument(metavar="BASELINE", help="The file of the baseline.")],
) -> None:
    """Print a baseline's figures, and how far its processes lie apart."""
    from whisperbench.report.summary import summarise
    from whisperbench.report.verdicts import spreads
    from whisperbench.results.run_file import read_run

    run = read_run(path)
    typer.echo(summarise(run, look()))
    for line in spreads(run):
        typer.echo(line)


@baselines.command(cls=Command)
def promote(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN.json...", help="Files of runs of one machine.")
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The name of the baseline.")
    ] = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Replace a baseline even if it is better.")
    ] = False,
    shared: Annotated[bool, typer.Option("--shared", help=_SHARED)] = False,
) -> None:
    """Keep runs that were measured already as their device's baseline."""
    from whisperbench.asked.checkout import require_checkout

    require_checkout("baseline promote")
    _keep(runs, name, force, shared)


@baselines.command(cls=Command)
def diff(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[OLD NEW]", help="The files of a baseline before and after."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="REVISION",
            help="In place of files: all baselines of the suite that differ from this commit's.",
        ),
    ] = None,
) -> None:
    """Print what changes in baselines, as Markdown for the pull request that changes them."""
    if (since is None) == (not files) or (files and len(files) != 2):
        raise InputError("name two files, OLD and NEW, or --since REVISION")
    if files:
        from whisperbench.results.run_file import read_run

        changes: list[tuple[str, Run | None, Run | None]]
        changes = [(str(files[1]), read_run(files[0]), read_run(files[1]))]
    else:
        changes = _changed_since(since or "")
    sections = [_section(*change) for change in changes]
    typer.echo("\n\n".join(sections) or f"no baseline differs from {since}")


@baselines.command(cls=Command)
def history(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Recorded runs of a device."),
    ],
) -> None:
    """Print what changed over the recordings of a folder and their versions in git, and when."""
    from whisperbench.asked.suite import suite_here
    from whisperbench.judge.history import history_of
    from whisperbench.record.history import read_history
    from whisperbench.report.history import as_lines

    recordings, remarks = read_history(folder)
    suite = suite_here()
    found = history_of(recordings, suite.tolerance if suite is not None else ())
    for line in (*as_lines(found), *remarks):
        typer.echo(line)


def _changed_since(revision: str) -> list[tuple[str, Run | None, Run | None]]:
    """Return name, old and new of the suite's baselines that differ from those of a commit."""
    from whisperbench.asked.checkout import require_checkout
    from whisperbench.record import baselines as baseline
    from whisperbench.results.schema import decode_run

    require_checkout("baseline diff", ", or name two files")
    before = baseline.known_at(revision)
    after = {path: path.read_bytes() for path in baseline.known()}
    found = []
    for path in sorted({*before, *after}):
        name = path.relative_to(baseline.FOLDER.parent).as_posix()
        old, new = before.get(path), after.get(path)
        if old != new:
            found.append(
                (
                    name,
                    decode_run(old, f"{name} of {revision}") if old is not None else None,
                    decode_run(new, name) if new is not None else None,
                )
            )
    return found


def _section(name: str, old: Run | None, new: Run | None) -> str:
    from whisperbench.asked.suite import suite_here
    from whisperbench.judge.comparison import Comparison, hold_against
    from whisperbench.report.verdict_markdown import as_baseline_change

    found = Comparison(judged=())
    if old is not None and new is not None:
        found = hold_against(old, new, suite_here())
    return as_baseline_change(name, old, new, found)


def _keep(runs: list[Path], name: str, force: bool, shared: bool) -> None:
    from whisperbench.asked.suite import read_suite
    from whisperbench.record.baselines import keep
    from whisperbench.report.verdicts import as_text

    path, made = keep(
        runs,
        name,
        read_suite(),
        force=force,
        shared=shared,
        tell=lambda found: typer.echo(as_text(found, every_change=True)),
    )
    typer.echo(f"baseline: {os.path.relpath(path)}: {_size(made)}")


def _size(run: Run) -> str:
    from whisperbench.units import counted

    benchmarks = counted(len(run.measurements), "benchmark")
    return f"{benchmarks}, {counted(run.info.processes, 'process')}"
