"""The suite's options in pytest: declared from the one table, and read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from whisperbench.asked.options import OPTIONS, only
from whisperbench.errors import WhisperbenchError, printable
from whisperbench.paths import expanded

OWN = "the device's own"
"""What `--baseline` without a path stands for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of `pytest benchmarks/`; their defaults are in benchmarks/suite.toml."""
    group = parser.getgroup("whisperbench")
    for row in OPTIONS:
        if not row.metavar:
            group.addoption(row.flag, action="store_true", help=row.help)
            continue
        # All of them append: of one that takes one value a second is refused, and not forgotten.
        left_out = {"nargs": "?", "const": OWN} if row.optional else {}
        group.addoption(
            row.flag, metavar=row.metavar, action="append", default=[], help=row.help, **left_out
        )


@contextmanager
def usage_errors() -> Iterator[None]:
    """Let pytest print an error of ours as one line, and exit with its usage code 4."""
    try:
        yield
    except WhisperbenchError as error:
        raise pytest.UsageError(printable(error)) from None


def value_of(config: pytest.Config, name: str) -> str | None:
    """Return the value of an option of ours that takes one; None where it was not given.

    Raises:
        pytest.UsageError: it was given twice, is empty or cannot be printed.
    """
    with usage_errors():
        return only(f"--{name}", config.getoption(f"--{name}"))


def path_from(config: pytest.Config, text: str) -> Path:
    """Read a path of the command line, from where the command was given."""
    return config.invocation_params.dir / expanded(text)
