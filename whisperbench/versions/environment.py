"""An interpreter with its packages, under a name for sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An interpreter with its packages."""

    python: Path
    """The interpreter's file, as it is called: resolved, it would be the one without packages."""
    name: str
    """What sentences call it."""
