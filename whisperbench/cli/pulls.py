"""The commands of `whisperbench pull`: what workflows of GitHub Actions call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisperbench.cli.program import BehindDashes, Command, Commands, app
from whisperbench.errors import ExitCode, WhisperbenchError

if TYPE_CHECKING:
    from whisperbench.pulls.api import Api
    from whisperbench.pulls.surroundings import Surroundings

pull = typer.Typer(
    cls=Commands,
    help="Gate a pull request from a workflow of GitHub Actions (docs/pulls.md).",
    no_args_is_help=True,
)
app.add_typer(pull, name="pull", hidden=True)

VERDICT = Path("verdict.json")
"""Where `judge` writes and `publish` reads, in the current folder."""


def _job() -> tuple[Surroundings, Api]:
    """Read the environment of a job."""
    from whisperbench.pulls.api import api_of
    from whisperbench.pulls.surroundings import Surroundings

    job = Surroundings(variables=os.environ)
    return job, api_of(job.api, job.repository, job.required("GITHUB_TOKEN"))


@pull.command(cls=Command)
def resolve() -> None:
    """Find out which commits are measured; write them as the job's outputs; mark the head pending.

    Reads what GitHub Actions says of the event, GITHUB_TOKEN, and of a dispatch WHISPERBENCH_PULL
    and WHISPERBENCH_HEAD. Writes pull, head and base to GITHUB_OUTPUT.
    """
    from whisperbench.pulls.resolving import resolve as resolved

    job, api = _job()
    job.required("GITHUB_OUTPUT")
    found = resolved(job, api)
    job.append("GITHUB_OUTPUT", found.as_output())
    typer.echo(found.as_output(), nl=False)


@pull.command(cls=BehindDashes)
def judge(
    context: typer.Context,
    artifact: Annotated[
        Path, typer.Argument(help="The folder or zip file that the measuring job has left.")
    ],
    suite: Annotated[
        Path, typer.Option("--suite", metavar="FILE", help="The suite.toml of the base.")
    ],
    verdict: Annotated[
        Path, typer.Option("--verdict", metavar="FILE", help="Write the verdict to this file.")
    ] = VERDICT,
    fast: Annotated[bool, typer.Option("--fast", help="Wall time was not to be measured.")] = False,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="KIND", help="The kind of device that it ran on, such as cuda."
        ),
    ] = None,
) -> None:
    """Judge what `whisperbench ab` has left, again, by the base's tolerances; trust none of it.

    Reads NEEDS, which is toJSON(needs), WHISPERBENCH_HEAD and WHISPERBENCH_BASE. Exits with the
    code of the verdict. What stands behind -- is what stood there for `whisperbench ab`.
    """
    from whisperbench.pulls.judging import judge_job
    from whisperbench.pulls.publishing import quiet
    from whisperbench.pulls.surroundings import Surroundings
    from whisperbench.pulls.verdict_file import write_verdict

    job = Surroundings(variables=os.environ)
    found = judge_job(job, artifact, suite, arguments=context.obj, fast=fast, device=device)
    write_verdict(verdict, found)
    typer.echo(f"{found.state}: {quiet(found.description)}")
    raise typer.Exit(found.exit_code)


@pull.command(cls=Command)
def pictures(
    artifact: Annotated[
        Path, typer.Argument(help="The folder or zip file that the measuring job has left.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the SVG files go.")],
    suite: Annotated[Path, typer.Option("--suite", metavar="FILE", help="The base's suite.toml.")],
) -> None:
    """Draw charts of what `whisperbench ab` has left; no verdict depends on them.

    Reads NEEDS, which is toJSON(needs). Exits with 0 also where nothing can be drawn, and says why,
    in a file as well: an artifact of pictures that the measuring job may have left is replaced.
    """
    from whisperbench.pulls.pictures import draw
    from whisperbench.pulls.publishing import quiet
    from whisperbench.pulls.surroundings import Surroundings
    from whisperbench.results.run_file import write_whole
    from whisperbench.units import counted

    try:
        count = draw(Surroundings(variables=os.environ), artifact, suite, folder)
    except WhisperbenchError as error:
        said = f"no pictures: {quiet(str(error))}"
        write_whole(folder / "none.txt", f"{said}\n".encode())
        typer.echo(said)
    else:
        typer.echo(counted(count, "picture"))


@pull.command(cls=Command)
def publish(
    verdict: Annotated[
        Path, typer.Option("--verdict", metavar="FILE", help="What `pull judge` has written.")
    ] = VERDICT,
) -> None:
    """Set the status of the reviewed head, and keep the pull request's comment up to date.

    Reads NEEDS, without whose jobs there is no success, WHISPERBENCH_HEAD, and WHISPERBENCH_PULL,
    which is empty where there is none. Writes to GITHUB_STEP_SUMMARY. Exits with the code of the
    verdict, which is 0 for a success that was told.
    """
    from whisperbench.pulls.publishing import publish as published

    raise typer.Exit(published(*_job(), verdict, typer.echo))


@pull.command(cls=Command)
def needs() -> None:
    """Exit with 4 where a job that this one needs did not succeed, and name it.

    Reads NEEDS, which is toJSON(needs). A job that was skipped did not succeed.
    """
    from whisperbench.pulls.publishing import quiet
    from whisperbench.pulls.surroundings import NEEDS, Surroundings, unmet_needs

    unmet = unmet_needs(Surroundings(variables=os.environ).required(NEEDS))
    if unmet:
        typer.echo(f"jobs that did not succeed: {quiet(', '.join(unmet))}", err=True)
        raise typer.Exit(ExitCode.INVALID)
