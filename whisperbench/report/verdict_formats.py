"""The formats that verdicts are written in."""

from __future__ import annotations

from collections.abc import Callable

from whisperbench.judge.comparison import Comparison
from whisperbench.report.verdict_markdown import as_markdown
from whisperbench.report.verdicts import as_json, as_text

FORMATS: dict[str, Callable[[Comparison], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}
"""The registry of formats: what `whisperbench compare --format` takes."""
