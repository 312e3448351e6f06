"""What is measured: from the event that started a workflow to the commits of head and base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from whisperbench.errors import InputError, WhisperbenchError, one_line
from whisperbench.pulls.api import Api
from whisperbench.pulls.asking import ApiError
from whisperbench.pulls.surroundings import (
    EVENT,
    FORKS,
    HEAD,
    NOBODY,
    SCHEDULE,
    Surroundings,
    context_of,
    require_commit,
)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What is measured, and what of it is told to whom."""

    pull: int | None
    """The number of the pull request; None where the event is of none."""
    head: str
    base: str
    """What it is held against; on a schedule the head itself."""

    def as_output(self) -> str:
        """Write it as a job's outputs `pull` (empty without one), `head` and `base`."""
        return f"pull={self.pull or ''}\nhead={self.head}\nbase={self.base}\n"


class NotMeasuredError(InputError):
    """A pull request that is not measured; its reviewed head is told so."""


class _Merge(msgspec.Struct):
    head_sha: str
    base_sha: str


class _MergeGroup(msgspec.Struct):
    merge_group: _Merge


class _Repository(msgspec.Struct):
    default_branch: str


class _Push(msgspec.Struct):
    ref: str
    repository: _Repository
    before: str
    after: str
    forced: bool = False
    deleted: bool = False


def resolve(job: Surroundings, api: Api) -> Resolved:
    """Find out what a workflow is to measure, and set the status of its head to `pending`.

    Where a reviewed pull request must not be measured, its reviewed head gets the status `error`.

    Raises:
        InputError: the event or what it names is not to be measured.
        ApiError: the API does not answer, or the status cannot be set.
    """
    event = job.required(EVENT)
    if event not in EVENTS:
        raise InputError(
            f"{EVENT}: {one_line(event)!r} is no event that may reach a GPU: use one of "
            f"{', '.join(EVENTS)}"
        )
    try:
        found = EVENTS[event](job, api)
        if event != SCHEDULE:
            _require_two_commits(found)
    except NotMeasuredError as error:
        _tell(job, api, error)
        raise
    api.set_status(
        found.head, "pending", "is being measured", job.run_address, context=context_of(job)
    )
    return found


def _require_two_commits(found: Resolved) -> None:
    """Refuse to hold a head against itself, which passes whatever it holds.

    Raises:
        NotMeasuredError: it is a pull request's.
        InputError: it is not. No status is set, for the head may have earned one before.
    """
    if found.base != found.head:
        return
    said = f"{found.head[:10]} has no commit that its base lacks: there is nothing to measure"
    raise InputError(said) if found.pull is None else NotMeasuredError(said)


def _tell(job: Surroundings, api: Api, why: NotMeasuredError) -> None:
    """Set the status of the reviewed head; where that fails, too, both reasons are said.

    Raises:
        ApiError: it cannot be set.
    """
    try:
        api.set_status(job.commit(HEAD), "error", f"not measured: {why}", job.run_address)
    except WhisperbenchError as error:
        raise ApiError(f"{why}; and {error}") from error


def _of_dispatch(job: Surroundings, api: Api) -> Resolved:
    """Take the pull request that a maintainer names, at the head that was reviewed."""
    number, head = job.number(), job.commit(HEAD)
    pull = api.pull(number)
    if pull.base.repo is None or pull.base.repo.full_name.lower() != job.repository.lower():
        raise NotMeasuredError(f"pull request {number} is not one of {job.repository}")
    if pull.state != "open":
        raise NotMeasuredError(f"pull request {number} is {one_line(pull.state)}, not open")
    if pull.head.sha != head:
        raise NotMeasuredError(
            f"the head of pull request {number} is {one_line(pull.head.sha)[:10]} by now, and not "
            f"the reviewed {head[:10]}"
        )
    own = pull.head.repo is not None and (
        pull.head.repo.full_name.lower() == job.repository.lower()
    )
    if not own and job.variables.get(FORKS) != "reviewed":
        raise NotMeasuredError(
            f"pull request {number} comes from a fork: push the reviewed commit to a branch of "
            f"{job.repository}, or set {FORKS} to reviewed"
        )
    base = require_commit(pull.base.sha, f"the base of pull request {number}")
    return Resolved(pull=number, head=head, base=api.merge_base(base, head))


def _of_merge_group(job: Surroundings, _api: Api) -> Resolved:
    """Take both ends of a merge group as its event says them."""
    group = _payload(job, _MergeGroup).merge_group
    head = require_commit(group.head_sha, "merge_group.head_sha")
    return Resolved(
        pull=None, head=head, base=require_commit(group.base_sha, "merge_group.base_sha")
    )


def _of_push(job: Surroundings, api: Api) -> Resolved:
    """Take what a push to the default branch has added.

    Of a forced one the base is what the old and the new commits have in common, and of a new
    branch the parent of its head. On another branch the commit before may be a regression of the
    same pull request, so that a commit behind it would turn the status of the pull request's head
    to a success.
    """
    push = _payload(job, _Push)
    if push.ref != f"refs/heads/{push.repository.default_branch}":
        raise InputError(
            f"the push is to {one_line(push.ref)}, and not to the default branch "
            f"{one_line(push.repository.default_branch)}: name the pull request by "
            "workflow_dispatch, which holds all of it against its base"
        )
    if push.deleted or push.after == NOBODY:
        raise InputError("the push deletes a branch: there is nothing to measure")
    head = require_commit(push.after, "after")
    if push.before == NOBODY:
        return Resolved(pull=None, head=head, base=api.first_parent(head))
    before = require_commit(push.before, "before")
    base = api.merge_base(before, head) if push.forced else before
    return Resolved(pull=None, head=head, base=base)


def _of_schedule(job: Surroundings, _api: Api) -> Resolved:
    """Hold the commit that the workflow was started on against itself: is the runner right?"""
    head = job.commit("GITHUB_SHA")
    return Resolved(pull=None, head=head, base=head)


EVENTS: dict[str, Callable[[Surroundings, Api], Resolved]] = {
    "workflow_dispatch": _of_dispatch,
    "merge_group": _of_merge_group,
    "push": _of_push,
    SCHEDULE: _of_schedule,
}
"""The events that may reach a GPU: none that a stranger can cause."""

T = TypeVar("T")


def _payload(job: Surroundings, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(job.event(), type=kind)
    except ValueError as error:
        raise InputError(f"the event's payload is not as expected: {one_line(error)}") from error
