"""Commands on what can be asked for and where: list, limits and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whisperbench.cli.program import Command, app
from whisperbench.errors import ExitCode, InputError


@app.command("list", cls=Command)
def list_known() -> None:
    """Print what --model, --precision and --clip know."""
    from whisperbench.asked.checkout import CLIPS_FOLDER, require_checkout
    from whisperbench.asked.clips import read_manifest
    from whisperbench.asked.models import DUMMY_PREFIX, NANO, SIZES
    from whisperbench.asked.precisions import PRECISIONS

    require_checkout("list")
    typer.echo("--model")
    typer.echo(
        f"  {NANO}  small and trained; it ships with the suite and knows the suite's voices alone"
    )
    for size in SIZES:
        typer.echo(f"  {DUMMY_PREFIX}{size}")
    typer.echo("  owner/name[@<40-hex revision>]  from the hub")
    typer.echo("  PATH  a folder; one that is called nano is ./nano")
    typer.echo("--precision")
    width = max(map(len, PRECISIONS))
    for row in PRECISIONS.values():
        capability = ".".join(map(str, row.min_capability))
        alone = " alone" if row.needs_gpu else ""
        where = "" if row.min_capability == (0, 0) else f"; GPUs{alone} from {capability} on"
        typer.echo(f"  {row.name:<{width}} {row.summary}{where}")
    typer.echo("--transcriber")
    typer.echo("  MODULE:FACTORY  your own code: docs/transcribers.md")
    typer.echo("--clip")
    for clip in read_manifest(CLIPS_FOLDER).values():
        typer.echo(f"  {clip.name:<9} {clip.seconds:5.1f} s  {(clip.text or '')[:72]}")
    typer.echo("  PATH      a wav, flac or mp3 file with its text in a .txt file beside it")


# Named outright: typer 0.27.0 makes the name of it from the metavar.
DEVICE = typer.Option(
    "--device",
    metavar="DEVICE",
    help="cpu, cuda or cuda:<index>; auto is the first GPU, or the CPU.",
)


@app.command(cls=Command)
def limits(
    propose: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN.json", help="Write limits for suite.toml from what this run measured."
        ),
    ] = None,
    device: Annotated[str, DEVICE] = "auto",
) -> None:
    """Print the limits that apply on this machine, or propose some on memory from a run."""
    from whisperbench.judge import limits as judging

    if propose is not None:
        from whisperbench.results.records import name_of
        from whisperbench.results.run_file import read_run

        run = read_run(propose)
        for row in run.measurements:
            if row.benchmark == judging.MEMORY and judging.is_over(row):
                typer.echo(f"left out: {name_of(row.cell)}, which is over its limit", err=True)
        rows = judging.propose(run)
        if not rows:
            raise InputError(
                f"{propose}: no cell's memory was measured and within its limits; run "
                "pytest benchmarks/test_memory.py"
            )
        typer.echo("\n\n".join(map(judging.as_toml, rows)))
        return
    from whisperbench.asked.checkout import require_checkout
    from whisperbench.asked.suite import read_suite
    from whisperbench.devices.choosing import key_of, open_device, resolve
    from whisperbench.units import counted

    require_checkout("limits")
    key = key_of(open_device(resolve(device)).facts())
    here = judging.on_device(read_suite().limit, key)
    apply = "applies" if len(here) == 1 else "apply"
    typer.echo(f"{counted(len(here), 'limit')} {apply} on {key}")
    for limit in here:
        typer.echo(f"  {judging.describe(limit)}")
        typer.echo(f"    {limit.reason}")


@app.command(cls=Command)
def doctor(
    device: Annotated[str, DEVICE] = "auto",
) -> None:
    """Say whether this machine is fit to measure, and what to do; exits with 0, or with 4."""
    from whisperbench.doctor.examine import as_line, examine, summary

    found = []
    for finding in examine(device):
        typer.echo(as_line(finding))
        found.append(finding)
    typer.echo(summary(found))
    if any(finding.state == "unfit" for finding in found):
        raise typer.Exit(ExitCode.INVALID)
