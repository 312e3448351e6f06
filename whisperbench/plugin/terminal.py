"""What the suite writes to the terminal while pytest runs, whatever pytest captures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from whisperbench.output import legible

if TYPE_CHECKING:
    import pytest

    from whisperbench.asked.clips import Clip


def uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Let output through to the terminal."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture is not None else nullcontext()


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
