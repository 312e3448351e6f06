"""The command that writes a report: a page for people, of a run or of a comparison in turns."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisperbench.cli.program import Command, app
from whisperbench.errors import InputError, printable

if TYPE_CHECKING:
    from whisperbench.report.charts.all import Pictured
    from whisperbench.report.page.section import Section


@app.command(cls=Command)
def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN.json", help="A run's file; or the folder that whisperbench ab has left."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="REPORT.html", help="Where the page goes.")
    ],
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="B.json", help="What the run is held against."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            "--history",
            metavar="DIR",
            help="Recorded runs, and what git remembers of them, to be followed up to this one.",
        ),
    ] = None,
) -> None:
    """Write a run as a web page: one file, without any script, to be sent or published.

    It needs the extra report: pip install -e '.[report]'.
    """
    from whisperbench.report.charts.render import drawn, require_drawing, warm_up

    require_drawing()
    # What draws is a browser's engine, and starts while the rest is imported, read and judged.
    threading.Thread(target=warm_up, daemon=True).start()

    from whisperbench.report.charts.all import charts_of
    from whisperbench.report.page.html import as_html
    from whisperbench.report.page.sections import page_of
    from whisperbench.results.run_file import require_writable, write_whole

    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"-o {printable(output)}: a report is a web page; name a file that ends in .html"
        )
    about = _of_folder(run, baseline) if run.is_dir() else _of_run(run, baseline)
    require_writable(output)
    more = [] if history is None else [_history(history, run)]
    page = as_html(page_of(about, drawn(charts_of(about)), more)).encode()
    write_whole(output, page)
    typer.echo(f"{printable(output)}: {len(page) / 1024:.0f} KiB")


def _history(folder: Path, run: Path) -> Section:
    """Follow figures over the recordings of a folder, up to the run that is reported.

    Raises:
        InputError: the folder holds no recording, or the run does not say when it was measured.
    """
    from whisperbench.asked.suite import suite_here
    from whisperbench.judge.history import history_of
    from whisperbench.record.history import read_history
    from whisperbench.report.charts.history import history_charts
    from whisperbench.report.charts.render import drawn
    from whisperbench.report.page.history import history_section
    from whisperbench.results.dated import decode_dated
    from whisperbench.results.run_file import content_of

    recordings, remarks = read_history(folder)
    path = run / "head.json" if run.is_dir() else run
    own = decode_dated(content_of(path), path.name)
    suite = suite_here()
    tolerances = suite.tolerance if suite is not None else ()
    found = history_of([*recordings, own], tolerances, own.run.machine)
    found = replace(found, remarks=(*remarks, *found.remarks))
    return history_section(found, drawn(history_charts(found)))


def _of_run(path: Path, baseline: Path | None) -> Pictured:
    from whisperbench.asked.suite import suite_here
    from whisperbench.judge.comparison import hold_against
    from whisperbench.report.charts.all import Pictured
    from whisperbench.results.run_file import read_run

    run = read_run(path)
    if baseline is None:
        return Pictured(run=run)
    base = read_run(baseline)
    suite = suite_here()
    return Pictured(run=run, base=base, compared=hold_against(base, run, suite))


def _of_folder(folder: Path, baseline: Path | None) -> Pictured:
    """Read what `whisperbench ab` has left.

    Raises:
        InputError: it is no such folder, or a baseline was given besides.
    """
    from whisperbench.asked.suite import suite_here
    from whisperbench.judge.left import FILES, left_in
    from whisperbench.report.charts.of_ab import pictured
    from whisperbench.results.run_file import content_of

    if baseline is not None:
        raise InputError("--baseline: a folder of whisperbench ab has its base in it; leave it out")
    files = {path.name: content_of(path) for path in folder.iterdir() if FILES.fullmatch(path.name)}
    try:
        left = left_in(files)
    except InputError as error:
        raise InputError(f"{printable(folder)}: {error}") from error
    suite = suite_here()
    return pictured(left, suite)
