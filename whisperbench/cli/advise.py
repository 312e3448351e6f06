"""Commands that make something of results for others: advise and badge."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from whisperbench.cli.program import Command, app, with_formats
from whisperbench.errors import ExitCode, InputError, printable


def _formats() -> Iterable[str]:
    from whisperbench.report.advice_text import FORMATS

    return FORMATS


@app.command(cls=with_formats(_formats))
def advise(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN.json...", help="Runs; passes of one device may be in several."),
    ],
    vram: Annotated[
        str | None,
        typer.Option("--vram", metavar="GIB", help="Memory that may be taken of the same card."),
    ] = None,
    card: Annotated[
        str | None,
        typer.Option("--card", metavar="NAME", help="Another card, as in t4, l4 or a100-40gb."),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--max-latency-ratio",
            metavar="R",
            help="Most that a call may take, as a multiple of the reference precision's.",
        ),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            "--max-wer-increase",
            metavar="P",
            help="Most points of word error rate over the reference precision's.",
        ),
    ] = None,
    written: Annotated[str, typer.Option("--format", help="How the advice is written.")] = "text",
) -> None:
    """Say which precision and batch size to take, from what was measured.

    Exit codes: 0, something will do; 1, nothing will; 3, it is not known.
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
    path: Annotated[Path, typer.Argument(metavar="RUN.json", help="The run that it tells of.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="BADGE.svg", help="Where the picture goes.")
    ],
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME", help="What is held against the reference.")
    ] = "int8",
    model: Annotated[
        str | None, typer.Option("--model", metavar="SPEC", help="Of a run that has several.")
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
