"""A server on loopback that answers as GitHub's REST API does, as far as the gate asks it.

It holds pull requests, commits, statuses and comments, refuses a wrong token, pages its lists, and
fails as a test has planned.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "owner/project"
GATE = "whisperbench/gate"
TOKEN = "a-token-of-this-test"  # noqa: S105 - it opens the server below and nothing else
ACCOUNT = "github-actions[bot]"
"""Who writes with the token of a job."""


class Fault(NamedTuple):
    """An answer in place of the right one, to the next request that it fits."""

    method: str
    path: str
    """A part of the path."""
    code: int = 500
    """0 closes the connection without an answer."""
    body: str = '{"message": "out of order"}'
    headers: Mapping[str, str] = {}


class Status(NamedTuple):
    """A status that was set."""

    commit: str
    state: str
    description: str
    target: str
    context: str = GATE


@dataclass
class Hub:
    """What the server knows, and what was told to it."""

    repository: str = REPOSITORY
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    merge_bases: dict[tuple[str, str], str] = field(default_factory=dict)
    """Of two commits."""
    parents: dict[str, list[str]] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Each request's method and path."""
    address: str = ""

    def open_pull(
        self,
        number: int,
        head: str,
        base: str,
        merge_base: str,
        *,
        source: str | None = REPOSITORY,
        state: str = "open",
        target: str | None = None,
    ) -> None:
        """Open a pull request.

        Args:
            number: its number.
            head: its last commit.
            base: the last commit of the branch that it is for.
            merge_base: what both have in common.
            source: the repository that its head is of; None for one that was deleted.
            state: open or closed.
            target: the repository that it is for; this one by default.
        """
        self.pulls[number] = {
            "number": number,
            "state": state,
            "title": "`rm -rf` ::error::",
            "head": {"sha": head, "repo": source and {"full_name": source}},
            "base": {"sha": base, "repo": {"full_name": target or self.repository}},
        }
        self.merge_bases[base, head] = merge_base

    def move(self, number: int, head: str) -> None:
        """Push a commit to a pull request."""
        self.pulls[number]["head"]["sha"] = head

    def comment(self, number: int, body: str, login: str | None = "somebody") -> int:
        """Write a comment as somebody; return its id."""
        name = len(self.comments) + 1
        user = login and {"login": login}
        self.comments.append({"id": name, "user": user, "body": body, "issue": number})
        return name

    def state_of(self, commit: str, context: str = GATE) -> str | None:
        """Return the state that a status of a commit has, which is the last that was set."""
        told = (each for each in self.statuses if each.context == context)
        states = [each.state for each in told if each.commit == commit]
        return states[-1] if states else None

    def variables(self) -> dict[str, str]:
        """Return the environment by which a job finds this server."""
        return {
            "GITHUB_API_URL": self.address,
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_RUN_ID": "77",
            "GITHUB_EVENT_NAME": "workflow_dispatch",
            "GITHUB_TOKEN": TOKEN,
        }


class Refused(Exception):  # noqa: N818 - it is an answer
    """An answer other than 200 or 201."""

    def __init__(self, code: int, message: str) -> None:
        """Keep the code."""
        super().__init__(message)
        self.code = code


def _answer(hub: Hub, method: str, path: str, query: Mapping[str, list[str]], data: Any) -> Any:
    """Answer one request.

    Raises:
        Refused: with 404 or 422.
    """
    prefix = f"/repos/{hub.repository}/"
    if not path.startswith(prefix):
        raise Refused(404, "Not Found")
    asked = f"{method} {path.removeprefix(prefix)}"
    if found := re.fullmatch(r"GET pulls/(\d+)", asked):
        if int(found[1]) not in hub.pulls:
            raise Refused(404, "Not Found")
        return hub.pulls[int(found[1])]
    if found := re.fullmatch(r"GET compare/(\w+)\.\.\.(\w+)", asked):
        if (found[1], found[2]) not in hub.merge_bases:
            raise Refused(404, "No common ancestor")
        return {"merge_base_commit": {"sha": hub.merge_bases[found[1], found[2]]}}
    if found := re.fullmatch(r"GET commits/(\w+)", asked):
        if found[1] not in hub.parents:
            raise Refused(422, f"No commit found for SHA: {found[1]}")
        return {"sha": found[1], "parents": [{"sha": each} for each in hub.parents[found[1]]]}
    if found := re.fullmatch(r"POST statuses/(\w+)", asked):
        if len(data.get("description", "")) > 140:
            raise Refused(422, "description is too long (maximum is 140 characters)")
        said = data.get("description", ""), data.get("target_url", "")
        hub.statuses.append(Status(found[1], data["state"], *said, data["context"]))
        return {}
    if found := re.fullmatch(r"(GET|POST) issues/(\d+)/comments", asked):
        number = int(found[2])
        if found[1] == "POST":
            _require_short(data)
            return {"id": hub.comment(number, data["body"], ACCOUNT)}
        size, page = (int(query.get(name, [default])[0]) for name, default in _PAGING)
        all_of_it = [each for each in hub.comments if each["issue"] == number]
        return all_of_it[(page - 1) * size : page * size]
    if found := re.fullmatch(r"PATCH issues/comments/(\d+)", asked):
        _require_short(data)
        for each in hub.comments:
            if each["id"] == int(found[1]):
                each["body"] = data["body"]
                return each
    raise Refused(404, "Not Found")


_PAGING = (("per_page", "30"), ("page", "1"))


def _require_short(data: Any) -> None:
    if len(data["body"]) > 65536:
        raise Refused(422, "Body is too long (maximum is 65536 characters)")


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers from the hub."""

        def log_message(self, *_args: object) -> None:
            """Print nothing."""

        def _do(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            data = json.loads(self.rfile.read(size)) if size else None
            parts = urlsplit(self.path)
            hub.asked.append(f"{self.command} {self.path}")
            for fault in hub.faults:
                if fault.method == self.command and fault.path in self.path:
                    hub.faults.remove(fault)
                    if fault.code:
                        self._send(fault.code, fault.body.encode(), fault.headers)
                    self.close_connection = True
                    return
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._send(401, b'{"message": "Bad credentials"}')
                return
            try:
                found = _answer(hub, self.command, parts.path, parse_qs(parts.query), data)
            except Refused as refused:
                self._send(refused.code, json.dumps({"message": str(refused)}).encode())
            else:
                self._send(200 if self.command == "GET" else 201, json.dumps(found).encode())

        do_GET = do_POST = do_PATCH = _do  # noqa: N815 - the names of http.server

        def _send(self, code: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


class _Server(ThreadingHTTPServer):
    """Does not ask what the machine is called, which can take a second."""

    def server_bind(self) -> None:
        """Take a port."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])


@contextmanager
def served(hub: Hub) -> Iterator[Hub]:
    """Serve what a hub knows for as long as the block runs; `hub.address` says where."""
    server = _Server(("127.0.0.1", 0), _handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
