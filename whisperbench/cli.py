"""The `whisperbench` command: it only reads, prints and exits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from whisperbench import __version__
from whisperbench.errors import ExitCode, InputError, WhisperbenchError

app = typer.Typer(
    help="What 8-bit quantization really costs Whisper on your hardware. "
    "Measure with `pytest benchmarks/`; look at what was measured with this.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"whisperbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def show(run: Annotated[Path, typer.Argument(help="A run's JSON file.")]) -> None:
    """Print the summary of a saved run."""
    from whisperbench.report import summarise
    from whisperbench.result import read_run

    typer.echo(summarise(read_run(run)))


@app.command()
def compare(
    base: Annotated[Path, typer.Argument(help="A run's JSON file.")],
    head: Annotated[Path, typer.Argument(help="Another's, to be judged by the first.")],
) -> None:
    """Judge one run's counts and GPU time by another's, and name what a change is made of."""
    from whisperbench import compare as comparing
    from whisperbench.result import read_run

    runs = {"base": read_run(base), "head": read_run(head)}
    changes = comparing.compare(**runs)
    absent = [f"{name}, {line}" for name, run in runs.items() for line in run.info.unmeasured()]
    for line in (*absent, *comparing.as_lines(changes)):
        typer.echo(line)
    outcomes = {change.outcome for change in changes}
    if "regressed" in outcomes:
        raise typer.Exit(ExitCode.REGRESSED)
    if absent or not outcomes or outcomes & {"not-comparable", "new", "missing"}:
        raise typer.Exit(ExitCode.INVALID)
    if "inconclusive" in outcomes:
        raise typer.Exit(ExitCode.INCONCLUSIVE)


@app.command("list")
def list_known() -> None:
    """Print what --model, --precision and --clip know."""
    from whisperbench.clips import read_manifest
    from whisperbench.models import DUMMY_PREFIX, SIZES
    from whisperbench.precisions import PRECISIONS
    from whisperbench.suite import CLIPS_FOLDER

    typer.echo("--model")
    for size in SIZES:
        typer.echo(f"  {DUMMY_PREFIX}{size}")
    typer.echo("  owner/name[@<40-hex revision>]  from the hub\n  PATH  a folder")
    typer.echo("--precision")
    for row in PRECISIONS.values():
        capability = ".".join(map(str, row.min_capability))
        where = "" if row.min_capability == (0, 0) else f"; GPUs from {capability} on"
        typer.echo(f"  {row.name:<8} {row.summary}{where}")
    typer.echo("--clip")
    for clip in read_manifest(CLIPS_FOLDER).values():
        typer.echo(f"  {clip.name:<9} {clip.seconds:5.1f} s  {(clip.text or '')[:72]}")
    typer.echo("  PATH      a wav, flac or mp3 file, its text in the .txt beside it")


@app.command()
def limits(
    propose: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN.json", help="Write rows for suite.toml from what a run measured."
        ),
    ] = None,
    # Named outright: typer 0.27.0 makes the name of it from the metavar.
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:<index>.")
    ] = "auto",
) -> None:
    """Print the memory ceilings that apply on this machine, or propose some from a run."""
    from whisperbench import ceilings

    if propose is not None:
        from whisperbench.result import read_run

        run = read_run(propose)
        for measured in filter(ceilings.is_over, run.measurements):
            name = ceilings.name_of(measured.cell)
            typer.echo(f"left out: {name}, which is over its ceiling", err=True)
        rows = ceilings.propose(run)
        if not rows:
            raise InputError(
                f"{propose}: no cell's memory was measured and within its ceilings; run "
                "pytest benchmarks/test_memory.py"
            )
        typer.echo("\n\n".join(map(ceilings.as_toml, rows)))
        return
    from whisperbench.hardware import key_of, open_device, resolve
    from whisperbench.suite import read_suite

    key = key_of(open_device(resolve(device)).facts())
    here = ceilings.on_device(read_suite().ceiling, key)
    typer.echo(f"ceilings on {key}: {len(here)}")
    for ceiling in here:
        typer.echo(f"  {ceilings.describe(ceiling)}")
        typer.echo(f"    {ceiling.reason}")


@app.command()
def doctor(
    # Named outright, as in `limits`.
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:<index>.")
    ] = "auto",
) -> None:
    """Say whether this machine is fit to measure, and what to do; exits with 0, or with 4."""
    from whisperbench.doctor import as_line, examine, summary

    found = []
    for finding in examine(device):
        typer.echo(as_line(finding))
        found.append(finding)
    typer.echo(summary(found))
    if any(finding.state == "unfit" for finding in found):
        raise typer.Exit(ExitCode.INVALID)


def main() -> None:
    """Run the command; an error of ours is one line on standard error and its exit code."""
    try:
        app()
    except WhisperbenchError as error:
        typer.echo(f"whisperbench: {error}", err=True)
        sys.exit(error.exit_code)
