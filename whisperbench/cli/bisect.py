"""The command bisect: which release of a package, or which commit, made Whisper cost more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whisperbench.cli.program import Command, app
from whisperbench.errors import ExitCode


@app.command(
    cls=Command,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bisect(
    context: typer.Context,
    package: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE",
            help="transformers, bitsandbytes, accelerate, tokenizers or another one; with --git "
            "the package that the repository builds.",
        ),
    ],
    between: Annotated[
        str,
        typer.Argument(
            metavar="GOOD..BAD",
            help="Two releases, the older one first; with --git two revisions.",
        ),
    ],
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
            "--python", metavar="PATH", help="The interpreter whose other packages are shared."
        ),
    ] = None,
    git: Annotated[
        Path | None,
        typer.Option("--git", metavar="REPO", help="A clone of the package's repository."),
    ] = None,
) -> None:
    """Find the release of a package that made Whisper cost more, by exact counts.

    What else is given is pytest's, as in: whisperbench bisect transformers 5.0.0..5.23.0
    benchmarks/test_cost.py --model dummy:tiny --precision fp32
    """
    import sys

    from whisperbench.asked.checkout import require_checkout
    from whisperbench.bisect.commits import bisect_commits
    from whisperbench.bisect.measuring import DEFAULT, Measurer
    from whisperbench.bisect.releases import bisect_releases
    from whisperbench.record.processes import interrupted_by
    from whisperbench.record.runs import alone

    require_checkout("bisect")
    measurer = Measurer(
        python=python or Path(sys.executable), arguments=context.args or DEFAULT, say=typer.echo
    )
    with interrupted_by(), alone():
        if git is not None:
            found = bisect_commits(git, package, between, measurer, metric=metric, say=typer.echo)
        else:
            found = bisect_releases(package, between, measurer, metric=metric, say=typer.echo)
    for line in found.lines:
        typer.echo(line)
    raise typer.Exit(ExitCode.OK if found.decided else ExitCode.INCONCLUSIVE)
