"""People's own code, which `--transcriber` names: docs/transcribers.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whisperbench.whisper.backend import Backend
from whisperbench.whisper.must import Must


@dataclass(frozen=True)
class Own(Backend):
    """Its option `factory` names a function, as in "package.module:function".

    Nothing is known of its layers.
    """

    factory: str = "whisperbench.whisper.own_loading:load"
    saves_as: str = "its own"
    in_torch: bool = False
    fixed_count: bool = False

    def must(
        self,
        options: Mapping[str, Any],  # noqa: ARG002
        dtype: str,  # noqa: ARG002
        *,
        on_host: bool,  # noqa: ARG002
    ) -> Must:
        """Return nothing: what it does is its own affair."""
        return Must()


BACKEND = Own()
