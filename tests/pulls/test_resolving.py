"""Which commits are measured, for each event, and what a reviewed head is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.pulls.server import TOKEN, Hub, Status
from whisperbench.errors import InputError
from whisperbench.pulls.api import api_of
from whisperbench.pulls.asking import ApiError
from whisperbench.pulls.resolving import Resolved, resolve
from whisperbench.pulls.surroundings import Surroundings

HEAD, BASE, FORK_POINT, OTHER = ("1" * 40, "2" * 40, "3" * 40, "4" * 40)
ZEROS = "0" * 40
RUN = "https://github.example/owner/project/actions/runs/77"
DISPATCH = {
    "GITHUB_EVENT_NAME": "workflow_dispatch",
    "WHISPERBENCH_PULL": "7",
    "WHISPERBENCH_HEAD": HEAD,
}


def resolved(hub: Hub, variables: Mapping[str, str]) -> Resolved:
    """Resolve in an environment."""
    job = Surroundings(variables=hub.variables() | dict(variables))
    return resolve(job, api_of(job.api, job.repository, TOKEN, sleep=lambda _: None))


def event(folder: Path, name: str, payload: Any) -> dict[str, str]:
    """Write an event's payload; return the variables that name it."""
    path = folder / "event.json"
    path.write_text(json.dumps(payload))
    return {"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path)}


def push(before: str, after: str, **more: Any) -> dict[str, Any]:
    """Make the payload of a push, with more than is read of it."""
    whose = {"full_name": "owner/project", "default_branch": "main"}
    like = {"ref": "refs/heads/main", "repository": whose, "before": before, "after": after}
    return like | {"commits": []} | more


def test_a_reviewed_pull_request(hub: Hub) -> None:
    """A dispatch measures the reviewed head against the merge base, and marks the head pending."""
    hub.open_pull(7, HEAD, BASE, FORK_POINT)
    found = resolved(hub, DISPATCH)
    assert found.as_output() == f"pull=7\nhead={HEAD}\nbase={FORK_POINT}\n"
    assert hub.statuses == [Status(HEAD, "pending", "is being measured", RUN)]


@pytest.mark.parametrize(
    ("opened", "said"),
    [
        ({"state": "closed"}, "pull request 7 is closed, not open"),
        ({"head": OTHER}, "the head of pull request 7 is 4444444444 by now, and not the reviewed"),
        ({"target": "other/project"}, "pull request 7 is not one of owner/project"),
        ({"source": "stranger/project"}, "pull request 7 comes from a fork: push the reviewed"),
        ({"source": None}, "pull request 7 comes from a fork: push the reviewed"),
    ],
    ids=["closed", "moved", "elsewhere", "fork", "deleted fork"],
)
def test_what_is_not_to_be_measured(hub: Hub, opened: dict[str, Any], said: str) -> None:
    """Its reviewed head gets the status error with the reason, and no output is made."""
    like: dict[str, Any] = {"number": 7, "head": HEAD, "base": BASE, "merge_base": BASE}
    hub.open_pull(**like | opened)
    with pytest.raises(InputError, match=said):
        resolved(hub, DISPATCH)
    (status,) = hub.statuses
    assert (status.commit, status.state) == (HEAD, "error")
    assert status.description.startswith(f"not measured: {said}")


def test_a_fork_whose_reviewed_heads_are_let_in(hub: Hub) -> None:
    """Where the repository says so, the reviewed head of a fork is measured."""
    hub.open_pull(7, HEAD, BASE, FORK_POINT, source="stranger/project")
    assert resolved(hub, DISPATCH | {"WHISPERBENCH_FORKS": "reviewed"}).base == FORK_POINT


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WHISPERBENCH_HEAD", "main", "'main' is no commit"),
        ("WHISPERBENCH_HEAD", HEAD[:7], "is no commit: name the hash that was reviewed, all 40"),
        ("WHISPERBENCH_HEAD", f"{HEAD}\nbase=x", "is no commit"),
        ("WHISPERBENCH_HEAD", HEAD.replace("1", "A"), "is no commit"),
        ("WHISPERBENCH_HEAD", ZEROS, "is no commit"),
        ("WHISPERBENCH_HEAD", "", "WHISPERBENCH_HEAD is not set"),
        ("WHISPERBENCH_PULL", "7/../8", "is no number of a pull request"),
        ("WHISPERBENCH_PULL", "٧", "is no number of a pull request"),
        ("WHISPERBENCH_PULL", "", "WHISPERBENCH_PULL is not set"),
        ("GITHUB_REPOSITORY", "owner/project/pulls", "is no owner/name"),
        ("GITHUB_REPOSITORY", "owner/..", "is no owner/name"),
        ("GITHUB_API_URL", "http://api.example", "does not begin with https://"),
        ("GITHUB_API_URL", "file:///etc", "does not begin with https://"),
        ("GITHUB_EVENT_NAME", "pull_request", "is no event that may reach a GPU"),
        ("GITHUB_EVENT_NAME", "pull_request_target", "is no event that may reach a GPU"),
        ("GITHUB_EVENT_NAME", "issue_comment", "is no event that may reach a GPU"),
    ],
)
def test_an_input_that_is_no_such_thing(hub: Hub, name: str, value: str, said: str) -> None:
    """Nothing but a number and whole hashes is taken, of events that no stranger can cause."""
    hub.open_pull(7, HEAD, BASE, FORK_POINT)
    with pytest.raises(InputError, match=said):
        resolved(hub, DISPATCH | {name: value})
    assert hub.statuses == []
    assert hub.asked == []


def test_a_merge_group(hub: Hub, tmp_path: Path) -> None:
    """Both ends are the event's own."""
    group = {"head_sha": HEAD, "head_ref": "refs/heads/q", "base_sha": BASE, "base_ref": "main"}
    payload = {"action": "checks_requested", "merge_group": group}
    found = resolved(hub, event(tmp_path, "merge_group", payload))
    assert found == Resolved(pull=None, head=HEAD, base=BASE)
    assert hub.state_of(HEAD) == "pending"


@pytest.mark.parametrize(
    ("payload", "base"),
    [
        (push(BASE, HEAD), BASE),
        (push(BASE, HEAD, forced=True), FORK_POINT),
        (push(ZEROS, HEAD, created=True), OTHER),
    ],
    ids=["push", "forced", "new branch"],
)
def test_a_push(hub: Hub, tmp_path: Path, payload: Any, base: str) -> None:
    """The base is what was there; if forced, the merge base; of a new branch the head's parent."""
    hub.merge_bases[BASE, HEAD] = FORK_POINT
    hub.parents[HEAD] = [OTHER, BASE]
    found = resolved(hub, event(tmp_path, "push", payload))
    assert found == Resolved(pull=None, head=HEAD, base=base)


def test_the_first_commit_of_all(hub: Hub, tmp_path: Path) -> None:
    """It has no parent, so that there is nothing to hold it against, and no status is set."""
    hub.parents[HEAD] = []
    with pytest.raises(ApiError, match="the parent of 1111111111: it has none"):
        resolved(hub, event(tmp_path, "push", push(ZEROS, HEAD)))
    assert hub.statuses == []


@pytest.mark.parametrize("ref", ["refs/heads/feature", "refs/tags/main", "main", "refs/heads/Main"])
def test_a_push_to_another_branch(hub: Hub, tmp_path: Path, ref: str) -> None:
    """Behind a regression of the same pull request a commit would turn its head green: no status.

    The base would be the regression itself.
    """
    hub.merge_bases[BASE, HEAD] = FORK_POINT
    hub.parents[HEAD] = [OTHER]
    for payload in (push(BASE, HEAD), push(BASE, HEAD, forced=True), push(ZEROS, HEAD)):
        with pytest.raises(InputError, match="and not to the default branch main: name the pull"):
            resolved(hub, event(tmp_path, "push", payload | {"ref": ref}))
    assert hub.statuses == []


def test_a_push_to_a_default_branch_of_another_name(hub: Hub, tmp_path: Path) -> None:
    """The default branch is the one that the event's payload names."""
    whose = {"default_branch": "trunk"}
    payload = push(BASE, HEAD, ref="refs/heads/trunk", repository=whose)
    assert resolved(hub, event(tmp_path, "push", payload)).base == BASE
    with pytest.raises(InputError, match="not to the default branch trunk"):
        resolved(hub, event(tmp_path, "push", push(BASE, HEAD, repository=whose)))


def test_a_head_is_not_held_against_itself(hub: Hub, tmp_path: Path) -> None:
    """It would pass. A pull request's head is told so; others keep the status that they have."""
    hub.merge_bases[BASE, HEAD] = HEAD
    group = {"merge_group": {"head_sha": HEAD, "base_sha": HEAD}}
    for name, payload in (("push", push(BASE, HEAD, forced=True)), ("merge_group", group)):
        with pytest.raises(InputError, match="has no commit that its base lacks"):
            resolved(hub, event(tmp_path, name, payload))
    assert hub.statuses == []
    hub.open_pull(7, HEAD, BASE, HEAD)
    with pytest.raises(InputError, match="has no commit that its base lacks"):
        resolved(hub, DISPATCH)
    assert hub.state_of(HEAD) == "error"


def test_a_schedule(hub: Hub) -> None:
    """The commit of the workflow is held against itself, under a status that is not the gate's."""
    hub.statuses.append(Status(HEAD, "failure", "worse", RUN))
    found = resolved(hub, {"GITHUB_EVENT_NAME": "schedule", "GITHUB_SHA": HEAD})
    assert found.as_output() == f"pull=\nhead={HEAD}\nbase={HEAD}\n"
    assert hub.state_of(HEAD) == "failure"
    assert hub.state_of(HEAD, "whisperbench/runner") == "pending"


@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("push", push(BASE, ZEROS, deleted=True), "deletes a branch"),
        ("push", push("main", HEAD), "before: 'main' is no commit"),
        ("push", push(BASE, "x\nhead=y"), "after: 'x head=y' is no commit"),
        ("push", {"after": HEAD}, "missing required field `ref`"),
        ("push", push(BASE, HEAD, repository={}), "missing required field `default_branch`"),
        ("push", [], "payload is not as expected"),
        ("merge_group", {"merge_group": {"head_sha": HEAD}}, "missing required field"),
        ("merge_group", {"merge_group": {"head_sha": 7, "base_sha": BASE}}, "Expected `str`"),
    ],
)
def test_an_event_that_is_not_as_expected(
    hub: Hub, tmp_path: Path, name: str, payload: Any, said: str
) -> None:
    """It is refused in one line, and no status is set."""
    with pytest.raises(InputError, match=said):
        resolved(hub, event(tmp_path, name, payload))
    assert hub.statuses == []
