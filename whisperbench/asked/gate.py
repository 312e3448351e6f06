"""suite.toml's [gate]: the kinds of figures that must be decided, and those that are only told."""

from __future__ import annotations

from typing import Annotated

import msgspec

from whisperbench.results.kinds import KINDS


class GateKinds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which kinds a figure that cannot be decided fails a comparison.

    It is about undecided figures alone: whatever its kind, a figure fails that is regressed,
    missing, new, invalid or not comparable.
    """

    require: tuple[str, ...]
    """Kinds whose figures must be decided."""
    report: tuple[str, ...]
    """Kinds whose figures are judged as well, and told in words where they are not decided."""
    reason: Annotated[str, msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse a kind that does not exist, and one that does not stand in just one of the two."""
        placed = (*self.require, *self.report)
        for kind in placed:
            if kind not in KINDS:
                raise ValueError(
                    f"the gate: no kind is called {kind!r}; choose from {', '.join(KINDS)}"
                )
        for kind in KINDS:
            if placed.count(kind) != 1:
                both = kind in self.require and kind in self.report
                how = "both" if both else "one of them twice" if kind in placed else "neither"
                raise ValueError(
                    f"the gate: the kind {kind!r} stands in {how}; put it into require or report"
                )


DEFAULT_GATE = GateKinds(
    require=tuple(kind for kind, rule in KINDS.items() if rule.required),
    report=tuple(kind for kind, rule in KINDS.items() if not rule.required),
    reason="results/kinds.py says it of each kind",
)
"""What holds where suite.toml has no [gate], and where there is no suite.toml."""
