"""What a comparison's exit code answers for, with every verdict on every kind of figure."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from tests.judge.compared import STEADY, a_cost, a_wall, compared, times
from tests.runs import make_cell, make_measurement, make_run
from whisperbench.asked.gate import GateKinds
from whisperbench.asked.suite import read_suite
from whisperbench.judge.comparison import Comparison, refusal
from whisperbench.results.kinds import KINDS, Kind
from whisperbench.results.records import Judged, Judgement, Measurement, Run, Verdict

CODES: dict[Judgement, int] = {
    "ok": 0,
    "improved": 0,
    "regressed": 1,
    "over-limit": 1,
    "inconclusive": 3,
    "not-comparable": 4,
    "invalid": 4,
    "new": 4,
    "missing": 4,
}
"""Of a kind that is required: the table of docs/gate.md."""

VERDICTS = get_args(Judgement)


def on(verdict: Judgement, kind: Kind | None) -> Judged:
    """Make up a verdict on a figure of a kind."""
    made = Verdict(verdict=verdict, metric="x", unit="1", sentence="it is so", kind=kind)
    return Judged("transcribe", make_cell(), made)


FINE = on("ok", "exact")


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_only_what_is_undecided_depends_on_its_kind(
    verdict: Judgement, kind: Kind, required: bool
) -> None:
    """Every verdict on every kind has its own code, but for an undecided one that may be so."""
    require = [each for each in KINDS if each != kind or required]
    found = Comparison(judged=[FINE, on(verdict, kind)], require=require)
    excused = verdict == "inconclusive" and not required
    assert found.exit_code == (0 if excused else CODES[verdict])
    fails = verdict not in ("ok", "improved") and not excused
    assert found.failing == ([on(verdict, kind)] if fails else [])
    # A baseline is replaced by what passes, and by what has more in it.
    assert (refusal(found, "kept") is None) == (not fails or verdict == "new")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_undecided_wall_time_hides_nothing(verdict: Judgement, kind: Kind, order: int) -> None:
    """Beside it every other verdict comes to what it comes to alone, whichever stands first."""
    pair = [on("inconclusive", "wall"), on(verdict, kind)][::order]
    alone = Comparison(judged=[FINE, on(verdict, kind)])
    assert Comparison(judged=[FINE, *pair]).exit_code == alone.exit_code


@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(VERDICTS, 2)])
def test_of_several_verdicts_one_decides(first: Judgement, second: Judgement) -> None:
    """Of two figures that must be decided the code is the first of 1, 4, 3, 0 that either has."""
    found = Comparison(judged=[on(first, "exact"), on(second, "memory")])
    codes = {CODES[first], CODES[second]}
    assert found.exit_code == next(code for code in (1, 4, 3, 0) if code in codes)


def test_a_comparison_that_decided_nothing_has_not_passed() -> None:
    """Wall time may be undecided beside what is decided; alone it is 3, and nothing at all is 4."""
    undecided = on("inconclusive", "wall")
    assert Comparison(judged=[undecided, on("ok", "wall")]).exit_code == 0
    assert Comparison(judged=[undecided, undecided]).exit_code == 3
    assert refusal(Comparison(judged=[undecided]), "kept") is not None
    assert Comparison(judged=[undecided], unmeasured=["head, failed: it"]).exit_code == 4
    assert Comparison(judged=[FINE, undecided], unmeasured=["head, failed: it"]).exit_code == 4
    assert Comparison(judged=[]).exit_code == 4


def test_a_verdict_of_no_kind_must_be_decided() -> None:
    """What a limit has judged names no kind, and is never excused."""
    assert Comparison(judged=[FINE, on("inconclusive", None)], require=()).exit_code == 3


def weighed(*seconds: float) -> Measurement:
    """Make up a transcription in several processes, and the weights of its model."""
    weights = a_cost().metrics[0]
    row = a_wall(*seconds)
    return msgspec.structs.replace(row, metrics=(*row.metrics, weights))


def recorded(*rows: Measurement) -> Run:
    """Put what several processes measured into a run."""
    made = make_run(*rows)
    processes = max(len(metric.figures) for row in rows for metric in row.metrics)
    return msgspec.structs.replace(
        made, info=msgspec.structs.replace(made.info, processes=processes)
    )


WILD = (1.0, 1.5, 0.7, 1.2, 0.9)
RUNS = [
    (weighed(*STEADY), weighed(*WILD), 0, 3, "may be hidden"),
    (weighed(*STEADY), weighed(*times(2.0, 1)), 0, 3, "look"),
    (weighed(1.0), weighed(2.0), 0, 3, "any growth may be hidden"),
    (weighed(*STEADY), weighed(*times(1.1)), 1, 1, "regressed: "),
    (weighed(*STEADY), weighed(*STEADY), 0, 0, "2 ok"),
    (a_wall(*STEADY), a_wall(*WILD), 3, 3, "no figure was decided"),
]


@pytest.mark.parametrize(("base", "head", "code", "strict", "said"), RUNS)
def test_the_command_answers_for_what_the_suite_requires(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: Measurement,
    head: Measurement,
    code: int,
    strict: int,
    said: str,
) -> None:
    """`compare` leaves with 0 though wall time is undecided, and with 3 where it is required."""
    done = compared(tmp_path, recorded(base), recorded(head))
    assert done.exit_code == code
    assert said in done.stdout
    gate = GateKinds(require=tuple(KINDS), report=(), reason="a quiet machine")
    suite = msgspec.structs.replace(read_suite(), gate=gate)
    monkeypatch.setattr("whisperbench.asked.suite.read_suite", lambda: suite)
    assert compared(tmp_path, recorded(base), recorded(head)).exit_code == strict


def test_without_a_suite_the_default_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed `compare` without a checkout requires what a suite without [gate] does."""
    monkeypatch.setattr("whisperbench.asked.suite.has_checkout", lambda: False)
    done = compared(tmp_path, recorded(weighed(*STEADY)), recorded(weighed(*WILD)))
    assert done.exit_code == 0
    assert "there is no benchmarks/suite.toml here" in done.stdout


def test_a_missing_wall_figure_is_no_undecided_one(tmp_path: Path) -> None:
    """What was not measured on one side fails, also where its kind need not be decided."""
    timed, other = make_measurement(), make_measurement("encoder")
    done = compared(tmp_path, recorded(weighed(*STEADY), other), recorded(weighed(*STEADY)))
    assert done.exit_code == 4
    done = compared(tmp_path, recorded(timed), recorded(timed, other))
    assert done.exit_code == 4
