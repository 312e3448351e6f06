"""One request to GitHub's REST API, and what becomes of it: an answer, or an error in one line."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from whisperbench.errors import WhisperbenchError, one_line

TIMEOUT_S = 20.0
"""Of one request."""

PAUSES_S = (1.0, 4.0, 15.0)
"""Before each further attempt."""

LONGEST_PAUSE_S = 60.0
"""That is waited where the server says how long: longer ones are given up."""

_MAX_ANSWER_BYTES = 20 * 2**20


class ApiError(WhisperbenchError):
    """The API does not do what was asked of it."""

    def __init__(self, message: str, code: int = 0) -> None:
        """Keep the HTTP status; 0 where there was no answer."""
        super().__init__(message)
        self.code = code


class _Message(msgspec.Struct):
    message: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the token would go along, to whatever address is named."""

    def redirect_request(self, *_args: object) -> None:
        """Leave the answer as it is."""


@dataclass
class Asking:
    """Asks about one repository."""

    address: str
    repository: str
    token: str = field(repr=False)
    sleep: Callable[[float], None] = time.sleep
    timeout_s: float = TIMEOUT_S

    def ask(
        self,
        method: str,
        path: str,
        data: bytes | None,
        what: str,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> bytes:
        """Ask, and ask again where the server is overloaded or out of order.

        Raises:
            ApiError: it refuses, or does not answer.
        """
        for pause_s in (*pauses_s, None):
            try:
                return self._once(method, path, data)
            except urllib.error.HTTPError as error:
                failure, wait_s = _refused(error, what, pause_s)
            except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
                why = getattr(error, "reason", None) or error
                failure = ApiError(f"{what}: GitHub does not answer: {one_line(why) or type(why)}")
                wait_s = pause_s
            if pause_s is None or wait_s is None:
                raise failure
            self.sleep(wait_s)
        raise AssertionError  # the last pause is None

    def _once(self, method: str, path: str, data: bytes | None) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - https, or loopback: Surroundings.api
            f"{self.address}/repos/{self.repository}/{path}",
            data=data,
            method=method,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "whisperbench",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=self.timeout_s) as answer:
            content: bytes = answer.read(_MAX_ANSWER_BYTES + 1)
        if len(content) > _MAX_ANSWER_BYTES:
            raise http.client.HTTPException("the answer is too large")
        return content


def _refused(
    error: urllib.error.HTTPError, what: str, pause_s: float | None
) -> tuple[ApiError, float | None]:
    """Say why the server refused, and after how many seconds it may be asked again, if ever.

    docs.github.com, "Rate limits for the REST API": a secondary limit is a 403 or 429 whose message
    names it; who is not told by `Retry-After` waits a minute at least. A primary one, of which
    nothing remains, lasts up to an hour.
    """
    with error:
        try:
            said = msgspec.json.decode(error.read(65536), type=_Message).message
        except (OSError, ValueError, http.client.HTTPException):
            said = ""
    failure = ApiError(
        f"{what}: GitHub answers with {error.code}{f': {one_line(said)}' if said else ''}"
        f"{_REMEDIES.get(error.code, '')}",
        error.code,
    )
    asked_s = error.headers.get("Retry-After", "")
    limited = error.code == 429 or (
        error.code == 403 and (asked_s.isdecimal() or "rate limit" in said.lower())
    )
    spent = error.headers.get("X-RateLimit-Remaining") == "0"
    if (limited and spent) or (not limited and error.code < 500):
        return failure, None
    if asked_s.isdecimal():
        return failure, float(asked_s) if float(asked_s) <= LONGEST_PAUSE_S else None
    return failure, LONGEST_PAUSE_S if limited else pause_s


_REMEDIES = {
    401: "; the job's token is not valid",
    403: "; the job needs `permissions: statuses: write` and `pull-requests: write`",
    404: "; it does not exist, or the job's permissions do not reach it",
    301: "; the repository was renamed or moved",
}
