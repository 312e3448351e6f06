"""The command ab: base against head, in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from whisperbench.cli.pictures import PicturesFolder, draw_into
from whisperbench.cli.program import BehindDashes, app, with_formats
from whisperbench.cli.results import verdict_formats
from whisperbench.errors import ExitCode, InputError, one_line

if TYPE_CHECKING:
    from whisperbench.ab.comparing import Course
    from whisperbench.ab.resolving import Wish


# Over 60 lines, because Typer makes an option of each argument.
@app.command(cls=with_formats(verdict_formats, BehindDashes))
def ab(
    context: typer.Context,
    base: Annotated[
        str | None,
        typer.Argument(
            metavar="[BASE]", help="The git revision to compare with.", show_default=False
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Argument(
            metavar="[HEAD]",
            help="The git revision that may be worse; by default the work tree.",
            show_default=False,
        ),
    ] = None,
    repository: Annotated[
        Path,
        typer.Option("--repository", metavar="DIR", help="The repository that has both revisions."),
    ] = Path(),
    pairs: Annotated[
        str,
        typer.Option(
            "--pairs",
            metavar="auto|N",
            help="Measure at most so many pairs of processes; auto is 16.",
        ),
    ] = "auto",
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            metavar="MINUTES",
            help="Begin no pair that would end after so many minutes.",
        ),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="Leave wall time out, and judge counts, memory and words alone."
        ),
    ] = False,
    base_python: Annotated[
        Path | None,
        typer.Option(
            "--base-python",
            metavar="PATH",
            help="Measure this Python interpreter in place of BASE.",
        ),
    ] = None,
    head_python: Annotated[
        Path | None,
        typer.Option(
            "--head-python",
            metavar="PATH",
            help="Measure this Python interpreter in place of HEAD.",
        ),
    ] = None,
    base_with: Annotated[
        list[str] | None,
        typer.Option(
            "--base-with",
            metavar="REQUIREMENT",
            help="Install this over the base's environment, as in 'transformers==5.17.0'.",
        ),
    ] = None,
    head_with: Annotated[
        list[str] | None,
        typer.Option(
            "--head-with", metavar="REQUIREMENT", help="Install this over the head's environment."
        ),
    ] = None,
    own_suites: Annotated[
        bool,
        typer.Option("--own-suites", help="Measure each revision by the suite that it holds."),
    ] = False,
    written: Annotated[
        str, typer.Option("--format", help="How the verdicts are written.")
    ] = "text",
    pictures: PicturesFolder = None,
) -> None:
    """Measure base and head on this machine, and say whether the head is worse.

    Counts, GPU time, memory and words are decided by one execution a side, wall time by pairs of
    processes that take turns. The arguments behind -- are pytest's, as in: whisperbench ab main --
    benchmarks/test_stages.py --model dummy:tiny
    """
    from whisperbench.ab.resolving import Wish

    wish = Wish(
        base=base,
        head=head,
        repository=repository,
        base_python=base_python,
        head_python=head_python,
        base_with=tuple(base_with or ()),
        head_with=tuple(head_with or ()),
        own_suites=own_suites,
    )
    _require_free(context.obj)
    if budget is not None and not budget > 0:
        raise InputError(f"--budget {budget:g}: must be more than 0 minutes")
    extent = Extent(
        largest=_pairs(pairs), budget_s=None if budget is None else 60 * budget, fast=fast
    )
    raise typer.Exit(_compare(wish, extent, context.obj, Output(written, pictures)))


class Extent(NamedTuple):
    """How far a comparison goes."""

    largest: int
    budget_s: float | None
    fast: bool


class Output(NamedTuple):
    """How verdicts are written, and where pictures are."""

    written: str
    pictures: Path | None


def _compare(wish: Wish, extent: Extent, arguments: list[str], output: Output) -> int:
    """Measure both sides, print the verdicts, also of one that is interrupted; return the code."""
    from whisperbench.ab.comparing import Asked, Course
    from whisperbench.ab.resolving import resolved
    from whisperbench.asked.suite import read_suite
    from whisperbench.record.processes import interrupted_by
    from whisperbench.record.runs import alone
    from whisperbench.report.verdict_formats import FORMATS
    from whisperbench.report.verdicts import as_text

    def say(line: str) -> None:
        typer.echo(line, err=True)

    course: Course | None = None
    code: int = ExitCode.INTERRUPTED
    with interrupted_by(), _folder() as folder:
        try:
            with resolved(wish, say) as sides, alone() as lock:
                asked = Asked(
                    base=sides.base,
                    head=sides.head,
                    arguments=arguments,
                    folder=folder,
                    suite=read_suite(sides.head.suite / "benchmarks" / "suite.toml"),
                    largest=extent.largest,
                    budget_s=extent.budget_s,
                    fast=extent.fast,
                    trees=sides.trees,
                )
                for side in (sides.base, sides.head):
                    say(f"{side.name}: {side.what}")
                course = Course(asked, say, lock, remarks=list(sides.remarks))
                course.run()
                course.check(sides.edited)
                code = course.found.exit_code
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
            if course is not None:
                course.faults.append("interrupted: this is what was known by then")
        if course is None:
            raise KeyboardInterrupt
        found = course.found
        # What was decided of wall time took minutes, so all of it is shown.
        typer.echo(
            as_text(found, every_change=True)
            if output.written == "text"
            else FORMATS[output.written](found)
        )
        try:
            _keep(folder, course, code)
            _draw(folder, course, output)
        except InputError as error:  # the verdicts are printed, and stand; but it is no pass
            say(str(error))
            code = code or ExitCode.USAGE
        say(f"the files of all processes are in {folder}")
    return code


def _keep(folder: Path, course: Course, code: int) -> None:
    """Write the verdicts, and what was compared, beside the run files.

    Raises:
        InputError: the folder cannot be written to.
    """
    from whisperbench.report.verdicts import as_json
    from whisperbench.results.comparison_file import COMPARISON_FILE, encode_compared
    from whisperbench.results.run_file import write_whole

    write_whole(folder / "verdicts.json", as_json(course.found).encode() + b"\n")
    write_whole(folder / COMPARISON_FILE, encode_compared(course.compared(code)))


def _draw(folder: Path, course: Course, output: Output) -> None:
    """Draw pictures of what the folder holds, where they are asked for.

    Raises:
        InputError: they cannot be drawn or written.
    """
    if output.pictures is None:
        return
    from whisperbench.judge.left import FILES, left_in
    from whisperbench.report.charts.of_ab import pictured
    from whisperbench.results.run_file import content_of

    files = {path.name: content_of(path) for path in folder.iterdir() if FILES.fullmatch(path.name)}
    about = pictured(left_in(files), course.asked.suite, course.found)
    draw_into(output.pictures, about, output.written)


TAKEN = {
    "--result": "all files go into one folder of results",
    "--baseline": "the head is held against the base",
}
"""Options of pytest that have no meaning here, and why."""


def _require_free(arguments: Sequence[str]) -> None:
    """Refuse options of pytest whose part the command plays itself.

    Raises:
        InputError: there is one.
    """
    for argument in arguments:
        option = argument.partition("=")[0]
        if option in TAKEN:
            raise InputError(f"{option} behind --: drop it, for {TAKEN[option]}")


def _pairs(text: str) -> int:
    """Read --pairs.

    Raises:
        InputError: it is neither auto nor a number of pairs that can decide anything.
    """
    from whisperbench.judge.sequential import FEWEST, MOST

    if text == "auto":
        return MOST
    if not text.isdecimal() or not FEWEST <= int(text) <= MOST:
        raise InputError(f"--pairs {text}: must be auto, or a number from {FEWEST} to {MOST}")
    return int(text)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make the folder of all result files; where none came into it, it goes again.

    Raises:
        InputError: it cannot be made.
    """
    from whisperbench.asked.checkout import RESULTS, has_checkout

    place = RESULTS if has_checkout() else Path("results")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{stamp}-ab-", dir=place))
    except OSError as error:
        raise InputError(f"{place}: cannot be written: {one_line(error.strerror)}") from error
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()
