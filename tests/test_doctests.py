"""The examples in docstrings of the library, run."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

from whisperbench.asked.checkout import ROOT


def _modules_with_examples() -> list[str]:
    """Return the modules that have examples, found by their text: to import all takes long."""
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "whisperbench").rglob("*.py")
        if ">>> " in path.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("name", _modules_with_examples())
def test_what_docstrings_show_is_so(name: str) -> None:
    """Each example gives what stands below it, and there is one where one can be seen."""
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
