"""Two runs compared: verdicts, the exit code, and whether one may replace the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from whisperbench.asked.gate import DEFAULT_GATE
from whisperbench.asked.suite import Suite
from whisperbench.errors import ExitCode, IncomparableError, RegressedError, WhisperbenchError
from whisperbench.judge.compare import Gate
from whisperbench.judge.in_turns import remedy
from whisperbench.judge.reach import Reach
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
    """All that there is to say of two runs, and what it comes to."""

    judged: Sequence[Judged]
    unmeasured: Sequence[str] = ()
    """What either of them was to measure and did not."""
    circumstances: Sequence[str] = ()
    """What else has changed."""
    require: Collection[str] = DEFAULT_GATE.require
    """Kinds whose figures must be decided, by suite.toml's [gate]."""
    reach: Reach | None = None
    """What of the code that differs was run, where that is known. Where nothing was, `unmeasured`
    says so."""
    remedy: str = ""
    """What would decide what is not decided, as a clause; empty where nothing would."""

    def may_be_undecided(self, each: Judged) -> bool:
        """Whether a figure could not be decided, and is of a kind that need not be."""
        kind = each.verdict.kind
        return (
            each.verdict.verdict == "inconclusive" and kind is not None and kind not in self.require
        )

    @property
    def decided_nothing(self) -> bool:
        """Whether there are figures, and none was decided: what saw nothing has not passed."""
        return bool(self.judged) and all(map(self.may_be_undecided, self.judged))

    @property
    def failing(self) -> list[Judged]:
        """The verdicts that keep it from passing."""
        if self.decided_nothing:
            return list(self.judged)
        return [
            each
            for each in self.judged
            if each.verdict.verdict not in PASSES and not self.may_be_undecided(each)
        ]

    @property
    def exit_code(self) -> ExitCode:
        """What it comes to. A comparison that compared nothing has not passed."""
        found = {each.verdict.verdict for each in self.failing}
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


def suspected(judged: Sequence[Judged]) -> list[Judged]:
    """Return the undecided figures that lie over where one more process of the base would.

    The head has too few processes to tell whether that is its code or its luck.
    """
    return [
        each
        for each in judged
        if each.verdict.verdict == "inconclusive"
        and each.verdict.interval is not None
        and each.verdict.interval[0] > 0
    ]


def hold_against(base: Run, head: Run, suite: Suite | None) -> Comparison:
    """Judge a run by another.

    Args:
        base: a run, or a baseline of several.
        head: likewise.
        suite: whose tolerances and gate hold; None where there is no suite.toml, which is said.

    Raises:
        InputError: a run measured a cell twice, so that one of the two would not be judged.
    """
    gate = Gate(base, head.machine, suite.tolerance if suite is not None else ())
    judged = gate.judge_all(head.measurements)
    unmeasured = [
        f"{name}, {line}"
        for name, run in (("base", base), ("head", head))
        for line in run.unmeasured()
    ]
    circumstances = gate.circumstances()
    if suite is None:
        circumstances.append(NO_SUITE)
    return Comparison(
        judged=judged,
        unmeasured=unmeasured,
        circumstances=circumstances,
        require=(suite.gate if suite is not None else DEFAULT_GATE).require,
        remedy=remedy(head.measurements, base.measurements),
    )


def refusal(found: Comparison, name: str) -> WhisperbenchError | None:
    """Say why a baseline is not replaced by a run that was held against it.

    What keeps a comparison from passing does, but for what only the new one has; and so does wall
    time that looks slower, though the new one has too few processes to say so.

    Args:
        found: the comparison, of which the baseline is the base.
        name: what to call the baseline, such as its path.

    Returns:
        The error to raise; None where nothing speaks against the new one.
    """
    against = {each.verdict.verdict for each in [*found.failing, *suspected(found.judged)]}
    verdicts = [verdict for verdict in _EXITS if verdict in against and verdict != "new"]
    if not verdicts:
        return None
    kind = RegressedError if found.exit_code == ExitCode.REGRESSED else IncomparableError
    return kind(
        f"{name}: kept as it was, for the new one is {', '.join(verdicts)}; --force replaces it"
    )
