"""Commands that make something of results for others: contenders, advise and badge."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from whisperbench.cli.pictures import PicturesFolder, draw_into
from whisperbench.cli.program import Command, app, with_formats
from whisperbench.errors import ExitCode, InputError, printable


def _contender_formats() -> Iterable[str]:
    from whisperbench.report.contenders_text import FORMATS

    return FORMATS


@app.command(cls=with_formats(_contender_formats))
def contenders(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN.json...",
            help="Files of runs of one device. Passes and precisions may be in several files.",
        ),
    ],
    written: Annotated[str, typer.Option("--format", help="The format of the table.")] = "text",
    pictures: PicturesFolder = None,
) -> None:
    """Hold precisions and runtimes against each other: which are beaten in time, memory and words.

    docs/contenders.md has the rule.
    """
    from whisperbench.report.contenders_text import FORMATS, contenders_of
    from whisperbench.report.joined import joined
    from whisperbench.results.run_file import read_run

    found = [(printable(path), read_run(path)) for path in runs]
    typer.echo(FORMATS[written](contenders_of(found)))
    if pictures is not None:
        from whisperbench.report.charts.all import Pictured

        draw_into(pictures, Pictured(run=joined(found), runs=len(found)), written)


def _formats() -> Iterable[str]:
    from whisperbench.report.advice_text import FORMATS

    return FORMATS


@app.command(cls=with_formats(_formats))
def advise(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN.json...",
            help="Files of runs. The passes of one device may be in several files.",
        ),
    ],
    vram: Annotated[
        str | None,
        typer.Option(
            "--vram", metavar="GIB", help="How much memory of the measured card may be taken."
        ),
    ] = None,
    card: Annotated[
        str | None,
        typer.Option(
            "--card", metavar="NAME", help="Ask about another card, such as t4, l4 or a100-40gb."
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--max-latency-ratio",
            metavar="R",
            help="How long a call may take, in multiples of the reference precision's time.",
        ),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            "--max-wer-increase",
            metavar="P",
            help="How many points the word error rate may be over the reference precision's.",
        ),
    ] = None,
    written: Annotated[str, typer.Option("--format", help="The format of the advice.")] = "text",
) -> None:
    """Say which precision and batch size to take, from what was measured.

    The exit code is 0 where something will do, 1 where nothing will, and 3 where that is not known.
    """
    from whisperbench.report.advice import advise as weighed
    from whisperbench.report.advice import exit_code_of
    from whisperbench.report.advice_text import FORMATS
    from whisperbench.report.cards import card_named
    from whisperbench.report.fitness import Wanted
    from whisperbench.results.run_file import read_run

    if vram is not None and card is not None:
        raise InputError("advise: give --vram or --card, and not both")
    wanted = Wanted(
        vram_mib=None if vram is None else 1024 * _number("--vram", vram, more_than_zero=True),
        card=None if card is None else card_named(card),
        max_latency_ratio=None
        if latency is None
        else _number("--max-latency-ratio", latency, more_than_zero=True),
        max_wer_increase=None if words is None else _number("--max-wer-increase", words) / 100,
    )
    found = weighed([(printable(path), read_run(path)) for path in runs], wanted)
    typer.echo(FORMATS[written](found))
    code = exit_code_of(found)
    if code != ExitCode.OK:
        raise typer.Exit(code)


@app.command(cls=Command)
def badge(
    path: Annotated[
        Path,
        typer.Argument(metavar="RUN.json", help="The file of the run that the badge is about."),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="BADGE.svg", help="Write the picture to this file."),
    ],
    precision: Annotated[
        str,
        typer.Option(
            "--precision", metavar="NAME", help="Compare this precision with the reference."
        ),
    ] = "int8",
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="SPEC", help="The model, where the run has several."),
    ] = None,
) -> None:
    """Write what a precision costs as a small picture, for a README."""
    from whisperbench.report.badge import as_svg, badge_of
    from whisperbench.results.run_file import read_run, require_writable, write_whole

    if output.suffix.lower() != ".svg":
        raise InputError(
            f"-o {printable(output)}: a badge is an SVG; name a file that ends in .svg"
        )
    made = badge_of(printable(path), read_run(path), precision, model)
    require_writable(output)
    write_whole(output, as_svg(made).encode())
    typer.echo(f"{printable(output)}: {made.label}: {made.message}")


def _number(option: str, text: str, *, more_than_zero: bool = False) -> float:
    """Read a plain number.

    Raises:
        InputError: it is none, or too small.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1e6 or (more_than_zero and number == 0):
        least = "more than 0" if more_than_zero else "0 or more"
        raise InputError(f"{option} {printable(text)}: must be a number, {least}")
    return number
