"""GitHub's API on its bad days: what is tried again, how often, and what is said in the end."""

from __future__ import annotations

import socket

import pytest

from tests.pulls.server import REPOSITORY, TOKEN, Fault, Hub, Status
from whisperbench.errors import InputError
from whisperbench.pulls.api import MAX_DESCRIPTION, Api, api_of
from whisperbench.pulls.asking import PAUSES_S, ApiError

HEAD, BASE = "1" * 40, "2" * 40

SECONDARY = '{"message": "You have exceeded a secondary rate limit. Please wait."}'
LIMIT = '{"message": "API rate limit exceeded for installation ID 1."}'
NOT_FOUND = '{"message": "Not Found"}'


class Waits(list[float]):
    """Takes down how long somebody would have slept."""

    def __call__(self, seconds: float) -> None:
        """Sleep for no time at all."""
        self.append(seconds)


@pytest.fixture
def waits() -> Waits:
    """The pauses of the API below."""
    return Waits()


@pytest.fixture
def api(hub: Hub, waits: Waits) -> Api:
    """The API of the server."""
    return api_of(hub.address, REPOSITORY, TOKEN, waits)


@pytest.mark.parametrize(
    ("fault", "paused_s"),
    [
        (Fault("POST", "statuses", 502), PAUSES_S[0]),
        (Fault("POST", "statuses", 503, headers={"Retry-After": "7"}), 7.0),
        (Fault("POST", "statuses", 429, headers={"Retry-After": "9"}), 9.0),
        (Fault("POST", "statuses", 403, headers={"Retry-After": "5"}), 5.0),
        (Fault("POST", "statuses", 403, SECONDARY), 60.0),
        (Fault("POST", "statuses", 429), 60.0),
        (Fault("POST", "statuses", 0), PAUSES_S[0]),
        (Fault("POST", "statuses", 500, "<html>"), PAUSES_S[0]),
    ],
    ids=[
        *("502", "503", "429", "403 with a time", "secondary limit", "429 without a time"),
        *("no answer", "no JSON"),
    ],
)
def test_what_may_pass_is_tried_again(
    hub: Hub, api: Api, waits: Waits, fault: Fault, paused_s: float
) -> None:
    """After a pause, as long as the server says where it does; then the status is set, once."""
    hub.faults.append(fault)
    api.set_status(HEAD, "success", "fine", "")
    assert waits == [paused_s]
    assert hub.statuses == [Status(HEAD, "success", "fine", "")]


def test_it_is_tried_so_often_and_no_more(hub: Hub, api: Api, waits: Waits) -> None:
    """A server that stays out of order is one line, after all pauses."""
    hub.faults += [Fault("GET", "pulls", 500)] * 10
    with pytest.raises(ApiError, match="pull request 7: GitHub answers with 500: out of order"):
        api.pull(7)
    assert tuple(waits) == PAUSES_S
    assert len(hub.asked) == len(PAUSES_S) + 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("GET", "pulls", 404, NOT_FOUND),
            "404: Not Found; it does not exist",
        ),
        (Fault("GET", "pulls", 403, '{"message": "no\\nway"}'), "403: no way; the job needs"),
        (Fault("GET", "pulls", 422, "[]"), "GitHub answers with 422$"),
        (Fault("GET", "pulls", 429, headers={"Retry-After": "3600"}), "answers with 429"),
        (Fault("GET", "pulls", 403, LIMIT, {"X-RateLimit-Remaining": "0"}), "403: API rate limit"),
        (Fault("GET", "pulls", 200, "[1]"), "answer is not as expected: Expected `object`"),
        (Fault("GET", "pulls", 200, "[" * 5000), "answer is not as expected"),
        (Fault("GET", "pulls", 200, ""), "answer is not as expected"),
    ],
)
def test_what_will_not_pass_is_said_at_once(
    hub: Hub, api: Api, waits: Waits, fault: Fault, said: str
) -> None:
    """A refusal, an answer of another kind or a limit of an hour is one line, without a pause."""
    hub.faults.append(fault)
    with pytest.raises(ApiError, match=said) as raised:
        api.pull(7)
    assert waits == []
    assert len(str(raised.value).splitlines()) == 1


def test_a_redirection_is_not_followed(hub: Hub, api: Api) -> None:
    """The token goes to no other address than the API's."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.2)
        where = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        hub.faults.append(Fault("GET", "pulls", 301, "{}", {"Location": where}))
        with pytest.raises(ApiError, match="301; the repository was renamed or moved"):
            api.pull(7)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_a_server_that_says_nothing(waits: Waits) -> None:
    """Each attempt has a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        api = Api(address, REPOSITORY, TOKEN, waits, timeout_s=0.05)
        with pytest.raises(ApiError, match="pull request 7: GitHub does not answer: timed out"):
            api.pull(7)
    assert len(waits) == len(PAUSES_S)


def test_nobody_there(waits: Waits) -> None:
    """A refused connection is one line."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(ApiError, match=r"GitHub does not answer: .*[Rr]efused"):
        api_of(address, REPOSITORY, TOKEN, waits).pull(7)


def test_a_wrong_token(hub: Hub) -> None:
    """It is one line, in which the token does not stand; nor does it in the API's own text."""
    api = api_of(hub.address, REPOSITORY, "not-the-token")
    with pytest.raises(
        ApiError, match="401: Bad credentials; the job's token is not valid"
    ) as said:
        api.pull(7)
    assert "not-the-token" not in str(said.value) + repr(api)


@pytest.mark.parametrize("token", ["a\nX-Header: b", "ä", "a\0b"])
def test_a_token_that_is_none(hub: Hub, token: str) -> None:
    """What would end a header's line is refused, and not shown."""
    with pytest.raises(InputError, match=r"GITHUB_TOKEN: holds what no token has$"):
        api_of(hub.address, REPOSITORY, token)


@pytest.mark.parametrize("answer", ["main", "../x", "1" * 39, "1" * 41, "\\n" + "1" * 40])
def test_a_merge_base_that_is_no_commit(hub: Hub, api: Api, answer: str) -> None:
    """Of the API's answers nothing but a whole hash becomes a commit."""
    hub.merge_bases[BASE, HEAD] = answer
    hub.parents[HEAD] = [answer]
    with pytest.raises(ApiError, match="GitHub's answer is no commit"):
        api.merge_base(BASE, HEAD)
    with pytest.raises(ApiError, match="GitHub's answer is no commit"):
        api.first_parent(HEAD)


def test_a_long_description_is_cut(hub: Hub, api: Api) -> None:
    """GitHub refuses one of over 140 characters, so that the end of it goes."""
    api.set_status(HEAD, "failure", "long " * 100, "https://github.example/run")
    (status,) = hub.statuses
    assert len(status.description) <= MAX_DESCRIPTION
    assert status.description.endswith("...")
    assert status.target == "https://github.example/run"


def test_comments_are_read_to_the_last_page(hub: Hub, api: Api) -> None:
    """All of them, those of other pull requests left out."""
    names = [hub.comment(7, str(number)) for number in range(250)]
    hub.comment(8, "another's")
    assert [each.id for each in api.comments(7)] == names
    assert len(hub.asked) == 3


def test_comments_without_end(hub: Hub, api: Api) -> None:
    """A server that has always one more page is given up."""
    full = "[" + ",".join(['{"id": 1, "user": null, "body": null}'] * 100) + "]"
    hub.faults += [Fault("GET", "comments", 200, full)] * 200
    with pytest.raises(ApiError, match="are more than 10000"):
        list(api.comments(7))
