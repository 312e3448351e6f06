"""Made-up comparisons, by what is special about them."""

from __future__ import annotations

from collections.abc import Callable

from tests.runs import make_cell
from whisperbench.judge.comparison import Comparison
from whisperbench.results.kinds import Kind
from whisperbench.results.records import Judged, Judgement, Verdict


def judged(
    verdict: Judgement,
    metric: str = "decode_aten_ops",
    sentence: str = "",
    *,
    base: float | None = 100.0,
    head: float | None = 100.0,
    benchmark: str = "cost",
    precision: str = "int8",
    clip: str = "harbour",
    kind: Kind = "exact",
    interval: tuple[float, float] | None = None,
    unseen: float | None = None,
) -> Judged:
    """Make up a verdict."""
    return Judged(
        benchmark,
        make_cell(precision, clip=clip),
        Verdict(
            verdict=verdict,
            metric=metric,
            unit="1",
            sentence=sentence,
            base=base,
            head=head,
            kind=kind,
            interval=interval,
            unseen=unseen,
        ),
    )


FINE = judged("ok", "encoder_aten_ops")
WORSE = judged(
    "regressed",
    sentence="100 to 132 (+32.00 %): +32 aten::to a token, from Linear8bitLt",
    head=132.0,
)
SLOWER = judged(
    "regressed",
    "latency_s",
    "1 to 1.12 s (+12.00 %), between +9.1 % and +15.0 % (5 processes against 5)",
    base=1.0,
    head=1.12,
    benchmark="token",
    kind="wall",
    interval=(0.091, 0.15),
)
BETTER = judged(
    "improved", "peak_process_mib", "1000 to 900 MiB (-10.00 %)", head=90.0, benchmark="memory"
)
NOISY = judged(
    "inconclusive",
    "latency_s",
    "1 to 1.02 s (+2.00 %): a growth under 12 % may stay unseen",
    benchmark="encoder",
    kind="wall",
    interval=(-0.05, 0.09),
    unseen=0.12,
)
GONE = judged("missing", "wer", "the head did not measure it", head=None, benchmark="quality")
FRESH = judged("new", "cer", "the base did not measure it", base=None, benchmark="quality")
APART = judged("not-comparable", "latency_s", "device was A and is B", benchmark="load")
NEWER = "suspect: transformers was 5.17.0 and is 5.18.0"
FAILED = "head, failed: benchmarks/test_memory.py::test_memory[int8]: the process died"

VERDICTS: dict[str, Callable[[], Comparison]] = {
    "nothing is worse": lambda: Comparison(
        judged=[FINE, BETTER, NOISY], circumstances=[NEWER, "driver was 580.1 and is 581.0"]
    ),
    "something is worse": lambda: Comparison(
        judged=[FINE, BETTER, NOISY, SLOWER, WORSE],
        circumstances=[NEWER, "driver was 580.1 and is 581.0"],
    ),
    "something is missing": lambda: Comparison(
        judged=[FINE, WORSE, GONE, FRESH, APART], unmeasured=[FAILED]
    ),
    "wall must be decided": lambda: Comparison(
        judged=[FINE, NOISY], require=("exact", "wall"), remedy="whisperbench ab decides it"
    ),
    "much is worse": lambda: Comparison(
        judged=[
            judged(
                "regressed",
                sentence=f"100 to {101 + n} (+{1 + n}.00 %)",
                head=101.0 + n,
                clip=f"clip {n}",
            )
            for n in range(25)
        ],
        unmeasured=[f"{FAILED} ({n})" for n in range(23)],
    ),
    "nothing was measured": lambda: Comparison(judged=[], unmeasured=[FAILED]),
}
"""Comparisons, by what is special about them."""
