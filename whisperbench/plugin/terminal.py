"""What the suite writes to the terminal while pytest runs, whatever pytest captures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from whisperbench.output import legible
from whisperbench.report.look import PLAIN, Look

if TYPE_CHECKING:
    import pytest
    from _pytest.terminal import TerminalReporter

    from whisperbench.asked.clips import Clip


def uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Let output through to the terminal."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture is not None else nullcontext()


def look_of(reporter: TerminalReporter) -> Look:
    """Return how a report is written here: as wide as the terminal, and coloured where pytest is.

    What is piped is as wide as any report, unless COLUMNS says otherwise.
    """
    columns = shutil.get_terminal_size((PLAIN.width, 24)).columns
    return Look(columns, bool(reporter.hasmarkup))


_WANTED = ("benchmark_verbose", "benchmark_compare", "benchmark_histogram", "benchmark_cprofile")
"""Options of pytest-benchmark that ask for what stands in or beside its tables."""


def hush_tables(config: pytest.Config, ours: Collection[str]) -> None:
    """Leave pytest-benchmark's own tables out, which the report below says better.

    With -v they are there, and where an option asks for them, or a benchmark is in them that is not
    the suite's.

    Args:
        config: pytest's.
        ours: ids of the suite's benchmarks.
    """
    plugin: Any = config.pluginmanager.get_plugin("pytest-benchmark")
    if plugin is None or config.get_verbosity() > 0:
        return
    wanted = any(config.getoption(name, None) for name in _WANTED)
    if not wanted and all(row.fullname in ours for row in plugin.benchmarks):
        plugin.quiet = True


def announcer(config: pytest.Config) -> Callable[[str], None]:
    """Return a function that writes a line to the terminal, whatever pytest captures."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")

    def announce(line: str) -> None:
        if reporter is not None:
            with uncaptured(config):
                reporter.ensure_newline()
                reporter.write_line(legible(line))
                reporter.flush()

    return announce


def show_progress(config: pytest.Config, what: str) -> Callable[[Sequence[Clip]], Iterator[Clip]]:
    """Return a function that passes clips on, with a progress bar where a terminal shows it."""

    def passed_on(clips: Sequence[Clip]) -> Iterator[Clip]:
        from rich.console import Console
        from rich.progress import track

        with uncaptured(config):
            console = Console()
        if not console.is_terminal:
            yield from clips
            return
        with uncaptured(config):
            yield from track(clips, what, console=console, transient=True)

    return passed_on
