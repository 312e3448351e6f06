"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(text: str) -> Path:
    """Read a path, with ~ for a home folder.

    As in a shell, a ~ that stands for nobody's home stays as it is: `Path.expanduser` raises.
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111
