"""The command bisect: which release of a package, or which commit, made Whisper cost more."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from whisperbench.cli.program import Command, app
from whisperbench.errors import ExitCode, WhisperbenchError

if TYPE_CHECKING:
    from whisperbench.bisect.measuring import Measurer

STOP = 255
"""The exit code of a step at which `git bisect run` stops, as at any over 127. All below it but 125
would make a commit a bad one."""

_STEPS = {"good": 0, "bad": 1, "skip": 125}


PACKAGE = typer.Argument(
    metavar="PACKAGE",
    help="The package: transformers, bitsandbytes, accelerate, tokenizers or another one; with "
    "--git the one that the repository builds.",
)
BETWEEN = typer.Argument(
    metavar="GOOD..BAD", help="Two releases, the older one first; with --git two revisions."
)


@app.command(
    cls=Command,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bisect(
    context: typer.Context,
    package: Annotated[str, PACKAGE],
    between: Annotated[str, BETWEEN],
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="The count to follow, or a pattern such as decode_*; by default the one that grew "
            "by the largest share.",
        ),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(
            "--python", metavar="PATH", help="Take all other packages from this Python interpreter."
        ),
    ] = None,
    git: Annotated[
        Path | None,
        typer.Option("--git", metavar="REPO", help="A clone of the package's repository."),
    ] = None,
) -> None:
    """Find the release of a package that made Whisper cost more, by exact counts.

    All other arguments are pytest's, as in: whisperbench bisect transformers 5.0.0..5.23.0
    benchmarks/test_cost.py --model dummy:tiny --precision fp32

    With --git it is a step of `git bisect run` where a bisection is under way in REPO: it judges
    what is checked out, and exits with 0 (good), 1 (bad) or 125 (cannot be measured).
    """
    from whisperbench.asked.checkout import require_checkout
    from whisperbench.bisect.commits import bisect_commits
    from whisperbench.bisect.git import Git
    from whisperbench.bisect.measuring import DEFAULT, Measurer
    from whisperbench.bisect.releases import bisect_releases
    from whisperbench.record.processes import interrupted_by
    from whisperbench.record.runs import alone
    from whisperbench.versions.suites import running_suite

    require_checkout("bisect")
    measurer = Measurer(
        python=python or Path(sys.executable), arguments=context.args or DEFAULT, say=typer.echo
    )
    if git is not None and Git(git).is_bisecting():
        _step(git, package, between, measurer, metric)
    with interrupted_by(), alone(), running_suite() as measurer.suite:
        if git is not None:
            found = bisect_commits(git, package, between, measurer, metric=metric, say=typer.echo)
        else:
            found = bisect_releases(package, between, measurer, metric=metric, say=typer.echo)
    for line in found.lines:
        typer.echo(line)
    raise typer.Exit(ExitCode.OK if found.decided else ExitCode.INCONCLUSIVE)


def _step(
    git: Path, package: str, between: str, measurer: Measurer, metric: str | None
) -> NoReturn:
    """Judge what is checked out, and exit as `git bisect run` wants it; an accident stops it."""
    from whisperbench.bisect.commits import judge_checkout
    from whisperbench.record.processes import interrupted_by
    from whisperbench.record.runs import alone
    from whisperbench.versions.suites import running_suite

    try:
        with interrupted_by(), alone(), running_suite() as measurer.suite:
            found = judge_checkout(git, package, between, measurer, metric=metric, say=typer.echo)
    except WhisperbenchError as error:
        typer.echo(f"whisperbench: {error}", err=True)
        raise typer.Exit(STOP) from error
    except Exception as error:
        traceback.print_exc()
        raise typer.Exit(STOP) from error
    raise typer.Exit(_STEPS[found])
