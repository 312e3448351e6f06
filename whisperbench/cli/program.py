"""What all commands have in common: the program, its options, its errors and its exit codes."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
from typer.core import TyperGroup

from whisperbench import __version__
from whisperbench.errors import (
    ExitCode,
    InputError,
    WhisperbenchError,
    one_line,
)
from whisperbench.output import Output
from whisperbench.paths import ASKED_FROM_VARIABLE

if TYPE_CHECKING:
    from whisperbench.report.look import Look


class Commands(TyperGroup):
    """The commands. Ctrl-C has a code of its own: Typer may exit with 1, which is `regressed`."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and take no accident for Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("whisperbench: interrupted", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except (OSError, EOFError) as error:  # Typer takes some of these for an interruption
            raise RuntimeError(repr(error)) from error


class Command(typer.core.TyperCommand):
    """A command each of whose options is given once: of two values the first would be forgotten."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option of one value that is given twice."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option, times in Counter(given).items():
            repeatable: bool = getattr(option, "multiple", True)  # arguments have no such thing
            if times > 1 and not repeatable:
                raise InputError(f"{option.opts[0]} was given {times} times; give it once")
        return super().parse_args(ctx, args)


class BehindDashes(Command):
    """A command behind whose first `--` stand the arguments of pytest; `context.obj` holds them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep what is pytest's from being read as the command's own."""
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


def with_formats(
    formats: Callable[[], Iterable[str]], kind: type[Command] = Command
) -> type[Command]:
    """Make the class of a command whose `--format` takes what a registry of formats has.

    Args:
        formats: returns their names. It is called for the command alone, so that what the registry
            imports is loaded neither for another one nor for `whisperbench --help`.
        kind: what the command is besides.
    """

    class WithFormats(kind):  # type: ignore[misc, valid-type]
        """A command with `--format`."""

        def get_params(self, ctx: Any) -> list[Any]:
            """Return the parameters, with the choices of `--format`."""
            names = list(formats())

            def chosen(_context: object, _option: object, value: str) -> str:
                if value not in names:
                    known = ", ".join(map(repr, names))
                    raise typer.BadParameter(f"{value!r} is not one of {known}.")
                return value

            found: list[Any] = super().get_params(ctx)
            for each in found:
                if "--format" in each.opts:
                    each.metavar = f"[{'|'.join(names)}]"
                    each.callback = chosen
            return found

    return WithFormats


app = typer.Typer(
    cls=Commands,
    help="What 8-bit quantization costs Whisper on your hardware. `pytest benchmarks/` measures "
    "it; these commands show, compare and judge what was measured.",
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


def look() -> Look:
    """Return how a report is written: as wide as the terminal, with colour where it shows some.

    What is piped is plain, and as wide as any report unless COLUMNS says otherwise.
    """
    from whisperbench.report.look import PLAIN, Look

    columns = shutil.get_terminal_size((PLAIN.width, 24)).columns
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Look(columns, sys.stdout.isatty() and not plain)


def main() -> None:
    """Run the command, and exit; with 1 for a verdict alone, so never for an accident."""
    if sys.stdout is None:
        typer.echo(
            "whisperbench: standard output is closed; send it to /dev/null if nobody reads it",
            err=True,
        )
        sys.exit(ExitCode.USAGE)
    with suppress(OSError):  # a folder that is gone
        os.environ.setdefault(ASKED_FROM_VARIABLE, str(Path.cwd()))
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
