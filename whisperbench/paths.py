"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

ASKED_FROM_VARIABLE = "WHISPERBENCH_ASKED_FROM"
"""Environment variable by which the command tells the processes that it starts in other folders
which one it was given in."""


def expanded(text: str) -> Path:
    """Read a path, with ~ for a home folder.

    As in a shell, a ~ that stands for nobody's home stays as it is: `Path.expanduser` raises.
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111
