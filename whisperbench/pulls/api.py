"""GitHub's REST API, as far as the gate needs it: typed answers, and each fault one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.pulls.asking import ApiError, Asking
from whisperbench.pulls.surroundings import COMMIT, GATE

State = Literal["success", "failure", "error", "pending"]
"""Of a commit's status: `failure` says that the head is worse, or not shown to be no worse;
`error` that nothing can be said of it."""

MAX_DESCRIPTION = 140
"""Characters that GitHub keeps of a status's description."""

_PER_PAGE = 100
_MAX_PAGES = 100

T = TypeVar("T")


class _Commit(msgspec.Struct):
    sha: str


class _Repository(msgspec.Struct):
    full_name: str


class _End(msgspec.Struct):
    """The base or the head of a pull request."""

    sha: str
    repo: _Repository | None
    """None where the fork was deleted."""


class PullRequest(msgspec.Struct):
    """What a pull request is."""

    number: int
    state: str
    head: _End
    base: _End


class _Comparison(msgspec.Struct):
    merge_base_commit: _Commit


class _Parents(msgspec.Struct):
    parents: list[_Commit]


class _User(msgspec.Struct):
    login: str


class Comment(msgspec.Struct):
    """A comment of a pull request."""

    id: int
    user: _User | None
    """None where the account was deleted."""
    body: str | None = None


class Api(Asking):
    """The API of one repository."""

    def pull(self, number: int) -> PullRequest:
        """Return a pull request.

        Raises:
            ApiError: there is none, or the API does not answer.
        """
        return self._get(f"pulls/{number}", PullRequest, f"pull request {number}")

    def merge_base(self, base: str, head: str) -> str:
        """Return the commit that two commits have in common.

        Raises:
            ApiError: one is not known, or they have none.
        """
        what = f"the merge base of {base[:10]} and {head[:10]}"
        # A page of one commit: the list of all is not needed.
        path = f"compare/{base}...{head}?per_page=1&page=1"
        return _hash(self._get(path, _Comparison, what).merge_base_commit.sha, what)

    def first_parent(self, commit: str) -> str:
        """Return the first parent of a commit.

        Raises:
            ApiError: the commit is not known, or is the first one of all.
        """
        what = f"the parent of {commit[:10]}"
        parents = self._get(f"commits/{commit}", _Parents, what).parents
        if not parents:
            raise ApiError(f"{what}: it has none, so there is nothing to hold it against")
        return _hash(parents[0].sha, what)

    def set_status(
        self, commit: str, state: State, description: str, target: str, context: str = GATE
    ) -> None:
        """Set a status of a commit.

        Args:
            commit: its hash.
            state: what it is to be.
            description: why, cut to what GitHub keeps.
            target: the page that has more; empty for none.
            context: the name of the status.

        Raises:
            ApiError: it cannot be set.
        """
        said = {"state": state, "context": context, "description": shortened(description)}
        if target:
            said["target_url"] = target
        what = f"the status {context} of {commit[:10]}"
        self.ask("POST", f"statuses/{commit}", msgspec.json.encode(said), what)

    def comments(self, number: int) -> Iterator[Comment]:
        """Yield the comments of a pull request, page by page.

        Raises:
            ApiError: they cannot be read, or are too many to be looked through.
        """
        what = f"the comments of pull request {number}"
        for page in range(1, _MAX_PAGES + 1):
            path = f"issues/{number}/comments?per_page={_PER_PAGE}&page={page}"
            found = self._get(path, list[Comment], what)
            yield from found
            if len(found) < _PER_PAGE:
                return
        raise ApiError(f"{what}: are more than {_PER_PAGE * _MAX_PAGES}")

    def add_comment(self, number: int, body: str) -> None:
        """Write a comment. It is tried once: what failed may have been written all the same.

        Raises:
            ApiError: it cannot be written.
        """
        what = f"a comment on pull request {number}"
        data = msgspec.json.encode({"body": body})
        self.ask("POST", f"issues/{number}/comments", data, what, pauses_s=())

    def change_comment(self, comment: int, body: str) -> None:
        """Write a comment anew.

        Raises:
            ApiError: it cannot be written.
        """
        data = msgspec.json.encode({"body": body})
        self.ask("PATCH", f"issues/comments/{comment}", data, f"the comment {comment}")

    def _get(self, path: str, kind: type[T], what: str) -> T:
        answer = self.ask("GET", path, None, what)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (ValueError, RecursionError) as error:  # a DecodeError is a ValueError
            raise ApiError(f"{what}: GitHub's answer is not as expected: {one_line(error)}") from (
                error
            )


def shortened(description: str) -> str:
    """Cut a description to what GitHub keeps of one."""
    line = one_line(description)
    return line if len(line) <= MAX_DESCRIPTION else f"{line[: MAX_DESCRIPTION - 3]}..."


def _hash(value: str, what: str) -> str:
    if not COMMIT.fullmatch(value):
        raise ApiError(f"{what}: GitHub's answer is no commit: {one_line(value)}")
    return value


def api_of(
    address: str, repository: str, token: str, sleep: Callable[[float], None] = time.sleep
) -> Api:
    """Make the API of a repository.

    Raises:
        InputError: the token cannot be sent in a header.
    """
    if not token.isascii() or not token.isprintable():
        raise InputError("GITHUB_TOKEN: holds what no token has")
    return Api(address, repository, token, sleep)
