"""The verdict told: as the head's status, as a comment, in the run's summary and as annotations."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from whisperbench.errors import InputError, WhisperbenchError, printable
from whisperbench.pulls.api import Api
from whisperbench.pulls.asking import ApiError
from whisperbench.pulls.surroundings import (
    BASE,
    COMMIT,
    HEAD,
    NEEDS,
    PULL,
    RUNNER,
    Surroundings,
    context_of,
    unmet_needs,
)
from whisperbench.pulls.verdict_file import Annotation, PullVerdict, error_verdict, read_verdict
from whisperbench.report.inert import inert, within

MARKER = "<!-- whisperbench/gate: this comment is kept up to date -->"
"""What the comment begins with."""

ACCOUNT = "github-actions[bot]"
"""Whose comments are those of a job's own token. No person can have a name with brackets."""

ACCOUNT_VARIABLE = "WHISPERBENCH_ACCOUNT"
"""Variable that names the account where the token is another one's."""

PICTURES = "WHISPERBENCH_PICTURES"
"""Variable that names the artifact of pictures, where a job draws them."""

_ARTIFACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,49}")

MAX_COMMENT_BYTES = 60_000
"""GitHub refuses comments of more than 65,536 characters."""

MAX_SUMMARY_BYTES = 900_000
"""GitHub drops a step's summary of more than 1 MiB."""

ATTEMPTS = 3


def publish(job: Surroundings, api: Api, path: Path, say: Callable[[str], None]) -> int:
    """Tell a verdict, and return the exit code: the verdict's own, once its status is set.

    The status is set first: what fails later, such as the comment, changes no status.

    Args:
        job: whose environment names the event, the head, the pull request where there is one, and
            what became of the jobs before.
        api: of the repository.
        path: what `pull judge` has written.
        say: prints a line, which GitHub may read as a command.

    Raises:
        InputError: the head or the event is not known.
        ApiError: the status cannot be set, or the comment cannot be written.
    """
    head, context = job.commit(HEAD), context_of(job)
    number = job.number() if job.variables.get(PULL) else None
    verdict = _looked_again(api, number, head, _of_all_jobs(job, _verdict(path)))
    api.set_status(head, verdict.state, verdict.description, job.run_address, context=context)
    text = _text(verdict, head, job)
    elsewhere = f"[the run]({job.run_address}) has all" if job.run_address else "the run has all"
    job.append(
        "GITHUB_STEP_SUMMARY",
        within(text, MAX_SUMMARY_BYTES, "the verdict's file has all") + "\n",
    )
    for each in verdict.annotations:
        say(command(each))
    say(f"{verdict.state}: {quiet(verdict.description)}")
    if number is not None:
        account = job.variables.get(ACCOUNT_VARIABLE) or ACCOUNT
        body = within(f"{MARKER}\n{text}", MAX_COMMENT_BYTES, elsewhere)
        keep_comment(api, number, body, account)
    return verdict.exit_code


def _verdict(path: Path) -> PullVerdict:
    try:
        return read_verdict(path)
    except WhisperbenchError as error:
        return error_verdict(f"no verdict was left: {error}")


def _of_all_jobs(job: Surroundings, verdict: PullVerdict) -> PullVerdict:
    """Let a success be one only where every job before has succeeded.

    A file that says so may be of a judge that was cancelled afterwards, or of an earlier attempt.
    """
    if verdict.state != "success":
        return verdict
    try:
        unmet = unmet_needs(job.required(NEEDS))
    except InputError as error:
        return error_verdict(str(error))
    if not unmet:
        return verdict
    return error_verdict(
        f"a job that this one needs did not succeed ({', '.join(unmet)}), although a success was "
        "left"
    )


def _looked_again(api: Api, number: int | None, head: str, verdict: PullVerdict) -> PullVerdict:
    """Look whether the head is still the pull request's; where it is not, or nobody knows, say so.

    The status is that of the reviewed head all the same, and never a success.
    """
    if number is None:
        return verdict
    try:
        now = api.pull(number).head.sha
    except ApiError as error:
        return error_verdict(f"whether the head has moved is not known: {error}")
    if now == head:
        return verdict
    return error_verdict(
        f"the head of the pull request moved to {printable(now)[:10]} while {head[:10]} was "
        "measured: review that one, and start again"
    )


def keep_comment(api: Api, number: int, body: str, account: str) -> None:
    """Write the gate's comment, or write it anew where there is one.

    A comment counts as the gate's where it begins with the marker and the account wrote it. After
    a failure it is looked for once more, since it may have been written all the same.

    Raises:
        ApiError: it can be neither found nor written.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            own = (
                each.id
                for each in api.comments(number)
                if each.user is not None
                and each.user.login == account
                and (each.body or "").startswith(MARKER)
            )
            found = next(own, None)
            if found is None:
                api.add_comment(number, body)
            else:
                api.change_comment(found, body)
        except ApiError as error:
            # 404: somebody has removed it meanwhile.
            if attempt == ATTEMPTS or (0 < error.code < 500 and error.code != 404):
                raise
        else:
            return


def _text(verdict: PullVerdict, head: str, job: Surroundings) -> str:
    """Write what comment and summary have in common."""
    base = job.variables.get(BASE, "")
    against = f" against `{base[:10]}`" if COMMIT.fullmatch(base) else ""
    where = f" ([the run]({job.run_address}))" if job.run_address else ""
    of_runner = " of the runner" if context_of(job) == RUNNER else ""
    return "\n".join(
        [
            f"### whisperbench{of_runner}: {inert(verdict.title) or _TITLES[verdict.state]}",
            "",
            f"`{head[:10]}`{against}{where}: {inert(verdict.description)}",
            "",
            *_of_pictures(verdict, job),
            verdict.markdown,
        ]
    )


def _of_pictures(verdict: PullVerdict, job: Surroundings) -> list[str]:
    """Say where the pictures are. A comment can show none: it loads them from addresses alone."""
    name = job.variables.get(PICTURES, "")
    if not _ARTIFACT.fullmatch(name) or not job.run_address or verdict.state == "error":
        return []
    said = f"Pictures of it are in the artifact `{name}` of [the run]({job.run_address}#artifacts)."
    return [said, ""]


_TITLES = {
    "success": "no worse than the base",
    "failure": "not shown to be as good as the base",
    "error": "nothing can be said",
}


def command(annotation: Annotation) -> str:
    """Write an annotation as a command of GitHub's workflows, in one line.

    A percent sign, the end of a line and, in the title, a colon and a comma are escaped as the
    actions toolkit does it (packages/core/src/command.ts).
    """
    title = _escaped(annotation.title).replace(":", "%3A").replace(",", "%2C")
    return f"::{annotation.level} title={title}::{_escaped(annotation.message)}"


def _escaped(text: str) -> str:
    return quiet(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def quiet(text: str) -> str:
    """Write text in which GitHub's runner finds no command: of the old form it does so anywhere."""
    return printable(text).replace("##[", "## [")
