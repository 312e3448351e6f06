"""Pairs that are put together: what neither side offers, and what one of them alone does."""

from __future__ import annotations

from tests.runs import make_measurement, make_run
from whisperbench.judge.pairs import Pairs
from whisperbench.judge.tried import ATTEMPTS, Tried
from whisperbench.results.records import ManifestEntry, Run

FIRST, STEP = "test_encoder[x]", "test_token[x]"
MEASURED = ManifestEntry(benchmark=FIRST, cell="x", outcome="measured")
OFFERED = ManifestEntry(benchmark=STEP, cell="x", outcome="measured")
NOT_OFFERED = ManifestEntry(
    benchmark=STEP, cell="x", outcome="skipped", reason="offers no single token", not_offered=True
)


def run_with(step: ManifestEntry) -> tuple[Run, list[str]]:
    """Return a run whose token is measured or not, and the ids of what it measured."""
    rows = [make_measurement("encoder")]
    ids = [FIRST]
    if step.outcome == "measured":
        rows.append(make_measurement("token"))
        ids.append(STEP)
    return make_run(*rows, manifest=(MEASURED, step)), ids


def test_what_neither_side_offers_has_not_failed() -> None:
    """It is tried in no further pair, and keeps none from passing."""
    tried = Tried(pairs=Pairs())
    run, ids = run_with(NOT_OFFERED)
    tried.keep((run, run), (ids, ids))
    assert (dict(tried.failures), tried.unmeasured()) == ({}, [])
    assert tried.wanted() == {FIRST}


def test_what_the_head_offers_no_more_is_missing() -> None:
    """The base has its figures: a head that stops to offer it fools nobody."""
    tried = Tried(pairs=Pairs())
    (base, base_ids), (head, head_ids) = run_with(OFFERED), run_with(NOT_OFFERED)
    for _ in range(ATTEMPTS):
        tried.keep((base, head), (base_ids, head_ids))
    assert tried.unmeasured() == [f"head, pair {ATTEMPTS}: skipped: {STEP}: offers no single token"]
    verdicts = {each.benchmark: each.verdict.verdict for each in tried.pairs.judged()}
    assert [verdict for name, verdict in verdicts.items() if name != "encoder"] == ["missing"]
