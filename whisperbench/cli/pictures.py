"""The option --pictures of commands that judge: charts as files beside what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisperbench.errors import printable
from whisperbench.units import counted

if TYPE_CHECKING:
    from whisperbench.report.charts.all import Pictured

PicturesFolder = Annotated[
    Path | None,
    typer.Option(
        "--pictures",
        metavar="DIR",
        help="Write the charts there as SVG files; markdown shows them.",
    ),
]


def draw_into(folder: Path, about: Pictured, written: str) -> None:
    """Write the charts of a run as files, two each; show them where the format can.

    The verdicts are printed before: whatever happens here, they stand.

    Args:
        folder: of the files; it is made where there is none.
        about: what is drawn.
        written: the format of the verdicts.

    Raises:
        InputError: the folder cannot be written to, or the extra `report` is not installed.
    """
    from whisperbench.report.charts.all import charts_of
    from whisperbench.report.charts.render import drawn, files_of
    from whisperbench.report.illustrated import illustrated
    from whisperbench.results.run_file import write_whole

    pictures = drawn(charts_of(about))
    for name, svg in files_of(pictures):
        write_whole(folder / name, svg.encode())
    if written == "markdown" and pictures:
        typer.echo(f"\n{illustrated(pictures, printable(folder.as_posix()))}")
    typer.echo(f"{counted(len(pictures), 'picture')}: {printable(folder)}", err=True)
