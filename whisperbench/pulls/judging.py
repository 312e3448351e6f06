"""What a measuring job has left, judged on another machine that trusts none of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from whisperbench.asked.suite import Suite, read_suite
from whisperbench.errors import ExitCode, InputError, WhisperbenchError, one_line
from whisperbench.judge.comparison import Comparison
from whisperbench.pulls.artifact import read_artifact
from whisperbench.pulls.rejudging import Expected, rejudged
from whisperbench.pulls.surroundings import BASE, HEAD, NEEDS, Surroundings, unmet_needs
from whisperbench.pulls.verdict_file import Annotation, PullVerdict, error_verdict
from whisperbench.report.inert import within
from whisperbench.report.pull_request import faults, in_a_line, title
from whisperbench.report.verdict_markdown import in_full

MOST_ANNOTATIONS = 9
"""GitHub shows ten errors and ten warnings of a step."""

MAX_MARKDOWN_BYTES = 900_000


def judge_job(
    job: Surroundings,
    artifact: Path,
    suite: Path,
    *,
    arguments: Sequence[str] = (),
    fast: bool = False,
    device: str | None = None,
) -> PullVerdict:
    """Judge an artifact in a job, whose environment says what the artifact is to be of.

    Args:
        job: its environment.
        artifact: what the measuring job has left.
        suite: the base's suite.toml.
        arguments: that pytest was to be given.
        fast: whether wall time was to be left out.
        device: the kind of device that it was to run on; None where any will do.
    """
    try:
        unmet = unmet_needs(job.required(NEEDS))
        # A job that was cancelled or skipped may have left a part, which is not worth a look. One
        # that failed has perhaps found a regression, which the files tell. It comes before the
        # commits: where they were not found out, the reason is that of the job that was to do it.
        if any(not each.endswith(": failure") for each in unmet):
            return error_verdict(_of_jobs(unmet))
        base, head = job.commit(BASE), job.commit(HEAD)
    except InputError as error:
        return error_verdict(str(error))
    expected = Expected(base=base, head=head, arguments=arguments, fast=fast, device=device)
    return judge_artifact(unmet, artifact, expected, suite)


def judge_artifact(
    unmet: Sequence[str], artifact: Path, expected: Expected, suite: Path
) -> PullVerdict:
    """Judge an artifact; whatever is wrong with it is a verdict, and none is a success.

    Args:
        unmet: the jobs before that failed, each with what became of it.
        artifact: what the measuring job has left: a folder, or a zip file.
        expected: what was to be measured.
        suite: the base's suite.toml.
    """
    try:
        verdict = verdict_of(rejudged(read_artifact(artifact), expected, _suite(suite)))
    except WhisperbenchError as error:
        why = f"{_of_jobs(unmet)}; {error}" if unmet else str(error)
        return error_verdict(why)
    # Files that pass every check may still hold figures that no arithmetic was written for.
    except (ArithmeticError, ValueError, LookupError, AssertionError, RecursionError) as error:
        return error_verdict(f"the figures cannot be judged: {one_line(repr(error))}")
    if unmet and verdict.state == "success":
        return error_verdict(f"{_of_jobs(unmet)}, although the figures that it left pass")
    return verdict


def _of_jobs(unmet: Sequence[str]) -> str:
    return f"a job that this one needs did not succeed ({', '.join(unmet)})"


def _suite(path: Path) -> Suite:
    """Read the base's suite.toml.

    Raises:
        InputError: the base has none, or none that can be read.
    """
    if not path.exists():
        raise InputError(f"the base has no {path.name}, so that no tolerances hold: add one first")
    return read_suite(path)


def verdict_of(found: Comparison) -> PullVerdict:
    """Make the verdict of a comparison."""
    passed = found.exit_code == ExitCode.OK
    level: Literal["error", "warning"] = "warning" if passed else "error"
    told = list(faults(found))
    annotations = [Annotation(level, *each) for each in islice(told, MOST_ANNOTATIONS)]
    if len(told) > len(annotations):
        more = f"{len(told) - len(annotations)} more are in the run's summary"
        annotations.append(Annotation(level, "whisperbench", more))
    return PullVerdict(
        state="success" if passed else "failure",
        exit_code=found.exit_code,
        description=in_a_line(found),
        markdown=within(
            in_full(found), MAX_MARKDOWN_BYTES, "`whisperbench compare` of the files has all"
        ),
        title=title(found),
        annotations=tuple(annotations),
    )
