"""Commands that read results: show, score and compare."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from whisperbench.cli.pictures import PicturesFolder, draw_into
from whisperbench.cli.program import Command, app, look, with_formats
from whisperbench.errors import ExitCode, InputError, printable


def _summary_formats() -> Iterable[str]:
    from whisperbench.report import figures, fleet_text, summary

    return dict.fromkeys((*fleet_text.FORMATS, *figures.FORMATS, *summary.FORMATS))


@app.command(cls=with_formats(_summary_formats))
def show(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN.json...", help="Files of runs, each of one device.")
    ],
    written: Annotated[str, typer.Option("--format", help="The format of the summary.")] = "text",
) -> None:
    """Print the summary of a run, or one table over the devices of several runs.

    csv and jsonl have a line for each figure. docs/results-columns.md describes their columns.
    """
    from whisperbench.report import figures, fleet_text, summary
    from whisperbench.report.fleet import fleet_of
    from whisperbench.results.run_file import read_run

    found = [(printable(path), read_run(path)) for path in runs]
    if len(found) == 1 and written == "text":
        typer.echo(summary.summarise(found[0][1], look()))
    elif len(found) == 1 and written in summary.FORMATS:
        typer.echo(summary.FORMATS[written](found[0][1]))
    elif written in figures.FORMATS:
        typer.echo(figures.FORMATS[written](found))
    else:
        typer.echo(fleet_text.FORMATS[written](fleet_of(found)))


@app.command(cls=Command)
def score(
    clips: Annotated[
        Path,
        typer.Argument(metavar="CLIPS.jsonl", help="A file of JSON lines with text and pred_text."),
    ],
    # Named outright, as in `limits`.
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            metavar="LANGUAGE",
            help="The language of lines that do not name theirs (lang).",
        ),
    ] = None,
) -> None:
    """Count the wrong words again of what a run, or another tool, has heard clip by clip."""
    from whisperbench.report.quality import score_lines
    from whisperbench.results.heard import read_lines
    from whisperbench.text.languages import language_code

    code = language_code(language, "--language") if language is not None else None
    for line in score_lines(read_lines(clips, code)):
        typer.echo(line)


def verdict_formats() -> Iterable[str]:
    """Return the names of the formats that verdicts are written in."""
    from whisperbench.report.verdict_formats import FORMATS

    return FORMATS


@app.command(cls=with_formats(verdict_formats))
def compare(
    base: Annotated[Path, typer.Argument(help="The file of a run or of a baseline.")],
    head: Annotated[Path, typer.Argument(help="The file of the run that is judged by it.")],
    written: Annotated[
        str, typer.Option("--format", help="How the verdicts are written.")
    ] = "text",
    pictures: PicturesFolder = None,
) -> None:
    """Judge a run by a baseline, and name what a change is made of."""
    from whisperbench.asked.suite import suite_here
    from whisperbench.judge.comparison import hold_against
    from whisperbench.report.verdict_formats import FORMATS
    from whisperbench.results.run_file import read_run

    before, after = read_run(base), read_run(head)
    found = hold_against(before, after, suite_here())
    typer.echo(FORMATS[written](found))
    code: int = found.exit_code
    if pictures is not None:
        from whisperbench.report.charts.all import Pictured

        try:
            draw_into(pictures, Pictured(run=after, base=before, compared=found), written)
        except InputError as error:  # the verdicts stand; but it is no pass
            typer.echo(str(error), err=True)
            code = code or ExitCode.USAGE
    raise typer.Exit(code)
