"""Two runs compared: verdicts, the exit code, and whether one may replace the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whisperbench.asked.suite import Tolerance
from whisperbench.errors import ExitCode, IncomparableError, RegressedError, WhisperbenchError
from whisperbench.judge.compare import Gate
from whisperbench.results.records import Judged, Judgement, Run

PASSES = ("ok", "improved")

_EXITS: dict[Judgement, ExitCode] = {
    "regressed": ExitCode.REGRESSED,
    "over-limit": ExitCode.REGRESSED,
    "invalid": ExitCode.INVALID,
    "not-comparable": ExitCode.INVALID,
    "missing": ExitCode.INVALID,
    "new": ExitCode.INVALID,
    "inconclusive": ExitCode.INCONCLUSIVE,
}
"""The exit code of each verdict that does not pass. Of several the first one here decides."""


NO_SUITE = (
    "there is no benchmarks/suite.toml here: each figure is judged by the rule of its kind, and no "
    "tolerance of a suite holds"
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that there is to say of two runs."""

    judged: Sequence[Judged]
    unmeasured: Sequence[str] = ()
    """What either of them was to measure and did not."""
    circumstances: Sequence[str] = ()
    """What else has changed."""

    @property
    def exit_code(self) -> ExitCode:
        """What it comes to. A comparison that compared nothing has not passed."""
        found = {each.verdict.verdict for each in self.judged}
        codes = [code for verdict, code in _EXITS.items() if verdict in found]
        if ExitCode.REGRESSED in codes:
            return ExitCode.REGRESSED
        if self.unmeasured or not self.judged:
            return ExitCode.INVALID
        return codes[0] if codes else ExitCode.OK

    @property
    def remarks(self) -> list[str]:
        """What is said beside the verdicts."""
        return [*self.unmeasured, *self.circumstances]


def hold_against(base: Run, head: Run, tolerances: Sequence[Tolerance] | None) -> Comparison:
    """Judge a run by another.

    Args:
        base: a run, or a baseline of several.
        head: likewise.
        tolerances: suite.toml's; None where there is no suite.toml, which is said then.

    Raises:
        InputError: a run measured a cell twice, so that one of the two would not be judged.
    """
    gate = Gate(base, head.machine, tolerances or ())
    judged = gate.judge_all(head.measurements)
    unmeasured = [
        f"{name}, {line}"
        for name, run in (("base", base), ("head", head))
        for line in run.unmeasured()
    ]
    circumstances = gate.circumstances()
    if tolerances is None:
        circumstances.append(NO_SUITE)
    return Comparison(judged=judged, unmeasured=unmeasured, circumstances=circumstances)


def worse(judged: Sequence[Judged]) -> list[str]:
    """Return the verdicts with which no baseline is replaced unasked, those that there are."""
    found = {each.verdict.verdict for each in judged}
    return [verdict for verdict in _EXITS if verdict in found and verdict != "new"]


def refusal(found: Comparison, name: str) -> WhisperbenchError | None:
    """Say why a baseline is not replaced by a run that was held against it.

    Args:
        found: the comparison, of which the baseline is the base.
        name: what to call the baseline, such as its path.

    Returns:
        The error to raise; None where nothing speaks against the new one.
    """
    verdicts = worse(found.judged)
    if not verdicts:
        return None
    kind = RegressedError if found.exit_code == ExitCode.REGRESSED else IncomparableError
    return kind(
        f"{name}: kept as it was, for the new one is {', '.join(verdicts)}; --force replaces it"
    )
