"""An environment: an interpreter that a side of a comparison runs in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An interpreter, with the packages that it finds."""

    python: Path
    name: str
    """For sentences, such as "transformers==5.17.0"."""
