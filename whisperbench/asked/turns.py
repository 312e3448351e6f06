"""How long base and head take turns over a benchmark, where `whisperbench ab` compares them."""

from __future__ import annotations

KNOWN = 0.02
"""Standard error, as estimated, at which a pair's figure is known well enough: the median over its
rounds of the logarithm of head over base, in either order. Fresh processes differ by about as much
(docs/ab.md), and no further round makes that less, but another pair does. Of few rounds the
estimate is low: by simulation the error is then 2.4 to 2.6 %, so that a pair differs by a fourth
more than one of many rounds."""

LEAST_ROUNDS_S = 1.0
"""Before so long, in both processes together, no benchmark has rounds enough. Where rounds are
short, more of them cost little beside the 30 to 60 s that a pair takes to start and to load."""

ROUNDS_S = 8.0
"""After so long a benchmark whose figure is not known has rounds enough, in both processes
together, unless it has too few for a median."""

FEWEST_ROUNDS = 8
"""Of each process, behind its warm-up rounds: even, so that each is first as often as second, but
for the one round that ends the settling."""

SETTLE_S = 2.0
"""For so long the first benchmark of a pair has further warm-up rounds: both processes have just
been moved to other cores."""
