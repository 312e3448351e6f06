"""The `whisperbench` command: it only reads, prints and exits."""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
from typer.core import TyperGroup

from whisperbench import __version__
from whisperbench.errors import (
    ExitCode,
    IncomparableError,
    InputError,
    RegressedError,
    WhisperbenchError,
    one_line,
)
from whisperbench.output import Output

if TYPE_CHECKING:
    from whisperbench.report.verdicts import Comparison
    from whisperbench.results.records import Run


class _Commands(TyperGroup):
    """The commands. Ctrl-C has a code of its own: Typer may exit with 1, which is `regressed`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("whisperbench: interrupted", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except (OSError, EOFError) as error:  # Typer takes some of these for an interruption
            raise RuntimeError(repr(error)) from error


class _Command(typer.core.TyperCommand):
    """A command each of whose options is given once: of two values the first would be forgotten."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option of one value that is given twice."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option, times in Counter(given).items():
            repeatable: bool = getattr(option, "multiple", True)  # arguments have no such thing
            if times > 1 and not repeatable:
                raise InputError(f"{option.opts[0]} was given {times} times; give it once")
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Commands,
    help="What 8-bit quantization really costs Whisper on your hardware. "
    "Measure with `pytest benchmarks/`; look at what was measured with this.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"whisperbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command(cls=_Command)
def show(run: Annotated[Path, typer.Argument(help="A run's JSON file.")]) -> None:
    """Print the summary of a saved run."""
    from whisperbench.report.summary import summarise
    from whisperbench.results.run_file import read_run

    typer.echo(summarise(read_run(run)))


@app.command(cls=_Command)
def score(
    clips: Annotated[
        Path, typer.Argument(metavar="CLIPS.jsonl", help="JSON lines with text and pred_text.")
    ],
    # Named outright, as in `limits`.
    language: Annotated[
        str | None,
        typer.Option(
            "--language", metavar="LANGUAGE", help="Of the lines that do not name theirs (lang)."
        ),
    ] = None,
) -> None:
    """Score what was heard, clip by clip, again: ours, or what other tools have written."""
    from whisperbench.report.quality import score_lines
    from whisperbench.results.heard import read_lines
    from whisperbench.text.words import language_code

    code = language_code(language, "--language") if language is not None else None
    for line in score_lines(read_lines(clips, code)):
        typer.echo(line)


class Format(StrEnum):
    """How verdicts are written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@app.command(cls=_Command)
def compare(
    base: Annotated[Path, typer.Argument(help="A run's JSON file, or a baseline's.")],
    head: Annotated[Path, typer.Argument(help="Another's, to be judged by the first.")],
    written: Annotated[
        Format, typer.Option("--format", help="How the verdicts are written.")
    ] = Format.TEXT,
) -> None:
    """Judge a run by a baseline, and name what a change is made of."""
    from whisperbench.report.verdicts import FORMATS
    from whisperbench.results.run_file import read_run

    found = _held_against(read_run(base), read_run(head))
    typer.echo(FORMATS[written](found))
    raise typer.Exit(found.exit_code)


def _held_against(base: Run, head: Run) -> Comparison:
    """Judge a run by another, with suite.toml's tolerances."""
    from whisperbench.asked.suite import read_suite
    from whisperbench.judge.compare import Gate
    from whisperbench.report.verdicts import Comparison

    gate = Gate(base, head.machine, read_suite().tolerance)
    judged = gate.judge_all(head.measurements)
    absent = [
        f"{name}, {line}"
        for name, run in (("base", base), ("head", head))
        for line in run.unmeasured()
    ]
    return Comparison(judged=judged, unmeasured=absent, circumstances=gate.circumstances())


@app.command(
    cls=_Command,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def record(
    context: typer.Context,
    runs: Annotated[
        int, typer.Option("--runs", min=1, help="Fresh processes that it is made of.")
    ] = 5,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What to call it.")
    ] = "default",
    force: Annotated[bool, typer.Option("--force", help="Replace a better one.")] = False,
) -> None:
    """Run the suite several times, and keep it as this device's baseline.

    What else is given is pytest's, as in: whisperbench record --runs 3 benchmarks/test_cost.py
    """
    from whisperbench.asked.suite import RESULTS
    from whisperbench.judge import baselines as baseline
    from whisperbench.record import runs as recording
    from whisperbench.results.run_file import require_writable

    require_writable(baseline.FOLDER / ".probe")
    baseline.path_of("device", name)
    paths = recording.record(runs, context.args, RESULTS, typer.echo)
    try:
        _keep(paths, name, force)
    except WhisperbenchError:
        typer.echo(f"the runs are kept: {' '.join(os.path.relpath(path) for path in paths)}")
        raise


baselines = typer.Typer(help="The baselines that were recorded.", no_args_is_help=True)
app.add_typer(baselines, name="baseline")


@baselines.command("list", cls=_Command)
def list_baselines() -> None:
    """Print what there is, a line each."""
    from whisperbench.judge import baselines as baseline
    from whisperbench.results.run_file import read_run

    if not baseline.known():
        typer.echo("none yet: whisperbench record")
    broken = False
    for path in baseline.known():
        try:
            run = read_run(path)
        except InputError as error:
            typer.echo(str(error), err=True)
            broken = True
            continue
        typer.echo(
            f"{path.relative_to(baseline.FOLDER)}: {len(run.measurements)} benchmarks, "
            f"{run.info.processes} processes, {run.machine.device}"
        )
    if broken:
        raise typer.Exit(ExitCode.USAGE)


@baselines.command("show", cls=_Command)
def show_baseline(
    path: Annotated[Path, typer.Argument(metavar="BASELINE", help="Its file.")],
) -> None:
    """Print a baseline's figures, and how far its processes lie apart."""
    from whisperbench.report.summary import summarise
    from whisperbench.report.verdicts import spreads
    from whisperbench.results.run_file import read_run

    run = read_run(path)
    typer.echo(summarise(run))
    for line in spreads(run):
        typer.echo(line)


@baselines.command()
def promote(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN.json...", help="Runs of one machine.")],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What to call it.")
    ] = "default",
    force: Annotated[bool, typer.Option("--force", help="Replace a better one.")] = False,
) -> None:
    """Keep runs that were measured already as their device's baseline."""
    _keep(runs, name, force)


def _keep(runs: list[Path], name: str, force: bool) -> None:
    """Merge runs into a baseline, and write it unless it is worse than the one that it replaces."""
    from whisperbench.judge import baselines as baseline
    from whisperbench.report.verdicts import as_text, worse
    from whisperbench.results.run_file import decode_run, read_run, write_whole

    data = baseline.merge(runs)
    made = decode_run(data, "the new baseline")
    path = baseline.path_of(made.machine.device_key, name)
    with baseline.replacing():
        found = None
        try:
            if path.exists():
                found = _held_against(read_run(path), made)
        except InputError as error:
            if not force:
                raise InputError(f"{error}; --force replaces it") from error
        if found is not None:
            typer.echo(as_text(found, every_change=True))
            if (verdicts := worse(found.judged)) and not force:
                is_worse = found.exit_code == ExitCode.REGRESSED
                raise (RegressedError if is_worse else IncomparableError)(
                    f"{path}: kept as it was, for the new one is {', '.join(verdicts)}; --force "
                    "replaces it"
                )
        write_whole(path, data)
    typer.echo(
        f"baseline: {os.path.relpath(path)}: {len(made.measurements)} benchmarks, "
        f"{made.info.processes} processes"
    )


@app.command("list", cls=_Command)
def list_known() -> None:
    """Print what --model, --precision and --clip know."""
    from whisperbench.asked.clips import read_manifest
    from whisperbench.asked.models import DUMMY_PREFIX, NANO, SIZES
    from whisperbench.asked.precisions import PRECISIONS
    from whisperbench.asked.suite import CLIPS_FOLDER

    typer.echo("--model")
    typer.echo(f"  {NANO}  small and trained; ships with the suite, and knows its voices alone")
    for size in SIZES:
        typer.echo(f"  {DUMMY_PREFIX}{size}")
    typer.echo("  owner/name[@<40-hex revision>]  from the hub")
    typer.echo("  PATH  a folder: ./nano, where it is called so")
    typer.echo("--precision")
    for row in PRECISIONS.values():
        capability = ".".join(map(str, row.min_capability))
        where = "" if row.min_capability == (0, 0) else f"; GPUs from {capability} on"
        typer.echo(f"  {row.name:<8} {row.summary}{where}")
    typer.echo("--clip")
    for clip in read_manifest(CLIPS_FOLDER).values():
        typer.echo(f"  {clip.name:<9} {clip.seconds:5.1f} s  {(clip.text or '')[:72]}")
    typer.echo("  PATH      a wav, flac or mp3 file, its text in the .txt beside it")


@app.command(cls=_Command)
def limits(
    propose: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN.json", help="Write rows for suite.toml from what a run measured."
        ),
    ] = None,
    # Named outright: typer 0.27.0 makes the name of it from the metavar.
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:<index>.")
    ] = "auto",
) -> None:
    """Print the limits that apply on this machine, or propose some on memory from a run."""
    from whisperbench.judge import limits as judging

    if propose is not None:
        from whisperbench.results.records import name_of
        from whisperbench.results.run_file import read_run

        run = read_run(propose)
        for row in run.measurements:
            if row.stage == judging.MEMORY and judging.is_over(row):
                name = name_of(row.cell)
                typer.echo(f"left out: {name}, which is over its ceiling", err=True)
        rows = judging.propose(run)
        if not rows:
            raise InputError(
                f"{propose}: no cell's memory was measured and within its ceilings; run "
                "pytest benchmarks/test_memory.py"
            )
        typer.echo("\n\n".join(map(judging.as_toml, rows)))
        return
    from whisperbench.asked.suite import read_suite
    from whisperbench.devices.choosing import key_of, open_device, resolve

    key = key_of(open_device(resolve(device)).facts())
    here = judging.on_device(read_suite().limit, key)
    typer.echo(f"limits on {key}: {len(here)}")
    for limit in here:
        typer.echo(f"  {judging.describe(limit)}")
        typer.echo(f"    {limit.reason}")


@app.command(cls=_Command)
def doctor(
    # Named outright, as in `limits`.
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:<index>.")
    ] = "auto",
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


def main() -> None:
    """Run the command, and exit; with 1 for a verdict alone, so never for an accident."""
    if sys.stdout is None:
        typer.echo(
            "whisperbench: standard output is closed; send it to /dev/null if nobody reads it",
            err=True,
        )
        sys.exit(ExitCode.USAGE)
    out, err = Output(sys.stdout), sys.stderr and Output(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        code = _run()
        out.flush()
        # Whatever the command found: nobody has read it.
        if isinstance(out.failure, BrokenPipeError):
            code = ExitCode.UNREAD
        elif out.failure is not None:
            why = one_line(out.failure.strerror)
            typer.echo(f"whisperbench: the output cannot be written: {why}", err=True)
            code = ExitCode.USAGE
        if err is not None:
            err.flush()
    sys.exit(code)


def _run() -> int:
    """Run the command; an error of ours is one line on standard error and its exit code."""
    try:
        app()
    except SystemExit as ended:
        return int(ended.code or 0)
    except WhisperbenchError as error:
        typer.echo(f"whisperbench: {error}", err=True)
        return error.exit_code
    except Exception:  # noqa: BLE001 - whatever it is, it is no verdict
        traceback.print_exc()
        typer.echo("whisperbench: this is a fault of whisperbench; please report it", err=True)
        return ExitCode.INVALID
    return ExitCode.OK
