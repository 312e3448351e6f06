"""How long base and head take turns over a benchmark, where `whisperbench ab` compares them."""

from __future__ import annotations

ROUNDS_S = 8.0
"""After so long a benchmark has rounds enough, in both processes together, unless it has too few
for a median."""

FEWEST_ROUNDS = 8
"""Of each process, behind its warm-up rounds: even, so that each is first as often as second, but
for the one round that ends the settling."""

SETTLE_S = 2.0
"""For so long the first benchmark of a pair has further warm-up rounds: both processes have just
been moved to other cores."""
