"""A verdict told: status, comment, summary and annotations, with hostile text and a broken API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.pulls.artifacts import HEAD, MERGE_BASE, OTHER
from tests.pulls.server import ACCOUNT, REPOSITORY, TOKEN, Fault, Hub, Status
from whisperbench.errors import InputError
from whisperbench.pulls.api import api_of
from whisperbench.pulls.asking import ApiError
from whisperbench.pulls.publishing import MARKER, command, publish
from whisperbench.pulls.surroundings import Surroundings
from whisperbench.pulls.verdict_file import Annotation, PullVerdict, write_verdict

NEEDS = '{"measure": {"result": "success"}, "judge": {"result": "success"}}'
PASS = PullVerdict(state="success", exit_code=0, description="6 figures", markdown="- fine")
FAIL = PullVerdict(
    state="failure",
    exit_code=1,
    title="worse than the base",
    description="1 of 6 figures regressed",
    markdown="| regressed | token |",
    annotations=(Annotation("error", "regressed: latency_s", "token: +8.0 %"),),
)


@dataclass
class Told:
    """What a verdict has become."""

    code: int
    lines: list[str]
    summary: str


@dataclass
class Publisher:
    """Publishes verdicts in a folder."""

    hub: Hub
    folder: Path

    def __call__(
        self, verdict: PullVerdict | None, variables: Mapping[str, str] | None = None
    ) -> Told:
        """Publish a verdict; None is the absence of one."""
        path, summary = self.folder / "verdict.json", self.folder / "summary.md"
        path.unlink(missing_ok=True)
        summary.unlink(missing_ok=True)
        if verdict is not None:
            write_verdict(path, verdict)
        said = {
            "WHISPERBENCH_HEAD": HEAD,
            "WHISPERBENCH_BASE": MERGE_BASE,
            "WHISPERBENCH_PULL": "7",
            "NEEDS": NEEDS,
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        job = Surroundings(variables=self.hub.variables() | said | dict(variables or {}))
        lines: list[str] = []
        api = api_of(job.api, REPOSITORY, TOKEN, sleep=lambda _: None)
        code = publish(job, api, path, lines.append)
        return Told(code, lines, summary.read_text() if summary.exists() else "")

    @property
    def own(self) -> list[str]:
        """The gate's comments on pull request 7."""
        return [
            each["body"]
            for each in self.hub.comments
            if each["user"] and each["user"]["login"] == ACCOUNT
        ]


@pytest.fixture
def tell(hub: Hub, tmp_path: Path) -> Publisher:
    """A pull request whose reviewed head is its head."""
    hub.open_pull(7, HEAD, MERGE_BASE, MERGE_BASE)
    return Publisher(hub, tmp_path)


def test_a_verdict_is_told_everywhere(hub: Hub, tell: Publisher) -> None:
    """Status, comment and summary name the commits and the run; the worst is an annotation."""
    told = tell(FAIL)
    assert told.code == 1
    assert hub.state_of(HEAD) == "failure"
    (comment,) = tell.own
    assert comment.startswith(f"{MARKER}\n### whisperbench: worse than the base\n")
    for text in (comment, told.summary):
        assert f"`{HEAD[:10]}` against `{MERGE_BASE[:10]}`" in text
        assert "https://github.example/owner/project/actions/runs/77" in text
        assert "| regressed | token |" in text
    assert told.lines == [
        "::error title=regressed%3A latency_s::token: +8.0 %25",
        "failure: 1 of 6 figures regressed",
    ]


def test_one_comment_is_kept_up_to_date(hub: Hub, tell: Publisher) -> None:
    """It is found again among pages of others, and nobody else's is touched."""
    for number in range(120):
        hub.comment(7, f"talk {number}")
    tell(FAIL)
    for number in range(120):
        hub.comment(7, f"more talk {number}")
    tell(PASS)
    (comment,) = tell.own
    assert "no worse than the base" in comment
    assert "regressed" not in comment
    assert len(hub.comments) == 241


@pytest.mark.parametrize("login", ["somebody", "github-actions", None])
def test_a_comment_of_somebody_else_is_not_the_gates(
    hub: Hub, tell: Publisher, login: str | None
) -> None:
    """Whoever copies the marker does not get his comment rewritten, and cannot hide the gate's."""
    hub.comment(7, f"{MARKER}\nall is fine", login)
    tell(FAIL)
    assert hub.comments[0]["body"] == f"{MARKER}\nall is fine"
    assert len(tell.own) == 1


def test_a_comment_that_only_quotes_the_marker(hub: Hub, tell: Publisher) -> None:
    """Another workflow of the same account may quote the gate's comment: it stays as it is."""
    hub.comment(7, f"> {MARKER}", ACCOUNT)
    tell(FAIL)
    assert len(tell.own) == 2


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (NEEDS.replace("success", "cancelled"), "(measure: cancelled, judge: cancelled), although"),
        (NEEDS.replace("success", "failure", 1), "(measure: failure), although a success was left"),
        (NEEDS.replace("success", "skipped", 1), "(measure: skipped), although"),
        ("", "NEEDS is not set"),
        ("{}", "NEEDS: names no job"),
        ("[]", "NEEDS: is not toJSON(needs)"),
    ],
)
def test_a_success_of_jobs_that_did_not_succeed(
    hub: Hub, tell: Publisher, needs: str, said: str
) -> None:
    """A verdict that is left over passes nothing; one that speaks against the head stands."""
    assert tell(PASS, {"NEEDS": needs}).code == 4
    assert hub.state_of(HEAD) == "error"
    assert said in hub.statuses[-1].description
    assert tell(FAIL, {"NEEDS": needs}).code == 1
    assert hub.state_of(HEAD) == "failure"


def test_a_schedule_has_a_status_of_its_own(hub: Hub, tell: Publisher) -> None:
    """A commit held against itself keeps the gate's status that it has earned."""
    hub.statuses.append(Status(HEAD, "failure", "worse", ""))
    told = tell(PASS, {"WHISPERBENCH_PULL": "", "GITHUB_EVENT_NAME": "schedule"})
    assert told.summary.startswith("### whisperbench of the runner: no worse than the base\n")
    assert hub.state_of(HEAD) == "failure"
    assert hub.state_of(HEAD, "whisperbench/runner") == "success"
    with pytest.raises(InputError, match="GITHUB_EVENT_NAME is not set"):
        tell(PASS, {"GITHUB_EVENT_NAME": ""})


@pytest.mark.parametrize(
    ("state", "code", "title", "heading"),
    [
        ("success", 0, "", "no worse than the base"),
        ("failure", 1, "over a limit", "over a limit"),
        ("failure", 3, "", "not shown to be as good as the base"),
        ("error", 4, "", "nothing can be said"),
        ("failure", 1, "a <b>", r"a \<b\>"),
    ],
)
def test_the_heading(
    tell: Publisher,
    state: Literal["success", "failure", "error"],
    code: int,
    title: str,
    heading: str,
) -> None:
    """It is the verdict's, and where that has none it follows from the state."""
    verdict = PullVerdict(state=state, exit_code=code, description="", markdown="", title=title)
    assert tell(verdict).summary.splitlines()[0] == f"### whisperbench: {heading}"


def test_without_a_pull_request_nobody_is_asked(hub: Hub, tell: Publisher) -> None:
    """A push or a merge group has a status and a summary, and no comment."""
    told = tell(PASS, {"WHISPERBENCH_PULL": ""})
    assert (told.code, hub.state_of(HEAD), tell.own) == (0, "success", [])
    assert "6 figures" in told.summary
    assert hub.asked == [f"POST /repos/{REPOSITORY}/statuses/{HEAD}"]


@pytest.mark.parametrize("verdict", [PASS, FAIL])
def test_a_head_that_moved_is_told_on_the_reviewed_one(
    hub: Hub, tell: Publisher, verdict: PullVerdict
) -> None:
    """Never a success, and no status on a commit that nobody has reviewed."""
    hub.move(7, OTHER)
    assert tell(verdict).code == 4
    assert {each.commit for each in hub.statuses} == {HEAD}
    assert hub.statuses[-1].state == "error"
    assert f"moved to {OTHER[:10]} while {HEAD[:10]}" in hub.statuses[-1].description


@pytest.mark.parametrize(
    "written",
    [
        None,
        b"{",
        b'{"schema": 2, "state": "success", "exit_code": 0, "description": "", "markdown": ""}',
        b'{"schema": 1, "state": "success", "exit_code": 1, "description": "", "markdown": ""}',
        b'{"schema": 1, "state": "failure", "exit_code": 0, "description": "", "markdown": ""}',
        b'{"schema": 1, "state": "pending", "exit_code": 4, "description": "", "markdown": ""}',
    ],
)
def test_a_verdict_that_is_none(hub: Hub, tell: Publisher, written: bytes | None) -> None:
    """Where judging has left nothing that can be read, the status is an error."""
    if written is not None:
        path = tell.folder / "other.json"
        path.write_bytes(written)
        job = Surroundings(variables=hub.variables() | {"WHISPERBENCH_HEAD": HEAD})
        code = publish(job, api_of(job.api, REPOSITORY, TOKEN), path, lambda _: None)
    else:
        code = tell(None).code
    assert code == 4
    assert hub.statuses[-1].state == "error"
    assert hub.statuses[-1].description.startswith("no verdict was left: ")


@pytest.mark.parametrize("head", ["", "main", HEAD[:-1]])
def test_a_head_that_is_not_known(hub: Hub, tell: Publisher, head: str) -> None:
    """Without a commit there is nothing to set a status of, which is an error of its own."""
    with pytest.raises(InputError, match="WHISPERBENCH_HEAD"):
        tell(PASS, {"WHISPERBENCH_HEAD": head})
    assert hub.asked == []


def test_a_status_that_cannot_be_set(hub: Hub, tell: Publisher) -> None:
    """It is an error, before anything else is told."""
    hub.faults.append(Fault("POST", "statuses", 403, '{"message": "Resource not accessible"}'))
    with pytest.raises(ApiError, match=r"the status whisperbench/gate of 1111111111: .* 403"):
        tell(PASS)
    assert hub.comments == []


def test_a_comment_that_cannot_be_written(hub: Hub, tell: Publisher) -> None:
    """The status stands, the rest is told, and the job fails by the error."""
    hub.faults.append(Fault("POST", "comments", 403, '{"message": "Resource not accessible"}'))
    with pytest.raises(ApiError, match=r"a comment on pull request 7: .* 403"):
        tell(PASS)
    assert hub.state_of(HEAD) == "success"


@pytest.mark.parametrize("code", [500, 502, 0])
def test_a_comment_that_may_have_been_written(hub: Hub, tell: Publisher, code: int) -> None:
    """After a failure the comment is looked for before it is written once more: one is left."""
    hub.faults.append(Fault("POST", "comments", code))
    tell(PASS)
    assert len(tell.own) == 1
    assert sum(each.startswith("GET") and "comments" in each for each in hub.asked) == 2


def test_a_comment_that_was_removed_meanwhile(hub: Hub, tell: Publisher) -> None:
    """It is written anew."""
    tell(FAIL)
    hub.faults.append(Fault("PATCH", "comments", 404))
    tell(PASS)
    assert len(tell.own) == 1


def test_what_is_too_long_is_cut_and_said_to_be(hub: Hub, tell: Publisher) -> None:
    """A comment stays under GitHub's limit, and so does the summary."""
    rows = "\n".join(f"| regressed | cell {number} | ä |" for number in range(60_000))
    told = tell(
        PullVerdict(state="failure", exit_code=1, description="many", markdown=rows),
    )
    (comment,) = tell.own
    assert len(comment.encode()) <= 65_536
    assert re.search(r"\d+ lines are left out here for want of room: \[the run\]\(http", comment)
    assert 500_000 < len(told.summary.encode()) < 2**20
    assert "lines are left out here for want of room" in told.summary
    assert hub.state_of(HEAD) == "failure"


@pytest.mark.parametrize(
    ("title", "message", "line"),
    [
        ("a", "b", "::error title=a::b"),
        ("a::b", "c::d", "::error title=a%3A%3Ab::c::d"),
        ("a,file=x", "50%", "::error title=a%2Cfile=x::50%25"),
        (
            "a\n::set-env::",
            "b\r\n::error::c",
            "::error title=a%0A%3A%3Aset-env%3A%3A::b%0D%0A::error::c",
        ),
        ("%0A", "%0A", "::error title=%250A::%250A"),
        ("##[error]", "x ##[add-path]y", "::error title=## [error]::x ## [add-path]y"),
        ("\u202e", "\u2028", r"::error title=\u202e::\u2028"),
    ],
)
def test_an_annotation_is_one_command(title: str, message: str, line: str) -> None:
    """Whatever stands in it, it is one line and one command."""
    assert command(Annotation("error", title, message)) == line


def test_lines_that_are_printed_are_no_commands(tell: Publisher) -> None:
    """A description that begins as a command does is printed behind the state."""
    told = tell(
        PullVerdict(state="failure", exit_code=1, description="::error::x\n##[group]y", markdown="")
    )
    assert told.lines == [r"failure: ::error::x\n## [group]y"]
